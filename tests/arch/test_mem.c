/* SPDX-License-Identifier: MIT */
/*
 * test_mem.c - memory that was given out: aligned, one's own, and complete again when it is given
 * back.
 */
#include <string.h>

#include "arch/x86_64/pgtable.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/sched.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/vmap.h"
#include "tests/arch/runner.h"
#include "tests/ktest.h"

/* --- frames --- */

/* Each 8-byte word of [p, p + len) tells where it lies. */
static void mark(void *p, size_t len)
{
	for (u64 *w = p; (char *)w < (char *)p + len; w++)
		*w = (u64)w ^ 0xabcdef;
}

static bool marked(const void *p, size_t len)
{
	for (const u64 *w = p; (const char *)w < (const char *)p + len; w++)
		if (*w != ((u64)w ^ 0xabcdef))
			return false;
	return true;
}

static void every_order(void *arg)
{
	struct page *block[2][MAX_ORDER + 1];
	u64 before = nr_free_pages();

	for (unsigned int twice = 0; twice < 2; twice++)
		for (unsigned int o = 0; o <= MAX_ORDER; o++) {
			struct page *page = alloc_pages(o, ALLOC_NORMAL);

			block[twice][o] = page;
			EXPECT(page);
			if (!page)
				continue;
			EXPECT_EQ(page_to_pfn(page) & ((1ul << o) - 1), 0);
			EXPECT_EQ(page->refs, 1);
			mark(page_address(page), PAGE_SIZE << o);
		}
	EXPECT_EQ(alloc_pages(MAX_ORDER + 1, ALLOC_NORMAL), NULL);
	for (unsigned int i = 0; i <= MAX_ORDER; i++)
		for (unsigned int twice = 0; twice < 2; twice++) {
			unsigned int o = twice ? i : MAX_ORDER - i;

			if (!block[twice][o])
				continue;
			EXPECT(marked(page_address(block[twice][o]), PAGE_SIZE << o));
			free_pages(block[twice][o], o);
		}
	EXPECT_EQ(nr_free_pages(), before);
}

KTEST(mem, blocks_of_every_order_are_aligned_and_keep_their_contents)
{
	pinned(every_order, NULL);
}

KTEST(mem, zeroed_frames_are_zero)
{
	for (unsigned int o = 0; o < 4; o++) {
		for (unsigned int round = 0; round < 2; round++) {
			struct page *page = alloc_pages(o, ALLOC_ZERO);
			const u64 *w;
			u64 sum = 0;

			ASSERT(page);
			w = page_address(page);
			for (u64 i = 0; i < PAGE_SIZE / 8 << o; i++)
				sum |= w[i];
			EXPECT_EQ(sum, 0);
			mark(page_address(page), PAGE_SIZE << o); /* for the next */
			free_pages(page, o);
		}
	}
}

/* How many blocks of the largest order there are now. */
static u64 largest_blocks(void)
{
	struct page *list = NULL, *page;
	u64 n = 0;

	while ((page = alloc_pages(MAX_ORDER, ALLOC_NORMAL))) {
		page->next = list;
		list = page;
		n++;
	}
	while ((page = list)) {
		list = page->next;
		free_pages(page, MAX_ORDER);
	}
	return n;
}

/* All memory frame by frame, each told apart by what is in it; then all of it merges again. */
static void all_of_it(void *arg)
{
	struct page *list = NULL, *page, *next;
	u64 blocks, free, n = 0, wrong = 0;

	reclaim_park();
	kmalloc_drain();
	drain_page_caches();
	free = nr_free_pages();
	blocks = largest_blocks();
	while ((page = alloc_page(ALLOC_RESERVE))) {
		*(u64 *)page_address(page) = page_to_pfn(page);
		page->next = list;
		list = page;
		n++;
	}
	for (page = list; page; page = next) {
		next = page->next;
		wrong += *(u64 *)page_address(page) != page_to_pfn(page);
		page_put(page);
	}
	EXPECT_EQ(wrong, 0);
	/* Per-CPU caches of other CPUs may keep theirs. */
	EXPECT(n <= free && n + 100 * nr_cpus >= free);
	EXPECT_EQ(nr_free_pages(), free);
	drain_page_caches();
	EXPECT_EQ(largest_blocks(), blocks);
	reclaim_unpark();
	ktest_note("%lu frames, %lu blocks of %u KiB", (unsigned long)n, (unsigned long)blocks,
		   4u << MAX_ORDER);
}

KTEST(mem, all_frames_are_different_and_merge_again)
{
	pinned(all_of_it, NULL);
}

#define PARCEL 300 /* more than a CPU's cache holds */

static struct page *parcel[PARCEL];

static int pack(void *arg)
{
	for (unsigned int i = 0; i < PARCEL; i++) {
		parcel[i] = alloc_page(ALLOC_NORMAL);
		if (parcel[i])
			mark(page_address(parcel[i]), PAGE_SIZE);
	}
	return 0;
}

static int unpack(void *arg)
{
	int wrong = 0;

	for (unsigned int i = 0; i < PARCEL; i++) {
		wrong += !parcel[i] || !marked(page_address(parcel[i]), PAGE_SIZE);
		if (parcel[i])
			page_put(parcel[i]);
	}
	return wrong;
}

static void from_cpu_to_cpu(void *arg)
{
	u64 before;

	drain_page_caches();
	before = nr_free_pages();
	for (unsigned int a = 0; a < nr_cpus; a++)
		for (unsigned int b = 0; b < nr_cpus; b += 1 + nr_cpus / 4) {
			EXPECT_EQ(on_cpu(a, pack, NULL), 0);
			EXPECT_EQ(on_cpu(b, unpack, NULL), 0);
		}
	EXPECT_EQ(nr_free_pages(), before);
	drain_page_caches();
	EXPECT_EQ(nr_free_pages(), before);
}

KTEST(mem, frames_freed_on_another_cpu_are_not_lost)
{
	pinned(from_cpu_to_cpu, NULL);
}

/* --- kmalloc --- */

static bool aligned(const void *p, size_t size)
{
	u64 a = (u64)p;

	if (a & 15)
		return false;
	if (size && !(size & (size - 1)) && a & (min(size, (size_t)PAGE_SIZE) - 1))
		return false;
	return size < 64 || (size > 64 && size <= 96) || !(a & 63);
}

KTEST(mem, kmalloc_keeps_its_promises_for_all_sizes)
{
	static const size_t beyond[] = { 5000, 8191, 8192, 8193, 65536, 100000, 1 << 20, 4 << 20 };
	enum { STEP = 7, KEPT = 64 };
	u64 objects = kmalloc_nr_objects();
	struct {
		u8 *p;
		size_t size;
	} kept[KEPT] = { 0 };
	unsigned int n = 0;

	for (size_t i = 1; i < 4200 + STEP * ARRAY_SIZE(beyond); i += i < 300 ? 1 : STEP) {
		size_t size = i < 4200 ? i : beyond[(i - 4200) / STEP];
		u8 *p = kmalloc(size);

		EXPECT(p && aligned(p, size));
		if (!p)
			continue;
		memset(p, (int)(u8)size, size);
		/* The one that leaves must be as it was left, whatever came since. */
		if (kept[n].p) {
			EXPECT_EQ(kept[n].p[0], (u8)kept[n].size);
			EXPECT_EQ(kept[n].p[kept[n].size / 2], (u8)kept[n].size);
			EXPECT_EQ(kept[n].p[kept[n].size - 1], (u8)kept[n].size);
			kfree(kept[n].p);
		}
		kept[n].p = p;
		kept[n].size = size;
		n = (n + 1) % KEPT;
	}
	for (n = 0; n < KEPT; n++)
		kfree(kept[n].p);
	EXPECT_EQ(kmalloc_nr_objects(), objects);
	EXPECT_EQ(kmalloc((4 << 20) + 1), NULL);
	kfree(NULL);
}

KTEST(mem, kzalloc_is_zero_although_the_object_was_used)
{
	static const size_t sizes[] = { 8, 64, 100, 512, 2048, 4096, 20000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned int round = 0; round < 3; round++) {
			u8 *p = kzalloc(sizes[i]);
			u8 sum = 0;

			ASSERT(p);
			for (size_t b = 0; b < sizes[i]; b++)
				sum |= p[b];
			EXPECT_EQ(sum, 0);
			memset(p, 0xff, sizes[i]);
			kfree(p);
		}
}

#define SMALL_OBJECTS 2000

static int many_small(void *arg)
{
	u64 **object = kmalloc(SMALL_OBJECTS * sizeof(*object));
	int wrong = 0;

	if (!object)
		return 1;
	for (u64 i = 0; i < SMALL_OBJECTS; i++) {
		object[i] = kmalloc(8 + i % 120);
		if (object[i])
			*object[i] = (u64)object[i] + i;
	}
	for (u64 i = 0; i < SMALL_OBJECTS; i++)
		wrong += !object[i] || *object[i] != (u64)object[i] + i;
	for (u64 i = 0; i < SMALL_OBJECTS; i++)
		kfree(object[i * 7 % SMALL_OBJECTS]); /* 7 and 2000 have no common divisor */
	kfree(object);
	return wrong;
}

KTEST(mem, objects_of_all_cpus_are_different)
{
	u64 objects = kmalloc_nr_objects();
	struct thread *t[MAX_CPUS];

	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		t[cpu] = thread_create("objects", (int)cpu, NULL, NULL, many_small, NULL);
		ASSERT(t[cpu]);
	}
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		EXPECT_EQ(thread_join(t[cpu]), 0);
	EXPECT_EQ(kmalloc_nr_objects(), objects);
}

/* --- vmalloc --- */

static bool unmapped(const void *p)
{
	u64 word;

	return probe_load8(p, &word) < 0 && probe_store8((void *)p, 0) < 0;
}

KTEST(mem, vmalloc_is_zeroed_guarded_and_gone_after_vfree)
{
	static const u64 sizes[] = { 1, 2, 7, 300 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 len = sizes[i] << PAGE_SHIFT, sum = 0;
		u64 *p = vmalloc(sizes[i]);
		char text[80];

		ASSERT(p);
		for (u64 w = 0; w < len / 8; w++)
			sum |= p[w];
		EXPECT_EQ(sum, 0);
		mark(p, len);
		EXPECT(unmapped((char *)p - 8) && unmapped((char *)p + len));
		EXPECT(vmap_describe((vaddr_t)p - 8, text, sizeof(text)));
		EXPECT(strstr(text, "guard page"));
		EXPECT(marked(p, len));
		vfree(p);
		EXPECT(unmapped(p) && unmapped((char *)p + len - 8));
	}
	vfree(NULL);
}

KTEST(mem, vmalloc_areas_do_not_touch)
{
	enum { AREAS = 24 };
	u64 *p[AREAS];

	for (unsigned int i = 0; i < AREAS; i++) {
		p[i] = vmalloc(1 + i % 3);
		ASSERT(p[i]);
		mark(p[i], (1 + i % 3) << PAGE_SHIFT);
	}
	/* Every other one goes; the holes are used again, and the rest stays as it is. */
	for (unsigned int i = 0; i < AREAS; i += 2) {
		vfree(p[i]);
		p[i] = vmalloc(1 + i % 3);
		ASSERT(p[i]);
		mark(p[i], (1 + i % 3) << PAGE_SHIFT);
	}
	for (unsigned int i = 0; i < AREAS; i++) {
		EXPECT(marked(p[i], (1 + i % 3) << PAGE_SHIFT));
		vfree(p[i]);
	}
}
