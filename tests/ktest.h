/* SPDX-License-Identifier: MIT */
/*
 * ktest.h - a test is a function that registered itself; test=<glob> runs those whose suite.name
 * matches and prints TAP.
 *
 *	KTEST(mkclean, store_after_clean_faults_again)
 *	{
 *		...
 *		EXPECT_EQ(faults, 1);
 *	}
 *
 * EXPECT goes on after a failure and marks the test; ASSERT returns from it at once (cleanup is the
 * test's own duty: put asserts before what needs undoing, or goto). After every test the runner
 * audits all mappings (P1-P6) and compares frames, objects and threads with the count before: a
 * leak fails the test.
 */
#ifndef TESTS_KTEST_H
#define TESTS_KTEST_H

#include "kernel/lib/sections.h"
#include "kernel/lib/types.h"

struct ktest {
	const char *suite, *name;
	void (*fn)(void);
	u64 flags;
};

#define KTEST_NO_LEAK_CHECK 1 /* with the reason in a comment at the test */
#define KTEST_MANUAL	    2 /* not part of test=all: only when its name is given */

#define KTEST_FLAGS(s, n, f)                                                                       \
	static void ktest_##s##_##n(void);                                                         \
	REGISTER(tests, struct ktest, ktest_entry_##s##_##n) = { #s, #n, ktest_##s##_##n, (f) };   \
	static void ktest_##s##_##n(void)
#define KTEST(s, n) KTEST_FLAGS(s, n, 0)

/* Mark the running test as failed, with a sentence. Any thread. */
__printf(3, 4) void ktest_fail(const char *file, int line, const char *fmt, ...);
/* A line of TAP diagnostics ("# ..."). */
__printf(1, 2) void ktest_note(const char *fmt, ...);
bool ktest_failed(void);

#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ktest_fail(__FILE__, __LINE__, "expected: %s", #cond);                     \
	} while (0)

#define EXPECT_EQ(a, b)                                                                            \
	do {                                                                                       \
		s64 _x = (s64)(a), _y = (s64)(b);                                                  \
		if (_x != _y)                                                                      \
			ktest_fail(__FILE__, __LINE__, "%s is %ld, %s is %ld", #a, (long)_x, #b,   \
				   (long)_y);                                                      \
	} while (0)

#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			ktest_fail(__FILE__, __LINE__, "asserted: %s", #cond);                     \
			return;                                                                    \
		}                                                                                  \
	} while (0)

#define ASSERT_EQ(a, b)                                                                            \
	do {                                                                                       \
		s64 _x = (s64)(a), _y = (s64)(b);                                                  \
		if (_x != _y) {                                                                    \
			ktest_fail(__FILE__, __LINE__, "%s is %ld, %s is %ld", #a, (long)_x, #b,   \
				   (long)_y);                                                      \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* The seed of the run (argument seed=, else from the clock; printed), and a generator. */
u64 ktest_seed(void);
u64 ktest_rand(u64 *state); /* xorshift64*; state must not be 0 */

/* Run all that match the glob list @pattern ("a.*+b.c"); prints TAP; number of failures. */
int ktest_run(const char *pattern);

#endif
