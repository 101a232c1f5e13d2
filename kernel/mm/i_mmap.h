/* SPDX-License-Identifier: MIT */
/*
 * i_mmap.h - which areas map any page of a range of one file? An interval structure.
 *
 * A treap: a binary search tree by (first page, address of the node), a heap by random priorities,
 * so that its height is O(log n) whatever the order of mmap calls. Each node knows the greatest
 * `last` of its subtree; a subtree that ends before the range is never entered.
 *
 * Pure C on struct i_mmap_node; knows neither areas nor locks. The caller's lock (i_mmap_rwsem)
 * guards every call: write for insert and remove, read for first and next.
 *
 *	for (n = i_mmap_first(tree, first, last); n; n = i_mmap_next(n, first, last))
 *		... container_of(n, struct vm_area, i_node) ...
 *
 * Cost of the whole loop with k hits of n nodes: O(log n + k) when the hits lie together, as they
 * do when everybody maps the same part of a file or the file is cut up; never more than
 * O(log n + k * (1 + log(n / k))).
 */
#ifndef KERNEL_MM_I_MMAP_H
#define KERNEL_MM_I_MMAP_H

#include "kernel/lib/types.h"

/* @first and @last are the caller's, and must not change while the node is in a tree. */
struct i_mmap_node {
	struct i_mmap_node *parent, *left, *right;
	pgoff_t first, last; /* pages, inclusive */
	pgoff_t subtree_last;
	u32 priority;
};

/* All zero is an empty tree. */
struct i_mmap {
	struct i_mmap_node *root;
	u32 nr;	      /* nodes in it */
	u32 inserted; /* ever: where priorities come from */
};

static inline void i_mmap_init(struct i_mmap *tree)
{
	*tree = (struct i_mmap){ 0 };
}

static inline bool i_mmap_empty(const struct i_mmap *tree)
{
	return !tree->root;
}

/* @node->first <= @node->last are set; several nodes may have the same. */
void i_mmap_insert(struct i_mmap *tree, struct i_mmap_node *node);
void i_mmap_remove(struct i_mmap *tree, struct i_mmap_node *node);

/* All nodes that overlap [@first, @last], in order of (first, address); NULL when there is none
 * (more). */
struct i_mmap_node *i_mmap_first(const struct i_mmap *tree, pgoff_t first, pgoff_t last);
struct i_mmap_node *i_mmap_next(struct i_mmap_node *node, pgoff_t first, pgoff_t last);

#endif
