/* SPDX-License-Identifier: MIT */
/*
 * fs_test.c - see fs_test.h.
 *
 * Owns:  the four path buffers of fst_path(): tests run one at a time.
 */
#include "tests/fs/fs_test.h"

#include "arch/x86_64/uaccess.h"
#include "kernel/core/sched.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/kmalloc.h"
#include "tests/fs/fsck.h"
#include "tests/fs/mkfs.h"

/* Pieces that fst_write and fst_check move at once. */
#define PIECE 16384u

#define FAIL(...) ktest_fail(__FILE__, __LINE__, __VA_ARGS__)

/* ---- names --------------------------------------------------------------------------------- */

/* One level of a tree: the first entry that is not "." or "..", or false. */
static bool first_entry(const char *path, struct dirent_out *e)
{
	struct file *dir;
	bool found = false;

	if (vfs_open(path, O_RD, 0, &dir))
		return false;
	while (!found && vfs_readdir(dir, e) > 0)
		found = strcmp(e->name, ".") && strcmp(e->name, "..");
	file_put(dir);
	return found;
}

void fst_remove(const char *path)
{
	size_t cut, len = strlen(path);
	struct dirent_out *e;
	struct kstat st;
	char *p;

	if (vfs_stat(path, &st))
		return;
	if ((st.mode & FS_IFMT) != FS_IFDIR) {
		vfs_unlink(path);
		return;
	}
	e = kmalloc(sizeof(*e));
	p = kmalloc(PATH_MAX_LEN);
	if (e && p) {
		strcpy(p, path);
		/* Downwards by the first entry, upwards when a directory is empty. */
		while (strlen(p) >= len) {
			cut = strlen(p);
			if (first_entry(p, e)) {
				ksnprintf(p + cut, PATH_MAX_LEN - cut, "/%s", e->name);
				if (!vfs_unlink(p) || vfs_stat(p, &st))
					p[cut] = '\0';
				continue;
			}
			if (vfs_rmdir(p)) {
				FAIL("%s cannot be removed", p);
				break;
			}
			*strrchr(p, '/') = '\0';
		}
	}
	kfree(p);
	kfree(e);
}

bool fst_mkdir(const char *path)
{
	int err;

	fst_remove(path);
	err = vfs_mkdir(path, 0755);
	if (err)
		FAIL("mkdir %s: %d", path, err);
	return !err;
}

bool fst_root_is_ext2(void)
{
	struct super_block *sb = vfs_find_super("/");

	if (sb && !strcmp(sb->type, "ext2") && !sb->read_only)
		return true;
	ktest_note("skipped: the root is no ext2 that can be written");
	return false;
}

u64 fst_free_blocks(const char *mount)
{
	struct super_block *sb = vfs_find_super(mount);
	u64 blocks, free = 0;

	vfs_drop_caches();
	if (!sb || sb->ops->statfs(sb, &blocks, &free))
		FAIL("statfs %s failed", mount);
	return free;
}

/* ---- files --------------------------------------------------------------------------------- */

struct file *fst_open(const char *path, u32 flags)
{
	struct file *file;
	int err = vfs_open(path, flags, 0644, &file);

	if (err)
		FAIL("open %s: %d", path, err);
	return err ? NULL : file;
}

u64 fst_size(struct file *file)
{
	struct kstat st = { 0 };

	EXPECT_EQ(vfs_fstat(file, &st), 0);
	return st.size;
}

struct kstat fst_stat(const char *path)
{
	struct kstat st = { 0 };
	int err = vfs_stat(path, &st);

	if (err)
		FAIL("stat %s: %d", path, err);
	return st;
}

static u8 pattern(u64 pos, u64 seed)
{
	u64 x = (pos / 8 + 1) * 0x9e3779b97f4a7c15ul + seed * 0xbf58476d1ce4e5b9ul;

	x ^= x >> 29;
	return (u8)(x >> 8 * (pos % 8)) | 1; /* never zero: a hole cannot be taken for it */
}

void fst_fill(void *buf, size_t len, u64 pos, u64 seed)
{
	for (size_t i = 0; i < len; i++)
		((u8 *)buf)[i] = pattern(pos + i, seed);
}

size_t fst_differs(const void *buf, size_t len, u64 pos, u64 seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (((const u8 *)buf)[i] != pattern(pos + i, seed))
			break;
	return i;
}

bool fst_is_zero(const void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const u8 *)buf)[i])
			return false;
	return true;
}

bool fst_write(struct file *file, u64 pos, size_t len, u64 seed)
{
	void *buf = kmalloc(PIECE);
	size_t done = 0;

	while (buf && done < len) {
		size_t want = min(len - done, (size_t)PIECE);
		s64 n;

		fst_fill(buf, want, pos + done, seed);
		n = vfs_pwrite(file, buf, want, pos + done);
		if (n != (s64)want) {
			FAIL("write of %lu bytes at %lu: %ld", (unsigned long)want,
			     (unsigned long)(pos + done), (long)n);
			break;
		}
		done += want;
	}
	kfree(buf);
	return buf && done == len;
}

static bool check(struct file *file, u64 pos, size_t len, u64 seed, bool zero)
{
	u8 *buf = kmalloc(PIECE);
	size_t done = 0;

	while (buf && done < len) {
		size_t want = min(len - done, (size_t)PIECE);
		s64 n = vfs_pread(file, buf, want, pos + done);

		if (n != (s64)want) {
			FAIL("read of %lu bytes at %lu: %ld", (unsigned long)want,
			     (unsigned long)(pos + done), (long)n);
			break;
		}
		if (zero ? !fst_is_zero(buf, want) :
			   fst_differs(buf, want, pos + done, seed) != want) {
			FAIL("wrong bytes between %lu and %lu", (unsigned long)(pos + done),
			     (unsigned long)(pos + done + want));
			break;
		}
		done += want;
	}
	kfree(buf);
	return buf && done == len;
}

bool fst_check(struct file *file, u64 pos, size_t len, u64 seed)
{
	return check(file, pos, len, seed, false);
}

bool fst_check_zero(struct file *file, u64 pos, size_t len)
{
	return check(file, pos, len, 0, true);
}

bool fst_make(const char *path, size_t len, u64 seed)
{
	struct file *file = fst_open(path, O_RW | FS_O_CREAT | FS_O_TRUNC);
	bool ok = file && fst_write(file, 0, len, seed);

	if (file)
		file_put(file);
	return ok;
}

bool fst_on_disk(struct file *file, u64 pos, void *buf, size_t len)
{
	struct blkdev *dev = file->inode->sb->dev;
	u8 *sectors = kmalloc(PAGE_SIZE);
	size_t done = 0;
	sector_t sector;

	while (sectors && dev && done < len) {
		u64 at = pos + done;
		u32 unit = dev->sector_size, skip = at % unit;
		size_t n = min(len - done, (size_t)(unit - skip));

		if (vfs_bmap(file, at - skip, &sector) || !sector ||
		    blkdev_rw(dev, BIO_READ, sector, sectors, unit))
			break;
		memcpy((u8 *)buf + done, sectors + skip, n);
		done += n;
	}
	kfree(sectors);
	return done == len;
}

/* POSIX cksum: CRC with the high bit first, then the length. */
static u32 crc_byte(u32 crc, u8 byte)
{
	crc ^= (u32)byte << 24;
	for (u32 i = 0; i < 8; i++)
		crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
	return crc;
}

void fst_keep(const char *path)
{
	struct file *file = fst_open(path, O_RD);
	u8 *buf = kmalloc(PIECE);
	u64 size = 0;
	u32 crc = 0;
	s64 n;

	while (file && buf && (n = vfs_pread(file, buf, PIECE, size)) > 0) {
		for (s64 i = 0; i < n; i++)
			crc = crc_byte(crc, buf[i]);
		size += (u64)n;
	}
	for (u64 left = size; left; left >>= 8)
		crc = crc_byte(crc, (u8)left);
	ktest_note("verify %s %u %lu", path, ~crc, (unsigned long)size);
	kfree(buf);
	if (file)
		file_put(file);
}

/* ---- mappings ------------------------------------------------------------------------------ */

/* The program's own page tables would stay and look like a leak: the first mapping of a test brings
 * an address space, the last one takes it away. */
static struct {
	struct mm *mm, *before;
	unsigned int nr;
} space;

static void enter_space(void)
{
	if (space.nr++)
		return;
	space.before = current_thread()->mm;
	space.mm = mm_create();
	BUG_ON(!space.mm);
	mm_use(space.mm);
}

static void leave_space(void)
{
	if (--space.nr)
		return;
	mm_use(space.before);
	mm_put(space.mm);
}

u8 *fst_map(struct file *file, u64 offset, size_t len, int prot)
{
	vaddr_t va;
	int err;

	enter_space();
	err = vfs_mmap(space.mm, 0, len, prot, MAP_SHARED, file, offset, &va);
	if (!err)
		return (u8 *)va;
	leave_space();
	FAIL("mmap: %d", err);
	return NULL;
}

void fst_unmap(void *p, size_t len)
{
	EXPECT_EQ(mm_munmap(space.mm, (vaddr_t)p, len), 0);
	leave_space();
}

int fst_msync(void *p, size_t len)
{
	return mm_msync(space.mm, (vaddr_t)p, len, MS_SYNC);
}

bool fst_store(volatile u8 *p, u8 v)
{
	return copy_fault((void *)p, &v, 1) == 0;
}

bool fst_load(const volatile u8 *p, u8 *v)
{
	return copy_fault(v, (const void *)p, 1) == 0;
}

/* ---- disks --------------------------------------------------------------------------------- */

bool fst_disk_make(struct fst_disk *d, const char *name, u64 bytes, u32 block_size, u32 inode_size)
{
	int err;

	*d = (struct fst_disk){ .bytes = bytes, .block_size = block_size, .name = name };
	ksnprintf(d->path, sizeof(d->path), "/%s", name);
	err = ramblk_create(name, bytes, NULL, SECTOR_SIZE, &d->dev);
	if (err) {
		FAIL("ramblk %s: %d", name, err);
		return false;
	}
	mkfs_ext2(ramblk_data(d->dev, 0), bytes, block_size, inode_size);
	if (fst_mkdir(d->path) && !fst_disk_mount(d))
		return true;
	fst_disk_end(d, FST_DAMAGED);
	FAIL("%s could not be mounted", name);
	return false;
}

bool fst_disk_sample(struct fst_disk *d, const char *name)
{
	if (!fst_disk_make(d, name, 4ul << 20, 1024, 256))
		return false;
	EXPECT(fst_make(fst_path(d, "f"), 300000, 1));
	EXPECT_EQ(vfs_mkdir(fst_path(d, "d"), 0755), 0);
	EXPECT_EQ(fst_disk_umount(d), 0);
	return true;
}

int fst_try_write(const struct fst_disk *d)
{
	struct file *file;
	int err = vfs_open(fst_path(d, "new"), O_RW | FS_O_CREAT, 0644, &file);

	if (!err)
		file_put(file);
	return err;
}

int fst_disk_mount(struct fst_disk *d)
{
	return vfs_mount(d->name, NULL, d->path);
}

int fst_disk_umount(struct fst_disk *d)
{
	return vfs_umount(d->path);
}

static void judge(const struct fst_disk *d)
{
	const void *disk = ramblk_data(d->dev, 0);
	void *seen = kmalloc(fsck_memory(disk));
	char why[120];

	if (!seen)
		FAIL("no memory for the check");
	else if (fsck_ext2(disk, d->bytes, seen, why, sizeof(why)))
		FAIL("%s: %s", d->name, why);
	kfree(seen);
}

void fst_disk_remount(struct fst_disk *d)
{
	EXPECT_EQ(fst_disk_umount(d), 0);
	EXPECT_EQ(fst_disk_mount(d), 0);
}

void fst_disk_check(struct fst_disk *d)
{
	EXPECT_EQ(fst_disk_umount(d), 0);
	judge(d);
	EXPECT_EQ(fst_disk_mount(d), 0);
}

void fst_disk_end(struct fst_disk *d, enum fst_end end)
{
	if (vfs_find_super(d->path))
		EXPECT_EQ(fst_disk_umount(d), 0);
	if (end == FST_SOUND)
		judge(d);
	EXPECT_EQ(vfs_rmdir(d->path), 0);
	if (!d->dev->in_use)
		ramblk_destroy(d->dev);
}

const char *fst_path(const struct fst_disk *d, const char *name)
{
	static char paths[4][PATH_MAX_LEN];
	static unsigned int next;
	char *p = paths[next++ % ARRAY_SIZE(paths)];

	ksnprintf(p, PATH_MAX_LEN, "%s/%s", d->path, name);
	return p;
}

struct ext2_super_block *fst_super(const struct fst_disk *d)
{
	return ramblk_data(d->dev, EXT2_SUPER_OFFSET / SECTOR_SIZE);
}

struct shape {
	u32 block_size, inode_size;
};

static const struct shape shapes[] = {
	{ 1024, 128 }, { 1024, 256 }, { 2048, 256 }, { 4096, 128 }, { 4096, 256 },
};

void fst_on_each_shape(u64 bytes, void (*body)(struct fst_disk *d))
{
	for (u32 i = 0; i < ARRAY_SIZE(shapes) && !ktest_failed(); i++) {
		struct fst_disk d;

		if (!fst_disk_make(&d, "t_ext2", bytes, shapes[i].block_size, shapes[i].inode_size))
			return;
		body(&d);
		fst_disk_end(&d, FST_SOUND);
		if (ktest_failed())
			ktest_note("with blocks of %u and inodes of %u", shapes[i].block_size,
				   shapes[i].inode_size);
	}
}
