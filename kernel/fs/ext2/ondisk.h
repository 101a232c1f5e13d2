/* SPDX-License-Identifier: MIT */
/*
 * ondisk.h - ext2 as it lies on the disk. Little endian, as this machine is.
 */
#ifndef KERNEL_FS_EXT2_ONDISK_H
#define KERNEL_FS_EXT2_ONDISK_H

#include "kernel/lib/types.h"

#define EXT2_MAGIC	    0xEF53
#define EXT2_SUPER_OFFSET   1024 /* bytes from the start of the device */
#define EXT2_ROOT_INO	    2
#define EXT2_OLD_FIRST_INO  11
#define EXT2_OLD_INODE_SIZE 128

#define EXT2_STATE_VALID 1
#define EXT2_STATE_ERROR 2

#define EXT2_INCOMPAT_FILETYPE	    0x2
#define EXT2_RO_COMPAT_SPARSE_SUPER 0x1
#define EXT2_RO_COMPAT_LARGE_FILE   0x2
#define EXT2_RO_COMPAT_BTREE_DIR    0x4
#define EXT2_COMPAT_SPARSE_SUPER2   0x200

struct ext2_super_block {
	u32 inodes_count, blocks_count, r_blocks_count, free_blocks_count;
	u32 free_inodes_count, first_data_block, log_block_size, log_frag_size;
	u32 blocks_per_group, frags_per_group, inodes_per_group, mtime;
	u32 wtime;
	u16 mnt_count, max_mnt_count, magic, state, errors, minor_rev;
	u32 lastcheck, checkinterval, creator_os, rev_level;
	u16 def_resuid, def_resgid;
	u32 first_ino;
	u16 inode_size, block_group_nr;
	u32 feature_compat, feature_incompat, feature_ro_compat;
	u8 uuid[16];
	char volume_name[16], last_mounted[64];
	u32 algorithm_usage_bitmap;
	u8 prealloc_blocks, prealloc_dir_blocks;
	u16 reserved_gdt_blocks;
	u8 journal_uuid[16];
	u32 journal_inum, journal_dev, last_orphan;
	u32 hash_seed[4];
	u8 def_hash_version, jnl_backup_type;
	u16 desc_size;
	u32 default_mount_opts, first_meta_bg, mkfs_time;
	u32 jnl_blocks[17];
	u32 blocks_count_hi, r_blocks_count_hi, free_blocks_hi;
	u16 min_extra_isize, want_extra_isize;
	u32 flags;
	u8 rest[668];
} __packed;
_Static_assert(sizeof(struct ext2_super_block) == 1024, "the super block");

struct ext2_group_desc {
	u32 block_bitmap, inode_bitmap, inode_table;
	u16 free_blocks, free_inodes, used_dirs, pad;
	u32 reserved[3];
} __packed;
_Static_assert(sizeof(struct ext2_group_desc) == 32, "a group descriptor");

#define EXT2_NDIR  12
#define EXT2_IND   12
#define EXT2_DIND  13
#define EXT2_TIND  14
#define EXT2_NPTRS 15

#define EXT2_INDEX_FL	0x1000 /* the directory has a hash index; it is still linear */
#define EXT2_EXTENTS_FL 0x80000
#define EXT2_INLINE_FL	0x10000000

struct ext2_inode {
	u16 mode, uid;
	u32 size, atime, ctime, mtime, dtime;
	u16 gid, links_count;
	u32 blocks, flags, osd1;
	u32 block[EXT2_NPTRS];
	u32 generation, file_acl, size_high, faddr;
	u8 osd2[12];
	/* only if the inode size is larger than 128, and as far as extra_isize says */
	u16 extra_isize, checksum_hi;
	u32 ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra, version_hi, projid;
} __packed;
_Static_assert(offsetof(struct ext2_inode, extra_isize) == EXT2_OLD_INODE_SIZE, "the old part");
#define EXT2_EXTRA_ISIZE (sizeof(struct ext2_inode) - EXT2_OLD_INODE_SIZE)

struct ext2_dirent {
	u32 inode;
	u16 rec_len;
	u8 name_len;
	u8 file_type; /* with FILETYPE; else the high byte of the name's length, which is 0 */
	char name[];
} __packed;
#define EXT2_DIRENT_HEAD     8
#define EXT2_DIRENT_LEN(len) ALIGN_UP((u32)(len) + EXT2_DIRENT_HEAD, 4u)

enum { EXT2_FT_UNKNOWN, EXT2_FT_REG, EXT2_FT_DIR, EXT2_FT_SYMLINK = 7 };

/* The head of a block with extended attributes, which several inodes may share. */
struct ext2_xattr_header {
	u32 magic, refcount, blocks, hash;
} __packed;
#define EXT2_XATTR_MAGIC 0xEA020000

#endif
