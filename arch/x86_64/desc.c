/* SPDX-License-Identifier: MIT */
/*
 * desc.c - GDT, IDT and TSS: what the CPU looks up when it traps.
 *
 * Owns:  the descriptor tables of all CPUs and the IST stacks.
 * One IDT for all; a GDT and a TSS for each CPU. Double fault, NMI and machine check run on stacks
 * of their own, since the interrupted one may be unusable. Interrupt gates throughout: handlers
 * start with interrupts off. Intel SDM vol. 3, 3.4, 6.14, 7.7.
 */
#include "arch/x86_64/desc.h"

#include "arch/x86_64/asm/frame.h"
#include "kernel/lib/bug.h"

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS	 0x18

#define GDT_CODE64   0x00af9b000000ffffUL
#define GDT_DATA     0x00cf93000000ffffUL
#define DESC_TSS     0x89UL /* present, available 64-bit TSS */
#define DESC_INTGATE 0x8e   /* present, interrupt gate, ring 0 */

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap_base;
} __packed;

struct gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, reserved;
};

struct table_register {
	u16 limit;
	u64 base;
} __packed;

enum ist { IST_NONE, IST_DF, IST_NMI, IST_MC, IST_END };
#define NR_ISTS (IST_END - 1)

/* A panic is told from these: registers, back trace, formatting. */
#define IST_SIZE (2 * PAGE_SIZE)

struct ist_stack {
	u8 guard[PAGE_SIZE];
	u8 stack[IST_SIZE];
};

static struct ist_stack ist_stacks[MAX_CPUS][NR_ISTS] __aligned(PAGE_SIZE);
static struct gate idt[256] __aligned(16);

static struct cpu_tables {
	u64 gdt[5];
	struct tss tss;
} __aligned(64) tables[MAX_CPUS];

extern const u8 isr_stubs[256][16], isr_page_fault[]; /* entry.asm */
extern u8 boot_stack_guard[];			      /* start.asm */

static void set_gate(unsigned int vector, const void *entry, enum ist ist)
{
	u64 va = (u64)entry;

	idt[vector] = (struct gate){
		.offset0 = (u16)va,
		.selector = SEL_CODE,
		.ist = ist,
		.type = DESC_INTGATE,
		.offset1 = (u16)(va >> 16),
		.offset2 = (u32)(va >> 32),
	};
}

static void idt_init(void)
{
	for (unsigned int v = 0; v < 256; v++)
		set_gate(v, isr_stubs[v], IST_NONE);
	set_gate(VEC_PF, isr_page_fault, IST_NONE);
	set_gate(VEC_DF, isr_stubs[VEC_DF], IST_DF);
	set_gate(VEC_NMI, isr_stubs[VEC_NMI], IST_NMI);
	set_gate(VEC_MC, isr_stubs[VEC_MC], IST_MC);
}

static void gdt_init(struct cpu_tables *t)
{
	u64 base = (u64)&t->tss, limit = sizeof(t->tss) - 1;

	t->gdt[SEL_CODE / 8] = GDT_CODE64;
	t->gdt[SEL_DATA / 8] = GDT_DATA;
	t->gdt[SEL_TSS / 8] = limit | (base & 0xffffff) << 16 | DESC_TSS << 40 |
			      (base >> 24 & 0xff) << 56;
	t->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

void desc_init_cpu(unsigned int cpu)
{
	struct cpu_tables *t = &tables[cpu];
	struct table_register gdtr = { sizeof(t->gdt) - 1, (u64)t->gdt };
	struct table_register idtr = { sizeof(idt) - 1, (u64)idt };

	BUG_ON(cpu >= MAX_CPUS);
	if (cpu == 0)
		idt_init();
	for (unsigned int i = 0; i < NR_ISTS; i++)
		t->tss.ist[i] = (u64)(ist_stacks[cpu][i].stack + IST_SIZE);
	t->tss.iomap_base = sizeof(t->tss);
	gdt_init(t);

	/* fs and gs are loaded here, before cpu_init() writes their bases, which a load clears. */
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %3, %%eax\n\t"
			 "movl %%eax, %%ds\n\t"
			 "movl %%eax, %%es\n\t"
			 "movl %%eax, %%ss\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "movl %%eax, %%fs\n\t"
			 "movl %%eax, %%gs\n\t"
			 "lidt %1\n\t"
			 "movl %4, %%eax\n\t"
			 "ltr %%ax"
			 :
			 : "m"(gdtr), "m"(idtr), "i"(SEL_CODE), "i"(SEL_DATA), "i"(SEL_TSS)
			 : "rax", "memory");
}

const char *desc_guard_name(vaddr_t va)
{
	vaddr_t first = (vaddr_t)ist_stacks;

	if (ALIGN_DOWN(va, PAGE_SIZE) == (vaddr_t)boot_stack_guard)
		return "guard page of the boot CPU's first stack";
	if (va >= first && va < first + sizeof(ist_stacks) &&
	    (va - first) % sizeof(struct ist_stack) < PAGE_SIZE)
		return "guard page of an exception stack";
	return NULL;
}
