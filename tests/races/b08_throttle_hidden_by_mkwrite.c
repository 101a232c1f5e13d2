/* SPDX-License-Identifier: MIT */
/*
 * b08_throttle_hidden_by_mkwrite.c - B8: a page_mkwrite that makes the page dirty itself (rule
 * 126).
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

KTEST_ON_CPU0(races, b08_throttle_hidden_by_mkwrite)
{
	vm_fault_t (*const mkwrites[])(struct vm_fault *) = { NULL, dirtying_mkwrite };
	s64 limit = background_limit;
	struct stage s;

	if (!stage_begin(&s, ARRAY_SIZE(mkwrites)))
		return;
	for (pgoff_t i = 0; i < s.pages; i++) {
		struct writeback *wb = &s.fs->dev->wb;

		s.fs->mkwrite = mkwrites[i];
		WRITE_ONCE(wb->kick, false); /* parked: it stays as it is set */
		WRITE_ONCE(background_limit, (s64)nr_dirty_pages());
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, i), 1), 0);
		WRITE_ONCE(background_limit, limit);
		EXPECT(READ_ONCE(wb->kick));
	}
	stage_end(&s);
}
