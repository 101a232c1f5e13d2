/* SPDX-License-Identifier: MIT */
/*
 * test_clean.c - what cleaning a page does to its PTEs, and what it costs (rules 22, 36, 49).
 */
#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/mm/rmap.h"
#include "tests/util.h"

#define RW (PROT_READ | PROT_WRITE)

KTEST_ON_CPU0(mm_clean, store_after_cleaning_faults_again)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 1))
		return;
	for (u64 v = 1; v <= 5; v++) {
		stats_snapshot(&before);
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(remote_store(&s.w, s.map, v), 0);
		EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), 1);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(testfs_platter(s.fs, 0, 0), v);
		EXPECT(!pte_write(test_pte(s.mm, s.map)) && !pte_dirty(test_pte(s.mm, s.map)));
		EXPECT(pte_present(test_pte(s.mm, s.map)));
	}
	stage_end(&s);
}

/* --- every state a PTE can be in --- */

/* W D A before; what is left after, with and without write-protection; was a D found? */
static const struct {
	u64 before, protect, clear_d;
	bool d;
} states[] = {
	{ 0, 0, 0, false },
	{ PTE_A, PTE_A, PTE_A, false },
	{ PTE_W, 0, PTE_W, false },
	{ PTE_W | PTE_A, PTE_A, PTE_W | PTE_A, false },
	{ PTE_D | PTE_A, PTE_A, PTE_A, true }, /* mprotect(PROT_READ) leaves these */
	{ PTE_W | PTE_D | PTE_A, PTE_A, PTE_W | PTE_A, true },
};

/* Put the page's PTE into a state, which only a test may do: no other CPU uses this address. */
static void set_state(struct stage *s, u64 bits)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	pte_t *ptep = pgtable_walk(&s->mm->pgt, (vaddr_t)s->map);
	pte_t pte = ptep_get(ptep);

	ptep_xchg(ptep, (pte_t){ (pte.v & ~(PTE_W | PTE_D | PTE_A)) | bits });
	tlb_batch_add(&batch, &s->mm->pgt, (vaddr_t)s->map);
	tlb_batch_flush(&batch);
}

static void clean_from(struct stage *s, unsigned int i, bool protect)
{
	const u64 all = PTE_W | PTE_D | PTE_A;
	struct page *page = testfs_page(s->fs, 0);
	struct page_list one = { 0 };
	u64 want = protect ? states[i].protect : states[i].clear_d, left;
	bool d;

	lock_page(page);
	page_set_maybe_dirty(page); /* so that no state of the PTE breaks a promise */
	set_state(s, states[i].before);
	page_list_add(&one, page);
	s->fs->mapping.policy = protect ? &test_policy_silent : &test_policy_clear_d;
	down_read(&s->fs->mapping.i_mmap_rwsem);
	mapping_mkclean(&s->fs->mapping, &one, CLEAN_AS_POLICY_SAYS);
	d = test_and_clear_bit(&page->flags, PG_d_seen);
	page->left = 0;
	up_read(&s->fs->mapping.i_mmap_rwsem);
	left = test_pte(s->mm, s->map).v & all;
	unlock_page(page);
	if (left != want || d != states[i].d)
		ktest_fail(__FILE__, __LINE__, "from %#lx, %s: %#lx left, D %s",
			   (unsigned long)states[i].before, protect ? "protecting" : "clearing D",
			   (unsigned long)left, d ? "seen" : "not seen");
}

KTEST_ON_CPU0(mm_clean, every_state_of_a_pte)
{
	struct stage s;
	u64 v;

	if (!stage_begin(&s, 1))
		return;
	EXPECT_EQ(probe_load8(s.map, &v), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		clean_from(&s, i, true);
		clean_from(&s, i, false);
	}
	stage_end(&s);
}

/* --- every mapping --- */

#define SPACES	 4
#define MAPPINGS 5 /* in each; of different parts, all with page 3 */

static struct mm *spaces[SPACES];
static u64 *maps[SPACES][MAPPINGS];

static void map_everywhere(struct stage *s)
{
	for (unsigned int m = 0; m < SPACES; m++) {
		spaces[m] = test_mm();
		for (unsigned int i = 0; i < MAPPINGS; i++) {
			pgoff_t first = i % 4;
			u64 *va = testfs_mmap(s->fs, spaces[m], first, 8 - first, RW, MAP_SHARED);

			maps[m][i] = va + (3 - first) * SLOTS_PER_PAGE;
		}
	}
}

static void store_everywhere(struct stage *s, u64 v)
{
	for (unsigned int m = 0; m < SPACES; m++) {
		mm_use(spaces[m]);
		for (unsigned int i = 0; i < MAPPINGS; i++)
			WRITE_ONCE(maps[m][i][m * MAPPINGS + i], v);
	}
	mm_use(s->mm);
}

KTEST_ON_CPU0(mm_clean, every_mapping_in_every_address_space)
{
	struct stats before;
	struct stage s;

	if (!stage_begin(&s, 8))
		return;
	map_everywhere(&s);
	for (u64 v = 1; v <= 3; v++) {
		stats_snapshot(&before);
		store_everywhere(&s, v);
		EXPECT_EQ(stat_since(&before, STAT_WRITE_FAULTS), SPACES * MAPPINGS);
		EXPECT_EQ(testfs_fsync(s.fs), 0);
		EXPECT_EQ(s.fs->pages_written, v);
		for (unsigned int n = 0; n < SPACES * MAPPINGS; n++) {
			pte_t pte =
				test_pte(spaces[n / MAPPINGS], maps[n / MAPPINGS][n % MAPPINGS]);

			EXPECT(pte_present(pte) && !pte_write(pte) && !pte_dirty(pte));
			EXPECT_EQ(testfs_platter(s.fs, 3, n), v);
		}
	}
	for (unsigned int m = 0; m < SPACES; m++)
		mm_put(spaces[m]);
	stage_end(&s);
}

/* --- what it costs --- */

static struct stage wide;

static int store_to_all(void *arg)
{
	for (pgoff_t i = 0; i < wide.pages; i++)
		WRITE_ONCE(*stage_slot(&wide, i), (u64)arg + i);
	return 0;
}

/* msync of up to WRITEBACK_BATCH pages: one shootdown, whatever the number of CPUs; one interrupt
 * for each other CPU that runs the address space. */
KTEST_ON_CPU0(mm_clean, one_shootdown_per_msync)
{
	static struct remote others[MAX_CPUS];
	struct stats before;

	if (!stage_begin(&wide, WRITEBACK_BATCH))
		return;
	for (unsigned int c = 2; c < nr_cpus; c++)
		remote_start(&others[c], c, wide.mm);
	remote_call(&wide.w, store_to_all, (void *)1);
	for (unsigned int c = 2; c < nr_cpus; c++)
		remote_call(&others[c], store_to_all, (void *)(u64)c);

	stats_snapshot(&before);
	EXPECT_EQ(mm_msync(wide.mm, (vaddr_t)wide.map, wide.pages << PAGE_SHIFT, MS_SYNC), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_MKCLEAN), 1);
	/* A CPU that something else runs on just now is skipped, and catches up later. */
	EXPECT_EQ(stat_since(&before, STAT_TLB_IPIS_SENT) +
			  stat_since(&before, STAT_TLB_LAZY_SKIPPED),
		  nr_cpus - 1);
	EXPECT_EQ(stat_since(&before, STAT_PTES_CLEANED), wide.pages);
	EXPECT_EQ(stat_since(&before, STAT_PAGES_WRITTEN), wide.pages);

	/* Of a clean range: nothing at all. */
	stats_snapshot(&before);
	EXPECT_EQ(mm_msync(wide.mm, (vaddr_t)wide.map, wide.pages << PAGE_SHIFT, MS_SYNC), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_SHOOTDOWNS), 0);
	EXPECT_EQ(stat_since(&before, STAT_PTES_SCANNED), 0);
	EXPECT_EQ(stat_since(&before, STAT_BIO_WRITES), 0);
	for (unsigned int c = 2; c < nr_cpus; c++)
		remote_stop(&others[c]);
	stage_end(&wide);
}

/* A page that write() made dirty and nobody maps costs no shootdown. */
KTEST_ON_CPU0(mm_clean, unmapped_page_costs_no_shootdown)
{
	struct testfs *fs = testfs_create(4);
	struct stats before;
	u64 v = 3;

	if (!fs)
		return;
	EXPECT_EQ(testfs_write(fs, PAGE_SIZE, &v, sizeof(v)), sizeof(v));
	stats_snapshot(&before);
	EXPECT_EQ(testfs_fsync(fs), 0);
	EXPECT_EQ(stat_since(&before, STAT_TLB_MKCLEAN), 0);
	EXPECT_EQ(testfs_platter(fs, 1, 0), 3);
	testfs_destroy(fs);
}

/* --- a page whose I/O is under way --- */

static int mkclean_job(void *page)
{
	lock_page(page);
	page_mkclean(page);
	unlock_page(page);
	return 0;
}

/*
 * page->next of a page under I/O is the link of its request. Here a file grows: its old last page
 * is cleaned, for the next store to be told, while a request that goes on with other pages ends.
 */
KTEST_ON_CPU0(mm_clean, leaves_the_request_of_a_page_whole)
{
	struct gate gate;
	struct stage s;
	struct job k;

	if (!stage_begin(&s, 4))
		return;
	for (u64 p = 0; p < 4; p++)
		EXPECT_EQ(remote_store(&s.w, stage_slot(&s, p), 1 + p), 0);
	ramblk_hold(s.fs->dev, 1 << BIO_WRITE, false);
	testfs_background(s.fs);
	EXPECT(ramblk_wait_held(s.fs->dev, 1));
	gate_arm(&gate, "mkclean_before_flush", &s.fs->mapping);
	job_start(&k, 0, NULL, mkclean_job, testfs_page(s.fs, 1));
	gate_wait(&gate);
	ramblk_unhold(s.fs->dev);
	WAIT_FOR(!page_writeback(testfs_page(s.fs, 0)));
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_WRITEBACK), 0);
	for (u64 p = 0; p < 4; p++)
		EXPECT(!page_writeback(testfs_page(s.fs, p)));
	stage_end(&s);
}
