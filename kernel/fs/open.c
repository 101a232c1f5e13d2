/* SPDX-License-Identifier: MIT */
/*
 * open.c - open files: made by name, counted, closed; and reading directories through them.
 *
 * Owns:  every struct file.
 * Not:   the walk (namei.c), contents (file.c).
 * Locks: as namei.c; pos_lock, then the namespace, in vfs_readdir.
 * Key fact: a mapping holds a reference on its file, so that a file lives until the last of its
 *        descriptors and areas is gone, whatever its name became. Closing it writes nothing and
 *        tells nothing, as in Linux: who wants to know calls fsync.
 */
#include <errno.h>
#include <string.h>

#include "kernel/fs/directio.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"

static bool wants_write(u32 flags)
{
	return (flags & FS_O_ACCMODE) != 0; /* O_WRONLY or O_RDWR */
}

static int may_open(const struct inode *inode, u32 flags)
{
	if ((inode->mode & FS_IFMT) == FS_IFLNK)
		return -ELOOP;
	if (inode_is_dir(inode) && (wants_write(flags) || flags & (FS_O_CREAT | FS_O_TRUNC)))
		return -EISDIR;
	if (!inode_is_dir(inode) && !inode_is_file(inode))
		return -ENXIO; /* a device or a pipe of another system */
	if (flags & FS_O_DIRECT && !direct_possible(inode))
		return -EINVAL;
	return wants_write(flags) && inode->sb->read_only ? -EROFS : 0;
}

static int open_inode(const char *path, u32 flags, u32 mode, struct inode **out)
{
	struct inode *inode;
	int err;

	if (flags & FS_O_CREAT)
		return walk_create(path, flags & FS_O_EXCL, FS_IFREG | (mode & 07777), out);
	down_read(&mount_lock);
	err = walk(path, &inode);
	up_read(&mount_lock);
	if (!err)
		*out = inode;
	return err;
}

/* The end of a long path says more than its beginning. */
static void remember_name(struct file *file, const char *path)
{
	size_t len = strnlen(path, PATH_MAX_LEN);

	if (len >= sizeof(file->name))
		path += len - (sizeof(file->name) - 1);
	strlcpy(file->name, path, sizeof(file->name));
}

int vfs_open(const char *from, u32 flags, u32 mode, struct file **out)
{
	struct inode *inode;
	struct file *file;
	struct path path;
	int err;

	if ((flags & FS_O_ACCMODE) == FS_O_ACCMODE)
		return -EINVAL;
	/* First what can fail without a trace. */
	err = path_get(&path, from);
	if (err)
		return err;
	err = -ENOMEM;
	file = kzalloc(sizeof(*file));
	if (!file)
		goto out_put_path;
	err = open_inode(path.text, flags, mode, &inode);
	if (err)
		goto out_free;
	err = may_open(inode, flags);
	if (!err && flags & FS_O_TRUNC && wants_write(flags)) {
		down_write(&inode->i_rwsem);
		err = inode_truncate(inode, 0);
		up_write(&inode->i_rwsem);
	}
	if (err)
		goto out_iput;
	file->inode = inode;
	file->flags = flags;
	file->refs = 1;
	file->wb_told = errseq_sample(&inode->data.wb_err);
	file->sb_told = errseq_sample(&inode->sb->wb_err);
	/* No lock of RANK_MOUNT is ever taken with it: it comes before the namespace and
	 * i_rwsem. */
	mutex_init(&file->pos_lock, "pos_lock", RANK_MOUNT);
	remember_name(file, path.text);
	path_put(&path);
	*out = file;
	return 0;

out_iput:
	iput(inode);
out_free:
	kfree(file);
out_put_path:
	path_put(&path);
	return err;
}

int vfs_set_flags(struct file *file, u32 flags)
{
	const u32 may = FS_O_APPEND | FS_O_DIRECT;

	if (flags & FS_O_DIRECT && !direct_possible(file->inode))
		return -EINVAL;
	WRITE_ONCE(file->flags, (file->flags & ~may) | (flags & may));
	return 0;
}

void file_release(struct file *file)
{
	iput(file->inode);
	kfree(file);
}

void file_vma_open(struct vm_area *vma)
{
	file_get(vma->file);
}

void file_vma_close(struct vm_area *vma)
{
	inode_unmapped(vma->file->inode);
	file_put(vma->file);
}

const char *file_vma_name(const struct vm_area *vma)
{
	return vma->file->name;
}

int vfs_readdir(struct file *dir, struct dirent_out *out)
{
	struct inode *inode = dir->inode;
	int found = 0;

	if (!inode_is_dir(inode))
		return -ENOTDIR;
	mutex_lock(&dir->pos_lock);
	down_read(&inode->sb->namespace);
	if (inode->nlink)
		found = inode->ops->readdir(inode, &dir->pos, out);
	up_read(&inode->sb->namespace);
	mutex_unlock(&dir->pos_lock);
	return found;
}
