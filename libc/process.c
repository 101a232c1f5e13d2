/* SPDX-License-Identifier: MIT */
/*
 * process.c - which process a thread belongs to, and how both begin and end.
 *
 * Owns:  thread->libc, the list of processes.
 * Not:   newlib's own state (newlib.c), descriptors (posix_file.c), starting programs (program.c).
 * Locks: process_list_lock for the list; process->lock for what process.h says.
 */
#include "libc/process.h"

#include <errno.h>
#include <string.h>

#include "kernel/fs/fs.h"
#include "kernel/mm/kmalloc.h"

static struct process first_process = {
	.name = "init",
	.pid = 1,
	.lock = { .rank = RANK_LIBC,
		  .name = "process",
		  .wait = { .lock = { .rank = RANK_WAIT, .name = "process" },
			    .waiters = TAILQ_HEAD_INITIALIZER(first_process.lock.wait.waiters) } },
	.fds = { FD_CONSOLE, FD_CONSOLE, FD_CONSOLE },
	.threads = TAILQ_HEAD_INITIALIZER(first_process.threads),
};

static struct spinlock process_list_lock = { .rank = RANK_NONE, .name = "process list" };
static TAILQ_HEAD(, process) processes = TAILQ_HEAD_INITIALIZER(processes);
static int last_pid = 1;

static struct process *process_of_mm(const struct mm *mm)
{
	struct process *p;

	if (!mm)
		return &first_process;
	spin_lock(&process_list_lock);
	TAILQ_FOREACH(p, &processes, link) {
		if (p->mm == mm)
			break;
	}
	spin_unlock(&process_list_lock);
	return p ? p : &first_process;
}

/* thread->libc_exit: the last that a thread does in the C library. */
static void libc_thread_exit(struct thread *t)
{
	struct libc_thread *lt = t->libc;

	if (!lt)
		return;
	newlib_release_locks(lt);
	pthread_release_mutexes(lt);
	/* Who joins it learns that it did not return. */
	if (t->exit_code < 0)
		lt->pthread->result = (void *)(s64)t->exit_code;
	if (lt->process->main_thread == t)
		process_end(lt->process);
	newlib_reclaim(lt);
	t->libc = NULL;
	t->libc_fault = NULL;
	kfree(lt);
}

int libc_thread_attach(struct process *process, struct pthread *pthread)
{
	struct thread *t = current_thread();
	struct libc_thread *lt = kzalloc(sizeof(*lt));

	if (!lt)
		return -ENOMEM;
	_REENT_INIT_PTR(&lt->reent);
	lt->process = process;
	lt->self.thread = t;
	lt->pthread = pthread ? pthread : &lt->self;
	t->libc_exit = libc_thread_exit;
	t->libc_fault = signal_fault;
	t->libc = lt;
	return 0;
}

struct libc_thread *libc_thread(void)
{
	struct thread *t = current_thread();

	if (unlikely(!t))
		return NULL;
	if (likely(t->libc))
		return t->libc;
	if (in_irq() || libc_thread_attach(process_of_mm(t->mm), NULL))
		return NULL;
	return t->libc;
}

struct process *process_current_slow(void)
{
	struct libc_thread *lt = libc_thread();

	return lt ? lt->process : &first_process;
}

struct process *process_create(const char *name, struct mm *mm, struct process *parent)
{
	struct process *p = kzalloc(sizeof(*p));
	int fd;

	if (!p)
		return NULL;
	strlcpy(p->name, name, sizeof(p->name));
	p->mm = mm;
	mutex_init(&p->lock, "process", RANK_LIBC);
	TAILQ_INIT(&p->threads);

	mutex_lock(&parent->lock);
	for (fd = 0; fd <= 2; fd++) {
		p->fds[fd] = parent->fds[fd];
		if (p->fds[fd] && p->fds[fd] != FD_CONSOLE)
			file_get(p->fds[fd]);
	}
	mutex_unlock(&parent->lock);

	spin_lock(&process_list_lock);
	p->pid = ++last_pid;
	TAILQ_INSERT_TAIL(&processes, p, link);
	spin_unlock(&process_list_lock);
	return p;
}

void process_end(struct process *process)
{
	while (process->nr_atexit > 0)
		process->atexit[--process->nr_atexit]();
	pthread_join_all(process);
	newlib_close_streams(process);
}

void process_destroy(struct process *process)
{
	int fd;

	spin_lock(&process_list_lock);
	TAILQ_REMOVE(&processes, process, link);
	spin_unlock(&process_list_lock);
	for (fd = 0; fd < FD_MAX; fd++) {
		if (process->fds[fd])
			fd_put(process->fds[fd]);
	}
	kfree(process);
}
