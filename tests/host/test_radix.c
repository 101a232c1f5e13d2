/* SPDX-License-Identifier: MIT */
/*
 * test_radix.c - the tagged radix tree against an array; nodes come from malloc, which fails on
 * demand and counts what it gave.
 */
#include "kernel/lib/radix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/host.h"

#define MODEL 400 /* items at most */

static u64 indices[MODEL]; /* sorted */
static unsigned int tags[MODEL];
static unsigned int nr;

static long living;	/* nodes */
static long fail_after; /* allocations that still succeed; -1: all */

static struct radix_tree tree;

static void *alloc_node(size_t size)
{
	if (fail_after == 0)
		return NULL;
	if (fail_after > 0)
		fail_after--;
	living++;
	return calloc(1, size);
}

static void free_node(void *node, size_t size)
{
	memset(node, 0xdb, size);
	free(node);
	living--;
}

/* An item is told from others by its address; never dereferenced. NULL only for one odd index. */
static void *item_of(u64 index)
{
	return (void *)(index ^ 0x123456789abcdef0UL);
}

/* First model entry with an index not below @index. */
static unsigned int model_at(u64 index)
{
	unsigned int i = 0;

	while (i < nr && indices[i] < index)
		i++;
	return i;
}

static bool model_has(u64 index)
{
	unsigned int i = model_at(index);

	return i < nr && indices[i] == index;
}

static int insert(u64 index)
{
	struct radix_preload pre;
	int err = radix_preload(&pre, &tree, index);

	if (err)
		return err;
	err = radix_insert(&tree, index, item_of(index), &pre);
	radix_preload_end(&pre);
	return err;
}

static int insert_both(u64 index)
{
	unsigned int i = model_at(index);
	int err = insert(index);

	if (err)
		return err;
	memmove(&indices[i + 1], &indices[i], (nr - i) * sizeof(indices[0]));
	memmove(&tags[i + 1], &tags[i], (nr - i) * sizeof(tags[0]));
	indices[i] = index;
	tags[i] = 0;
	nr++;
	return 0;
}

static bool delete_both(u64 index)
{
	unsigned int i = model_at(index);
	void *item = radix_delete(&tree, index);

	if (i == nr || indices[i] != index)
		return !item;
	nr--;
	memmove(&indices[i], &indices[i + 1], (nr - i) * sizeof(indices[0]));
	memmove(&tags[i], &tags[i + 1], (nr - i) * sizeof(tags[0]));
	return item == item_of(index);
}

/* Gang look-up of [first, last], with tag @tag or -1 for all, @max at a time. */
static bool gang_agrees(u64 first, u64 last, unsigned int max, int tag)
{
	void *items[MODEL];
	unsigned int n = 0, got;

	if (tag < 0)
		got = radix_gang(&tree, first, last, items, max);
	else
		got = radix_gang_tag(&tree, first, last, items, max, (unsigned int)tag);
	for (unsigned int i = model_at(first); i < nr && indices[i] <= last && n < max; i++) {
		if (tag >= 0 && !(tags[i] >> tag & 1))
			continue;
		if (n >= got || items[n] != item_of(indices[i]))
			return false;
		n++;
	}
	return n == got;
}

static bool all_agrees(void)
{
	unsigned int seen = 0;

	if (tree.nr != nr || radix_empty(&tree) != !nr || (!nr && living))
		return false;
	for (unsigned int i = 0; i < nr; i++) {
		if (radix_lookup(&tree, indices[i]) != item_of(indices[i]))
			return false;
		for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
			if (radix_tag_get(&tree, indices[i], tag) != (tags[i] >> tag & 1))
				return false;
		seen |= tags[i];
	}
	for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
		if (radix_tagged(&tree, tag) != (seen >> tag & 1) ||
		    !gang_agrees(0, ~0UL, MODEL, (int)tag))
			return false;
	return gang_agrees(0, ~0UL, MODEL, -1);
}

/* Indices close together, a few leaves, and anywhere: all shapes of tree. */
static u64 pick(unsigned int shape)
{
	switch (shape) {
	case 0: return rnd(150);
	case 1: return rnd(30) * 64 + rnd(3);
	case 2: return rnd(20000);
	default: return rnd(4) ? rnd(100) << rnd(58) : ~0UL - rnd(100);
	}
}

static bool retag_one(u64 index)
{
	unsigned int set = (unsigned int)rnd(16), clear = (unsigned int)rnd(16), i;

	if (!model_has(index))
		return true;
	i = model_at(index);
	radix_retag(&tree, index, set, clear);
	tags[i] = (tags[i] | set) & ~clear;
	return true;
}

static bool retag_leaf(u64 index)
{
	u64 first = index & ~63UL, bits = 0;
	unsigned int set = (unsigned int)rnd(16), clear = (unsigned int)rnd(16);

	for (unsigned int i = model_at(first); i < nr && indices[i] - first < 64; i++) {
		if (rnd(2))
			continue;
		bits |= 1UL << (indices[i] - first);
		tags[i] = (tags[i] | set) & ~clear;
	}
	if (bits)
		radix_retag_leaf(&tree, first, bits, set, clear);
	return true;
}

static bool tag_range(u64 first, u64 last)
{
	unsigned int from = (unsigned int)rnd(RADIX_TAGS), to = (unsigned int)rnd(RADIX_TAGS);
	u64 count = 0;

	for (unsigned int i = model_at(first); i < nr && indices[i] <= last; i++) {
		if (!(tags[i] >> from & 1))
			continue;
		tags[i] |= 1u << to;
		count++;
	}
	return radix_tag_range(&tree, first, last, from, to) == count;
}

/* The words of the leaf of @index are those of the model. */
static bool leaf_agrees(u64 index)
{
	u64 first = index & ~63UL, used = 0, words[RADIX_TAGS] = { 0 };
	struct radix_leaf leaf;

	for (unsigned int i = model_at(first); i < nr && indices[i] - first < 64; i++) {
		used |= 1UL << (indices[i] - first);
		for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
			words[tag] |= (u64)(tags[i] >> tag & 1) << (indices[i] - first);
	}
	if (!radix_leaf(&tree, first, &leaf))
		return !used;
	for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
		if (leaf.tags[tag] != words[tag])
			return false;
	for (unsigned int i = 0; i < 64; i++)
		if (leaf.items[i] != (used >> i & 1 ? item_of(first + i) : NULL))
			return false;
	return used;
}

/* Going from leaf to leaf finds every item of [first, last] with @tag, once. */
static bool leaves_agree(u64 first, u64 last, unsigned int tag)
{
	unsigned int i = model_at(first);
	u64 index = first, bits;
	struct radix_leaf leaf;

	while ((bits = radix_next_leaf(&tree, &index, last, tag, &leaf))) {
		if (bits & ~leaf.tags[tag])
			return false;
		for (; bits; bits &= bits - 1) {
			u64 at = (index & ~63UL) + (u64)__builtin_ctzl(bits);

			while (i < nr && !(tags[i] >> tag & 1))
				i++;
			if (i == nr || indices[i++] != at || at > last)
				return false;
		}
		index = (index | 63) + 1;
		if (!index)
			break;
	}
	while (i < nr && indices[i] <= last)
		if (tags[i++] >> tag & 1)
			return false;
	return true;
}

static bool step(unsigned int shape)
{
	u64 a = pick(shape), b = pick(shape);
	int want;

	switch (rnd(10)) {
	case 0:
	case 1:
		if (nr == MODEL)
			return true;
		want = model_has(a) ? -EEXIST : 0;
		return insert_both(a) == want;
	case 2: return delete_both(nr && rnd(4) ? indices[rnd(nr)] : a);
	case 3: return retag_one(nr ? indices[rnd(nr)] : a);
	case 4: return retag_leaf(nr ? indices[rnd(nr)] : a);
	case 5: return tag_range(min(a, b), max(a, b));
	case 6: return leaf_agrees(a);
	case 7: return leaves_agree(min(a, b), max(a, b), (unsigned int)rnd(RADIX_TAGS));
	case 8: return gang_agrees(min(a, b), max(a, b), (unsigned int)rnd(MODEL), -1);
	default:
		return gang_agrees(min(a, b), max(a, b), (unsigned int)rnd(MODEL),
				   (int)rnd(RADIX_TAGS)) &&
		       radix_lookup(&tree, a) == (model_has(a) ? item_of(a) : NULL);
	}
}

static bool empty_both(void)
{
	while (nr)
		if (!delete_both(indices[rnd(nr)]))
			return false;
	return radix_empty(&tree) && tree.height == 0 && living == 0;
}

static bool random_steps(unsigned int shape)
{
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 3000; i++)
			if (!step(shape) || (i % 16 == 0 && !all_agrees()))
				return false;
		if (!empty_both())
			return false;
	}
	return true;
}

/* Let the n-th allocation fail: nothing may change and nothing may leak, whatever n is. */
static bool out_of_memory(void)
{
	for (int round = 0; round < 2000; round++) {
		u64 index = pick(3);
		long before;
		bool had;
		int err;

		if (nr > MODEL - 10 && !empty_both())
			return false;
		before = living;
		had = model_has(index);
		fail_after = (long)rnd(12);
		err = insert_both(index);
		fail_after = -1;
		if (err ? err != -ENOMEM && !had : had)
			return false;
		if ((err && living != before) || !all_agrees())
			return false;
	}
	return empty_both();
}

/* Another thread emptied or grew the tree after the preload: refuse whole, or work. */
static bool stale_preload(void)
{
	for (u64 far = 64; far; far <<= 6) {
		struct radix_preload pre;
		int err;

		if (insert_both(0) || radix_preload(&pre, &tree, 1) || insert_both(far))
			return false;
		err = radix_insert(&tree, 1, item_of(1), &pre);
		radix_preload_end(&pre);
		if (err || radix_delete(&tree, 1) != item_of(1) || !delete_both(0))
			return false;
		pre.nr = 0;
		if (radix_insert(&tree, 1, item_of(1), &pre) != -ENOMEM || !all_agrees())
			return false;
		if (!empty_both())
			return false;
	}
	return true;
}

static bool full_leaf(void)
{
	for (u64 i = 0; i < 64; i++)
		if (insert_both(64 * 5 + i))
			return false;
	radix_retag_leaf(&tree, 64 * 5, ~0UL, 1, 0);
	if (radix_tag_range(&tree, 0, ~0UL, 0, 2) != 64)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		tags[i] = 5;
	return all_agrees() && empty_both();
}

/* A leaf's memory is zero when it is made, and stays with the leaf whatever the tree becomes. */
static bool memory(void)
{
	struct radix_leaf leaf;

	if (insert_both(64 * 7 + 1) || !radix_leaf(&tree, 64 * 7, &leaf))
		return false;
	for (unsigned int i = 0; i < RADIX_MEMORY; i++) {
		if (leaf.memory[i])
			return false;
		leaf.memory[i] = 1000 + i;
	}
	if (insert_both(64 * 7 + 2) || insert_both(1UL << 40) || !delete_both(64 * 7 + 1) ||
	    !delete_both(1UL << 40) || !radix_leaf(&tree, 64 * 7, &leaf))
		return false;
	for (unsigned int i = 0; i < RADIX_MEMORY; i++)
		if (leaf.memory[i] != 1000 + i)
			return false;
	if (!delete_both(64 * 7 + 2) || radix_leaf(&tree, 64 * 7, &leaf) || insert_both(64 * 7) ||
	    !radix_leaf(&tree, 64 * 7, &leaf) || leaf.memory[0])
		return false;
	return empty_both();
}

static bool shrinks(void)
{
	if (insert_both(3) || insert_both(1UL << 40))
		return false;
	if (tree.height != 7 || !delete_both(1UL << 40))
		return false;
	return tree.height == 1 && living == 1 && all_agrees() && empty_both();
}

int main(void)
{
	radix_init_memory(alloc_node, free_node);
	fail_after = -1;
	ok(all_agrees(), "an empty tree holds and tags nothing");
	ok(full_leaf(), "a whole leaf is tagged by one call");
	ok(memory(), "a leaf remembers what its user wrote into it");
	ok(shrinks(), "the tree gets lower when its high indices go");
	ok(random_steps(0), "random steps in three leaves agree with an array");
	ok(random_steps(1), "random steps in thinly filled leaves agree with an array");
	ok(random_steps(2), "random steps over three levels agree with an array");
	ok(random_steps(3), "random steps over all 64-bit indices agree with an array");
	ok(out_of_memory(), "an insertion without memory changes and leaks nothing");
	ok(stale_preload(), "a preload survives growth of the tree, and an empty one is refused");
	return host_done();
}
