/* SPDX-License-Identifier: MIT */
/*
 * test_smp.c - the CPUs that were started: they all run threads, at once, each with its own data;
 * and vector registers belong to threads.
 */
#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "tests/arch/runner.h"
#include "tests/ktest.h"

/* --- all of them --- */

static int which_cpu(void *arg)
{
	struct cpu *c = this_cpu();

	return c->self == c && c == &cpus[c->id] && c->online ? (int)c->id : -1;
}

KTEST(smp, on_cpu_runs_on_the_cpu_it_names)
{
	for (unsigned int round = 0; round < 10; round++)
		for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
			EXPECT_EQ(on_cpu(cpu, which_cpu, NULL), cpu);
}

KTEST(smp, cpus_have_different_apic_ids)
{
	for (unsigned int a = 0; a < nr_cpus; a++)
		for (unsigned int b = 0; b < a; b++)
			EXPECT(cpus[a].apic_id != cpus[b].apic_id);
}

static WAIT_QUEUE(start_line);
static bool started;	     /* a */
static unsigned int arrived; /* a */

static bool all_arrived(void *arg)
{
	return atomic_load(&arrived) == nr_cpus;
}

static int meet(void *arg)
{
	/* Once all are there, nobody gives its CPU away: all must be running at the same time. */
	wait_event(&start_line, READ_ONCE(started));
	preempt_disable();
	atomic_add_return(&arrived, 1);
	spin_until(all_arrived, NULL, "all CPUs to meet");
	preempt_enable();
	return (int)this_cpu()->id;
}

KTEST(smp, all_cpus_run_at_the_same_time)
{
	struct thread *t[MAX_CPUS];

	arrived = 0;
	started = false;
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
		t[cpu] = thread_create("meet", (int)cpu, NULL, NULL, meet, NULL);
		ASSERT(t[cpu]);
	}
	WRITE_ONCE(started, true);
	wake_up(&start_line);
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		EXPECT_EQ(thread_join(t[cpu]), cpu);
}

/* --- the clock --- */

struct reading {
	u32 turn; /* a: whose it is to read the clock next, and how often it was read */
	ktime_t last;
	u64 backwards;
};

static struct reading clock_reading;

static bool my_turn(void *arg)
{
	return atomic_load(&clock_reading.turn) % nr_cpus == (u64)arg;
}

static int read_in_turn(void *arg)
{
	for (unsigned int i = 0; i < 20; i++) {
		ktime_t now;

		while (!my_turn(arg))
			yield();
		now = ktime_get();
		clock_reading.backwards += now < clock_reading.last;
		clock_reading.last = now;
		atomic_store(&clock_reading.turn, clock_reading.turn + 1);
	}
	return 0;
}

KTEST(smp, clock_read_on_one_cpu_after_another_never_goes_back)
{
	struct thread *t[MAX_CPUS];

	clock_reading = (struct reading){ 0 };
	for (u64 cpu = 0; cpu < nr_cpus; cpu++) {
		t[cpu] = thread_create("clock", (int)cpu, NULL, NULL, read_in_turn, (void *)cpu);
		ASSERT(t[cpu]);
	}
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		thread_join(t[cpu]);
	EXPECT_EQ(clock_reading.backwards, 0);
}

/* --- vector registers --- */

#define VECTORS	     16
#define FPU_THREADS  3 /* on each CPU */
#define FPU_SWITCHES 40

/* Tests are compiled without vector registers, so what is loaded here stays until somebody else
 * loads: a thread that was not given its own back. */
#define EACH_VECTOR(insn)                                                                          \
	insn(0) insn(1) insn(2) insn(3) insn(4) insn(5) insn(6) insn(7) insn(8) insn(9) insn(10)   \
		insn(11) insn(12) insn(13) insn(14) insn(15)
#define LOAD_VECTOR(n)	"movdqu " #n "*16(%0), %%xmm" #n "\n\t"
#define STORE_VECTOR(n) "movdqu %%xmm" #n ", " #n "*16(%0)\n\t"

struct vectors {
	u64 word[VECTORS][2];
};

static void load_vectors(const struct vectors *v, u32 mxcsr, u16 control)
{
	__asm__ volatile(EACH_VECTOR(LOAD_VECTOR)::"r"(v) : "memory");
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr), "m"(control));
}

static void store_vectors(struct vectors *v, u32 *mxcsr, u16 *control)
{
	__asm__ volatile(EACH_VECTOR(STORE_VECTOR)::"r"(v) : "memory");
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(*mxcsr), "=m"(*control));
}

struct fpu_thread {
	struct thread *thread;
	u64 number;
	u64 wrong;
};

static u64 fpu_turns[MAX_CPUS]; /* a: of all threads of a CPU */

static u64 pattern(u64 thread, u64 turn, u64 i)
{
	return (thread + 1) << 48 | turn << 16 | i;
}

/* Leave the CPU: by yielding, asleep, or by being preempted while we spin until others had
 * turns. */
static void be_switched(u64 turn)
{
	unsigned int cpu = this_cpu()->id, spins = 0;
	u64 before = atomic_load(&fpu_turns[cpu]);
	ktime_t end = ktime_get() + NSEC_PER_SEC / 10;

	if (turn % 4 == 1)
		yield();
	else if (turn % 4 == 2)
		sleep_ns(50 * NSEC_PER_USEC);
	else
		while (atomic_load(&fpu_turns[cpu]) == before && ktime_get() < end)
			cpu_relax(&spins);
}

static int keep_vectors(void *arg)
{
	struct fpu_thread *me = arg;
	u32 mxcsr_mine = 0x1f80 | (u32)(me->number % 4) << 13; /* rounding differs */
	u16 control_mine = (u16)(0x37f & ~(0xc00)) | (u16)((me->number + 1) % 4) << 10;

	for (u64 turn = 0; turn < FPU_SWITCHES; turn++) {
		struct vectors mine, now;
		u32 mxcsr;
		u16 control;

		for (u64 i = 0; i < 2 * VECTORS; i++)
			mine.word[i / 2][i % 2] = pattern(me->number, turn, i);
		load_vectors(&mine, mxcsr_mine, control_mine);
		be_switched(turn);
		store_vectors(&now, &mxcsr, &control);
		for (u64 i = 0; i < 2 * VECTORS; i++)
			me->wrong += now.word[i / 2][i % 2] != pattern(me->number, turn, i);
		me->wrong += mxcsr != mxcsr_mine || control != control_mine;
		atomic_add_return(&fpu_turns[this_cpu()->id], 1);
	}
	return 0;
}

KTEST(smp, vector_registers_are_kept_across_switches_and_preemption)
{
	static struct fpu_thread threads[MAX_CPUS * FPU_THREADS];
	unsigned int n = nr_cpus * FPU_THREADS;
	struct stats before;

	stats_snapshot(&before);
	for (unsigned int i = 0; i < n; i++) {
		threads[i] = (struct fpu_thread){ .number = i };
		threads[i].thread = thread_create("vectors", (int)(i % nr_cpus), NULL, NULL,
						  keep_vectors, &threads[i]);
		ASSERT(threads[i].thread);
	}
	for (unsigned int i = 0; i < n; i++) {
		thread_join(threads[i].thread);
		EXPECT_EQ(threads[i].wrong, 0);
	}
	EXPECT(stat_read(STAT_SWITCHES) - before.v[STAT_SWITCHES] > n * FPU_SWITCHES / 4);
}

/* A new thread finds the registers as a program expects them, whoever ran before. */
static int look_at_fresh(void *arg)
{
	struct vectors now;
	u32 mxcsr;
	u16 control;
	u64 *sum = arg;

	store_vectors(&now, &mxcsr, &control);
	for (unsigned int i = 0; i < 2 * VECTORS; i++)
		*sum |= now.word[i / 2][i % 2];
	return mxcsr == 0x1f80 && control == 0x37f;
}

KTEST(smp, new_thread_begins_with_fresh_vector_registers)
{
	u64 sum = 0;

	EXPECT_EQ(on_cpu(0, look_at_fresh, &sum), 1);
	EXPECT_EQ(sum, 0);
}
