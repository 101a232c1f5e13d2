/* SPDX-License-Identifier: MIT */
/*
 * ops.c - what a worker does: a random mix of all that a program can do to a file.
 *
 * Each worker draws from a seed of its own, so that a seed repeats what is done, though not when.
 * Nothing here excludes anything but remapping and truncation themselves, one of each at a time:
 * stores go on while others sync, unmap and truncate the very same pages.
 */
#include "tests/stress/stress.h"

#include <errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/lib/falloc.h"
#include "tests/ktest.h"

#define HOT_RUNS  STRESS_THREADS /* where a quarter of all stores go */
#define MAX_BURST 24
#define NR_RUNS	  (STRESS_SLOTS / STRESS_RUN)

static u64 draw(struct worker *w, u64 below)
{
	return (ktest_rand(&w->seed) >> 11) % below;
}

static u64 *address_of(u64 slot)
{
	return (u64 *)STRESS_VA + slot;
}

/* --- whose slots? --- */

/* Run q is [128q - 64, 128q + 64): every fourth one lies on both sides of a page border. The last
 * half run has no writer. */
static u64 run_start(u64 run)
{
	return run ? run * STRESS_RUN - STRESS_RUN / 2 : 0;
}

static u64 run_end(u64 run)
{
	return run * STRESS_RUN + STRESS_RUN / 2;
}

static u64 draw_own_run(struct worker *w)
{
	u64 runs = draw(w, 4) ? NR_RUNS : HOT_RUNS, n = w->stress->nr_workers;

	return draw(w, DIV_ROUND_UP(runs - w->number, n)) * n + w->number;
}

/* --- one access through the mapping --- */

/* What could explain that an access is refused, or not. */
struct excuse {
	u32 mapped, epoch;
	u64 behind_end;
};

static struct excuse excuse_for(struct worker *w, u64 slot)
{
	return (struct excuse){ .mapped = atomic_load(&w->space->mapped[slot / ORACLE_PAGE_SLOTS]),
				.epoch = atomic_load(&w->stress->oracle.epoch[slot]),
				.behind_end = atomic_load(&w->stress->behind_end) };
}

/* One load or store of @slot ended with @err; @before was taken before it. */
static void judge_access(struct worker *w, u64 slot, struct excuse before, int err,
			 const char *what)
{
	struct excuse now = excuse_for(w, slot);

	if (err)
		w->count[NR_REFUSED]++;
	if (!err && now.behind_end == before.behind_end &&
	    slot >= (now.behind_end & STRESS_NO_SLOT))
		ktest_fail(__FILE__, __LINE__, "a %s of slot %lu succeeded behind the end (B15)",
			   what, (unsigned long)slot);
	if (now.mapped != before.mapped)
		return;
	if (!err && mapped_phase(now.mapped) == GONE)
		ktest_fail(__FILE__, __LINE__, "a %s of slot %lu succeeded after munmap (B13)",
			   what, (unsigned long)slot);
	if (err && mapped_phase(now.mapped) == MAPPED && !(now.epoch & 1) &&
	    now.epoch == before.epoch)
		ktest_fail(__FILE__, __LINE__, "a %s of slot %lu was refused without reason", what,
			   (unsigned long)slot);
}

static bool store_slot(struct worker *w, u64 slot)
{
	struct excuse before = excuse_for(w, slot);
	u32 epoch;
	u64 value = oracle_next(&w->stress->oracle, slot, &epoch);
	int err = probe_store8(address_of(slot), value);

	if (!err) {
		oracle_stored(&w->stress->oracle, slot, value, epoch);
		w->count[NR_STORES]++;
	}
	judge_access(w, slot, before, err, "store");
	return !err;
}

static void op_store(struct worker *w)
{
	u64 run = draw_own_run(w), start = run_start(run), len = run_end(run) - start;

	for (u64 n = 1 + draw(w, MAX_BURST); n; n--)
		store_slot(w, start + draw(w, len));
}

static void load_slot(struct worker *w, u64 slot)
{
	struct excuse before = excuse_for(w, slot);
	u64 bound = oracle_look(&w->stress->oracle, slot), value;
	int err = probe_load8(address_of(slot), &value);

	w->count[NR_LOADS]++;
	judge_access(w, slot, before, err, "load");
	if (!err)
		stress_judge(w, slot, bound, value, IN_MEMORY);
}

static void op_load(struct worker *w)
{
	u64 page = draw(w, STRESS_PAGES) * ORACLE_PAGE_SLOTS;

	for (u64 n = 1 + draw(w, MAX_BURST); n; n--)
		load_slot(w, page + draw(w, ORACLE_PAGE_SLOTS));
}

/* --- read() and write() --- */

static void op_read(struct worker *w)
{
	u64 first = draw(w, STRESS_SLOTS), nr = 1 + draw(w, ORACLE_PAGE_SLOTS);
	struct oracle *o = &w->stress->oracle;
	s64 got;

	nr = min(nr, STRESS_SLOTS - first);
	stress_look(w, first, nr);
	got = vfs_pread(w->stress->file, w->buffer, nr * ORACLE_SLOT, first * ORACLE_SLOT);
	w->count[NR_READS]++;
	if (got < 0 || got % ORACLE_SLOT) {
		ktest_fail(__FILE__, __LINE__, "pread: %ld", (long)got);
		return;
	}
	for (u64 i = 0; i < (u64)got / ORACLE_SLOT; i++)
		stress_judge(w, first + i, w->bound[i], w->buffer[i], IN_MEMORY);
	/* Short: the end of the file was there, and so was a truncation. */
	if ((u64)got < nr * ORACLE_SLOT)
		EXPECT(oracle_unsettled(o, first + (u64)got / ORACLE_SLOT,
					w->bound[got / ORACLE_SLOT]));
}

static void op_write(struct worker *w)
{
	u64 run = draw_own_run(w), start = run_start(run), len = run_end(run) - start;
	u64 offset = draw(w, len), nr = 1 + draw(w, len - offset);
	u32 epoch[STRESS_RUN];
	s64 done;

	start += offset;
	for (u64 i = 0; i < nr; i++)
		w->buffer[i] = oracle_next(&w->stress->oracle, start + i, &epoch[i]);
	down_read(&w->stress->growing);
	done = vfs_pwrite(w->stress->file, w->buffer, nr * ORACLE_SLOT, start * ORACLE_SLOT);
	up_read(&w->stress->growing);
	EXPECT_EQ(done, nr * ORACLE_SLOT);
	for (s64 i = 0; i < done / ORACLE_SLOT; i++)
		oracle_stored(&w->stress->oracle, start + (u64)i, w->buffer[i], epoch[i]);
	w->count[NR_WRITES]++;
}

/* --- syncing --- */

static void op_msync(struct worker *w)
{
	unsigned int pages = 1 + (unsigned int)draw(w, STRESS_WINDOW);
	pgoff_t first = draw(w, STRESS_PAGES - pages + 1);
	unsigned int holes = 0;
	int err;

	for (unsigned int p = 0; p < pages; p++)
		w->mapped[p] = atomic_load(&w->space->mapped[first + p]);
	stress_look(w, first * ORACLE_PAGE_SLOTS, pages * ORACLE_PAGE_SLOTS);
	err = mm_msync(w->space->mm, STRESS_VA + (first << PAGE_SHIFT), pages * PAGE_SIZE, MS_SYNC);
	for (unsigned int p = 0; p < pages; p++)
		holes += mapped_phase(w->mapped[p]) != MAPPED ||
			 atomic_load(&w->space->mapped[first + p]) != w->mapped[p];
	/* What is mapped is synced although there are holes (rule 69). */
	EXPECT(!err || (err == -ENOMEM && holes));
	stress_judge_disk(w, first, pages, w->mapped);
	w->count[NR_MSYNCS]++;
}

static void op_async(struct worker *w)
{
	pgoff_t first = draw(w, STRESS_PAGES);
	u64 len = (1 + draw(w, STRESS_PAGES - first)) * PAGE_SIZE;
	int err = mm_msync(w->space->mm, STRESS_VA + (first << PAGE_SHIFT), len, MS_ASYNC);

	EXPECT(!err || err == -ENOMEM);
	w->count[NR_ASYNCS]++;
}

/* Any part of the file will do to judge it by. */
static void op_fsync(struct worker *w)
{
	pgoff_t first = draw(w, STRESS_PAGES - STRESS_WINDOW + 1);

	stress_look(w, first * ORACLE_PAGE_SLOTS, STRESS_WINDOW * ORACLE_PAGE_SLOTS);
	EXPECT_EQ(vfs_fsync(w->stress->file, draw(w, 2)), 0);
	stress_judge_disk(w, first, STRESS_WINDOW, NULL);
	w->count[NR_FSYNCS]++;
}

static void op_kick(struct worker *w)
{
	writeback_kick(&w->stress->dev->wb);
	w->count[NR_KICKS]++;
}

/* --- changing the shape of things --- */

/* To the next phase, or over several; never back. */
static void change_mapped(struct stress_space *space, pgoff_t first, u64 pages,
			  enum mapped_phase phase)
{
	for (pgoff_t p = first; p < first + pages; p++) {
		u32 now = space->mapped[p];

		(void)atomic_xchg(&space->mapped[p], now + ((phase - now) & 3));
	}
}

/* Unmap and map again, with time between or without, or map over what is there. */
static void op_remap(struct worker *w)
{
	pgoff_t first = draw(w, STRESS_PAGES);
	u64 pages = 1 + draw(w, min(STRESS_PAGES - first, 24ul)), how = draw(w, 3);
	vaddr_t va = STRESS_VA + (first << PAGE_SHIFT), at;
	struct stress_space *space = w->space;

	mutex_lock(&space->remapping);
	change_mapped(space, first, pages, UNMAPPING);
	if (how)
		EXPECT_EQ(mm_munmap(space->mm, va, pages * PAGE_SIZE), 0);
	if (how == 2) {
		change_mapped(space, first, pages, GONE);
		sleep_ns(draw(w, 300) * NSEC_PER_USEC);
		change_mapped(space, first, pages, MAPPING);
	}
	EXPECT_EQ(vfs_mmap(space->mm, va, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, w->stress->file, first << PAGE_SHIFT, &at),
		  0);
	change_mapped(space, first, pages, MAPPED);
	mutex_unlock(&space->remapping);
	w->count[NR_REMAPS]++;
}

static void truncate(struct worker *w, u64 slots)
{
	EXPECT_EQ(vfs_ftruncate(w->stress->file, slots * ORACLE_SLOT), 0);
}

/* The file ends before @slot for as long as we hold `growing`: pages behind its last one are
 * gone. */
static void tell_end(struct worker *w, u64 slot)
{
	u64 first = slot == STRESS_NO_SLOT ? slot : ALIGN_UP(slot, ORACLE_PAGE_SLOTS);
	struct stress *s = w->stress;

	(void)atomic_xchg(&s->behind_end, ((s->behind_end >> 32) + 1) << 32 | first);
}

/*
 * @slot is ours and lies behind the end, in the same page: a store there may succeed. It must be
 * gone when the file has grown over it (B38).
 */
static void store_behind_end(struct worker *w, u64 slot)
{
	u64 value;

	store_slot(w, slot);
	tell_end(w, STRESS_NO_SLOT);
	truncate(w, STRESS_SLOTS);
	if (!probe_load8(address_of(slot), &value) && value)
		ktest_fail(__FILE__, __LINE__,
			   "slot %lu was stored behind the end of the file and came inside (B38)",
			   (unsigned long)slot);
}

/* The file has grown: a store where its end was must find a block (B17), as any other. */
static void judge_old_end(struct worker *w, u64 slot)
{
	pgoff_t page = slot / ORACLE_PAGE_SLOTS;

	store_slot(w, slot);
	stress_look(w, page * ORACLE_PAGE_SLOTS, ORACLE_PAGE_SLOTS);
	EXPECT_EQ(vfs_fsync(w->stress->file, true), 0);
	stress_judge_disk(w, page, 1, NULL);
}

/* Down, perhaps to somewhere else, and up again. Half of the cuts take little. */
static void cut_anywhere(struct worker *w)
{
	u64 first = draw(w, 2) ? draw(w, STRESS_SLOTS) :
				 STRESS_SLOTS - 1 - draw(w, STRESS_SLOTS / 8);

	oracle_cut_begin(&w->stress->oracle, first, STRESS_SLOTS);
	truncate(w, first);
	if (draw(w, 2))
		sleep_ns(draw(w, 200) * NSEC_PER_USEC);
	if (draw(w, 2))
		truncate(w, first + draw(w, STRESS_SLOTS - first));
	truncate(w, STRESS_SLOTS);
	oracle_cut_end(&w->stress->oracle, first, STRESS_SLOTS);
}

/* Through a run of ours, while nobody else makes the file grow. A run is longer than a block may
 * be: what is stored behind the end may need another block than what was kept. */
static void cut_own_run(struct worker *w)
{
	u64 run = run_start(draw_own_run(w)), half = STRESS_RUN / 2, cut, slot;

	cut = run + 1 + draw(w, half - 2);
	slot = run + half + draw(w, half);
	if (cut / ORACLE_PAGE_SLOTS != slot / ORACLE_PAGE_SLOTS || !run)
		slot = cut;
	store_slot(w, slot); /* its page is dirty and writable now, if it is mapped */
	down_write(&w->stress->growing);
	oracle_cut_begin(&w->stress->oracle, cut, STRESS_SLOTS);
	truncate(w, cut);
	tell_end(w, cut);
	if (draw(w, 2))
		sleep_ns(draw(w, 500) * NSEC_PER_USEC);
	store_behind_end(w, slot);
	oracle_cut_end(&w->stress->oracle, cut, STRESS_SLOTS);
	up_write(&w->stress->growing);
	judge_old_end(w, slot);
}

static void op_cut(struct worker *w)
{
	struct stress *s = w->stress;

	mutex_lock(&s->cutting);
	if (draw(w, 2))
		cut_anywhere(w);
	else
		cut_own_run(w);
	mutex_unlock(&s->cutting);
	w->count[NR_CUTS]++;
}

/* --- parts in the middle --- */

/* A part, large or small, half of the time whole pages. */
static u64 draw_part(struct worker *w, u64 *nr)
{
	u64 first = draw(w, STRESS_SLOTS);

	*nr = 1 + draw(w, min(STRESS_SLOTS - first, 1ul << draw(w, 14)));
	if (draw(w, 2)) {
		first &= ~(ORACLE_PAGE_SLOTS - 1);
		*nr = min(ALIGN_UP(*nr, ORACLE_PAGE_SLOTS), STRESS_SLOTS - first);
	}
	return first;
}

/* What was stored there is gone; the file's end stays where it is. */
static void op_give_up(struct worker *w)
{
	struct stress *s = w->stress;
	u64 nr, first = draw_part(w, &nr);
	int mode = draw(w, 3) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	mutex_lock(&s->cutting);
	oracle_cut_begin(&s->oracle, first, first + nr);
	EXPECT_EQ(vfs_fallocate(s->file, mode | FALLOC_FL_KEEP_SIZE, (s64)(first * ORACLE_SLOT),
				(s64)(nr * ORACLE_SLOT)),
		  0);
	oracle_cut_end(&s->oracle, first, first + nr);
	mutex_unlock(&s->cutting);
	w->count[NR_GIVEN_UP]++;
}

/* Room changes no byte; but the file may grow to it, as by a write. */
static void op_allocate(struct worker *w)
{
	u64 nr, first = draw_part(w, &nr);

	down_read(&w->stress->growing);
	EXPECT_EQ(vfs_fallocate(w->stress->file, 0, (s64)(first * ORACLE_SLOT),
				(s64)(nr * ORACLE_SLOT)),
		  0);
	up_read(&w->stress->growing);
	w->count[NR_ALLOCATED]++;
}

/* --- the mix --- */

static const struct {
	void (*fn)(struct worker *w);
	unsigned int weight;
	bool truncates;
} ops[] = {
	{ op_store, 120, false }, { op_load, 20, false },  { op_read, 10, false },
	{ op_write, 10, false },  { op_msync, 10, false }, { op_async, 4, false },
	{ op_fsync, 3, false },	  { op_kick, 3, false },   { op_remap, 5, false },
	{ op_cut, 5, true },	  { op_give_up, 5, true }, { op_allocate, 2, true },
};

static void any_op(struct worker *w)
{
	u64 sum = 0, at;

	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++)
		sum += ops[i].truncates && !w->stress->truncates ? 0 : ops[i].weight;
	at = draw(w, sum);
	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		if (ops[i].truncates && !w->stress->truncates)
			continue;
		if (at < ops[i].weight) {
			ops[i].fn(w);
			return;
		}
		at -= ops[i].weight;
	}
}

int stress_worker(void *arg)
{
	struct worker *w = arg;
	struct stress *s = w->stress;

	for (u64 i = 0; !s->max_ops || i < s->max_ops; i++) {
		if (!s->max_ops && ktime_get() >= s->end)
			break;
		/* After a few alarms there is no more to learn. */
		if (READ_ONCE(s->alarms) > 20)
			break;
		any_op(w);
	}
	return 0;
}
