/* SPDX-License-Identifier: MIT */
/*
 * arm.h - making the next store to a file trap, whatever page it goes to.
 *
 * For a file system that wants to hear of stores: AS_NOTE_STORE makes every fault that grants W
 * call a_ops->note_store, after the PTE is writable, before the store. AS_ARMED says that since
 * mapping_arm() no PTE can be stored through that was not granted by such a fault.
 *
 * The protocol of who looks at a cookie (L) and who stores (S):
 *	L: copies the cookie, mapping_arm(), reads the contents
 *	S: the PTE becomes writable; mapping_disarm() and if true the cookie moves; stores
 * If S has its PTE before L takes W away, the store faults and disarms again. If it has it after, S
 * sees AS_ARMED, which L set before, and moves the cookie after L copied it. Were the cookie copied
 * after arming, S could disarm and move it first, L would copy the new one and read the old
 * contents, and then S would store without a trap.
 */
#ifndef KERNEL_MM_ARM_H
#define KERNEL_MM_ARM_H

#include "kernel/mm/mapping.h"

/* Call a_ops->note_store from now on, or do not. The file is not armed afterwards. May sleep; no
 * lock of RANK_I_MMAP or above held. */
void mapping_want_notes(struct address_space *mapping, bool want);

/*
 * Take W and D from every PTE of every shared area that may be stored through, on all CPUs, and set
 * AS_ARMED; nothing if it is set, or no notes are wanted. Pages keep their dirty state; a D that
 * was found stays known as if its page had been unmapped (PG_d_seen). Costs follow the pages that
 * are DIRTY or MAYBE_DIRTY. May sleep; no lock of RANK_I_MMAP or above held.
 */
void mapping_arm(struct address_space *mapping);

/* True for one of those who call it after mapping_arm(). Any context. */
static inline bool mapping_disarm(struct address_space *mapping)
{
	return test_bit(&mapping->flags, AS_ARMED) && test_and_clear_bit(&mapping->flags, AS_ARMED);
}

/* A file without writeback has no dirty pages to remember stores: take D of all its PTEs (W stays)
 * and note AS_CMTIME if there was one. Costs follow the cached pages. Context as mapping_arm(). */
void mapping_take_d(struct address_space *mapping);

#endif
