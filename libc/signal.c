/* SPDX-License-Identifier: MIT */
/*
 * signal.c - which function of the program hears of a refused access, or of a signal that was sent.
 *
 * Owns:  process->actions; the masks and pending sets of threads.
 * Not:   which accesses are refused (kernel/mm/fault.c), how a thread ends (process.c).
 * Locks: process->lock for the actions. No lock is held while a handler runs.
 * Key fact: everything is ring 0 and a page fault is served on the stack of the thread that took
 *	  it, with interrupts on and no lock held. So a handler is called from there like any
 *	  function: the registers of what it interrupted lie in the trap's frame, and the vector
 *	  registers are put aside by fault.c. To return is to try the access again; to jump away
 *	  leaves nothing behind but a part of the stack that is no longer used.
 */
#include "libc/process.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "arch/x86_64/uaccess.h"
#include "kernel/core/printk.h"
#include "kernel/core/stat.h"
#include "kernel/mm/fault.h"

#define BIT(sig) (1ul << ((sig)-1))
/* What a program may not catch, block or ignore. */
#define UNTOUCHABLE (BIT(SIGKILL) | BIT(SIGSTOP))
/* What ends nobody by default. There is no stopping, so that nothing is to be continued. */
#define HARMLESS (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGCONT) | BIT(SIGWINCH))
#define ALL	 ((BIT(NSIG - 1) << 1) - 1)

/* Below this much stack no handler is called: it could not say so, nor end the thread. */
#define HANDLER_ROOM 6144

static bool is_signal(int sig)
{
	return sig > 0 && sig < NSIG;
}

/* --- handlers --- */

static bool is_function(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

static struct sigaction action_of(struct process *p, int sig)
{
	struct sigaction act;

	mutex_lock(&p->lock);
	act = p->actions[sig];
	mutex_unlock(&p->lock);
	return act;
}

static void call_handler(struct libc_thread *lt, int sig, const struct sigaction *act,
			 siginfo_t *info)
{
	struct pthread *me = lt->pthread;
	sigset_t before = me->blocked;

	if (act->sa_flags & SA_RESETHAND) {
		mutex_lock(&lt->process->lock);
		lt->process->actions[sig].sa_handler = SIG_DFL;
		mutex_unlock(&lt->process->lock);
	}
	stat_inc(STAT_SIGNALS);
	WRITE_ONCE(me->blocked,
		   before | act->sa_mask | (act->sa_flags & SA_NODEFER ? 0 : BIT(sig)));
	if (act->sa_flags & SA_SIGINFO)
		act->sa_sigaction(sig, info, NULL);
	else
		act->sa_handler(sig);
	WRITE_ONCE(me->blocked, before);
}

static bool room_for_handler(const struct thread *t)
{
	return (vaddr_t)__builtin_frame_address(0) - (vaddr_t)t->stack >= HANDLER_ROOM;
}

/* thread->libc_fault. A signal that the access itself caused cannot wait: blocked or ignored it
 * ends the thread, as on Linux. */
bool signal_fault(const struct fault_info *fault)
{
	struct thread *t = current_thread();
	struct libc_thread *lt = t->libc;
	int sig = fault->kind == FAULT_BY_FILE ? SIGBUS : SIGSEGV;
	struct sigaction act;
	siginfo_t info = {
		.si_signo = sig,
		.si_code = fault->kind == FAULT_BY_FILE	   ? BUS_ADRERR :
			   fault->kind == FAULT_NOT_MAPPED ? SEGV_MAPERR :
							     SEGV_ACCERR,
		.si_errno =
			fault->kind == FAULT_BY_FILE && fault->error != -EFAULT ? -fault->error : 0,
		.si_addr = (void *)fault->addr,
	};

	if (fault->kind == FAULT_NO_MEMORY || lt->pthread->blocked & BIT(sig))
		return false;
	act = action_of(lt->process, sig);
	if (!is_function(&act) || !room_for_handler(t))
		return false;
	call_handler(lt, sig, &act, &info);
	signal_take_pending(lt); /* what the handler's mask kept away */
	return true;
}

/* --- signals that are sent --- */

/* Take @sig now, in the calling thread. */
static void act_on(struct libc_thread *lt, int sig, int code)
{
	struct sigaction act = action_of(lt->process, sig);
	siginfo_t info = { .si_signo = sig, .si_code = code, .si_pid = lt->process->pid };

	if (act.sa_handler == SIG_IGN || (act.sa_handler == SIG_DFL && HARMLESS & BIT(sig)))
		return;
	if (is_function(&act)) {
		call_handler(lt, sig, &act, &info);
		return;
	}
	printk("program %s: ended by signal %d\n", lt->process->name, sig);
	thread_exit(128 + sig);
}

void signal_take_pending(struct libc_thread *lt)
{
	struct pthread *me = lt->pthread;
	sigset_t ready;

	while ((ready = READ_ONCE(me->pending) & ~me->blocked)) {
		int sig = __builtin_ctzl(ready) + 1;

		clear_bit(&me->pending, (unsigned int)sig - 1);
		act_on(lt, sig, SI_TKILL);
	}
}

/* Another thread of @p, whose lock is held: it takes the signal where it may, unless that would
 * only end it. */
static void send_to(struct process *p, struct pthread *to, int sig)
{
	const struct sigaction *act = &p->actions[sig];
	bool blocked = READ_ONCE(to->blocked) & BIT(sig);

	if (act->sa_handler == SIG_IGN || (act->sa_handler == SIG_DFL && HARMLESS & BIT(sig)))
		return;
	if (act->sa_handler == SIG_DFL && !blocked) {
		printk("program %s: thread %u ended by signal %d\n", p->name, to->thread->id, sig);
		thread_kill(to->thread);
		return;
	}
	set_bit(&to->pending, (unsigned int)sig - 1);
	wake_up_key(wait_hash(to->thread), to->thread);
}

static void send_to_self(struct libc_thread *lt, int sig, int code)
{
	if (lt->pthread->blocked & BIT(sig)) {
		set_bit(&lt->pthread->pending, (unsigned int)sig - 1);
		return;
	}
	act_on(lt, sig, code);
	signal_take_pending(lt);
}

int raise(int sig)
{
	struct libc_thread *lt = libc_thread();

	if (!is_signal(sig) || !lt)
		return posix_result(-EINVAL);
	send_to_self(lt, sig, SI_TKILL);
	return 0;
}

int kill(pid_t pid, int sig)
{
	struct libc_thread *lt = libc_thread();

	if (sig && !is_signal(sig))
		return posix_result(-EINVAL);
	if (!lt || pid != lt->process->pid)
		return posix_result(-ESRCH);
	if (sig)
		send_to_self(lt, sig, SI_USER);
	return 0;
}

int pthread_kill(pthread_t thread, int sig)
{
	struct libc_thread *lt = libc_thread();
	bool found;

	if (sig && !is_signal(sig))
		return EINVAL;
	if (lt && thread == lt->pthread) {
		if (sig)
			send_to_self(lt, sig, SI_TKILL);
		return 0;
	}
	if (!lt)
		return ESRCH;
	mutex_lock(&lt->process->lock);
	found = pthread_of(lt->process, thread);
	if (found && sig)
		send_to(lt->process, thread, sig);
	mutex_unlock(&lt->process->lock);
	return found ? 0 : ESRCH;
}

/* --- what a program asks for --- */

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct process *p = process_current();
	struct sigaction new;
	int err = 0;

	if (!is_signal(sig) || (act && UNTOUCHABLE & BIT(sig)))
		return posix_result(-EINVAL);
	if (act && copy_fault(&new, act, sizeof(new)))
		return posix_result(-EFAULT);
	mutex_lock(&p->lock);
	if (old && copy_fault(old, &p->actions[sig], sizeof(*old)))
		err = -EFAULT;
	if (!err && act) {
		new.sa_mask &= ALL & ~UNTOUCHABLE;
		p->actions[sig] = new;
	}
	mutex_unlock(&p->lock);
	return posix_result(err);
}

_sig_func_ptr signal(int sig, _sig_func_ptr handler)
{
	struct sigaction old, new = { .sa_handler = handler, .sa_flags = SA_RESTART };

	return sigaction(sig, &new, &old) ? SIG_ERR : old.sa_handler;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	struct libc_thread *lt = libc_thread();
	sigset_t before, new;

	if (!lt)
		return ENOMEM;
	before = new = lt->pthread->blocked;
	if (set) {
		if (copy_fault(&new, set, sizeof(new)))
			return EFAULT;
		switch (how) {
		case SIG_BLOCK: new |= before; break;
		case SIG_UNBLOCK: new = before & ~new; break;
		case SIG_SETMASK: break;
		default: return EINVAL;
		}
	}
	if (old && copy_fault(old, &before, sizeof(before)))
		return EFAULT;
	WRITE_ONCE(lt->pthread->blocked, new &ALL & ~UNTOUCHABLE);
	signal_take_pending(lt);
	return 0;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return posix_result(-pthread_sigmask(how, set, old));
}

int sigpending(sigset_t *set)
{
	struct libc_thread *lt = libc_thread();
	sigset_t pending = lt ? READ_ONCE(lt->pthread->pending) : 0;

	return posix_result(copy_fault(set, &pending, sizeof(pending)) ? -EFAULT : 0);
}

/* --- jumps --- */

void __sigjmp_save(sigjmp_buf buf, int save_mask)
{
	buf->saved = save_mask;
	buf->mask = 0;
	if (save_mask)
		pthread_sigmask(SIG_BLOCK, NULL, &buf->mask);
}

void siglongjmp(sigjmp_buf buf, int value)
{
	if (buf->saved)
		pthread_sigmask(SIG_SETMASK, &buf->mask, NULL);
	longjmp(buf->jump, value);
}

/* --- sets --- */

int sigemptyset(sigset_t *set)
{
	*set = 0;
	return 0;
}

int sigfillset(sigset_t *set)
{
	*set = ALL;
	return 0;
}

int sigaddset(sigset_t *set, int sig)
{
	if (!is_signal(sig))
		return posix_result(-EINVAL);
	*set |= BIT(sig);
	return 0;
}

int sigdelset(sigset_t *set, int sig)
{
	if (!is_signal(sig))
		return posix_result(-EINVAL);
	*set &= ~BIT(sig);
	return 0;
}

int sigismember(const sigset_t *set, int sig)
{
	if (!is_signal(sig))
		return posix_result(-EINVAL);
	return (*set & BIT(sig)) != 0;
}
