/* SPDX-License-Identifier: MIT */
/*
 * write_error.c - what becomes of a page that could not be written, and who is told.
 *
 * Owns:  mapping->wb_err and nr_failed.
 * Not:   telling an open file (kernel/fs), trying again (flusher.c, whoever syncs).
 * Locks: none; interrupt context.
 * Key fact: the error is recorded before PG_writeback goes: who has waited for it and looks at the
 *        word afterwards finds it (rule 81).
 */
#include <sys/errno.h>

#include "kernel/core/delay.h"
#include "kernel/core/stat.h"
#include "kernel/mm/mapping.h"

bool mapping_set_error(struct address_space *mapping, int error)
{
	bool news = errseq_set(&mapping->wb_err, error == -ENOSPC ? -ENOSPC : -EIO);

	/* After the word: who finds the count moved reads the word for the error. */
	atomic_add_return(&mapping->nr_failed, 1);
	return news;
}

bool page_write_failed(struct page *page, int error)
{
	stat_inc(STAT_PAGES_FAILED);
	delay_point("write_failed", page); /* interrupts may be off */
	return mapping_set_error(page_io_mapping(page), error);
}
