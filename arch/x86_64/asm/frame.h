/* SPDX-License-Identifier: MIT */
/*
 * frame.h - what entry.asm leaves on the stack when the CPU traps. Offsets are known to entry.asm.
 */
#ifndef ARCH_X86_64_ASM_FRAME_H
#define ARCH_X86_64_ASM_FRAME_H

#include "kernel/lib/types.h"

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss; /* pushed by the CPU */
};

_Static_assert(sizeof(struct trap_frame) == 22 * 8, "known to entry.asm");

#define VEC_DB	0x01
#define VEC_NMI 0x02
#define VEC_BP	0x03
#define VEC_DF	0x08
#define VEC_GP	0x0d
#define VEC_PF	0x0e
#define VEC_MC	0x12

#define VEC_IRQ_BASE   0x30 /* 0x30..0xdf: device interrupts, handed out by irq_alloc_vector() */
#define VEC_IRQ_END    0xe0
#define VEC_TIMER      0xf0
#define VEC_RESCHEDULE 0xf1
#define VEC_TLB	       0xf2
#define VEC_STOP       0xf3 /* panic on another CPU */
#define VEC_SPURIOUS   0xff

/* #PF error code, SDM vol. 3, 4.7. An emulator may clear P when RSVD is set: test RSVD first. */
#define PF_PRESENT 1
#define PF_WRITE   2
#define PF_USER	   4
#define PF_RSVD	   8
#define PF_INSTR   16

#endif
