/* SPDX-License-Identifier: MIT */
/*
 * test_virtio.c - a real (emulated) disk: the last virtio disk without a file system is scratch.
 *
 * Every run that asks for these tests brings such a disk of at least 8 MiB (tests.cfg: disk=blank).
 */
#include <errno.h>
#include <string.h>

#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/clock.h"
#include "kernel/core/sched.h"
#include "kernel/core/stat.h"
#include "kernel/mm/kmalloc.h"
#include "tests/block/block_test.h"
#include "tests/ktest.h"

#define MIN_SECTORS (8u << 20 >> SECTOR_SHIFT)

static struct blkdev *scratch_disk(void)
{
	struct blkdev *found = NULL;

	for (struct blkdev *dev = blkdev_next(NULL); dev; dev = blkdev_next(dev)) {
		if (!strncmp(dev->name, "vd", 2) && !dev->in_use && !dev->read_only &&
		    dev->nr_sectors >= MIN_SECTORS)
			found = dev;
	}
	if (!found)
		ktest_fail(__FILE__, __LINE__,
			   "no scratch disk: give the machine a blank second one of 8 MiB");
	return found;
}

/* Sectors from the start of megabyte @n: within any disk of 8 MiB, whole sectors of any size. */
static sector_t megabyte(unsigned int n)
{
	return (sector_t)n << (20 - SECTOR_SHIFT);
}

KTEST(virtio, reads_back_what_was_written)
{
	static const u32 lengths[] = { 4096, 8192, 65536, 1 << 20 };
	struct blkdev *dev = scratch_disk();
	u8 *out = kmalloc(1 << 20), *in = kmalloc(1 << 20);

	ASSERT(dev && out && in);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		fill(out, lengths[i], i);
		memset(in, 0, lengths[i]);
		EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, megabyte(i), out, lengths[i]), 0);
		EXPECT_EQ(blkdev_rw(dev, BIO_READ, megabyte(i), in, lengths[i]), 0);
		EXPECT(filled(in, lengths[i], i));
	}
	/* The last sectors of the disk, and not one further. */
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, dev->nr_sectors - 8, out, 4096), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, dev->nr_sectors - 8, in, 4096), 0);
	EXPECT(filled(in, 4096, 3));
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, dev->nr_sectors, out, 4096), -EIO);
	kfree(out);
	kfree(in);
}

KTEST(virtio, sector_size_of_the_device_is_respected)
{
	struct blkdev *dev = scratch_disk();
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT(dev->sector_size == 512 || dev->sector_size == 4096);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 0, page, dev->sector_size), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 1, page, 512), dev->sector_size == 512 ? 0 : -EIO);
	put_buffer(page);
}

/* 246 pages that do not touch: one request, one descriptor of the ring, one kick. */
KTEST(virtio, a_full_bio_is_one_request)
{
	struct blkdev *dev = scratch_disk();
	u8 *pages[BIO_MAX_SEGS], *block = kmalloc(2 * BIO_MAX_SEGS * PAGE_SIZE);
	u64 kicks = stat_read(STAT_VIRTIO_KICKS);
	struct flight f;

	ASSERT(dev && block);
	ASSERT_EQ(dev->max_segs, BIO_MAX_SEGS);
	for (unsigned int i = 0; i < BIO_MAX_SEGS; i++) {
		pages[i] = block + 2 * i * PAGE_SIZE;
		fill(pages[i], PAGE_SIZE, i);
	}
	take_off(&f, dev, BIO_WRITE, 0, pages, BIO_MAX_SEGS);
	EXPECT_EQ(f.bio->nr_segs, BIO_MAX_SEGS);
	EXPECT_EQ(land(&f), 0);
	EXPECT(stat_read(STAT_VIRTIO_KICKS) - kicks <= 1);
	memset(block, 0, 2 * BIO_MAX_SEGS * PAGE_SIZE);
	take_off(&f, dev, BIO_READ, 0, pages, BIO_MAX_SEGS);
	EXPECT_EQ(land(&f), 0);
	for (unsigned int i = 0; i < BIO_MAX_SEGS; i++) {
		if (!filled(pages[i], PAGE_SIZE, i))
			ktest_fail(__FILE__, __LINE__, "segment %u", i);
		if (pages[i][PAGE_SIZE])
			ktest_fail(__FILE__, __LINE__, "segment %u was overrun", i);
	}
	kfree(block);
}

KTEST(virtio, flush_discard_and_write_zeroes)
{
	struct blkdev *dev = scratch_disk();
	u8 *page = get_buffer();
	u64 flushes;

	ASSERT(dev && page);
	EXPECT(dev->can_flush && dev->can_discard && dev->can_write_zeroes);
	fill(page, PAGE_SIZE, 5);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, i * 8, page, PAGE_SIZE), 0);
	flushes = dev->requests[BIO_FLUSH];
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], flushes + 1);

	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE_ZEROES, 8, NULL, 8192), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 0, page, PAGE_SIZE), 0);
	EXPECT(filled(page, PAGE_SIZE, 5));
	for (unsigned int i = 1; i < 3; i++) {
		EXPECT_EQ(blkdev_rw(dev, BIO_READ, i * 8, page, PAGE_SIZE), 0);
		for (unsigned int n = 0; n < PAGE_SIZE; n++) {
			if (page[n]) {
				ktest_fail(__FILE__, __LINE__, "byte %u of block %u", n, i);
				break;
			}
		}
	}
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 24, page, PAGE_SIZE), 0);
	EXPECT(filled(page, PAGE_SIZE, 5));
	/* What a discarded sector says is the device's affair; its neighbours stay. */
	EXPECT_EQ(blkdev_rw(dev, BIO_DISCARD, 8, NULL, 8192), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 24, page, PAGE_SIZE), 0);
	EXPECT(filled(page, PAGE_SIZE, 5));
	EXPECT_EQ(blkdev_flush(dev), 0);
	put_buffer(page);
}

/* Past submit_bio()'s checks, straight to the driver: the device itself says no. */
KTEST(virtio, error_of_the_device_is_reported)
{
	struct blkdev *dev = scratch_disk();
	u64 errors = stat_read(STAT_BIO_ERRORS);
	u8 *page = get_buffer();
	struct flight f;
	u64 size;

	ASSERT(dev && page);
	size = dev->nr_sectors;
	dev->nr_sectors = size + 8;
	take_off(&f, dev, BIO_READ, size, &page, 1);
	EXPECT_EQ(land(&f), -EIO);
	take_off(&f, dev, BIO_WRITE, size, &page, 1);
	EXPECT_EQ(land(&f), -EIO);
	dev->nr_sectors = size;
	EXPECT_EQ(stat_read(STAT_BIO_ERRORS) - errors, 2);
	/* And it goes on working. */
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, size - 8, page, PAGE_SIZE), 0);
	put_buffer(page);
}

/* ---- many at once ---------------------------------------------------------------------------- */

#define CROWD 700 /* more than any ring holds */

/* With interrupts off nothing completes on this CPU: the ring must fill, and the rest wait. */
KTEST(virtio, more_requests_than_the_ring_holds)
{
	struct flight *f = kzalloc(CROWD * sizeof(*f));
	struct blkdev *dev = scratch_disk();
	u8 *page = get_buffer(), *back = get_buffer();
	unsigned int i, bad = 0;
	u64 flags;

	ASSERT(dev && f && page && back);
	fill(page, PAGE_SIZE, 8);
	flags = irq_save();
	for (i = 0; i < CROWD; i++)
		take_off(&f[i], dev, BIO_WRITE, i * 8, &page, 1);
	irq_restore(flags);
	for (i = 0; i < CROWD; i++)
		bad += land(&f[i]) != 0;
	EXPECT_EQ(bad, 0);
	for (i = 0; i < CROWD; i++) {
		memset(back, 0, PAGE_SIZE);
		EXPECT_EQ(blkdev_rw(dev, BIO_READ, i * 8, back, PAGE_SIZE), 0);
		bad += !filled(back, PAGE_SIZE, 8);
	}
	EXPECT_EQ(bad, 0);
	put_buffer(page);
	put_buffer(back);
	kfree(f);
}

#define AT_ONCE 16
#define ROUNDS	40

struct worker {
	struct blkdev *dev;
	struct thread *thread;
	unsigned int number, elsewhere;
	struct flight f[AT_ONCE];
	u8 *pages[AT_ONCE];
};

/* Page i of worker w in round r goes to a place of its own, with contents of its own. */
static sector_t place(const struct worker *w, unsigned int i)
{
	return (sector_t)(w->number * AT_ONCE + i) * 8;
}

static bool round_of(struct worker *w, unsigned int r)
{
	bool good = true;
	unsigned int i;

	for (i = 0; i < AT_ONCE; i++) {
		fill(w->pages[i], PAGE_SIZE, r * 1000 + place(w, i));
		take_off(&w->f[i], w->dev, BIO_WRITE, place(w, i), &w->pages[i], 1);
	}
	for (i = 0; i < AT_ONCE; i++) {
		good &= land(&w->f[i]) == 0;
		w->elsewhere += w->f[i].cpu != w->number;
		memset(w->pages[i], 0, PAGE_SIZE);
	}
	for (i = 0; i < AT_ONCE; i++)
		take_off(&w->f[i], w->dev, BIO_READ, place(w, i), &w->pages[i], 1);
	for (i = 0; i < AT_ONCE; i++) {
		good &= land(&w->f[i]) == 0;
		good &= filled(w->pages[i], PAGE_SIZE, r * 1000 + place(w, i));
	}
	return good && (r % 8 || !blkdev_flush(w->dev));
}

static int work(void *arg)
{
	struct worker *w = arg;
	bool good = true;

	for (unsigned int i = 0; i < AT_ONCE; i++) {
		w->pages[i] = get_buffer();
		good &= w->pages[i] != NULL;
	}
	for (unsigned int r = 0; good && r < ROUNDS; r++)
		good = round_of(w, r);
	for (unsigned int i = 0; i < AT_ONCE; i++)
		put_buffer(w->pages[i]);
	return good ? 0 : -EIO;
}

KTEST(virtio, all_cpus_at_once)
{
	struct worker *workers = kzalloc(nr_cpus * sizeof(*workers));
	struct blkdev *dev = scratch_disk();
	unsigned int elsewhere = 0;

	ASSERT(dev && workers);
	for (unsigned int i = 0; i < nr_cpus; i++) {
		struct worker *w = &workers[i];

		w->dev = dev;
		w->number = i;
		w->thread = thread_create("disk", (int)i, NULL, NULL, work, w);
		EXPECT(w->thread);
	}
	for (unsigned int i = 0; i < nr_cpus; i++) {
		if (workers[i].thread)
			EXPECT_EQ(thread_join(workers[i].thread), 0);
		elsewhere += workers[i].elsewhere;
	}
	/* A queue for each CPU: what a pinned thread began ends on its CPU. */
	EXPECT_EQ(elsewhere, 0);
	kfree(workers);
}

/* ---- only with a disk that fails (tests.cfg: blkdebug-write:sector=8192) ---- */

KTEST_FLAGS(fault_injection, scratch_write_error, KTEST_MANUAL)
{
	struct blkdev *dev = scratch_disk();
	u8 *page = get_buffer();

	ASSERT(dev && page);
	fill(page, PAGE_SIZE, 1);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 8184, page, PAGE_SIZE), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 8192, page, PAGE_SIZE), -EIO);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE, 8200, page, PAGE_SIZE), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 8192, page, PAGE_SIZE), 0);
	EXPECT_EQ(page[1], 0); /* as it was */
	EXPECT_EQ(blkdev_flush(dev), 0);
	put_buffer(page);
}
