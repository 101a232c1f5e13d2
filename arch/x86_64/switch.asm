; SPDX-License-Identifier: MIT
;
; switch.asm - leaving one stack for another, and the first moments of a new one.

section .text
extern thread_start
global arch_switch_stack, arch_prepare_stack, arch_fpu_save, arch_fpu_restore, arch_fpu_reset

; void arch_switch_stack(u64 *save_sp, u64 next_sp)
; What C may not lose is on the old stack while the thread does not run; the rest the caller saved.
arch_switch_stack:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[rdi], rsp
	mov	rsp, rsi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

; u64 arch_prepare_stack(void *stack_top, struct thread *t)
; Build what arch_switch_stack() will pop: rbx = t, rbp = 0, and a return to thread_trampoline.
arch_prepare_stack:
	and	rdi, -16
	lea	rax, [rdi - 72]
	mov	qword [rax], 0			; r15
	mov	qword [rax + 8], 0		; r14
	mov	qword [rax + 16], 0		; r13
	mov	qword [rax + 24], 0		; r12
	mov	[rax + 32], rsi			; rbx
	mov	qword [rax + 40], 0		; rbp: the end of every back trace
	mov	rdx, thread_trampoline
	mov	[rax + 48], rdx
	mov	qword [rax + 56], 0
	mov	qword [rax + 64], 0
	ret

; The ret above left rsp = top - 16, a multiple of 16, as C expects before a call.
thread_trampoline:
	mov	rdi, rbx
	call	thread_start
	ud2

; void arch_fpu_save(void *area), void arch_fpu_restore(const void *area)
arch_fpu_save:
	fxsave64 [rdi]
	ret

arch_fpu_restore:
	fxrstor64 [rdi]
	ret

; void arch_fpu_reset(void)
arch_fpu_reset:
	fninit
	push	0x1f80			; MXCSR: all exceptions masked, round to nearest
	ldmxcsr	[rsp]
	add	rsp, 8
	ret
