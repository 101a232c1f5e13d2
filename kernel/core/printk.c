/* SPDX-License-Identifier: MIT */
/*
 * printk.c - text to the serial line, whole lines at a time.
 *
 * Owns:  the console. Locks: console_lock (irqsave), held for one piece of text.
 * Anything may print, interrupt handlers too, so interrupts are off while a piece goes out; long
 * texts are cut at line ends to keep that short.
 */
#include "kernel/core/printk.h"

#include <string.h>

#include "arch/x86_64/asm/arch.h"
#include "kernel/core/spinlock.h"
#include "kernel/lib/fmt.h"

#define LINE_MAX  1024 /* of one printk; what is longer ends in "..." */
#define PIECE_MAX 512  /* bytes in one hold of the lock, if there is a line end to stop at */

static struct spinlock console_lock = { .rank = RANK_CONSOLE, .name = "console" };
static bool forced;

void console_force(void)
{
	WRITE_ONCE(forced, true);
}

static void put_all(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		arch_console_putc(buf[i]);
}

/* How much of @buf to print at once: up to the last line end that fits. */
static size_t piece(const char *buf, size_t len)
{
	size_t n = min(len, (size_t)PIECE_MAX);

	if (n == len)
		return len;
	while (n && buf[n - 1] != '\n')
		n--;
	if (n)
		return n;
	/* One long line: it goes out whole. */
	for (n = PIECE_MAX; n < len && buf[n - 1] != '\n'; n++)
		;
	return n;
}

void console_write(const char *buf, size_t len)
{
	while (len) {
		size_t n = piece(buf, len);

		if (READ_ONCE(forced)) {
			put_all(buf, n);
		} else {
			u64 flags = spin_lock_irqsave(&console_lock);

			put_all(buf, n);
			spin_unlock_irqrestore(&console_lock, flags);
		}
		buf += n;
		len -= n;
	}
}

void vprintk(const char *fmt, va_list ap)
{
	char line[LINE_MAX];
	size_t len = (size_t)kvsnprintf(line, sizeof(line), fmt, ap);

	if (len >= sizeof(line)) {
		static const char cut[] = "...\n";

		len = sizeof(line) - 1;
		memcpy(line + len - (sizeof(cut) - 1), cut, sizeof(cut));
	}
	console_write(line, len);
}

void printk(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintk(fmt, ap);
	va_end(ap);
}
