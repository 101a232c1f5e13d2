/* SPDX-License-Identifier: MIT */
/*
 * test_dio_buffer.c - direct I/O into and from memory of every kind: of the kernel's half,
 * anonymous, private, and mappings of the same file and of another (rules 15, 111; B21, B24;
 * xfstests generic 413, 647, 708, 729).
 */
#include "kernel/core/stat.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/vmap.h"
#include "tests/fs/dio_test.h"

#define PIECE 8192ul

static u8 in_the_image[PIECE] __aligned(PAGE_SIZE);

static bool begin(struct dio_scene *s, u64 len)
{
	if (!dio_begin_alone(s, len))
		return false;
	EXPECT_EQ(vfs_fsync(s->cached, false), 0);
	drop_all(s);
	return true;
}

/* There and back again. */
static void try_buffer(struct dio_scene *s, void *buf, const char *what)
{
	EXPECT_EQ(vfs_pread(s->direct, buf, PIECE, 4096), PIECE);
	EXPECT_EQ(fst_differs(buf, PIECE, 4096, 1), PIECE);
	fst_fill(buf, PIECE, 32768, 3);
	EXPECT_EQ(vfs_pwrite(s->direct, buf, PIECE, 32768), PIECE);
	EXPECT(fst_check(s->cached, 32768, PIECE, 3));
	EXPECT(fst_write(s->cached, 32768, PIECE, 1));
	if (ktest_failed())
		ktest_note("with a buffer %s", what);
}

KTEST(dio, buffers_of_the_kernels_half)
{
	u8 *piece = kmalloc(PIECE + 512), on_the_stack[PIECE + 512];
	struct dio_scene s;

	if (!begin(&s, 65536))
		return;
	try_buffer(&s, s.buf + 512, "of scattered frames");
	try_buffer(&s, in_the_image, "in the image");
	try_buffer(&s, (void *)ALIGN_UP((u64)on_the_stack, 512ul), "on the stack");
	if (piece)
		try_buffer(&s, (void *)ALIGN_UP((u64)piece, 512ul), "in the direct map");
	kfree(piece);
	dio_end(&s);
}

static u8 *map_private(struct file *file, u64 len)
{
	struct mm *mm = current_thread()->mm;
	vaddr_t va = 0;

	if (file)
		EXPECT_EQ(vfs_mmap(mm, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0, &va),
			  0);
	else
		EXPECT_EQ(mm_mmap(mm, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  NULL, 0, &va),
			  0);
	return (u8 *)va;
}

/* Untouched, so that the call itself faults them in; the file behind a private one stays. */
KTEST(dio, private_and_anonymous_buffers)
{
	struct mm *before = current_thread()->mm, *mm = test_mm();
	struct dio_scene s;
	u8 *p;

	if (!begin(&s, 65536))
		return;
	mm_use(mm);
	p = map_private(NULL, PIECE);
	try_buffer(&s, p, "anonymous");
	EXPECT_EQ(mm_munmap(mm, (vaddr_t)p, PIECE), 0);
	p = map_private(s.cached, PIECE);
	try_buffer(&s, p, "private");
	EXPECT(fst_check(s.cached, 0, 65536, 1));
	EXPECT_EQ(mm_munmap(mm, (vaddr_t)p, PIECE), 0);
	mm_use(before);
	mm_put(mm);
	dio_end(&s);
}

/* ---- mappings of files --------------------------------------------------------------------- */

static struct file *other_file(struct dio_scene *s, u64 len)
{
	struct file *file;

	EXPECT(fst_make(fst_path(&s->disk, "g"), len, 2));
	file = fst_open(fst_path(&s->disk, "g"), O_RW);
	EXPECT(file && !vfs_fsync(file, false));
	return file;
}

/* B21, rule 111: what the device put there is stored to that file as by a store. */
KTEST(dio, read_into_a_mapping_of_another_file)
{
	const struct dirty_policy *policy = NULL;
	struct kstat before, after;

	while ((policy = policy_next(policy)) && !ktest_failed()) {
		struct dio_scene s;
		struct file *g;
		u8 *map;

		if (!begin(&s, 65536))
			return;
		g = other_file(&s, 65536);
		ASSERT(g);
		EXPECT_EQ(policy_choose_file(&g->inode->data, policy->name), 0);
		map = fst_map(g, 0, 65536, PROT_READ | PROT_WRITE);
		vfs_fstat(g, &before);
		EXPECT_EQ(vfs_pread(s.direct, map + 512, 32768, 512), 32768);
		vfs_fstat(g, &after);
		if (!(policy->breaks & BREAKS(COOKIE)))
			EXPECT(after.version > before.version);
		EXPECT_EQ(fst_differs(map + 512, 32768, 512, 1), 32768);
		EXPECT_EQ(fst_differs(map, 512, 0, 2), 512);
		EXPECT_EQ(vfs_fsync(g, false), 0);
		EXPECT(fst_on_disk(g, 512, s.buf, 32768));
		EXPECT_EQ(fst_differs(s.buf, 32768, 512, 1), 32768);
		/* And back: from the mapping to the disk. */
		EXPECT_EQ(vfs_pwrite(s.direct, map + 40960, 8192, 40960), 8192);
		EXPECT(fst_check(s.cached, 40960, 8192, 2));
		if (ktest_failed())
			ktest_note("with policy %s", policy->name);
		fst_unmap(map, 65536);
		file_put(g);
		vfs_unlink(fst_path(&s.disk, "g"));
		dio_end(&s);
	}
}

/* A hole, read into the page before it; page 1 onto page 0, and onto itself; full counts, right
 * bytes, and it ends (B24). */
static void same_file(struct dio_scene *s, struct file *file, u8 *map)
{
	EXPECT_EQ(vfs_pread(s->direct, map, 4096, 4096), 4096);
	EXPECT_EQ(fst_differs(map, 4096, 4096, 1), 4096);
	EXPECT_EQ(vfs_pread(file, map, 4096, 8192), 4096);
	EXPECT_EQ(fst_differs(map, 4096, 8192, 1), 4096);
	EXPECT_EQ(vfs_pread(s->direct, map, 4096, 32768), 4096); /* the hole */
	EXPECT(fst_is_zero(map, 4096));
	EXPECT_EQ(vfs_pwrite(file, map + 4096, 4096, 0), 4096);
	EXPECT_EQ(fst_differs(map, 4096, 4096, 1), 4096);
	EXPECT_EQ(vfs_pwrite(s->direct, map + 8192, 4096, 0), 4096);
	EXPECT_EQ(fst_differs(map, 4096, 8192, 1), 4096);
	/* Onto itself, read and written; then half of it over the other half. */
	EXPECT_EQ(vfs_pwrite(s->direct, map, 12288, 0), 12288);
	EXPECT_EQ(vfs_pread(s->direct, map, 12288, 0), 12288);
	EXPECT_EQ(fst_differs(map, 4096, 8192, 1), 4096);
	EXPECT_EQ(fst_differs(map + 4096, 8192, 4096, 1), 8192);
	EXPECT_EQ(vfs_pread(s->direct, map + 2048, 2048, 0), 2048);
	EXPECT_EQ(fst_differs(map + 2048, 2048, 8192, 1), 2048);
	EXPECT_EQ(vfs_pwrite(s->direct, map + 4096, 2048, 6144), 2048);
	EXPECT_EQ(fst_differs(map + 6144, 2048, 4096, 1), 2048);
	/* Past the end. */
	EXPECT_EQ(vfs_pwrite(s->direct, map, 4096, 36864), 4096);
	EXPECT_EQ(fst_differs(map + 36864, 2048, 8192, 1), 2048);
}

KTEST(dio, buffer_is_a_mapping_of_the_same_file)
{
	const struct dirty_policy *policy = NULL;

	while ((policy = policy_next(policy)) && !ktest_failed()) {
		struct dio_scene s;
		u8 *map;

		if (!begin(&s, 12288))
			return;
		EXPECT_EQ(policy_choose_file(&s.cached->inode->data, policy->name), 0);
		EXPECT_EQ(vfs_ftruncate(s.cached, 36864), 0);
		map = fst_map(s.cached, 0, 40960, PROT_READ | PROT_WRITE);
		same_file(&s, s.cached, map);
		EXPECT_EQ(fst_msync(map, 40960), 0);
		EXPECT(fst_on_disk(s.cached, 0, s.buf, 2048));
		EXPECT_EQ(fst_differs(s.buf, 2048, 8192, 1), 2048);
		if (ktest_failed())
			ktest_note("with policy %s", policy->name);
		fst_unmap(map, 40960);
		dio_end(&s);
	}
}

/* Two megabytes of which only the first page is there (generic/708). */
KTEST(dio, buffer_of_which_the_first_page_is_there)
{
	const u64 len = 2ul << 20;
	struct dio_scene s;
	struct file *g;
	u8 *map, c;

	if (!begin(&s, 4096))
		return;
	g = other_file(&s, 1ul << 20);
	ASSERT(g);
	EXPECT_EQ(vfs_fsync(g, false), 0);
	map = fst_map(g, 0, 1ul << 20, PROT_READ);
	EXPECT(fst_load(map, &c));
	EXPECT_EQ(vfs_pwrite(s.direct, map, 1ul << 20, 0), 1ul << 20);
	EXPECT_EQ(vfs_pwrite(s.direct, map, 1ul << 20, 0), 1ul << 20);
	EXPECT(fst_check(s.cached, 0, 1ul << 20, 2));
	fst_unmap(map, 1ul << 20);
	file_put(g);
	vfs_unlink(fst_path(&s.disk, "g"));
	/* And one that is longer than a piece. */
	map = vmalloc(len / PAGE_SIZE + 1);
	if (map) {
		fst_fill(map + 512, len, 0, 5);
		EXPECT_EQ(vfs_pwrite(s.direct, map + 512, len, 0), len);
		EXPECT_EQ(vfs_pwrite(s.direct, map + 512, len, 0), len);
		memset(map, 0, len);
		EXPECT_EQ(vfs_pread(s.direct, map, len, 0), len);
		EXPECT_EQ(fst_differs(map, len, 0, 5), len);
	}
	vfree(map);
	dio_end(&s);
}
