/* SPDX-License-Identifier: MIT */
/*
 * cmtime_scene.c - the file that the tests of file times watch.
 */
#include "tests/fs/cmtime_scene.h"

#include "kernel/core/args.h"
#include "kernel/core/sched.h"
#include "kernel/mm/kmalloc.h"

const char *const cts_modes[CTS_MODES] = { "lazy", "eager", "memory", "writeback", "query" };

u64 cts_nanoseconds(struct file_time t)
{
	return (u64)t.sec * NSEC_PER_SEC + t.nsec;
}

struct kstat cts_look(const struct cts *s)
{
	struct kstat st = { 0 };

	EXPECT_EQ(vfs_fstat(s->file, &st), 0);
	return st;
}

u64 cts_mtime(const struct cts *s)
{
	struct kstat st = cts_look(s);

	EXPECT_EQ(cts_nanoseconds(st.mtime), cts_nanoseconds(st.ctime));
	return cts_nanoseconds(st.mtime);
}

u64 cts_later(void)
{
	u64 tick = clock_realtime() / CMTIME_TICK;

	while (clock_realtime() / CMTIME_TICK == tick)
		sleep_ns(CMTIME_TICK / 4);
	return clock_realtime();
}

int cts_msync(const struct cts *s, int flags)
{
	return mm_msync(current_thread()->mm, (vaddr_t)s->p, CTS_LEN, flags);
}

void cts_unmap(struct cts *s)
{
	fst_unmap(s->p, CTS_LEN);
	s->p = NULL;
}

bool cts_open(struct cts *s)
{
	s->file = fst_open(fst_path(&s->disk, "f"), O_RW | FS_O_CREAT);
	s->p = NULL;
	if (s->file && !fst_size(s->file))
		EXPECT(fst_write(s->file, 0, CTS_LEN, 1));
	if (s->file)
		s->p = fst_map(s->file, 0, CTS_LEN, PROT_READ | PROT_WRITE);
	return s->p;
}

void cts_close(struct cts *s)
{
	if (s->p)
		cts_unmap(s);
	if (s->file)
		file_put(s->file);
	s->file = NULL;
}

static unsigned int mode_before;

bool cts_begin(struct cts *s, const char *mode)
{
	mode_before = cmtime_mode;
	EXPECT_EQ(args_set("cmtime", mode), 0);
	if (!fst_disk_make(&s->disk, "t_times", 256 << 10, 1024, 256))
		return false;
	writeback_park(&s->disk.dev->wb); /* what is written out, the case writes out */
	if (!cts_open(s))
		return false;
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	cts_look(s);
	cts_later();
	return true;
}

void cts_end(struct cts *s)
{
	cts_close(s);
	if (s->disk.dev) {
		writeback_unpark(&s->disk.dev->wb);
		fst_disk_end(&s->disk, FST_SOUND);
	}
	EXPECT_EQ(args_set("cmtime", cts_modes[mode_before]), 0);
}

u64 cts_mtime_on_platter(const struct cts *s)
{
	u8 *copy = kmalloc(s->disk.bytes);
	struct blkdev *dev = NULL;
	struct kstat st = { 0 };

	BUG_ON(!copy);
	memcpy(copy, ramblk_data(s->disk.dev, 0), s->disk.bytes);
	EXPECT(fst_mkdir("/t_after"));
	EXPECT_EQ(ramblk_create("t_after", s->disk.bytes, copy, SECTOR_SIZE, &dev), 0);
	EXPECT_EQ(vfs_mount("t_after", "ext2", "/t_after"), 0);
	EXPECT_EQ(vfs_stat("/t_after/f", &st), 0);
	EXPECT_EQ(vfs_umount("/t_after"), 0);
	ramblk_destroy(dev);
	EXPECT_EQ(vfs_rmdir("/t_after"), 0);
	kfree(copy);
	return cts_nanoseconds(st.mtime);
}

u64 cts_store_again(const struct cts *s)
{
	struct stats before;
	u64 t;

	EXPECT(fst_store(s->p, 1));
	t = cts_later();
	stats_snapshot(&before);
	EXPECT(fst_store(s->p + 1, 2));
	EXPECT_EQ(stat_since(&before, STAT_FAULTS), 0);
	return t;
}
