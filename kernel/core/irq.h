/* SPDX-License-Identifier: MIT */
/*
 * irq.h - who handles which device interrupt.
 */
#ifndef KERNEL_CORE_IRQ_H
#define KERNEL_CORE_IRQ_H

#include "kernel/lib/types.h"

/* Interrupts off, on some CPU; may take irqsave locks and wake threads; may not sleep. */
typedef void (*irq_handler_t)(void *arg);

/* A free vector for @handler, or -ENOSPC. Any thread context. */
int irq_alloc_vector(irq_handler_t handler, void *arg, const char *name);
/* No more calls after it returns (waits for running ones). */
void irq_free_vector(unsigned int vector);
/* From trap(): calls the handler; an interrupt nobody owns is counted and named once. */
void irq_dispatch(unsigned int vector);

#endif
