/* SPDX-License-Identifier: MIT */
/*
 * dio_scene.c - see dio_test.h.
 */
#include "tests/fs/dio_test.h"

#include "kernel/core/args.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/truncate.h"
#include "kernel/mm/vmap.h"
#include "tests/fs/mkfs.h"

#define DISK_BYTES (4ul << 20)

static bool open_file(struct dio_scene *s, u64 len)
{
	if (!fst_make(fst_path(&s->disk, "f"), len, 1))
		return false;
	s->cached = fst_open(fst_path(&s->disk, "f"), O_RW);
	s->direct = fst_open(fst_path(&s->disk, "f"), O_RW | FS_O_DIRECT);
	s->buf = vmalloc(DIO_BUF / PAGE_SIZE);
	if (!s->cached || !s->direct || !s->buf)
		return false;
	EXPECT_EQ(args_get("dio", s->mode, sizeof(s->mode)), 0);
	dio_set(s, "coherent");
	writeback_park(&s->disk.dev->wb);
	return true;
}

static void close_file(struct dio_scene *s)
{
	if (s->cached)
		file_put(s->cached);
	if (s->direct)
		file_put(s->direct);
	vfree(s->buf);
	vfs_unlink(fst_path(&s->disk, "f"));
}

bool dio_begin(struct dio_scene *s, struct fst_disk *d, u64 len)
{
	*s = (struct dio_scene){ .disk = *d };
	if (open_file(s, len))
		return true;
	close_file(s);
	return false;
}

static bool begin_on_own(struct dio_scene *s, u64 len)
{
	s->own_disk = true;
	if (open_file(s, len))
		return true;
	close_file(s);
	fst_disk_end(&s->disk, FST_DAMAGED);
	return false;
}

bool dio_begin_alone(struct dio_scene *s, u64 len)
{
	*s = (struct dio_scene){ .own_disk = true };
	return fst_disk_make(&s->disk, "t_dio", DISK_BYTES, 1024, 256) && begin_on_own(s, len);
}

bool dio_begin_sector(struct dio_scene *s, u64 len, u32 sector)
{
	struct fst_disk *d = &s->disk;

	*s = (struct dio_scene){ .own_disk = true };
	*d = (struct fst_disk){ .bytes = DISK_BYTES, .block_size = 4096, .name = "t_dio" };
	ksnprintf(d->path, sizeof(d->path), "/%s", d->name);
	if (ramblk_create(d->name, d->bytes, NULL, sector, &d->dev)) {
		ktest_fail(__FILE__, __LINE__, "no memory for a disk");
		return false;
	}
	mkfs_ext2(ramblk_data(d->dev, 0), d->bytes, d->block_size, 256);
	if (fst_mkdir(d->path) && !fst_disk_mount(d))
		return begin_on_own(s, len);
	fst_disk_end(d, FST_DAMAGED);
	ktest_fail(__FILE__, __LINE__, "%s could not be mounted", d->name);
	return false;
}

void dio_end(struct dio_scene *s)
{
	ramblk_unhold(s->disk.dev);
	ramblk_fail(s->disk.dev, BIO_WRITE, 0, 0, 0, 0, 0);
	dio_set(s, s->mode);
	writeback_unpark(&s->disk.dev->wb);
	close_file(s);
	if (s->own_disk)
		fst_disk_end(&s->disk, FST_SOUND);
}

bool dio_write(struct dio_scene *s, u64 pos, size_t len, u64 seed)
{
	s64 n;

	fst_fill(s->buf, len, pos, seed);
	n = vfs_pwrite(s->direct, s->buf, len, pos);
	if (n == (s64)len)
		return true;
	ktest_fail(__FILE__, __LINE__, "direct write of %lu bytes at %lu: %ld", (unsigned long)len,
		   (unsigned long)pos, (long)n);
	return false;
}

void drop_all(struct dio_scene *s)
{
	EXPECT_EQ(drop_mapping_pages(&s->cached->inode->data, 0, ~0ul, DROP_CLEAN_ONLY), 0);
}

void dio_set(struct dio_scene *s, const char *name)
{
	EXPECT_EQ(args_set("dio", name), 0);
}

u64 dio_word(struct dio_scene *s, u64 pos)
{
	u64 at = ALIGN_DOWN(pos, 512ul), word = 0;
	u8 *sector = s->buf + DIO_BUF - PAGE_SIZE;

	EXPECT_EQ(vfs_pread(s->direct, sector, 512, at), 512);
	memcpy(&word, sector + (pos - at), sizeof(word));
	return word;
}

u64 disk_word(struct dio_scene *s, u64 pos)
{
	u64 word = 0;

	EXPECT(fst_on_disk(s->cached, pos, (u8 *)&word, sizeof(word)));
	return word;
}

struct page *dio_page(struct dio_scene *s, pgoff_t index)
{
	struct page *page = find_get_page(&s->cached->inode->data, index);

	if (page)
		page_put(page);
	return page;
}
