/* SPDX-License-Identifier: MIT */
/*
 * test_alloc_random.c - whatever is done to files full of holes, in whatever order and under
 * whatever alloc= and policy: what was let pass is there, and the room comes back (rule 95).
 */
#include "kernel/lib/falloc.h"
#include "kernel/mm/policy.h"
#include "tests/fs/alloc_test.h"

#define MIB    (1ul << 20)
#define FILES  2
#define SPOTS  20
#define ROUNDS 400

/* Bytes of a file that are stored to: one in each of some blocks, around the ends of tables. */
struct sparse {
	struct file *file;
	u8 *map;
	u64 len;
	u64 pos[SPOTS];
	u8 is[SPOTS]; /* what must be there */
	char name[2];
};

struct chaos {
	struct fst_disk *d;
	u64 rand;
	struct sparse f[FILES];
	bool lossy; /* alloc=writeback was chosen on a disk that may be full */
};

static u64 pick(struct chaos *c, u64 n)
{
	return ktest_rand(&c->rand) % n;
}

static void choose_spots(struct chaos *c, struct sparse *s)
{
	u64 ptrs = c->d->block_size / 4, second = 12 + ptrs, third = second + ptrs * ptrs;
	const u64 near[] = {
		0, 4, 12, second, second + ptrs, second + 9 * ptrs, third, third + ptrs * ptrs
	};

	for (int i = 0; i < SPOTS; i++)
		s->pos[i] = (near[(u64)i % ARRAY_SIZE(near)] + pick(c, 4)) * c->d->block_size +
			    pick(c, c->d->block_size);
	s->len = (third + ptrs * ptrs + 4) * c->d->block_size;
}

static void open_new(struct chaos *c, struct sparse *s)
{
	s->file = alloc_sparse(c->d, s->name, s->len / c->d->block_size);
	s->map = s->file ? fst_map(s->file, 0, s->len, PROT_READ | PROT_WRITE) : NULL;
	memset(s->is, 0, sizeof(s->is));
}

static void close_it(struct sparse *s)
{
	if (s->map)
		fst_unmap(s->map, s->len);
	if (s->file)
		file_put(s->file);
}

/* The same byte may have been chosen twice. */
static void note(struct sparse *s, u64 pos, u8 v)
{
	for (int i = 0; i < SPOTS; i++)
		if (s->pos[i] == pos)
			s->is[i] = v;
}

static void store(struct chaos *c, struct sparse *s)
{
	u64 pos = s->pos[pick(c, SPOTS)];
	u8 v = (u8)(1 + pick(c, 255));

	if (pos < fst_size(s->file) && fst_store(s->map + pos, v))
		note(s, pos, v);
}

static void write(struct chaos *c, struct sparse *s)
{
	u64 pos = s->pos[pick(c, SPOTS)];
	u8 v = (u8)(1 + pick(c, 255));

	if (vfs_pwrite(s->file, &v, 1, pos) == 1)
		note(s, pos, v);
}

static void cut(struct chaos *c, struct sparse *s)
{
	u64 size = pick(c, 3) ? s->len : s->pos[pick(c, SPOTS)] + pick(c, 2);

	EXPECT_EQ(vfs_ftruncate(s->file, size), 0);
	for (int i = 0; i < SPOTS; i++)
		if (s->pos[i] >= size)
			s->is[i] = 0;
}

/* A hole of some blocks around a spot. */
static void punch(struct chaos *c, struct sparse *s)
{
	u64 bs = c->d->block_size, start = s->pos[pick(c, SPOTS)] & ~(bs - 1);
	u64 len = (1 + pick(c, 6)) * bs;

	EXPECT_EQ(vfs_fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (s64)start,
				(s64)len),
		  0);
	for (int i = 0; i < SPOTS; i++)
		if (s->pos[i] >= start && s->pos[i] < start + len)
			s->is[i] = 0;
}

static void look(struct chaos *c, struct sparse *s)
{
	u64 size = fst_size(s->file);

	for (int i = 0; i < SPOTS; i++) {
		u8 v = 0;

		if (s->pos[i] >= size)
			continue;
		if (pick(c, 2))
			EXPECT(fst_load(s->map + s->pos[i], &v));
		else
			EXPECT_EQ(vfs_pread(s->file, &v, 1, s->pos[i]), 1);
		if (!c->lossy)
			EXPECT_EQ(v, s->is[i]);
	}
}

static void change_mode(struct chaos *c)
{
	static const char *const modes[] = { "reserve", "fault", "reserve", "writeback" };
	const char *mode = modes[pick(c, c->lossy ? 4 : 3)];
	const struct dirty_policy *p = policy_by_number((unsigned int)pick(c, 9));

	EXPECT_EQ(args_set("alloc", mode), 0);
	for (int i = 0; i < FILES; i++)
		WRITE_ONCE(c->f[i].file->inode->data.policy, pick(c, 2) ? p : NULL);
}

static void step(struct chaos *c)
{
	struct sparse *s = &c->f[pick(c, FILES)];

	switch (pick(c, 16)) {
	case 0: cut(c, s); break;
	case 1: change_mode(c); break;
	case 2: look(c, s); break;
	case 3: vfs_fsync(s->file, pick(c, 2)); break;
	case 4: vfs_drop_caches(); break;
	case 5: fst_msync(s->map, s->len); break;
	case 6:
		if (pick(c, 4))
			break;
		close_it(s);
		EXPECT_EQ(vfs_unlink(fst_path(c->d, s->name)), 0);
		open_new(c, s);
		break;
	case 7: punch(c, s); break;
	case 8:
	case 9: write(c, s); break;
	default: store(c, s); break;
	}
}

/* @spare: free blocks to begin with; 0: as many as there are. */
static void all_sorts_of_things(struct fst_disk *d, u64 spare, bool lossy)
{
	struct chaos c = { .d = d, .rand = ktest_seed() | 1, .lossy = lossy };
	u64 start;

	if (spare)
		alloc_fill(d, "filler", spare);
	for (int i = 0; i < FILES; i++) {
		c.f[i].name[0] = (char)('a' + i);
		choose_spots(&c, &c.f[i]);
		open_new(&c, &c.f[i]);
	}
	start = fst_free_blocks(d->path);
	for (int i = 0; i < ROUNDS && !ktest_failed() && c.f[0].map && c.f[1].map; i++) {
		step(&c);
		if (i % 16 == 0)
			alloc_audit(d);
	}
	EXPECT_EQ(args_set("alloc", "reserve"), 0);
	vfs_sync();
	for (int i = 0; i < FILES; i++) {
		look(&c, &c.f[i]);
		/* What was lost is told once, here. */
		EXPECT(vfs_fsync(c.f[i].file, false) == 0 || lossy);
		EXPECT_EQ(vfs_ftruncate(c.f[i].file, 0), 0);
		WRITE_ONCE(c.f[i].file->inode->data.policy, NULL);
		close_it(&c.f[i]);
	}
	EXPECT_EQ(alloc_reserved(d), 0);
	EXPECT_EQ(alloc_free(d), start);
}

static void roomy(struct fst_disk *d)
{
	all_sorts_of_things(d, 0, false);
}

static void tight(struct fst_disk *d)
{
	all_sorts_of_things(d, 24, false);
}

static void tight_and_lossy(struct fst_disk *d)
{
	all_sorts_of_things(d, 24, true);
}

KTEST(alloc_random, r95_free_count_is_where_it_began)
{
	alloc_on_each_shape("reserve", 2 * MIB, roomy);
}

KTEST(alloc_random, r95_also_where_stores_are_refused)
{
	alloc_on_each_shape("reserve", 1 * MIB, tight);
}

KTEST(alloc_random, r95_also_where_stores_are_lost)
{
	alloc_on_each_shape("reserve", 1 * MIB, tight_and_lossy);
}
