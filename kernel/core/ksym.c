/* SPDX-License-Identifier: MIT */
/*
 * ksym.c - which function does an address belong to?
 *
 * The table is made by tools/ksyms and lies in read-only memory: no lock, any context.
 */
#include "kernel/core/printk.h"
#include "kernel/lib/fmt.h"

struct ksym_entry {
	u64 address;
	u32 name; /* offset in __ksyms_names */
	u32 pad;
};

extern const struct ksym_entry __ksyms_start[], __ksyms_end[];
extern const char __ksyms_names[], __text_end[];

const char *ksym(u64 pc, char *buf, size_t size)
{
	const struct ksym_entry *low = __ksyms_start, *high = __ksyms_end;

	/* The last entry not above pc is the one before low when low meets high. */
	while (low < high) {
		const struct ksym_entry *middle = low + (high - low) / 2;

		if (middle->address <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == __ksyms_start || pc >= (u64)__text_end)
		return "?";
	low--;
	ksnprintf(buf, size, "%s+%#lx", __ksyms_names + low->name,
		  (unsigned long)(pc - low->address));
	return buf;
}
