/* SPDX-License-Identifier: MIT */
/*
 * pte.h - page-table entries as values.
 *
 * Pure functions on pte_t, and the only ways to change a live entry in memory: the CPU sets A and D
 * concurrently, so a live PTE is exchanged, compare-exchanged, or changed by one locked AND or OR,
 * never loaded, changed and stored back (rule 23; B1). Bits: Intel SDM vol. 3, 4.5.
 */
#ifndef ARCH_X86_64_ASM_PTE_H
#define ARCH_X86_64_ASM_PTE_H

#include "kernel/lib/types.h"

typedef struct {
	u64 v;
} pte_t;

#define PTE_P	 (1UL << 0)
#define PTE_W	 (1UL << 1)
#define PTE_U	 (1UL << 2)
#define PTE_PWT	 (1UL << 3)
#define PTE_PCD	 (1UL << 4)
#define PTE_A	 (1UL << 5)
#define PTE_D	 (1UL << 6)
#define PTE_PS	 (1UL << 7)
#define PTE_G	 (1UL << 8)
#define PTE_SOFT (1UL << 9)  /* software's own: of entries that point to leaf tables, harvest.c */
#define PTE_HELD (1UL << 10) /* software's own: of leaves without P, pte_mkheld() */
#define PTE_NX	 (1UL << 63)
#define PTE_ADDR 0x000ffffffffff000UL

#define PTES_PER_TABLE 512

static inline pte_t pte_make(paddr_t pa, u64 bits)
{
	return (pte_t){ (pa & PTE_ADDR) | bits };
}

static inline bool pte_present(pte_t p)
{
	return p.v & PTE_P;
}

/* Empty: stray A and D bits in a non-present entry do not count (rule 54, Knights Landing). */
static inline bool pte_none(pte_t p)
{
	return !(p.v & ~(PTE_A | PTE_D));
}

/*
 * Held: no CPU may use the entry, but it keeps its page: mprotect(PROT_NONE) of memory that is
 * nowhere else. Everything here runs in ring 0, so that only P keeps a program from a page. An
 * entry is present, held, or vacant; what is held never becomes writable by itself.
 */
static inline bool pte_held(pte_t p)
{
	return (p.v & (PTE_P | PTE_HELD)) == PTE_HELD;
}

static inline bool pte_vacant(pte_t p)
{
	return !(p.v & (PTE_P | PTE_HELD));
}

static inline pte_t pte_mkheld(pte_t p)
{
	return (pte_t){ (p.v & ~(PTE_P | PTE_W)) | PTE_HELD };
}

static inline pte_t pte_mkunheld(pte_t p)
{
	return (pte_t){ (p.v & ~PTE_HELD) | PTE_P };
}

static inline bool pte_write(pte_t p)
{
	return p.v & PTE_W;
}

static inline bool pte_dirty(pte_t p)
{
	return p.v & PTE_D;
}

static inline bool pte_young(pte_t p)
{
	return p.v & PTE_A;
}

static inline pte_t pte_mkwrite(pte_t p)
{
	return (pte_t){ p.v | PTE_W };
}

/* Takes W; D stays: a read-only entry may still owe its dirtiness (rules 66, 114). */
static inline pte_t pte_wrprotect(pte_t p)
{
	return (pte_t){ p.v & ~PTE_W };
}

static inline pte_t pte_mkdirty(pte_t p)
{
	return (pte_t){ p.v | PTE_D };
}

static inline pte_t pte_mkclean(pte_t p)
{
	return (pte_t){ p.v & ~PTE_D };
}

static inline pte_t pte_mkyoung(pte_t p)
{
	return (pte_t){ p.v | PTE_A };
}

static inline pte_t pte_mkold(pte_t p)
{
	return (pte_t){ p.v & ~PTE_A };
}

static inline bool pte_same(pte_t a, pte_t b)
{
	return a.v == b.v;
}

static inline paddr_t pte_paddr(pte_t p)
{
	return p.v & PTE_ADDR;
}

static inline u64 pte_pfn(pte_t p)
{
	return (p.v & PTE_ADDR) >> PAGE_SHIFT;
}

/*
 * A shootdown is owed when P, W or D goes from 1 to 0, NX from 0 to 1, or the frame changes; not
 * when they go the other way (rule 51), and not for A.
 */
static inline bool pte_needs_flush(pte_t old, pte_t new)
{
	if (!pte_present(old))
		return false;
	if (!pte_present(new) || pte_pfn(old) != pte_pfn(new))
		return true;
	return ((old.v & ~new.v) & (PTE_W | PTE_D)) || ((new.v & ~old.v) & PTE_NX);
}

static inline pte_t ptep_get(const pte_t *ptep)
{
	return (pte_t){ *(const volatile u64 *)&ptep->v };
}

/*
 * Sixteen neighbours at once, for who reads many: one instruction for each entry. By hand: the
 * compiler loads each volatile entry before it uses it.
 */
static inline u64 ptes_or_16(const pte_t *p)
{
	u64 all;

	__asm__ volatile("movq (%1), %0; orq 8(%1), %0; orq 16(%1), %0; orq 24(%1), %0;"
			 "orq 32(%1), %0; orq 40(%1), %0; orq 48(%1), %0; orq 56(%1), %0;"
			 "orq 64(%1), %0; orq 72(%1), %0; orq 80(%1), %0; orq 88(%1), %0;"
			 "orq 96(%1), %0; orq 104(%1), %0; orq 112(%1), %0; orq 120(%1), %0"
			 : "=&r"(all)
			 : "r"(p)
			 : "memory", "cc");
	return all;
}

/* Bit i: p[i] has D (bit 6). */
static inline u64 ptes_dirty_16(const pte_t *p)
{
	u64 dirty = 0;

	/* BT puts the bit into the carry, ADC shifts it in. */
#define PTE_SHIFT_IN_D(i) "btq $6, " #i "*8(%1); adcq %0, %0;"
	__asm__ volatile(PTE_SHIFT_IN_D(15) PTE_SHIFT_IN_D(14) PTE_SHIFT_IN_D(13) PTE_SHIFT_IN_D(12)
				 PTE_SHIFT_IN_D(11) PTE_SHIFT_IN_D(10) PTE_SHIFT_IN_D(9)
					 PTE_SHIFT_IN_D(8) PTE_SHIFT_IN_D(7) PTE_SHIFT_IN_D(6)
						 PTE_SHIFT_IN_D(5) PTE_SHIFT_IN_D(4)
							 PTE_SHIFT_IN_D(3) PTE_SHIFT_IN_D(2)
								 PTE_SHIFT_IN_D(1) PTE_SHIFT_IN_D(0)
			 : "+r"(dirty)
			 : "r"(p)
			 : "memory", "cc");
#undef PTE_SHIFT_IN_D
	return dirty;
}

/* Exchange: what the entry held, D included, at the very moment it changed. */
static inline pte_t ptep_xchg(pte_t *ptep, pte_t new)
{
	return (pte_t){ __atomic_exchange_n(&ptep->v, new.v, __ATOMIC_SEQ_CST) };
}

static inline pte_t ptep_get_and_clear(pte_t *ptep)
{
	return ptep_xchg(ptep, (pte_t){ 0 });
}

/* Compare-exchange: true if the entry was @old and now is @new. */
static inline bool ptep_cmpxchg(pte_t *ptep, pte_t old, pte_t new)
{
	bool same;

	/* By hand: the compiler keeps @old in memory for the case that it fails. */
	__asm__ volatile("lock cmpxchgq %3, %0"
			 : "+m"(ptep->v), "=@ccz"(same), "+a"(old.v)
			 : "r"(new.v)
			 : "memory");
	return same;
}

/* Bits of an entry that stays what it is otherwise: nobody unmaps it meanwhile. */
static inline void ptep_clear_bits(pte_t *ptep, u64 bits)
{
	(void)__atomic_and_fetch(&ptep->v, ~bits, __ATOMIC_SEQ_CST);
}

static inline void ptep_set_bits(pte_t *ptep, u64 bits)
{
	(void)__atomic_or_fetch(&ptep->v, bits, __ATOMIC_SEQ_CST);
}

/* For an entry that no CPU can be using: it was not present, under pgtable.lock. */
static inline void ptep_set_absent(pte_t *ptep, pte_t new)
{
	*(volatile u64 *)&ptep->v = new.v;
}

#endif
