/* SPDX-License-Identifier: MIT */
/*
 * main.c - the order in which everything begins.
 *
 * The only file that may name every layer below it; nothing names it but the boot code.
 */
#include <sys/errno.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/fwcfg.h"
#include "arch/x86_64/pgtable.h"
#include "arch/x86_64/serial.h"
#include "arch/x86_64/smp.h"
#include "arch/x86_64/timer.h"
#include "arch/x86_64/tlb.h"
#include "arch/x86_64/upcall.h"
#include "boot/boot.h"
#include "drivers/virtio/virtio_blk.h"
#include "kernel/block/ramblk.h"
#include "kernel/core/args.h"
#include "kernel/core/clock.h"
#include "kernel/core/printk.h"
#include "kernel/lib/fmt.h"
#include "kernel/core/sched.h"
#include "kernel/core/trace.h"
#include "kernel/fs/fs.h"
#include "kernel/lib/radix.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/page_alloc.h"
#include "kernel/mm/policy.h"
#include "kernel/mm/reclaim.h"
#include "kernel/mm/vmap.h"
#include "kernel/mm/throttle.h"
#include "libc/libc.h"

u64 boot_tsc;

static char root_device[ARG_STRING_MAX];
ARG_STRING(root, root_device, "device of the root file system; default: the first that has one");

static const struct boot_info *boot;

static void parse_arguments(void)
{
	static char from_qemu[1024];

	if (boot->complaint[0])
		printk("boot: %s\n", boot->complaint);
	policy_choose("write_notify");
	args_parse(boot->cmdline, boot->loader == BOOT_PVH ? "-append" : "GRUB");
	if (fwcfg_read("opt/dirtybit/args", from_qemu, sizeof(from_qemu)) > 0)
		args_parse(from_qemu, "fw_cfg");
	/* Who looks for mistakes wants to know what led to them. */
	trace_on |= debug_checks;
}

static void *radix_alloc(size_t size)
{
	return kzalloc(size);
}

static void radix_free(void *node, size_t size)
{
	kfree(node);
}

/* Disks that the boot loader brought along, used in place. */
static void make_ram_disks(void)
{
	for (unsigned int i = 0; i < boot->nr_modules; i++) {
		const struct boot_module *m = &boot->modules[i];
		struct blkdev *dev;
		char name[8];

		ksnprintf(name, sizeof(name), "ram%u", i);
		if (ramblk_create(name, m->end - m->start, phys_to_virt(m->start), SECTOR_SIZE,
				  &dev))
			printk("boot: module %u (%s) cannot be a RAM disk: no memory\n", i,
			       m->name);
	}
}

static void mount_root(void)
{
	struct blkdev *dev;

	if (root_device[0]) {
		if (!vfs_mount(root_device, NULL, "/"))
			return;
	} else {
		for (dev = blkdev_next(NULL); dev; dev = blkdev_next(dev))
			if (!vfs_mount(dev->name, NULL, "/"))
				return;
	}
	printk("boot: no disk with a file system: the root is in memory (ramfs)\n");
	vfs_mount("none", "ramfs", "/");
}

/* The rest of the boot, in a thread: from here on sleeping is allowed. */
static int init(void *arg)
{
	smp_boot();
	serial_init_input();
	throttle_init();
	reclaim_start();
	make_ram_disks();
	virtio_blk_probe_all();
	mount_root();
	vfs_mkdir("/tmp", 0755);
	vfs_mount("none", "ramfs", "/tmp");
	mm_use(mm_create()); /* the first program's; it lives as long as the machine */
	return init_main();  /* apps/init.c; does not come back */
}

void kmain(const struct boot_info *info)
{
	boot_tsc = rdtsc();
	boot = info;
	cpu_init(0);
	serial_init();
	parse_arguments();
	early_init(info);
	pgtable_boot(info, early_alloc);
	prove_write_protect();
	page_alloc_init(info);
	kmalloc_init();
	radix_init_memory(radix_alloc, radix_free);
	vmap_init();
	tlb_init_cpu();
	acpi_init(info);
	apic_init_cpu();
	timer_init();
	timer_init_cpu();
	sched_init(thread_alloc, thread_free);
	sched_init_cpu(thread_alloc());
	smp_set_memory(stack_alloc);
	printk("dirtybit: %lu MiB of memory, CR0.WP proved, policy %s\n",
	       (unsigned long)(nr_total_pages() >> 8), global_policy->name);
	thread_put(thread_create("init", CPU_ANY, NULL, NULL, init, NULL));
	irq_enable();
	sched_idle_loop();
}

void kmain_ap(unsigned int cpu)
{
	apic_init_cpu();
	timer_init_cpu();
	tlb_init_cpu();
	sched_init_cpu(thread_alloc());
	irq_enable();
	sched_idle_loop();
}
