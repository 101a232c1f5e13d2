/* SPDX-License-Identifier: MIT */
/*
 * super.c - an ext2 comes and goes: mount, counts and state in the super block, unmount.
 *
 * Owns:  struct ext2_sb; the super block and the group descriptors on the disk.
 * Not:   whether an image is fit (check.c), bitmaps (balloc.c, ialloc.c).
 * Locks: sbi->lock.
 * Key fact: counts live in memory; sync_fs puts what changed into buffers, before each bsync() that
 *        promises a consistent disk. The VALID mark is off on the disk from mount to unmount.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"

int ext2_error(struct super_block *sb, const char *fmt, ...)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	kvsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printk("ext2: %s: %s%s\n", sb->dev->name, text,
	       sb->read_only ? "" : ": read-only from now on");
	/* Without the lock, which the caller may hold: both are only ever set. */
	WRITE_ONCE(sbi->es.state, sbi->es.state | EXT2_STATE_ERROR);
	WRITE_ONCE(sbi->super_dirty, true);
	WRITE_ONCE(sb->read_only, true);
	return -EIO;
}

int ext2_bread(struct super_block *sb, u64 block, const char *what, struct buf **out)
{
	int err = bread(sb->dev, block, out);

	if (err)
		printk("ext2: %s: %s at block %lu could not be read (error %d)\n", sb->dev->name,
		       what, (unsigned long)block, err);
	return err;
}

/* ---- the super block and the descriptors to their buffers ----------------------------------- */

static u64 super_place(const struct ext2_sb *sbi, u32 *offset)
{
	*offset = EXT2_SUPER_OFFSET % sbi->block_size;
	return EXT2_SUPER_OFFSET / sbi->block_size;
}

static u32 seconds_now(void)
{
	return (u32)(clock_realtime() / NSEC_PER_SEC);
}

static int write_super_locked(struct ext2_sb *sbi)
{
	struct super_block *sb = sbi->sb;
	struct buf *b;
	u32 offset;
	int err;

	err = ext2_bread(sb, super_place(sbi, &offset), "super block", &b);
	if (err)
		return err;
	sbi->es.free_blocks_count = (u32)sbi->free_blocks;
	sbi->es.free_inodes_count = (u32)sbi->free_inodes;
	sbi->es.wtime = seconds_now();
	memcpy((char *)b->data + offset, &sbi->es, sizeof(sbi->es));
	bdirty(b);
	brelse(b);
	sbi->super_dirty = false;
	return 0;
}

static int write_desc_block_locked(struct ext2_sb *sbi, u32 n)
{
	u32 per_block = sbi->block_size / sizeof(struct ext2_group_desc), i;
	struct ext2_group_desc *desc;
	struct buf *b;
	int err;

	err = ext2_bread(sbi->sb, sbi->es.first_data_block + 1 + n, "group descriptors", &b);
	if (err)
		return err;
	desc = b->data;
	for (i = n * per_block; i < min((n + 1) * per_block, sbi->groups); i++, desc++) {
		desc->free_blocks = (u16)sbi->group[i].free_blocks;
		desc->free_inodes = (u16)sbi->group[i].free_inodes;
		desc->used_dirs = (u16)sbi->group[i].used_dirs;
	}
	bdirty(b);
	brelse(b);
	sbi->desc_dirty[n] = false;
	return 0;
}

static int ext2_sync_fs(struct super_block *sb)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	int err = 0, e;

	if (!READ_ONCE(sbi->super_dirty) || !sbi->writable)
		return 0;
	mutex_lock(&sbi->lock);
	for (u32 i = 0; i < sbi->desc_blocks; i++) {
		if (!sbi->desc_dirty[i])
			continue;
		e = write_desc_block_locked(sbi, i);
		err = err ? err : e;
	}
	e = write_super_locked(sbi);
	mutex_unlock(&sbi->lock);
	return err ? err : e;
}

/* Write the super block at once, with @set and @clear in its state. */
static int write_state(struct super_block *sb, u16 set, u16 clear)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	int err;

	mutex_lock(&sbi->lock);
	sbi->es.state = (u16)((sbi->es.state | set) & ~clear);
	err = write_super_locked(sbi);
	mutex_unlock(&sbi->lock);
	if (!err)
		err = bsync(sb->dev);
	return err ? err : blkdev_flush(sb->dev);
}

static int ext2_seal(struct super_block *sb)
{
	int err = ext2_sync_fs(sb);

	/* Everything else first, so that the mark is never on a disk that does not deserve it. */
	if (!err)
		err = bsync(sb->dev);
	if (!err)
		err = blkdev_flush(sb->dev);
	/* What was not clean when it was mounted is not clean now: only e2fsck can say so. */
	if (err || !ext2_sb(sb)->was_valid)
		return err;
	return write_state(sb, EXT2_STATE_VALID, 0);
}

static int ext2_statfs(struct super_block *sb, u64 *blocks, u64 *free_blocks)
{
	struct ext2_sb *sbi = ext2_sb(sb);

	mutex_lock(&sbi->lock);
	*blocks = sbi->es.blocks_count;
	*free_blocks = ext2_available_locked(sbi);
	mutex_unlock(&sbi->lock);
	return 0;
}

/* ---- mount --------------------------------------------------------------------------------- */

static void free_sbi(struct ext2_sb *sbi)
{
	for (u32 i = 0; i < ARRAY_SIZE(sbi->scratch); i++)
		kfree(sbi->scratch[i]);
	kfree(sbi->group);
	kfree(sbi->desc_dirty);
	kfree(sbi);
}

static void ext2_put_super(struct super_block *sb)
{
	struct ext2_sb *sbi = ext2_sb(sb);

	/* After an inconsistency the error mark is still to be written. */
	ext2_sync_fs(sb);
	buf_cache_destroy(sb->dev); /* from here on the flusher does not come to sync_fs */
	blkdev_flush(sb->dev);
	free_sbi(sbi);
	sb->fs = NULL;
}

static const struct super_operations ext2_super_ops = {
	.read_inode = ext2_read_inode,
	.write_inode = ext2_write_inode,
	.delete_inode = ext2_delete_inode,
	.destroy_inode = ext2_destroy_inode,
	.sync_fs = ext2_sync_fs,
	.seal = ext2_seal,
	.put_super = ext2_put_super,
	.statfs = ext2_statfs,
};

/* The super block lies across or inside the first 4 KiB, whatever the sizes are. */
static int read_super(struct super_block *sb, struct ext2_super_block *es)
{
	char *head;
	int err;

	if (sb->dev->nr_sectors < PAGE_SIZE / SECTOR_SIZE)
		return -EINVAL;
	head = kmalloc(PAGE_SIZE);
	if (!head)
		return -ENOMEM;
	err = blkdev_rw(sb->dev, BIO_READ, 0, head, PAGE_SIZE);
	memcpy(es, head + EXT2_SUPER_OFFSET, sizeof(*es));
	kfree(head);
	if (err) {
		printk("ext2: %s: super block could not be read (error %d): not mounted\n",
		       sb->dev->name, err);
		return -EIO;
	}
	return es->magic == EXT2_MAGIC ? 0 : -EINVAL;
}

static int read_groups(struct ext2_sb *sbi)
{
	u32 per_block = sbi->block_size / sizeof(struct ext2_group_desc);
	const struct ext2_group_desc *desc;
	struct buf *b;
	int err;

	for (u32 i = 0; i < sbi->groups; i++) {
		struct ext2_group *g = &sbi->group[i];

		err = ext2_bread(sbi->sb, sbi->es.first_data_block + 1 + i / per_block,
				 "group descriptors", &b);
		if (err)
			return err;
		desc = (const struct ext2_group_desc *)b->data + i % per_block;
		g->block_bitmap = desc->block_bitmap;
		g->inode_bitmap = desc->inode_bitmap;
		g->inode_table = desc->inode_table;
		g->free_blocks = desc->free_blocks;
		g->free_inodes = desc->free_inodes;
		g->used_dirs = desc->used_dirs;
		sbi->free_blocks += g->free_blocks;
		sbi->free_inodes += g->free_inodes;
		brelse(b);
	}
	return ext2_check_groups(sbi);
}

static int alloc_tables(struct ext2_sb *sbi)
{
	sbi->group = kzalloc(sbi->groups * sizeof(*sbi->group));
	sbi->desc_dirty = kzalloc(sbi->desc_blocks * sizeof(*sbi->desc_dirty));
	for (u32 i = 0; i < ARRAY_SIZE(sbi->scratch); i++) {
		sbi->scratch[i] = kmalloc(sbi->block_size);
		if (!sbi->scratch[i])
			return -ENOMEM;
	}
	return sbi->group && sbi->desc_dirty ? 0 : -ENOMEM;
}

static void fill_super(struct ext2_sb *sbi, struct super_block *sb)
{
	u32 want = sbi->es.rev_level ? sbi->es.want_extra_isize : 0;

	sb->fs = sbi;
	sb->ops = &ext2_super_ops;
	sb->inode_ops = &ext2_inode_ops;
	sb->a_ops = &ext2_a_ops;
	sb->block_size = sbi->block_size;
	sb->max_bytes = ext2_max_bytes(sbi);
	sbi->was_valid = sbi->es.state & EXT2_STATE_VALID;
	sbi->filetype = sbi->es.feature_incompat & EXT2_INCOMPAT_FILETYPE;
	if (sbi->inode_size > EXT2_OLD_INODE_SIZE) {
		/* As much as the times need, or what the image asks for, if that is sane. */
		sbi->extra_isize = EXT2_EXTRA_ISIZE;
		if (want > EXT2_EXTRA_ISIZE && want % 4 == 0 &&
		    want <= sbi->inode_size - EXT2_OLD_INODE_SIZE)
			sbi->extra_isize = want;
	}
	sb->time_gran = sbi->extra_isize ? 1 : (u32)NSEC_PER_SEC;
	sbi->next_generation = seconds_now();
}

static int read_root(struct super_block *sb)
{
	int err = iget(sb, EXT2_ROOT_INO, &sb->root);

	if (err)
		return err;
	if (!inode_is_dir(sb->root) || !sb->root->data.size) {
		iput(sb->root);
		printk("ext2: %s: inode 2 is not a directory: not mounted\n", sb->dev->name);
		return -EIO;
	}
	return 0;
}

/* From now until it is sealed a power cut leaves it marked as not cleanly unmounted. A disk that
 * does not take this write will not take others: it can be read. */
static void mark_mounted(struct super_block *sb)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u32 offset;
	int err;

	if (sb->read_only)
		return;
	sbi->es.mnt_count++;
	sbi->es.mtime = seconds_now();
	err = write_state(sb, 0, EXT2_STATE_VALID);
	sbi->writable = !err;
	if (!err)
		return;
	bforget(sb->dev, super_place(sbi, &offset));
	sb->read_only = true;
	printk("ext2: %s: super block could not be written (error %d): mounted read-only\n",
	       sb->dev->name, err);
}

/* @sbi has its super block, judged fit. Undoes everything on error. */
static int mount_checked(struct super_block *sb, struct ext2_sb *sbi)
{
	int err = buf_cache_init(sb->dev, sbi->block_size);

	if (err)
		return err;
	err = alloc_tables(sbi);
	if (!err)
		err = read_groups(sbi);
	if (err)
		goto out_cache;
	fill_super(sbi, sb);
	err = read_root(sb);
	if (!err) {
		mark_mounted(sb);
		return 0;
	}
	inode_evict_all(sb, EVICT_FORCED);
out_cache:
	buf_cache_destroy(sb->dev);
	if (err == -ENOMEM)
		printk("ext2: %s: out of memory: not mounted\n", sb->dev->name);
	return err;
}

static int ext2_mount(struct super_block *sb)
{
	struct ext2_sb *sbi = kzalloc(sizeof(*sbi));
	enum ext2_verdict verdict;
	int err;

	if (!sbi)
		return -ENOMEM;
	sbi->sb = sb;
	mutex_init(&sbi->lock, "ext2", RANK_FS_ALLOC);
	err = read_super(sb, &sbi->es);
	if (!err) {
		verdict = ext2_check_super(sbi);
		sb->read_only = verdict == EXT2_READ_ONLY;
		err = verdict == EXT2_REFUSED ? -EIO : mount_checked(sb, sbi);
	}
	if (err)
		free_sbi(sbi);
	return err;
}

FILESYSTEM(ext2) = { .name = "ext2", .needs_device = true, .mount = ext2_mount };
