/* SPDX-License-Identifier: MIT */
/*
 *
 *	F (fault)			T
 *	PTE of page A, read-only;
 *	asks the file system, which sleeps
 *					removes the PTE, or page A from the file, or
 *					has page B there by now
 *	makes "its" PTE writable: an entry
 *	of page A that nobody counted
 *
 * F locks the page, looks whether it is still in the file, and exchanges the PTE only if it is what
 * it was when the fault began.
 */
#include "kernel/mm/fault.h"
#include "kernel/mm/page_alloc.h"
#include "tests/util.h"

#define FRAMES	160
#define FOREIGN 0xf0f0f0f0f0f0f0f0UL

static int store_job(void *arg)
{
	struct stage *s = arg;

	return remote_store(&s->w, s->map, 9);
}

/* The frames that are free on this CPU, with other bytes in them. */
static void use_free_frames(void)
{
	static struct page *frames[FRAMES];

	for (unsigned int i = 0; i < FRAMES; i++) {
		u64 *words;

		frames[i] = alloc_page(ALLOC_NORMAL);
		BUG_ON(!frames[i]);
		words = page_address(frames[i]);
		for (unsigned int w = 0; w < SLOTS_PER_PAGE; w++)
			words[w] = FOREIGN;
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		page_put(frames[i]);
}

/* As direct I/O does: the PTEs of a range go, without mmap_lock, and the page stays. */
KTEST_ON_CPU0(races, r07_pte_changed_in_mkwrite)
{
	struct stage s;
	struct gate gate;
	struct job f;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	gate_arm(&gate, "mkwrite_done", testfs_page(s.fs, 0));
	job_start(&f, 0, NULL, store_job, &s);
	gate_wait(&gate);
	unmap_mapping_range(&s.fs->mapping, 0, 0, ZAP_FILE_ONLY);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&f), 0);

	/* The page is mapped, so that it is not taken away from under F. */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 9);
	EXPECT_EQ(testfs_drop_clean(s.fs), 1);
	use_free_frames();
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	EXPECT_EQ(v, 9);
	stage_end(&s);
}

static vm_fault_t sleeping_mkwrite(struct vm_fault *vmf)
{
	delay_point("test_mkwrite", vmf->page);
	return filemap_page_mkwrite(vmf);
}

/* The page leaves the file, which then has another one at the same place. */
KTEST_ON_CPU0(races, r06_page_left_in_mkwrite)
{
	struct stage s;
	struct gate gate;
	struct job f;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	testfs_set_platter(s.fs, 0, 1, 5);
	EXPECT_EQ(remote_load(&s.w, s.map, &v), 0);
	s.fs->mkwrite = sleeping_mkwrite;
	gate_arm(&gate, "test_mkwrite", NULL);
	job_start(&f, 0, NULL, store_job, &s);
	gate_wait(&gate);
	EXPECT_EQ(testfs_truncate(s.fs, 0), 0);
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(s.map[1], 0); /* maps the new page at the same address */
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&f), 0);

	/* F's store is in the file as it is now; the old page's bytes are gone. */
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 9);
	EXPECT_EQ(testfs_platter(s.fs, 0, 1), 0);
	stage_end(&s);
}
