/* SPDX-License-Identifier: MIT */
/*
 * pci.h - finding PCI functions, their capabilities, registers and message interrupts.
 *
 * Configuration space by ports 0xcf8 and 0xcfc, which every machine has. Addresses are those that
 * the firmware assigned. Set-up happens once at boot: switching a function's memory on makes an
 * emulator forget all translations, which would hide a missing shootdown in a test.
 */
#ifndef DRIVERS_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_PCI_H

#include "kernel/lib/types.h"

struct pci_func {
	u8 bus, dev, fn;
	u16 vendor, device;
	char name[16];	    /* "00:04.0" */
	volatile u32 *msix; /* its table: 4 words an entry; NULL before pci_msix_enable() */
	unsigned int nr_msix;
};

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

u8 pci_read8(const struct pci_func *f, unsigned int reg);
u16 pci_read16(const struct pci_func *f, unsigned int reg);
u32 pci_read32(const struct pci_func *f, unsigned int reg);
void pci_write16(const struct pci_func *f, unsigned int reg, u16 v);

/* Call @found for every function of bus 0 and of the buses behind bridges. */
void pci_scan(void (*found)(struct pci_func *f, void *arg), void *arg);

/* The first capability @id behind register @after (0: from the start), or 0. A list that runs in a
 * circle or out of the space ends. */
unsigned int pci_find_cap(const struct pci_func *f, unsigned int after, u8 id);

/* [@offset, +@length) of BAR @bar, mapped. NULL, and a line that says why, if the BAR is not there.
 * May sleep. */
volatile void *pci_map(struct pci_func *f, unsigned int bar, u32 offset, u32 length);

/* Memory and bus mastering on, INTx off. */
void pci_enable(struct pci_func *f);

/* Map the MSI-X table, all entries masked, and switch it on. Number of entries, 0 if there are none
 * (a line says why). */
unsigned int pci_msix_enable(struct pci_func *f);
/* Entry @n raises @vector on @cpu. */
void pci_msix_set(struct pci_func *f, unsigned int n, unsigned int cpu, u8 vector);
void pci_msix_disable(struct pci_func *f);

#endif
