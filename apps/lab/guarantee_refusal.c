/* SPDX-License-Identifier: MIT */
/*
 * guarantee_refusal.c - a store that the file cannot take is refused to the thread that stored,
 * with its address, and changes nothing; and whoever stores beside it is told as well.
 */
#include "apps/lab/verdict.h"
#include "apps/lab/watch.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A thread that stores, and what it was told last. */
static struct storer {
	pthread_t thread;
	sigjmp_buf jump;
	siginfo_t info;
} storers[2];

static struct storer *this_storer(void)
{
	return &storers[pthread_self() != storers[0].thread];
}

static void told(int sig, siginfo_t *info, void *context)
{
	struct storer *me = this_storer();

	me->info = *info;
	siglongjmp(me->jump, 1);
}

/* False: refused, and @me->info says what the thread was told. */
static bool try_store(struct storer *me, volatile uint64_t *p, uint64_t value)
{
	if (sigsetjmp(me->jump, 1))
		return false;
	*p = value;
	return true;
}

static void catch_refusals(struct sigaction *before)
{
	struct sigaction act = { .sa_sigaction = told, .sa_flags = SA_SIGINFO };

	storers[0].thread = pthread_self();
	if (sigaction(SIGBUS, &act, before))
		lab_trouble("SIGBUS cannot be caught");
}

static bool told_rightly(const struct storer *me, volatile uint64_t *p)
{
	return me->info.si_signo == SIGBUS && me->info.si_code == BUS_ADRERR &&
	       me->info.si_addr == (void *)p;
}

/* --- two threads store to the same holes of a full disk --- */

#define PAGES 64
#define ROOM  8
#define TRIES 16

struct contest {
	struct lab_file file;
	volatile size_t turn, over, rested; /* page + 1 that both store to; that the first, the
					     * second has left */
	bool accepted[2][PAGES];
	unsigned int refused, wrongly;
};

static void store_word(struct contest *c, struct storer *me, size_t p)
{
	unsigned int word = me != storers;
	volatile uint64_t *at = lab_word(&c->file, p, word);

	if (try_store(me, at, p + 1)) {
		c->accepted[word][p] = true;
		return;
	}
	__atomic_fetch_add(&c->refused, 1, __ATOMIC_RELAXED);
	if (!told_rightly(me, at))
		__atomic_fetch_add(&c->wrongly, 1, __ATOMIC_RELAXED);
}

static void await(volatile size_t *what, size_t value)
{
	while (*what != value)
		sched_yield();
}

static int second_storer(void *arg)
{
	struct contest *c = arg;
	size_t p;

	for (p = 0; p < PAGES; p++) {
		await(&c->turn, p + 1);
		do {
			store_word(c, &storers[1], p);
		} while (c->over != p + 1);
		c->rested = p + 1;
	}
	return 0;
}

static bool contest_run(struct contest *c)
{
	struct db_thread *t = db_thread_start(lab_options.cpus - 1, second_storer, c);
	size_t p;
	int n;

	for (p = 0; p < PAGES && t; p++) {
		c->turn = p + 1;
		for (n = 0; n < TRIES; n++)
			store_word(c, &storers[0], p);
		c->over = p + 1;
		await(&c->rested, p + 1);
	}
	return t && !db_thread_join(t);
}

/* Every store was accepted and is on the disk, or was refused and is nowhere. */
static void judge_words(struct full_disk *r, struct contest *c)
{
	uint64_t memory, disk, wanted;
	unsigned int word;
	size_t p;

	for (p = 0; p < PAGES; p++) {
		for (word = 0; word < 2; word++) {
			memory = *lab_word(&c->file, p, word);
			disk = lab_disk_word(&c->file, p, word);
			wanted = c->accepted[word][p] ? p + 1 : 0;
			r->lost += c->accepted[word][p] && disk != wanted;
			r->changed += memory != wanted;
		}
	}
	r->refused += c->refused;
	r->wrongly_told += c->wrongly;
}

bool store_to_full_disk(struct full_disk *r)
{
	struct contest *c = calloc(1, sizeof(*c));
	struct sigaction before;
	bool done = c && lab_disk_fill(ROOM);

	memset(r, 0, sizeof(*r));
	if (!done) {
		free(c);
		return false;
	}
	catch_refusals(&before);
	if (lab_open(&c->file, lab_disk(), "contest", PAGES, LAB_HOLES)) {
		done = contest_run(c);
		fsync(c->file.fd);
		judge_words(r, c);
		lab_close(&c->file);
	}
	sigaction(SIGBUS, &before, NULL);
	lab_disk_unfill();
	free(c);
	return done;
}

/* --- behind the end of the file --- */

static void store_behind_the_end(struct verdict *v)
{
	struct sigaction before;
	struct lab_file f;
	size_t p;

	if (!lab_open(&f, lab_dir, "refusal", 4, LAB_FILLED))
		return;
	catch_refusals(&before);
	if (ftruncate(f.fd, LAB_PAGE))
		lab_trouble("%s cannot be cut", f.path);
	for (p = 0; p < f.pages; p++) {
		volatile uint64_t *at = lab_word(&f, p, 7);
		bool stored = try_store(&storers[0], at, 3);

		verdict_case(v, stored == !p, "a store to page %zu of a file of one page was %s", p,
			     stored ? "let pass" : "refused");
		verdict_case(v, stored || told_rightly(&storers[0], at),
			     "signal %d, code %d, address %p for a store to %p",
			     storers[0].info.si_signo, storers[0].info.si_code,
			     storers[0].info.si_addr, (void *)at);
	}
	sigaction(SIGBUS, &before, NULL);
	lab_close(&f);
}

int full_disk_rounds(const char *guarantee)
{
	uint64_t breaks = db_policy_breaks(db_policy_index(db_policy_current()));
	int g;

	for (g = 0; db_guarantee_name(g); g++) {
		if (!strcmp(db_guarantee_name(g), guarantee) && breaks >> g & 1)
			return lab_options.cpus < 2 ? 0 : 100;
	}
	return 2;
}

void try_refusal_told(struct verdict *v)
{
	int n = full_disk_rounds("refusal_told");
	struct full_disk r;

	if (!n) {
		v->not_asked = "it takes two CPUs";
		return;
	}
	store_behind_the_end(v);
	for (; n > 0 && !v->broken; n--) {
		if (!store_to_full_disk(&r)) {
			v->not_asked = "there is no disk that could be filled";
			return;
		}
		verdict_case(v, r.refused, "128 stores into holes, 8 free blocks, none refused");
		verdict_case(v, !r.wrongly_told, "%u refusals were told with a wrong address",
			     r.wrongly_told);
		verdict_case(v, !r.lost, "%u stores were neither refused nor are on the disk",
			     r.lost);
		verdict_case(v, r.lost || !r.changed, "%u refused stores changed memory",
			     r.changed);
	}
}
