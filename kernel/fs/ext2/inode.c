/* SPDX-License-Identifier: MIT */
/*
 * inode.c - an inode between its slot on the disk and memory.
 *
 * Owns:  the inode tables; what a deleted file gives back.
 * Not:   which number is free (ialloc.c), which blocks (map.c, truncate.c).
 * Locks: sbi->lock, then the buffer of the slot, then time_lock.
 * Key fact: a slot is changed field by field, so that owner, attributes and whatever else another
 *        system keeps there stay as they are.
 */
#include <errno.h>
#include <string.h>

#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/core/stat.h"
#include "kernel/fs/ext2/ext2.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/writeback.h"

#define BOTH_DIRTY (1ul << AS_DIRTY_TIME | 1ul << AS_DIRTY_META)

/* The buffer with the slot of inode @ino, locked, and the slot in it. */
static int bread_slot(struct super_block *sb, u64 ino, struct buf **b, struct ext2_inode **slot)
{
	struct ext2_sb *sbi = ext2_sb(sb);
	u32 group = (u32)((ino - 1) / sbi->es.inodes_per_group);
	u32 index = (u32)((ino - 1) % sbi->es.inodes_per_group);
	int err;

	err = ext2_bread(sb, sbi->group[group].inode_table + index / sbi->inodes_per_block,
			 "inode table", b);
	if (!err)
		*slot = (struct ext2_inode *)((char *)(*b)->data +
					      index % sbi->inodes_per_block * sbi->inode_size);
	return err;
}

/* Does the slot have room for the parts of seconds? */
static bool has_extra_times(const struct ext2_sb *sbi, const struct ext2_inode *slot)
{
	return sbi->inode_size > EXT2_OLD_INODE_SIZE &&
	       slot->extra_isize <= sbi->inode_size - EXT2_OLD_INODE_SIZE &&
	       EXT2_OLD_INODE_SIZE + (size_t)slot->extra_isize >=
		       offsetof(struct ext2_inode, crtime);
}

/* ---- times: 32 bits of seconds, two more above them, 30 bits of nanoseconds ------------------ */

static struct file_time time_in(u32 sec, u32 extra)
{
	struct file_time t = {
		.sec = (s64)(int32_t)sec + ((s64)(extra & 3) << 32),
		.nsec = extra >> 2,
	};

	if (t.nsec >= NSEC_PER_SEC)
		t.nsec = 0;
	return t;
}

static u32 seconds_out(struct file_time t, bool extra)
{
	if (extra)
		return (u32)t.sec;
	return (u32)(int32_t)max(min(t.sec, (s64)INT32_MAX), (s64)INT32_MIN);
}

static u32 extra_out(struct file_time t)
{
	return (u32)((t.sec - (int32_t)t.sec) >> 32 & 3) | t.nsec << 2;
}

static void times_in(struct inode *inode, const struct ext2_inode *slot, bool extra)
{
	inode->atime = time_in(slot->atime, extra ? slot->atime_extra : 0);
	inode->mtime = time_in(slot->mtime, extra ? slot->mtime_extra : 0);
	inode->ctime = time_in(slot->ctime, extra ? slot->ctime_extra : 0);
}

static void times_out(struct inode *inode, struct ext2_inode *slot, bool extra)
{
	spin_lock(&inode->time_lock);
	slot->atime = seconds_out(inode->atime, extra);
	slot->mtime = seconds_out(inode->mtime, extra);
	slot->ctime = seconds_out(inode->ctime, extra);
	if (extra) {
		slot->atime_extra = extra_out(inode->atime);
		slot->mtime_extra = extra_out(inode->mtime);
		slot->ctime_extra = extra_out(inode->ctime);
	}
	spin_unlock(&inode->time_lock);
}

/* ---- in ------------------------------------------------------------------------------------ */

/* What is wrong with a slot that a name leads to, or NULL. */
static const char *complaint(const struct ext2_sb *sbi, const struct ext2_inode *slot, u64 size)
{
	u32 type = slot->mode & FS_IFMT;

	if (!slot->links_count || slot->dtime)
		return "is deleted, but has a name";
	if (slot->flags & (EXT2_EXTENTS_FL | EXT2_INLINE_FL))
		return "has extents or inline data, which ext2 does not have";
	if (type == FS_IFDIR)
		return size && size % sbi->block_size == 0 ? NULL : "is a directory of no size";
	if (type == FS_IFREG)
		return size <= sbi->sb->max_bytes ? NULL : "is longer than a file can be";
	return type ? NULL : "has no type";
}

int ext2_read_inode(struct inode *inode)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info;
	struct ext2_inode *slot;
	const char *wrong;
	struct buf *b;
	u64 size;
	int err;

	if (!inode->ino || inode->ino > sbi->es.inodes_count)
		return ext2_error(inode->sb, "a name leads to inode %lu of %u",
				  (unsigned long)inode->ino, sbi->es.inodes_count);
	info = kzalloc(sizeof(*info));
	if (!info)
		return -ENOMEM;
	inode->fs = info;
	err = bread_slot(inode->sb, inode->ino, &b, &slot);
	if (err)
		return err;
	inode->mode = slot->mode;
	inode->nlink = slot->links_count;
	inode->blocks = slot->blocks;
	size = slot->size;
	if (inode_is_file(inode))
		size |= (u64)slot->size_high << 32;
	inode->data.size = size;
	times_in(inode, slot, has_extra_times(sbi, slot));
	memcpy(info->block, slot->block, sizeof(info->block));
	info->flags = slot->flags;
	info->file_acl = slot->file_acl;
	info->generation = slot->generation;
	info->group = (u32)((inode->ino - 1) / sbi->es.inodes_per_group);
	wrong = complaint(sbi, slot, size);
	brelse(b);
	return wrong ? ext2_error(inode->sb, "inode %lu %s", (unsigned long)inode->ino, wrong) : 0;
}

/* ---- out ----------------------------------------------------------------------------------- */

/* Files of 2 GiB and more exist: systems that cannot read them shall know. */
static void note_large_file(struct ext2_sb *sbi, u64 size)
{
	struct ext2_super_block *es = &sbi->es;

	if (size <= INT32_MAX || es->feature_ro_compat & EXT2_RO_COMPAT_LARGE_FILE)
		return;
	if (!es->rev_level) {
		es->rev_level = 1;
		es->first_ino = sbi->first_ino;
		es->inode_size = (u16)sbi->inode_size;
	}
	es->feature_ro_compat |= EXT2_RO_COMPAT_LARGE_FILE;
	WRITE_ONCE(sbi->super_dirty, true);
}

static void start_slot(struct ext2_sb *sbi, struct inode *inode, struct ext2_inode *slot)
{
	memset(slot, 0, sbi->inode_size);
	if (!sbi->extra_isize)
		return;
	slot->extra_isize = (u16)sbi->extra_isize;
	slot->crtime = (u32)inode->ctime.sec;
	slot->crtime_extra = extra_out(inode->ctime);
}

static void fill_slot(struct ext2_sb *sbi, struct inode *inode, struct ext2_inode *slot)
{
	const struct ext2_inode_info *info = ext2_info(inode);
	u64 size = READ_ONCE(inode->data.size);

	slot->mode = (u16)inode->mode;
	slot->links_count = (u16)inode->nlink;
	slot->size = (u32)size;
	if (inode_is_file(inode)) {
		slot->size_high = (u32)(size >> 32);
		note_large_file(sbi, size);
	}
	slot->blocks = (u32)inode->blocks;
	memcpy(slot->block, info->block, sizeof(slot->block));
	slot->flags = info->flags;
	slot->dtime = info->dtime;
	slot->file_acl = info->file_acl;
	slot->generation = info->generation;
	times_out(inode, slot, has_extra_times(sbi, slot));
}

int ext2_write_inode(struct inode *inode)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info = ext2_info(inode);
	struct ext2_inode *slot;
	struct buf *b;
	int err;

	if (sbi->es.state & EXT2_STATE_ERROR || !sbi->writable)
		return -EROFS;
	mutex_lock(&sbi->lock);
	err = bread_slot(inode->sb, inode->ino, &b, &slot);
	if (!err) {
		if (info->fresh)
			start_slot(sbi, inode, slot);
		info->fresh = false;
		fill_slot(sbi, inode, slot);
		bdirty(b);
		brelse(b);
		stat_inc(STAT_INODE_WRITES);
	}
	mutex_unlock(&sbi->lock);
	return err;
}

/* a_ops->write_inode: only if there is something, and the flags go before the fields are read. */
static int write_inode_if_dirty(struct address_space *mapping, enum sync_mode mode)
{
	unsigned long want = mode == SYNC_DATA ? 1ul << AS_DIRTY_META : BOTH_DIRTY, had;
	int err;

	if (!(READ_ONCE(mapping->flags) & want))
		return 0;
	had = atomic_fetch_and(&mapping->flags, ~BOTH_DIRTY) & BOTH_DIRTY;
	err = ext2_write_inode(mapping->host);
	if (err) {
		atomic_or(&mapping->flags, had);
		/* Tried again with the next pass, unless nothing may be written any more. */
		if (err != -EROFS)
			mapping_mark_dirty(mapping);
	}
	return err;
}

/* ---- the end of a file --------------------------------------------------------------------- */

/* A block of extended attributes may belong to several inodes. */
static void drop_xattr_block(struct inode *inode)
{
	struct ext2_sb *sbi = ext2_sb(inode->sb);
	struct ext2_inode_info *info = ext2_info(inode);
	u32 block = info->file_acl;
	struct ext2_xattr_header *h;
	bool last;
	struct buf *b;

	mutex_lock(&sbi->lock);
	if (!ext2_data_blocks_ok(sbi, block, 1) ||
	    ext2_bread(inode->sb, block, "extended attributes", &b))
		goto out;
	h = b->data;
	if (h->magic != EXT2_XATTR_MAGIC) {
		brelse(b);
		ext2_error(inode->sb, "inode %lu: block %u holds no extended attributes",
			   (unsigned long)inode->ino, block);
		goto out;
	}
	last = h->refcount <= 1;
	if (!last) {
		h->refcount--;
		bdirty(b);
	}
	brelse(b);
	if (last) {
		bforget(inode->sb->dev, block);
		ext2_free_blocks_locked(inode->sb, block, 1);
	}
	info->file_acl = 0;
	inode->blocks -= min(inode->blocks, (u64)sbi->block_size >> SECTOR_SHIFT);
out:
	mutex_unlock(&sbi->lock);
}

/* A short symbolic link has its text, a device its number, where others have pointers. */
static bool has_pointers(const struct inode *inode)
{
	u64 own = ext2_info(inode)->file_acl ? inode->sb->block_size >> SECTOR_SHIFT : 0;

	return inode_is_dir(inode) || inode_is_file(inode) ||
	       ((inode->mode & FS_IFMT) == FS_IFLNK && inode->blocks > own);
}

void ext2_delete_inode(struct inode *inode)
{
	struct ext2_inode_info *info = ext2_info(inode);
	struct super_block *sb = inode->sb;

	if (ext2_sb(sb)->es.state & EXT2_STATE_ERROR || !ext2_sb(sb)->writable)
		return;
	if (has_pointers(inode)) {
		WRITE_ONCE(inode->data.size, 0);
		ext2_truncate(inode, 0);
	}
	if (info->file_acl)
		drop_xattr_block(inode);
	info->dtime = max((u32)(clock_realtime() / NSEC_PER_SEC), 1u);
	/* The slot first: once the number is free it may be another file's. */
	if (!ext2_write_inode(inode))
		ext2_free_ino(sb, (u32)inode->ino, inode_is_dir(inode));
}

void ext2_destroy_inode(struct inode *inode)
{
	if (inode->fs)
		ext2_undelay(inode, 0, ~0ul);
	kfree(inode->fs);
}

/* ---- tables -------------------------------------------------------------------------------- */

static void ext2_readpages(struct address_space *mapping, struct page_list *pages)
{
	pageio_read(mapping, pages, ext2_map_run);
}

static void ext2_writepages(struct address_space *mapping, struct page_list *pages,
			    struct writeback_control *wbc)
{
	pageio_write(mapping, pages, ext2_map_delayed, wbc->sync);
}

static bool make_room(struct address_space *mapping)
{
	return ext2_make_room(mapping_inode(mapping)->sb);
}

const struct address_space_operations ext2_a_ops = {
	.readpages = ext2_readpages,
	.prepare_write = ext2_prepare_write,
	.writepages = ext2_writepages,
	.invalidate_page = ext2_invalidate_page,
	.release_page = ext2_release_page,
	.make_room = make_room,
	.fsync = ext2_fsync,
	.write_inode = write_inode_if_dirty,
	.flush_cmtime = inode_flush_cmtime,
	.note_store = inode_note_store,
};

const struct vm_operations ext2_vm_ops = {
	.open = file_vma_open,
	.close = file_vma_close,
	.name = file_vma_name,
	.fault = filemap_fault,
	.page_mkwrite = filemap_page_mkwrite,
	.remove = file_vma_remove,
	.fsync = file_vma_fsync,
};
