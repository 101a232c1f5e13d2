/* SPDX-License-Identifier: MIT */
/*
 * test_bio.c - requests: merging, limits, refusals, the reserve, and when a flush is needed.
 */
#include <errno.h>

#include "kernel/block/ramblk.h"
#include "kernel/core/sched.h"
#include "kernel/core/wait.h"
#include "kernel/mm/page_alloc.h"
#include "tests/block/block_test.h"
#include "tests/ktest.h"

KTEST(bio, neighbours_become_one_segment)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct bio *bio;

	ASSERT(dev);
	bio = bio_alloc(dev, BIO_WRITE, 0);
	EXPECT(bio_add(bio, 0x10000, 4096));
	EXPECT(bio_add(bio, 0x11000, 512));
	EXPECT(bio_add(bio, 0x11200, 512));
	EXPECT_EQ(bio->nr_segs, 1);
	EXPECT(bio_add(bio, 0x11800, 512));  /* a gap */
	EXPECT(bio_add(bio, 0x0f000, 4096)); /* before, not behind */
	EXPECT_EQ(bio->nr_segs, 3);
	EXPECT_EQ(bio->seg[0].addr, 0x10000);
	EXPECT_EQ(bio->seg[0].len, 5120);
	EXPECT_EQ(bio->len, 5120 + 512 + 4096);
	bio_free(bio);
	ramblk_destroy(dev);
}

KTEST(bio, limits_say_no_and_change_nothing)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct bio *bio;
	unsigned int n;

	ASSERT(dev);
	bio = bio_alloc(dev, BIO_WRITE, 0);
	for (n = 0; bio_add(bio, (paddr_t)n * 8192, 512); n++)
		;
	EXPECT_EQ(n, BIO_MAX_SEGS);
	EXPECT_EQ(bio->nr_segs, BIO_MAX_SEGS);
	EXPECT_EQ(bio->len, 512 * BIO_MAX_SEGS);
	/* Full, but what extends the last segment needs no other. */
	EXPECT(bio_add(bio, (paddr_t)(n - 1) * 8192 + 512, 512));
	EXPECT_EQ(bio->nr_segs, BIO_MAX_SEGS);
	bio_free(bio);

	bio = bio_alloc(dev, BIO_WRITE, 0);
	for (n = 0; bio_add(bio, (paddr_t)n * 4096, 4096); n++)
		;
	EXPECT_EQ(bio->len, dev->max_bytes);
	EXPECT_EQ(bio->nr_segs, 1);
	bio_free(bio);
	ramblk_destroy(dev);
}

KTEST(bio, a_device_with_small_segments_gets_several)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct bio *bio;

	ASSERT(dev);
	dev->max_seg_bytes = 4096;
	dev->max_segs = 4;
	bio = bio_alloc(dev, BIO_WRITE, 0);
	EXPECT(bio_add(bio, 0x10000, 3 * 4096));
	EXPECT_EQ(bio->nr_segs, 3);
	EXPECT_EQ(bio->seg[2].addr, 0x12000);
	EXPECT(!bio_add(bio, 0x13000, 2 * 4096)); /* all or nothing */
	EXPECT_EQ(bio->len, 3 * 4096);
	EXPECT(bio_add(bio, 0x13000, 4096));
	EXPECT_EQ(bio->nr_segs, 4);
	bio_free(bio);
	ramblk_destroy(dev);
}

/* 0, or the error that a request of one page's first @len bytes at @sector ends with. */
static int attempt(struct blkdev *dev, enum bio_op op, sector_t sector, u32 len, u8 *page)
{
	struct bio *bio = bio_alloc(dev, op, sector);
	int error;

	if (op == BIO_READ || op == BIO_WRITE)
		bio_add(bio, virt_to_phys(page), len);
	else
		bio->len = len;
	error = submit_bio_wait(bio);
	bio_free(bio);
	return error;
}

KTEST(bio, what_makes_no_sense_is_refused)
{
	struct blkdev *dev = make_disk(1 << 20);
	u64 end = (1 << 20) / SECTOR_SIZE;
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT_EQ(attempt(dev, BIO_READ, end - 8, 4096, page), 0);
	EXPECT_EQ(attempt(dev, BIO_READ, end - 7, 4096, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_WRITE, end, 512, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_WRITE, ~0UL, 512, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_READ, ~0UL - 7, 4096, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_READ, 0, 100, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_WRITE_ZEROES, 0, 0, page), -EIO);
	dev->max_extent = 8192;
	EXPECT_EQ(attempt(dev, BIO_DISCARD, 0, 8192, page), 0);
	EXPECT_EQ(attempt(dev, BIO_DISCARD, 0, 12288, page), -EIO);
	dev->can_discard = false;
	EXPECT_EQ(attempt(dev, BIO_DISCARD, 0, 4096, page), -EOPNOTSUPP);
	dev->sector_size = 4096;
	EXPECT_EQ(attempt(dev, BIO_WRITE, 8, 4096, page), 0);
	EXPECT_EQ(attempt(dev, BIO_WRITE, 8, 512, page), -EIO);
	EXPECT_EQ(attempt(dev, BIO_WRITE, 1, 4096, page), -EIO);
	dev->read_only = true;
	EXPECT_EQ(attempt(dev, BIO_WRITE, 0, 4096, page), -EROFS);
	EXPECT_EQ(attempt(dev, BIO_READ, 0, 4096, page), 0);
	put_buffer(page);
	ramblk_destroy(dev);
}

/* ---- when a flush is needed ------------------------------------------------------------------ */

static int write_page(struct blkdev *dev, sector_t sector, u8 *page)
{
	return blkdev_rw(dev, BIO_WRITE, sector, page, PAGE_SIZE);
}

KTEST(bio, flush_is_skipped_only_when_nothing_was_written)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 0);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 1);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(blkdev_rw(dev, BIO_READ, 0, page, PAGE_SIZE), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 1);
	EXPECT_EQ(blkdev_rw(dev, BIO_WRITE_ZEROES, 0, NULL, PAGE_SIZE), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 2);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(bio, flush_that_failed_covers_nothing)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	ramblk_fail(dev, BIO_FLUSH, 0, 0, 1, 1, -EIO);
	EXPECT_EQ(blkdev_flush(dev), -EIO);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 2);
	put_buffer(page);
	ramblk_destroy(dev);
}

/* A write that completes while a flush is under way is not covered by it. */
KTEST(bio, flush_covers_only_writes_completed_before_it_began)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight flush;

	ASSERT(dev && page);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	ramblk_hold(dev, 1 << BIO_FLUSH, false);
	take_off_extent(&flush, dev, BIO_FLUSH, 0, 0);
	EXPECT_EQ(write_page(dev, 8, page), 0);
	ramblk_unhold(dev);
	EXPECT_EQ(land(&flush), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 2);
	put_buffer(page);
	ramblk_destroy(dev);
}

/* And one that was submitted before the flush but completes after it began is not, either. */
KTEST(bio, flush_does_not_cover_writes_in_flight)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct flight write;
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	ramblk_hold(dev, 1 << BIO_WRITE, false);
	take_off(&write, dev, BIO_WRITE, 8, &page, 1);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 1);
	ramblk_unhold(dev);
	EXPECT_EQ(land(&write), 0);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 2);
	put_buffer(page);
	ramblk_destroy(dev);
}

/* Of two flushes that end in the wrong order, the older must not take the younger's merit. */
KTEST(bio, flushes_may_end_in_any_order)
{
	struct blkdev *dev = make_disk(1 << 20);
	struct flight older, younger;
	u8 *page = get_buffer();

	ASSERT(dev && page);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	ramblk_hold(dev, 1 << BIO_FLUSH, false);
	take_off_extent(&older, dev, BIO_FLUSH, 0, 0);
	EXPECT_EQ(write_page(dev, 0, page), 0);
	take_off_extent(&younger, dev, BIO_FLUSH, 0, 0);
	ramblk_release(dev, 2, RAMBLK_LIFO);
	ramblk_unhold(dev);
	EXPECT_EQ(land(&older), 0);
	EXPECT_EQ(land(&younger), 0);
	EXPECT(older.order > younger.order);
	EXPECT_EQ(blkdev_flush(dev), 0);
	EXPECT_EQ(dev->requests[BIO_FLUSH], 2);
	put_buffer(page);
	ramblk_destroy(dev);
}

KTEST(bio, device_without_a_cache_needs_no_flush)
{
	struct blkdev *dev = make_disk(1 << 20);
	u8 *page = get_buffer();
	struct flight flush;

	ASSERT(dev && page);
	dev->can_flush = false;
	ramblk_hold(dev, 1 << BIO_FLUSH, false);
	take_off_extent(&flush, dev, BIO_FLUSH, 0, 0);
	EXPECT_EQ(land(&flush), 0);
	EXPECT_EQ(ramblk_nr_held(dev), 0);
	put_buffer(page);
	ramblk_destroy(dev);
}

/* ---- the reserve (rule 130) ------------------------------------------------------------------ */

struct hungry {
	struct blkdev *dev;
	struct page *pages; /* chained by ->next: all that there were */
	struct bio *bios[64];
	unsigned int nr;
	bool go, asked, served;
	struct wait_queue wait;
};

static int ask_for_a_bio(void *arg)
{
	struct hungry *h = arg;
	struct bio *bio;

	wait_event(&h->wait, READ_ONCE(h->go));
	WRITE_ONCE(h->asked, true);
	bio = bio_alloc(h->dev, BIO_WRITE, 0);
	WRITE_ONCE(h->served, bio != NULL);
	bio_free(bio);
	return 0;
}

/* True if there were any. */
static bool take_all_pages(struct hungry *h)
{
	const struct page *had = h->pages;
	struct page *page;

	drain_page_caches();
	while ((page = alloc_page(ALLOC_NORMAL))) {
		page->next = h->pages;
		h->pages = page;
	}
	return h->pages != had;
}

static void give_all_pages(struct hungry *h)
{
	while (h->pages) {
		struct page *page = h->pages;

		h->pages = page->next;
		page->next = NULL;
		page_put(page);
	}
}

/* On one CPU, as the few bios that each CPU keeps would serve a thread on another. */
static int starve(void *arg)
{
	struct hungry *h = arg;
	struct thread *t = thread_create("hungry", 0, NULL, NULL, ask_for_a_bio, h);

	if (!t)
		return -1;
	/* kreclaimd makes room as long as there is something to be had. */
	for (unsigned int quiet = 0; quiet < 5;) {
		quiet = take_all_pages(h) ? 0 : quiet + 1;
		sleep_ns(2000000);
	}
	preempt_disable(); /* so that it says no instead of waiting */
	while (h->nr < ARRAY_SIZE(h->bios) && (h->bios[h->nr] = bio_alloc(h->dev, BIO_WRITE, 0)))
		h->nr++;
	preempt_enable();
	EXPECT(h->nr >= 16 && h->nr < ARRAY_SIZE(h->bios));

	WRITE_ONCE(h->go, true);
	wake_up(&h->wait);
	while (!READ_ONCE(h->asked))
		sleep_ns(1000000);
	sleep_ns(20000000);
	EXPECT(!READ_ONCE(h->served)); /* it waits */
	bio_free(h->bios[--h->nr]);
	EXPECT_EQ(thread_join(t), 0); /* and is woken */
	EXPECT(h->served);
	give_all_pages(h);
	while (h->nr)
		bio_free(h->bios[--h->nr]);
	return 0;
}

KTEST(bio, reserve_serves_when_memory_is_out)
{
	struct hungry h = { .dev = make_disk(1 << 20) };

	ASSERT(h.dev);
	wait_queue_init(&h.wait, "hungry");
	EXPECT_EQ(on_cpu(0, starve, &h), 0);
	ramblk_destroy(h.dev);
}
