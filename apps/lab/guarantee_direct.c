/* SPDX-License-Identifier: MIT */
/*
 * guarantee_direct.c - direct I/O and a mapping of the same file.
 *
 * dio_ordered	who orders his stores and his direct I/O sees each by the other (P23): two threads
 *		take turns, one by the mapping, the other by read() and write() with O_DIRECT
 * dio_slots	nobody orders anything: whatever is read, and what is on the disk in the end, is in
 *		each slot of 8 bytes a value that somebody stored there, or the first one (I5)
 */
#include "apps/lab/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES	4
#define SECTOR	4096 /* what every disk can do */
#define TURNS	16
#define STORM	48 /* rounds of each thread */
#define SLOTS	(LAB_PAGE / 8)
#define MAX_WHO 4

/* NULL: it could be made. */
static const char *open_direct(struct lab_file *f, int *fd)
{
	if (!lab_open(f, lab_dir, "lab.dat", PAGES, LAB_FILLED))
		return "the file could not be made";
	*fd = open(f->path, O_RDWR | O_DIRECT);
	if (*fd >= 0)
		return NULL;
	lab_close(f);
	return "the file system has no direct I/O";
}

/* --- ordered --- */

/* The turn is the mapping's when it is even. */
struct pingpong {
	struct lab_file file;
	int fd;
	uint64_t *page; /* the direct side's */
	volatile unsigned int turn;
	volatile uint64_t seen; /* by the direct read */
	volatile int error;	/* of the direct side; 0: none */
};

static void await(const struct pingpong *p, unsigned int turn)
{
	unsigned int spins = 0;

	while (p->turn != turn) {
		if (++spins % 64)
			lab_pause();
		else
			usleep(20);
	}
	__sync_synchronize();
}

static void give_turn(struct pingpong *p)
{
	__sync_synchronize();
	p->turn++;
}

static void direct_turn(struct pingpong *p, unsigned int n)
{
	off_t at = (off_t)(n / 2 % PAGES) * LAB_PAGE;

	if (pread(p->fd, p->page, SECTOR, at) != SECTOR) {
		p->error = errno;
		return;
	}
	p->seen = p->page[0];
	p->page[1] = n;
	if (pwrite(p->fd, p->page, SECTOR, at) != SECTOR)
		p->error = errno;
}

static int direct_side(void *arg)
{
	struct pingpong *p = arg;
	unsigned int n;

	for (n = 1; n < 2 * TURNS; n += 2) {
		await(p, n);
		direct_turn(p, n);
		give_turn(p);
	}
	return 0;
}

static void mapped_side(struct verdict *v, struct pingpong *p)
{
	unsigned int n;

	for (n = 0; n < 2 * TURNS; n += 2) {
		size_t page = n / 2 % PAGES;

		await(p, n);
		*lab_word(&p->file, page, 0) = 1000 + n;
		give_turn(p);
		await(p, n + 2);
		if (p->error) {
			verdict_case(v, false, "turn %u: the direct side met: %s", n,
				     strerror(p->error));
			p->error = 0;
		}
		verdict_case(v, p->seen == 1000 + n, "turn %u: a direct read found %llu, not %u", n,
			     (unsigned long long)p->seen, 1000 + n);
		verdict_case(v, *lab_word(&p->file, page, 1) == n + 1,
			     "turn %u: a load found %llu, not the %u of the direct write", n,
			     (unsigned long long)*lab_word(&p->file, page, 1), n + 1);
		verdict_case(v, *lab_word(&p->file, page, 0) == 1000 + n,
			     "turn %u: the store is undone", n);
		/* It goes on from here: the other's turn is over. */
	}
}

void try_dio_ordered(struct verdict *v)
{
	struct pingpong p = { .turn = 0 };
	struct db_thread *t;

	v->not_asked = open_direct(&p.file, &p.fd);
	if (v->not_asked)
		return;
	p.page = memalign(LAB_PAGE, LAB_PAGE);
	t = p.page ? db_thread_start(lab_options.cpus - 1, direct_side, &p) : NULL;
	if (t) {
		mapped_side(v, &p);
		db_thread_join(t);
	} else {
		v->not_asked = "no memory for the direct side";
	}
	free(p.page);
	close(p.fd);
	lab_close(&p.file);
}

void try_direct_coherent(struct verdict *v)
{
	char before[32];

	if (db_arg_get("dio", before, sizeof(before))) {
		v->not_asked = "dio= cannot be read";
		return;
	}
	db_arg_set("dio", "coherent");
	try_dio_ordered(v);
	db_arg_set("dio", before);
}

/* --- unordered --- */

struct storm {
	struct lab_file file;
	int fd;
	volatile uint64_t last[MAX_WHO]; /* the last value of each; before it is stored */
};

struct member {
	struct storm *storm;
	struct db_thread *thread;
	struct verdict v;
	uint64_t who, seed, *page;
};

static uint64_t value_of(uint64_t who, size_t page, unsigned int slot, uint64_t number)
{
	return (who + 1) << 56 | (uint64_t)page << 48 | (uint64_t)slot << 32 | number;
}

/* Did anybody store @value there? */
static bool was_stored(const struct storm *s, size_t page, unsigned int slot, uint64_t value)
{
	uint64_t who = (value >> 56) - 1;

	return !value || (who < MAX_WHO && (value & 0xffffffff) <= s->last[who] &&
			  value == value_of(who, page, slot, value & 0xffffffff));
}

static void check_slots(struct verdict *v, const struct storm *s, size_t page,
			const volatile uint64_t *slots, const char *how)
{
	unsigned int slot;

	for (slot = 0; slot < SLOTS; slot += 31) {
		uint64_t value = slots[slot];

		__sync_synchronize();
		verdict_case(v, was_stored(s, page, slot, value),
			     "page %zu, slot %u, %s: %llx, which nobody stored", page, slot, how,
			     (unsigned long long)value);
	}
}

/* By the mapping. */
static void member_store(struct member *m, size_t page)
{
	unsigned int slot = (unsigned int)(lab_random(&m->seed) % SLOTS);

	m->storm->last[m->who]++;
	__sync_synchronize();
	*lab_word(&m->storm->file, page, slot) =
		value_of(m->who, page, slot, m->storm->last[m->who]);
	check_slots(&m->v, m->storm, page, lab_word(&m->storm->file, page, 0), "in the mapping");
}

static void member_write(struct member *m, size_t page)
{
	unsigned int slot;
	ssize_t n;

	m->storm->last[m->who]++;
	__sync_synchronize();
	for (slot = 0; slot < SLOTS; slot++)
		m->page[slot] = value_of(m->who, page, slot, m->storm->last[m->who]);
	n = pwrite(m->storm->fd, m->page, LAB_PAGE, (off_t)page * LAB_PAGE);
	/* That it raced is what a storm may come to. */
	verdict_case(&m->v, n == LAB_PAGE || errno == ERACE, "a direct write: %s", strerror(errno));
}

static void member_read(struct member *m, size_t page)
{
	ssize_t n = pread(m->storm->fd, m->page, LAB_PAGE, (off_t)page * LAB_PAGE);

	verdict_case(&m->v, n == LAB_PAGE, "a direct read: %s", strerror(errno));
	if (n == LAB_PAGE)
		check_slots(&m->v, m->storm, page, m->page, "by a direct read");
}

static int member_run(void *arg)
{
	static void (*const acts[])(struct member * m, size_t page) = { member_store, member_write,
									member_read };
	struct member *m = arg;
	int n;

	for (n = 0; n < STORM; n++) {
		acts[m->who % 3](m, lab_random(&m->seed) % PAGES);
		if (n % 16 == 15)
			usleep(50);
	}
	return 0;
}

static void check_disk(struct verdict *v, struct storm *s)
{
	static uint64_t page[SLOTS];
	size_t p;

	if (fsync(s->file.fd))
		lab_trouble("fsync of %s: %s", s->file.path, strerror(errno));
	for (p = 0; p < PAGES; p++) {
		if (db_disk_read(s->file.fd, p * LAB_PAGE, page, LAB_PAGE) == LAB_PAGE)
			check_slots(v, s, p, page, "on the disk");
		else
			lab_trouble("reading the disk: %s", strerror(errno));
	}
}

static void member_end(struct verdict *v, struct member *m)
{
	if (m->thread)
		db_thread_join(m->thread);
	free(m->page);
	if (m->v.broken && !v->broken)
		memcpy(v->first, m->v.first, sizeof(v->first));
	v->checked += m->v.checked;
	v->broken += m->v.broken;
}

void try_dio_slots(struct verdict *v)
{
	static struct member members[MAX_WHO];
	struct storm s = { .fd = -1 };
	int n;

	v->not_asked = open_direct(&s.file, &s.fd);
	if (v->not_asked)
		return;
	for (n = 0; n < MAX_WHO; n++) {
		members[n] = (struct member){ .storm = &s, .who = (uint64_t)n };
		members[n].seed = lab_options.seed + (uint64_t)n + 1;
		members[n].page = memalign(LAB_PAGE, LAB_PAGE);
		if (members[n].page)
			members[n].thread =
				db_thread_start(n % lab_options.cpus, member_run, &members[n]);
		if (!members[n].thread)
			lab_trouble("a thread of a storm: %s", strerror(errno));
	}
	for (n = 0; n < MAX_WHO; n++)
		member_end(v, &members[n]);
	check_disk(v, &s);
	close(s.fd);
	lab_close(&s.file);
}
