/* SPDX-License-Identifier: MIT */
/*
 * test_bitmap.c - bits against an array of bool; maps end at a byte that nobody owns behind it.
 */
#include "kernel/lib/bitmap.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/host.h"

#define BITS 700

static bool model[BITS];
static u8 *map; /* exactly as many bytes as the bits need: the sanitizer guards the rest */

static void fill(u64 nbits, unsigned int percent_ones)
{
	u64 bytes = (nbits + 7) / 8;

	free(map);
	map = malloc(bytes ? bytes : 1);
	memset(map, 0xff, bytes); /* ones behind the end must not count */
	for (u64 i = 0; i < nbits; i++) {
		model[i] = rnd(100) < percent_ones;
		if (model[i])
			bitmap_set(map, i);
		else
			bitmap_clear(map, i);
	}
}

static u64 model_find_zero(u64 nbits, u64 from)
{
	while (from < nbits && model[from])
		from++;
	return from < nbits ? from : nbits;
}

static bool find_agrees(unsigned int percent_ones)
{
	for (int round = 0; round < 400; round++) {
		u64 nbits = rnd(BITS + 1);

		fill(nbits, percent_ones);
		for (int i = 0; i < 20; i++) {
			u64 from = rnd(nbits + 2);

			if (bitmap_find_zero(map, nbits, from) != model_find_zero(nbits, from))
				return false;
		}
	}
	return true;
}

static bool count_agrees(void)
{
	for (int round = 0; round < 400; round++) {
		u64 nbits = rnd(BITS + 1), ones = 0;

		fill(nbits, 50);
		for (u64 i = 0; i < nbits; i++)
			ones += model[i];
		if (bitmap_count_ones(map, nbits) != ones)
			return false;
	}
	return true;
}

static bool test_agrees(void)
{
	fill(BITS, 50);
	for (u64 i = 0; i < BITS; i++)
		if (bitmap_test(map, i) != model[i])
			return false;
	return true;
}

static bool unaligned_agrees(void)
{
	u8 buf[41];

	memset(buf, 0xff, sizeof(buf));
	bitmap_clear(buf + 1, 250);
	return bitmap_find_zero(buf + 1, 320, 3) == 250 && bitmap_count_ones(buf + 1, 320) == 319;
}

static bool popcount_agrees(void)
{
	for (int i = 0; i < 10000; i++) {
		u64 v = rnd(~0UL) & rnd(~0UL);

		if (popcount64(v) != (unsigned int)__builtin_popcountl(v))
			return false;
	}
	return popcount64(0) == 0 && popcount64(~0UL) == 64;
}

int main(void)
{
	ok(test_agrees(), "set and clear touch one bit");
	ok(find_agrees(50), "find_zero in a half full map");
	ok(find_agrees(99), "find_zero where whole words are full");
	ok(find_agrees(100), "find_zero in a full map returns the number of bits");
	ok(count_agrees(), "count_ones ignores bits behind the end");
	ok(unaligned_agrees(), "a map may stand at an odd address");
	ok(popcount_agrees(), "popcount64 agrees with the compiler's");
	free(map);
	return host_done();
}
