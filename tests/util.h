/* SPDX-License-Identifier: MIT */
/*
 * util.h - what tests of mm share: a file that needs no file system, threads that do as they are
 * told, and gates that hold a thread at a delay point until the test lets it go.
 *
 * Layout of a race: the body runs pinned to CPU 0 (on_cpu0), the writer W is a thread of the same
 * address space that spins on CPU 1, so that nothing but a shootdown ever takes its translations
 * away. On a machine with one CPU they share it, and every test still holds.
 * Time never decides a verdict; what waits longer than PATIENCE panics with what it waited for.
 */
#ifndef TESTS_UTIL_H
#define TESTS_UTIL_H

#include "kernel/block/ramblk.h"
#include "kernel/core/clock.h"
#include "kernel/core/delay.h"
#include "kernel/core/sched.h"
#include "kernel/mm/dirty_policy.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/mmap.h"
#include "kernel/mm/page_dirty.h"
#include "kernel/mm/throttle.h"
#include "kernel/mm/writeback.h"
#include "tests/ktest.h"

#define PATIENCE (100 * NSEC_PER_SEC)

/* Sleep until @cond holds; for ever is a panic that says where. */
#define WAIT_FOR(cond)                                                                             \
	do {                                                                                       \
		ktime_t _end = ktime_get() + PATIENCE;                                             \
		while (!(cond)) {                                                                  \
			if (ktime_get() > _end)                                                    \
				panic("%s:%d: waited too long for: %s", __FILE__, __LINE__,        \
				      #cond);                                                      \
			sleep_ns(50 * NSEC_PER_USEC);                                              \
		}                                                                                  \
	} while (0)

#define SLOTS_PER_PAGE (PAGE_SIZE / 8)

/* --- testfs.c: one file over a RAM disk of its own ------------------------------------------- */

#define TESTFS_BLOCK	  1024U /* four blocks to a page */
#define TESTFS_PAGE_BLOCK (PAGE_SIZE / TESTFS_BLOCK)

/*
 * Page i of the file lies at page i of the disk. A block is written only if prepare_write() found
 * it before, as in a file system with holes. The flusher is parked until testfs_unpark(). The
 * fields below `knobs` may be set by a test at any time.
 */
struct testfs {
	struct address_space mapping;
	struct blkdev *dev;
	struct rwsem i_rwsem;
	u64 nr_pages; /* of the disk; mapping.size may be smaller */
	u8 *prepared; /* page lock: one byte per page, a bit per block */
	bool parked;
	u32 told; /* a: its errors, to testfs_fsync() and msync: there is one open file */
	/* knobs */
	int prepare_error; /* what prepare_write() says; 0: it agrees */
	int release_error; /* what release_page() says for page release_index */
	pgoff_t release_index;
	bool bounce; /* the device has read memory when writepages() returns, and holds the
			    * bytes of that moment until it completes */
	vm_fault_t (*mkwrite)(struct vm_fault *vmf); /* NULL: the generic one */
	void (*before_write)(struct testfs *fs, struct page_list *pages); /* in writepages() */
	/* what happened */
	u64 mkwrites, prepares, pages_read, pages_written, cmtimes; /* a */
};

/* A file of @pages pages, all holes. NULL: no memory, and the test has failed. */
struct testfs *testfs_create(u64 pages);
/* Nobody maps it any more. What is dirty is discarded. */
void testfs_destroy(struct testfs *fs);
void testfs_unpark(struct testfs *fs);
void testfs_park(struct testfs *fs);

/* As mmap(2), from page @first on; the address, or NULL and the test has failed. */
void *testfs_mmap(struct testfs *fs, struct mm *mm, pgoff_t first, u64 pages, int prot, int flags);
int testfs_fsync(struct testfs *fs);
int testfs_fsync_job(void *fs); /* for job_start() */
/* One pass of background writeback in the calling thread; waits for nothing. */
void testfs_background(struct testfs *fs);
/* A sync that leaves no page that may be dirty: asks nobody, protects all. */
int testfs_protect(struct testfs *fs);
s64 testfs_write(struct testfs *fs, u64 pos, const void *buf, size_t len);
s64 testfs_read(struct testfs *fs, u64 pos, void *buf, size_t len);
int testfs_truncate(struct testfs *fs, u64 size);
/* Bytes [@start, @end) become a hole; see pagecache_hole_begin(). */
int testfs_punch(struct testfs *fs, u64 start, u64 end);
/* Drop what is clean, unmapped and idle; how many pages stay. */
u64 testfs_drop_clean(struct testfs *fs);

/* The 8-byte slot @slot of page @page, on the platter. */
u64 testfs_platter(struct testfs *fs, pgoff_t page, unsigned int slot);
/* Put @v there, as if it had always been (before the page is read). */
void testfs_set_platter(struct testfs *fs, pgoff_t page, unsigned int slot, u64 v);
/* The cached page, or NULL; not referenced: the test knows that it stays. */
struct page *testfs_page(struct testfs *fs, pgoff_t index);
u64 testfs_count_tag(struct testfs *fs, unsigned int tag);

/* --- util.c: threads ------------------------------------------------------------------------- */

/* Run @body in a thread pinned to CPU 0 and wait. */
void on_cpu0(void (*body)(void));

/* A test whose body runs there. */
#define KTEST_ON_CPU0(s, n)                                                                        \
	static void on_cpu0_##s##_##n(void);                                                       \
	KTEST(s, n)                                                                                \
	{                                                                                          \
		on_cpu0(on_cpu0_##s##_##n);                                                        \
	}                                                                                          \
	static void on_cpu0_##s##_##n(void)

struct access {
	u64 *p;
	u64 v;
};

/* A thread of @mm, pinned, that spins until it is told something: its CPU never turns lazy. */
struct remote {
	struct thread *thread;
	int (*fn)(void *arg); /* a: NULL: it has nothing to do */
	void *arg;
	int result;
	struct access access;
	bool polite; /* it shares its CPU with who tells it */
};

void remote_start(struct remote *r, unsigned int cpu, struct mm *mm);
void remote_stop(struct remote *r);
/* Tell, without waiting; remote_wait() gives the result. */
void remote_begin(struct remote *r, int (*fn)(void *arg), void *arg);
int remote_wait(struct remote *r);
/* Both. Under a spinlock too, if @fn needs none and does not fault. */
int remote_call(struct remote *r, int (*fn)(void *arg), void *arg);
/* One access: 0, or the negative error that its fault ended in. */
int remote_store(struct remote *r, u64 *p, u64 v);
int remote_load(struct remote *r, const u64 *p, u64 *v);
/* The same where the access may have to wait for this thread, if W's translation is gone already:
 * returns when it is done or stuck. remote_wait() tells later what became of it; what a load
 * found is in r->access.v. */
void remote_try_store(struct remote *r, u64 *p, u64 v);
void remote_try_load(struct remote *r, const u64 *p);

/* A thread that does one thing and ends. */
struct job {
	struct thread *thread;
	int (*fn)(void *arg);
	void *arg;
	bool done; /* a */
};

void job_start(struct job *j, unsigned int cpu, struct mm *mm, int (*fn)(void *arg), void *arg);
/* Until it has ended (NULL), or sleeps and will go on sleeping until this thread does something:
 * the name of the queue or lock it sleeps on. */
const char *job_settles(struct job *j);
int job_end(struct job *j);

/* Holds the first thread that passes @point with @object (NULL: any). It sleeps, or spins where
 * a lock forbids sleeping. */
struct gate {
	const char *point;
	const void *object;
	bool arrived, open; /* a */
	struct wait_queue wait;
};

void gate_arm(struct gate *g, const char *point, const void *object);
void gate_wait(struct gate *g); /* until somebody stands there */
void gate_open(struct gate *g); /* and never hold anybody again */
void gate_disarm(struct gate *g);

/* --- util.c: the usual scene ----------------------------------------------------------------- */

/* A file mapped shared and writable, an address space in which the calling thread works from
 * stage_begin() to stage_end(), and a writer in it on CPU 1. */
struct stage {
	struct testfs *fs;
	struct mm *mm, *mm_before;
	u64 *map; /* all of the file */
	u64 pages;
	struct remote w;
};

/* False: no memory; the test has failed and nothing is left. */
bool stage_begin(struct stage *s, u64 pages);
/* Unmaps what is left of s->map; mappings of the file in other address spaces must be gone. */
void stage_end(struct stage *s);
/* munmap() of the first page of s->map, for job_start(). */
int stage_munmap_job(void *stage);
/* The first slot of page @page in the mapping. */
u64 *stage_slot(const struct stage *s, pgoff_t page);

struct mm *test_mm(void);		      /* a new address space; panics without memory */
pte_t test_pte(struct mm *mm, const void *p); /* 0 if there is none */
/* What a counter has grown by since @before. */
u64 stat_since(const struct stats *before, enum stat_id id);

/* --- policies that ask for trouble: pages that are writable without notice ------------------- */

extern const struct dirty_policy test_policy_silent;  /* cleaning write-protects */
extern const struct dirty_policy test_policy_clear_d; /* cleaning takes D alone */

#endif
