/* SPDX-License-Identifier: MIT */
/*
 * test_signal_threads.c - signals of refused accesses where a program has several threads: each is
 * told of its own, and one that ends for want of a handler takes nothing with it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/core/stat.h"
#include "kernel/fs/fs.h"
#include "libc/process.h"
#include "tests/util.h"

static struct stage s;

/* @handler for SIGBUS; NULL: the default. */
static void catch_with(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	EXPECT_EQ(sigaction(SIGBUS, &act, NULL), 0);
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr = { .cpu = 1 % (int)nr_cpus + 1 };
	pthread_t t = NULL;

	EXPECT_EQ(pthread_create(&t, &attr, fn, arg), 0);
	return t;
}

static s64 result_of(pthread_t t)
{
	void *result = NULL;

	EXPECT_EQ(pthread_join(t, &result), 0);
	return (s64)result;
}

/* --- each is told of its own --- */

#define ROUNDS 300

static struct witness {
	pthread_t thread;
	sigjmp_buf jump;
	siginfo_t info;
} two[2];

static struct witness *witness(void)
{
	return &two[pthread_self() != two[0].thread];
}

static void jump_out(int sig, siginfo_t *info, void *context)
{
	witness()->info = *info;
	siglongjmp(witness()->jump, sig);
}

/* Stores to @slot, all of them refused; how often the thread was told, with the right address. */
static void *store_and_count(void *slot)
{
	struct witness *w = witness();
	volatile u64 told = 0;
	volatile unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		if (!sigsetjmp(w->jump, 1))
			WRITE_ONCE(*(u64 *)slot, 0xbad);
		else
			told += w->info.si_addr == slot;
	}
	return (void *)told;
}

/* Everything that can fail comes before the PTE is writable: each thread is told of its own stores,
 * and none of them has changed the page, in memory or on the disk (rule 3, P4). */
KTEST_ON_CPU0(signal, r03_refused_stores_change_nothing)
{
	pthread_t t;

	if (!stage_begin(&s, 1))
		return;
	catch_with(jump_out, 0);
	two[0].thread = pthread_self();
	testfs_set_platter(s.fs, 0, 0, 5);
	testfs_set_platter(s.fs, 0, 9, 6);
	EXPECT_EQ(READ_ONCE(*s.map), 5);
	s.fs->prepare_error = -ENOSPC;
	t = start(store_and_count, s.map + 9);
	EXPECT_EQ((s64)store_and_count(s.map), ROUNDS);
	EXPECT_EQ(result_of(t), ROUNDS);
	EXPECT(!pte_write(test_pte(s.mm, s.map)));
	EXPECT_EQ(s.map[0], 5);
	EXPECT_EQ(s.map[9], 6);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 5);
	EXPECT_EQ(testfs_platter(s.fs, 0, 9), 6);
	catch_with(NULL, 0);
	stage_end(&s);
}

/* --- without a handler the thread ends, and nothing else --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned int calls; /* a */

static void *store_plainly(void *arg)
{
	WRITE_ONCE(*s.map, 0xbad);
	return NULL;
}

static void *store_with_mutex(void *arg)
{
	pthread_mutex_lock(&mutex);
	return store_plainly(arg);
}

/* newlib loads from nowhere, and holds the lock of the environment. */
static void *load_in_newlib(void *nowhere)
{
	setenv("SIGNAL", nowhere, 1);
	return NULL;
}

static void *store_with_signal_blocked(void *arg)
{
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	return store_plainly(arg);
}

static void count_call(int sig, siginfo_t *info, void *context)
{
	atomic_add_return(&calls, 1);
}

/* The signal is blocked while its handler runs: a second one cannot be told. */
static void store_again(int sig, siginfo_t *info, void *context)
{
	atomic_add_return(&calls, 1);
	WRITE_ONCE(*s.map, 0xbad);
}

static void ignore(void)
{
	struct sigaction act = { .sa_handler = SIG_IGN };

	EXPECT_EQ(sigaction(SIGBUS, &act, NULL), 0);
}

static bool refuse_all(int error)
{
	if (!stage_begin(&s, 1))
		return false;
	atomic_store(&calls, 0);
	s.fs->prepare_error = error;
	return true;
}

static void accept_again(void)
{
	catch_with(NULL, 0);
	s.fs->prepare_error = 0;
	WRITE_ONCE(*s.map, 1);
	stage_end(&s);
}

/* Who joins it learns why; other threads of the program go on. */
KTEST_ON_CPU0(signal, without_handler_the_thread_ends)
{
	static const int errors[] = { -ENOSPC, -EIO };
	struct stats before;

	stats_snapshot(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!refuse_all(errors[i]))
			return;
		EXPECT_EQ(result_of(start(store_plainly, NULL)), errors[i]);
		accept_again();
	}
	EXPECT_EQ(stat_since(&before, STAT_FAULT_ENDS), 2);
	EXPECT_EQ(stat_since(&before, STAT_SIGNALS), 0);
}

KTEST_ON_CPU0(signal, blocked_or_ignored_it_ends_the_thread)
{
	if (!refuse_all(-ENOSPC))
		return;
	catch_with(count_call, 0);
	EXPECT_EQ(result_of(start(store_with_signal_blocked, NULL)), -ENOSPC);
	ignore();
	EXPECT_EQ(result_of(start(store_plainly, NULL)), -ENOSPC);
	EXPECT_EQ(atomic_load(&calls), 0);
	accept_again();
}

KTEST_ON_CPU0(signal, fault_of_the_same_kind_in_the_handler_ends_the_thread)
{
	if (!refuse_all(-ENOSPC))
		return;
	catch_with(store_again, 0);
	EXPECT_EQ(result_of(start(store_plainly, NULL)), -ENOSPC);
	EXPECT_EQ(atomic_load(&calls), 1);
	accept_again();
}

/* Handlers that nest for ever: the thread ends before its stack does. */
KTEST_ON_CPU0(signal, handlers_do_not_overflow_the_stack)
{
	if (!refuse_all(-ENOSPC))
		return;
	catch_with(store_again, SA_NODEFER);
	EXPECT_EQ(result_of(start(store_plainly, NULL)), -ENOSPC);
	EXPECT(atomic_load(&calls) > 3);
	accept_again();
}

/* A fault of the file for which there is no memory is no signal: nobody could handle it. */
static vm_fault_t no_memory(struct vm_fault *vmf)
{
	return VM_FAULT_OOM;
}

KTEST_ON_CPU0(signal, out_of_memory_ends_the_thread)
{
	if (!refuse_all(0))
		return;
	catch_with(count_call, 0);
	s.fs->mkwrite = no_memory;
	EXPECT_EQ(result_of(start(store_plainly, NULL)), -ENOMEM);
	s.fs->mkwrite = NULL;
	EXPECT_EQ(atomic_load(&calls), 0);
	accept_again();
}

KTEST_ON_CPU0(signal, ended_thread_gives_its_locks_back)
{
	if (!refuse_all(-EIO))
		return;
	EXPECT_EQ(result_of(start(store_with_mutex, NULL)), -EIO);
	EXPECT_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
	EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
	EXPECT_EQ(result_of(start(load_in_newlib, (void *)8)), -EFAULT);
	EXPECT(!getenv("SIGNAL"));
	accept_again();
}

/* --- the line, for tests.cfg to look at --- */

static void *touch_behind_the_end(void *map)
{
	READ_ONCE(((char *)map)[PAGE_SIZE + 0x123]);
	return NULL;
}

KTEST(signal, line_names_file_and_offset)
{
	struct mm *mm = test_mm(), *mm_before = current_thread()->mm;
	struct file *file;
	vaddr_t map;

	ASSERT_EQ(vfs_open("/tmp/signal.dat", 2 | FS_O_CREAT | FS_O_TRUNC, 0644, &file), 0);
	EXPECT_EQ(vfs_ftruncate(file, 2 * PAGE_SIZE), 0);
	EXPECT_EQ(vfs_mmap(mm, 0, 2 * PAGE_SIZE, 3, 1, file, PAGE_SIZE, &map), 0);
	mm_use(mm);
	EXPECT_EQ(result_of(start(touch_behind_the_end, (void *)map)), -EFAULT);
	mm_use(mm_before);
	mm_put(mm);
	file_put(file);
	EXPECT_EQ(vfs_unlink("/tmp/signal.dat"), 0);
}
