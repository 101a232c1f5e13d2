/* SPDX-License-Identifier: MIT */
/*
 * radix.c - from an index to an item, and from a tag to the items that carry it.
 *
 * A node of level n covers 64^n indices; level 1 nodes (leaves) hold the items. Each node has one
 * word per tag and one word that tells which slots are used. Truths that every call keeps:
 *   - a slot is used if and only if its bit in word[USED] is set;
 *   - an item's tag is a bit of its leaf; a higher node's bit is set if and only if the child in
 *     that slot has any bit of that tag;
 *   - no node is empty, and the root is no higher than the largest index needs.
 * Since a bit above is the OR of a word below, changes climb only when a word becomes zero or
 * ceases to be zero: tagging the neighbours of a tagged item touches one word.
 */
#include "kernel/lib/radix.h"

#include <errno.h>

#include "kernel/lib/bitmap.h"
#include "kernel/lib/bug.h"

#define SLOT_MASK (RADIX_SLOTS - 1)
#define USED	  RADIX_TAGS /* index of the word of used slots, behind those of the tags */

struct radix_node {
	u64 word[RADIX_TAGS + 1];
	struct radix_node *parent; /* NULL: the root */
	unsigned int slot;	   /* where the parent holds this node */
	u64 memory[RADIX_MEMORY];  /* leaves: the caller's; others leave it alone */
	void *slots[RADIX_SLOTS];
};

static void *(*node_alloc)(size_t size);
static void (*node_free)(void *node, size_t size);

void radix_init_memory(void *(*alloc)(size_t size), void (*free)(void *node, size_t size))
{
	node_alloc = alloc;
	node_free = free;
}

/* The largest index that fits below a root of level @height. */
static u64 max_index(unsigned int height)
{
	return height >= RADIX_MAX_HEIGHT ? ~0UL : (1UL << (RADIX_SHIFT * height)) - 1;
}

static unsigned int height_for(u64 index)
{
	unsigned int height = 1;

	while (index > max_index(height))
		height++;
	return height;
}

static unsigned int slot_at(u64 index, unsigned int level)
{
	return (index >> (RADIX_SHIFT * (level - 1))) & SLOT_MASK;
}

static __noinline struct radix_node *find_leaf_slow(struct radix_tree *tree, u64 index)
{
	struct radix_node *node = tree->root;
	unsigned int shift = RADIX_SHIFT * tree->height;

	if (!node || index > max_index(tree->height))
		return NULL;
	while ((shift -= RADIX_SHIFT) && node)
		node = node->slots[(index >> shift) & SLOT_MASK];
	if (node) {
		tree->last_leaf = node;
		tree->last_leaf_index = index & ~(u64)SLOT_MASK;
	}
	return node;
}

/* The tree is const to callers that only look; the note of where they looked is not their affair.
 * All calls are under the caller's lock, so it is written by one at a time. */
static inline struct radix_node *find_leaf(const struct radix_tree *tree, u64 index)
{
	if (likely(tree->last_leaf && (index & ~(u64)SLOT_MASK) == tree->last_leaf_index))
		return tree->last_leaf;
	return find_leaf_slow((struct radix_tree *)tree, index);
}

/* --- memory --- */

/* Nodes that an insertion at @index may need, seen from the height alone. */
static unsigned int needed_at_most(unsigned int height, u64 index)
{
	unsigned int target = height_for(index);

	/* Empty: a chain down. Somebody may make the tree higher meanwhile, so take some more. */
	if (!height)
		return max(target, 5u);
	/* It fits: at worst all below the root is missing. */
	if (target <= height)
		return height - 1;
	/* New levels above, each with one child so far, and a chain down beside them. */
	return target - height + target - 1;
}

int radix_preload(struct radix_preload *pre, const struct radix_tree *tree, u64 index)
{
	unsigned int want = needed_at_most(READ_ONCE(tree->height), index);

	for (pre->nr = 0; pre->nr < want; pre->nr++) {
		pre->nodes[pre->nr] = node_alloc(sizeof(struct radix_node));
		if (!pre->nodes[pre->nr]) {
			radix_preload_end(pre);
			return -ENOMEM;
		}
	}
	return 0;
}

void radix_preload_end(struct radix_preload *pre)
{
	while (pre->nr)
		node_free(pre->nodes[--pre->nr], sizeof(struct radix_node));
}

/* --- tags --- */

/* @node's word became nonzero: its ancestors say so too. */
static void climb_set(struct radix_tree *tree, struct radix_node *node, unsigned int tag)
{
	u64 old = 0;

	while (!old && node->parent) {
		u64 bit = 1UL << node->slot;

		node = node->parent;
		old = node->word[tag];
		node->word[tag] = old | bit;
	}
	if (!old)
		WRITE_ONCE(tree->tagged, tree->tagged | 1u << tag);
}

static void climb_clear(struct radix_tree *tree, struct radix_node *node, unsigned int tag)
{
	while (!node->word[tag] && node->parent) {
		u64 bit = 1UL << node->slot;

		node = node->parent;
		node->word[tag] &= ~bit;
	}
	if (!node->word[tag])
		WRITE_ONCE(tree->tagged, tree->tagged & ~(1u << tag));
}

/* Hot: a neighbour carries the tag already, almost always, and nothing climbs. */
static inline void set_bits(struct radix_tree *tree, struct radix_node *node, unsigned int tag,
			    u64 bits)
{
	u64 old = node->word[tag];

	node->word[tag] = old | bits;
	if (unlikely(!old && bits))
		climb_set(tree, node, tag);
}

static inline void clear_bits(struct radix_tree *tree, struct radix_node *node, unsigned int tag,
			      u64 bits)
{
	u64 old = node->word[tag];

	node->word[tag] = old & ~bits;
	if (unlikely(old && !(old & ~bits)))
		climb_clear(tree, node, tag);
}

bool radix_tag_get(const struct radix_tree *tree, u64 index, unsigned int tag)
{
	struct radix_node *leaf = find_leaf(tree, index);

	return leaf && (leaf->word[tag] >> (index & SLOT_MASK) & 1);
}

void radix_retag_leaf(struct radix_tree *tree, u64 leaf_first, u64 bits, unsigned int set,
		      unsigned int clear)
{
	struct radix_node *leaf = find_leaf(tree, leaf_first);

	BUG_ON(!leaf || (bits & ~leaf->word[USED]));
	/* Unrolled: a tag costs a test, and what it has not to change costs no store. */
#pragma GCC unroll 8
	for (unsigned int tag = 0; tag < RADIX_TAGS; tag++) {
		if (set & 1u << tag)
			set_bits(tree, leaf, tag, bits);
		if (clear & 1u << tag && leaf->word[tag] & bits)
			clear_bits(tree, leaf, tag, bits);
	}
}

void radix_tag_set(struct radix_tree *tree, u64 index, unsigned int tag)
{
	struct radix_node *leaf = find_leaf(tree, index);

	BUG_ON(!leaf || !(leaf->word[USED] >> (index & SLOT_MASK) & 1));
	set_bits(tree, leaf, tag, 1UL << (index & SLOT_MASK));
}

void radix_retag(struct radix_tree *tree, u64 index, unsigned int set, unsigned int clear)
{
	radix_retag_leaf(tree, index & ~(u64)SLOT_MASK, 1UL << (index & SLOT_MASK), set, clear);
}

bool radix_leaf(const struct radix_tree *tree, u64 leaf_first, struct radix_leaf *leaf)
{
	struct radix_node *node = find_leaf(tree, leaf_first);

	if (!node)
		return false;
	*leaf = (struct radix_leaf){ node->word, node->slots, node->memory };
	return true;
}

/* --- change --- */

static void set_child(struct radix_node *node, unsigned int slot, struct radix_node *child)
{
	child->parent = node;
	child->slot = slot;
	node->slots[slot] = child;
	node->word[USED] |= 1UL << slot;
	for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
		if (child->word[tag])
			node->word[tag] |= 1UL << slot;
}

/* How many nodes are missing for @index, exactly; nothing changes. */
static unsigned int missing_nodes(const struct radix_tree *tree, u64 index)
{
	const struct radix_node *node = tree->root;
	unsigned int target = height_for(index);

	if (!node)
		return target;
	if (target > tree->height)
		return target - tree->height + target - 1;
	for (unsigned int level = tree->height; level > 1; level--) {
		node = node->slots[slot_at(index, level)];
		if (!node)
			return level - 1;
	}
	return 0;
}

int radix_insert(struct radix_tree *tree, u64 index, void *item, struct radix_preload *pre)
{
	unsigned int slot = index & SLOT_MASK, target = height_for(index);
	struct radix_node *node = find_leaf(tree, index), *child;

	if (!node) {
		if (missing_nodes(tree, index) > pre->nr)
			return -ENOMEM;
		if (!tree->root) {
			tree->root = pre->nodes[--pre->nr];
			tree->height = target;
		}
		for (; tree->height < target; tree->height++) {
			child = tree->root;
			tree->root = pre->nodes[--pre->nr];
			set_child(tree->root, 0, child);
		}
		node = tree->root;
		for (unsigned int level = tree->height; level > 1; level--) {
			child = node->slots[slot_at(index, level)];
			if (!child) {
				child = pre->nodes[--pre->nr];
				set_child(node, slot_at(index, level), child);
			}
			node = child;
		}
	}
	if (node->slots[slot])
		return -EEXIST;
	node->slots[slot] = item;
	node->word[USED] |= 1UL << slot;
	tree->nr++;
	return 0;
}

/* @node lost its last child or item: it goes, and so do ancestors that held nothing else. */
static void remove_empty(struct radix_tree *tree, struct radix_node *node)
{
	while (!node->word[USED]) {
		struct radix_node *parent = node->parent;
		unsigned int slot = node->slot;

		if (node == tree->last_leaf)
			tree->last_leaf = NULL;
		node_free(node, sizeof(*node));
		if (!parent) {
			tree->root = NULL;
			tree->height = 0;
			return;
		}
		node = parent;
		node->slots[slot] = NULL;
		node->word[USED] &= ~(1UL << slot);
	}
}

/* A root that only leads to its first child says nothing. */
static void lower_root(struct radix_tree *tree)
{
	while (tree->height > 1 && tree->root->word[USED] == 1) {
		struct radix_node *old = tree->root;

		tree->root = old->slots[0];
		tree->root->parent = NULL;
		tree->height--;
		node_free(old, sizeof(*old));
	}
}

void *radix_delete(struct radix_tree *tree, u64 index)
{
	struct radix_node *leaf = find_leaf(tree, index);
	unsigned int slot = index & SLOT_MASK;
	void *item;

	if (!leaf || !leaf->slots[slot])
		return NULL;
	item = leaf->slots[slot];
	for (unsigned int tag = 0; tag < RADIX_TAGS; tag++)
		clear_bits(tree, leaf, tag, 1UL << slot);
	leaf->slots[slot] = NULL;
	leaf->word[USED] &= ~(1UL << slot);
	tree->nr--;
	if (!leaf->word[USED]) {
		remove_empty(tree, leaf);
		lower_root(tree);
	}
	return item;
}

void radix_replace(struct radix_tree *tree, u64 index, void *item)
{
	struct radix_node *leaf = find_leaf(tree, index);

	BUG_ON(!leaf || !leaf->slots[index & SLOT_MASK]);
	leaf->slots[index & SLOT_MASK] = item;
}

/* --- search --- */

void *radix_lookup(const struct radix_tree *tree, u64 index)
{
	struct radix_node *leaf = find_leaf(tree, index);

	return leaf ? leaf->slots[index & SLOT_MASK] : NULL;
}

/*
 * The first leaf with a bit of word @which at or behind *@index; *@index moves to that bit. Goes
 * down where it can and up where a node has nothing more; so it costs O(height) whatever lies
 * between.
 */
static struct radix_node *seek(const struct radix_tree *tree, u64 *index, unsigned int which)
{
	struct radix_node *node = tree->root;
	unsigned int shift = RADIX_SHIFT * (tree->height - 1), slot;
	u64 bits;

	if (!node || *index > max_index(tree->height))
		return NULL;
	for (;;) {
		slot = (*index >> shift) & SLOT_MASK;
		bits = node->word[which] & (~0UL << slot);
		while (!bits) {
			if (!node->parent)
				return NULL;
			/* Twice one, because 2 << 63 is nothing and 1 << 64 is not C. */
			bits = node->parent->word[which] & ~((2UL << node->slot) - 1);
			slot = SLOT_MASK + 1; /* none: *index must move */
			node = node->parent;
			shift += RADIX_SHIFT;
		}
		if ((unsigned int)__builtin_ctzl(bits) != slot) {
			slot = (unsigned int)__builtin_ctzl(bits);
			*index = ((*index >> shift & ~(u64)SLOT_MASK) | slot) << shift;
		}
		if (!shift)
			return node;
		node = node->slots[slot];
		shift -= RADIX_SHIFT;
	}
}

/* Bits of word @which of @leaf from @index up to @last, which may lie in a later leaf. */
static u64 leaf_bits(const struct radix_node *leaf, u64 index, u64 last, unsigned int which)
{
	u64 bits = leaf->word[which] & (~0UL << (index & SLOT_MASK));

	if ((index | SLOT_MASK) > last)
		bits &= ~0UL >> (SLOT_MASK - (last & SLOT_MASK));
	return bits;
}

static unsigned int gang(const struct radix_tree *tree, u64 index, u64 last, void **items,
			 unsigned int max, unsigned int which)
{
	const struct radix_node *leaf;
	unsigned int n = 0;

	while (n < max && index <= last && (leaf = seek(tree, &index, which)) && index <= last) {
		u64 bits = leaf_bits(leaf, index, last, which);

		for (; bits && n < max; bits &= bits - 1)
			items[n++] = leaf->slots[__builtin_ctzl(bits)];
		index = (index | SLOT_MASK) + 1;
		if (!index) /* that was the last leaf there can be */
			break;
	}
	return n;
}

unsigned int radix_gang(const struct radix_tree *tree, u64 first, u64 last, void **items,
			unsigned int max)
{
	return gang(tree, first, last, items, max, USED);
}

unsigned int radix_gang_tag(const struct radix_tree *tree, u64 first, u64 last, void **items,
			    unsigned int max, unsigned int tag)
{
	return gang(tree, first, last, items, max, tag);
}

u64 radix_tag_range(struct radix_tree *tree, u64 first, u64 last, unsigned int from,
		    unsigned int to)
{
	struct radix_node *leaf;
	u64 count = 0, index = first;

	while (index <= last && (leaf = seek(tree, &index, from)) && index <= last) {
		u64 bits = leaf_bits(leaf, index, last, from);

		set_bits(tree, leaf, to, bits);
		count += popcount64(bits);
		index = (index | SLOT_MASK) + 1;
		if (!index)
			break;
	}
	return count;
}

u64 radix_next_leaf(const struct radix_tree *tree, u64 *index, u64 last, unsigned int tag,
		    struct radix_leaf *leaf)
{
	struct radix_node *node = *index <= last ? seek(tree, index, tag) : NULL;

	if (!node || *index > last)
		return 0;
	*leaf = (struct radix_leaf){ node->word, node->slots, node->memory };
	return leaf_bits(node, *index, last, tag);
}
