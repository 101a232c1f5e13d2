/* SPDX-License-Identifier: MIT */
/*
 * sections.h - tables that the linker gathers, for the things people add.
 *
 * Policies, file systems, tests, shell commands, programs and arguments register themselves by
 * being linked. Everything else is called by name. Each section NAME lies between
 * __reg_NAME_start and __reg_NAME_end (linker.ld) and holds whole structs, 8-byte aligned.
 */
#ifndef KERNEL_LIB_SECTIONS_H
#define KERNEL_LIB_SECTIONS_H

/* Put one struct of @type, called @name, in section @sec:
 *	REGISTER(policies, struct dirty_policy, policy_write_notify) = { .name = ... };
 * Sections hold the structs back to back, so sizeof(@type) must be a multiple of 8. */
#define REGISTER(sec, type, name)                                                                  \
	static __attribute__((used, section(".reg." #sec), aligned(8))) type name

/* Declare the bounds of @sec once in the file that walks it. */
#define REGISTRY(sec, type) extern type __reg_##sec##_start[], __reg_##sec##_end[]

/* for (struct dirty_policy *p; ...): visit every entry of @sec. */
#define for_each_registered(sec, p) for (p = __reg_##sec##_start; p < __reg_##sec##_end; p++)

#endif
