/* SPDX-License-Identifier: MIT */
/*
 * args.h - key=value arguments from the boot loader and from fw_cfg.
 *
 * A file that owns a decision declares its argument beside it:
 *	ARG_BOOL(trace, trace_on, "record events in the per-CPU rings");
 *	ARG_UINT(age, wb_age_ms, "milliseconds a page may stay dirty");
 *	ARG_STRING(root, root_device, "device of the root file system");
 *	ARG_CHOICE(flush, flush_mode, flush_names, "pages per shootdown");
 * A default stands in every variable, so that no argument is ever needed. Unknown keys and values
 * are named in one line on the console and ignored.
 */
#ifndef KERNEL_CORE_ARGS_H
#define KERNEL_CORE_ARGS_H

#include "kernel/lib/sections.h"
#include "kernel/lib/types.h"

enum arg_type { ARG_T_BOOL, ARG_T_UINT, ARG_T_STRING, ARG_T_CHOICE, ARG_T_CALL };

#define ARG_STRING_MAX 128

struct arg {
	const char *name;
	const char *help;
	enum arg_type type;
	void *value;		      /* bool, u64, char[ARG_STRING_MAX], unsigned int */
	const char *const *choices;   /* CHOICE: NULL-terminated names; the value is the index */
	int (*call)(const char *val); /* CALL: 0 or -EINVAL (the callee printed why).
				       * CHOICE: NULL, or told after the value was set */
	bool (*known)(const char *val);
	u64 pad;
};

#define ARG_BOOL(key, var, text)                                                                   \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_BOOL, &(var), 0, 0, 0, 0 }
#define ARG_UINT(key, var, text)                                                                   \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_UINT, &(var), 0, 0, 0, 0 }
#define ARG_STRING(key, var, text)                                                                 \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_STRING, (var), 0, 0, 0, 0 }
#define ARG_CHOICE(key, var, names, text)                                                          \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_CHOICE, &(var), names, 0, 0, 0 }
/* The same, and @fn is called when the value has been set, also to what it was. */
#define ARG_CHOICE_CALL(key, v, names, fn, text)                                                   \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_CHOICE, &(v), names, fn, 0, 0 }
#define ARG_CALL(key, fn, text)                                                                    \
	REGISTER(args, struct arg, arg_##key) = { #key, text, ARG_T_CALL, 0, 0, fn, 0, 0 }

/* Parse "a=1 b=two c"; a key alone means true. @source is named in complaints. Returns how many
 * words were refused. Before other CPUs run, or later from the shell. */
int args_parse(const char *line, const char *source);
/* Set one; 0, -ENOENT (no such key), -EINVAL (no such value): both printed. */
int args_set(const char *key, const char *val);
/* Its value as args_set() takes it; 0, or -ENOENT: there is none, or only its owner can tell. */
int args_get(const char *key, char *val, size_t size);
/* Every argument with its value and help, one per line. */
void args_print(void);

#endif
