/* SPDX-License-Identifier: MIT */
/*
 * test_dio_storm.c - direct I/O, write(), stores through a mapping, truncation and syncs of one
 * file at once, in no order: whatever is read is a word that somebody wrote there, or zero (I5),
 * the file system stays sound, and it ends.
 */
#include "arch/x86_64/uaccess.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/dio_test.h"

#define LEN    65536ul
#define ROUNDS 80
#define UNIT   8192ul

enum seed { FIRST = 1, DIRECT, CACHED, MAPPED, NR_SEEDS };

struct storm {
	struct dio_scene s;
	u64 *map;
	int bad; /* a */
};

struct actor {
	struct storm *storm;
	struct job job;
	u64 rng;
	u8 *buf;
};

static bool somebody_wrote(u64 word, u64 pos)
{
	u64 want;

	for (u64 seed = FIRST; seed < NR_SEEDS; seed++) {
		fst_fill(&want, sizeof(want), pos, seed);
		if (word == want)
			return true;
	}
	return !word;
}

static void check(struct actor *a, const u64 *words, s64 len, u64 pos)
{
	for (s64 i = 0; i < len / 8; i += 5)
		if (!somebody_wrote(words[i], pos + (u64)i * 8))
			atomic_inc(&a->storm->bad);
}

static int direct_actor(void *arg)
{
	struct actor *a = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		u64 pos = ktest_rand(&a->rng) % (LEN / 512) * 512;
		u64 len = (1 + ktest_rand(&a->rng) % (UNIT / 512)) * 512;
		s64 n;

		n = vfs_pread(a->storm->s.direct, a->buf, len, pos);
		if (n < 0)
			atomic_inc(&a->storm->bad);
		check(a, (u64 *)a->buf, n, pos);
		fst_fill(a->buf, len, pos, DIRECT);
		n = vfs_pwrite(a->storm->s.direct, a->buf, len, pos);
		if (n != (s64)len && n != -ERACE)
			atomic_inc(&a->storm->bad);
	}
	return 0;
}

static int cached_actor(void *arg)
{
	struct actor *a = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		u64 pos = ktest_rand(&a->rng) % (LEN / 8) * 8, what = ktest_rand(&a->rng) % 8;

		fst_fill(a->buf, 1024, pos, CACHED);
		if (what < 4 && vfs_pwrite(a->storm->s.cached, a->buf, 1024, pos) != 1024)
			atomic_inc(&a->storm->bad);
		if (what == 4)
			EXPECT_EQ(vfs_ftruncate(a->storm->s.cached, pos), 0);
		if (what == 5)
			EXPECT_EQ(vfs_fsync(a->storm->s.cached, pos & 8), 0);
		check(a, (u64 *)a->buf, vfs_pread(a->storm->s.cached, a->buf, 4096, pos), pos);
	}
	return 0;
}

/* Beyond the end of the file a store is refused, and no matter. */
static int mapped_actor(void *arg)
{
	struct actor *a = arg;
	u64 word;

	for (u32 i = 0; i < ROUNDS * 8; i++) {
		u64 pos = ktest_rand(&a->rng) % (LEN / 8) * 8;

		fst_fill(&word, sizeof(word), pos, MAPPED);
		copy_fault(a->storm->map + pos / 8, &word, sizeof(word));
		word = 0;
		copy_fault(&word, a->storm->map + pos / 8, sizeof(word));
		check(a, &word, 8, pos);
	}
	return 0;
}

static void play(struct storm *t)
{
	static int (*const acts[])(void *) = { direct_actor, mapped_actor, cached_actor,
					       direct_actor };
	struct actor actor[ARRAY_SIZE(acts)];

	for (u32 i = 0; i < ARRAY_SIZE(acts); i++) {
		actor[i] = (struct actor){ .storm = t, .rng = ktest_seed() + i + 1 };
		actor[i].buf = kmalloc(UNIT);
		BUG_ON(!actor[i].buf);
		job_start(&actor[i].job, i, current_thread()->mm, acts[i], &actor[i]);
	}
	for (u32 i = 0; i < ARRAY_SIZE(acts); i++) {
		EXPECT_EQ(job_end(&actor[i].job), 0);
		kfree(actor[i].buf);
	}
	EXPECT_EQ(t->bad, 0);
}

KTEST_ON_CPU0(dio, storm)
{
	struct storm t = { .bad = 0 };

	if (!dio_begin_alone(&t.s, LEN))
		return;
	t.map = (u64 *)fst_map(t.s.cached, 0, LEN, PROT_READ | PROT_WRITE);
	if (t.map) {
		play(&t);
		fst_unmap(t.map, LEN);
	}
	dio_end(&t.s);
}
