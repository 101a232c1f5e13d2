/* SPDX-License-Identifier: MIT */
/*
 * test_signal.c - a refused access is told to the thread that made it, with its address (P4, rules
 * 3 and 20).
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/stat.h"
#include "kernel/fs/fs.h"
#include "libc/process.h"
#include "tests/util.h"

#define PAGES 8

static struct stage s;

/* What the handler saw, and where it jumps to. */
static struct {
	sigjmp_buf jump;
	siginfo_t info;
	unsigned int calls;
} own;

static void note(siginfo_t *info)
{
	own.info = *info;
	own.calls++;
}

static void jump_out(int sig, siginfo_t *info, void *context)
{
	note(info);
	siglongjmp(own.jump, sig);
}

/* @handler for SIGBUS and SIGSEGV; NULL: the default. */
static void catch_with(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	EXPECT_EQ(sigaction(SIGBUS, &act, NULL), 0);
	EXPECT_EQ(sigaction(SIGSEGV, &act, NULL), 0);
}

static bool begin(u64 pages, void (*handler)(int, siginfo_t *, void *))
{
	if (!stage_begin(&s, pages))
		return false;
	memset(&own, 0, sizeof(own));
	catch_with(handler, 0);
	return true;
}

static void end(void)
{
	catch_with(NULL, 0);
	stage_end(&s);
}

static sigset_t blocked_now(void)
{
	sigset_t set = ~0ul;

	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	return set;
}

/* The signal that a store of one byte ended in; 0: it succeeded. */
static int store(void *p)
{
	int sig = sigsetjmp(own.jump, 1);

	if (!sig)
		WRITE_ONCE(*(char *)p, 7);
	return sig;
}

static int load(const void *p)
{
	int sig = sigsetjmp(own.jump, 1);

	if (!sig)
		READ_ONCE(*(const char *)p);
	return sig;
}

/* --- rule 20: retry, SIGBUS, SIGSEGV stay distinguishable --- */

static unsigned int retries;

static vm_fault_t retry_thrice(struct vm_fault *vmf)
{
	return ++retries % 4 ? VM_FAULT_NOPAGE : filemap_page_mkwrite(vmf);
}

static vm_fault_t deny(struct vm_fault *vmf)
{
	return VM_FAULT_SIGSEGV;
}

static const struct {
	const char *what;
	int prepare_error;
	vm_fault_t (*mkwrite)(struct vm_fault *vmf);
	int sig, code, error;
} refusals[] = {
	{ "agreed", 0, NULL, 0, 0, 0 },
	{ "retry", 0, retry_thrice, 0, 0, 0 },
	{ "no space", -ENOSPC, NULL, SIGBUS, BUS_ADRERR, ENOSPC },
	{ "I/O error", -EIO, NULL, SIGBUS, BUS_ADRERR, EIO },
	{ "read-only", -EROFS, NULL, SIGBUS, BUS_ADRERR, EROFS },
	{ "denied", 0, deny, SIGSEGV, SEGV_ACCERR, 0 },
};

/* One row: the signal, its code, the exact address; and nothing has changed (P4). */
static void try_refusal(unsigned int i)
{
	char *p = (char *)stage_slot(&s, i) + 13;
	int sig;

	s.fs->prepare_error = refusals[i].prepare_error;
	s.fs->mkwrite = refusals[i].mkwrite;
	memset(&own.info, 0, sizeof(own.info));
	sig = store(p);
	s.fs->prepare_error = 0;
	s.fs->mkwrite = NULL;
	if (sig != refusals[i].sig || own.info.si_code != refusals[i].code ||
	    own.info.si_errno != refusals[i].error || own.info.si_signo != sig ||
	    own.info.si_addr != (sig ? p : NULL))
		ktest_fail(__FILE__, __LINE__, "%s: signal %d, code %d, errno %d, address %p of %p",
			   refusals[i].what, sig, own.info.si_code, own.info.si_errno,
			   own.info.si_addr, p);
	EXPECT_EQ(testfs_count_tag(s.fs, TAG_DIRTY), sig ? 2 : i + 1);
	EXPECT_EQ(*p, sig ? 0 : 7);
	EXPECT_EQ(pte_write(test_pte(s.mm, p)), !sig);
}

KTEST_ON_CPU0(signal, r20_refusals_are_told_apart)
{
	struct stats before;

	if (!begin(PAGES, jump_out))
		return;
	stats_snapshot(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++)
		try_refusal(i);
	EXPECT_EQ(own.calls, 4);
	EXPECT_EQ(stat_since(&before, STAT_SIGNALS), 4);
	EXPECT_EQ(stat_since(&before, STAT_SIGBUS_FAULTS), 3);
	end();
}

/* Nothing mapped, not permitted, behind the end: loads and stores. */
KTEST_ON_CPU0(signal, r20_kinds_of_addresses)
{
	char *ro, *gone;

	if (!begin(PAGES, jump_out))
		return;
	ro = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	gone = testfs_mmap(s.fs, s.mm, 0, 1, PROT_READ, MAP_SHARED);
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)gone, PAGE_SIZE), 0);
	EXPECT_EQ(load(ro), 0);
	EXPECT_EQ(store(ro + 1), SIGSEGV);
	EXPECT_EQ(own.info.si_code, SEGV_ACCERR);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)ro + 1);
	EXPECT_EQ(s.fs->mkwrites, 0);
	EXPECT_EQ(store(gone + 2), SIGSEGV);
	EXPECT_EQ(own.info.si_code, SEGV_MAPERR);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)gone + 2);
	EXPECT_EQ(load(gone + 3), SIGSEGV);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)gone + 3);
	EXPECT_EQ(load((void *)8), SIGSEGV);
	EXPECT_EQ(own.info.si_code, SEGV_MAPERR);
	EXPECT_EQ((vaddr_t)own.info.si_addr, 8);

	EXPECT_EQ(testfs_truncate(s.fs, PAGE_SIZE), 0);
	EXPECT_EQ(load((char *)s.map + PAGE_SIZE + 5), SIGBUS);
	EXPECT_EQ(own.info.si_code, BUS_ADRERR);
	EXPECT_EQ(own.info.si_errno, 0);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)s.map + PAGE_SIZE + 5);
	EXPECT_EQ(store((char *)s.map + 2 * PAGE_SIZE - 1), SIGBUS);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)s.map + 2 * PAGE_SIZE - 1);
	EXPECT_EQ(store(s.map), 0);
	end();
}

/* --- leaving a handler, and coming back from it --- */

static __noinline int store_from_depth(void *p, unsigned int depth)
{
	volatile char frame[64];

	frame[0] = (char)depth;
	if (!depth)
		WRITE_ONCE(*(char *)p, 7);
	else
		frame[0] += (char)store_from_depth(p, depth - 1);
	return frame[0];
}

/* It leaks no stack: 32 KiB would be gone after a hundred. */
KTEST_ON_CPU0(signal, handler_may_jump_out_ten_thousand_times)
{
	volatile unsigned int i = 0;

	if (!begin(1, jump_out))
		return;
	s.fs->prepare_error = -ENOSPC;
	sigsetjmp(own.jump, 1);
	if (i++ < 10000)
		store_from_depth((char *)s.map + i % PAGE_SIZE, i % 20);
	EXPECT_EQ(own.calls, 10000);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)s.map + 10000 % PAGE_SIZE);
	EXPECT_EQ(blocked_now(), 0);
	end();
}

static void map_it(int sig, siginfo_t *info, void *context)
{
	vaddr_t page = (vaddr_t)info->si_addr & PAGE_MASK, out;
	struct mmap_file anonymous = { .readable = true, .writable = true };

	note(info);
	EXPECT_EQ(mm_mmap(s.mm, page, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, &anonymous, 0, &out),
		  0);
}

KTEST_ON_CPU0(signal, handler_may_map_the_page_and_return)
{
	if (!begin(2, map_it))
		return;
	EXPECT_EQ(mm_munmap(s.mm, (vaddr_t)s.map, PAGE_SIZE), 0);
	WRITE_ONCE(s.map[1], 5);
	EXPECT_EQ(READ_ONCE(s.map[1]), 5);
	EXPECT_EQ(READ_ONCE(s.map[0]), 0);
	EXPECT_EQ(own.calls, 1);
	EXPECT_EQ((vaddr_t)own.info.si_addr, (vaddr_t)&s.map[1]);
	end();
}

static void make_room_at_last(int sig, siginfo_t *info, void *context)
{
	note(info);
	if (own.calls == 5)
		s.fs->prepare_error = 0;
}

/* It returns with nothing repaired: the access is refused again. */
KTEST_ON_CPU0(signal, handler_that_returns_is_called_again)
{
	if (!begin(1, make_room_at_last))
		return;
	s.fs->prepare_error = -ENOSPC;
	WRITE_ONCE(*s.map, 6);
	EXPECT_EQ(own.calls, 5);
	EXPECT_EQ(testfs_fsync(s.fs), 0);
	EXPECT_EQ(testfs_platter(s.fs, 0, 0), 6);
	end();
}

/* All registers that C knows, vector registers and their modes survive a handler that uses them. */
static void spoil_registers(int sig, siginfo_t *info, void *context)
{
	u32 fresh, mode = 0x5f80;

	note(info);
	s.fs->prepare_error = 0;
	__asm__ volatile("stmxcsr %0\n\t"
			 "ldmxcsr %1\n\t"
			 "fninit\n\t"
			 "fld1\n\t"
			 "pcmpeqd %%xmm0, %%xmm0\n\t"
			 "movdqa %%xmm0, %%xmm1\n\t"
			 "movdqa %%xmm0, %%xmm7\n\t"
			 "movdqa %%xmm0, %%xmm15"
			 : "=m"(fresh)
			 : "m"(mode)
			 : "memory");
	EXPECT_EQ(fresh, 0x1f80);
	__asm__ volatile("xor %%eax, %%eax\n\t"
			 "xor %%ecx, %%ecx\n\t"
			 "xor %%edx, %%edx\n\t"
			 "xor %%esi, %%esi\n\t"
			 "xor %%edi, %%edi\n\t"
			 "xor %%r8d, %%r8d\n\t"
			 "xor %%r9d, %%r9d\n\t"
			 "xor %%r10d, %%r10d\n\t"
			 "xor %%r11d, %%r11d" ::
				 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

KTEST_ON_CPU0(signal, registers_survive_a_handler)
{
	u64 sum, low0, low1, low7, low15, flags, rbx = 0x10, rcx = 0x200;
	u32 mode = 0x7f80, mode_after;

	if (!begin(1, spoil_registers))
		return;
	s.fs->prepare_error = -EIO;
	__asm__ volatile("ldmxcsr %[mode]\n\t"
			 "movq %[rbx], %%xmm0\n\t"
			 "movq %[rcx], %%xmm1\n\t"
			 "movq %[rbx], %%xmm7\n\t"
			 "movq %[rcx], %%xmm15\n\t"
			 "mov $1, %%eax\n\t"
			 "mov $2, %%edx\n\t"
			 "mov $4, %%esi\n\t"
			 "mov $8, %%r8d\n\t"
			 "mov $0x20, %%r9d\n\t"
			 "mov $0x40, %%r10d\n\t"
			 "mov $0x80, %%r11d\n\t"
			 "mov $0x100, %%r12d\n\t"
			 "stc\n\t"
			 "movq $9, (%%rdi)\n\t" /* the store that is refused */
			 "pushfq\n\t"
			 "add %%rdx, %%rax\n\t"
			 "add %%rsi, %%rax\n\t"
			 "add %%r8, %%rax\n\t"
			 "add %%rbx, %%rax\n\t"
			 "add %%r9, %%rax\n\t"
			 "add %%r10, %%rax\n\t"
			 "add %%r11, %%rax\n\t"
			 "add %%r12, %%rax\n\t"
			 "add %%rcx, %%rax\n\t"
			 "pop %%rdx\n\t"
			 "movq %%xmm0, %%r8\n\t"
			 "movq %%xmm1, %%r9\n\t"
			 "movq %%xmm7, %%r10\n\t"
			 "movq %%xmm15, %%r11\n\t"
			 "mov %%r8, %[low0]\n\t"
			 "mov %%r9, %[low1]\n\t"
			 "mov %%r10, %[low7]\n\t"
			 "mov %%r11, %[low15]\n\t"
			 "stmxcsr %[mode_after]"
			 : "=&a"(sum), "=&d"(flags), [low0] "=m"(low0), [low1] "=m"(low1),
			   [low7] "=m"(low7), [low15] "=m"(low15), [mode_after] "=m"(mode_after)
			 : [rbx] "b"(rbx), [rcx] "c"(rcx), "D"(s.map), [mode] "m"(mode)
			 : "rsi", "r8", "r9", "r10", "r11", "r12", "memory", "cc");
	arch_fpu_reset();
	EXPECT_EQ(own.calls, 1);
	EXPECT_EQ(sum, 0x3ff);
	EXPECT(flags & 1); /* carry */
	EXPECT_EQ(low0, 0x10);
	EXPECT_EQ(low1, 0x200);
	EXPECT_EQ(low7, 0x10);
	EXPECT_EQ(low15, 0x200);
	EXPECT_EQ(mode_after, 0x7f80);
	EXPECT_EQ(*s.map, 9);
	end();
}

/* It is not in the trap: it may sleep, be preempted, and fault for other reasons. */
static void sleep_and_fault(int sig, siginfo_t *info, void *context)
{
	note(info);
	EXPECT(irqs_enabled() && !preempt_count() && !in_irq());
	usleep(1000);
	s.fs->prepare_error = 0;
	WRITE_ONCE(*stage_slot(&s, 1), 3); /* a fault that succeeds */
}

KTEST_ON_CPU0(signal, handler_may_sleep_and_fault)
{
	if (!begin(2, sleep_and_fault))
		return;
	s.fs->prepare_error = -ENOSPC;
	WRITE_ONCE(*s.map, 2);
	EXPECT_EQ(own.calls, 1);
	EXPECT_EQ(*stage_slot(&s, 1), 3);
	EXPECT_EQ(*s.map, 2);
	end();
}

/* --- masks and flags --- */

static unsigned int depth;

/* The same refusal again, from inside: SA_NODEFER. */
static void nest(int sig, siginfo_t *info, void *context)
{
	note(info);
	EXPECT_EQ(blocked_now(), 0);
	if (++depth < 4)
		WRITE_ONCE(*s.map, depth);
	s.fs->prepare_error = 0;
}

KTEST_ON_CPU0(signal, nodefer_lets_handlers_nest)
{
	if (!begin(1, jump_out))
		return;
	depth = 0;
	catch_with(nest, SA_NODEFER);
	s.fs->prepare_error = -ENOSPC;
	WRITE_ONCE(*s.map, 9);
	EXPECT_EQ(own.calls, 4);
	EXPECT_EQ(*s.map, 9);
	end();
}

KTEST_ON_CPU0(signal, resethand_is_for_once)
{
	struct sigaction now;

	if (!begin(1, jump_out))
		return;
	catch_with(jump_out, SA_RESETHAND);
	s.fs->prepare_error = -ENOSPC;
	EXPECT_EQ(store(s.map), SIGBUS);
	EXPECT_EQ(sigaction(SIGBUS, NULL, &now), 0);
	EXPECT(now.sa_handler == SIG_DFL);
	EXPECT_EQ(sigaction(SIGSEGV, NULL, &now), 0);
	EXPECT(now.sa_sigaction == jump_out);
	end();
}
