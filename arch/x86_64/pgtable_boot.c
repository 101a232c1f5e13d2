/* SPDX-License-Identifier: MIT */
/*
 * pgtable_boot.c - which addresses does the kernel's half of every address space map, and how?
 *
 * Builds the final tables once, and checks them: the image W^X, the direct map of all memory
 * without execution, nothing below. 4 KiB pages only, for an emulator that has seen one large page
 * flushes everything at each INVLPG and so hides missing shootdowns; largepages=1 lets the direct
 * map of a real machine have 2 MiB pages.
 */
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/desc.h"
#include "arch/x86_64/pgtable.h"
#include "boot/boot.h"
#include "kernel/core/args.h"
#include "kernel/lib/bug.h"

#define LOW_MEMORY_END 0x100000UL /* BIOS data, the AP trampoline; never given out as frames */
#define GIB	       (1UL << 30)
#define SLOT_SPAN      (1UL << 39) /* of a top-level entry */
#define LARGE_SIZE     (1UL << 21)

#define BITS_TEXT   (PTE_P | PTE_A)
#define BITS_RODATA (PTE_P | PTE_A | PTE_NX)
#define BITS_DATA   (PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX)

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[];
extern char __data_start[], __bss_end[], __kernel_start[], __kernel_end[];

static bool largepages;
ARG_BOOL(largepages, largepages, "2 MiB pages in the direct map (at boot; hides bugs in QEMU)");

static paddr_t (*early_frame)(void);

static void *alloc_early_table(void)
{
	return phys_to_virt(early_frame());
}

static pte_t *top_entry(vaddr_t va)
{
	return &kernel_pgtable.root[va / SLOT_SPAN & (PTES_PER_TABLE - 1)];
}

static void make_top(vaddr_t va)
{
	pte_t *e = top_entry(va);

	if (pte_present(*e))
		return;
	*e = pte_make(virt_to_phys(pgtable_alloc_table()), PGTABLE_TABLE_BITS);
	kernel_pgtable.nr_tables++;
}

/* Room for memory, and for the device registers and tables that lie between or after it. */
static void make_all_tops(const struct boot_info *info)
{
	paddr_t end = 4 * GIB;

	for (unsigned int i = 0; i < info->nr_ranges; i++)
		end = max(end, info->ranges[i].end);
	for (paddr_t pa = 0; pa < end; pa += SLOT_SPAN)
		make_top((vaddr_t)phys_to_virt(pa));
	for (vaddr_t va = VMAP_BASE; va < VMAP_END; va += SLOT_SPAN)
		make_top(va);
	/* 64 bytes for each frame: see kernel/mm/page.h. */
	for (u64 offset = 0; offset < end / 64; offset += SLOT_SPAN)
		make_top(VMEMMAP_BASE + offset);
	make_top(KERNEL_BASE);
}

static void map_image_part(const char *start, const char *end, u64 bits)
{
	for (vaddr_t va = (vaddr_t)start; va < (vaddr_t)end; va += PAGE_SIZE)
		if (!desc_guard_name(va))
			*pgtable_walk_alloc(&kernel_pgtable, va) = pte_make(va - KERNEL_BASE, bits);
}

static void map_large(paddr_t pa, u64 bits)
{
	vaddr_t va = (vaddr_t)phys_to_virt(pa);
	pte_t *table = kernel_pgtable.root;

	for (unsigned int level = 3; level > 1; level--) {
		pte_t *e = &table[va >> (PAGE_SHIFT + 9 * level) & (PTES_PER_TABLE - 1)];

		if (!pte_present(*e)) {
			*e = pte_make(virt_to_phys(pgtable_alloc_table()), PGTABLE_TABLE_BITS);
			kernel_pgtable.nr_tables++;
		}
		table = phys_to_virt(pte_paddr(*e));
	}
	table[va / LARGE_SIZE & (PTES_PER_TABLE - 1)] = pte_make(pa, bits | PTE_PS);
}

static void map_memory(paddr_t start, paddr_t end, u64 bits)
{
	while (start < end) {
		vaddr_t va = (vaddr_t)phys_to_virt(start);
		u64 n = min((u64)ptes_left(va), (end - start) >> PAGE_SHIFT);
		pte_t *ptep, pte;

		if (largepages && !(start & (LARGE_SIZE - 1)) && end - start >= LARGE_SIZE) {
			map_large(start, bits);
			start += LARGE_SIZE;
			continue;
		}
		ptep = pgtable_walk_alloc(&kernel_pgtable, va);
		pte = pte_make(start, bits);
		start += n << PAGE_SHIFT;
		for (; n; n--, pte.v += PAGE_SIZE)
			*ptep++ = pte;
	}
}

/* Code and constants are read-only here too, or the second address would undo the first. */
static void map_range(paddr_t start, paddr_t end)
{
	paddr_t ro = virt_to_phys(__text_start), ro_end = virt_to_phys(__rodata_end);

	if (start >= end)
		return;
	map_memory(start, min(end, max(start, ro)), BITS_DATA);
	map_memory(max(start, ro), min(end, ro_end), BITS_RODATA);
	map_memory(max(start, ro_end), end, BITS_DATA);
}

void pgtable_boot(const struct boot_info *info, paddr_t (*alloc_early)(void))
{
	early_frame = alloc_early;
	pgtable_set_memory(alloc_early_table, NULL);
	kernel_pgtable.root = alloc_early_table();

	make_all_tops(info);
	map_image_part(__text_start, __text_end, BITS_TEXT);
	map_image_part(__rodata_start, __rodata_end, BITS_RODATA);
	map_image_part(__data_start, __bss_end, BITS_DATA);
	map_range(0, LOW_MEMORY_END);
	for (unsigned int i = 0; i < info->nr_ranges; i++)
		map_range(max(info->ranges[i].start, LOW_MEMORY_END), info->ranges[i].end);

	BUG_ON(virt_to_phys(kernel_pgtable.root) >= 4 * GIB);
	write_cr3(virt_to_phys(kernel_pgtable.root));
}

/* ---- the check ------------------------------------------------------------------------------ */

static void check_leaf(vaddr_t va, u64 e)
{
	if ((e & (PTE_W | PTE_NX)) == PTE_W)
		panic("the page at %#lx is both writable and executable (PTE %#lx)",
		      (unsigned long)va, (unsigned long)e);
	if ((e & PTE_PS) && !largepages)
		panic("a large page at %#lx, without largepages=1", (unsigned long)va);
}

/* The many: one look at each in the boot of every machine. */
static u64 check_leaf_table(const pte_t *table, vaddr_t base)
{
	u64 leaves = 0;

	for (unsigned int i = 0; i < PTES_PER_TABLE; i++) {
		u64 e = table[i].v;

		leaves += e & PTE_P;
		if (unlikely((e & (PTE_P | PTE_W | PTE_NX)) == (PTE_P | PTE_W)))
			check_leaf(base + i * PAGE_SIZE, e);
	}
	return leaves;
}

static u64 check_table(const pte_t *table, unsigned int level, vaddr_t base)
{
	u64 leaves = 0;

	if (!level)
		return check_leaf_table(table, base);
	for (unsigned int i = 0; i < PTES_PER_TABLE; i++) {
		vaddr_t va = base + ((u64)i << (PAGE_SHIFT + 9 * level));
		u64 e = table[i].v;

		if (!(e & PTE_P))
			continue;
		if (e & PTE_PS) {
			check_leaf(va, e);
			leaves++;
			continue;
		}
		leaves += check_table(phys_to_virt(e & PTE_ADDR), level - 1, va);
	}
	return leaves;
}

u64 pgtable_check_wx(void)
{
	u64 leaves = 0;

	if (!(read_cr0() & CR0_WP))
		panic("CR0.WP is off: stores of the kernel would ignore read-only pages");
	if (!(rdmsr(MSR_EFER) & EFER_NXE))
		panic("EFER.NXE is off: data would be executable");
	for (unsigned int i = 0; i < PTES_PER_TABLE; i++) {
		pte_t e = kernel_pgtable.root[i];
		/* Sign extension makes addresses of the upper half. */
		vaddr_t va = (u64)i << 39 | 0xffff000000000000UL;

		if (!pte_present(e))
			continue;
		if (i < PTES_PER_TABLE / 2)
			panic("the kernel's own tables map low addresses, from 0x%lx on",
			      (unsigned long)i << 39);
		leaves += check_table(phys_to_virt(pte_paddr(e)), 2, va);
	}
	return leaves;
}
