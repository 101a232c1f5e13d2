/* SPDX-License-Identifier: MIT */
/*
 * dio_piece.h - one piece of a direct read or write: what directio.c and dio_piece.c share. Nobody
 * else includes this.
 */
#ifndef KERNEL_FS_DIO_PIECE_H
#define KERNEL_FS_DIO_PIECE_H

#include "kernel/block/bio.h"
#include "kernel/core/completion.h"
#include "kernel/fs/extent.h"

#define FEW_PAGES 8

/* Not an error of the caller's: this part has to go through the cache. */
#define THROUGH_CACHE (-ENOTSUP)

/* One piece: a range of the file, and the frames of the buffer. */
struct piece {
	struct inode *inode;
	struct blkdev *dev;
	enum bio_op op;
	bool look;	     /* reading: pages that are newer than the disk are copied */
	u64 pos, len;	     /* bytes of the file; whole sectors */
	u64 eof;	     /* reading: as @len, but not rounded up to a sector */
	unsigned int offset; /* of the buffer in its first frame */
	struct page **pages;
	struct extent extent; /* the last answer of the map; len 0: none yet */
	struct bio *bio;      /* being filled, or NULL */
	sector_t next;	      /* that would continue it */
	struct completion done;
	u64 failed; /* a: bytes before the first that failed; @len or more: none */
	int error;  /* a: of any that failed */
	bool raced; /* writing: a page stayed in the cache, or came back dirty */
};

/* All of [@pos, @pos + @len) of @inode, whole sectors; i_rwsem held until the piece is done. */
void piece_start(struct piece *p, struct inode *inode, enum bio_op op, u64 pos, u64 len);

/*
 * Read or write as much as can be pinned of the buffer at @buf (p->len becomes that), and wait.
 * Bytes from the beginning that are done; an error if none. @pages: from piece_room(). May sleep.
 *
 * Writing: inside the end of the file only. p->len becomes what was taken on; THROUGH_CACHE: of
 * that nothing was written, since it begins with a hole, or has a page that cannot be dropped.
 */
s64 piece_run(struct piece *p, vaddr_t buf, struct page **pages, unsigned int room);

/* Room for the frames of a piece of @len bytes: @few (FEW_PAGES), or a page of them that
 * piece_free_room() takes back; fewer without memory. */
struct page **piece_room(struct page **few, u64 len, unsigned int *room);
void piece_free_room(struct page **pages, struct page **few);

#endif
