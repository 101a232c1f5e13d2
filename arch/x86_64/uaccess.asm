; SPDX-License-Identifier: MIT
;
; uaccess.asm - accesses that may fail: each range of instructions has a place to go on at.
;
; fault_table holds (start, end, fixup). When a fault inside [start, end) cannot be resolved,
; fixup_exception() puts the negative error in rax and continues at fixup.

section .text
global copy_fault, probe_load8, probe_store8, probe_load4, probe_load1, probe_store1
global fault_table, fault_table_end

; size_t copy_fault(void *dst, const void *src, size_t n): bytes not copied
copy_fault:
	mov	rcx, rdx
	shr	rcx, 3
	and	edx, 7
copy_words:
	rep movsq
copy_words_end:
	mov	ecx, edx
copy_bytes:
	rep movsb
copy_bytes_end:
	xor	eax, eax
	ret
; A word may lie across the border of what is there. Bytes find the exact place.
copy_words_fixup:
	lea	rcx, [rcx * 8 + rdx]
	jmp	copy_bytes
copy_bytes_fixup:
	mov	rax, rcx
	ret

; int probe_load8(const void *p, u64 *v)
probe_load8:
	xor	eax, eax
load8:	mov	rdx, [rdi]
load8_end:
	mov	[rsi], rdx
	ret

; int probe_store8(void *p, u64 v)
probe_store8:
	xor	eax, eax
store8:	mov	[rdi], rsi
store8_end:
	ret

; int probe_load4(const void *p, u32 *v)
probe_load4:
	xor	eax, eax
load4:	mov	edx, [rdi]
load4_end:
	mov	[rsi], edx
	ret

; int probe_load1(const void *p, u8 *v)
probe_load1:
	xor	eax, eax
load1:	mov	dl, [rdi]
load1_end:
	mov	[rsi], dl
	ret

; int probe_store1(void *p, u8 v)
probe_store1:
	xor	eax, eax
store1:	mov	[rdi], sil
store1_end:
	ret

; rax is the error.
probe_fixup:
	ret

section .rodata align=8
fault_table:
	dq	copy_words, copy_words_end, copy_words_fixup
	dq	copy_bytes, copy_bytes_end, copy_bytes_fixup
	dq	load8, load8_end, probe_fixup
	dq	store8, store8_end, probe_fixup
	dq	load4, load4_end, probe_fixup
	dq	load1, load1_end, probe_fixup
	dq	store1, store1_end, probe_fixup
fault_table_end:
