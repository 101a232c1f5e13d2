/* SPDX-License-Identifier: MIT */
/*
 * mbinfo.c - from the loader's words to struct boot_info.
 *
 * Owns:  the one struct boot_info.
 * Rule:  nothing that the loader says is trusted. Every address and length is checked before it is
 *        read; what does not fit is cut or refused, with a sentence in ->complaint, and boot goes
 *        on. Everything is copied, since the loader's memory is handed out as free.
 */
#include "boot/boot.h"

#include <string.h>

#include "boot/multiboot2.h"
#include "kernel/lib/fmt.h"

#define GIB		(1ULL << 30)
#define MAPPED_END	(4 * GIB)    /* the boot tables map this much */
#define MEMORY_END	(1024 * GIB) /* the final ones have room for this much */
#define MAX_INFO	(1U << 20)   /* larger loader data is not believed */
#define MAX_MEM_ENTRIES 4096
#define RSDP_SIZE	36
#define KERNEL_BASE	0xffffffff80000000ULL

extern char __boot_start[], __kernel_end[];

static struct boot_info boot;
static u8 rsdp_copy[RSDP_SIZE]; /* the loader's copy is in memory that will be reused */

/* The first complaint stays: the later ones usually follow from it. */
static __printf(1, 2) void complain(const char *fmt, ...)
{
	va_list ap;

	if (boot.complaint[0])
		return;
	va_start(ap, fmt);
	kvsnprintf(boot.complaint, sizeof(boot.complaint), fmt, ap);
	va_end(ap);
}

/* [@pa, @pa + @len) as a pointer, or NULL if the boot tables do not map it. */
static const void *at_phys(u64 pa, u64 len)
{
	if (!pa || len > MAPPED_END || pa > MAPPED_END - len)
		return NULL;
	return (const void *)pa;
}

/* Copy a string of at most @max bytes; true if it ended within them and fitted. */
static bool copy_string(char *to, size_t size, const char *from, u64 max)
{
	size_t i;

	for (i = 0; i < max && from[i]; i++) {
		if (i == size - 1) {
			to[i] = 0;
			return false;
		}
		to[i] = from[i];
	}
	to[i < size ? i : size - 1] = 0;
	return i < max;
}

static bool copy_string_at(char *to, size_t size, u64 pa)
{
	u64 max = pa < MAPPED_END ? MAPPED_END - pa : 0;

	to[0] = 0;
	if (!at_phys(pa, 1))
		return pa == 0;
	return copy_string(to, size, (const char *)pa, max);
}

/* ---- memory map ---------------------------------------------------------------------------- */

static void range_add(paddr_t start, paddr_t end)
{
	unsigned int i = boot.nr_ranges;

	if (start >= end)
		return;
	if (i == BOOT_MAX_RANGES) {
		complain("more than %d pieces of memory; the rest, from 0x%lx on, is not used",
			 BOOT_MAX_RANGES, (unsigned long)start);
		return;
	}
	for (; i && boot.ranges[i - 1].start > start; i--)
		boot.ranges[i] = boot.ranges[i - 1];
	boot.ranges[i] = (struct boot_range){ start, end };
	boot.nr_ranges++;
}

/* What is called reserved anywhere is not used, whatever else the map says about it. */
static void range_subtract(paddr_t start, paddr_t end)
{
	for (unsigned int i = 0; i < boot.nr_ranges; i++) {
		struct boot_range *r = &boot.ranges[i];
		paddr_t old_end = r->end;

		if (r->end <= start || r->start >= end)
			continue;
		r->end = max(r->start, min(r->end, start));
		if (old_end > end)
			range_add(end, old_end);
	}
}

/* Join neighbours, drop empty ones. They are sorted by start. */
static void range_merge(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < boot.nr_ranges; i++) {
		struct boot_range r = boot.ranges[i];

		if (r.start >= r.end)
			continue;
		if (n && r.start <= boot.ranges[n - 1].end)
			boot.ranges[n - 1].end = max(boot.ranges[n - 1].end, r.end);
		else
			boot.ranges[n++] = r;
	}
	boot.nr_ranges = n;
}

static const struct mem_entry *entry_at(const void *map, unsigned int i, unsigned int stride)
{
	return (const void *)((const char *)map + (u64)i * stride);
}

static u64 entry_end(const struct mem_entry *e)
{
	return e->len > ~0ULL - e->start ? ~0ULL : e->start + e->len;
}

static void take_memory_map(const void *map, unsigned int nr, unsigned int stride)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct mem_entry *e = entry_at(map, i, stride);
		u64 end = entry_end(e);

		if (e->type != MEM_USABLE || e->start >= end)
			continue;
		if (end > MEMORY_END) {
			complain("memory above 1 TiB is not used");
			end = MEMORY_END;
		}
		if (e->start < end)
			range_add(ALIGN_UP(e->start, PAGE_SIZE), ALIGN_DOWN(end, PAGE_SIZE));
	}
	/* Merged first, so that subtraction finds room for the pieces it makes. */
	range_merge();
	for (unsigned int i = 0; i < nr; i++) {
		const struct mem_entry *e = entry_at(map, i, stride);
		u64 end = min(entry_end(e), (u64)MEMORY_END);

		if (e->type != MEM_USABLE && e->start < end)
			range_subtract(ALIGN_DOWN(e->start, PAGE_SIZE), ALIGN_UP(end, PAGE_SIZE));
	}
	range_merge();
}

/* ---- modules and RSDP ---------------------------------------------------------------------- */

static struct boot_module *add_module(u64 start, u64 end)
{
	struct boot_module *m = &boot.modules[boot.nr_modules];

	if (start >= end) {
		complain("a module at 0x%lx is empty and not used", (unsigned long)start);
		return NULL;
	}
	if (boot.nr_modules == BOOT_MAX_MODULES) {
		complain("more than %d modules; the rest is not used", BOOT_MAX_MODULES);
		return NULL;
	}
	boot.nr_modules++;
	m->start = start;
	m->end = end;
	return m;
}

static bool in_memory(u64 start, u64 end)
{
	for (unsigned int i = 0; i < boot.nr_ranges; i++)
		if (start >= boot.ranges[i].start && end <= boot.ranges[i].end)
			return true;
	return false;
}

/* A module that is not memory, or is where the kernel is, cannot be what it should be. */
static void check_modules(void)
{
	u64 image = (u64)__boot_start, image_end = (u64)__kernel_end - KERNEL_BASE;
	unsigned int n = 0;

	for (unsigned int i = 0; i < boot.nr_modules; i++) {
		struct boot_module m = boot.modules[i];

		if (!in_memory(m.start, m.end) || (m.start < image_end && m.end > image))
			complain("module %u at 0x%lx is not in free memory and not used", i,
				 (unsigned long)m.start);
		else
			boot.modules[n++] = m;
	}
	boot.nr_modules = n;
}

/* ---- the two loaders ----------------------------------------------------------------------- */

static void mb2_mmap(const struct mb2_tag *tag)
{
	const struct mb2_mmap *m = (const void *)tag;

	if (tag->size < sizeof(*m) || m->entry_size < sizeof(struct mem_entry))
		complain("the loader's memory map is damaged");
	else
		take_memory_map(m + 1, (tag->size - sizeof(*m)) / m->entry_size, m->entry_size);
}

static void mb2_module(const struct mb2_tag *tag)
{
	const struct mb2_module *mod = (const void *)tag;
	struct boot_module *m;

	if (tag->size < sizeof(*mod)) {
		complain("a module's description is damaged; it is not used");
		return;
	}
	m = add_module(mod->start, mod->end);
	if (m && tag->size > sizeof(*mod))
		copy_string(m->name, sizeof(m->name), (const char *)(mod + 1),
			    tag->size - sizeof(*mod));
}

static void mb2_rsdp(const struct mb2_tag *tag)
{
	size_t len = min((size_t)tag->size - sizeof(*tag), (size_t)RSDP_SIZE);

	memset(rsdp_copy, 0, sizeof(rsdp_copy));
	memcpy(rsdp_copy, tag + 1, len);
	boot.rsdp = (u64)rsdp_copy - KERNEL_BASE;
}

static void mb2_tag(const struct mb2_tag *tag)
{
	switch (tag->type) {
	case MB2_CMDLINE:
		if (!copy_string(boot.cmdline, sizeof(boot.cmdline), (const char *)(tag + 1),
				 tag->size - sizeof(*tag)))
			complain("the command line is longer than %d characters and was cut",
				 BOOT_CMDLINE - 1);
		break;
	case MB2_MODULE: mb2_module(tag); break;
	case MB2_MMAP: mb2_mmap(tag); break;
	case MB2_RSDP_V1:
		if (boot.rsdp)
			break; /* the newer one knows more */
			       /* fall through */
	case MB2_RSDP_V2: mb2_rsdp(tag); break;
	}
}

static void collect_multiboot2(u32 addr)
{
	const struct mb2_info *info = at_phys(addr, sizeof(*info));
	u32 offset = sizeof(*info), total;

	total = info ? info->total_size : 0;
	if (total < sizeof(*info) || total > MAX_INFO || !at_phys(addr, total)) {
		complain("multiboot2 information at 0x%x has an impossible size, %u", addr, total);
		return;
	}
	while (offset + sizeof(struct mb2_tag) <= total) {
		const struct mb2_tag *tag = (const void *)((const char *)info + offset);

		if (tag->type == MB2_END)
			return;
		if (tag->size < sizeof(*tag) || tag->size > total - offset) {
			complain("multiboot2 tag %u has an impossible size, %u", tag->type,
				 tag->size);
			return;
		}
		mb2_tag(tag);
		offset += ALIGN_UP(tag->size, 8U);
	}
	complain("multiboot2 information has no end");
}

static void pvh_modules(const struct pvh_start_info *info)
{
	const struct pvh_module *mod;

	if (!info->nr_modules)
		return;
	mod = at_phys(info->modules, (u64)info->nr_modules * sizeof(*mod));
	if (!mod || info->nr_modules > MAX_MEM_ENTRIES) {
		complain("the list of modules at 0x%lx is out of reach",
			 (unsigned long)info->modules);
		return;
	}
	for (u32 i = 0; i < info->nr_modules; i++, mod++) {
		u64 end = mod->size > ~0ULL - mod->start ? ~0ULL : mod->start + mod->size;
		struct boot_module *m = add_module(mod->start, end);

		if (m)
			copy_string_at(m->name, sizeof(m->name), mod->cmdline);
	}
}

static void collect_pvh(const struct pvh_start_info *info)
{
	u64 map_size = (u64)info->nr_memmap * sizeof(struct mem_entry);

	boot.rsdp = info->rsdp;
	if (!copy_string_at(boot.cmdline, sizeof(boot.cmdline), info->cmdline))
		complain("the command line is longer than %d characters and was cut",
			 BOOT_CMDLINE - 1);
	if (!info->version || !info->nr_memmap || info->nr_memmap > MAX_MEM_ENTRIES ||
	    !at_phys(info->memmap, map_size))
		complain("PVH start information has no usable memory map");
	else
		take_memory_map((const void *)info->memmap, info->nr_memmap,
				sizeof(struct mem_entry));
	pvh_modules(info);
}

const struct boot_info *boot_info_collect(u32 magic, u32 info)
{
	const struct pvh_start_info *pvh = at_phys(info, sizeof(*pvh));

	if (magic == MB2_BOOTED) {
		boot.loader = BOOT_MULTIBOOT2;
		collect_multiboot2(info);
	} else if (pvh && pvh->magic == PVH_MAGIC) {
		boot.loader = BOOT_PVH;
		collect_pvh(pvh);
	} else {
		complain("loaded neither by multiboot2 nor by PVH (eax 0x%x, ebx 0x%x)", magic,
			 info);
	}
	check_modules();
	if (!boot.nr_ranges)
		complain("the loader told of no memory at all");
	return &boot;
}
