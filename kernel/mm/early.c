/* SPDX-License-Identifier: MIT */
/*
 * early.c - which memory is free at boot, and frames from it before there is an allocator.
 *
 * Owns:  the list of free ranges until page_alloc_init() takes what is left.
 * Not:   struct pages, the buddy lists (page_alloc.c).
 * Locks: none: one CPU, interrupts off.
 * Key fact: the boot tables and the final ones both have a direct map, but the former only of the
 *        first 4 GiB. Frames for the final tables are therefore taken below that.
 */
#include "kernel/mm/page_alloc.h"

#include "boot/boot.h"
#include "kernel/core/printk.h"

#define LOW_MEMORY   0x100000UL	   /* BIOS, ACPI, the other CPUs' first instructions */
#define BOOT_MAP_END 0x100000000UL /* 4 GiB: what the boot tables map */
#define MEMORY_MIN   (24UL << 20)

/* Each cut can split one range: low memory, .boot, image, 4 GiB, modules. */
#define MAX_EARLY (BOOT_MAX_RANGES + 4 + BOOT_MAX_MODULES)

extern char __boot_start[], __boot_end[], __kernel_start[], __kernel_end[]; /* linker.ld */

static struct boot_range ranges[MAX_EARLY]; /* free, sorted, none empty unless used up */
static unsigned int nr_ranges;

static void add_range(unsigned int at, paddr_t start, paddr_t end)
{
	unsigned int i;

	BUG_ON(nr_ranges == MAX_EARLY);
	for (i = nr_ranges++; i > at; i--)
		ranges[i] = ranges[i - 1];
	ranges[at] = (struct boot_range){ start, end };
}

static void remove_range(unsigned int at)
{
	unsigned int i;

	for (i = at + 1; i < nr_ranges; i++)
		ranges[i - 1] = ranges[i];
	nr_ranges--;
}

/* Take [start, end) out of what is free; with start == end a range is only parted there. */
static void cut(paddr_t start, paddr_t end)
{
	unsigned int i = 0;

	while (i < nr_ranges) {
		struct boot_range r = ranges[i];

		if (r.end <= start || r.start >= end) {
			i++;
			continue;
		}
		remove_range(i);
		if (r.start < start)
			add_range(i++, r.start, start);
		if (r.end > end)
			add_range(i++, end, r.end);
	}
}

static u64 total(void)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < nr_ranges; i++)
		bytes += ranges[i].end - ranges[i].start;
	return bytes;
}

void early_init(const struct boot_info *info)
{
	unsigned int i;
	u64 found;

	for (i = 0; i < info->nr_ranges; i++)
		if (info->ranges[i].start < info->ranges[i].end)
			add_range(nr_ranges, info->ranges[i].start, info->ranges[i].end);
	for (i = 0; i < info->nr_modules; i++)
		cut(ALIGN_DOWN(info->modules[i].start, PAGE_SIZE),
		    PAGE_ALIGN(info->modules[i].end));
	found = total();
	cut(0, LOW_MEMORY);
	cut((paddr_t)__boot_start, PAGE_ALIGN(__boot_end));
	cut(virt_to_phys(__kernel_start), PAGE_ALIGN(virt_to_phys(__kernel_end)));
	cut(BOOT_MAP_END, BOOT_MAP_END);
	if (found >= MEMORY_MIN)
		return;
	printk("memory: %lu MiB found%s, dirtybit needs at least %lu MiB\n",
	       (unsigned long)(found >> 20), info->nr_modules ? " beside the boot modules" : "",
	       MEMORY_MIN >> 20);
	printk("dirtybit: done: fail\n");
	arch_exit(EXIT_FAIL);
}

/* From the top, so that what stays is one piece. Called by pgtable_boot() on the boot tables, and
 * by page_alloc_init() for the tables of struct pages. */
paddr_t early_alloc(void)
{
	unsigned int i;

	for (i = nr_ranges; i-- > 0;) {
		struct boot_range *r = &ranges[i];

		if (r->end > BOOT_MAP_END || r->start == r->end)
			continue;
		r->end -= PAGE_SIZE;
		clear_frame(phys_to_virt(r->end));
		return r->end;
	}
	panic("memory: no frame below 4 GiB is left for page tables");
}

paddr_t early_take(u64 want, u64 *got)
{
	struct boot_range *r, *best = NULL;
	unsigned int i;

	/* The highest range that is large enough, else the largest. */
	for (i = 0; i < nr_ranges; i++) {
		u64 most = best ? (best->end - best->start) >> PAGE_SHIFT : 0;

		r = &ranges[i];
		if ((r->end - r->start) >> PAGE_SHIFT >= min(want, most + 1))
			best = r;
	}
	if (!best)
		panic("memory: no frame is left for struct pages");
	*got = min(want, (best->end - best->start) >> PAGE_SHIFT);
	best->end -= *got << PAGE_SHIFT;
	return best->end;
}

const struct boot_range *early_left(unsigned int *nr)
{
	*nr = nr_ranges;
	return ranges;
}
