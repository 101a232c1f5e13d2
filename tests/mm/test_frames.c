/* SPDX-License-Identifier: MIT */
/*
 * test_frames.c - frames, objects, areas, stacks and page locks on all CPUs, interrupts included.
 */
#include <string.h>

#include "arch/x86_64/pgtable.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/sched.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/vmap.h"
#include "tests/ktest.h"

#define SLOTS 256

/* The same work in all, however many CPUs share the host's. */
static int share(int rounds)
{
	return rounds / (int)nr_cpus + 1;
}

/* What is in use, so that a test can end where it began. Kernel tables are never given back. */
struct usage {
	u64 frames, objects;
};

static struct usage usage(void)
{
	kmalloc_drain();
	drain_page_caches();
	return (struct usage){
		.frames = nr_total_pages() - nr_free_pages() - kmalloc_nr_slab_pages() -
			  vmap_nr_cached_pages() - READ_ONCE(kernel_pgtable.nr_tables),
		.objects = kmalloc_nr_objects(),
	};
}

/* A joined thread may still be on its way out: its stack counts until it is gone. */
static void expect_usage(const struct usage *want)
{
	struct usage now = usage();

	for (int i = 0; i < 100 && memcmp(&now, want, sizeof(now)); i++) {
		sleep_ns(10 * NSEC_PER_MSEC);
		now = usage();
	}
	EXPECT_EQ(now.frames, want->frames);
	EXPECT_EQ(now.objects, want->objects);
}

/* Run @fn(cpu) in a pinned thread on every CPU at once. */
static void on_all_cpus(int (*fn)(void *))
{
	struct thread *t[MAX_CPUS] = { 0 };

	for (u64 cpu = 0; cpu < nr_cpus; cpu++)
		t[cpu] = thread_create("frames", (int)cpu, NULL, NULL, fn, (void *)cpu);
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		if (t[cpu])
			thread_join(t[cpu]);
		else
			ktest_fail(__FILE__, __LINE__, "no thread for CPU %u", cpu);
}

/* From the timer interrupt: takes and gives frames and objects between any two instructions. */
struct churn {
	struct timer timer;
	struct page *page;
	void *obj;
	bool stop;
	u64 nr;
};

static void churn_tick(struct timer *timer)
{
	struct churn *c = container_of(timer, struct churn, timer);

	if (c->page)
		page_put(c->page);
	kfree(c->obj);
	c->page = NULL;
	c->obj = NULL;
	if (c->stop)
		return;
	c->page = alloc_page(ALLOC_NORMAL);
	c->obj = kmalloc(c->nr * 40 % 2000);
	c->nr++;
	timer_arm(timer, ktime_get() + 20 * NSEC_PER_USEC);
}

static int frames_and_objects(void *arg)
{
	u64 me = (u64)arg, rng = me * 977 + 3;
	struct page *pages[SLOTS] = { 0 };
	u64 **objs = kzalloc(SLOTS * sizeof(*objs));
	struct churn c = { .timer = { .fn = churn_tick } };

	timer_arm(&c.timer, ktime_get());
	for (int i = 0; i < share(60000) || READ_ONCE(c.nr) < 10; i++) {
		unsigned int s = ktest_rand(&rng) % SLOTS;
		u64 tag = me << 32 | s;

		if (i & 1) {
			if (pages[s]) {
				unsigned int order = pages[s]->order;
				u64 *last = (u64 *)((char *)page_address(pages[s]) +
						    (PAGE_SIZE << order)) -
					    1;

				EXPECT_EQ(*(u64 *)page_address(pages[s]), tag);
				EXPECT_EQ(*last, tag);
				free_pages(pages[s], order);
				pages[s] = NULL;
			} else {
				unsigned int order = i % 8 == 1 ? ktest_rand(&rng) % 5 : 0;

				pages[s] = alloc_pages(order, ALLOC_NORMAL);
				if (pages[s]) {
					u64 *first = page_address(pages[s]);

					*first = tag;
					first[(PAGE_SIZE << order) / 8 - 1] = tag;
				}
			}
		} else if (objs[s]) {
			EXPECT_EQ(objs[s][0], tag);
			EXPECT_EQ(objs[s][1], tag);
			kfree(objs[s]);
			objs[s] = NULL;
		} else {
			objs[s] = kmalloc(16 + ktest_rand(&rng) % (i % 16 ? 600 : 9000));
			if (objs[s])
				objs[s][0] = objs[s][1] = tag;
		}
	}
	for (int s = 0; s < SLOTS; s++) {
		if (pages[s])
			free_pages(pages[s], pages[s]->order);
		kfree(objs[s]);
	}
	WRITE_ONCE(c.stop, true);
	while (READ_ONCE(c.timer.armed) || READ_ONCE(c.page))
		sleep_ns(NSEC_PER_MSEC);
	kfree(objs);
	return 0;
}

KTEST(frames, frames_and_objects_on_all_cpus)
{
	struct usage before = usage();

	on_all_cpus(frames_and_objects);
	expect_usage(&before);
}

static int one_stack(void *arg)
{
	volatile char buf[20000];

	for (unsigned int i = 0; i < sizeof(buf); i += 512)
		buf[i] = (char)i;
	yield();
	return buf[512] + (int)(u64)arg;
}

/* More threads than stacks are cached: some are unmapped, with shootdowns, while others run. */
static int many_threads(void *arg)
{
	for (int round = 0; round < share(16); round++) {
		struct thread *t[30];

		for (u64 i = 0; i < 30; i++)
			t[i] = thread_create("short", CPU_ANY, NULL, NULL, one_stack, (void *)i);
		for (int i = 0; i < 30; i++)
			if (t[i])
				EXPECT_EQ(thread_join(t[i]), i);
	}
	return 0;
}

KTEST(frames, threads_come_and_go)
{
	struct usage before = usage();

	on_all_cpus(many_threads);
	expect_usage(&before);
}

static int areas(void *arg)
{
	u64 rng = (u64)arg + 5;

	for (int i = 0; i < share(800); i++) {
		u64 nr = 1 + ktest_rand(&rng) % 20;
		u64 *p = vmalloc(nr);

		if (!p)
			continue;
		for (u64 j = 0; j < nr; j++) {
			EXPECT_EQ(p[j * 512 + 7], 0);
			p[j * 512 + 7] = (u64)arg << 32 | j;
		}
		if (i % 3 == 0)
			yield();
		for (u64 j = 0; j < nr; j++)
			EXPECT_EQ(p[j * 512 + 7], (u64)arg << 32 | j);
		vfree(p);
	}
	return 0;
}

KTEST(frames, areas_come_and_go)
{
	struct usage before = usage();

	on_all_cpus(areas);
	expect_usage(&before);
}

/* --- page lock: mutual exclusion, no lost wake-up --- */

static struct page *shared;
static u64 plain_counter;

static int contend(void *arg)
{
	for (int i = 0; i < share(20000); i++) {
		u64 v;

		if (i % 7 == 0) {
			while (!trylock_page(shared))
				yield();
		} else {
			lock_page(shared);
		}
		v = READ_ONCE(plain_counter);
		if (i % 16 == 0)
			yield();
		WRITE_ONCE(plain_counter, v + 1);
		if (i % 5 == 0) {
			page_lock_handed_to_io(shared);
			unlock_page_io(shared);
		} else {
			unlock_page(shared);
		}
	}
	return 0;
}

KTEST(frames, page_lock_excludes_and_wakes)
{
	shared = alloc_page(ALLOC_ZERO);
	ASSERT(shared);
	plain_counter = 0;
	on_all_cpus(contend);
	EXPECT_EQ(plain_counter, share(20000) * (int)nr_cpus);
	EXPECT(!page_locked(shared));
	page_put(shared);
}

static struct timer io_timer;
static u64 ios;

static void io_done(struct timer *t)
{
	WRITE_ONCE(ios, ios + 1);
	page_clear_bit_wake(shared, PG_writeback);
}

static int wait_for_io(void *arg)
{
	while (READ_ONCE(ios) < 500) {
		wait_on_page_writeback(shared);
		lock_page(shared);
		if (!page_writeback(shared) && READ_ONCE(ios) < 500 && !io_timer.armed) {
			set_bit(&shared->flags, PG_writeback);
			timer_arm(&io_timer, ktime_get() + 10 * NSEC_PER_USEC);
		}
		unlock_page(shared);
	}
	wait_on_page_writeback(shared);
	return 0;
}

KTEST(frames, writeback_waiters_wake_from_interrupts)
{
	shared = alloc_page(ALLOC_ZERO);
	ASSERT(shared);
	ios = 0;
	io_timer = (struct timer){ .fn = io_done };
	on_all_cpus(wait_for_io);
	EXPECT(ios >= 500);
	EXPECT(!page_writeback(shared));
	page_put(shared);
}

KTEST(frames, guard_pages_are_named_and_not_mapped)
{
	char text[100];
	const char *s = current_thread()->stack;
	void *v = vmalloc(3);

	EXPECT(!strncmp(vmap_describe((vaddr_t)s - 1, text, sizeof(text)),
			"guard page below the stack of thread", 36));
	EXPECT(!pgtable_kernel_mapped((vaddr_t)s - 1));
	EXPECT(!pgtable_kernel_mapped((vaddr_t)s + STACK_SIZE));
	ASSERT(v);
	EXPECT(!pgtable_kernel_mapped((vaddr_t)v - 1));
	EXPECT(!pgtable_kernel_mapped((vaddr_t)v + 3 * PAGE_SIZE));
	EXPECT(pgtable_kernel_mapped((vaddr_t)v + 3 * PAGE_SIZE - 1));
	vfree(v);
	EXPECT(!pgtable_kernel_mapped((vaddr_t)v));
}
