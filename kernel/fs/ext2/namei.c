/* SPDX-License-Identifier: MIT */
/*
 * namei.c - names come, go and move.
 *
 * Owns:  the order of changes to entries, inodes and link counts.
 * Not:   how entries lie in blocks (dir.c), whether a change is allowed (kernel/fs/namei.c).
 * Locks: sb->namespace, held by the caller; nothing else is needed for link counts.
 * Key fact: at every moment each name leads to an inode that is in use. A new inode is written
 *        before its name, a name goes before the link count falls.
 */
#include <errno.h>

#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/kmalloc.h"

#define LINK_MAX 32000

static int ext2_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct super_block *sb = dir->sb;
	struct ext2_slot slot;
	int err = ext2_find_entry(dir, name, &slot);

	if (err)
		return err;
	if (slot.ino < ext2_sb(sb)->first_ino && slot.ino != EXT2_ROOT_INO)
		return ext2_error(sb, "directory %lu has a name for inode %u, which is reserved",
				  (unsigned long)dir->ino, slot.ino);
	err = iget(sb, slot.ino, out);
	if (!err && !(*out)->nlink) {
		iput(*out);
		err = ext2_error(sb, "inode %u has more names than links", slot.ino);
	}
	return err;
}

/* Count the links of @inode anew and say so in its slot; if that fails, it is tried again later. */
static void set_nlink(struct inode *inode, u32 nlink)
{
	inode->nlink = nlink;
	inode_touch(inode, TOUCH_C);
	inode_mark_meta(inode);
	ext2_write_inode(inode);
}

/* A new inode in memory, with a number of its own and no blocks. */
static int new_ext2_inode(struct inode *dir, u32 mode, struct inode **out)
{
	struct ext2_sb *sbi = ext2_sb(dir->sb);
	struct ext2_inode_info *info;
	bool is_dir = (mode & FS_IFMT) == FS_IFDIR;
	struct inode *inode;
	u32 ino;
	int err;

	info = kzalloc(sizeof(*info));
	if (!info)
		return -ENOMEM;
	err = ext2_alloc_ino(dir->sb, ext2_info(dir)->group, is_dir, &ino);
	if (err)
		goto out_free;
	err = inew(dir->sb, ino, mode, &inode);
	if (err) {
		ext2_free_ino(dir->sb, ino, is_dir);
		goto out_free;
	}
	info->group = (ino - 1) / sbi->es.inodes_per_group;
	info->fresh = true;
	mutex_lock(&sbi->lock);
	info->generation = sbi->next_generation++;
	mutex_unlock(&sbi->lock);
	inode->fs = info;
	inode->nlink = is_dir ? 2 : 1;
	inode_touch(inode, TOUCH_M | TOUCH_C | TOUCH_A);
	*out = inode;
	return 0;

out_free:
	kfree(info);
	return err;
}

static int ext2_create(struct inode *dir, const char *name, u32 mode, struct inode **out)
{
	bool is_dir = (mode & FS_IFMT) == FS_IFDIR;
	struct inode *inode;
	int err;

	if (is_dir && dir->nlink >= LINK_MAX)
		return -EMLINK;
	err = new_ext2_inode(dir, mode, &inode);
	if (err)
		return err;
	if (is_dir)
		err = ext2_make_empty(inode, dir);
	inode_mark_meta(inode);
	if (!err)
		err = ext2_write_inode(inode);
	if (!err)
		err = ext2_add_entry(dir, name, inode);
	if (err) {
		/* Nobody knows it: the last reference gives its blocks and number back. */
		inode->nlink = 0;
		iput(inode);
		return err;
	}
	if (is_dir)
		set_nlink(dir, dir->nlink + 1);
	*out = inode;
	return 0;
}

/* A subdirectory's ".." no longer counts for @dir. A damaged image may have counted wrongly. */
static void drop_dotdot(struct inode *dir)
{
	set_nlink(dir, dir->nlink > 2 ? dir->nlink - 1 : dir->nlink);
}

/* A name of @inode in @dir is gone. */
static void drop_link(struct inode *dir, struct inode *inode)
{
	if (inode_is_dir(inode)) {
		set_nlink(inode, 0);
		drop_dotdot(dir);
	} else {
		set_nlink(inode, inode->nlink - 1);
	}
}

static int check_empty(struct inode *dir)
{
	int empty = ext2_is_empty(dir);

	return empty > 0 ? 0 : empty ? empty : -ENOTEMPTY;
}

static int ext2_unlink(struct inode *dir, const char *name, struct inode *inode)
{
	struct ext2_slot slot;
	int err = inode_is_dir(inode) ? check_empty(inode) : 0;

	if (!err)
		err = ext2_find_entry(dir, name, &slot);
	if (!err)
		err = ext2_remove_entry(dir, &slot);
	if (!err)
		drop_link(dir, inode);
	return err;
}

/* A directory has moved from below @from to below @to. */
static int move_dir(struct inode *inode, struct inode *from, struct inode *to)
{
	struct ext2_slot slot;
	int err = ext2_find_entry(inode, "..", &slot);

	if (!err)
		err = ext2_set_entry(inode, &slot, to);
	if (err)
		return err;
	set_nlink(to, to->nlink + 1);
	drop_dotdot(from);
	return 0;
}

static int ext2_rename(struct inode *from, const char *name, struct inode *inode, struct inode *to,
		       const char *to_name, struct inode *victim)
{
	struct ext2_slot slot;
	int err = 0;

	if (victim && inode_is_dir(victim))
		err = check_empty(victim);
	if (!victim && inode_is_dir(inode) && from != to && to->nlink >= LINK_MAX)
		err = -EMLINK;
	if (err)
		return err;
	/* The new name first: at worst a file has two. */
	if (victim) {
		err = ext2_find_entry(to, to_name, &slot);
		if (!err)
			err = ext2_set_entry(to, &slot, inode);
	} else {
		err = ext2_add_entry(to, to_name, inode);
	}
	/* Looked up after that: adding may have moved it inside its block. */
	if (!err)
		err = ext2_find_entry(from, name, &slot);
	if (!err)
		err = ext2_remove_entry(from, &slot);
	if (err)
		return err;
	if (victim)
		drop_link(to, victim);
	if (inode_is_dir(inode) && from != to)
		err = move_dir(inode, from, to);
	inode_touch(inode, TOUCH_C);
	return err;
}

static int ext2_bmap(struct inode *inode, u64 lblock, u64 *pblock)
{
	struct block_run run;
	int err = ext2_map_run(inode, lblock, 1, &run);

	if (!err)
		*pblock = run.block;
	return err;
}

const struct inode_operations ext2_inode_ops = {
	.lookup = ext2_lookup,
	.create = ext2_create,
	.unlink = ext2_unlink,
	.rename = ext2_rename,
	.readdir = ext2_readdir,
	.truncate = ext2_truncate,
	.allocate = ext2_allocate,
	.punch = ext2_punch,
	.zero = ext2_zero,
	.bmap = ext2_bmap,
	.map_run = ext2_map_run,
	.vm_ops = &ext2_vm_ops,
};
