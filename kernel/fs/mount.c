/* SPDX-License-Identifier: MIT */
/*
 * mount.c - which file systems there are, and where they are mounted.
 *
 * Owns:  every struct super_block, the mount table.
 * Not:   what is on a disk (the file systems), paths (namei.c), writing it (sync.c).
 * Locks: mount_lock for the table; supers_lock (spinlock) beside it, for the flusher, which may
 *        not wait for an unmount that waits for it.
 * Key fact: under mount_lock (write) no path is walked, so an inode that nobody uses stays unused,
 *        and unmounting can check first and then act without failing.
 */
#include <errno.h>
#include <string.h>

#include "kernel/block/buf.h"
#include "kernel/core/printk.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/writeback.h"

REGISTRY(filesystems, struct filesystem);

struct rwsem mount_lock = {
	.rank = RANK_MOUNT,
	.name = "mount_lock",
	.wait = { .lock = { .rank = RANK_WAIT, .name = "mount_lock" },
		  .waiters = TAILQ_HEAD_INITIALIZER(mount_lock.wait.waiters) },
};

struct super_list supers = TAILQ_HEAD_INITIALIZER(supers);
struct spinlock supers_lock = { .rank = RANK_INODE_LIST, .name = "supers" };

struct inode *mount_root(void)
{
	struct super_block *sb = TAILQ_FIRST(&supers);

	if (!sb)
		return NULL;
	inode_get(sb->root);
	return sb->root;
}

struct super_block *mounted_on(const struct inode *dir)
{
	struct super_block *sb;

	TAILQ_FOREACH(sb, &supers, link)
		if (sb->covered == dir)
			return sb;
	panic("inode %lu is covered, but nothing is mounted on it", (unsigned long)dir->ino);
}

static const char *source(const struct super_block *sb)
{
	return sb->dev ? sb->dev->name : "memory";
}

/* ---- mounting ------------------------------------------------------------------------------ */

/* @path as the table knows it: one leading slash, none behind. */
static int clean_path(const char *path, char *out)
{
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	while (len && *path == '/') {
		path++;
		len--;
	}
	if (len + 2 > PATH_MAX_LEN)
		return -ENAMETOOLONG;
	out[0] = '/';
	memcpy(out + 1, path, len);
	out[len + 1] = '\0';
	return 0;
}

static struct super_block *find_path(const char *path)
{
	struct super_block *sb;
	char clean[PATH_MAX_LEN];

	if (clean_path(path, clean))
		return NULL;
	TAILQ_FOREACH(sb, &supers, link)
		if (!strcmp(sb->path, clean))
			break;
	return sb;
}

struct super_block *vfs_find_super(const char *path)
{
	struct super_block *sb;

	down_read(&mount_lock);
	sb = find_path(path);
	up_read(&mount_lock);
	return sb;
}

static struct super_block *new_super(struct blkdev *dev)
{
	struct super_block *sb = kzalloc(sizeof(*sb));

	if (!sb)
		return NULL;
	sb->dev = dev;
	sb->time_gran = 1;
	rwsem_init(&sb->namespace, "namespace", RANK_NAMESPACE);
	spin_init(&sb->inode_lock, "inode_lock", RANK_INODE_LIST);
	TAILQ_INIT(&sb->inodes);
	TAILQ_INIT(&sb->unused);
	for (unsigned int i = 0; i < INODE_HASH; i++)
		TAILQ_INIT(&sb->hash[i]);
	wait_queue_init(&sb->inode_wait, "inode_wait");
	return sb;
}

/* Let each file system that may be meant look at the device. */
static int try_types(struct super_block *sb, const char *type)
{
	struct filesystem *fs;
	bool known = false;
	int err;

	for_each_registered(filesystems, fs) {
		if (type ? strcmp(type, fs->name) != 0 : fs->needs_device != (sb->dev != NULL))
			continue;
		known = true;
		if (fs->needs_device != (sb->dev != NULL)) {
			printk("mount: %s %s.\n", fs->name,
			       sb->dev ? "lives in memory, not on a device" : "needs a device");
			return -EINVAL;
		}
		sb->type = fs->name;
		err = fs->mount(sb);
		if (err != -EINVAL)
			return err;
	}
	if (!known)
		printk("mount: no file system is called %s.\n", type ? type : "nothing");
	else if (type)
		printk("%s: no %s file system found.\n", source(sb), type);
	else
		printk("%s: no file system found.\n", source(sb));
	return -EINVAL;
}

static int find_device(const char *name, struct blkdev **out)
{
	struct blkdev *dev;

	*out = NULL;
	if (!name || !strcmp(name, "none"))
		return 0;
	dev = blkdev_find(name);
	if (!dev) {
		printk("mount: there is no device %s.\n", name);
		return -ENODEV;
	}
	if (dev->in_use) {
		printk("mount: %s is mounted already.\n", name);
		return -EBUSY;
	}
	*out = dev;
	return 0;
}

static int refuse_place(const char *path, const char *why, int err)
{
	printk("mount: %s: %s.\n", path, why);
	return err;
}

/* The directory that is to be covered, referenced; NULL for the first mount, at "/". */
static int find_mount_point(const char *path, struct inode **out)
{
	struct inode *dir;
	int err;

	*out = NULL;
	if (TAILQ_EMPTY(&supers)) {
		if (path[strspn(path, "/")] == '\0')
			return 0;
		return refuse_place(path, "nothing is mounted at / yet", -ENOENT);
	}
	err = walk(path, &dir);
	if (err)
		return refuse_place(path, "no such directory", err);
	if (!inode_is_dir(dir))
		err = refuse_place(path, "not a directory", -ENOTDIR);
	else if (dir == dir->sb->root)
		err = refuse_place(path, "a file system is mounted there already", -EBUSY);
	if (err)
		iput(dir);
	else
		*out = dir;
	return err;
}

static void cover(struct super_block *sb, struct inode *dir)
{
	sb->covered = dir;
	if (!dir)
		return;
	spin_lock(&dir->sb->inode_lock);
	dir->state |= I_COVERED;
	spin_unlock(&dir->sb->inode_lock);
}

static void add_super(struct super_block *sb, struct inode *dir)
{
	cover(sb, dir);
	spin_lock(&supers_lock);
	TAILQ_INSERT_TAIL(&supers, sb, link);
	spin_unlock(&supers_lock);
	if (sb->dev) {
		sb->dev->in_use = true;
		sb->dev->wb.sync_metadata = supers_sync_metadata;
	}
	printk("%s: %s: mounted on %s%s.\n", sb->type, source(sb), sb->path,
	       sb->read_only ? ", read-only" : "");
}

static int mount_locked(const char *dev_name, const char *type, const char *path)
{
	struct super_block *sb;
	struct inode *dir;
	struct blkdev *dev;
	int err = find_device(dev_name, &dev);

	if (!err)
		err = find_mount_point(path, &dir);
	if (err)
		return err;
	sb = new_super(dev);
	err = sb ? clean_path(path, sb->path) : -ENOMEM;
	if (err)
		printk("mount: %s: %s.\n", path, sb ? "name too long" : "out of memory");
	else
		err = try_types(sb, type);
	if (err) {
		kfree(sb);
		if (dir)
			iput(dir);
		return err;
	}
	add_super(sb, dir);
	return 0;
}

int vfs_mount(const char *dev_name, const char *type, const char *path)
{
	int err;

	down_write(&mount_lock);
	err = mount_locked(dev_name, type, path);
	up_write(&mount_lock);
	return err;
}

/* ---- unmounting ---------------------------------------------------------------------------- */

static bool super_in_use(struct super_block *sb)
{
	struct inode *inode;

	spin_lock(&sb->inode_lock);
	TAILQ_FOREACH(inode, &sb->inodes, link)
		if (inode->refs > (inode == sb->root))
			break;
	spin_unlock(&sb->inode_lock);
	return inode;
}

/* Not in use; mount_lock held to write. */
static int umount_locked(struct super_block *sb)
{
	struct inode *dir = sb->covered;
	int err = sync_super(sb);

	iput(sb->root);
	sb->root = NULL;
	BUG_ON(inode_evict_all(sb, EVICT_FORCED));
	err = first_error(err, sb->lost);
	if (sb->ops->seal && !sb->read_only)
		err = first_error(err, sb->ops->seal(sb));
	sb->ops->put_super(sb);
	spin_lock(&supers_lock);
	TAILQ_REMOVE(&supers, sb, link);
	spin_unlock(&supers_lock);
	if (sb->dev)
		sb->dev->in_use = false;
	if (dir) {
		spin_lock(&dir->sb->inode_lock);
		dir->state &= ~(u32)I_COVERED;
		spin_unlock(&dir->sb->inode_lock);
		iput(dir);
	}
	if (err)
		printk("%s: %s: unmounted with error %d: not all could be written.\n", sb->type,
		       source(sb), err);
	kfree(sb);
	return err;
}

int vfs_umount(const char *path)
{
	struct super_block *sb;
	int err;

	down_write(&mount_lock);
	sb = find_path(path);
	if (!sb) {
		printk("umount: nothing is mounted at %s.\n", path);
		err = -EINVAL;
	} else if (super_in_use(sb)) {
		printk("umount: %s: files are open or mapped, or something is mounted there.\n",
		       sb->path);
		err = -EBUSY;
	} else {
		err = umount_locked(sb);
	}
	up_write(&mount_lock);
	return err;
}

/* Files are still open, but nothing runs on: bring the disk into the state of an unmounted one and
 * change it no more. */
static void seal_in_use(struct super_block *sb)
{
	int err;

	if (!sb->dev || sb->read_only)
		return;
	down_write(&sb->namespace);
	WRITE_ONCE(sb->read_only, true);
	inode_delete_orphans(sb);
	err = sync_super(sb);
	if (sb->ops->seal)
		err = first_error(err, sb->ops->seal(sb));
	up_write(&sb->namespace);
	if (err)
		printk("%s: %s: shutdown error %d: not all could be written.\n", sb->type,
		       source(sb), err);
}

void vfs_shutdown(void)
{
	struct super_block *sb, *below;

	down_write(&mount_lock);
	for (sb = TAILQ_LAST(&supers, super_list); sb; sb = below) {
		below = TAILQ_PREV(sb, super_list, link);
		if (super_in_use(sb))
			seal_in_use(sb);
		else
			umount_locked(sb);
	}
	up_write(&mount_lock);
}
