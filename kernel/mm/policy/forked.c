/* SPDX-License-Identifier: MIT */
/*
 * forked.c - a store to a page under I/O gets a page of its own (Tux3's page forking, T21).
 *
 * As write_notify, but what the device reads never changes under it: the store is given a copy,
 * which takes the page's place in the file, and the old frame ends with its I/O. Nobody waits, and
 * a checksum over the page stays right. The price is a copy, and an unmapping in every address
 * space, for each store that meets an I/O.
 */
#include "kernel/mm/dirty_policy.h"

static enum policy_grant on_write_fault(const struct policy_page *page)
{
	return page->writeback ? POLICY_GRANT_FORK : POLICY_GRANT_DIRTY;
}

DIRTY_POLICY(forked) = {
	.name = "forked",
	.summary = "a store to a page under I/O gets a copy of it (Tux3)",
	.on_write_fault = on_write_fault,
	.breaks = BREAKS(NO_HOT_FAULT),
};
