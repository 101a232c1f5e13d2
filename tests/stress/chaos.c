/* SPDX-License-Identifier: MIT */
/*
 * chaos.c - what makes it harder: threads that dawdle where it matters, a disk that takes its time,
 * a policy that changes its mind.
 *
 * Chance here comes from the clock, since it decides when things happen, and not what is done.
 */
#include "arch/x86_64/asm/cpu.h"
#include "kernel/block/ramblk.h"
#include "kernel/core/clock.h"
#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "kernel/mm/dirty_policy.h"
#include "tests/ktest.h"
#include "tests/stress/stress.h"

static u64 throw_dice(void)
{
	return rdtsc() * 0x9e3779b97f4a7c15ul >> 40;
}

/* --- dawdling at the places where it matters --- */

/* A fault between finding its page and locking it: long enough for a file to shrink and grow. */
static void dawdle_long(void *object, void *arg)
{
	u64 dice = throw_dice();

	if (!(dice & 15))
		sleep_ns((dice >> 8 & 4095) * NSEC_PER_USEC);
}

static const char *const points[] = {
	"zap_before_flush",	    "mkclean_before_flush",    "tlb_before_flush",
	"cleaned_before_writeback", "fault_before_install",    "mkwrite_done",
	"mkwrite_pte_set",	    "truncate_size_published", "tagged_towrite",
	"flusher_after_pages",	    "write_page_locked",
};

/* Now and then, let others in. A hook may sleep where its thread may. */
static void dawdle(void *object, void *arg)
{
	u64 dice = throw_dice();
	bool may_sleep = !preempt_count() && irqs_enabled();

	if (dice & 3)
		return;
	if (may_sleep && !(dice >> 2 & 15))
		sleep_ns((dice >> 8 & 1023) * NSEC_PER_USEC);
	else if (may_sleep && dice >> 2 & 1)
		yield();
	else
		for (u64 i = dice >> 8 & 0xfff; i; i--)
			barrier();
}

void dawdle_begin(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(points); i++)
		EXPECT_EQ(delay_arm(points[i], dawdle, NULL), 0);
	EXPECT_EQ(delay_arm("fault_page_found", dawdle_long, NULL), 0);
}

void dawdle_end(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(points); i++)
		delay_disarm(points[i]);
	delay_disarm("fault_page_found");
}

/* --- a disk that takes its time --- */

/* Holds writes, ends them some at a time and out of order, changes its mind about when it reads
 * memory. */
static int slow_disk(void *arg)
{
	struct slow_disk *d = arg;

	while (!READ_ONCE(d->stop)) {
		u64 r = ktest_rand(&d->seed) >> 8;

		ramblk_hold(d->dev, 1u << BIO_WRITE, r & 1);
		sleep_ns((r >> 1) % 400 * NSEC_PER_USEC);
		d->released += ramblk_release(d->dev, 1 + (r >> 16) % 8, RAMBLK_SHUFFLE);
	}
	ramblk_unhold(d->dev);
	return 0;
}

bool slow_disk_start(struct slow_disk *d, struct blkdev *dev, u64 seed)
{
	*d = (struct slow_disk){ .dev = dev, .seed = seed | 1 };
	d->thread = thread_create("slow disk", CPU_ANY, NULL, NULL, slow_disk, d);
	EXPECT(d->thread);
	return d->thread;
}

void slow_disk_stop(struct slow_disk *d)
{
	WRITE_ONCE(d->stop, true);
	thread_join(d->thread);
	EXPECT(d->released);
}

/* --- a policy without a plan --- */

static enum policy_map whim_on_read(const struct policy_page *page)
{
	return throw_dice() & 1 ? POLICY_MAP_WRITABLE : POLICY_MAP_READONLY;
}

static enum policy_grant whim_on_write(const struct policy_page *page)
{
	return throw_dice() & 1 ? POLICY_GRANT_CLEAN : POLICY_GRANT_DIRTY;
}

static enum policy_clean whim_of_cleaning(const struct policy_page *page)
{
	return throw_dice() & 1 ? POLICY_CLEAN_CLEAR_D : POLICY_CLEAN_PROTECT;
}

const struct dirty_policy stress_whims = {
	.name = "whims",
	.summary = "of tests: any answer at any time",
	.on_read_fault = whim_on_read,
	.on_write_fault = whim_on_write,
	.how_to_clean = whim_of_cleaning,
};
