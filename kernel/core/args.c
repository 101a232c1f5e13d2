/* SPDX-License-Identifier: MIT */
/*
 * args.c - from "key=value key2 ..." to the variables that registered themselves.
 *
 * Owns:  nothing but the parsing; each value belongs to the file that declared the argument.
 * What cannot be used is named in one line and left out; the rest still counts. Locks: none: before
 * other CPUs run, or one shell command at a time; a value is one word or a string that only its
 * owner reads.
 */
#include "kernel/core/args.h"

#include <errno.h>
#include <string.h>

#include "kernel/core/printk.h"
#include "kernel/lib/fmt.h"

#define WORD_MAX 256

REGISTRY(args, struct arg);

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct arg *find(const char *key)
{
	struct arg *a;

	for_each_registered(args, a)
		if (!strcmp(a->name, key))
			return a;
	return NULL;
}

static int parse_bool(const char *val, bool *out)
{
	static const char *const names[2][4] = { { "0", "no", "off", "false" },
						 { "1", "yes", "on", "true" } };

	for (int truth = 0; truth < 2; truth++)
		for (size_t i = 0; i < ARRAY_SIZE(names[0]); i++)
			if (!strcmp(val, names[truth][i])) {
				*out = truth;
				return 0;
			}
	return -EINVAL;
}

static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a' + 10) : 99;
}

/* Decimal or 0x hexadecimal, then nothing or one of k, m, g; refused when it overflows. */
static int parse_uint(const char *val, u64 *out)
{
	unsigned int base = 10, shift = 0;
	const char *p = val;
	u64 v = 0;

	if (p[0] == '0' && (p[1] | 0x20) == 'x') {
		base = 16;
		p += 2;
	}
	if (digit_value(*p) >= base)
		return -EINVAL;
	for (; digit_value(*p) < base; p++)
		if (__builtin_mul_overflow(v, (u64)base, &v) ||
		    __builtin_add_overflow(v, (u64)digit_value(*p), &v))
			return -EINVAL;
	switch (*p | 0x20) {
	case 'k': shift = 10; break;
	case 'm': shift = 20; break;
	case 'g': shift = 30; break;
	default: break;
	}
	if (shift)
		p++;
	if (*p || v > ~0UL >> shift)
		return -EINVAL;
	*out = v << shift;
	return 0;
}

static int parse_choice(const struct arg *a, const char *val)
{
	for (unsigned int i = 0; a->choices[i]; i++)
		if (!strcmp(a->choices[i], val)) {
			WRITE_ONCE(*(unsigned int *)a->value, i);
			return a->call ? a->call(val) : 0;
		}
	return -EINVAL;
}

static int parse_string(const struct arg *a, const char *val)
{
	if (strlen(val) >= ARG_STRING_MAX)
		return -EINVAL;
	strcpy(a->value, val);
	return 0;
}

/* What would have been right, as one text so that a complaint is one line. */
static const char *expected(const struct arg *a, char *buf, size_t size)
{
	size_t len = 0;

	switch (a->type) {
	case ARG_T_BOOL: return "0 or 1";
	case ARG_T_UINT: return "a number, k, m or g may follow";
	case ARG_T_STRING: return "at most 127 characters";
	case ARG_T_CALL: return "see `args`";
	case ARG_T_CHOICE: break;
	}
	_Static_assert(ARG_STRING_MAX == 128, "said above");
	buf[0] = '\0';
	for (unsigned int i = 0; a->choices[i] && len < size; i++)
		len += (size_t)ksnprintf(buf + len, size - len, "%s%s", i ? ", " : "one of ",
					 a->choices[i]);
	return buf;
}

static int set_value(const struct arg *a, const char *val)
{
	if (a->known && !a->known(val))
		return -EINVAL;
	switch (a->type) {
	case ARG_T_BOOL: return parse_bool(val, a->value);
	case ARG_T_UINT: return parse_uint(val, a->value);
	case ARG_T_STRING: return parse_string(a, val);
	case ARG_T_CHOICE: return parse_choice(a, val);
	case ARG_T_CALL: return a->call(val);
	}
	return -EINVAL;
}

/* @source: "" or " (from GRUB)", for the complaint. */
static int set_from(const char *key, const char *val, const char *source)
{
	const struct arg *a = find(key);
	char right[256];
	int err;

	if (!a) {
		printk("args: unknown argument '%s'%s: `args` lists those there are\n", key,
		       source);
		return -ENOENT;
	}
	err = set_value(a, val);
	/* The callee of a CALL has said why. */
	if (err && a->type != ARG_T_CALL)
		printk("args: '%s' is no value of '%s'%s: %s\n", val, key, source,
		       expected(a, right, sizeof(right)));
	return err ? -EINVAL : 0;
}

int args_set(const char *key, const char *val)
{
	return set_from(key, val, "");
}

/* One word of @len characters; 0 or why it was refused. */
static int parse_word(const char *text, size_t len, const char *source)
{
	char word[WORD_MAX], *equals;

	if (len >= sizeof(word)) {
		printk("args: '%.20s...'%s has more than %d characters\n", text, source,
		       WORD_MAX - 1);
		return -EINVAL;
	}
	memcpy(word, text, len);
	word[len] = '\0';
	equals = strchr(word, '=');
	if (equals)
		*equals++ = '\0';
	return set_from(word, equals ? equals : "1", source);
}

int args_parse(const char *line, const char *source)
{
	char from[64];
	int refused = 0;

	from[0] = '\0';
	if (source && strlen(source) < sizeof(from) - sizeof(" (from )")) {
		strcpy(from, " (from ");
		strcat(from, source);
		strcat(from, ")");
	}
	for (;;) {
		size_t len = 0;

		while (is_space(*line))
			line++;
		if (!*line)
			return refused;
		while (line[len] && !is_space(line[len]))
			len++;
		refused += parse_word(line, len, from) != 0;
		line += len;
	}
}

/* The value as text that args_set() would take; of a CALL, whose value is its owner's, "...". */
static void value_text(const struct arg *a, char *val, size_t size)
{
	switch (a->type) {
	case ARG_T_BOOL: ksnprintf(val, size, "%d", *(const bool *)a->value); break;
	case ARG_T_UINT: ksnprintf(val, size, "%lu", (unsigned long)*(const u64 *)a->value); break;
	case ARG_T_STRING: ksnprintf(val, size, "%s", (const char *)a->value); break;
	case ARG_T_CHOICE:
		ksnprintf(val, size, "%s", a->choices[*(const unsigned int *)a->value]);
		break;
	case ARG_T_CALL: ksnprintf(val, size, "..."); break;
	}
}

static void print_one(const struct arg *a)
{
	char val[ARG_STRING_MAX], right[256];
	bool choice = a->type == ARG_T_CHOICE;

	value_text(a, val, sizeof(val));
	printk("  %s=%s\t%s%s%s\n", a->name, val, a->help, choice ? ": " : "",
	       choice ? expected(a, right, sizeof(right)) : "");
}

int args_get(const char *key, char *val, size_t size)
{
	const struct arg *a = find(key);

	if (!a || a->type == ARG_T_CALL)
		return -ENOENT;
	value_text(a, val, size);
	return 0;
}

void args_print(void)
{
	const char *last = "";

	/* In alphabetical order: each round finds the next name, of a few dozen. */
	for (;;) {
		const struct arg *next = NULL;
		struct arg *a;

		for_each_registered(args, a)
			if (strcmp(a->name, last) > 0 && (!next || strcmp(a->name, next->name) < 0))
				next = a;
		if (!next)
			return;
		print_one(next);
		last = next->name;
	}
}
