/* SPDX-License-Identifier: MIT */
/*
 * namei.c - from a path to an inode, and the calls that change names.
 *
 * Owns:  walking paths over mounts, which name may be made, removed or moved.
 * Not:   how a directory looks on disk (inode_operations), contents of files (file.c).
 * Locks: mount_lock (read) during a call; sb->namespace to read for one step of a walk, to write
 *        around a change: between looking a name up and changing it nobody else does.
 * Key fact: a directory that was removed while somebody stands in it has nlink 0: nothing can be
 *        made in it any more, which is checked under the namespace lock.
 */
#include <errno.h>
#include <string.h>

#include "kernel/core/delay.h"
#include "kernel/fs/vfs.h"

static bool is_dot(const char *name)
{
	return !strcmp(name, ".");
}

static bool is_dotdot(const char *name)
{
	return !strcmp(name, "..");
}

/* Names that mean a directory by its place, not by an entry that may be made or removed. */
static bool is_special(const char *name)
{
	return is_dot(name) || is_dotdot(name);
}

/* ---- walking ------------------------------------------------------------------------------- */

/*
 * The next component of *@path to @name (NAME_MAX_LEN + 1 bytes). Its length, 0 at the end. Each
 * byte is looked at once: the path may be in memory that another thread changes meanwhile.
 */
static int next_name(const char **path, char *name)
{
	int len = 0;
	char c;

	*path += strspn(*path, "/");
	while ((c = READ_ONCE((*path)[len])) && c != '/') {
		if (len == NAME_MAX_LEN)
			return -ENAMETOOLONG;
		name[len++] = c;
	}
	name[len] = '\0';
	*path += len;
	return len;
}

static bool at_end(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

static int check_path(const char *path)
{
	if (!*path)
		return -ENOENT;
	return strnlen(path, PATH_MAX_LEN) == PATH_MAX_LEN ? -ENAMETOOLONG : 0;
}

static int lookup(struct inode *dir, const char *name, struct inode **out)
{
	int err;

	down_read(&dir->sb->namespace);
	err = dir->ops->lookup(dir, name, out);
	up_read(&dir->sb->namespace);
	return err;
}

/* ".." of @dir, referenced; of a mounted root it is that of the directory below. */
static int step_up(struct inode *dir, struct inode **out)
{
	while (dir == dir->sb->root && dir->sb->covered)
		dir = dir->sb->covered;
	if (dir != dir->sb->root)
		return lookup(dir, "..", out);
	inode_get(dir);
	*out = dir;
	return 0;
}

/* What @name in @dir leads to, referenced: the root of what is mounted there, if anything is. */
static int step(struct inode *dir, const char *name, struct inode **out)
{
	struct inode *inode;
	int err;

	if (!inode_is_dir(dir))
		return (dir->mode & FS_IFMT) == FS_IFLNK ? -ELOOP : -ENOTDIR;
	if (is_dotdot(name))
		return step_up(dir, out);
	if (is_dot(name)) {
		inode_get(dir);
		*out = dir;
		return 0;
	}
	err = lookup(dir, name, &inode);
	if (err)
		return err;
	while (inode->state & I_COVERED) {
		struct inode *root = mounted_on(inode)->root;

		inode_get(root);
		iput(inode);
		inode = root;
	}
	*out = inode;
	return 0;
}

/* The directory that holds the last component of a path, and that component. */
struct place {
	struct inode *dir; /* referenced */
	bool slash;	   /* the path ends in '/': only a directory can be meant */
	bool root;	   /* the path is "/" */
	char name[NAME_MAX_LEN + 1];
};

static int find_place(const char *path, struct place *place)
{
	struct inode *dir, *next;
	int err = check_path(path);

	if (err)
		return err;
	dir = mount_root();
	if (!dir)
		return -ENOENT;
	err = next_name(&path, place->name);
	place->root = !err;
	if (place->root)
		strcpy(place->name, ".");
	while (err >= 0 && !at_end(path)) {
		err = step(dir, place->name, &next);
		iput(dir);
		if (err)
			return err;
		dir = next;
		err = next_name(&path, place->name);
		if (!err)
			err = -ENOENT; /* somebody cut the path off */
	}
	if (err >= 0 && !inode_is_dir(dir))
		err = (dir->mode & FS_IFMT) == FS_IFLNK ? -ELOOP : -ENOTDIR;
	if (err < 0) {
		iput(dir);
		return err;
	}
	place->dir = dir;
	place->slash = *path == '/';
	return 0;
}

int walk(const char *path, struct inode **out)
{
	struct place place;
	struct inode *inode;
	int err = find_place(path, &place);

	if (err)
		return err;
	err = step(place.dir, place.name, &inode);
	iput(place.dir);
	if (err)
		return err;
	if (place.slash && !inode_is_dir(inode)) {
		iput(inode);
		return -ENOTDIR;
	}
	*out = inode;
	return 0;
}

/* ---- changing names ------------------------------------------------------------------------ */

/* Find the place and hold its namespace for a change. Every success is undone by leave(). */
static int enter(const char *from, struct place *place)
{
	struct path path;
	int err = path_get(&path, from);

	if (err)
		return err;
	down_read(&mount_lock);
	err = find_place(path.text, place);
	path_put(&path);
	if (!err) {
		delay_point("names_place_found", place->dir); /* may sleep */
		down_write(&place->dir->sb->namespace);
		if (place->dir->nlink)
			return 0;
		up_write(&place->dir->sb->namespace);
		iput(place->dir);
		err = -ENOENT;
	}
	up_read(&mount_lock);
	return err;
}

static void leave(struct place *place)
{
	up_write(&place->dir->sb->namespace);
	iput(place->dir);
	up_read(&mount_lock);
}

/* A name that is not there yet gets a new file or directory. Namespace w held. */
static int make(struct place *place, u32 mode, struct inode **out)
{
	if (place->dir->sb->read_only)
		return -EROFS;
	return place->dir->ops->create(place->dir, place->name, mode, out);
}

int walk_create(const char *path, bool exclusive, u32 mode, struct inode **out)
{
	struct place place;
	int err = enter(path, &place);

	if (err)
		return err;
	/* "/", "x/." and "x/..": directories, which nobody opens to create them. */
	if (is_special(place.name))
		err = exclusive ? -EEXIST : -EISDIR;
	else
		err = place.dir->ops->lookup(place.dir, place.name, out);
	if (err == -ENOENT) {
		err = place.slash ? -EISDIR : make(&place, mode, out);
	} else if (!err && (exclusive || (place.slash && !inode_is_dir(*out)))) {
		iput(*out);
		err = exclusive ? -EEXIST : -ENOTDIR;
	}
	leave(&place);
	return err;
}

int vfs_mkdir(const char *path, u32 mode)
{
	struct place place;
	struct inode *inode = NULL;
	int err = enter(path, &place);

	if (err)
		return err;
	if (is_special(place.name))
		err = -EEXIST;
	else
		err = place.dir->ops->lookup(place.dir, place.name, &inode);
	if (err == -ENOENT)
		err = make(&place, FS_IFDIR | (mode & 07777), &inode);
	else if (!err)
		err = -EEXIST;
	leave(&place);
	if (inode)
		iput(inode);
	return err;
}

/* What unlink (@dir false) and rmdir (@dir true) have in common. */
static int remove_name(const char *path, bool dir)
{
	struct place place;
	struct inode *inode = NULL;
	int err = enter(path, &place);

	if (err)
		return err;
	if (is_special(place.name)) {
		/* The path is "/" or ends in "." or "..". */
		err = !dir ? -EISDIR : is_dotdot(place.name) ? -ENOTEMPTY : -EINVAL;
		if (dir && place.root)
			err = -EBUSY;
	} else {
		err = place.dir->ops->lookup(place.dir, place.name, &inode);
	}
	if (err)
		goto out;
	if (dir && !inode_is_dir(inode))
		err = -ENOTDIR;
	else if (!dir && inode_is_dir(inode))
		err = -EISDIR;
	else if (place.slash && !inode_is_dir(inode))
		err = -ENOTDIR;
	else if (inode->state & I_COVERED)
		err = -EBUSY;
	else if (inode->sb->read_only)
		err = -EROFS;
	else
		err = place.dir->ops->unlink(place.dir, place.name, inode);
out:
	leave(&place);
	/* Outside the namespace lock: the last reference frees all of the file's blocks. */
	if (inode)
		iput(inode);
	return err;
}

int vfs_rmdir(const char *path)
{
	return remove_name(path, true);
}

int vfs_unlink(const char *path)
{
	return remove_name(path, false);
}

/* A damaged image may have a circle of ".."; no honest tree is so deep. */
#define DEPTH_MAX 65536

/* Is @dir inside @tree, or the same? Namespace held. A negative error if the way up is broken. */
static int is_inside(struct inode *dir, struct inode *tree)
{
	unsigned int depth = 0;
	struct inode *up;
	int err = 0;

	inode_get(dir);
	while (dir != tree && dir != dir->sb->root) {
		err = dir->ops->lookup(dir, "..", &up);
		if (err)
			break;
		iput(dir);
		dir = up;
		if (!inode_is_dir(dir) || ++depth > DEPTH_MAX) {
			err = -EIO;
			break;
		}
	}
	if (!err)
		err = dir == tree;
	iput(dir);
	return err;
}

/* May @inode take the place of @victim (or of nothing)? Namespace w held. */
static int check_rename(const struct place *from, struct inode *inode, const struct place *to,
			struct inode *victim)
{
	bool dir = inode_is_dir(inode);

	if ((from->slash || to->slash) && !dir)
		return -ENOTDIR;
	if (inode->state & I_COVERED || (victim && victim->state & I_COVERED))
		return -EBUSY;
	if (inode->sb->read_only)
		return -EROFS;
	if (victim && dir && !inode_is_dir(victim))
		return -ENOTDIR;
	if (victim && !dir && inode_is_dir(victim))
		return -EISDIR;
	return 0;
}

static int rename_locked(struct place *from, struct place *to)
{
	const struct inode_operations *ops = from->dir->ops;
	struct inode *inode, *victim = NULL;
	int err = ops->lookup(from->dir, from->name, &inode);

	if (err)
		return err;
	err = ops->lookup(to->dir, to->name, &victim);
	if (err == -ENOENT)
		err = 0;
	if (err || inode == victim)
		goto out;
	err = check_rename(from, inode, to, victim);
	if (!err && inode_is_dir(inode)) {
		err = is_inside(to->dir, inode);
		err = err > 0 ? -EINVAL : err;
	}
	if (!err && victim && inode_is_dir(victim)) {
		err = is_inside(from->dir, victim);
		err = err > 0 ? -ENOTEMPTY : err;
	}
	if (!err)
		err = ops->rename(from->dir, from->name, inode, to->dir, to->name, victim);
out:
	iput(inode);
	if (victim)
		iput(victim);
	return err;
}

int vfs_rename(const char *from_name, const char *to_name)
{
	struct path from_path, to_path;
	struct place from, to;
	int err = path_get(&from_path, from_name);

	if (err)
		return err;
	err = path_get(&to_path, to_name);
	if (err)
		goto out_put_path;
	down_read(&mount_lock);
	err = find_place(from_path.text, &from);
	if (err)
		goto out;
	err = find_place(to_path.text, &to);
	if (err)
		goto out_put_from;
	if (from.dir->sb != to.dir->sb) {
		err = -EXDEV;
	} else if (is_special(from.name) || is_special(to.name)) {
		err = -EBUSY;
	} else {
		down_write(&from.dir->sb->namespace);
		err = from.dir->nlink && to.dir->nlink ? rename_locked(&from, &to) : -ENOENT;
		up_write(&from.dir->sb->namespace);
	}
	iput(to.dir);
out_put_from:
	iput(from.dir);
out:
	up_read(&mount_lock);
	path_put(&to_path);
out_put_path:
	path_put(&from_path);
	return err;
}

int vfs_stat(const char *from, struct kstat *st)
{
	struct inode *inode;
	struct path path;
	int err = path_get(&path, from);

	if (err)
		return err;
	down_read(&mount_lock);
	err = walk(path.text, &inode);
	if (!err) {
		inode_stat(inode, st);
		iput(inode);
	}
	up_read(&mount_lock);
	path_put(&path);
	return err;
}
