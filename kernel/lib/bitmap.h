/* SPDX-License-Identifier: MIT */
/*
 * bitmap.h - find a bit in memory that is all bits. Pure C, any lock is the caller's.
 */
#ifndef KERNEL_LIB_BITMAP_H
#define KERNEL_LIB_BITMAP_H

#include "kernel/lib/types.h"

#define BITS_PER_U64 64

static inline bool bitmap_test(const void *map, u64 bit)
{
	return ((const u8 *)map)[bit >> 3] & (1u << (bit & 7));
}

static inline void bitmap_set(void *map, u64 bit)
{
	((u8 *)map)[bit >> 3] |= (u8)(1u << (bit & 7));
}

static inline void bitmap_clear(void *map, u64 bit)
{
	((u8 *)map)[bit >> 3] &= (u8) ~(1u << (bit & 7));
}

/* Ones in @v. By hand: without POPCNT the compiler would call libgcc, which is not linked. */
static inline unsigned int popcount64(u64 v)
{
	v -= (v >> 1) & 0x5555555555555555UL;
	v = (v & 0x3333333333333333UL) + ((v >> 2) & 0x3333333333333333UL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fUL;
	return (unsigned int)((v * 0x0101010101010101UL) >> 56);
}

/* First zero bit in [from, nbits), or @nbits. Little-endian bit order, as ext2's bitmaps. Reads no
 * byte beyond the one that holds bit @nbits - 1. */
u64 bitmap_find_zero(const void *map, u64 nbits, u64 from);
u64 bitmap_count_ones(const void *map, u64 nbits);

#endif
