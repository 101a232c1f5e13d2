/* SPDX-License-Identifier: MIT */
/*
 * file.c - what is done to the contents of an open file.
 *
 * Owns:  read, write, truncate, fsync, stat and mmap of a file; the rule that blocks and pages
 *        behind EOF do not stay.
 * Not:   moving bytes (filemap_rw.c), blocks (the file system), open files themselves (open.c).
 * Locks: pos_lock where the file's position is used; i_rwsem to write for whatever changes contents
 *        or size, to read for reading: a read sees all of a write or nothing of it.
 * Key fact: a write that fails half way may leave blocks and pages behind EOF. They are taken back
 *        under the same hold of i_rwsem, so that nobody ever finds a page there whose PG_blocks
 *        names a block that is another file's by now.
 */
#include <errno.h>

#include "kernel/core/stat.h"
#include "kernel/fs/directio.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/truncate.h"

#define POS_MAX ((u64)INT64_MAX)

static bool may_read(const struct file *file)
{
	return (file->flags & FS_O_ACCMODE) != 1; /* not O_WRONLY */
}

static bool may_write(const struct file *file)
{
	return (file->flags & FS_O_ACCMODE) != 0;
}

/* ---- read and write ------------------------------------------------------------------------ */

s64 file_read_locked(struct file *file, void *buf, size_t len, u64 pos)
{
	return filemap_read(&file->inode->data, pos, buf, len, &file->ra);
}

static s64 do_read(struct file *file, void *buf, size_t len, u64 pos)
{
	struct inode *inode = file->inode;
	s64 n;

	if (!may_read(file))
		return -EBADF;
	if (inode_is_dir(inode))
		return -EISDIR;
	if (pos > POS_MAX)
		return -EINVAL;
	if (!len)
		return 0;
	len = min(len, (size_t)(POS_MAX - pos));
	down_read(&inode->i_rwsem);
	if (unlikely(file->flags & FS_O_DIRECT))
		n = direct_read(file, buf, len, pos);
	else
		n = file_read_locked(file, buf, len, pos);
	up_read(&inode->i_rwsem);
	if (n >= 0 && !inode->sb->read_only)
		inode_accessed(inode);
	return n;
}

int inode_truncate(struct inode *inode, u64 size)
{
	int err;

	if (inode->sb->read_only)
		return -EROFS;
	inode_dio_wait(inode);
	err = truncate_setsize(&inode->data, size);
	if (err)
		return err;
	if (inode->ops->truncate)
		err = inode->ops->truncate(inode, size);
	inode_mark_meta(inode);
	inode_touch(inode, TOUCH_M | TOUCH_C);
	return err;
}

/* Pages (no PTE can map one), then blocks. */
void inode_trim_behind_eof(struct inode *inode)
{
	u64 size = inode->data.size;

	drop_mapping_pages(&inode->data, DIV_ROUND_UP(size, PAGE_SIZE), ~0ul, DROP_DIRTY);
	if (inode->ops->truncate)
		inode->ops->truncate(inode, size);
	inode_mark_meta(inode);
}

s64 inode_write_locked(struct inode *inode, const void *buf, size_t len, u64 pos)
{
	u64 old_size = inode->data.size;
	s64 n;

	if (pos > POS_MAX)
		return -EINVAL;
	if (pos >= inode->sb->max_bytes)
		return -EFBIG;
	if (inode->sb->read_only)
		return -EROFS;
	len = min(len, (size_t)(inode->sb->max_bytes - pos));
	n = filemap_write(&inode->data, pos, buf, len);
	if (n < (s64)len && pos + len > inode->data.size)
		inode_trim_behind_eof(inode);
	if (n <= 0)
		return n;
	if (inode->data.size != old_size)
		inode_mark_meta(inode);
	inode_touch(inode, TOUCH_M | TOUCH_C);
	return n;
}

/* *@pos: where to write; with O_APPEND and @append it becomes the end of the file. */
static s64 do_write(struct file *file, const void *buf, size_t len, u64 *pos, bool append)
{
	struct inode *inode = file->inode;
	s64 n = 0;

	if (!may_write(file))
		return -EBADF;
	if (*pos > POS_MAX)
		return -EINVAL;
	if (!len)
		return 0;
	append = append && file->flags & FS_O_APPEND;
	if (unlikely(file->flags & FS_O_DIRECT)) {
		n = direct_write(file, buf, len, pos, append);
	} else {
		down_write(&inode->i_rwsem);
		if (append)
			*pos = inode->data.size;
		n = inode_write_locked(inode, buf, len, *pos);
		up_write(&inode->i_rwsem);
	}
	if (n > 0 && file->flags & FS_O_SYNC) {
		int err = file_sync(file, *pos >> PAGE_SHIFT, (*pos + (u64)n - 1) >> PAGE_SHIFT,
				    SYNC_FULL, HARVEST_FSYNC);

		if (err)
			return err;
	}
	return n;
}

s64 vfs_read(struct file *file, void *buf, size_t len)
{
	s64 n;

	mutex_lock(&file->pos_lock);
	n = do_read(file, buf, len, file->pos);
	if (n > 0)
		file->pos += (u64)n;
	mutex_unlock(&file->pos_lock);
	return n;
}

s64 vfs_write(struct file *file, const void *buf, size_t len)
{
	u64 pos;
	s64 n;

	mutex_lock(&file->pos_lock);
	pos = file->pos;
	n = do_write(file, buf, len, &pos, true);
	if (n > 0)
		file->pos = pos + (u64)n;
	mutex_unlock(&file->pos_lock);
	return n;
}

s64 vfs_pread(struct file *file, void *buf, size_t len, u64 pos)
{
	return do_read(file, buf, len, pos);
}

s64 vfs_pwrite(struct file *file, const void *buf, size_t len, u64 pos)
{
	return do_write(file, buf, len, &pos, false);
}

s64 vfs_lseek(struct file *file, s64 offset, int whence)
{
	s64 pos;

	mutex_lock(&file->pos_lock);
	if (whence == 0)
		pos = 0;
	else if (whence == 1)
		pos = (s64)file->pos;
	else
		pos = (s64)READ_ONCE(file->inode->data.size);
	if (whence < 0 || whence > 2)
		pos = -EINVAL;
	else if (__builtin_add_overflow(pos, offset, &pos))
		pos = -EOVERFLOW;
	else if (pos < 0)
		pos = -EINVAL;
	else
		file->pos = (u64)pos;
	mutex_unlock(&file->pos_lock);
	return pos;
}

/* ---- size, sync, stat ---------------------------------------------------------------------- */

int vfs_ftruncate(struct file *file, u64 size)
{
	struct inode *inode = file->inode;
	int err;

	if (!may_write(file) || !inode_is_file(inode) || size > POS_MAX)
		return -EINVAL;
	if (size > inode->sb->max_bytes)
		return -EFBIG;
	down_write(&inode->i_rwsem);
	err = inode_truncate(inode, size);
	up_write(&inode->i_rwsem);
	return err;
}

int file_sync(struct file *file, pgoff_t first, pgoff_t last, enum sync_mode mode,
	      enum policy_harvest_why why)
{
	struct address_space *mapping = &file->inode->data;
	u32 told = READ_ONCE(file->wb_told);
	int err, earlier;

	if (!mapping->a_ops->fsync)
		return 0;
	err = mapping->a_ops->fsync(mapping, first, last, mode, why);
	/* After it: all that it waited for has said what became of it (rule 81). */
	earlier = errseq_tell(&mapping->wb_err, &file->wb_told, told);
	return first_error(err, earlier);
}

int vfs_fsync(struct file *file, bool data_only)
{
	stat_inc(STAT_FSYNCS);
	return file_sync(file, 0, ~0ul, data_only ? SYNC_DATA : SYNC_FULL, HARVEST_FSYNC);
}

int file_vma_fsync(const struct vm_area *vma, pgoff_t first, pgoff_t last)
{
	return file_sync(vma->file, first, last, SYNC_DATA, HARVEST_MSYNC);
}

void inode_stat(struct inode *inode, struct kstat *st)
{
	*st = (struct kstat){
		.ino = inode->ino,
		.size = READ_ONCE(inode->data.size),
		.blocks = inode->sb->in_memory ?
				  READ_ONCE(inode->data.pages.nr) * 8 :
				  READ_ONCE(inode->blocks) + READ_ONCE(inode->reserved),
		.mode = inode->mode,
		.nlink = READ_ONCE(inode->nlink),
		.blksize = inode->sb->block_size,
	};
	inode_look(inode, st);
}

int vfs_fstat(struct file *file, struct kstat *st)
{
	inode_stat(file->inode, st);
	return 0;
}

/* ---- mmap ---------------------------------------------------------------------------------- */

int vfs_mmap(struct mm *mm, vaddr_t addr, u64 len, int prot, int flags, struct file *file,
	     u64 offset, vaddr_t *out)
{
	struct inode *inode = file->inode;
	struct mmap_file mf = {
		.mapping = &inode->data,
		.file = file,
		.ops = inode->ops->vm_ops,
		.readable = may_read(file),
		.writable = may_write(file),
	};
	int err;

	if (!inode_is_file(inode))
		return -ENODEV;
	if (offset > POS_MAX)
		return -EINVAL;
	if (len > POS_MAX - offset)
		return -EOVERFLOW;
	if (flags & MAP_SHARED)
		inode_mapped(inode);
	err = mm_mmap(mm, addr, len, prot, flags, &mf, offset, out);
	if (!err && !inode->sb->read_only)
		inode_accessed(inode);
	return err;
}

int vfs_bmap(struct file *file, u64 pos, sector_t *sector)
{
	struct inode *inode = file->inode;
	u32 block_size = inode->sb->block_size;
	u64 block;
	int err;

	if (!inode->ops->bmap)
		return -EOPNOTSUPP;
	err = inode->ops->bmap(inode, pos / block_size, &block);
	if (err)
		return err;
	*sector = block ? (block * block_size + pos % block_size) >> SECTOR_SHIFT : 0;
	return 0;
}
