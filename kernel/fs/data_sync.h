/* SPDX-License-Identifier: MIT */
/*
 * data_sync.h - one sync's own requests: waiting for them, and the device's flush behind them.
 *
 * A sync that waits for its data, asks the device for a flush, and waits again sleeps twice. Here
 * the end of the last data request starts the flush, and the sync sleeps once:
 *	struct data_sync s;
 *	data_sync_begin(&s);
 *	wbc.sync = &s; write the range; settle metadata, if it needs no more I/O:
 *	data_sync_wait(&s, mapping, DATA_SYNC_FLUSH);
 *	if (!s.flushed) wait by the tags, write metadata, blkdev_flush()
 */
#ifndef KERNEL_FS_DATA_SYNC_H
#define KERNEL_FS_DATA_SYNC_H

#include "kernel/block/bio.h"
#include "kernel/core/completion.h"
#include "kernel/mm/mapping.h"

/* w: the waiter   a: atomic   e: the last request's end, before the waiter goes on */
struct data_sync {
	struct completion done;
	int pages;    /* a: under the I/O of counted requests: never more than have TAG_WRITEBACK */
	bool flush;   /* w: before it waits: the last end starts a flush */
	bool again;   /* a: pages of a failed request went to the disk anew, uncounted */
	bool flushed; /* e: a flush that began after all the data had ended, has ended too */
	int flush_error; /* e: of that */
};

static inline void data_sync_begin(struct data_sync *s)
{
	completion_init(&s->done, 0);
	s->pages = 0;
	s->flush = s->again = s->flushed = false;
	s->flush_error = 0;
}

/* @bio, filled, belongs to @s (NULL: to no sync). The submitting thread. Owns bio->private. */
static inline void data_sync_add(struct data_sync *s, struct bio *bio)
{
	bio->private = s;
	if (!s)
		return;
	completion_add(&s->done);
	(void)atomic_add_return(&s->pages, (int)bio->pages.nr);
}

/* End of @bio, which it frees, in two steps: before and after its pages lose PG_writeback. Any
 * context. */
static inline void data_sync_ending(struct bio *bio)
{
	struct data_sync *s = bio->private;

	if (s)
		(void)atomic_sub_return(&s->pages, (int)bio->pages.nr);
}
void data_sync_end(struct bio *bio);
/* Before the first step: pages of @bio go to the disk again, as no sync's, and are to be waited for
 * by their tags. */
static inline void data_sync_again(struct bio *bio)
{
	struct data_sync *s = bio->private;

	if (s)
		WRITE_ONCE(s->again, true);
}

enum data_sync_then { DATA_SYNC_ONLY, DATA_SYNC_FLUSH };
/* Until all that was added has ended, once per begin. With DATA_SYNC_FLUSH also a flush behind it,
 * if that covers all I/O of @mapping that was under way: then s->flushed. May sleep. */
void data_sync_wait(struct data_sync *s, const struct address_space *mapping,
		    enum data_sync_then then);

#endif
