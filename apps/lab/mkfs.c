/* SPDX-License-Identifier: MIT */
/*
 * mkfs.c - an empty ext2 of one block group, as bytes.
 *
 * Pure. Block 0: boot area and super block; 1: group descriptor; 2, 3: bitmaps of blocks and
 * inodes; then the inode table, then the root directory's one block.
 */
#include "apps/lab/lab.h"

#include <string.h>

#define INODES	    64
#define INODE_SIZE  256
#define ITABLE	    4 /* first block of the inode table */
#define ROOT_BLOCK  (ITABLE + INODES * INODE_SIZE / LAB_PAGE)
#define USED_BLOCKS LAB_MKFS_BLOCKS
_Static_assert(ROOT_BLOCK + 1 == LAB_MKFS_BLOCKS, "lab.h says how many are written");
#define FIRST_INODE  11 /* below: reserved */
#define GROUP_BLOCKS (8 * LAB_PAGE)

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void set_bits(uint8_t *map, unsigned int first, unsigned int end)
{
	for (; first < end; first++)
		map[first / 8] |= 1u << first % 8;
}

static void super_block(uint8_t *s, uint32_t blocks)
{
	put32(s, INODES);
	put32(s + 4, blocks);
	put32(s + 12, blocks - USED_BLOCKS);
	put32(s + 16, INODES - FIRST_INODE + 1);
	put32(s + 24, 2); /* blocks of 1 KiB << 2 */
	put32(s + 28, 2);
	put32(s + 32, GROUP_BLOCKS);
	put32(s + 36, GROUP_BLOCKS);
	put32(s + 40, INODES);
	put16(s + 54, 0xffff); /* no limit of mounts */
	put16(s + 56, 0xef53);
	put16(s + 58, 1); /* clean */
	put16(s + 60, 1); /* errors: go on */
	put32(s + 76, 1); /* revision with inode sizes */
	put32(s + 84, FIRST_INODE);
	put16(s + 88, INODE_SIZE);
	put32(s + 96, 2); /* directories hold file types */
	s[104] = 1;	  /* identifier */
	put16(s + 348, 28);
	put16(s + 350, 28); /* bytes of an inode beyond 128: nanoseconds */
}

static void directory_entry(uint8_t *e, uint16_t len, const char *name)
{
	put32(e, 2);
	put16(e + 4, len);
	e[6] = (uint8_t)strlen(name);
	e[7] = 2; /* a directory */
	memcpy(e + 8, name, strlen(name));
}

void lab_mkfs(uint8_t *disk, size_t bytes)
{
	uint32_t blocks = (uint32_t)(bytes / LAB_PAGE);
	uint8_t *group = disk + LAB_PAGE, *root = disk + ITABLE * LAB_PAGE + INODE_SIZE;
	uint8_t *entries = disk + ROOT_BLOCK * LAB_PAGE;

	super_block(disk + 1024, blocks);
	put32(group, 2);
	put32(group + 4, 3);
	put32(group + 8, ITABLE);
	put16(group + 12, (uint16_t)(blocks - USED_BLOCKS));
	put16(group + 14, INODES - FIRST_INODE + 1);
	put16(group + 16, 1); /* one directory */
	set_bits(disk + 2 * LAB_PAGE, 0, USED_BLOCKS);
	set_bits(disk + 2 * LAB_PAGE, blocks, GROUP_BLOCKS);
	set_bits(disk + 3 * LAB_PAGE, 0, FIRST_INODE - 1);
	set_bits(disk + 3 * LAB_PAGE, INODES, GROUP_BLOCKS);
	put16(root, 0040755);
	put32(root + 4, LAB_PAGE);
	put16(root + 26, 2); /* links */
	put32(root + 28, LAB_PAGE / 512);
	put32(root + 40, ROOT_BLOCK);
	put16(root + 128, 28);
	directory_entry(entries, 12, ".");
	directory_entry(entries + 12, LAB_PAGE - 12, "..");
}
