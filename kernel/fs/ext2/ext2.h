/* SPDX-License-Identifier: MIT */
/*
 * ext2.h - an ext2 in memory, and what its files tell each other.
 *
 * Locks: sbi->lock (mutex, RANK_FS_ALLOC) guards every block map, bitmap, descriptor and count of
 * one file system; one buf at a time is locked inside it. Functions named *_locked expect it held.
 * A directory's contents are guarded by sb->namespace.
 */
#ifndef KERNEL_FS_EXT2_EXT2_H
#define KERNEL_FS_EXT2_EXT2_H

#include <sys/tree.h>

#include "kernel/block/buf.h"
#include "kernel/fs/ext2/ondisk.h"
#include "kernel/fs/fs.h"
#include "kernel/fs/pageio.h"

/* A group descriptor; a: sbi->lock, s: at mount */
struct ext2_group {
	u32 block_bitmap, inode_bitmap, inode_table; /* s */
	u32 free_blocks, free_inodes, used_dirs;     /* a */
};

/* s: at mount   a: lock */
struct ext2_sb {
	struct super_block *sb; /* s */
	struct mutex lock;
	struct ext2_super_block es; /* s, but counts and state: a */
	u32 block_size, block_bits, inode_size, inodes_per_block, itable_blocks, first_ino; /* s */
	u32 addr_bits;		      /* s: log2 of the pointers in an indirect block */
	u32 groups;		      /* s */
	u32 desc_blocks;	      /* s: blocks of group descriptors */
	u32 extra_isize;	      /* s: for new inodes */
	bool filetype, was_valid;     /* s */
	bool writable;		      /* s: mounted to be written, whatever it became since */
	struct ext2_group *group;     /* a */
	bool *desc_dirty;	      /* a: one per block of descriptors */
	bool super_dirty;	      /* a */
	u64 free_blocks, free_inodes; /* a: sums over the groups */
	u64 reserved_blocks;	      /* a: of the free ones, promised to stores; reserve.c */
	u32 next_generation;	      /* a */
	u32 *scratch[3];	      /* a: contents of indirect blocks, for truncate */
};

RB_HEAD(ext2_tables, ext2_table);

/* a: sbi->lock   n: namespace   s: when read or made */
struct ext2_inode_info {
	u32 block[EXT2_NPTRS];	   /* a */
	u32 flags;		   /* n */
	u32 dtime;		   /* set once */
	u32 file_acl;		   /* s */
	u32 generation;		   /* s */
	u32 group;		   /* s: where its inode is, and its data shall be */
	u64 last_lblock;	   /* a: block allocated last ... */
	u32 last_block;		   /* a: ... and where it is; 0: none yet */
	bool fresh;		   /* n: its slot on the disk holds an older inode's bytes */
	struct ext2_tables tables; /* a: those that delayed blocks will be found through */
	struct ext2_table *last;   /* a: of data pointers, used last; or NULL */
	u64 hole, hole_end;	   /* a: blocks of the file that have no pointer: known last */
	u64 reserved;		   /* a: blocks promised to its stores, tables included */
};

static inline struct ext2_sb *ext2_sb(const struct super_block *sb)
{
	return sb->fs;
}

static inline struct ext2_inode_info *ext2_info(const struct inode *inode)
{
	return inode->fs;
}

/* --- check.c: may this image be mounted, and how --- */
enum ext2_verdict { EXT2_OK, EXT2_READ_ONLY, EXT2_REFUSED };
/* sbi->es was read. Prints why it is not EXT2_OK. */
enum ext2_verdict ext2_check_super(struct ext2_sb *sbi);
/* sbi->group was read. 0, or -EIO and a sentence. */
int ext2_check_groups(struct ext2_sb *sbi);
/* Are [@block, @block + @nr) blocks that may hold a file's data: in the file system, and neither
 * super block, descriptors, bitmaps nor inode table? */
bool ext2_data_blocks_ok(const struct ext2_sb *sbi, u64 block, u32 nr);
bool ext2_group_has_super(const struct ext2_sb *sbi, u32 group);
static inline u32 ext2_group_first(const struct ext2_sb *sbi, u32 group)
{
	return sbi->es.first_data_block + group * sbi->es.blocks_per_group;
}
/* The last group may be shorter. */
static inline u32 ext2_group_blocks(const struct ext2_sb *sbi, u32 group)
{
	u32 left = sbi->es.blocks_count - ext2_group_first(sbi, group);

	return min(left, sbi->es.blocks_per_group);
}

/* --- super.c --- */
/* The disk contradicts itself: say so; from now on nothing is changed. Returns -EIO. */
__printf(2, 3) int ext2_error(struct super_block *sb, const char *fmt, ...);
/* bread() with a sentence when it fails. */
int ext2_bread(struct super_block *sb, u64 block, const char *what, struct buf **out);

/* --- balloc.c: all with lock held --- */
/* Up to @want blocks side by side, near @goal; *@got > 0. -ENOSPC, -EIO, -EROFS. */
int ext2_alloc_data_locked(struct super_block *sb, u32 goal, u32 want, u32 *block, u32 *got);
/* One block for pointers or names, out of the way of data: from the end of the group of @goal. */
int ext2_alloc_meta_locked(struct super_block *sb, u32 goal, u32 *block);
int ext2_free_blocks_locked(struct super_block *sb, u32 block, u32 nr);
void ext2_mark_group_locked(struct ext2_sb *sbi, u32 group);

/* --- ialloc.c --- */
int ext2_alloc_ino(struct super_block *sb, u32 parent_group, bool dir, u32 *ino);
void ext2_free_ino(struct super_block *sb, u32 ino, bool dir);

/* --- reserve.c, delayed.c, make_room.c: blocks that are found when the page is written --- */

/* The way to one block of a file, as far as it exists; map.c. */
struct ext2_branch {
	u32 path[4];	      /* index of the pointer at each level; 0 is the inode */
	u32 depth;	      /* levels in all */
	u32 level;	      /* of the first pointer that is missing */
	u32 parent;	      /* block with the pointers of that level; 0: the inode */
	struct block_run run; /* the answer; a hole if a pointer is missing */
};

enum ext2_delay { EXT2_PROMISE, EXT2_NO_PROMISE };

/*
 * Stores to blocks [@lblock, @lblock + @nr) of (part of) a page are about to be let pass: those
 * that are holes become delayed, and ext2_map_delayed() will find blocks for them. EXT2_PROMISE:
 * and as much room as they and the indirect blocks on the way will take is put aside first, so that
 * it finds some (rule 95). *@block: where they are if all exist and lie side by side, else 0.
 * -ENOSPC, -EIO, -ENOMEM: nothing changed. Idempotent. May sleep; page locked.
 */
int ext2_delay(struct inode *inode, u64 lblock, u32 nr, enum ext2_delay how, u64 *block);
/*
 * No store to blocks [@first, @end) of the file waits to be written: what was promised to them goes
 * back. Whole pages: by invalidate_page and release_page. For who takes parts of a page away
 * (truncate, punch), before it frees blocks; the page has been cleaned and has lost PG_blocks, so
 * that the next store asks again. The second with the lock held.
 */
void ext2_undelay(struct inode *inode, u64 first, u64 end);
void ext2_undelay_locked(struct inode *inode, u64 first, u64 end);
/* Blocks that nobody was promised: what may be taken. Lock held. */
u64 ext2_available_locked(const struct ext2_sb *sbi);
/* Lock held; @lblock is a hole. How many blocks from it on are delayed, or (*@delayed false) are
 * not; at most @max. */
u32 ext2_delayed_run_locked(struct inode *inode, u64 lblock, u32 max, bool *delayed);
/* Lock held; the hole br->run at @lblock is to be filled. How much of it at once may be taken, what
 * was promised to it included; 0: no room. */
u32 ext2_may_fill_locked(struct inode *inode, u64 lblock, const struct ext2_branch *br);
/* Lock held: blocks [@lblock, @lblock + @nr) have been found, and the tables that @br lacked. */
void ext2_filled_locked(struct inode *inode, u64 lblock, u32 nr, const struct ext2_branch *br);
/* Lock held; br->run is a hole. Of it and of the @tables lowest tables that @br lacks: how many
 * blocks were promised? */
u32 ext2_promised_locked(struct inode *inode, u64 lblock, const struct ext2_branch *br, u32 tables);
/* Lock held: tables on the way to @lblock may have been freed, in the same hold of the lock, since
 * they had no pointer left. Where a delayed block hangs from one its room is put aside again: there
 * is at least as much as was freed. */
void ext2_tables_freed_locked(struct inode *inode, u64 lblock);
/* Lock held. How many holes there are in [@lblock, @lblock + @nr) of a page, or an error;
 * *@missing: blocks that filling all of them takes and that were not promised to them. */
int ext2_count_holes_locked(struct inode *inode, u64 lblock, u32 nr, u32 *missing);
/*
 * A store found no room: turn what was promised to other stores into blocks, and take back what
 * was promised to pages that nobody stored to. True: there is more room now (rule 96). No page
 * locked; may sleep long.
 */
bool ext2_make_room(struct super_block *sb);
/* Lock held. The first delayed block from *@lblock on; false: there is none. */
bool ext2_next_delayed_locked(struct inode *inode, u64 *lblock);

/* --- map.c --- */
/* Lock held. Where up to @max blocks from @lblock on are. */
int ext2_find_branch_locked(struct inode *inode, u64 lblock, u32 max, struct ext2_branch *br);
/* map_run_fn: what is there. */
int ext2_map_run(struct inode *inode, u64 lblock, u32 max, struct block_run *run);
/* The same, and a hole becomes blocks (as many of @max as lie side by side). */
int ext2_map_alloc(struct inode *inode, u64 lblock, u32 max, struct block_run *run);
/* The same, and what is new holds zeros, on the disk, also after a power cut. */
int ext2_map_zeroed(struct inode *inode, u64 lblock, u32 max, struct block_run *run);
/* map_run_fn: a hole that is delayed becomes blocks, others stay. For pages under writeback. */
int ext2_map_delayed(struct inode *inode, u64 lblock, u32 max, struct block_run *run);
/* Every hole among the @nr blocks of (part of) a page is filled; -ENOSPC: none was. *@grew: some
 * block is new, whose bytes on the disk are its last owner's until it is written, also after
 * -EIO. */
int ext2_map_page(struct inode *inode, u64 lblock, u32 nr, bool *grew);
/* @path[i]: index of the pointer at level i, 0 being the inode; returns the levels, 0: too far. */
u32 ext2_block_path(const struct ext2_sb *sbi, u64 lblock, u32 path[4]);
u64 ext2_max_bytes(const struct ext2_sb *sbi);

/* --- truncate.c --- */
/* Free all blocks wholly behind @size. */
int ext2_truncate(struct inode *inode, u64 size);
/* Free all blocks wholly inside bytes [@start, @end). */
int ext2_punch(struct inode *inode, u64 start, u64 end);

/* --- fallocate.c --- */
int ext2_allocate(struct inode *inode, u64 start, u64 end);
int ext2_zero(struct inode *inode, u64 start, u64 end);
/* Blocks [@block, @block + @nr), which no file has yet, hold zeros, also after a power cut. */
int ext2_zero_new_blocks(struct super_block *sb, u32 block, u32 nr);

/* --- inode.c --- */
extern const struct address_space_operations ext2_a_ops;
extern const struct vm_operations ext2_vm_ops;
int ext2_read_inode(struct inode *inode);
int ext2_write_inode(struct inode *inode);
void ext2_delete_inode(struct inode *inode);
void ext2_destroy_inode(struct inode *inode);

/* --- mkwrite.c --- */
/* Argument alloc=: when blocks are found for a hole. */
enum ext2_alloc { EXT2_ALLOC_RESERVE, EXT2_ALLOC_FAULT, EXT2_ALLOC_WRITEBACK };
extern unsigned int ext2_alloc_choice;
int ext2_prepare_write(struct address_space *mapping, struct page *page, unsigned int from,
		       unsigned int to);
void ext2_invalidate_page(struct address_space *mapping, struct page *page);
int ext2_release_page(struct address_space *mapping, struct page *page);
/* --- fsync.c --- */
int ext2_fsync(struct address_space *mapping, pgoff_t first, pgoff_t last, enum sync_mode mode,
	       enum policy_harvest_why why);

/* --- dir.c: entries; namespace held --- */
struct ext2_slot {
	u64 lblock;	 /* of the directory */
	u32 offset, ino; /* of the entry in it, and whom it names */
};
/* -ENOENT. */
int ext2_find_entry(struct inode *dir, const char *name, struct ext2_slot *slot);
int ext2_add_entry(struct inode *dir, const char *name, struct inode *inode);
int ext2_remove_entry(struct inode *dir, const struct ext2_slot *slot);
int ext2_set_entry(struct inode *dir, const struct ext2_slot *slot, struct inode *inode);
int ext2_make_empty(struct inode *dir, struct inode *parent);
int ext2_is_empty(struct inode *dir); /* 1, 0, or an error */
int ext2_readdir(struct inode *dir, u64 *pos, struct dirent_out *out);

/* --- namei.c --- */
extern const struct inode_operations ext2_inode_ops;

#endif
