/* SPDX-License-Identifier: MIT */
/*
 * space.c - further address spaces of one program, for what fork would be used for elsewhere.
 */
#include "libc/process.h"

#include <errno.h>

#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mmap.h"
#include "libc/include/dirtybit.h"

struct db_space {
	struct mm *mm;
};

struct space_call {
	struct process *process;
	int (*fn)(void *);
	void *arg;
};

struct db_space *db_space_create(void)
{
	struct db_space *s = kmalloc(sizeof(*s));

	if (s) {
		s->mm = mm_create();
		if (s->mm)
			return s;
	}
	kfree(s);
	errno = ENOMEM;
	return NULL;
}

struct db_space *db_space_fork(void)
{
	struct db_space *s = kmalloc(sizeof(*s));
	int err = -ENOMEM;

	if (s)
		err = mm_fork(current_thread()->mm, &s->mm);
	if (!err)
		return s;
	kfree(s);
	errno = -err;
	return NULL;
}

static int space_main(void *arg)
{
	struct space_call *call = arg;

	if (libc_thread_attach(call->process, NULL))
		return -1;
	return call->fn(call->arg);
}

int db_space_run(struct db_space *s, int (*fn)(void *), void *arg)
{
	struct space_call call = { process_current(), fn, arg };
	struct thread *t;

	t = thread_create("space", CPU_ANY, s->mm, &s->mm->pgt, space_main, &call);
	if (!t) {
		errno = ENOMEM;
		return -1;
	}
	return thread_join(t);
}

void db_space_destroy(struct db_space *s)
{
	mm_put(s->mm);
	kfree(s);
}
