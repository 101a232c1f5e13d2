/* SPDX-License-Identifier: MIT */
/*
 * test_namei.c - names: made, found, moved and removed, on whatever is the root.
 */
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fs_test.h"
#include "tests/util.h"

#define DIR "/t_names"

static int touch(const char *path)
{
	struct file *file;
	int err = vfs_open(path, O_RW | FS_O_CREAT | FS_O_EXCL, 0644, &file);

	if (!err)
		file_put(file);
	return err;
}

static int try_open(const char *path, u32 flags)
{
	struct file *file;
	int err = vfs_open(path, flags, 0644, &file);

	if (!err)
		file_put(file);
	return err;
}

KTEST(namei, open_says_what_was_wrong)
{
	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(touch(DIR "/file"), 0);
	EXPECT_EQ(try_open("", O_RD), -ENOENT);
	EXPECT_EQ(try_open(DIR "/none", O_RD), -ENOENT);
	EXPECT_EQ(try_open(DIR "/none/x", O_RW | FS_O_CREAT), -ENOENT);
	EXPECT_EQ(try_open(DIR "/file/x", O_RD), -ENOTDIR);
	EXPECT_EQ(try_open(DIR "/file/", O_RD), -ENOTDIR);
	EXPECT_EQ(try_open(DIR "/file", O_RW | FS_O_CREAT | FS_O_EXCL), -EEXIST);
	EXPECT_EQ(try_open(DIR "/new/", O_RW | FS_O_CREAT), -EISDIR);
	EXPECT_EQ(try_open(DIR, O_RW), -EISDIR);
	EXPECT_EQ(try_open(DIR, O_RD | FS_O_CREAT), -EISDIR);
	EXPECT_EQ(try_open(DIR "/file", FS_O_ACCMODE), -EINVAL);
	EXPECT_EQ(try_open(DIR "/file", O_RW | FS_O_CREAT), 0);
	EXPECT_EQ(try_open("/", O_RD), 0);
	EXPECT_EQ(try_open("//" DIR "/./../" DIR "///file", O_RD), 0);
	EXPECT_EQ(try_open("/../.." DIR "/file", O_RD), 0);
	fst_remove(DIR);
}

KTEST(namei, o_trunc_empties_the_file)
{
	ASSERT(fst_mkdir(DIR));
	EXPECT(fst_make(DIR "/f", 10000, 1));
	EXPECT_EQ(fst_stat(DIR "/f").size, 10000);
	EXPECT_EQ(try_open(DIR "/f", O_WR | FS_O_TRUNC), 0);
	EXPECT_EQ(fst_stat(DIR "/f").size, 0);
	fst_remove(DIR);
}

KTEST(namei, long_names)
{
	char *path = kzalloc(2 * PATH_MAX_LEN);
	size_t dir = strlen(DIR "/");

	ASSERT(path);
	EXPECT(fst_mkdir(DIR));
	strcpy(path, DIR "/");
	memset(path + dir, 'n', 255);
	EXPECT_EQ(touch(path), 0);
	EXPECT_EQ(touch(path), -EEXIST);
	EXPECT_EQ(vfs_unlink(path), 0);
	memset(path + dir, 'n', 256);
	EXPECT_EQ(touch(path), -ENAMETOOLONG);
	EXPECT_EQ(vfs_mkdir(path, 0755), -ENAMETOOLONG);
	memset(path, '/', PATH_MAX_LEN + 10);
	EXPECT_EQ(try_open(path, O_RD), -ENAMETOOLONG);
	kfree(path);
	fst_remove(DIR);
}

KTEST(namei, every_byte_but_two_may_be_in_a_name)
{
	char path[40] = DIR "/", *name = path + strlen(path);

	ASSERT(fst_mkdir(DIR));
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		ksnprintf(name, 8, "x%cy", c);
		EXPECT_EQ(touch(path), 0);
		EXPECT_EQ(vfs_unlink(path), 0);
	}
	fst_remove(DIR);
}

KTEST(namei, mkdir_and_rmdir)
{
	u32 links;

	ASSERT(fst_mkdir(DIR));
	links = fst_stat(DIR).nlink;
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), -EEXIST);
	EXPECT_EQ(vfs_mkdir(DIR "/d/e/", 0700), 0);
	EXPECT_EQ(fst_stat(DIR).nlink, links + 1);
	EXPECT_EQ(fst_stat(DIR "/d").nlink, 3);
	EXPECT_EQ(fst_stat(DIR "/d/e").mode, FS_IFDIR | 0700);
	EXPECT_EQ(vfs_rmdir(DIR "/d"), -ENOTEMPTY);
	EXPECT_EQ(vfs_unlink(DIR "/d"), -EISDIR);
	EXPECT_EQ(vfs_rmdir(DIR "/d/."), -EINVAL);
	EXPECT_EQ(vfs_rmdir(DIR "/d/e/.."), -ENOTEMPTY);
	EXPECT_EQ(vfs_rmdir("/"), -EBUSY);
	EXPECT_EQ(vfs_mkdir("/", 0755), -EEXIST);
	EXPECT_EQ(vfs_rmdir(DIR "/d/e"), 0);
	EXPECT_EQ(vfs_rmdir(DIR "/d/"), 0);
	EXPECT_EQ(vfs_rmdir(DIR "/d"), -ENOENT);
	EXPECT_EQ(touch(DIR "/f"), 0);
	EXPECT_EQ(vfs_rmdir(DIR "/f"), -ENOTDIR);
	EXPECT_EQ(vfs_unlink(DIR "/f/"), -ENOTDIR);
	EXPECT_EQ(fst_stat(DIR).nlink, links);
	fst_remove(DIR);
}

KTEST(namei, nothing_is_made_in_a_removed_directory)
{
	struct dirent_out *e = kmalloc(sizeof(*e));
	struct file *dir;

	ASSERT(e && fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	dir = fst_open(DIR "/d", O_RD);
	EXPECT_EQ(vfs_rmdir(DIR "/d"), 0);
	EXPECT_EQ(vfs_readdir(dir, e), 0);
	EXPECT_EQ(touch(DIR "/d/x"), -ENOENT);
	file_put(dir);
	kfree(e);
	fst_remove(DIR);
}

static int touch_job(void *arg)
{
	return touch(arg);
}

KTEST(namei, directory_is_removed_between_the_walk_and_the_change)
{
	struct gate gate;
	struct job job;

	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	gate_arm(&gate, "names_place_found", NULL);
	job_start(&job, nr_cpus - 1, NULL, touch_job, DIR "/d/x");
	gate_wait(&gate);
	EXPECT_EQ(vfs_rmdir(DIR "/d"), 0);
	gate_open(&gate);
	EXPECT_EQ(job_end(&job), -ENOENT);
	gate_disarm(&gate);
	fst_remove(DIR);
}

KTEST(namei, unlinked_file_lives_while_it_is_open)
{
	struct file *file;

	ASSERT(fst_mkdir(DIR));
	EXPECT(fst_make(DIR "/f", 30000, 1));
	file = fst_open(DIR "/f", O_RW);
	ASSERT(file);
	EXPECT_EQ(vfs_unlink(DIR "/f"), 0);
	EXPECT_EQ(try_open(DIR "/f", O_RD), -ENOENT);
	EXPECT(fst_check(file, 0, 30000, 1));
	EXPECT(fst_write(file, 30000, 5000, 1));
	/* The name is free for another file. */
	EXPECT(fst_make(DIR "/f", 100, 2));
	EXPECT(fst_check(file, 0, 35000, 1));
	file_put(file);
	EXPECT_EQ(fst_stat(DIR "/f").size, 100);
	fst_remove(DIR);
}

KTEST(namei, rename_moves_a_file)
{
	u64 ino;

	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	EXPECT(fst_make(DIR "/a", 100, 1));
	ino = fst_stat(DIR "/a").ino;
	EXPECT_EQ(vfs_rename(DIR "/a", DIR "/b"), 0);
	EXPECT_EQ(try_open(DIR "/a", O_RD), -ENOENT);
	EXPECT_EQ(vfs_rename(DIR "/b", DIR "/d/c"), 0);
	EXPECT_EQ(fst_stat(DIR "/d/c").ino, ino);
	EXPECT_EQ(fst_stat(DIR "/d/c").nlink, 1);
	EXPECT_EQ(vfs_rename(DIR "/d/c", DIR "/d/c"), 0);
	EXPECT_EQ(vfs_rename(DIR "/none", DIR "/x"), -ENOENT);
	EXPECT_EQ(vfs_rename(DIR "/d/c", DIR "/no/x"), -ENOENT);
	EXPECT_EQ(vfs_rename(DIR "/d/c", DIR "/x/"), -ENOTDIR);
	fst_remove(DIR);
}

KTEST(namei, rename_replaces)
{
	struct file *old;

	ASSERT(fst_mkdir(DIR));
	EXPECT(fst_make(DIR "/a", 1000, 1));
	EXPECT(fst_make(DIR "/b", 2000, 2));
	old = fst_open(DIR "/b", O_RD);
	EXPECT_EQ(vfs_rename(DIR "/a", DIR "/b"), 0);
	EXPECT_EQ(fst_stat(DIR "/b").size, 1000);
	EXPECT(old && fst_check(old, 0, 2000, 2));
	EXPECT_EQ(try_open(DIR "/a", O_RD), -ENOENT);
	if (old)
		file_put(old);
	EXPECT_EQ(vfs_mkdir(DIR "/d", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/e", 0755), 0);
	EXPECT_EQ(touch(DIR "/e/x"), 0);
	EXPECT_EQ(vfs_rename(DIR "/b", DIR "/d"), -EISDIR);
	EXPECT_EQ(vfs_rename(DIR "/d", DIR "/b"), -ENOTDIR);
	EXPECT_EQ(vfs_rename(DIR "/d", DIR "/e"), -ENOTEMPTY);
	EXPECT_EQ(vfs_rename(DIR "/e", DIR "/d"), 0);
	EXPECT_EQ(try_open(DIR "/d/x", O_RD), 0);
	EXPECT_EQ(fst_stat(DIR).nlink, 3);
	fst_remove(DIR);
}

KTEST(namei, rename_of_directories_counts_links)
{
	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/a", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/b", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/a/s", 0755), 0);
	EXPECT_EQ(vfs_rename(DIR "/a/s", DIR "/b/t"), 0);
	EXPECT_EQ(fst_stat(DIR "/a").nlink, 2);
	EXPECT_EQ(fst_stat(DIR "/b").nlink, 3);
	EXPECT_EQ(fst_stat(DIR "/b/t/..").ino, fst_stat(DIR "/b").ino);
	EXPECT_EQ(vfs_rename(DIR "/b/t", DIR "/b/u"), 0);
	EXPECT_EQ(fst_stat(DIR "/b").nlink, 3);
	fst_remove(DIR);
}

KTEST(namei, directory_cannot_be_moved_into_itself)
{
	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/a", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/a/b", 0755), 0);
	EXPECT_EQ(vfs_mkdir(DIR "/a/b/c", 0755), 0);
	EXPECT_EQ(vfs_rename(DIR "/a", DIR "/a/x"), -EINVAL);
	EXPECT_EQ(vfs_rename(DIR "/a", DIR "/a/b/c/x"), -EINVAL);
	EXPECT_EQ(vfs_rename(DIR "/a/b/c", DIR "/a"), -ENOTEMPTY);
	EXPECT_EQ(vfs_rename("/", DIR "/a"), -EBUSY);
	EXPECT_EQ(vfs_rename(DIR "/a/.", DIR "/z"), -EBUSY);
	EXPECT_EQ(vfs_rename(DIR "/a/b/c", DIR "/c"), 0);
	fst_remove(DIR);
}

/* One bit per number of the names "f<number>..." that readdir shows. */
static u32 list(const char *path, u8 *seen, u32 max)
{
	struct dirent_out *e = kmalloc(sizeof(*e));
	struct file *dir = fst_open(path, O_RD);
	u32 n = 0;

	memset(seen, 0, max);
	while (e && dir && vfs_readdir(dir, e) > 0) {
		u32 number = 0;

		if (e->name[0] != 'f')
			continue;
		for (const char *p = e->name + 1; *p >= '0' && *p <= '9'; p++)
			number = number * 10 + (u32)(*p - '0');
		if (number < max)
			seen[number]++;
		n++;
	}
	kfree(e);
	if (dir)
		file_put(dir);
	return n;
}

#define MANY 400

KTEST(namei, many_names_are_all_there)
{
	char path[120];
	u8 *seen = kmalloc(MANY);
	u32 i, wrong = 0;

	ASSERT(seen && fst_mkdir(DIR));
	for (i = 0; i < MANY; i++) {
		ksnprintf(path, sizeof(path), DIR "/f%u-%0*u", i, (int)(i % 60) + 1, i);
		EXPECT_EQ(touch(path), 0);
	}
	EXPECT_EQ(list(DIR, seen, MANY), MANY);
	for (i = 0; i < MANY; i++)
		wrong += seen[i] != 1;
	EXPECT_EQ(wrong, 0);
	/* Every third goes; what stays is found, and the room is used again. */
	for (i = 0; i < MANY; i += 3) {
		ksnprintf(path, sizeof(path), DIR "/f%u-%0*u", i, (int)(i % 60) + 1, i);
		EXPECT_EQ(vfs_unlink(path), 0);
	}
	EXPECT_EQ(list(DIR, seen, MANY), MANY - (MANY + 2) / 3);
	for (i = 0; i < MANY; i++)
		wrong += seen[i] != (i % 3 != 0);
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(touch(DIR "/f7"), 0);
	kfree(seen);
	fst_remove(DIR);
}

KTEST(namei, readdir_goes_on_while_names_are_removed)
{
	struct dirent_out *e = kmalloc(sizeof(*e));
	struct file *dir;
	char path[300];
	u32 n = 0;

	ASSERT(e && fst_mkdir(DIR));
	for (u32 i = 0; i < 100; i++) {
		ksnprintf(path, sizeof(path), DIR "/name%u", i);
		EXPECT_EQ(touch(path), 0);
	}
	dir = fst_open(DIR, O_RD);
	while (dir && vfs_readdir(dir, e) > 0) {
		if (e->name[0] == '.')
			continue;
		ksnprintf(path, sizeof(path), DIR "/%s", e->name);
		EXPECT_EQ(vfs_unlink(path), 0);
		n++;
	}
	EXPECT_EQ(n, 100);
	if (dir)
		file_put(dir);
	kfree(e);
	EXPECT_EQ(vfs_rmdir(DIR), 0);
}

KTEST(namei, mount_covers_a_directory)
{
	struct kstat below;

	ASSERT(fst_mkdir(DIR));
	EXPECT_EQ(vfs_mkdir(DIR "/m", 0755), 0);
	EXPECT_EQ(touch(DIR "/m/below"), 0);
	below = fst_stat(DIR "/m");
	EXPECT_EQ(vfs_mount(NULL, "ramfs", DIR "/m"), 0);
	EXPECT_EQ(try_open(DIR "/m/below", O_RD), -ENOENT);
	EXPECT_EQ(touch(DIR "/m/above"), 0);
	EXPECT_EQ(try_open(DIR "/m/../m/above", O_RD), 0);
	EXPECT_EQ(fst_stat(DIR "/m/..").ino, fst_stat(DIR).ino);
	EXPECT_EQ(vfs_rename(DIR "/m/above", DIR "/x"), -EXDEV);
	EXPECT_EQ(vfs_rmdir(DIR "/m"), -EBUSY);
	EXPECT_EQ(vfs_rename(DIR "/m", DIR "/n"), -EBUSY);
	EXPECT_EQ(vfs_mount(NULL, "ramfs", DIR "/m"), -EBUSY);
	EXPECT(vfs_find_super(DIR "/m/") != NULL);
	EXPECT_EQ(vfs_umount(DIR "/m"), 0);
	EXPECT_EQ(vfs_umount(DIR "/m"), -EINVAL);
	EXPECT_EQ(fst_stat(DIR "/m").ino, below.ino);
	EXPECT_EQ(try_open(DIR "/m/below", O_RD), 0);
	EXPECT_EQ(vfs_mount(NULL, "ramfs", DIR "/m/below"), -ENOTDIR);
	EXPECT_EQ(vfs_mount(NULL, "ramfs", DIR "/none"), -ENOENT);
	EXPECT_EQ(vfs_mount("nodisk", NULL, DIR "/m"), -ENODEV);
	EXPECT_EQ(vfs_mount(NULL, "frobfs", DIR "/m"), -EINVAL);
	fst_remove(DIR);
}
