/* SPDX-License-Identifier: MIT */
/*
 * ramfs.c - a file system that is nothing but its cache.
 *
 * Owns:  names and directories in memory.
 * Not:   contents: they are the cached pages, and stay because nothing cleans or drops them.
 * Locks: sb->namespace (the caller's) for all entries and nlink.
 * Key fact: there is no disk to be behind, so no page is ever dirty and no store wants notice:
 *        page_mkwrite is NULL, and a shared page becomes writable with its first fault.
 */
#include <errno.h>
#include <string.h>

#include "kernel/fs/fs.h"
#include "kernel/mm/kmalloc.h"

struct ram_entry {
	u64 cookie;	     /* where readdir goes on; rises */
	struct inode *inode; /* stays in memory while nlink > 0 (sb->in_memory) */
	TAILQ_ENTRY(ram_entry) link;
	char name[];
};

struct ram_dir {
	struct inode *parent;
	u64 next_cookie;
	TAILQ_HEAD(, ram_entry) entries;
};

struct ram_super {
	u64 next_ino; /* namespace w */
};

static struct ram_entry *find_entry(struct inode *dir, const char *name)
{
	struct ram_dir *d = dir->fs;
	struct ram_entry *e;

	TAILQ_FOREACH(e, &d->entries, link)
		if (!strcmp(e->name, name))
			break;
	return e;
}

static int add_entry(struct inode *dir, const char *name, struct inode *inode)
{
	struct ram_dir *d = dir->fs;
	struct ram_entry *e = kmalloc(sizeof(*e) + strlen(name) + 1);

	if (!e)
		return -ENOMEM;
	e->cookie = d->next_cookie++;
	e->inode = inode;
	strcpy(e->name, name);
	TAILQ_INSERT_TAIL(&d->entries, e, link);
	inode_touch(dir, TOUCH_M | TOUCH_C);
	return 0;
}

static void remove_entry(struct inode *dir, struct ram_entry *e)
{
	struct ram_dir *d = dir->fs;

	TAILQ_REMOVE(&d->entries, e, link);
	kfree(e);
	inode_touch(dir, TOUCH_M | TOUCH_C);
}

/* ---- names --------------------------------------------------------------------------------- */

static int ram_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct ram_dir *d = dir->fs;
	struct ram_entry *e;

	if (!strcmp(name, "..")) {
		*out = d->parent;
	} else {
		e = find_entry(dir, name);
		if (!e)
			return -ENOENT;
		*out = e->inode;
	}
	inode_get(*out);
	return 0;
}

static int new_ram_inode(struct super_block *sb, u32 mode, struct inode *parent, struct inode **out)
{
	struct ram_super *ram = sb->fs;
	struct ram_dir *d = NULL;
	struct inode *inode;
	int err;

	if ((mode & FS_IFMT) == FS_IFDIR) {
		d = kzalloc(sizeof(*d));
		if (!d)
			return -ENOMEM;
		TAILQ_INIT(&d->entries);
		d->next_cookie = 2; /* 0 and 1 are "." and ".." */
	}
	err = inew(sb, ram->next_ino++, mode, &inode);
	if (err) {
		kfree(d);
		return err;
	}
	if (d)
		d->parent = parent ? parent : inode;
	inode->fs = d;
	inode->nlink = d ? 2 : 1;
	inode_touch(inode, TOUCH_M | TOUCH_C | TOUCH_A);
	*out = inode;
	return 0;
}

static int ram_create(struct inode *dir, const char *name, u32 mode, struct inode **out)
{
	struct inode *inode;
	int err = new_ram_inode(dir->sb, mode, dir, &inode);

	if (err)
		return err;
	err = add_entry(dir, name, inode);
	if (err) {
		inode->nlink = 0;
		iput(inode);
		return err;
	}
	if (inode_is_dir(inode))
		dir->nlink++;
	*out = inode;
	return 0;
}

static bool is_empty(struct inode *dir)
{
	struct ram_dir *d = dir->fs;

	return TAILQ_EMPTY(&d->entries);
}

/* One name of @inode, an entry of @dir, is gone. */
static void drop_link(struct inode *dir, struct inode *inode)
{
	if (inode_is_dir(inode)) {
		dir->nlink--;
		inode->nlink = 0;
	} else {
		inode->nlink--;
	}
	inode_touch(inode, TOUCH_C);
}

static int ram_unlink(struct inode *dir, const char *name, struct inode *inode)
{
	if (inode_is_dir(inode) && !is_empty(inode))
		return -ENOTEMPTY;
	remove_entry(dir, find_entry(dir, name));
	drop_link(dir, inode);
	return 0;
}

static int ram_rename(struct inode *from, const char *name, struct inode *inode, struct inode *to,
		      const char *to_name, struct inode *victim)
{
	struct ram_entry *e;
	int err;

	if (victim && inode_is_dir(victim) && !is_empty(victim))
		return -ENOTEMPTY;
	e = find_entry(to, to_name);
	if (e) {
		e->inode = inode;
		drop_link(to, victim);
		inode_touch(to, TOUCH_M | TOUCH_C);
	} else {
		err = add_entry(to, to_name, inode);
		if (err)
			return err;
	}
	remove_entry(from, find_entry(from, name));
	if (inode_is_dir(inode)) {
		struct ram_dir *d = inode->fs;

		d->parent = to;
		from->nlink--;
		to->nlink++;
	}
	inode_touch(inode, TOUCH_C);
	return 0;
}

static int ram_readdir(struct inode *dir, u64 *pos, struct dirent_out *out)
{
	struct ram_dir *d = dir->fs;
	struct ram_entry *e;

	if (*pos < 2) {
		struct inode *inode = *pos ? d->parent : dir;

		out->ino = inode->ino;
		out->mode = FS_IFDIR;
		strcpy(out->name, *pos ? ".." : ".");
		(*pos)++;
		return 1;
	}
	TAILQ_FOREACH(e, &d->entries, link)
		if (e->cookie >= *pos)
			break;
	if (!e)
		return 0;
	out->ino = e->inode->ino;
	out->mode = e->inode->mode & FS_IFMT;
	strcpy(out->name, e->name);
	*pos = e->cookie + 1;
	return 1;
}

/* ---- contents ------------------------------------------------------------------------------ */

/* What is not in the cache was never written. */
static void ram_readpages(struct address_space *mapping, struct page_list *pages)
{
	struct page *page, *next;

	for (page = pages->first; page; page = next) {
		next = page->next;
		memset(page_address(page), 0, PAGE_SIZE);
		filemap_end_read(page, 0);
	}
}

/* Room is memory: pages, which are zeros until they are stored to. Zeroing is the same, once the
 * old pages are dropped. */
static int ram_allocate(struct inode *inode, u64 start, u64 end)
{
	pgoff_t last = (end - 1) >> PAGE_SHIFT;
	struct page *page;
	int err = 0;

	for (pgoff_t i = start >> PAGE_SHIFT; i <= last && !err; i++) {
		err = read_mapping_page(&inode->data, i, NULL, &page);
		if (!err)
			page_put(page);
	}
	return err == -ENOMEM ? -ENOSPC : err;
}

static const struct address_space_operations ram_a_ops = {
	.readpages = ram_readpages,
};

static const struct vm_operations ram_vm_ops = {
	.open = file_vma_open,
	.close = file_vma_close,
	.name = file_vma_name,
	.fault = filemap_fault,
	.remove = file_vma_remove,
	.fsync = file_vma_fsync,
};

static const struct inode_operations ram_inode_ops = {
	.lookup = ram_lookup,
	.create = ram_create,
	.unlink = ram_unlink,
	.rename = ram_rename,
	.readdir = ram_readdir,
	.allocate = ram_allocate,
	.zero = ram_allocate,
	.vm_ops = &ram_vm_ops,
};

/* ---- the whole ----------------------------------------------------------------------------- */

static int ram_read_inode(struct inode *inode)
{
	return -ESTALE; /* all there are, are in memory */
}

static void ram_delete_inode(struct inode *inode)
{
}

static void ram_destroy_inode(struct inode *inode)
{
	struct ram_dir *d = inode->fs;
	struct ram_entry *e;

	if (!d)
		return;
	/* Not empty only when the whole file system goes. */
	while ((e = TAILQ_FIRST(&d->entries))) {
		TAILQ_REMOVE(&d->entries, e, link);
		kfree(e);
	}
	kfree(d);
}

static void ram_put_super(struct super_block *sb)
{
	kfree(sb->fs);
}

static int ram_statfs(struct super_block *sb, u64 *blocks, u64 *free_blocks)
{
	*blocks = *free_blocks = 0; /* as much as there is memory */
	return 0;
}

static const struct super_operations ram_super_ops = {
	.read_inode = ram_read_inode,
	.delete_inode = ram_delete_inode,
	.destroy_inode = ram_destroy_inode,
	.put_super = ram_put_super,
	.statfs = ram_statfs,
};

static int ram_mount(struct super_block *sb)
{
	struct ram_super *ram = kzalloc(sizeof(*ram));
	int err;

	if (!ram)
		return -ENOMEM;
	ram->next_ino = 1;
	sb->fs = ram;
	sb->ops = &ram_super_ops;
	sb->inode_ops = &ram_inode_ops;
	sb->a_ops = &ram_a_ops;
	sb->in_memory = true;
	sb->block_size = PAGE_SIZE;
	sb->max_bytes = INT64_MAX;
	err = new_ram_inode(sb, FS_IFDIR | 0755, NULL, &sb->root);
	if (err)
		kfree(ram);
	return err;
}

FILESYSTEM(ramfs) = { .name = "ramfs", .needs_device = false, .mount = ram_mount };
