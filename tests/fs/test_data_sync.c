/* SPDX-License-Identifier: MIT */
/*
 * test_data_sync.c - the flush behind a sync's data: when it may be started, and what it covers.
 *
 * The disk holds writes and flushes; the test lets go of them one by one.
 */
#include "kernel/mm/writeback.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define MIB  (1ul << 20)
#define HELD (1u << BIO_WRITE | 1u << BIO_FLUSH)

struct scene {
	struct blkdev *dev;
	struct file *file;
	u64 flushes; /* before */
	struct job job;
};

static int fsync_job(void *file)
{
	return vfs_fsync(file, true);
}

/* A file of a few pages, all on the disk; nothing but its data will be owed. */
static bool begin(struct scene *s, struct fst_disk *d)
{
	s->dev = d->dev;
	s->file = fst_open(fst_path(d, "f"), O_RW | FS_O_CREAT);
	if (!s->file)
		return false;
	EXPECT(fst_write(s->file, 0, 4 * PAGE_SIZE, 1));
	EXPECT_EQ(vfs_fsync(s->file, false), 0);
	EXPECT_EQ(vfs_sync(), 0);
	writeback_park(&s->dev->wb);
	s->flushes = s->dev->requests[BIO_FLUSH];
	return true;
}

static void end(struct scene *s)
{
	writeback_unpark(&s->dev->wb);
	file_put(s->file);
}

static u64 new_flushes(const struct scene *s)
{
	return atomic_load(&s->dev->requests[BIO_FLUSH]) - s->flushes;
}

/* Store to pages [first, first + nr) and sync: until the sync sleeps, with @held requests held. */
static void start_sync(struct scene *s, u64 first, u64 nr, unsigned int held)
{
	EXPECT(fst_write(s->file, first * PAGE_SIZE, nr * PAGE_SIZE, 2));
	job_start(&s->job, 0, NULL, fsync_job, s->file);
	EXPECT(ramblk_wait_held(s->dev, held));
	EXPECT(job_settles(&s->job));
	EXPECT_EQ(ramblk_nr_held(s->dev), held);
}

/* The end of the data starts the flush, in the context of that end; the sync sleeps on. */
static void chained(struct fst_disk *d)
{
	struct scene s;

	if (!begin(&s, d))
		return;
	ramblk_hold(s.dev, HELD, false);
	start_sync(&s, 0, 1, 1);
	EXPECT_EQ(new_flushes(&s), 0);
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT_EQ(new_flushes(&s), 1);
	EXPECT(job_settles(&s.job)); /* not before the flush has ended */
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT_EQ(job_end(&s.job), 0);
	EXPECT_EQ(new_flushes(&s), 1);
	ramblk_unhold(s.dev);
	end(&s);
}

KTEST(data_sync, flush_follows_the_last_data_request)
{
	fst_on_each_shape(2 * MIB, chained);
}

/* A page that somebody else is writing is not dirty, but a sync owes it too. */
static void others(struct fst_disk *d)
{
	struct writeback_control wbc = { .mode = SYNC_NONE, .last = ~0ul, .nr_to_write = ~0ul };
	struct scene s;

	if (!begin(&s, d))
		return;
	ramblk_hold(s.dev, HELD, false);
	EXPECT(fst_write(s.file, 0, PAGE_SIZE, 2));
	EXPECT_EQ(filemap_fdatawrite_range(&s.file->inode->data, &wbc), 0);
	EXPECT(ramblk_wait_held(s.dev, 1));
	start_sync(&s, 1, 1, 2);
	/* The sync's own data ends first. */
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_LIFO), 1);
	EXPECT(job_settles(&s.job));
	EXPECT_EQ(new_flushes(&s), 0);
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT(ramblk_wait_held(s.dev, 1));
	EXPECT_EQ(new_flushes(&s), 1);
	ramblk_unhold(s.dev);
	EXPECT_EQ(job_end(&s.job), 0);
	EXPECT_EQ(new_flushes(&s), 1);
	end(&s);
}

KTEST(data_sync, flush_waits_for_what_others_write)
{
	fst_on_each_shape(2 * MIB, others);
}

/* Pages of a failed request go to the disk again one by one: the flush comes after those. */
static void failed_together(struct fst_disk *d)
{
	struct scene s;

	if (!begin(&s, d))
		return;
	ramblk_hold(s.dev, HELD, false);
	ramblk_fail(s.dev, BIO_WRITE, 0, ~0ul, 1, 1, -EIO);
	start_sync(&s, 0, 2, 1);
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT_EQ(ramblk_nr_held(s.dev), 2);
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT(job_settles(&s.job));
	EXPECT_EQ(new_flushes(&s), 0);
	EXPECT_EQ(ramblk_release(s.dev, 1, RAMBLK_FIFO), 1);
	EXPECT(ramblk_wait_held(s.dev, 1));
	EXPECT_EQ(new_flushes(&s), 1);
	ramblk_unhold(s.dev);
	EXPECT_EQ(job_end(&s.job), 0);
	end(&s);
}

KTEST(data_sync, flush_waits_for_the_second_try_of_failed_pages)
{
	fst_on_each_shape(2 * MIB, failed_together);
}

/* A failed write and a failed flush are told, once; what was not flushed is flushed next time. */
static void errors(struct fst_disk *d)
{
	struct scene s;

	if (!begin(&s, d))
		return;
	ramblk_hold(s.dev, HELD, false);
	ramblk_fail(s.dev, BIO_WRITE, 0, ~0ul, 1, 1, -EIO);
	start_sync(&s, 0, 1, 1);
	ramblk_unhold(s.dev);
	EXPECT_EQ(job_end(&s.job), -EIO);
	EXPECT_EQ(vfs_fsync(s.file, true), 0);

	ramblk_hold(s.dev, HELD, false);
	ramblk_fail(s.dev, BIO_FLUSH, 0, 0, 1, 1, -EIO);
	start_sync(&s, 0, 1, 1);
	ramblk_unhold(s.dev);
	EXPECT_EQ(job_end(&s.job), -EIO);
	s.flushes = s.dev->requests[BIO_FLUSH];
	EXPECT_EQ(vfs_fsync(s.file, true), 0);
	EXPECT_EQ(new_flushes(&s), 1);
	EXPECT_EQ(vfs_fsync(s.file, true), 0);
	EXPECT_EQ(new_flushes(&s), 1);
	end(&s);
}

KTEST(data_sync, errors_of_data_and_flush_are_told)
{
	fst_on_each_shape(2 * MIB, errors);
}
