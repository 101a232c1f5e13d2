/* SPDX-License-Identifier: MIT */
/*
 * b15_truncate_vs_munmap.c - a file shrinks while its mapping goes away, on every kind of file.
 *
 *	U (munmap)			T (truncate)
 *	exchanges the PTE
 *					finds no PTE, but the page is mapped: mapcount 1
 *					drops the page: BUG, or a frame that W still reaches
 *	flushes, drops mapcount
 *
 * Both hold i_mmap_rwsem from exchange to flush, files without writeback included.
 */
#include "kernel/fs/fs.h"
#include "tests/util.h"

static struct mm *mm;
static struct file *file;
static vaddr_t va;

static int munmap_job(void *arg)
{
	return mm_munmap(mm, va, PAGE_SIZE);
}

static int truncate_job(void *arg)
{
	return vfs_ftruncate(file, 0);
}

static void truncate_vs_munmap(const char *path)
{
	struct gate zap;
	struct job u, t;
	u64 v = 1;

	ASSERT_EQ(vfs_open(path, 2 | FS_O_CREAT, 0644, &file), 0);
	mm = test_mm();
	EXPECT_EQ(vfs_pwrite(file, &v, sizeof(v), 0), sizeof(v));
	EXPECT_EQ(vfs_mmap(mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0, &va), 0);
	mm_use(mm);
	*(volatile u64 *)va = 2;
	gate_arm(&zap, "zap_before_flush", NULL);
	job_start(&u, 0, NULL, munmap_job, NULL);
	gate_wait(&zap);
	job_start(&t, 0, NULL, truncate_job, NULL);
	job_settles(&t);
	gate_disarm(&zap);
	EXPECT_EQ(job_end(&u), 0);
	EXPECT_EQ(job_end(&t), 0);
	EXPECT_EQ(vfs_pread(file, &v, sizeof(v), 0), 0);
	mm_use(NULL);
	mm_put(mm);
	file_put(file);
	EXPECT_EQ(vfs_unlink(path), 0);
}

KTEST_ON_CPU0(races, b15_truncate_vs_munmap)
{
	truncate_vs_munmap("/b15");
	truncate_vs_munmap("/tmp/b15");
}
