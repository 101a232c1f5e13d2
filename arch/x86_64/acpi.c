/* SPDX-License-Identifier: MIT */
/*
 * acpi.c - what the firmware's tables say: CPUs, interrupt controllers, timers.
 *
 * Owns:  the lists found; read-only after acpi_init().
 * Rule:  tables are input. Checksums and lengths are checked; a table that is missing or damaged is
 *        a sentence on the console, and boot goes on with what can be had without it.
 * ACPI Specification 6.x, chapter 5.2.
 */
#include <string.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/asm/cpu.h"
#include "arch/x86_64/fwcfg.h"
#include "arch/x86_64/pgtable.h"
#include "boot/boot.h"
#include "kernel/core/printk.h"

#define MAX_TABLE      (1U << 20)
#define BIOS_START     0xe0000
#define BIOS_END       0x100000
#define EBDA_POINTER   0x40e
#define DEFAULT_IOAPIC 0xfec00000
#define NR_ISA_IRQS    16
#define CPUID_X2APIC   (1U << 21)
#define MAX_XAPIC_ID   254

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length; /* from revision 2 on */
	u64 xsdt;
	u8 checksum2, reserved[3];
} __packed;

struct acpi_table {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
} __packed;

struct madt_entry {
	u8 type, length;
	union {
		struct {
			u8 processor, id;
			u32 flags;
		} __packed lapic;
		struct {
			u8 id, reserved;
			u32 address, gsi_base;
		} __packed ioapic;
		struct {
			u8 bus, irq;
			u32 gsi;
			u16 flags;
		} __packed override;
		struct {
			u16 reserved;
			u32 id, flags;
		} __packed x2apic;
	};
} __packed;

enum madt_type { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9 };

static u32 apic_ids[MAX_CPUS];
static unsigned int nr_found; /* usable; those beyond MAX_CPUS only counted */
static u16 pm_timer_port;
static paddr_t hpet_registers;
static paddr_t ioapic_registers;
static u32 ioapic_base;

static struct isa_override {
	u32 gsi;
	u16 flags;
	bool set;
} overrides[NR_ISA_IRQS];

static bool checksum_good(const void *p, size_t len)
{
	const u8 *byte = p;
	u8 sum = 0;

	while (len--)
		sum += *byte++;
	return sum == 0;
}

/* ---- finding tables ------------------------------------------------------------------------ */

/* Map the table at @pa; NULL, with a sentence, if it is not one. */
static const struct acpi_table *table_at(paddr_t pa)
{
	const struct acpi_table *t = pgtable_map_phys(pa, sizeof(*t), PTE_NX);
	u32 length;

	if (!t) {
		printk("acpi: a table at 0x%lx is out of reach\n", (unsigned long)pa);
		return NULL;
	}
	length = t->length;
	if (length < sizeof(*t) || length > MAX_TABLE || !pgtable_map_phys(pa, length, PTE_NX) ||
	    !checksum_good(t, length)) {
		printk("acpi: the table %.4s at 0x%lx is damaged and not used\n", t->signature,
		       (unsigned long)pa);
		return NULL;
	}
	return t;
}

static const struct rsdp *rsdp_scan(paddr_t start, paddr_t end)
{
	for (paddr_t pa = start; pa + sizeof(struct rsdp) <= end; pa += 16) {
		const struct rsdp *r = phys_to_virt(pa); /* low memory is always mapped */

		if (!memcmp(r->signature, "RSD PTR ", 8) && checksum_good(r, 20))
			return r;
	}
	return NULL;
}

static const struct rsdp *rsdp_find(paddr_t hint)
{
	const struct rsdp *r = hint ? pgtable_map_phys(hint, sizeof(*r), PTE_NX) : NULL;
	paddr_t ebda;

	if (r && !memcmp(r->signature, "RSD PTR ", 8) && checksum_good(r, 20))
		return r;
	if (hint)
		printk("acpi: the RSDP that the loader named, at 0x%lx, is none\n",
		       (unsigned long)hint);
	ebda = (paddr_t) * (const u16 *)phys_to_virt(EBDA_POINTER) << 4;
	r = ebda && ebda < 0xa0000 ? rsdp_scan(ebda, min(ebda + 1024, (paddr_t)0xa0000)) : NULL;
	return r ? r : rsdp_scan(BIOS_START, BIOS_END);
}

/* The RSDT or XSDT; @width is the size of its entries. */
static const struct acpi_table *root_table(const struct rsdp *r, unsigned int *width)
{
	const struct acpi_table *t = NULL;

	*width = 8;
	if (r->revision >= 2 && r->xsdt && checksum_good(r, sizeof(*r)))
		t = table_at(r->xsdt);
	if (t)
		return t;
	*width = 4;
	return table_at(r->rsdt);
}

static const struct acpi_table *find_table(const struct acpi_table *root, unsigned int width,
					   const char *signature)
{
	const char *entry = (const char *)(root + 1);
	const char *end = (const char *)root + root->length;

	for (; entry + width <= end; entry += width) {
		const struct acpi_table *t;
		u64 pa = 0;

		memcpy(&pa, entry, width);
		t = pa ? pgtable_map_phys(pa, sizeof(*t), PTE_NX) : NULL;
		if (t && !memcmp(t->signature, signature, 4))
			return table_at(pa);
	}
	return NULL;
}

/* ---- reading them -------------------------------------------------------------------------- */

static bool has_x2apic(void)
{
	u32 a, b, c, d;

	cpuid(1, 0, &a, &b, &c, &d);
	return c & CPUID_X2APIC;
}

/* The boot CPU is the 0th whatever the table's order. */
static void add_cpu(u32 id, u32 flags)
{
	if (!(flags & 1) || id == apic_ids[0])
		return;
	if (id > MAX_XAPIC_ID && !has_x2apic()) {
		printk("acpi: the CPU with APIC id %u cannot be reached; going on without it\n",
		       id);
		return;
	}
	for (unsigned int i = 1; i < min(nr_found, (unsigned int)MAX_CPUS); i++)
		if (apic_ids[i] == id)
			return; /* named by both kinds of entries */
	if (nr_found < MAX_CPUS)
		apic_ids[nr_found] = id;
	else
		printk("acpi: the CPU with APIC id %u is beyond %d; going on without it\n", id,
		       MAX_CPUS);
	nr_found++;
}

static void take_ioapic(const struct madt_entry *e)
{
	/* ISA interrupts are the first global ones. */
	if (ioapic_registers && ioapic_base <= e->ioapic.gsi_base)
		return;
	ioapic_registers = e->ioapic.address;
	ioapic_base = e->ioapic.gsi_base;
}

static void take_override(const struct madt_entry *e)
{
	if (e->override.bus == 0 && e->override.irq < NR_ISA_IRQS)
		overrides[e->override.irq] =
			(struct isa_override){ e->override.gsi, e->override.flags, true };
}

static void madt_entry(const struct madt_entry *e)
{
	if (e->type == MADT_LAPIC && e->length >= 8)
		add_cpu(e->lapic.id, e->lapic.flags);
	else if (e->type == MADT_X2APIC && e->length >= 16)
		add_cpu(e->x2apic.id, e->x2apic.flags);
	else if (e->type == MADT_IOAPIC && e->length >= 12)
		take_ioapic(e);
	else if (e->type == MADT_OVERRIDE && e->length >= 10)
		take_override(e);
}

static void read_madt(const struct acpi_table *t)
{
	u32 offset = sizeof(*t) + 8; /* local APIC address, flags */

	while (offset + 2 <= t->length) {
		const struct madt_entry *e = (const void *)((const char *)t + offset);

		if (e->length < 2 || e->length > t->length - offset) {
			printk("acpi: the MADT is damaged at offset %u; the rest is not used\n",
			       offset);
			return;
		}
		madt_entry(e);
		offset += e->length;
	}
}

/* No MADT: a QEMU without ACPI still tells how many CPUs there are. */
static void guess_cpus(void)
{
	unsigned int n = fwcfg_nr_cpus();

	if (!n) {
		printk("acpi: no table of CPUs (MADT); going on with one\n");
		return;
	}
	printk("acpi: no table of CPUs (MADT); QEMU says %u, APIC ids from 0 on are assumed\n", n);
	for (u32 id = 0; id < n; id++)
		add_cpu(id, 1);
	ioapic_registers = DEFAULT_IOAPIC;
}

static void read_fadt(const struct acpi_table *t)
{
	u32 port = 0;

	if (t->length >= 80)
		memcpy(&port, (const char *)t + 76, sizeof(port)); /* PM_TMR_BLK */
	if (port <= 0xffff)
		pm_timer_port = (u16)port;
}

static void read_hpet(const struct acpi_table *t)
{
	u8 space = ((const u8 *)t)[40];

	if (t->length >= 52 && space == 0) /* memory, not ports */
		memcpy(&hpet_registers, (const char *)t + 44, sizeof(hpet_registers));
}

void acpi_init(const struct boot_info *info)
{
	const struct rsdp *r = rsdp_find(info->rsdp);
	const struct acpi_table *root, *madt = NULL, *t;
	unsigned int width;

	apic_ids[0] = apic_id();
	nr_found = 1;
	root = r ? root_table(r, &width) : NULL;
	if (root) {
		madt = find_table(root, width, "APIC");
		t = find_table(root, width, "FACP");
		if (t)
			read_fadt(t);
		t = find_table(root, width, "HPET");
		if (t)
			read_hpet(t);
	}
	if (madt)
		read_madt(madt);
	else
		guess_cpus();
}

unsigned int acpi_nr_cpus(void)
{
	return min(nr_found, (unsigned int)MAX_CPUS);
}

u32 acpi_apic_id(unsigned int n)
{
	return apic_ids[n];
}

u16 acpi_pm_timer_port(void)
{
	return pm_timer_port;
}

paddr_t acpi_hpet(void)
{
	return hpet_registers;
}

paddr_t acpi_ioapic(u32 *gsi_base)
{
	*gsi_base = ioapic_base;
	return ioapic_registers;
}

u32 acpi_isa_gsi(unsigned int irq, u16 *flags)
{
	*flags = overrides[irq].flags;
	return overrides[irq].set ? overrides[irq].gsi : irq;
}
