/* SPDX-License-Identifier: MIT */
/*
 * latency.c - how long things took: a histogram whose buckets grow with what they count.
 *
 * Below 16 each value has a bucket; above, each power of two is cut into 16 parts.
 */
#include "apps/lab/cost.h"

#define PARTS 16

static unsigned int bucket_of(uint64_t ticks)
{
	unsigned int shift;

	if (ticks < PARTS)
		return (unsigned int)ticks;
	shift = 63 - (unsigned int)__builtin_clzll(ticks) - 4;
	return PARTS * shift + (unsigned int)(ticks >> shift);
}

uint64_t latency_upper(unsigned int bucket)
{
	unsigned int shift = bucket / PARTS - 1;

	if (bucket < 2 * PARTS)
		return bucket;
	return ((uint64_t)(bucket % PARTS + PARTS + 1) << shift) - 1;
}

void latency_note(struct latency *l, uint64_t ticks)
{
	l->bucket[bucket_of(ticks)]++;
	l->count++;
	if (ticks > l->max)
		l->max = ticks;
}

void latency_add(struct latency *to, const struct latency *from)
{
	unsigned int n;

	for (n = 0; n < LATENCY_BUCKETS; n++)
		to->bucket[n] += from->bucket[n];
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t latency_share(const struct latency *l, double share)
{
	uint64_t below = 0;
	unsigned int n;

	for (n = 0; n < LATENCY_BUCKETS && l->count; n++) {
		below += l->bucket[n];
		if ((double)below >= share * (double)l->count)
			return latency_upper(n) < l->max ? latency_upper(n) : l->max;
	}
	return l->max;
}
