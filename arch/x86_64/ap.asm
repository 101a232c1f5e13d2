; SPDX-License-Identifier: MIT
;
; ap.asm - how does another CPU come from real mode to C?
;
; smp.c copies ap_start..ap_end to physical 0x8000 and puts the trampoline's tables in ap_cr3; a
; start-up IPI begins there in real mode. Those tables map that page where it is, read-execute, and
; share the kernel's half. The ticket in ap_mailbox lets in exactly one CPU, and none after smp.c
; has given up waiting: a latecomer is parked.

AP_BASE		equ	0x8000		; as smp.c
%define AT(x)	(AP_BASE + (x) - ap_start)

CR0_BITS	equ	0x80010033	; PG WP NE ET MP PE
CR4_PAE		equ	1 << 5
MSR_EFER	equ	0xc0000080
EFER_LME_NXE	equ	(1 << 8) | (1 << 11)

; struct ap_mailbox in smp.c
MB_TICKET	equ	0
MB_CPU		equ	4
MB_CR3		equ	8
MB_STACK	equ	16
AP_OPEN		equ	1
AP_CLAIMED	equ	2

extern ap_mailbox, ap_main
global ap_start, ap_end, ap_cr3

section .ap progbits alloc noexec nowrite align=16
bits 16
ap_start:
	cli
	cld
	xor	ax, ax
	mov	ds, ax
	lgdt	[AT(ap_gdtr)]
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, [AT(ap_cr3)]
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME_NXE
	wrmsr
	mov	eax, CR0_BITS
	mov	cr0, eax
	jmp	dword 0x08:AT(ap_long)
bits 64
ap_long:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	rax, ap_high
	jmp	rax

	align	8
ap_gdt:	dq	0
	dq	0x00af9b000000ffff	; 64-bit code
	dq	0x00cf93000000ffff	; data
ap_gdtr:
	dw	ap_gdtr - ap_gdt - 1
	dd	AT(ap_gdt)
	align	4
ap_cr3:	dd	0
ap_end:

section .text
bits 64
ap_high:
	mov	eax, AP_OPEN
	mov	ecx, AP_CLAIMED
	lock cmpxchg [rel ap_mailbox + MB_TICKET], ecx
	jne	ap_park
	mov	edi, [rel ap_mailbox + MB_CPU]
	mov	rsp, [rel ap_mailbox + MB_STACK]
	mov	rax, [rel ap_mailbox + MB_CR3]
	mov	cr3, rax
	xor	ebp, ebp
	call	ap_main
ap_park:
	cli
	hlt
	jmp	ap_park
