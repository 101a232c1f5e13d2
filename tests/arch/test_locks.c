/* SPDX-License-Identifier: MIT */
/*
 * test_locks.c - exclusion by counting: what is protected is read, and written a moment later, on
 * all CPUs at once, so that two who are inside together lose counts.
 *
 * That a wrong order of locks, a forgotten flush and the like end the machine is shown by manual
 * tests, each in a run of its own that expects the panic.
 */
#include "kernel/core/sleeplock.h"

#include "arch/x86_64/tlb.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "tests/arch/runner.h"
#include "tests/ktest.h"

#define PER_CPU 2
#define ROUNDS	1000
#define BUDGET	(NSEC_PER_SEC / 2)

/* Run @fn(@arg) in PER_CPU threads on each CPU; the sum of what they return. */
static s64 everywhere(int (*fn)(void *arg), void *arg)
{
	struct thread *t[MAX_CPUS * PER_CPU];
	unsigned int n = nr_cpus * PER_CPU;
	s64 sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		t[i] = thread_create("locker", (int)(i % nr_cpus), NULL, NULL, fn, arg);
		EXPECT(t[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		if (t[i])
			sum += thread_join(t[i]);
	return sum;
}

/* Read, dawdle, write. */
static void count_slowly(u64 *counter, unsigned int dawdle)
{
	u64 n = READ_ONCE(*counter);

	for (unsigned int i = 0; i < dawdle; i++)
		barrier();
	WRITE_ONCE(*counter, n + 1);
}

/* --- spinlocks --- */

static struct {
	struct spinlock lock;
	struct mutex mutex;
	struct rwsem rwsem;
	u64 counter, twin;
	unsigned int inside; /* a */
	ktime_t end;
} shared;

static void reset(void)
{
	spin_init(&shared.lock, "lock of a test", RANK_NONE);
	mutex_init(&shared.mutex, "mutex of a test", RANK_NONE);
	rwsem_init(&shared.rwsem, "rwsem of a test", RANK_NONE);
	shared.counter = shared.twin = 0;
	shared.inside = 0;
	shared.end = ktime_get() + BUDGET;
}

static int spin_count(void *arg)
{
	int n;

	for (n = 0; n < ROUNDS && ktime_get() < shared.end; n++) {
		spin_lock(&shared.lock);
		count_slowly(&shared.counter, (unsigned int)n % 64);
		spin_unlock(&shared.lock);
	}
	return n;
}

KTEST(lock, spinlock_excludes_on_all_cpus)
{
	reset();
	EXPECT_EQ(everywhere(spin_count, NULL), shared.counter);
	EXPECT(shared.counter);
	EXPECT(!spin_is_locked(&shared.lock));
}

static int try_it(void *arg)
{
	bool taken = spin_trylock(&shared.lock);

	if (taken)
		spin_unlock(&shared.lock);
	return taken;
}

KTEST(lock, spin_trylock_says_no_while_another_holds_it)
{
	reset();
	EXPECT_EQ(try_it(NULL), 1);
	if (nr_cpus > 1) {
		struct thread *t;
		unsigned int me;

		preempt_disable();
		me = this_cpu()->id;
		preempt_enable();
		/* If we move meanwhile, it is still another thread that tries. */
		t = thread_create("tries", (int)((me + 1) % nr_cpus), NULL, NULL, try_it, NULL);
		ASSERT(t);
		EXPECT_EQ(thread_join(t), 1);
	}
	spin_lock(&shared.lock);
	EXPECT(spin_is_locked(&shared.lock));
	EXPECT_EQ(try_it(NULL), 0);
	spin_unlock(&shared.lock);
	EXPECT_EQ(try_it(NULL), 1);
}

/* An interrupt handler counts under the same lock. */
static u64 ticks; /* a */

static void count_in_interrupt(struct timer *t)
{
	u64 flags = spin_lock_irqsave(&shared.lock);

	count_slowly(&shared.counter, 10);
	spin_unlock_irqrestore(&shared.lock, flags);
	atomic_add_return(&ticks, 1);
	if (ktime_get() < shared.end)
		timer_arm(t, ktime_get() + 20 * NSEC_PER_USEC);
}

static int irq_count(void *arg)
{
	struct timer t = { .fn = count_in_interrupt };
	int n;

	timer_arm(&t, ktime_get());
	for (n = 0; ktime_get() < shared.end; n++) {
		u64 flags = spin_lock_irqsave(&shared.lock);

		EXPECT(!irqs_enabled());
		count_slowly(&shared.counter, (unsigned int)n % 64);
		spin_unlock_irqrestore(&shared.lock, flags);
		EXPECT(irqs_enabled());
	}
	while (!timer_cancel_sync(&t) && t.armed)
		yield();
	return n;
}

KTEST(lock, irqsave_spinlock_excludes_interrupt_handlers)
{
	s64 n;

	reset();
	ticks = 0;
	n = everywhere(irq_count, NULL);
	EXPECT_EQ(n + (s64)ticks, shared.counter);
	EXPECT(n && ticks);
}

/* --- mutex --- */

static int mutex_count(void *arg)
{
	int n;

	for (n = 0; n < ROUNDS && ktime_get() < shared.end; n++) {
		mutex_lock(&shared.mutex);
		EXPECT_EQ(atomic_add_return(&shared.inside, 1), 1);
		count_slowly(&shared.counter, 16);
		if (n % 16 == 0)
			yield();
		if (n % 64 == 0)
			sleep_ns(10 * NSEC_PER_USEC);
		atomic_sub_return(&shared.inside, 1);
		mutex_unlock(&shared.mutex);
	}
	return n;
}

KTEST(lock, mutex_excludes_while_its_holder_sleeps)
{
	reset();
	EXPECT_EQ(everywhere(mutex_count, NULL), shared.counter);
	EXPECT(mutex_trylock(&shared.mutex));
	EXPECT(!mutex_trylock(&shared.mutex));
	mutex_unlock(&shared.mutex);
}

/* --- rwsem --- */

static int read_or_write(void *arg)
{
	int n, writes = 0;
	u64 seed = (u64)current_thread();

	for (n = 0; n < ROUNDS && ktime_get() < shared.end; n++) {
		if (ktest_rand(&seed) % 4) {
			down_read(&shared.rwsem);
			EXPECT_EQ(READ_ONCE(shared.counter), READ_ONCE(shared.twin));
			if (n % 32 == 0)
				yield();
			EXPECT_EQ(READ_ONCE(shared.counter), READ_ONCE(shared.twin));
			up_read(&shared.rwsem);
			continue;
		}
		down_write(&shared.rwsem);
		EXPECT_EQ(atomic_add_return(&shared.inside, 1), 1);
		count_slowly(&shared.counter, 16);
		if (n % 32 == 0)
			yield();
		count_slowly(&shared.twin, 16);
		atomic_sub_return(&shared.inside, 1);
		up_write(&shared.rwsem);
		writes++;
	}
	return writes;
}

KTEST(lock, rwsem_readers_never_see_half_a_write)
{
	reset();
	EXPECT_EQ(everywhere(read_or_write, NULL), shared.counter);
	EXPECT_EQ(shared.counter, shared.twin);
	EXPECT(!rwsem_is_locked(&shared.rwsem));
}

static bool all_inside(void *arg)
{
	return atomic_load(&shared.inside) >= nr_cpus * PER_CPU;
}

static int meet_as_readers(void *arg)
{
	down_read(&shared.rwsem);
	atomic_add_return(&shared.inside, 1);
	spin_until(all_inside, NULL, "all readers to be inside together");
	up_read(&shared.rwsem);
	return 0;
}

KTEST(lock, rwsem_lets_readers_in_together)
{
	reset();
	everywhere(meet_as_readers, NULL);
	EXPECT(all_inside(NULL));
}

/* Readers that overlap without a gap: each leaves only when another is inside. A writer gets in
 * nevertheless, for they queue behind it; then nobody is inside, and all may go. */
static bool wrote; /* a */

static bool relieved(void *arg)
{
	return atomic_load(&shared.inside) > 1 || READ_ONCE(wrote) ||
	       READ_ONCE(shared.rwsem.state) & RWSEM_WAITERS;
}

static int relay(void *arg)
{
	while (!READ_ONCE(wrote)) {
		down_read(&shared.rwsem);
		atomic_add_return(&shared.inside, 1);
		spin_until(relieved, NULL, "another reader, or the writer");
		atomic_sub_return(&shared.inside, 1);
		up_read(&shared.rwsem);
	}
	return 0;
}

static int write_once(void *arg)
{
	sleep_ns(NSEC_PER_MSEC);
	down_write(&shared.rwsem);
	EXPECT_EQ(shared.inside, 0);
	WRITE_ONCE(wrote, true);
	up_write(&shared.rwsem);
	return 0;
}

KTEST(lock, rwsem_writer_gets_in_although_readers_keep_coming)
{
	struct thread *writer;

	reset();
	wrote = false;
	writer = thread_create("writer", CPU_ANY, NULL, NULL, write_once, NULL);
	ASSERT(writer);
	everywhere(relay, NULL);
	thread_join(writer);
	EXPECT(wrote);
}

KTEST(lock, rwsem_trylocks_take_what_is_free)
{
	reset();
	EXPECT(down_write_trylock(&shared.rwsem));
	EXPECT(rwsem_is_write_locked(&shared.rwsem));
	EXPECT(!down_read_trylock(&shared.rwsem));
	EXPECT(!down_write_trylock(&shared.rwsem));
	up_write(&shared.rwsem);
	EXPECT(down_read_trylock(&shared.rwsem));
	EXPECT(down_read_trylock(&shared.rwsem));
	EXPECT(!down_write_trylock(&shared.rwsem));
	up_read(&shared.rwsem);
	EXPECT(!down_write_trylock(&shared.rwsem));
	up_read(&shared.rwsem);
	EXPECT(down_write_trylock(&shared.rwsem));
	up_write(&shared.rwsem);
}

/* --- lockrank: what it remembers (debug=1) --- */

KTEST(lock, lockrank_knows_what_this_thread_holds)
{
	bool recorded = debug_checks && current_thread()->held;

	reset();
	EXPECT(!lockrank_holds(&shared.mutex));
	mutex_lock(&shared.mutex);
	down_read(&shared.rwsem);
	EXPECT_EQ(lockrank_holds(&shared.mutex), recorded);
	EXPECT_EQ(lockrank_holds(&shared.rwsem), recorded);
	mutex_unlock(&shared.mutex);
	EXPECT(!lockrank_holds(&shared.mutex));
	EXPECT_EQ(lockrank_holds(&shared.rwsem), recorded);
	up_read(&shared.rwsem);
	EXPECT(!lockrank_holds(&shared.rwsem));
	lockrank_assert_none("a test");
}

/* --- what ends the machine --- */

/* With debug=1: "lock order: taking ...". */
KTEST_FLAGS(panic, wrong_order_of_locks, KTEST_MANUAL)
{
	struct mutex outer, inner;

	mutex_init(&outer, "outer lock", RANK_I_RWSEM);
	mutex_init(&inner, "inner lock", RANK_FS_ALLOC);
	mutex_lock(&inner);
	mutex_lock(&outer);
}

KTEST_FLAGS(panic, batch_that_is_never_flushed, KTEST_MANUAL)
{
	static struct pgtable table;
	TLB_BATCH(batch, TLB_WHY_TEST);

	tlb_batch_add(&batch, &table, 0x1000);
}

KTEST_FLAGS(panic, shootdown_with_a_spinlock_held, KTEST_MANUAL)
{
	static struct pgtable table;
	TLB_BATCH(batch, TLB_WHY_TEST);

	reset();
	tlb_batch_add(&batch, &table, 0x1000);
	spin_lock(&shared.lock);
	tlb_batch_flush(&batch);
}

KTEST_FLAGS(panic, sleep_with_interrupts_off, KTEST_MANUAL)
{
	irq_disable();
	sleep_ns(1);
}
