/* SPDX-License-Identifier: MIT */
/*
 * data_sync.c - the flush behind the last data request, and when it is enough.
 *
 * Locks: none; one counter, of completion.h, says who is last.
 * Key fact: a sync returns after a flush that was submitted when its data had ended. Its data is
 *        what it submitted itself, which is counted here; and what others had in flight when it
 *        looked for dirty pages: those it did not find dirty, but must wait for. So the flush may
 *        follow the last counted request only if no others' I/O was in flight then.
 */
#include "kernel/fs/data_sync.h"

#include "kernel/block/blkdev.h"

static void end_flush(struct bio *bio)
{
	struct data_sync *s = bio->private;

	s->flush_error = bio->status;
	s->flushed = true;
	bio_free(bio);
	complete_last(&s->done);
}

void data_sync_end(struct bio *bio)
{
	struct data_sync *s = bio->private;

	if (!s || complete_unless_last(&s->done)) {
		bio_free(bio);
		return;
	}
	/* The waiter has done what comes before its waiting, and waits for us. */
	if (!s->flush || s->again) {
		bio_free(bio);
		complete_last(&s->done);
		return;
	}
	/* The request has ended: its bio is ours, and the count stays for the flush. */
	bio_make_flush(bio);
	bio->end_io = end_flush;
	submit_bio(bio);
}

/*
 * Is any page under I/O that is not counted in @s? Of ours, nr_writeback goes up before and down
 * after s->pages, so that with nr_writeback read first it can only say "others" too often:
 *	this thread			the end of our last request
 *	reads pages: 1
 *					pages = 0, nr_writeback = 1: another's page alone
 *	reads nr_writeback: 1
 * would be the mistake. Pages outside the range count too; then the flush comes later, no more.
 */
static bool others_in_flight(const struct data_sync *s, const struct address_space *mapping)
{
	u64 all = READ_ONCE(mapping->nr_writeback);

	return all > (u64)READ_ONCE(s->pages);
}

void data_sync_wait(struct data_sync *s, const struct address_space *mapping,
		    enum data_sync_then then)
{
	/* Visible to the last end, which finds our own count gone (a locked instruction). */
	s->flush = then == DATA_SYNC_FLUSH && !others_in_flight(s, mapping);
	completion_wait(&s->done);
}
