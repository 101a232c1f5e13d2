/* SPDX-License-Identifier: MIT */
/*
 * test_cmtime_race.c - who looks at the times while others store, clean and look.
 *
 * Nothing here is decided by time: threads are held at delay points.
 */
#include "arch/x86_64/uaccess.h"
#include "kernel/core/args.h"
#include "kernel/core/sched.h"
#include "kernel/mm/harvest.h"
#include "tests/fs/cmtime_scene.h"

#define DIR "/t_look"
#define LEN (4 * PAGE_SIZE)

/* A clean file, mapped in an address space that no CPU has stored in yet. */
struct scene {
	struct file *file;
	struct mm *mm;
	u64 *p;
	struct kstat st; /* of look_job() */
};

static const char *mode_before = "lazy";

static bool scene_begin(struct scene *s, const char *mode)
{
	vaddr_t va = 0;

	mode_before = cts_modes[cmtime_mode];
	*s = (struct scene){ 0 };
	if (!fst_root_is_ext2() || !fst_mkdir(DIR))
		return false;
	EXPECT_EQ(args_set("cmtime", mode), 0);
	s->mm = test_mm();
	s->file = fst_open(DIR "/f", O_RW | FS_O_CREAT);
	if (!s->file)
		return false;
	writeback_park(s->file->inode->data.wb);
	EXPECT(fst_write(s->file, 0, LEN, 1));
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	EXPECT_EQ(vfs_mmap(s->mm, 0, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0, &va), 0);
	s->p = (u64 *)va;
	return va;
}

static void scene_end(struct scene *s)
{
	if (s->mm)
		mm_put(s->mm);
	if (s->file) {
		writeback_unpark(s->file->inode->data.wb);
		file_put(s->file);
		fst_remove(DIR);
	}
	EXPECT_EQ(args_set("cmtime", mode_before), 0);
}

static int look_job(void *scene)
{
	struct scene *s = scene;

	return vfs_fstat(s->file, &s->st);
}

static int fsync_job(void *scene)
{
	struct scene *s = scene;

	return vfs_fsync(s->file, false);
}

static u64 look(struct scene *s)
{
	EXPECT_EQ(look_job(s), 0);
	return s->st.version;
}

static u64 content(const struct scene *s)
{
	u64 v = 0;

	EXPECT_EQ(vfs_pread(s->file, &v, 8, 0), 8);
	return v;
}

/*
 * What a cleaner took and has not noted yet:
 *
 *	K (fsync)			L (stat)
 *	takes D of a store
 *					finds neither D nor AS_CMTIME: the old time
 *	notes AS_CMTIME
 *
 * So L waits until K has noted it.
 */
static void held_cleaner(const char *point)
{
	struct gate gate;
	struct remote w;
	struct scene s;
	struct job k, l;
	u64 before;

	if (!scene_begin(&s, "lazy"))
		return scene_end(&s);
	before = look(&s);
	remote_start(&w, 1, s.mm);
	EXPECT_EQ(remote_store(&w, s.p, 7), 0);
	remote_stop(&w);
	gate_arm(&gate, point, &s.file->inode->data);
	job_start(&k, CPU_ANY, NULL, fsync_job, &s);
	gate_wait(&gate);
	job_start(&l, CPU_ANY, NULL, look_job, &s);
	job_settles(&l);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&l), 0);
	EXPECT_EQ(job_end(&k), 0);
	EXPECT(s.st.version > before);
	before = s.st.version;
	EXPECT_EQ(look(&s), before); /* and once only */
	scene_end(&s);
}

KTEST(cmtime_race, look_waits_for_a_cleaner)
{
	held_cleaner("mkclean_before_flush");
	held_cleaner("mkclean_before_decide");
}

/*
 * A store while L settles is stamped by the next look, wherever L was (rules C.2.1: flag, clock,
 * stamp). The other way round it would be lost:
 *
 *	L (stat)			H (harvest)
 *	reads the clock, stamps
 *					takes D of a store, sets AS_CMTIME
 *	clears AS_CMTIME
 */
static void store_while_settling(const char *point)
{
	struct gate gate;
	struct remote w;
	struct scene s;
	struct job l;
	u64 first;

	if (!scene_begin(&s, "lazy"))
		return scene_end(&s);
	remote_start(&w, 1, s.mm);
	EXPECT_EQ(remote_store(&w, s.p, 1), 0);
	gate_arm(&gate, point, s.file->inode);
	job_start(&l, CPU_ANY, NULL, look_job, &s);
	gate_wait(&gate);
	EXPECT_EQ(remote_store(&w, s.p, 2), 0);
	mapping_harvest(&s.file->inode->data, 0, ~0ul, HARVEST_TIMES);
	gate_disarm(&gate);
	EXPECT_EQ(job_end(&l), 0);
	remote_stop(&w);
	first = s.st.version;
	EXPECT((look(&s) > first) == !strcmp(point, "cmtime_settling"));
	first = s.st.version;
	EXPECT_EQ(look(&s), first);
	scene_end(&s);
}

KTEST(cmtime_race, store_while_a_look_settles)
{
	store_while_settling("cmtime_marks_collected"); /* its own stamp covers it */
	store_while_settling("cmtime_settling");
}

/*
 * Query: L must copy the cookie before it takes W away.
 *
 *	L (stat)			S (store, its first one)
 *	takes W away
 *					faults: PTE writable, AS_ARMED: moves the cookie
 *	copies the new cookie
 *	reads the old contents
 *					stores: no trap, no stamp
 *	trusts its copy for ever
 */
KTEST(cmtime_race, query_copies_before_it_arms)
{
	struct gate arm, store;
	struct remote w;
	struct scene s;
	struct job l;
	u64 cookie, old;

	if (!scene_begin(&s, "query"))
		return scene_end(&s);
	remote_start(&w, 1, s.mm);
	EXPECT_EQ(remote_store(&w, s.p + SLOTS_PER_PAGE, 1), 0); /* not armed any more */
	gate_arm(&arm, "arm_before_flush", &s.file->inode->data);
	gate_arm(&store, "cmtime_noted", s.file->inode);
	job_start(&l, 0, NULL, look_job, &s);
	gate_wait(&arm);
	remote_try_store(&w, s.p, 2);
	gate_wait(&store);
	gate_disarm(&arm);
	EXPECT_EQ(job_end(&l), 0);
	cookie = s.st.version;
	old = content(&s);
	gate_disarm(&store);
	EXPECT_EQ(remote_wait(&w), 0);
	remote_stop(&w);
	EXPECT(content(&s) != old);
	EXPECT(look(&s) != cookie);
	scene_end(&s);
}

/*
 * Query: the PTE becomes writable before the fault looks whether the file is armed.
 *
 *	S (store)			L (stat)
 *	(wrong) not armed: no stamp
 *					copies the cookie, arms, reads the contents
 *	PTE writable, stores
 */
KTEST(cmtime_race, query_fault_during_a_look)
{
	static const char *const points[] = { "mkwrite_done", "mkwrite_pte_set" };
	struct gate gate;
	struct remote w;
	struct scene s;
	struct job l;
	u64 cookie, old;

	for (u32 i = 0; i < ARRAY_SIZE(points); i++) {
		if (!scene_begin(&s, "query"))
			return scene_end(&s);
		remote_start(&w, 1, s.mm);
		EXPECT_EQ(remote_store(&w, s.p + SLOTS_PER_PAGE, 1), 0);
		gate_arm(&gate, points[i], NULL);
		remote_try_store(&w, s.p, 2);
		gate_wait(&gate);
		job_start(&l, 0, NULL, look_job, &s);
		EXPECT_EQ(job_end(&l), 0);
		cookie = s.st.version;
		old = 0; /* the page is locked; nothing was stored yet */
		gate_disarm(&gate);
		EXPECT_EQ(remote_wait(&w), 0);
		remote_stop(&w);
		EXPECT(content(&s) != old);
		EXPECT(look(&s) != cookie);
		scene_end(&s);
	}
}

/* Query: the second of two who look at once may not return before W is taken. */
KTEST(cmtime_race, query_second_look_waits)
{
	struct gate arm;
	struct remote w;
	struct scene s;
	struct job l1, l2;
	u64 cookie;

	if (!scene_begin(&s, "query"))
		return scene_end(&s);
	remote_start(&w, 1, s.mm);
	EXPECT_EQ(remote_store(&w, s.p, 1), 0);
	gate_arm(&arm, "arm_before_flush", &s.file->inode->data);
	job_start(&l1, CPU_ANY, NULL, look_job, &s);
	gate_wait(&arm);
	/* W's CPU still has the writable entry. */
	job_start(&l2, CPU_ANY, NULL, look_job, &s);
	EXPECT(job_settles(&l2));
	gate_disarm(&arm);
	EXPECT_EQ(job_end(&l1), 0);
	EXPECT_EQ(job_end(&l2), 0);
	cookie = s.st.version;
	EXPECT_EQ(remote_store(&w, s.p, 2), 0);
	remote_stop(&w);
	EXPECT(look(&s) > cookie);
	scene_end(&s);
}

/* P32 for ever: a thread stores, one cleans, and an observer that trusts its cookie must have seen
 * every value that was there when it looked. @mode lazy or query. */
struct storm {
	struct scene s;
	u64 stored; /* a: the last value that is in the page for sure */
	bool stop;  /* a */
};

static int storm_store(void *storm)
{
	struct storm *m = storm;
	u64 v = 0;

	while (!atomic_load(&m->stop)) {
		if (probe_store8(m->s.p, ++v))
			return -EFAULT;
		atomic_store(&m->stored, v);
	}
	return 0;
}

static int storm_clean(void *storm)
{
	struct storm *m = storm;

	while (!atomic_load(&m->stop)) {
		if (vfs_fsync(m->s.file, true))
			return -EIO;
		yield();
	}
	return 0;
}

static void observe_storm(struct storm *m)
{
	u64 cookie = 0, copy = 0;

	for (u32 i = 0; i < 300; i++) {
		u64 stored = atomic_load(&m->stored), now = look(&m->s);

		/* Nothing was stored after @copy was read, says the cookie. */
		if (now == cookie && copy < stored)
			ktest_fail(__FILE__, __LINE__, "look %u: %lu is trusted, %lu was stored", i,
				   (unsigned long)copy, (unsigned long)stored);
		if (now != cookie) {
			cookie = now;
			copy = content(&m->s);
		}
		if (i % 3 == 0)
			sleep_ns(20 * NSEC_PER_USEC);
	}
}

static void storm(const char *mode)
{
	struct storm m = { 0 };
	struct job w, k;

	if (scene_begin(&m.s, mode)) {
		EXPECT_EQ(vfs_pwrite(m.s.file, "\0\0\0\0\0\0\0\0", 8, 0), 8);
		job_start(&w, 1, m.s.mm, storm_store, &m);
		job_start(&k, CPU_ANY, NULL, storm_clean, &m);
		observe_storm(&m);
		atomic_store(&m.stop, true);
		EXPECT_EQ(job_end(&w), 0);
		EXPECT_EQ(job_end(&k), 0);
	}
	scene_end(&m.s);
}

KTEST(cmtime_race, lazy_observer_in_a_storm)
{
	storm("lazy");
}

KTEST(cmtime_race, query_observer_in_a_storm)
{
	storm("query");
}
