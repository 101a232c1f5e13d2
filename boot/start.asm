; SPDX-License-Identifier: MIT
;
; start.asm - from the loader's 32-bit protected mode to C in the higher half.
;
; One entry for GRUB (eax = multiboot2 magic, ebx = its information) and for PVH (ebx = start_info,
; eax means nothing). The tables made here use 2 MiB pages and live only until pgtable_boot() loads
; the final ones. They map the first 4 GiB three times: where it is, in the direct map, and (the
; first GiB) at KERNEL_BASE; so phys_to_virt() works from the first line of C.

KERNEL_SLOT	equ	511		; PML4 slot of KERNEL_BASE,
KERNEL_SLOT3	equ	510		; and its PDPT slot
DIRECT_SLOT	equ	273		; PML4 slot of DIRECT_MAP_BASE
STACK_SIZE	equ	32768		; as kernel/core/sched.h

TABLE_BITS	equ	3		; present, writable
LARGE_BITS	equ	0x83		; and 2 MiB

CR0_BITS	equ	0x80010033	; PG WP NE ET MP PE
CR4_PAE		equ	1 << 5
MSR_EFER	equ	0xc0000080
EFER_LME_NXE	equ	(1 << 8) | (1 << 11)
CPUID_LM_NX	equ	(1 << 29) | (1 << 20)

COM1		equ	0x3f8
DEBUG_EXIT	equ	0xf4
EXIT_PANIC	equ	0x12

CODE_SEL	equ	0x08
DATA_SEL	equ	0x10

section .boot.text progbits alloc exec nowrite align=16
bits 32
global _start
_start:
	cli
	cld
	mov	esp, start_stack_top
	mov	ebp, eax			; magic
	mov	esi, ebx			; information; cpuid destroys ebx

	mov	eax, 0x80000000
	cpuid
	cmp	eax, 0x80000001
	jb	refuse
	mov	eax, 0x80000001
	cpuid
	and	edx, CPUID_LM_NX
	cmp	edx, CPUID_LM_NX
	jne	refuse

	mov	edi, tables
	xor	eax, eax
	mov	ecx, (tables_end - tables) / 4
	rep stosd

	mov	dword [pml4], pdpt_low + TABLE_BITS
	mov	dword [pml4 + 8 * DIRECT_SLOT], pdpt_low + TABLE_BITS
	mov	dword [pml4 + 8 * KERNEL_SLOT], pdpt_high + TABLE_BITS
	mov	dword [pdpt_high + 8 * KERNEL_SLOT3], pd + TABLE_BITS
	mov	dword [pdpt_low + 0], pd + TABLE_BITS
	mov	dword [pdpt_low + 8], pd + 0x1000 + TABLE_BITS
	mov	dword [pdpt_low + 16], pd + 0x2000 + TABLE_BITS
	mov	dword [pdpt_low + 24], pd + 0x3000 + TABLE_BITS

	mov	edi, pd
	mov	eax, LARGE_BITS
	mov	ecx, 4 * 512
.fill:	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	dec	ecx
	jnz	.fill

	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, pml4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME_NXE
	wrmsr
	mov	eax, CR0_BITS
	mov	cr0, eax
	lgdt	[gdtr]
	jmp	CODE_SEL:long_mode

; Nothing works yet but ports: say why, and fail.
refuse:
	mov	esi, refusal
.next:	lodsb
	test	al, al
	jz	.end
	mov	dx, COM1
	out	dx, al
	jmp	.next
.end:	mov	al, EXIT_PANIC
	out	DEBUG_EXIT, al
.halt:	cli
	hlt
	jmp	.halt

bits 64
long_mode:
	mov	eax, DATA_SEL
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	rax, start_high
	jmp	rax

section .boot.rodata progbits alloc noexec nowrite align=8
gdt:	dq	0
	dq	0x00af9b000000ffff		; 64-bit code
	dq	0x00cf93000000ffff		; data
gdtr:	dw	$ - gdt - 1
	dd	gdt
refusal:
	db	"boot: this CPU has no 64-bit mode or no NX; dirtybit needs both.", 13, 10, 0

section .boot.bss nobits alloc noexec write align=4096
tables:
pml4:		resb	4096
pdpt_low:	resb	4096
pdpt_high:	resb	4096
pd:		resb	4 * 4096
tables_end:
		resb	256
start_stack_top:

section .text
extern boot_info_collect, kmain
start_high:
	mov	rsp, boot_stack_top
	mov	edi, ebp
	xor	ebp, ebp			; the end of every back trace
	call	boot_info_collect		; esi is still the information
	mov	rdi, rax
	call	kmain
	ud2

; The boot CPU's stack, later its idle thread's. pgtable_boot() leaves the guard page unmapped.
section .bss nobits alloc noexec write align=4096
global boot_stack_guard, boot_stack, boot_stack_top
boot_stack_guard:	resb	4096
boot_stack:		resb	STACK_SIZE
boot_stack_top:
