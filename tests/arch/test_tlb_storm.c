/* SPDX-License-Identifier: MIT */
/*
 * test_tlb_storm.c - shootdowns from all CPUs at once, and shootdowns that meet context switches.
 */
#include "tests/arch/runner.h"

#include "arch/x86_64/tlb.h"
#include "arch/x86_64/uaccess.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "tests/ktest.h"

/* --- B42: everybody stores, everybody flushes, everybody answers --- */

#define CROSS_ROUNDS 2000
#define CROSS_NS     (2 * NSEC_PER_SEC)
#define PEEK_NS	     (300 * NSEC_PER_USEC)
#define STORE_TURNS  50 /* between two cleanings: flushes should meet stores, not each other */

static struct space shared;
static unsigned int finished; /* a */
static u64 flushes, peeked;   /* a */
static ktime_t cross_end;

static void store_everywhere(unsigned int me, u64 value)
{
	for (unsigned int page = 0; page < MAX_CPUS; page++)
		EXPECT_EQ(probe_store8((void *)(space_va(page) + 8 * me), value), 0);
}

static void clean_page(unsigned int page)
{
	TLB_BATCH(batch, TLB_WHY_TEST);

	/* As mkclean does it. */
	spin_lock(&shared.pgt.lock);
	space_take(&shared, page, PTE_D);
	tlb_batch_add(&batch, &shared.pgt, space_va(page));
	spin_unlock(&shared.pgt.lock);
	tlb_batch_flush(&batch);
}

/*
 * The page was cleaned and flushed; only its owner, @me, does that. A store of another CPU that is
 * seen to arrive now came after the flush, so it has set D; unless the CPU used an entry that the
 * flush should have taken. True if one arrived.
 */
static bool peek(unsigned int me, u64 *lost)
{
	ktime_t end = ktime_get() + PEEK_NS;
	u64 seen[MAX_CPUS];
	bool came = false;

	for (unsigned int c = 0; c < nr_cpus; c++)
		seen[c] = READ_ONCE(space_word(&shared, me)[c]);
	while (nr_cpus > 1 && !came && ktime_get() < end)
		for (unsigned int c = 0; c < nr_cpus; c++)
			came |= c != me && seen[c] != READ_ONCE(space_word(&shared, me)[c]);
	if (came)
		*lost += !pte_dirty(ptep_get(space_ptep(&shared, me)));
	return came;
}

static void store_and_clean(void *arg)
{
	unsigned int me = this_cpu()->id;
	u64 lost = 0, came = 0, i;

	for (i = 0; i < CROSS_ROUNDS && ktime_get() < cross_end; i++) {
		for (u64 turn = 0; turn < STORE_TURNS; turn++)
			store_everywhere(me, i << 32 | (turn + 1));
		clean_page(me);
		came += peek(me, &lost);
		/* Our own entry must have gone as well. */
		clean_page(me);
		EXPECT_EQ(probe_store8((void *)(space_va(me) + 8 * me), i << 32), 0);
		lost += !pte_dirty(ptep_get(space_ptep(&shared, me)));
	}
	EXPECT_EQ(lost, 0);
	EXPECT(i);
	atomic_add_return(&flushes, 2 * i);
	atomic_add_return(&peeked, came);
	atomic_add_return(&finished, 1);
}

/* The calling CPU asks all of them for other things meanwhile: kernel addresses, and to let go of
 * tables that come and go. */
static unsigned int disturb(unsigned int runners)
{
	unsigned int times = 0;

	while (atomic_load(&finished) < runners) {
		struct space s;

		tlb_flush_kernel(VMAP_BASE, VMAP_BASE + PAGE_SIZE);
		if (space_init(&s, 0))
			space_destroy(&s);
		times++;
	}
	return times;
}

static void cross(void *arg)
{
	static struct runner r[MAX_CPUS];
	unsigned int n, times;

	if (!space_init(&shared, 4))
		return;
	finished = 0;
	flushes = peeked = 0;
	cross_end = ktime_get() + CROSS_NS;
	/* The one on this CPU shares it with us. */
	for (n = 0; n < nr_cpus; n++) {
		if (!runner_start(&r[n], n ? RUNNER_SPINS : RUNNER_SLEEPS, n, &shared.pgt))
			break;
		runner_post(&r[n], store_and_clean, NULL);
	}
	times = disturb(n);
	for (unsigned int i = 0; i < n; i++) {
		runner_wait(&r[i]);
		runner_stop(&r[i]);
	}
	space_destroy(&shared);
	ktest_note("%lu flushes by %u CPUs, %lu met a store, %u times others were disturbed",
		   (unsigned long)flushes, n, (unsigned long)peeked, times);
}

_Static_assert(MAX_CPUS == 1 << 4, "the order of the shared space");

/* Rule 64: would hang if an initiator did not answer while it waits. Rule 61: requests of several
 * CPUs arrive in any order. */
KTEST(tlb, shootdowns_from_all_cpus_at_once_end_and_count)
{
	pinned(cross, NULL);
}

/* --- B43: flushes while CPUs go from one table to another --- */

#define SPACES	     2
#define STORM_PAGES  4
#define STORM_ROUNDS 400
#define STORM_NS     (3 * NSEC_PER_SEC / 2)

static struct space spaces[SPACES];

struct storer {
	struct thread *thread;
	unsigned int slot;	 /* which word of each page is its own */
	unsigned int sleepiness; /* one time in so many it sleeps */
	u64 turns;		 /* a */
	u64 stored, refused;
};

static struct storer storers[MAX_CPUS * SPACES];
static unsigned int nr_storers;
static bool stop_storm; /* a */

static int storer(void *arg)
{
	struct storer *me = arg;
	u64 seed = me->slot + 1;

	while (!READ_ONCE(stop_storm)) {
		u64 page = ktest_rand(&seed) % STORM_PAGES;

		if (probe_store8((void *)(space_va(page) + 8 * me->slot), me->turns))
			me->refused++;
		else
			me->stored++;
		atomic_store(&me->turns, me->turns + 1);
		/* The other space's thread, or nobody: then the CPU is lazy for a while. */
		if (ktest_rand(&seed) % me->sleepiness)
			yield();
		else
			sleep_ns(20 * NSEC_PER_USEC);
	}
	return 0;
}

static void start_storers(void)
{
	nr_storers = 0;
	stop_storm = false;
	for (unsigned int i = 0; i < nr_cpus * SPACES; i++) {
		struct storer *s = &storers[nr_storers];
		unsigned int cpu = i / SPACES;

		/* Odd CPUs have one storer, which sleeps often and comes back to the same table. */
		if (cpu % 2 && cpu / 2 % SPACES != i % SPACES)
			continue;
		*s = (struct storer){ .slot = nr_storers, .sleepiness = cpu % 2 ? 2 : 8 };
		s->thread =
			thread_create("storer", (int)cpu, NULL, &spaces[i % SPACES].pgt, storer, s);
		EXPECT(s->thread);
		nr_storers += s->thread != NULL;
	}
}

static void stop_storers(u64 *stored, u64 *refused)
{
	WRITE_ONCE(stop_storm, true);
	for (unsigned int i = 0; i < nr_storers; i++) {
		thread_join(storers[i].thread);
		*stored += storers[i].stored;
		*refused += storers[i].refused;
	}
}

static u64 all_turns(void)
{
	u64 n = 0;

	for (unsigned int i = 0; i < nr_storers; i++)
		n += atomic_load(&storers[i].turns);
	return n;
}

/* Until storers have tried a few stores each, on the whole. */
static void let_them_store(void)
{
	u64 target = all_turns() + 3 * nr_storers;

	while (all_turns() < target)
		yield();
}

/*
 * Forbid stores to a page, flush, and watch: from then on not one may arrive, on whichever CPU and
 * however it came to the table. Returns how many words changed.
 */
static unsigned int forbid_and_watch(struct space *s, unsigned int page, u64 take)
{
	TLB_BATCH(batch, TLB_WHY_TEST);
	pte_t *ptep = space_ptep(s, page), old;
	u64 seen[ARRAY_SIZE(storers)];
	unsigned int changed = 0;

	old = space_take(s, page, take);
	tlb_batch_add(&batch, &s->pgt, space_va(page));
	tlb_batch_flush(&batch);
	for (unsigned int i = 0; i < nr_storers; i++)
		seen[i] = READ_ONCE(space_word(s, page)[i]);
	let_them_store();
	for (unsigned int i = 0; i < nr_storers; i++)
		changed += seen[i] != READ_ONCE(space_word(s, page)[i]);
	EXPECT(!pte_dirty(ptep_get(ptep)));
	ptep_xchg(ptep, pte_mkclean(old)); /* gives, takes nothing: no flush */
	return changed;
}

static void switch_storm(void *arg)
{
	u64 seed = ktest_seed(), stored = 0, refused = 0, changed = 0;
	ktime_t end = ktime_get() + STORM_NS;
	unsigned int rounds;

	if (!space_init(&spaces[0], 2))
		return;
	if (!space_init(&spaces[1], 2)) {
		space_destroy(&spaces[0]);
		return;
	}
	start_storers();
	let_them_store();
	for (rounds = 0; rounds < STORM_ROUNDS && ktime_get() < end; rounds++) {
		u64 r = ktest_rand(&seed);
		u64 take = r & 1 ? PTE_W | PTE_D : PTE_P | PTE_W | PTE_A | PTE_D;

		changed += forbid_and_watch(&spaces[r >> 1 & 1], (r >> 8) % STORM_PAGES, take);
	}
	stop_storers(&stored, &refused);
	EXPECT_EQ(changed, 0);
	EXPECT(stored && refused && rounds);
	ktest_note("%u rounds, %lu stores, %lu refused", rounds, (unsigned long)stored,
		   (unsigned long)refused);
	for (unsigned int i = 0; i < SPACES; i++)
		space_destroy(&spaces[i]);
}

_Static_assert(STORM_PAGES == 1 << 2, "the order of the spaces");

/* B43, rule 63: after a flush no store comes through a stale entry, although CPUs switch in and out
 * of the table all the time. */
KTEST(tlb, no_stale_store_after_a_flush_that_meets_context_switches)
{
	pinned(switch_storm, NULL);
}
