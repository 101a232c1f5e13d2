/* SPDX-License-Identifier: MIT */
/*
 * pci.c - configuration space, capabilities, BARs and MSI-X.
 *
 * Owns:  ports 0xcf8 and 0xcfc; the command register and MSI-X tables of functions it is asked for.
 * Not:   what a device does with its registers (virtio_pci.c).
 * Locks: port_lock (RANK_DEVICE, irqsave) makes address and data one access.
 * Key fact: all that is read here comes from a device or from firmware: a list may be circular, an
 *        offset may point anywhere. It is checked, and refused with a line.
 */
#include "drivers/virtio/pci.h"

#include <string.h>

#include "arch/x86_64/apic.h"
#include "kernel/core/printk.h"
#include "kernel/core/spinlock.h"
#include "kernel/lib/fmt.h"
#include "kernel/mm/vmap.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc

#define REG_VENDOR    0x00
#define REG_COMMAND   0x04
#define REG_STATUS    0x06
#define REG_CLASS     0x0a /* and subclass below it */
#define REG_HEADER    0x0e
#define REG_BAR0      0x10
#define REG_SECONDARY 0x19 /* of a bridge: the bus behind it */
#define REG_CAPS      0x34

#define COMMAND_MEMORY	  (1u << 1)
#define COMMAND_MASTER	  (1u << 2)
#define COMMAND_NO_INTX	  (1u << 10)
#define STATUS_CAPS	  (1u << 4)
#define HEADER_MULTI	  0x80
#define CLASS_PCI_BRIDGE  0x0604
#define BAR_IO		  1u
#define BAR_64BIT	  4u
#define MSIX_ENABLE	  (1u << 15)
#define MSIX_MASK_ALL	  (1u << 14)
#define MSIX_ENTRY_MASKED 1u

/* No register block of a device we know is larger; a greater offset is a mistake. */
#define BAR_REACH (64u << 20)

static struct spinlock port_lock = { .rank = RANK_DEVICE, .name = "PCI configuration" };

/* ---- configuration space ------------------------------------------------------------------- */

static u32 address_of(const struct pci_func *f, unsigned int reg)
{
	return 1u << 31 | (u32)f->bus << 16 | (u32)f->dev << 11 | (u32)f->fn << 8 | (reg & 0xfc);
}

u32 pci_read32(const struct pci_func *f, unsigned int reg)
{
	u64 flags = spin_lock_irqsave(&port_lock);
	u32 v;

	outl(PORT_ADDRESS, address_of(f, reg));
	v = inl(PORT_DATA);
	spin_unlock_irqrestore(&port_lock, flags);
	return v;
}

u16 pci_read16(const struct pci_func *f, unsigned int reg)
{
	return (u16)(pci_read32(f, reg) >> (reg & 2) * 8);
}

u8 pci_read8(const struct pci_func *f, unsigned int reg)
{
	return (u8)(pci_read32(f, reg) >> (reg & 3) * 8);
}

void pci_write16(const struct pci_func *f, unsigned int reg, u16 v)
{
	u64 flags = spin_lock_irqsave(&port_lock);

	/* Two bytes only: the other half of the word may be bits that a write clears. */
	outl(PORT_ADDRESS, address_of(f, reg));
	outw((u16)(PORT_DATA + (reg & 2)), v);
	spin_unlock_irqrestore(&port_lock, flags);
}

/* ---- the search ---------------------------------------------------------------------------- */

struct scan {
	void (*found)(struct pci_func *f, void *arg);
	void *arg;
	u8 buses[256]; /* to visit, in the order they were met */
	unsigned int nr;
	bool met[256];
};

static void meet_bus(struct scan *s, u8 bus)
{
	/* A bridge that was never set up says 0; two that say the same are visited once. */
	if (s->met[bus])
		return;
	s->met[bus] = true;
	s->buses[s->nr++] = bus;
}

/* False if there is nothing at this place. */
static bool visit(struct scan *s, u8 bus, u8 dev, u8 fn, u8 *header)
{
	struct pci_func f = { .bus = bus, .dev = dev, .fn = fn };
	u32 id = pci_read32(&f, REG_VENDOR);

	if ((id & 0xffff) == 0xffff || !(id & 0xffff))
		return false;
	*header = pci_read8(&f, REG_HEADER);
	f.vendor = (u16)id;
	f.device = (u16)(id >> 16);
	ksnprintf(f.name, sizeof(f.name), "%02x:%02x.%u", bus, dev, fn);
	if ((*header & 0x7f) == 1 && pci_read16(&f, REG_CLASS) == CLASS_PCI_BRIDGE)
		meet_bus(s, pci_read8(&f, REG_SECONDARY));
	s->found(&f, s->arg);
	return true;
}

void pci_scan(void (*found)(struct pci_func *f, void *arg), void *arg)
{
	static struct scan s; /* too large for a stack; once at boot */

	s = (struct scan){ .found = found, .arg = arg };
	meet_bus(&s, 0);
	for (unsigned int i = 0; i < s.nr; i++) {
		for (u8 dev = 0; dev < 32; dev++) {
			u8 header, other;

			if (!visit(&s, s.buses[i], dev, 0, &header))
				continue;
			for (u8 fn = 1; (header & HEADER_MULTI) && fn < 8; fn++)
				visit(&s, s.buses[i], dev, fn, &other);
		}
	}
}

unsigned int pci_find_cap(const struct pci_func *f, unsigned int after, u8 id)
{
	unsigned int reg;

	if (!(pci_read16(f, REG_STATUS) & STATUS_CAPS))
		return 0;
	reg = pci_read8(f, after ? after + 1 : REG_CAPS) & 0xfc;
	/* 48 capabilities of 4 bytes fill the space: more steps are a circle. */
	for (unsigned int n = 0; n < 48 && reg >= 0x40; n++) {
		if (pci_read8(f, reg) == id)
			return reg;
		reg = pci_read8(f, reg + 1) & 0xfc;
	}
	return 0;
}

/* ---- registers ----------------------------------------------------------------------------- */

/* Physical address of BAR @bar, 0 if it is not memory or not assigned. */
static paddr_t bar_address(const struct pci_func *f, unsigned int bar)
{
	u32 low = pci_read32(f, REG_BAR0 + 4 * bar);
	u64 high = 0;

	if (low & BAR_IO)
		return 0;
	if (low & BAR_64BIT) {
		if (bar == 5)
			return 0;
		high = pci_read32(f, REG_BAR0 + 4 * (bar + 1));
	}
	return high << 32 | (low & ~0xfu);
}

volatile void *pci_map(struct pci_func *f, unsigned int bar, u32 offset, u32 length)
{
	paddr_t pa = bar < 6 ? bar_address(f, bar) : 0;
	void *va;

	if (!pa) {
		printk("pci %s: the firmware gave BAR %u no address\n", f->name, bar);
		return NULL;
	}
	if (!length || offset > BAR_REACH || length > BAR_REACH) {
		printk("pci %s: registers at %#x + %#x of BAR %u cannot be\n", f->name, offset,
		       length, bar);
		return NULL;
	}
	va = ioremap(pa + offset, length);
	if (!va)
		printk("pci %s: no room to map BAR %u\n", f->name, bar);
	return va;
}

void pci_enable(struct pci_func *f)
{
	u16 old = pci_read16(f, REG_COMMAND);
	u16 new = old | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX;

	/* Firmware has usually done it: then nothing in the machine's memory map moves. */
	if (new != old)
		pci_write16(f, REG_COMMAND, new);
}

/* ---- MSI-X --------------------------------------------------------------------------------- */

unsigned int pci_msix_enable(struct pci_func *f)
{
	unsigned int cap = pci_find_cap(f, 0, PCI_CAP_MSIX);
	u16 control;
	u32 table;

	if (!cap) {
		printk("pci %s: no MSI-X\n", f->name);
		return 0;
	}
	control = pci_read16(f, cap + 2);
	table = pci_read32(f, cap + 4);
	f->nr_msix = (control & 0x7ffu) + 1;
	f->msix = pci_map(f, table & 7, table & ~7u, f->nr_msix * 16);
	if (!f->msix)
		return 0;
	/* Enabled with all masked first: the table may be written only then, says the standard. */
	pci_write16(f, cap + 2, control | MSIX_ENABLE | MSIX_MASK_ALL);
	for (unsigned int n = 0; n < f->nr_msix; n++)
		f->msix[4 * n + 3] = MSIX_ENTRY_MASKED;
	pci_write16(f, cap + 2, (control | MSIX_ENABLE) & (u16)~MSIX_MASK_ALL);
	return f->nr_msix;
}

void pci_msix_set(struct pci_func *f, unsigned int n, unsigned int cpu, u8 vector)
{
	volatile u32 *entry = f->msix + 4 * n;
	u64 address;
	u32 data;

	BUG_ON(!f->msix || n >= f->nr_msix);
	apic_msi_message(cpu, vector, &address, &data);
	entry[0] = (u32)address;
	entry[1] = (u32)(address >> 32);
	entry[2] = data;
	entry[3] = 0;
}

void pci_msix_disable(struct pci_func *f)
{
	unsigned int cap = pci_find_cap(f, 0, PCI_CAP_MSIX);

	if (cap && f->msix)
		pci_write16(f, cap + 2,
			    (pci_read16(f, cap + 2) | MSIX_MASK_ALL) & (u16)~MSIX_ENABLE);
}
