/* SPDX-License-Identifier: MIT */
/*
 * fs.h - files, directories and the file systems under them.
 *
 * Everything a program can do to a file enters here (vfs_*), as the kernel's own calls: errors are
 * negative errno, as Linux's manual names them; nothing is changed on error unless said. All may
 * sleep. Paths are absolute or relative to the root, '/' separates, "." and ".." are known,
 * components are at most 255 bytes.
 *
 * A file system is one folder or file with FILESYSTEM(name); it fills inode_operations and
 * super_operations, embeds nothing of mm but inode->data.
 */
#ifndef KERNEL_FS_FS_H
#define KERNEL_FS_FS_H

#include <sys/queue.h>

#include "kernel/block/blkdev.h"
#include "kernel/fs/cmtime.h"
#include "kernel/lib/sections.h"
#include "kernel/mm/filemap.h"
#include "kernel/mm/mapping.h"
#include "kernel/mm/mmap.h"

#define NAME_MAX_LEN 255
#define PATH_MAX_LEN 1024

/* Modes as in <sys/stat.h> of POSIX. */
#define FS_IFMT	 0170000
#define FS_IFREG 0100000
#define FS_IFDIR 0040000
#define FS_IFLNK 0120000 /* listed and removed, never followed: -ELOOP */

/* Open flags; values as newlib's <fcntl.h> (O_RDONLY 0, O_WRONLY 1, O_RDWR 2). */
#define FS_O_ACCMODE 3
#define FS_O_APPEND  0x0008
#define FS_O_CREAT   0x0200
#define FS_O_TRUNC   0x0400
#define FS_O_EXCL    0x0800
#define FS_O_SYNC    0x2000
#define FS_O_DIRECT  0x80000 /* directio.h */

struct file_time { /* seconds and nanoseconds since 1970 */
	s64 sec;
	u32 nsec;
};

struct block_run;
struct inode;
struct super_block;

struct kstat {
	u64 ino, size, blocks; /* blocks: 512-byte units */
	u32 mode, nlink, blksize;
	struct file_time atime, mtime, ctime;
	u64 version; /* change cookie: who finds it as it was may trust its copy; cmtime.h */
};

struct dirent_out {
	u64 ino;
	u32 mode; /* FS_IFREG, FS_IFDIR or 0 unknown */
	char name[NAME_MAX_LEN + 1];
};

/* Locks: namespace = sb->namespace held (w to change, r to look); i_rwsem as said. */
struct inode_operations {
	/* namespace r. *@out referenced. -ENOENT. */
	int (*lookup)(struct inode *dir, const char *name, struct inode **out);
	/* namespace w. New regular file or directory (@mode). -EEXIST was checked. */
	int (*create)(struct inode *dir, const char *name, u32 mode, struct inode **out);
	/* namespace w. @inode is what @name means; directories must be empty (-ENOTEMPTY). */
	int (*unlink)(struct inode *dir, const char *name, struct inode *inode);
	/* namespace w. @victim: what @to_name meant, or NULL. */
	int (*rename)(struct inode *from, const char *name, struct inode *inode, struct inode *to,
		      const char *to_name, struct inode *victim);
	/* namespace r. Entry at cookie *@pos; advances it. 1, 0 at the end, or an error. */
	int (*readdir)(struct inode *dir, u64 *pos, struct dirent_out *out);
	/* i_rwsem w, after truncate_setsize(): free blocks beyond @size. */
	int (*truncate)(struct inode *inode, u64 size);
	/* i_rwsem w: the holes among bytes [@start, @end), which may lie behind EOF, get room that
	 * holds zeros, also after a power cut at any time (rule 104). -ENOSPC: nothing changed,
	 * unless others took at that moment the room that was seen; else some may have it. NULL:
	 * fallocate() is not for this file system. */
	int (*allocate)(struct inode *inode, u64 start, u64 end);
	/* i_rwsem w, between pagecache_hole_begin() and _end(). The blocks wholly inside
	 * [@start, @end) become free; or those that are there become zeros. NULL: the cached pages
	 * are all there is. */
	int (*punch)(struct inode *inode, u64 start, u64 end);
	int (*zero)(struct inode *inode, u64 start, u64 end);
	/* Disk block (fs units) that holds block @lblock of the file; 0: a hole. For tests. */
	int (*bmap)(struct inode *inode, u64 lblock, u64 *pblock);
	/* Where the file's blocks [@lblock, ...) are: a map_run_fn (pageio.h). NULL: its files
	 * cannot be opened with FS_O_DIRECT. i_rwsem held (r or w): blocks that are told of
	 * stay. */
	int (*map_run)(struct inode *inode, u64 lblock, u32 max, struct block_run *run);
	/* For areas that map its files: open and close are file_vma_open and file_vma_close. */
	const struct vm_operations *vm_ops;
};

struct super_operations {
	int (*read_inode)(struct inode *inode);	 /* fill from disk by inode->ino */
	int (*write_inode)(struct inode *inode); /* into its buffer */
	/* nlink 0 and no user left: free blocks and the inode itself. */
	void (*delete_inode)(struct inode *inode);
	void (*destroy_inode)(struct inode *inode); /* free what the fs hung on inode->fs */
	int (*sync_fs)(struct super_block *sb);	    /* metadata of its own to buffers */
	/* All else is on the disk: write what marks it as cleanly unmounted. 0 or the first
	 * error. */
	int (*seal)(struct super_block *sb);
	void (*put_super)(struct super_block *sb); /* forget @sb->fs; no inode is left */
	/* @free_blocks: that a store may still be promised. */
	int (*statfs)(struct super_block *sb, u64 *blocks, u64 *free_blocks);
};

enum inode_state {
	I_NEW = 1,	/* being read; others wait */
	I_FREEING = 2,	/* being thrown out; others wait */
	I_UNUSED = 4,	/* on sb->unused */
	I_COVERED = 8,	/* a file system is mounted on this directory */
	I_DELETED = 16, /* delete_inode was called while it was in use (shutdown) */
};

/* What direct I/O asked the map for last; extent.h. */
struct extent_hint {
	u32 seq; /* a: odd while it is written */
	u64 pos, len, gen;
	sector_t sector;
};

/* n: namespace   i: i_rwsem w   t: time_lock   l: inode list lock   s: at creation   a: atomic */
struct inode {
	u64 ino;		/* s */
	struct super_block *sb; /* s */
	u32 mode;		/* s */
	u32 nlink;		/* n */
	int refs;		/* l */
	u32 state;		/* l: enum inode_state */
	struct rwsem i_rwsem;
	struct address_space data; /* data.size is the file's size */
	struct spinlock time_lock;
	struct file_time atime, mtime, ctime; /* t */
	u64 version;			      /* t: moves whenever the contents were changed */
	u64 blocks;			      /* RANK_FS_ALLOC: 512-byte units */
	u64 reserved; /* RANK_FS_ALLOC: the same, promised to stores; st_blocks counts them */
	/* a: meta_gen moves with size or blocks, time_gen with times; the synced ones follow
	 * when all that is on the disk. A flag cannot say it: of two fsyncs, the second must not
	 * return because the first has taken the flag and is still writing. */
	u64 meta_gen, time_gen, synced_meta, synced_time;
	struct extent_hint hint;	    /* extent.c's */
	int dio;			    /* a: direct reads and writes under way; below */
	struct wait_queue dio_wait;	    /* for it to become 0 */
	const struct inode_operations *ops; /* s */
	void *fs;			    /* s: the file system's own part */
	TAILQ_ENTRY(inode) link, hash, lru; /* l */
};

#define INODE_HASH 128
TAILQ_HEAD(inode_list, inode);

/* f: filled by filesystem->mount   v: by mount.c   l: inode_lock   a: atomic */
struct super_block {
	const struct super_operations *ops;	      /* f */
	const struct inode_operations *inode_ops;     /* f */
	const struct address_space_operations *a_ops; /* f */
	struct blkdev *dev;			      /* v: NULL: no device (ramfs) */
	const char *type;			      /* v */
	bool read_only;	    /* f, a: also set when the disk turns out to be inconsistent */
	bool in_memory;	    /* f: the inodes are the file system: unused ones stay while named */
	u32 block_size;	    /* f */
	u32 time_gran;	    /* f: nanoseconds that an inode can tell apart */
	u64 max_bytes;	    /* f: largest size of a file */
	u32 wb_err;	    /* a: failed writes of data or metadata, for syncfs: errseq.h */
	u32 nr_failed;	    /* a: how many; for who syncs all and has no open file */
	int lost;	    /* v: unmounting: the error of a file that went without being written */
	void *fs;	    /* f */
	struct inode *root; /* f: referenced */
	struct rwsem namespace;			    /* RANK_NAMESPACE */
	struct spinlock inode_lock;		    /* RANK_INODE_LIST */
	struct inode_list inodes, hash[INODE_HASH]; /* l */
	struct inode_list unused;		    /* l: oldest first: no user, but pages cached */
	unsigned int nr_unused;			    /* l */
	struct wait_queue inode_wait;		    /* for I_NEW and I_FREEING to end */
	struct inode *covered;	       /* v: directory it is mounted on, referenced; NULL: "/" */
	char path[PATH_MAX_LEN];       /* v */
	TAILQ_ENTRY(super_block) link; /* mount_lock */
};

struct filesystem {
	const char *name;
	bool needs_device;
	/* Fill @sb (dev is set). On failure -errno and one printed sentence that names what was
	 * wrong; -EINVAL: not this file system at all (no sentence). */
	int (*mount)(struct super_block *sb);
	u64 pad;
};
#define FILESYSTEM(id) REGISTER(filesystems, struct filesystem, filesystem_##id)

#define FILE_NAME_SHOWN 48

/* An open file. a: atomic   f: its own lock   s: at creation */
struct file {
	struct inode *inode;  /* referenced */
	u32 flags;	      /* FS_O_* */
	int refs;	      /* a */
	u32 wb_told, sb_told; /* a: errors of the file and its super block told: errseq.h */
	struct mutex pos_lock;
	u64 pos;		    /* f */
	struct readahead ra;	    /* f */
	char name[FILE_NAME_SHOWN]; /* s: the end of the path it was opened by, for messages */
};

/* --- mounting: mount.c --- */
/* @dev_name NULL or "none": no device. @type NULL: try each. @path: "/" or an existing directory.
 * Errors were printed. */
int vfs_mount(const char *dev_name, const char *type, const char *path);
/* Writes all first. -EBUSY while files are open or mapped; another error: it is unmounted, but
 * something could not be written, or had been lost before and nobody was told. */
int vfs_umount(const char *path);
/* sync(2): everything, and waits; the first error that it met: no open file is told of it. */
int vfs_sync(void);
/* syncfs(2): all of the file system that @file lies on; the first error, or one since @file was
 * opened that it was not told of by this call (rule 77). */
int vfs_syncfs(struct file *file);
void vfs_shutdown(void); /* sync and unmount all, for poweroff */
/* The super block mounted at exactly @path, or NULL. */
struct super_block *vfs_find_super(const char *path);
/* Write everything, then forget every file that nobody uses: what is looked at next comes from the
 * disk. Returns how many inodes stayed (in use, or not writable). For leak checks and tests. */
u64 vfs_drop_caches(void);

/* --- names: namei.c --- */
/* -EINVAL: FS_O_DIRECT, and the file system (or a directory) has none. */
int vfs_open(const char *path, u32 flags, u32 mode, struct file **out);
/* F_SETFL: FS_O_APPEND and FS_O_DIRECT become what @flags says, the rest stays. -EINVAL: as
 * above. */
int vfs_set_flags(struct file *file, u32 flags);
static inline void file_get(struct file *file)
{
	atomic_inc(&file->refs);
}
void file_release(struct file *file);	       /* open.c: nobody has it any more */
static inline void file_put(struct file *file) /* the last one closes */
{
	if (atomic_dec_and_test(&file->refs))
		file_release(file);
}
int vfs_mkdir(const char *path, u32 mode);
int vfs_rmdir(const char *path);
int vfs_unlink(const char *path);
int vfs_rename(const char *from, const char *to);
int vfs_stat(const char *path, struct kstat *st);
int vfs_readdir(struct file *dir, struct dirent_out *out); /* 1, 0 at the end, error */

/* --- contents: file.c --- */
s64 vfs_read(struct file *file, void *buf, size_t len);
s64 vfs_write(struct file *file, const void *buf, size_t len);
s64 vfs_pread(struct file *file, void *buf, size_t len, u64 pos);
s64 vfs_pwrite(struct file *file, const void *buf, size_t len, u64 pos);
s64 vfs_lseek(struct file *file, s64 offset, int whence); /* 0 SET, 1 CUR, 2 END */
int vfs_ftruncate(struct file *file, u64 size);
/*
 * fallocate(2), @mode as <fcntl.h> has it. 0: what is a hole in the range gets blocks that hold
 * zeros, and the file grows to its end. FALLOC_FL_KEEP_SIZE: it does not; blocks behind EOF are
 * refused, since ext2 has no place to say that they are the file's. PUNCH_HOLE | KEEP_SIZE: what
 * was stored is gone, whole blocks are free. ZERO_RANGE, with KEEP_SIZE or without: what was stored
 * is gone, and there are blocks. Moves mtime and ctime. Private copies stay what they are (rule
 * 11). mlock() does not keep a page, as on Linux: it gets a new one with the next access.
 * -EINVAL (@offset < 0, @len <= 0), -EOPNOTSUPP, -EBADF (not open for writing), -ENODEV (no regular
 * file), -EFBIG, -EROFS, -ENOSPC: nothing changed. -EIO, -ENOMEM: a part may be done.
 */
int vfs_fallocate(struct file *file, int mode, s64 offset, s64 len); /* fallocate.c */
int vfs_fsync(struct file *file, bool data_only);
/*
 * [first, last] (pages) of @file durable, as a_ops->fsync: what fsync, msync and O_SYNC are made
 * of. 0, or the first error of this attempt; or the error of any write of the file since @file was
 * opened or was told last (rule 74): each open file hears of each once, and a new one also of what
 * nobody has heard of.
 */
int file_sync(struct file *file, pgoff_t first, pgoff_t last, enum sync_mode mode,
	      enum policy_harvest_why why);
int vfs_fstat(struct file *file, struct kstat *st);
/* mmap of @file into @mm; see mm_mmap for the rest. */
int vfs_mmap(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags, struct file *file,
	     u64 offset, vaddr_t *out);
/* Where the byte at @pos lies on the device: sector, or 0 for a hole. For the oracle of tests. */
int vfs_bmap(struct file *file, u64 pos, sector_t *sector);
/* For vm_operations: an area holds a reference on its file. */
void file_vma_open(struct vm_area *vma);
void file_vma_close(struct vm_area *vma);
int file_vma_remove(struct vm_area *vma, u64 start, u64 end); /* fallocate.c */
int file_vma_fsync(const struct vm_area *vma, pgoff_t first, pgoff_t last);
const char *file_vma_name(const struct vm_area *vma);

/* --- inodes: inode.c --- */
/* The inode @ino of @sb, referenced; read from disk the first time. */
int iget(struct super_block *sb, u64 ino, struct inode **out);
/* A new one that is not on disk yet (the fs allocated @ino): referenced, in the list. */
int inew(struct super_block *sb, u64 ino, u32 mode, struct inode **out);
void iput(struct inode *inode);
void inode_get(struct inode *inode);
/* What becomes of an inode that cannot be written: it stays, or (unmount) it is lost, with a
 * line. */
enum evict_how { EVICT_POLITE, EVICT_FORCED };
/* Writes and drops unused inodes; returns how many are left. */
u64 inode_evict_all(struct super_block *sb, enum evict_how how);
/* Calls @fn on every inode that has pages or may be dirty, referenced meanwhile; 0 or the first
 * error. */
int inode_for_each(struct super_block *sb, int (*fn)(struct inode *inode));
/* The same for every inode in memory. */
int inode_for_all(struct super_block *sb, int (*fn)(struct inode *inode));
/* Poweroff: files without a name that are still open lose their contents and their inode now, since
 * nobody will close them. */
void inode_delete_orphans(struct super_block *sb);
/* Make room when unused inodes are many. */
void inode_trim(struct super_block *sb);
/* Memory is low: unused inodes without cached pages and without changes go; the clock has taken
 * their pages. How many. No I/O. */
u64 inode_shrink(struct super_block *sb);
/*
 * Direct I/O goes to blocks that no page lock and no PG_writeback keeps in the file (rule 103). So
 * it is counted: from before it asks for blocks, with i_rwsem held (read or write), until its last
 * request has ended (any context, the inode still referenced). Who frees blocks waits, with i_rwsem
 * held for write, so that none begins meanwhile. May sleep.
 */
static inline void inode_dio_begin(struct inode *inode)
{
	atomic_inc(&inode->dio);
}
static inline void inode_dio_end(struct inode *inode)
{
	/* A waiter queues itself before it looks at the count; the decrement is a barrier. */
	if (atomic_dec_and_test(&inode->dio) && unlikely(!TAILQ_EMPTY(&inode->dio_wait.waiters)))
		wake_up(&inode->dio_wait);
}
static inline void inode_dio_wait(struct inode *inode)
{
	wait_event(&inode->dio_wait, !atomic_load(&inode->dio));
}
/* Size or blocks changed (after they did): meta_gen, AS_DIRTY_META, dirty list. Any locks of
 * RANK_PAGE and above, RANK_FS_ALLOC. */
void inode_mark_meta(struct inode *inode);

/* A write of data or metadata of @sb failed; else as mapping_set_error(). Any context. */
void sb_set_error(struct super_block *sb, int error);
/* A write that was to make @inode durable failed: told to who syncs the file, and to who syncs
 * all. */
void inode_set_error(struct inode *inode, int error);

static inline struct inode *mapping_inode(const struct address_space *mapping)
{
	return mapping->host;
}

static inline bool inode_is_dir(const struct inode *inode)
{
	return (inode->mode & FS_IFMT) == FS_IFDIR;
}

static inline bool inode_is_file(const struct inode *inode)
{
	return (inode->mode & FS_IFMT) == FS_IFREG;
}

#endif
