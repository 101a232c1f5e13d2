/* SPDX-License-Identifier: MIT */
/*
 * path.c - where does the text of a path lie while it is walked?
 *
 * Owns:  nothing.
 * Key fact: a program may hand in any address. Read in place, a page that is not there would be
 *        faulted in with the locks of the walk held, and one that cannot be there would end the
 *        thread with them. So it is copied first; a string of the image, a stack or the heap lies
 *        in the kernel's half, which does not fault.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/kmalloc.h"

/* To @to, of PATH_MAX_LEN bytes, with the 0 at the end. A page at a time: behind the end of the
 * text there may be nothing. */
static int copy_text(char *to, const char *from)
{
	size_t done = 0, n;

	while (done < PATH_MAX_LEN) {
		n = PAGE_SIZE - ((vaddr_t)from + done) % PAGE_SIZE;
		n = min(n, PATH_MAX_LEN - done);
		if (copy_fault(to + done, from + done, n))
			return -EFAULT;
		if (memchr(to + done, 0, n))
			return 0;
		done += n;
	}
	return -ENAMETOOLONG;
}

int path_get(struct path *path, const char *from)
{
	int err;

	*path = (struct path){ .text = from };
	if ((vaddr_t)from >= USER_END)
		return 0;
	path->copy = kmalloc(PATH_MAX_LEN);
	if (!path->copy)
		return -ENOMEM;
	path->text = path->copy;
	err = copy_text(path->copy, from);
	if (err)
		path_put(path);
	return err;
}

void path_put(struct path *path)
{
	kfree(path->copy);
}
