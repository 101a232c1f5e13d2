; SPDX-License-Identifier: MIT
;
; header.asm - how does a boot loader recognise the kernel?
;
; Two labels on one ELF file: a multiboot2 header for GRUB (in the first 32 KiB of the file), and a
; Xen note that makes QEMU's -kernel start it by PVH. Both name or imply the same 32-bit entry.

MB2_MAGIC	equ	0xe85250d6
MB2_ARCH_I386	equ	0
MB2_TAG_END	equ	0
MB2_TAG_ALIGN	equ	6
XEN_ELFNOTE_PHYS32_ENTRY equ	18

extern _start

section .boot.header progbits alloc noexec nowrite align=8
mb2:
	dd	MB2_MAGIC
	dd	MB2_ARCH_I386
	dd	mb2_end - mb2
	dd	-(MB2_MAGIC + MB2_ARCH_I386 + (mb2_end - mb2)) & 0xffffffff

	dw	MB2_TAG_ALIGN, 0		; modules on page boundaries: RAM disks
	dd	8

	dw	MB2_TAG_END, 0
	dd	8
mb2_end:

section .note.Xen note alloc noexec nowrite align=4
	dd	4				; size of the name
	dd	4				; size of the descriptor
	dd	XEN_ELFNOTE_PHYS32_ENTRY
	db	"Xen", 0
	dd	_start
