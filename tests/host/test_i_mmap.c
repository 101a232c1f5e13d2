/* SPDX-License-Identifier: MIT */
/*
 * test_i_mmap.c - the interval structure of mappings against a plain list, and how many nodes a
 * lookup reads.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long visited;
#define I_MMAP_VISIT(node) ((void)visited++)

#include "kernel/mm/i_mmap.c"

#define NODES 3000

static struct i_mmap tree;
static struct i_mmap_node nodes[NODES];
static bool inside[NODES];
static int tests;
static u64 seed = 0x1234567;

static void ok(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
}

static u64 rnd(u64 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void put(unsigned int i, pgoff_t first, pgoff_t last)
{
	nodes[i].first = first;
	nodes[i].last = last;
	i_mmap_insert(&tree, &nodes[i]);
	inside[i] = true;
}

static void take(unsigned int i)
{
	i_mmap_remove(&tree, &nodes[i]);
	inside[i] = false;
}

static void clear(void)
{
	i_mmap_init(&tree);
	memset(inside, 0, sizeof(inside));
}

/* Height of @n's subtree; -1 when its order, heap, links or subtree_last are wrong. */
static int check(const struct i_mmap_node *n, const struct i_mmap_node *parent)
{
	pgoff_t end;
	int l, r;

	if (!n)
		return 0;
	l = check(n->left, n);
	r = check(n->right, n);
	end = n->last;
	if (n->left && n->left->subtree_last > end)
		end = n->left->subtree_last;
	if (n->right && n->right->subtree_last > end)
		end = n->right->subtree_last;
	if (l < 0 || r < 0 || n->parent != parent || end != n->subtree_last ||
	    (parent && parent->priority < n->priority) || (n->left && !before(n->left, n)) ||
	    (n->right && !before(n, n->right)))
		return -1;
	return 1 + (l > r ? l : r);
}

/* Compare a lookup with the list; the number of hits, or -1. */
static long same(pgoff_t first, pgoff_t last)
{
	static bool seen[NODES];
	struct i_mmap_node *n, *prev = NULL;
	long hits = 0;
	unsigned int i;

	memset(seen, 0, sizeof(seen));
	for (n = i_mmap_first(&tree, first, last); n; n = i_mmap_next(n, first, last)) {
		if (prev && !before(prev, n))
			return -1;
		prev = n;
		seen[n - nodes] = true;
		hits++;
	}
	for (i = 0; i < NODES; i++)
		if (seen[i] != (inside[i] && nodes[i].first <= last && nodes[i].last >= first))
			return -1;
	return hits;
}

/* @spread: where areas begin; @length: how long they are at most. */
static void random_against_list(const char *name, u64 spread, u64 length)
{
	bool good = true;
	int step;

	clear();
	for (step = 0; step < 20000 && good; step++) {
		unsigned int i = (unsigned int)rnd(200);
		pgoff_t first = rnd(spread);

		if (inside[i])
			take(i);
		else
			put(i, first, first + rnd(length));
		if (step % 8 == 0)
			good = check(tree.root, NULL) >= 0;
		first = rnd(spread + 5);
		good = good && same(first, first + rnd(length)) >= 0;
	}
	ok(good, name);
}

static int log2_ceil(unsigned long n)
{
	int bits = 0;

	while (n > 1UL << bits)
		bits++;
	return bits;
}

/* A lookup must not read more than a small multiple of what the header promises. */
static bool within_bound(pgoff_t first, pgoff_t last, bool together)
{
	unsigned long k, bound;

	visited = 0;
	k = (unsigned long)same(first, last);
	bound = 4 * (unsigned long)log2_ceil(tree.nr + 1) + 4 * k + 8;
	if (!together)
		bound += 4 * k * (unsigned long)log2_ceil(tree.nr / (k ? k : 1) + 1);
	if (visited > bound)
		printf("# [%lu,%lu] of %u: %lu nodes read, %lu hits, bound %lu\n",
		       (unsigned long)first, (unsigned long)last, tree.nr, visited, k, bound);
	return visited <= bound;
}

static void work_bounds(void)
{
	bool good = true;
	unsigned int i;

	clear();
	for (i = 0; i < NODES; i++)
		put(i, 16 * i, 16 * i + 15);
	for (i = 0; i < 2000 && good; i++) {
		pgoff_t first = rnd(16 * NODES);

		good = within_bound(first, first + rnd(i % 2 ? 8 : 2000), true);
	}
	ok(good, "a file cut into areas: O(log n + hits) nodes read");
	ok(check(tree.root, NULL) <= 4 * log2_ceil(NODES), "inserted in order: height O(log n)");

	clear();
	for (i = 0; i < NODES; i++)
		put(i, 0, 4095);
	for (good = true, i = 0; i < 100 && good; i++)
		good = within_bound(rnd(4096), 5000, true) && same(5, 5) == NODES &&
		       within_bound(5000 + i, 6000, true);
	ok(good, "everybody maps the whole file: O(hits), and O(1) beyond its end");

	clear();
	for (i = 0; i < NODES; i++)
		put(i, rnd(100000), 0 + 100000 + rnd(100000));
	for (good = true, i = 0; i < 1000 && good; i++) {
		pgoff_t first = rnd(200000);

		good = within_bound(first, first + rnd(50), false);
	}
	ok(good, "scattered hits: O(log n + k (1 + log (n / k)))");
}

static void edges(void)
{
	clear();
	ok(!i_mmap_first(&tree, 0, ~0UL), "an empty tree has no hits");
	put(0, 10, 20);
	put(1, 10, 20);
	put(2, 10, 20);
	put(3, ~0UL, ~0UL);
	ok(same(0, 9) == 0 && same(21, 30) == 0 && same(20, 20) == 3 && same(10, 10) == 3,
	   "both ends belong to an area; equal areas are all found");
	ok(same(~0UL, ~0UL) == 1 && same(0, ~0UL) == 4, "the last page of all");
	take(1);
	ok(same(0, 100) == 2, "of equal areas the right one is removed");
	take(0);
	take(2);
	take(3);
	ok(i_mmap_empty(&tree) && tree.nr == 0, "all removed: empty");
}

int main(void)
{
	edges();
	random_against_list("random short areas", 1000, 10);
	random_against_list("random long areas", 1000, 1500);
	random_against_list("random areas, many equal", 4, 3);
	work_bounds();
	printf("1..%d\n", tests);
	return 0;
}

/* kernel/lib/bug.h asks for these; a helper file's are taken where there is one. */
__attribute__((weak)) bool debug_checks;
__attribute__((weak)) void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	abort();
}
