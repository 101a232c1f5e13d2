/* SPDX-License-Identifier: MIT */
/*
 * i_mmap.c - a treap of intervals.
 *
 * Owns:  the links, priorities and subtree_last of the nodes in a tree.
 * Not:   first and last (the caller's), locking (the caller's i_mmap_rwsem).
 * Key fact: subtree_last of a node is the maximum of its own last and its children's
 *        subtree_last, for every node, whenever no call is running. A change of the tree leaves it
 *        wrong on one path to the root at most, and repairs that path from below.
 *
 * Not sys/tree.h, whose RB_AUGMENT repairs less than that path (one level after an insertion or a
 * removal of a node with one child), and which hosts with glibc do not have: this file is tested
 * there.
 */
#include "kernel/mm/i_mmap.h"

#include "kernel/lib/bug.h"

/* Tests count the nodes that a lookup reads. */
#ifndef I_MMAP_VISIT
#define I_MMAP_VISIT(node) ((void)0)
#endif

static bool before(const struct i_mmap_node *a, const struct i_mmap_node *b)
{
	return a->first < b->first || (a->first == b->first && a < b);
}

static void update(struct i_mmap_node *n)
{
	pgoff_t end = n->last;

	if (n->left)
		end = max(end, n->left->subtree_last);
	if (n->right)
		end = max(end, n->right->subtree_last);
	n->subtree_last = end;
}

/* Where the pointer to @n stands. */
static struct i_mmap_node **link_to(struct i_mmap *tree, struct i_mmap_node *n)
{
	if (!n->parent)
		return &tree->root;
	return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

/* @n takes its parent's place, which becomes its child. The subtree's nodes stay the same ones, so
 * nothing above needs repair. */
static void rotate_up(struct i_mmap *tree, struct i_mmap_node *n)
{
	struct i_mmap_node *parent = n->parent, *moved;

	*link_to(tree, parent) = n;
	if (parent->left == n) {
		moved = n->right;
		parent->left = moved;
		n->right = parent;
	} else {
		moved = n->left;
		parent->right = moved;
		n->left = parent;
	}
	if (moved)
		moved->parent = parent;
	n->parent = parent->parent;
	parent->parent = n;
	update(parent);
	update(n);
}

/* Murmur3's finisher: neighbouring counts give unrelated priorities. */
static u32 mix(u32 v)
{
	v = (v ^ v >> 16) * 0x85ebca6bu;
	v = (v ^ v >> 13) * 0xc2b2ae35u;
	return v ^ v >> 16;
}

void i_mmap_insert(struct i_mmap *tree, struct i_mmap_node *node)
{
	struct i_mmap_node **link = &tree->root, *parent = NULL;

	BUG_ON(node->first > node->last);
	while (*link) {
		parent = *link;
		/* On the way down already: @node will be below. */
		parent->subtree_last = max(parent->subtree_last, node->last);
		link = before(node, parent) ? &parent->left : &parent->right;
	}
	node->parent = parent;
	node->left = NULL;
	node->right = NULL;
	node->subtree_last = node->last;
	node->priority = mix(tree->inserted++);
	*link = node;
	while (node->parent && node->parent->priority < node->priority)
		rotate_up(tree, node);
	tree->nr++;
}

void i_mmap_remove(struct i_mmap *tree, struct i_mmap_node *node)
{
	struct i_mmap_node *child, *n;

	BUG_ON(*link_to(tree, node) != node || !tree->nr);
	/* Down to where it has one child at most; the heap order of the others is kept. */
	while (node->left && node->right)
		rotate_up(tree,
			  node->left->priority > node->right->priority ? node->left : node->right);
	child = node->left ? node->left : node->right;
	*link_to(tree, node) = child;
	if (child)
		child->parent = node->parent;
	for (n = node->parent; n; n = n->parent)
		update(n);
	node->parent = NULL;
	node->left = NULL;
	node->right = NULL;
	tree->nr--;
}

/*
 * The leftmost node of @n's subtree that overlaps; @n->subtree_last >= @first. If the left subtree
 * ends late enough, then some node N in it has last >= @first. Should all such N begin beyond
 * @last, then @n and all to its right, which begin later still, do too: no need to come back.
 */
static struct i_mmap_node *leftmost(struct i_mmap_node *n, pgoff_t first, pgoff_t last)
{
	for (;;) {
		I_MMAP_VISIT(n);
		if (n->left && n->left->subtree_last >= first) {
			n = n->left;
			continue;
		}
		if (n->first > last)
			return NULL;
		if (n->last >= first)
			return n;
		if (!n->right || n->right->subtree_last < first)
			return NULL;
		n = n->right;
	}
}

struct i_mmap_node *i_mmap_first(const struct i_mmap *tree, pgoff_t first, pgoff_t last)
{
	if (!tree->root || tree->root->subtree_last < first)
		return NULL;
	return leftmost(tree->root, first, last);
}

struct i_mmap_node *i_mmap_next(struct i_mmap_node *node, pgoff_t first, pgoff_t last)
{
	for (;;) {
		struct i_mmap_node *from;

		if (node->right && node->right->subtree_last >= first)
			return leftmost(node->right, first, last);
		/* Up, to the first ancestor that lies to the right. */
		do {
			from = node;
			node = node->parent;
			if (!node)
				return NULL;
			I_MMAP_VISIT(node);
		} while (node->right == from);
		if (node->first > last)
			return NULL;
		if (node->last >= first)
			return node;
	}
}
