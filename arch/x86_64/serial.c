/* SPDX-License-Identifier: MIT */
/*
 * serial.c - COM1, the console: a 16550 UART.
 *
 * Owns:  the UART, the ring of received bytes, and the queue of their readers.
 * Locks: output is ordered by the caller (printk's console lock); input_lock guards the ring.
 * Output is polled, for it must work in any context; an empty FIFO takes 16 bytes at one look at
 * the status. Without a UART output goes nowhere and input is at its end.
 */
#include "arch/x86_64/serial.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/cpu.h"
#include "kernel/core/irq.h"
#include "kernel/core/printk.h"
#include "kernel/core/wait.h"

#define COM1	    0x3f8
#define COM1_IRQ    4
#define REG_DATA    (COM1 + 0)
#define REG_IER	    (COM1 + 1)
#define REG_FCR	    (COM1 + 2)
#define REG_LCR	    (COM1 + 3)
#define REG_MCR	    (COM1 + 4)
#define REG_LSR	    (COM1 + 5)
#define REG_SCRATCH (COM1 + 7)

#define IER_RX	  0x01
#define FCR_FIFO  0x01 /* on, interrupt at the first byte; what was typed ahead stays */
#define LCR_8N1	  0x03
#define LCR_DLAB  0x80
#define MCR_READY 0x0b /* DTR, RTS, and OUT2, which lets interrupts through */
#define LSR_RX	  0x01
#define LSR_THRE  0x20 /* FIFO empty */
#define LSR_TEMT  0x40 /* and the wire idle */

#define FIFO_SIZE  16
#define RING_SIZE  256
#define WAIT_LIMIT 10000000 /* looks at a line that no longer moves */

static bool present;
static unsigned int tx_room; /* bytes that may be written without a look */

static struct spinlock input_lock = { .rank = RANK_DEVICE, .name = "serial input" };
static struct wait_queue input_wait;
static char ring[RING_SIZE];
static unsigned int ring_head, ring_tail; /* written at head, read at tail; free running */

void serial_init(void)
{
	outb(REG_SCRATCH, 0x5a);
	present = inb(REG_SCRATCH) == 0x5a;
	if (!present)
		return;
	outb(REG_IER, 0);
	outb(REG_LCR, LCR_DLAB);
	outb(REG_DATA, 1); /* 115200 baud */
	outb(REG_IER, 0);
	outb(REG_LCR, LCR_8N1);
	outb(REG_FCR, FCR_FIFO);
	outb(REG_MCR, MCR_READY);
	tx_room = 0;
}

static void wait_for(u8 status)
{
	unsigned int spins = 0;

	while ((inb(REG_LSR) & status) != status && spins < WAIT_LIMIT)
		cpu_relax(&spins);
}

void arch_console_putc(char c)
{
	if (!present)
		return;
	if (!tx_room) {
		wait_for(LSR_THRE);
		tx_room = FIFO_SIZE;
	}
	tx_room--;
	outb(REG_DATA, (u8)c);
}

void serial_drain(void)
{
	if (present)
		wait_for(LSR_THRE | LSR_TEMT);
}

static void serial_interrupt(void *arg)
{
	u64 flags = spin_lock_irqsave(&input_lock);

	while (inb(REG_LSR) & LSR_RX) {
		char c = (char)inb(REG_DATA);

		if (ring_head - ring_tail < RING_SIZE) /* else nobody reads: lost */
			ring[ring_head++ % RING_SIZE] = c;
	}
	spin_unlock_irqrestore(&input_lock, flags);
	wake_up(&input_wait);
}

void serial_init_input(void)
{
	int vector;

	wait_queue_init(&input_wait, "serial input");
	if (!present)
		return;
	vector = irq_alloc_vector(serial_interrupt, NULL, "serial");
	if (vector < 0 || ioapic_route_isa(COM1_IRQ, (u8)vector) < 0) {
		printk("serial: no way for its interrupt; input does not work\n");
		return;
	}
	serial_interrupt(NULL); /* what was typed ahead; also frees the interrupt line */
	outb(REG_IER, IER_RX);
}

bool serial_input_ready(void)
{
	return READ_ONCE(ring_head) != READ_ONCE(ring_tail);
}

size_t serial_read(char *buf, size_t len)
{
	size_t n = 0;
	u64 flags;

	while (present && len && !n) {
		wait_event(&input_wait, serial_input_ready());
		flags = spin_lock_irqsave(&input_lock);
		while (n < len && ring_head != ring_tail)
			buf[n++] = ring[ring_tail++ % RING_SIZE];
		spin_unlock_irqrestore(&input_lock, flags);
	}
	return n;
}
