/* SPDX-License-Identifier: MIT */
/*
 * dir.c - the entries of a directory.
 *
 * Owns:  the bytes of directory blocks, which live in the buffer cache.
 * Not:   which entries there should be (namei.c).
 * Locks: sb->namespace (the caller's), then one buffer at a time.
 * Key fact: entries fill each block to its last byte, a removed one is added to the one before it.
 *        Every entry is checked before it is believed; a hash index is left out of account, and the
 *        flag that announces it goes with the first change.
 */
#include <errno.h>
#include <string.h>

#include "kernel/fs/ext2/ext2.h"

static struct ext2_dirent *entry_at(const struct buf *b, u32 offset)
{
	return (struct ext2_dirent *)((char *)b->data + offset);
}

static u64 nr_blocks(const struct inode *dir)
{
	return dir->data.size / dir->sb->block_size;
}

/* Block @lblock of @dir, locked. */
static int bread_dir(struct inode *dir, u64 lblock, struct buf **out)
{
	struct block_run run;
	int err = ext2_map_run(dir, lblock, 1, &run);

	if (err)
		return err;
	if (!run.block)
		return ext2_error(dir->sb, "directory %lu has no block %lu",
				  (unsigned long)dir->ino, (unsigned long)lblock);
	return ext2_bread(dir->sb, run.block, "directory", out);
}

/* What is wrong with the entry, or NULL. */
static const char *complaint(const struct ext2_sb *sbi, const struct ext2_dirent *e, u32 offset)
{
	u32 room = sbi->block_size - offset;

	if (room < EXT2_DIRENT_LEN(1) || e->rec_len < EXT2_DIRENT_LEN(1))
		return "is too short";
	if (e->rec_len % 4)
		return "has a length that is no multiple of 4";
	if (e->rec_len > room)
		return "goes beyond its block";
	if (e->rec_len < EXT2_DIRENT_LEN(e->name_len))
		return "is shorter than its name";
	if (e->inode > sbi->es.inodes_count)
		return "names an inode that is too high";
	return NULL;
}

/* 0, or -EIO and the file system is read-only. */
static int check_entry(struct inode *dir, u64 lblock, const struct ext2_dirent *e, u32 offset)
{
	const char *wrong = complaint(ext2_sb(dir->sb), e, offset);

	if (likely(!wrong))
		return 0;
	return ext2_error(dir->sb, "directory %lu, block %lu: the entry at %u %s",
			  (unsigned long)dir->ino, (unsigned long)lblock, offset, wrong);
}

static bool has_name(const struct ext2_dirent *e, const char *name, u32 len)
{
	return e->inode && e->name_len == len && !memcmp(e->name, name, len);
}

/* Visit entries of @dir in order, from block *@lblock and offset *@offset (of an entry) on,
 * until @fn says so: then 1, both tell where, and the buffer is locked. 0: none. */
typedef bool (*visit_fn)(const struct ext2_dirent *e, u32 offset, void *arg);

static int visit(struct inode *dir, u64 *lblock, u32 *offset, visit_fn fn, void *arg,
		 struct buf **out)
{
	struct ext2_dirent *e;
	struct buf *b;
	int err;

	for (; *lblock < nr_blocks(dir); ++*lblock, *offset = 0) {
		err = bread_dir(dir, *lblock, &b);
		if (err)
			return err;
		for (; *offset < dir->sb->block_size; *offset += e->rec_len) {
			e = entry_at(b, *offset);
			err = check_entry(dir, *lblock, e, *offset);
			if (err) {
				brelse(b);
				return err;
			}
			if (fn(e, *offset, arg)) {
				*out = b;
				return 1;
			}
		}
		brelse(b);
	}
	return 0;
}

struct wanted {
	const char *name;
	u32 len;
};

static bool is_wanted(const struct ext2_dirent *e, u32 offset, void *arg)
{
	const struct wanted *w = arg;

	return has_name(e, w->name, w->len);
}

int ext2_find_entry(struct inode *dir, const char *name, struct ext2_slot *slot)
{
	struct wanted w = { .name = name, .len = (u32)strlen(name) };
	struct buf *b;
	int found;

	*slot = (struct ext2_slot){ 0 };
	found = visit(dir, &slot->lblock, &slot->offset, is_wanted, &w, &b);
	if (found <= 0)
		return found ? found : -ENOENT;
	slot->ino = entry_at(b, slot->offset)->inode;
	brelse(b);
	return 0;
}

/* ---- changes ------------------------------------------------------------------------------- */

static u8 file_type(const struct inode *inode)
{
	if (!ext2_sb(inode->sb)->filetype)
		return EXT2_FT_UNKNOWN;
	/* 1 to 7, in the order of S_IFREG, DIR, CHR, BLK, FIFO, SOCK, LNK */
	static const u8 types[16] = {
		[8] = EXT2_FT_REG, [4] = EXT2_FT_DIR,	  [2] = 3, [6] = 4, [1] = 5,
		[12] = 6,	   [10] = EXT2_FT_SYMLINK
	};

	return types[(inode->mode & FS_IFMT) >> 12];
}

/* The directory changed: times, and its slot, since names and size must agree on the disk.
 * Should that fail, the inode is marked and tried again. */
static void dir_changed(struct inode *dir)
{
	ext2_info(dir)->flags &= ~(u32)EXT2_INDEX_FL;
	inode_touch(dir, TOUCH_M | TOUCH_C);
	inode_mark_meta(dir);
	ext2_write_inode(dir);
}

/* Is there room for a name of *@arg bytes, in the entry or behind it? */
static bool has_room(const struct ext2_dirent *e, u32 offset, void *arg)
{
	u32 used = e->inode ? EXT2_DIRENT_LEN(e->name_len) : 0;

	return e->rec_len >= used + EXT2_DIRENT_LEN(*(u32 *)arg);
}

static void fill_entry(struct ext2_dirent *e, const char *name, u32 len, const struct inode *inode)
{
	e->inode = (u32)inode->ino;
	e->name_len = (u8)len;
	e->file_type = file_type(inode);
	memcpy(e->name, name, len);
}

/* A new last block, which is one free entry; locked. */
static int append_block(struct inode *dir, struct buf **out)
{
	struct block_run run;
	struct buf *b;
	int err, tries = 0;

	if (dir->data.size + dir->sb->block_size > INT32_MAX)
		return -ENOSPC;
	do {
		err = ext2_map_alloc(dir, nr_blocks(dir), 1, &run);
	} while (err == -ENOSPC && ++tries < 3 && ext2_make_room(dir->sb));
	if (!err)
		err = bnew(dir->sb->dev, run.block, &b);
	if (err) {
		ext2_truncate(dir, dir->data.size);
		return err;
	}
	entry_at(b, 0)->rec_len = (u16)dir->sb->block_size;
	WRITE_ONCE(dir->data.size, dir->data.size + dir->sb->block_size);
	*out = b;
	return 0;
}

int ext2_add_entry(struct inode *dir, const char *name, struct inode *inode)
{
	u32 len = (u32)strlen(name), offset = 0, used;
	struct ext2_dirent *e;
	u64 lblock = 0;
	struct buf *b;
	int found;

	found = visit(dir, &lblock, &offset, has_room, &len, &b);
	if (!found) {
		found = append_block(dir, &b);
		offset = 0;
	}
	if (found < 0)
		return found;
	e = entry_at(b, offset);
	if (e->inode) {
		struct ext2_dirent *rest;

		used = EXT2_DIRENT_LEN(e->name_len);
		rest = entry_at(b, offset + used);
		rest->rec_len = (u16)(e->rec_len - used);
		e->rec_len = (u16)used;
		e = rest;
	}
	fill_entry(e, name, len, inode);
	bdirty(b);
	brelse(b);
	dir_changed(dir);
	return 0;
}

int ext2_remove_entry(struct inode *dir, const struct ext2_slot *slot)
{
	struct ext2_dirent *e, *before = NULL;
	struct buf *b;
	u32 offset;
	int err;

	err = bread_dir(dir, slot->lblock, &b);
	if (err)
		return err;
	for (offset = 0; offset < slot->offset; offset += e->rec_len) {
		e = entry_at(b, offset);
		err = check_entry(dir, slot->lblock, e, offset);
		if (err) {
			brelse(b);
			return err;
		}
		before = e;
	}
	e = entry_at(b, slot->offset);
	if (before)
		before->rec_len = (u16)(before->rec_len + e->rec_len);
	e->inode = 0;
	bdirty(b);
	brelse(b);
	dir_changed(dir);
	return 0;
}

int ext2_set_entry(struct inode *dir, const struct ext2_slot *slot, struct inode *inode)
{
	struct ext2_dirent *e;
	struct buf *b;
	int err;

	err = bread_dir(dir, slot->lblock, &b);
	if (err)
		return err;
	e = entry_at(b, slot->offset);
	e->inode = (u32)inode->ino;
	e->file_type = file_type(inode);
	bdirty(b);
	brelse(b);
	dir_changed(dir);
	return 0;
}

int ext2_make_empty(struct inode *dir, struct inode *parent)
{
	u32 first = EXT2_DIRENT_LEN(1);
	struct ext2_dirent *e;
	struct buf *b;
	int err;

	err = append_block(dir, &b);
	if (err)
		return err;
	e = entry_at(b, 0);
	e->rec_len = (u16)first;
	fill_entry(e, ".", 1, dir);
	e = entry_at(b, first);
	e->rec_len = (u16)(dir->sb->block_size - first);
	fill_entry(e, "..", 2, parent);
	bdirty(b);
	brelse(b);
	return 0;
}

/* ---- looking ------------------------------------------------------------------------------- */

static bool is_other_than_dots(const struct ext2_dirent *e, u32 offset, void *arg)
{
	return e->inode && !has_name(e, ".", 1) && !has_name(e, "..", 2);
}

int ext2_is_empty(struct inode *dir)
{
	u64 lblock = 0;
	u32 offset = 0;
	struct buf *b;
	int found = visit(dir, &lblock, &offset, is_other_than_dots, NULL, &b);

	if (found > 0)
		brelse(b);
	return found < 0 ? found : !found;
}

/* An entry in use at or behind *@arg. */
static bool is_behind(const struct ext2_dirent *e, u32 offset, void *arg)
{
	return e->inode && offset >= *(u32 *)arg;
}

static u32 mode_of_type(u8 type)
{
	return type == EXT2_FT_REG     ? FS_IFREG :
	       type == EXT2_FT_DIR     ? FS_IFDIR :
	       type == EXT2_FT_SYMLINK ? FS_IFLNK :
					 0;
}

/* The cookie is the byte where the entry begins. Entries may have changed since it was given
 * out, so its block is looked through from the start. */
int ext2_readdir(struct inode *dir, u64 *pos, struct dirent_out *out)
{
	u32 from = (u32)(*pos % dir->sb->block_size), offset = 0;
	u64 lblock = *pos / dir->sb->block_size;
	struct ext2_dirent *e;
	struct buf *b;
	int found;

	while ((found = visit(dir, &lblock, &offset, is_behind, &from, &b)) > 0) {
		e = entry_at(b, offset);
		out->ino = e->inode;
		out->mode = ext2_sb(dir->sb)->filetype ? mode_of_type(e->file_type) : 0;
		memcpy(out->name, e->name, e->name_len);
		out->name[e->name_len] = '\0';
		*pos = lblock * dir->sb->block_size + offset + e->rec_len;
		brelse(b);
		return 1;
	}
	return found;
}
