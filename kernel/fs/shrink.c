/* SPDX-License-Identifier: MIT */
/*
 * shrink.c - what file systems give back when memory is low.
 *
 * Owns:  nothing.
 * Not:   cached pages of files (kernel/mm/reclaim.c), which inodes and buffers can be spared
 *        (inode.c, kernel/block/buf.c).
 * Locks: mount_lock (read), tried: while the file systems change, other caches must do.
 */
#include "kernel/block/buf.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/shrinker.h"

static u64 shrink_supers(u64 (*shrink)(struct super_block *sb))
{
	struct super_block *sb;
	u64 nr = 0;

	if (!down_read_trylock(&mount_lock))
		return 0;
	TAILQ_FOREACH(sb, &supers, link)
		nr += shrink(sb);
	up_read(&mount_lock);
	return nr;
}

static u64 shrink_inodes(void)
{
	return shrink_supers(inode_shrink);
}
SHRINKER(inodes, shrink_inodes);

static u64 shrink_bufs_of(struct super_block *sb)
{
	return sb->dev ? buf_cache_shrink(sb->dev) : 0;
}

static u64 shrink_buffers(void)
{
	return shrink_supers(shrink_bufs_of);
}
SHRINKER(buffers, shrink_buffers);
