/* SPDX-License-Identifier: MIT */
/*
 * bitmap.c - where is the next free bit, and how many are taken?
 *
 * Maps come from disk blocks and may stand at any address: words are read with memcpy, which the
 * compiler turns into one load. A word is read only where all of its 64 bits belong to the map.
 */
#include "kernel/lib/bitmap.h"

#include <string.h>

static u64 load_word(const void *map, u64 bit)
{
	u64 word;

	memcpy(&word, (const u8 *)map + bit / 8, sizeof(word));
	return word;
}

u64 bitmap_find_zero(const void *map, u64 nbits, u64 from)
{
	u64 bit = from;

	/* Up to a word's edge bit by bit, words while they are whole, the rest bit by bit. */
	for (; bit < nbits && bit % BITS_PER_U64; bit++)
		if (!bitmap_test(map, bit))
			return bit;
	for (; bit < nbits && nbits - bit >= BITS_PER_U64; bit += BITS_PER_U64) {
		u64 zeros = ~load_word(map, bit);

		if (zeros)
			return bit + (u64)__builtin_ctzll(zeros);
	}
	for (; bit < nbits; bit++)
		if (!bitmap_test(map, bit))
			return bit;
	return nbits;
}

u64 bitmap_count_ones(const void *map, u64 nbits)
{
	u64 ones = 0, bit = 0;

	for (; nbits - bit >= BITS_PER_U64; bit += BITS_PER_U64)
		ones += popcount64(load_word(map, bit));
	for (; bit < nbits; bit++)
		ones += bitmap_test(map, bit);
	return ones;
}
