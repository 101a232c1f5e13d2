/* SPDX-License-Identifier: MIT */
/*
 * one_hook.c - one sleeping set_page_dirty() that may fail, instead of two hooks (Lameter 2006,
 *P12).
 *
 * As write_notify, but the page becomes writable first, and the file system is asked when it is
 * told that the page is dirty. That would be one call less to explain. If the file system then says
 * no, the page loses its writability again and the thread whose store faulted gets its signal; but
 * other threads of the program may have stored meanwhile. Their stores took no fault, so there is
 * nobody to be told, and nothing to be written: they are lost. That is why there are two hooks
 * (Howells).
 */
#include "kernel/mm/dirty_policy.h"

DIRTY_POLICY(one_hook) = {
	.name = "one_hook",
	.summary = "writable first, the file system is asked afterwards (Lameter)",
	.grants_first = true,
	.breaks = BREAKS(ENOSPC_BEFORE) | BREAKS(REFUSAL_TOLD) | BREAKS(STABLE_PAGES) |
		  BREAKS(NO_HOT_FAULT),
};
