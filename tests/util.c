/* SPDX-License-Identifier: MIT */
/*
 * util.c - threads that do as they are told, gates at delay points, and the usual scene of a race.
 *
 * Owns:  what runs where and when in a test.
 * Not:   files (testfs.c), verdicts (the tests).
 * Key fact: the writer spins between two commands. A CPU that sleeps is lazy, is skipped by
 *        shootdowns and starts from fresh tables: that would hide a missing flush.
 */
#include "tests/util.h"

#include <string.h>
#include <sys/errno.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"

/* --- pinned bodies and jobs --- */

static int run_body(void *arg)
{
	((void (*)(void))arg)();
	return 0;
}

void on_cpu0(void (*body)(void))
{
	EXPECT_EQ(on_cpu(0, run_body, (void *)body), 0);
}

static int job_main(void *arg)
{
	struct job *j = arg;
	int result = j->fn(j->arg);

	atomic_store(&j->done, true);
	return result;
}

static struct thread *start_thread(const char *name, unsigned int cpu, struct mm *mm,
				   int (*fn)(void *), void *arg)
{
	struct thread *t =
		thread_create(name, (int)(cpu % nr_cpus), mm, mm ? &mm->pgt : NULL, fn, arg);

	if (!t)
		panic("no memory for the thread %s of a test", name);
	return t;
}

void job_start(struct job *j, unsigned int cpu, struct mm *mm, int (*fn)(void *arg), void *arg)
{
	*j = (struct job){ .fn = fn, .arg = arg };
	j->thread = start_thread("test job", cpu, mm, job_main, j);
}

/* Ten looks in a row: not merely passing through a lock, or preempted on its way to sleep. */
static const char *settles(const struct thread *t, const bool *done, int (*const *busy)(void *))
{
	unsigned int asleep = 0;
	const char *queue = NULL;

	while (asleep < 10) {
		if ((done && atomic_load(done)) || (busy && !atomic_load(busy)))
			return NULL;
		queue = READ_ONCE(t->waits_for);
		if (sched_asleep(t) && !READ_ONCE(t->queued) && queue)
			asleep++;
		else
			asleep = 0;
		sleep_ns(50 * NSEC_PER_USEC);
	}
	return queue;
}

const char *job_settles(struct job *j)
{
	return settles(j->thread, &j->done, NULL);
}

int job_end(struct job *j)
{
	WAIT_FOR(atomic_load(&j->done));
	return thread_join(j->thread);
}

/* --- the remote writer --- */

static int quit(void *arg)
{
	return 0;
}

static int remote_main(void *arg)
{
	struct remote *r = arg;
	int (*fn)(void *);

	do {
		unsigned int spins = 0;

		while (!(fn = atomic_load(&r->fn))) {
			cpu_relax(&spins);
			if (r->polite)
				yield();
		}
		r->result = fn(r->arg);
		atomic_store(&r->fn, NULL);
	} while (fn != quit);
	return 0;
}

void remote_start(struct remote *r, unsigned int cpu, struct mm *mm)
{
	*r = (struct remote){ .polite = nr_cpus == 1 };
	r->thread = start_thread("test writer", cpu, mm, remote_main, r);
}

void remote_begin(struct remote *r, int (*fn)(void *arg), void *arg)
{
	BUG_ON(atomic_load(&r->fn));
	r->arg = arg;
	atomic_store(&r->fn, fn);
}

int remote_wait(struct remote *r)
{
	ktime_t end = ktime_get() + PATIENCE;
	unsigned int spins = 0;

	while (atomic_load(&r->fn)) {
		cpu_relax(&spins);
		if (!preempt_count())
			yield();
		if (ktime_get() > end)
			panic("the writer of a test does not come back");
	}
	return r->result;
}

int remote_call(struct remote *r, int (*fn)(void *arg), void *arg)
{
	/* The only CPU is ours and we may not give it away: the same access, from here. */
	if (r->polite && preempt_count())
		return fn(arg);
	remote_begin(r, fn, arg);
	return remote_wait(r);
}

void remote_stop(struct remote *r)
{
	remote_call(r, quit, NULL);
	thread_join(r->thread);
}

static int do_store(void *arg)
{
	struct access *a = arg;

	return probe_store8(a->p, a->v);
}

static int do_load(void *arg)
{
	struct access *a = arg;

	return probe_load8(a->p, &a->v);
}

int remote_store(struct remote *r, u64 *p, u64 v)
{
	r->access = (struct access){ p, v };
	return remote_call(r, do_store, &r->access);
}

int remote_load(struct remote *r, const u64 *p, u64 *v)
{
	int err;

	r->access = (struct access){ (u64 *)p, 0 };
	err = remote_call(r, do_load, &r->access);
	*v = r->access.v;
	return err;
}

void remote_try_store(struct remote *r, u64 *p, u64 v)
{
	r->access = (struct access){ p, v };
	remote_begin(r, do_store, &r->access);
	settles(r->thread, NULL, &r->fn);
}

void remote_try_load(struct remote *r, const u64 *p)
{
	r->access = (struct access){ (u64 *)p, 0 };
	remote_begin(r, do_load, &r->access);
	settles(r->thread, NULL, &r->fn);
}

/* --- gates --- */

static void stand_at_gate(void *object, void *arg)
{
	struct gate *g = arg;
	unsigned int spins = 0;

	if ((g->object && g->object != object) || atomic_xchg(&g->arrived, true))
		return;
	if (preempt_count() || !irqs_enabled())
		while (!atomic_load(&g->open))
			cpu_relax(&spins);
	else
		wait_event(&g->wait, atomic_load(&g->open));
}

void gate_arm(struct gate *g, const char *point, const void *object)
{
	*g = (struct gate){ .point = point, .object = object };
	wait_queue_init(&g->wait, "gate");
	BUG_ON(delay_arm(point, stand_at_gate, g));
}

void gate_wait(struct gate *g)
{
	WAIT_FOR(atomic_load(&g->arrived));
}

void gate_open(struct gate *g)
{
	atomic_store(&g->open, true);
	wake_up(&g->wait);
}

void gate_disarm(struct gate *g)
{
	gate_open(g);
	delay_disarm(g->point);
}

/* --- the scene --- */

struct mm *test_mm(void)
{
	struct mm *mm = mm_create();

	if (!mm)
		panic("no memory for the address space of a test");
	return mm;
}

bool stage_begin(struct stage *s, u64 pages)
{
	memset(s, 0, sizeof(*s));
	s->fs = testfs_create(pages);
	if (!s->fs)
		return false;
	s->pages = pages;
	s->mm = test_mm();
	s->map = testfs_mmap(s->fs, s->mm, 0, pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (!s->map) {
		mm_put(s->mm);
		testfs_destroy(s->fs);
		return false;
	}
	s->mm_before = current_thread()->mm;
	mm_use(s->mm);
	remote_start(&s->w, 1, s->mm);
	return true;
}

void stage_end(struct stage *s)
{
	remote_stop(&s->w);
	mm_use(s->mm_before);
	mm_put(s->mm);
	testfs_destroy(s->fs);
}

int stage_munmap_job(void *stage)
{
	struct stage *s = stage;

	return mm_munmap(s->mm, (vaddr_t)s->map, PAGE_SIZE);
}

u64 *stage_slot(const struct stage *s, pgoff_t page)
{
	return s->map + page * SLOTS_PER_PAGE;
}

pte_t test_pte(struct mm *mm, const void *p)
{
	pte_t *ptep = pgtable_walk(&mm->pgt, (vaddr_t)p);

	return ptep ? ptep_get(ptep) : (pte_t){ 0 };
}

u64 stat_since(const struct stats *before, enum stat_id id)
{
	return stat_read(id) - before->v[id];
}

/* --- policies --- */

static enum policy_map map_writable(const struct policy_page *page)
{
	return POLICY_MAP_WRITABLE;
}

static enum policy_grant grant_clean(const struct policy_page *page)
{
	return POLICY_GRANT_CLEAN;
}

static enum policy_clean clear_d(const struct policy_page *page)
{
	return POLICY_CLEAN_CLEAR_D;
}

const struct dirty_policy test_policy_silent = {
	.name = "test-silent",
	.summary = "writable from the first read, write-protected by cleaning",
	.on_read_fault = map_writable,
	.on_write_fault = grant_clean,
};

const struct dirty_policy test_policy_clear_d = {
	.name = "test-clear-d",
	.summary = "writable from the first read, and never taken back",
	.on_read_fault = map_writable,
	.on_write_fault = grant_clean,
	.how_to_clean = clear_d,
};
