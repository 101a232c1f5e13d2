/* SPDX-License-Identifier: MIT */
/*
 * test_fmt.c - ksnprintf against the C library's snprintf.
 */
#include "kernel/lib/fmt.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tests/host/host.h"

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-overflow"
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

/* The same text, length and end for every buffer size from none to more than enough? */
#define SAME(...)                                                                                  \
	({                                                                                         \
		bool _same = true;                                                                 \
		for (size_t _size = 0; _size < 80; _size++) {                                      \
			char _a[128], _b[128];                                                     \
			memset(_a, '~', sizeof(_a));                                               \
			memset(_b, '~', sizeof(_b));                                               \
			int _x = snprintf(_a, _size, __VA_ARGS__);                                 \
			int _y = ksnprintf(_b, _size, __VA_ARGS__);                                \
			if (_x != _y || memcmp(_a, _b, _size ? _size : 1)) {                       \
				printf("# size %zu: '%s' (%d) but '%s' (%d)\n", _size,             \
				       _size ? _a : "", _x, _size ? _b : "", _y);                  \
				_same = false;                                                     \
			}                                                                          \
		}                                                                                  \
		_same;                                                                             \
	})

static bool plain(void)
{
	return SAME("%s", "") && SAME("no conversions") && SAME("100%%") &&
	       SAME("%c%c", 'a', 'b') && SAME("[%5c]", 'x') && SAME("[%-5c]", 'x');
}

static bool strings(void)
{
	return SAME("%s", "text") && SAME("[%10s]", "text") && SAME("[%-10s]", "text") &&
	       SAME("[%.2s]", "text") && SAME("[%10.2s]", "text") && SAME("[%-*s]", 7, "text") &&
	       SAME("[%*s]", -7, "text") && SAME("[%.*s]", 3, "text") &&
	       SAME("[%.*s]", -3, "text") && SAME("%s", (char *)NULL) && SAME("[%.0s]", "text");
}

static bool unterminated(void)
{
	static const char three[3] = "abc"; /* no NUL: the sanitizer guards what follows */

	return SAME("[%.3s]", three);
}

/* Every combination of flags, width, precision and length that C defines, on telling values. */
static bool numbers(const char *conversions)
{
	static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z", "t", "j" };
	static const s64 values[] = { 0,	1,	  7,	    8,	     -1,
				      9,	127,	  128,	    -128,    255,
				      256,	65535,	  -32768,   INT_MIN, INT_MAX,
				      UINT_MAX, LONG_MIN, LONG_MAX, 1234567 };
	static const char *const widths[] = { "", "1", "7", "30" };
	static const char *const precisions[] = { "", ".", ".0", ".1", ".5", ".25" };
	bool good = true;

	for (unsigned int flags = 0; flags < 32; flags++)
		for (const char *c = conversions; *c; c++)
			for (size_t i = 0; i < ARRAY_SIZE(widths) * ARRAY_SIZE(precisions); i++)
				for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
					char f[40];

					snprintf(f, sizeof(f), "[%%%s%s%s%s%s%s%s%s%c]",
						 flags & 1 ? "-" : "", flags & 2 ? "0" : "",
						 flags & 4 && *c != 'd' && *c != 'u' ? "#" : "",
						 flags & 8 && *c == 'd' ? "+" : "",
						 flags & 16 && *c == 'd' ? " " : "", widths[i % 4],
						 precisions[i / 4], lengths[l], *c);
					for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
						char a[100], b[100];
						int x = snprintf(a, sizeof(a), f, values[v]);
						int y = ksnprintf(b, sizeof(b), f, values[v]);

						if (x == y && !strcmp(a, b))
							continue;
						if (good)
							printf("# %s of %ld: %s but %s\n", f,
							       (long)values[v], a, b);
						good = false;
					}
				}
	return good;
}

static bool star_numbers(void)
{
	return SAME("[%*d]", 9, 42) && SAME("[%*d]", -9, 42) && SAME("[%0*d]", 9, -42) &&
	       SAME("[%.*d]", 6, 42) && SAME("[%.*d]", -6, 42) && SAME("[%*.*x]", 12, 6, 0xabc);
}

static bool several(void)
{
	return SAME("%s=%d, %lu%% of %#lx%c", "faults", -3, 45UL, 0xdeadbeefUL, '.') &&
	       SAME("%d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
}

static bool pointers(void)
{
	return SAME("%p", (void *)0x1234) && SAME("[%20p]", (void *)0xffffffff80000000UL);
}

static bool unknown(void)
{
	char buf[32];

	return ksnprintf(buf, sizeof(buf), "a%-5ky%d", 3) == 7 && !strcmp(buf, "a%-5ky3") &&
	       ksnprintf(buf, sizeof(buf), "end%") == 4 && !strcmp(buf, "end%");
}

int main(void)
{
	ok(plain(), "text, %% and %c");
	ok(strings(), "%s with width and precision, and a null pointer");
	ok(unterminated(), "%.3s reads three characters only");
	ok(numbers("d"), "%d of every length with every flag");
	ok(numbers("u"), "%u of every length with every flag");
	ok(numbers("xX"), "%x and %X of every length with every flag");
	ok(numbers("o"), "%o of every length with every flag");
	ok(star_numbers(), "width and precision from arguments");
	ok(several(), "several conversions in a row, more than registers hold");
	ok(pointers(), "%p");
	ok(unknown(), "an unknown conversion is copied as it stands");
	return host_done();
}
