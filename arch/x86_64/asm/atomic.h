/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - locked read-modify-write operations. Each is a full barrier on x86-64; loads and
 * stores through READ_ONCE/WRITE_ONCE have acquire and release order there.
 */
#ifndef ARCH_X86_64_ASM_ATOMIC_H
#define ARCH_X86_64_ASM_ATOMIC_H

#include "kernel/lib/types.h"

#define atomic_xchg(p, v)	__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_add_return(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_sub_return(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or(p, v)		((void)__atomic_or_fetch((p), (v), __ATOMIC_SEQ_CST))
#define atomic_and(p, v)	((void)__atomic_and_fetch((p), (v), __ATOMIC_SEQ_CST))
#define atomic_fetch_or(p, v)	__atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_fetch_and(p, v)	__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define atomic_load(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_store(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* If *p == old set it to @new; true if it did. */
#define atomic_cas(p, old, new)                                                                    \
	({                                                                                         \
		__typeof__(*(p)) _old = (old);                                                     \
		__atomic_compare_exchange_n((p), &_old, (new), false, __ATOMIC_SEQ_CST,            \
					    __ATOMIC_SEQ_CST);                                     \
	})

static inline void atomic_inc(int *p)
{
	__atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);
}

/* True if the count reached zero. */
static inline bool atomic_dec_and_test(int *p)
{
	return __atomic_sub_fetch(p, 1, __ATOMIC_SEQ_CST) == 0;
}

static inline bool test_bit(const unsigned long *word, unsigned int bit)
{
	return READ_ONCE(*word) & (1UL << bit);
}

static inline void set_bit(unsigned long *word, unsigned int bit)
{
	__asm__ volatile("lock btsq %1, %0"
			 : "+m"(*word)
			 : "Jr"((unsigned long)bit)
			 : "memory", "cc");
}

static inline void clear_bit(unsigned long *word, unsigned int bit)
{
	__asm__ volatile("lock btrq %1, %0"
			 : "+m"(*word)
			 : "Jr"((unsigned long)bit)
			 : "memory", "cc");
}

/* Returns the bit's former value. */
static inline bool test_and_set_bit(unsigned long *word, unsigned int bit)
{
	bool old;

	__asm__ volatile("lock btsq %2, %0"
			 : "+m"(*word), "=@ccc"(old)
			 : "Jr"((unsigned long)bit)
			 : "memory");
	return old;
}

static inline bool test_and_clear_bit(unsigned long *word, unsigned int bit)
{
	bool old;

	__asm__ volatile("lock btrq %2, %0"
			 : "+m"(*word), "=@ccc"(old)
			 : "Jr"((unsigned long)bit)
			 : "memory");
	return old;
}

#endif
