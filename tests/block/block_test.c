/* SPDX-License-Identifier: MIT */
/*
 * block_test.c - what the tests of the block layer share.
 */
#include "tests/block/block_test.h"

#include "arch/x86_64/asm/cpu.h"
#include "kernel/block/ramblk.h"
#include "kernel/core/percpu.h"
#include "kernel/core/wait.h"
#include "kernel/mm/page_alloc.h"
#include "tests/ktest.h"

unsigned int flights_ended;

struct blkdev *make_disk(u64 size)
{
	struct blkdev *dev = NULL;
	int error = ramblk_create("rtest", size, NULL, SECTOR_SIZE, &dev);

	EXPECT_EQ(error, 0);
	return error ? NULL : dev;
}

u8 *get_buffer(void)
{
	struct page *page = alloc_page(ALLOC_ZERO);

	EXPECT(page);
	return page ? page_address(page) : NULL;
}

void put_buffer(void *buf)
{
	if (buf)
		page_put(virt_to_page(buf));
}

void fill(void *buf, u64 len, u64 seed)
{
	for (u64 i = 0; i < len; i++)
		((u8 *)buf)[i] = pattern(seed, i);
}

bool filled(const void *buf, u64 len, u64 seed)
{
	for (u64 i = 0; i < len; i++) {
		if (((const u8 *)buf)[i] != pattern(seed, i))
			return false;
	}
	return true;
}

static void end_flight(struct bio *bio)
{
	struct flight *f = bio->private;
	unsigned long *busy = &f->busy;

	f->order = (unsigned int)atomic_add_return(&flights_ended, 1);
	f->irqs_were_on = irqs_enabled();
	f->cpu = this_cpu()->id;
	clear_bit(busy, 0);
	wake_up_bit(busy);
}

static void prepare(struct flight *f, struct blkdev *dev, enum bio_op op, sector_t sector)
{
	*f = (struct flight){ .bio = bio_alloc(dev, op, sector), .busy = 1 };
	f->bio->end_io = end_flight;
	f->bio->private = f;
}

void take_off(struct flight *f, struct blkdev *dev, enum bio_op op, sector_t sector,
	      u8 *const *pages, unsigned int nr)
{
	prepare(f, dev, op, sector);
	for (unsigned int i = 0; i < nr; i++)
		EXPECT(bio_add(f->bio, virt_to_phys(pages[i]), PAGE_SIZE));
	submit_bio(f->bio);
}

void take_off_extent(struct flight *f, struct blkdev *dev, enum bio_op op, sector_t sector, u32 len)
{
	prepare(f, dev, op, sector);
	f->bio->len = len;
	submit_bio(f->bio);
}

bool landed(const struct flight *f)
{
	return !test_bit(&f->busy, 0);
}

int land(struct flight *f)
{
	int status;

	wait_on_bit(&f->busy, 0);
	status = f->bio->status;
	bio_free(f->bio);
	return status;
}
