; SPDX-License-Identifier: MIT
;
; entry.asm - from an interrupt or exception to trap(), and back.
;
; Everything runs in ring 0 on the interrupted thread's stack (double fault, NMI and machine check:
; on IST stacks), so nothing but the general registers has to be saved: no segments, no swapgs. The
; CPU aligns rsp to 16 before it pushes, and struct trap_frame is 176 bytes: trap() is called with
; the alignment that C expects.

VEC_PF	equ	14

; Of #PF's error code (asm/frame.h).
PF_PRESENT equ	1
PF_WRITE   equ	2

; What fault_fast() finds between its return address and the error code.
HALF_FRAME equ	10 * 8

; Offsets in struct trap_frame (asm/frame.h).
F_R11	equ	32
F_R10	equ	40
F_R9	equ	48
F_R8	equ	56
F_RDI	equ	64
F_RSI	equ	72
F_RDX	equ	88
F_RCX	equ	96
F_RAX	equ	112
F_RIP	equ	136

section .text
extern trap, fault_fast
global isr_stubs, isr_page_fault, isr_return

; One stub per vector, 16 bytes apart. Where the CPU pushes no error code, the stub pushes 0.
align 16
isr_stubs:
%assign vec 0
%rep 256
	align	16
%if vec != 8 && (vec < 10 || vec > 14) && vec != 17 && vec != 21 && vec != 29 && vec != 30
	push	0
%endif
	push	vec
	jmp	isr_common
%assign vec vec + 1
%endrep

; The hot one stands right before the common part. A store to what is mapped read-only may need no
; more than fault_fast(): it gets a half frame, of the registers that C does not preserve, and says
; whether the store can go on. If not, all begins anew with a full frame.
align 16
isr_page_fault:
	cmp	dword [rsp], PF_PRESENT | PF_WRITE
	jne	.full
	push	rax
	push	rcx
	push	rdx
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	sub	rsp, 8		; alignment
	cld
	mov	rdi, cr2
	mov	rsi, [rsp + HALF_FRAME + 24]	; over the error code, rip, cs
	call	fault_fast
	test	al, al
	lea	rsp, [rsp + 8]	; pops and lea leave the flags alone
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rdx
	pop	rcx
	pop	rax
	jz	.full
	add	rsp, 8		; the error code
	iretq
.full:
	push	VEC_PF
isr_common:
	push	rax
	push	rbx
	push	rcx
	push	rdx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	call	trap
; Known to arch_backtrace(): the frame begins right above this return address. C has preserved rbx,
; rbp and r12-r15, so these are in the frame to be read, not to be changed.
isr_return:
	mov	r11, [rsp + F_R11]
	mov	r10, [rsp + F_R10]
	mov	r9, [rsp + F_R9]
	mov	r8, [rsp + F_R8]
	mov	rdi, [rsp + F_RDI]
	mov	rsi, [rsp + F_RSI]
	mov	rdx, [rsp + F_RDX]
	mov	rcx, [rsp + F_RCX]
	mov	rax, [rsp + F_RAX]
	add	rsp, F_RIP
	iretq
