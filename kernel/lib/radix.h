/* SPDX-License-Identifier: MIT */
/*
 * radix.h - from an index to a pointer, with tags that can be searched.
 *
 * A tree of 64-way nodes. Each slot has RADIX_TAGS tag bits; a parent's tag bit is the OR of its
 * child's, so that "the next tagged item" costs O(height), and "is anything tagged" one load.
 * The same run of neighbours is almost always in one leaf, so batches cost one descent per leaf.
 *
 * Locks: none of its own; the caller's lock guards every call (mapping->tree_lock, irqsave).
 * Memory: insertion never allocates. The caller preloads nodes (may sleep) before taking its lock:
 *	struct radix_preload pre;
 *	if (radix_preload(&pre)) return -ENOMEM;
 *	lock; err = radix_insert(tree, index, item, &pre); unlock;
 *	radix_preload_end(&pre);		(frees what was not used)
 * Nodes come from the two functions given to radix_init_memory().
 */
#ifndef KERNEL_LIB_RADIX_H
#define KERNEL_LIB_RADIX_H

#include "kernel/lib/types.h"

#define RADIX_SHIFT	 6
#define RADIX_SLOTS	 64
#define RADIX_TAGS	 4
#define RADIX_MAX_HEIGHT 11 /* 64-bit indices */
#define RADIX_MEMORY	 9  /* words of the caller's own in each leaf, zero when it is made */
/* Most nodes one insertion can need: a chain up from a lone leaf, and a chain down to a new one. */
#define RADIX_MAX_NEEDED (2 * (RADIX_MAX_HEIGHT - 1))

struct radix_node;

struct radix_tree {
	struct radix_node *root;      /* NULL when empty */
	unsigned int height;	      /* levels of nodes; 0 when empty */
	unsigned int tagged;	      /* bit t: some item has tag t; may be read without the lock */
	u64 nr;			      /* items */
	u64 last_leaf_index;	      /* first index of last_leaf */
	struct radix_node *last_leaf; /* found last: neighbours come together; or NULL */
};

struct radix_preload {
	struct radix_node *nodes[RADIX_MAX_NEEDED];
	unsigned int nr;
};

/* Where nodes come from and go to; alloc returns zeroed memory or NULL. Call once at boot. */
void radix_init_memory(void *(*alloc)(size_t size), void (*free)(void *node, size_t size));

/* Gather nodes enough for one insertion at @index into @tree as it is now or higher. 0 or -ENOMEM
 * (nothing held). @tree is read without its lock: only a hint, and radix_insert copes. Only a tree
 * that was emptied and grew beyond 2^30 between the two calls can want more. May sleep. */
int radix_preload(struct radix_preload *pre, const struct radix_tree *tree, u64 index);
void radix_preload_end(struct radix_preload *pre);

/* -EEXIST if the index is taken, -ENOMEM if @pre ran out; then nothing changed. */
int radix_insert(struct radix_tree *tree, u64 index, void *item, struct radix_preload *pre);
/* Returns the item, or NULL. Clears its tags. Frees empty nodes. */
void *radix_delete(struct radix_tree *tree, u64 index);
void *radix_lookup(const struct radix_tree *tree, u64 index);
/* Put @item where another one is (an absent index is a bug); its tags stay. */
void radix_replace(struct radix_tree *tree, u64 index, void *item);

/* Up to @max items with index >= @first and <= @last, in order, into @items; returns how many. */
unsigned int radix_gang(const struct radix_tree *tree, u64 first, u64 last, void **items,
			unsigned int max);
/* The same, only those with @tag. */
unsigned int radix_gang_tag(const struct radix_tree *tree, u64 first, u64 last, void **items,
			    unsigned int max, unsigned int tag);

static inline bool radix_empty(const struct radix_tree *tree)
{
	return !tree->root;
}

/* Has anything at all this tag? One load; without the caller's lock the answer may be old. */
static inline bool radix_tagged(const struct radix_tree *tree, unsigned int tag)
{
	return READ_ONCE(tree->tagged) >> tag & 1;
}
/* The same for several tags, a mask of 1 << tag. */
static inline bool radix_tagged_any(const struct radix_tree *tree, unsigned int tags)
{
	return READ_ONCE(tree->tagged) & tags;
}
bool radix_tag_get(const struct radix_tree *tree, u64 index, unsigned int tag);

/* Set one tag of the present item at @index: what a store's fault does. */
void radix_tag_set(struct radix_tree *tree, u64 index, unsigned int tag);

/* Set and clear tags given as masks (1 << tag) on the present item at @index; an absent index is
 * a bug. Clearing is done after setting, so one call moves an item from one tag to another. */
void radix_retag(struct radix_tree *tree, u64 index, unsigned int set, unsigned int clear);

/* The same on every present index of @bits: bit i means index (@leaf_first + i), @leaf_first
 * a multiple of 64. One descent for up to 64 neighbours. */
void radix_retag_leaf(struct radix_tree *tree, u64 leaf_first, u64 bits, unsigned int set,
		      unsigned int clear);

/*
 * A leaf as a whole: 64 neighbours from @leaf_first (a multiple of 64) on, a tag of all of them in
 * one word. Valid until the caller lets its lock go; slots without an item are NULL.
 */
struct radix_leaf {
	const u64 *tags; /* RADIX_TAGS words */
	void *const *items;
	u64 *memory; /* RADIX_MEMORY words, kept as long as any item is there */
};

/* False: there is no such leaf, so none of the 64 has an item. */
bool radix_leaf(const struct radix_tree *tree, u64 leaf_first, struct radix_leaf *leaf);
/* The first leaf that has an item with @tag at or behind *@index and not behind @last: *@index
 * becomes the index of that item, and the word returned says which of the leaf's 64 have the tag
 * and lie in [*@index, @last]. 0: there is none. To go on: *@index = (*@index | 63) + 1, until
 * that is 0. */
u64 radix_next_leaf(const struct radix_tree *tree, u64 *index, u64 last, unsigned int tag,
		    struct radix_leaf *leaf);

/* For every item of [first, last] that has tag @from, set tag @to too. Returns how many items
 * carried @from. Works leaf by leaf: a 64-bit operation tags 64 neighbours. */
u64 radix_tag_range(struct radix_tree *tree, u64 first, u64 last, unsigned int from,
		    unsigned int to);

#endif
