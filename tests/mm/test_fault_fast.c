/* SPDX-License-Identifier: MIT */
/*
 * test_fault_fast.c - the short way of the most frequent fault, and all that makes it decline: what
 * comes out is the same. With debug=1 it always declines, and these tests hold all the same.
 */
#include <sys/errno.h>

#include "arch/x86_64/upcall.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/policy.h"
#include "tests/util.h"

#define PAGES 8

static const struct vm_operations generic_ops = {
	.fault = filemap_fault,
	.page_mkwrite = filemap_page_mkwrite,
};

static u64 *map;

/* @map maps all of the file by the generic functions; its pages have their blocks and are cleaned,
 * but for the last one: the file is on the dirty list. */
static bool begin(struct stage *s)
{
	struct mmap_file file = { .ops = &generic_ops, .readable = true, .writable = true };
	vaddr_t va;

	if (!stage_begin(s, PAGES))
		return false;
	file.mapping = &s->fs->mapping;
	EXPECT_EQ(mm_mmap(s->mm, 0, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, &file, 0,
			  &va),
		  0);
	map = (u64 *)va;
	for (pgoff_t i = 0; i < PAGES; i++) {
		WRITE_ONCE(map[i * SLOTS_PER_PAGE], 1);
		set_bit(&testfs_page(s->fs, i)->flags, PG_blocks);
	}
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	WRITE_ONCE(map[(PAGES - 1) * SLOTS_PER_PAGE], 2);
	return true;
}

/* Did fault_fast() say that a store to page @page may go on? */
static bool fast(pgoff_t page)
{
	u64 flags = irq_save();
	bool done = fault_fast((vaddr_t)&map[page * SLOTS_PER_PAGE], RFLAGS_IF);

	irq_restore(flags);
	return done;
}

/* What a store did to page 0, whichever way it went. */
static void check_stored(struct stage *s, u64 v)
{
	pte_t pte = test_pte(s->mm, map);

	EXPECT(pte_write(pte) && pte_dirty(pte) && pte_young(pte));
	EXPECT_EQ(testfs_page(s->fs, 0)->dirty, PAGE_DIRTY);
	EXPECT(!page_locked(testfs_page(s->fs, 0)));
	EXPECT(!rwsem_is_locked(&s->mm->mmap_lock));
	EXPECT_EQ(testfs_fsync(s->fs), 0);
	EXPECT_EQ(testfs_platter(s->fs, 0, 0), v);
	EXPECT(!pte_write(test_pte(s->mm, map)));
}

/* A thread that only stores is to end all the same: at the end of the long way. */
KTEST_ON_CPU0(mm_fast, declines_for_a_thread_that_was_killed)
{
	struct stage s;

	if (!begin(&s))
		return;
	thread_kill(current_thread());
	EXPECT(!fast(0));
	current_thread()->killed = false;
	WRITE_ONCE(map[0], 4);
	check_stored(&s, 4);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)map, PAGES * PAGE_SIZE), 0);
	stage_end(&s);
}

/* A page whose write failed is counted already (page_dirty.c): the long way knows that. */
KTEST_ON_CPU0(mm_fast, declines_while_a_page_is_kept)
{
	struct stage s;
	u64 unwritten;

	if (!begin(&s))
		return;
	WRITE_ONCE(map[0], 3);
	ramblk_fail(s.fs->dev, BIO_WRITE, 0, 7, 1, ~0u, -EIO);
	EXPECT_EQ(testfs_fsync(s.fs), -EIO);
	ramblk_fail(s.fs->dev, BIO_WRITE, 0, 0, 0, 0, 0);
	WRITE_ONCE(map[(PAGES - 1) * SLOTS_PER_PAGE], 3);
	unwritten = s.fs->mapping.nr_unwritten;
	EXPECT(!fast(0));
	WRITE_ONCE(map[0], 4);
	EXPECT_EQ(s.fs->mapping.nr_unwritten, unwritten);
	check_stored(&s, 4);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)map, PAGES * PAGE_SIZE), 0);
	stage_end(&s);
}

KTEST_ON_CPU0(mm_fast, counts_and_states_are_those_of_the_long_way)
{
	struct stats before;
	struct stage s;
	u64 nr;

	if (!begin(&s))
		return;
	nr = nr_dirty_pages();
	stats_snapshot(&before);
	WRITE_ONCE(*map, 5);
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 1);
	EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), 1);
	EXPECT_EQ(stat_since(&before, STAT_MKWRITE), 1);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_DIRTIED), 1);
	EXPECT_EQ(nr_dirty_pages(), nr + 1);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), 2);
	EXPECT_EQ(atomic_load(&testfs_page(s.fs, 0)->refs),
		  PAGE_CACHED + 1); /* the tree's and the PTE's */
	check_stored(&s, 5);
	/* And it is the short way that was gone, where nobody watches. */
	WRITE_ONCE(map[(PAGES - 1) * SLOTS_PER_PAGE], 3);
	EXPECT_EQ(fast(1), !debug_checks);
	stage_end(&s);
}

/* One by one, what it leaves to the long way, and changes nothing. */
KTEST_ON_CPU0(mm_fast, declines)
{
	struct page *page;
	struct stage s;

	if (!begin(&s))
		return;
	page = testfs_page(s.fs, 0);
	lock_page(page);
	EXPECT(!fast(0));
	unlock_page(page);
	clear_bit(&page->flags, PG_blocks);
	EXPECT(!fast(0));
	set_bit(&page->flags, PG_blocks);
	s.fs->mapping.policy = policy_find("log");
	EXPECT(!fast(0));
	s.fs->mapping.policy = NULL;
	mapping_limit_dirty(&s.fs->mapping, 1); /* it may have to wait */
	EXPECT(!fast(0));
	mapping_limit_dirty(&s.fs->mapping, 0);
	down_write(&s.mm->mmap_lock);
	EXPECT(!fast(0));
	up_write(&s.mm->mmap_lock);
	pagefault_disable();
	EXPECT(!fast(0));
	pagefault_enable();
	preempt_disable();
	EXPECT(!fast(0));
	preempt_enable();
	EXPECT(!fault_fast((vaddr_t)map, 0));		/* interrupts were off */
	EXPECT(!fault_fast((vaddr_t)s.map, RFLAGS_IF)); /* somebody else's page_mkwrite */
	EXPECT(!fault_fast(KERNEL_BASE, RFLAGS_IF));
	EXPECT(!fault_fast(0, RFLAGS_IF));
	EXPECT_EQ(page->dirty, PAGE_CLEAN);
	EXPECT(!pte_write(test_pte(s.mm, map)));
	EXPECT(!page_locked(page));
	EXPECT_EQ(probe_store8(map, 6), 0);
	check_stored(&s, 6);
	stage_end(&s);
}

/* The file is not on the dirty list: the long way puts it there, or no flusher would come. */
KTEST_ON_CPU0(mm_fast, first_dirty_page_lists_the_file)
{
	struct stage s;

	if (!begin(&s))
		return;
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	testfs_unpark(s.fs);
	writeback_kick(&s.fs->dev->wb);
	WAIT_FOR(!READ_ONCE(s.fs->mapping.on_dirty_list));
	testfs_park(s.fs);
	EXPECT(!fast(0));
	WRITE_ONCE(*map, 7);
	EXPECT(s.fs->mapping.on_dirty_list);
	check_stored(&s, 7);
	stage_end(&s);
}

/* Beyond the end of the file, or read-only: as ever. */
KTEST_ON_CPU0(mm_fast, refusals_are_those_of_the_long_way)
{
	struct stage s;

	if (!begin(&s))
		return;
	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(probe_store8(map + SLOTS_PER_PAGE, 1), -EFAULT);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)map, PAGE_SIZE), 0);
	EXPECT_EQ(probe_store8(map, 1), -EFAULT);
	stage_end(&s);
}

/*
 * Stores, while another CPU cuts the file, fills its pages anew and cleans them: each store ends in
 * a page of the file or in an error, never in a frame that was given away. The audit after the test
 * finds a PTE or a count that is wrong.
 */
static int cut_and_fill(void *arg)
{
	struct testfs *fs = arg;

	for (unsigned int i = 0; i < 200; i++) {
		testfs_truncate(fs, 2 * PAGE_SIZE);
		testfs_truncate(fs, PAGES * PAGE_SIZE);
		for (pgoff_t p = 0; p < PAGES; p++) {
			struct page *page = find_lock_page(&fs->mapping, p);

			if (!page)
				continue;
			if (page_uptodate(page) && fs->prepared[p] == 0xf)
				set_bit(&page->flags, PG_blocks);
			unlock_page(page);
			page_put(page);
		}
		testfs_background(fs);
	}
	return 0;
}

KTEST_ON_CPU0(mm_fast, stores_while_the_file_is_cut)
{
	struct stage s;

	if (!begin(&s))
		return;
	remote_begin(&s.w, cut_and_fill, s.fs);
	for (u64 i = 0; atomic_load(&s.w.fn); i++) {
		probe_store8(map + i % PAGES * SLOTS_PER_PAGE, i);
		if (s.w.polite)
			yield();
	}
	EXPECT_EQ(remote_wait(&s.w), 0);
	EXPECT_EQ(probe_store8(map, 77), 0);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 77);
	stage_end(&s);
}
