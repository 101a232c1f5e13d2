/* SPDX-License-Identifier: MIT */
/*
 * write_error.c - what becomes of a page that could not be written, and who is told.
 *
 * Owns:  the argument wberr, mapping->wb_err and nr_failed.
 * Not:   telling an open file (kernel/fs), how a page is kept (page_dirty.c), trying again
 *        (flusher.c, whoever syncs).
 * Locks: none; interrupt context.
 * Key fact: the error is recorded, and the page kept, before PG_writeback goes: who has waited for
 *        it and looks at the word afterwards finds it (rule 81), and who looks for pages to be
 *        written finds the page.
 *
 * wberr=drop is Linux (and B19): the page is clean, its data in memory only, until it is evicted; a
 * second fsync says 0. wberr=keep writes it again until that succeeds: an fsync that says 0 means
 * that the data is on the disk (rule 75). The price (E6): a page that can never be written is never
 * evicted. It counts as dirty, so that memory full of them lets storing threads wait, and go on
 * slowly, as behind a slow disk; to truncate or to delete the file ends it, to unmount too, with a
 * line that names it.
 */
#include <sys/errno.h>

#include "kernel/core/args.h"
#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/page_dirty.h"

enum { WBERR_KEEP, WBERR_DROP };
static const char *const wberr_names[] = { "keep", "drop", NULL };
static unsigned int wberr = WBERR_KEEP;
ARG_CHOICE(wberr, wberr, wberr_names, "what a failed write leaves: a dirty page, or a clean one");

bool mapping_set_error(struct address_space *mapping, int error)
{
	bool news = errseq_set(&mapping->wb_err, error == -ENOSPC ? -ENOSPC : -EIO);

	/* After the word: who finds the count moved reads the word for the error. */
	atomic_add_return(&mapping->nr_failed, 1);
	return news;
}

bool page_write_failed(struct page *page, int error)
{
	struct address_space *mapping = page_io_mapping(page);

	stat_inc(STAT_PAGES_FAILED);
	delay_point("write_failed", page); /* interrupts may be off */
	if (READ_ONCE(wberr) == WBERR_KEEP)
		page_keep(page);
	else
		set_bit(&mapping->flags, AS_LOST);
	return mapping_set_error(mapping, error);
}
