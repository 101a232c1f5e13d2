/* SPDX-License-Identifier: MIT */
/*
 * b08_throttle_hidden_by_mkwrite.c - B8: a page_mkwrite that makes the page dirty itself (rule
 * 124).
 *
 *	F (fault)
 *	page_mkwrite: the page is DIRTY
 *	set_page_dirty(): "it was dirty already", so that nobody looks whether there is too much
 *	dirt, and stores go on beyond every limit
 */
#include "kernel/mm/fault.h"
#include "tests/util.h"

static vm_fault_t dirtying_mkwrite(struct vm_fault *vmf)
{
	vm_fault_t ret = filemap_page_mkwrite(vmf);

	if (ret & VM_FAULT_LOCKED)
		set_page_dirty(vmf->page);
	return ret;
}

static struct stage s;

static int store_to_all(void *arg)
{
	for (pgoff_t i = 0; i < s.pages; i++)
		WRITE_ONCE(*stage_slot(&s, i), 1);
	return 0;
}

KTEST_ON_CPU0(races, b08_throttle_hidden_by_mkwrite)
{
	vm_fault_t (*const mkwrites[])(struct vm_fault *) = { NULL, dirtying_mkwrite };
	struct job j;

	for (unsigned int i = 0; i < ARRAY_SIZE(mkwrites); i++) {
		if (!stage_begin(&s, 32))
			return;
		mapping_limit_dirty(&s.fs->mapping, 8);
		s.fs->mkwrite = mkwrites[i];
		job_start(&j, 1, s.mm, store_to_all, NULL);
		WAIT_FOR(s.fs->mapping.nr_unwritten >= 8);
		EXPECT(job_settles(&j));
		EXPECT_EQ(s.fs->mapping.nr_unwritten, 8);
		testfs_unpark(s.fs);
		EXPECT_EQ(job_end(&j), 0);
		stage_end(&s);
	}
}
