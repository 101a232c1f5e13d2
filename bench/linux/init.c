/* SPDX-License-Identifier: MIT */
/*
 * init.c - the first and only process of the Linux that the benches are compared with.
 *
 * Loads the modules that the disk needs, mounts it, runs the benches that the kernel's command line
 * names, and leaves QEMU as dirtybit does: "dirtybit: done: pass" and 0x10 to port 0xf4.
 *
 *	bench=NAME+NAME...	which benches, in this order
 *	fstype=ext4|ext2	what is on /dev/vda
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

extern const struct linux_bench __start_benches[], __stop_benches[];

static int failures;

static void complain(const char *what, const char *name)
{
	printf("bench: %s %s: %s\n", what, name, strerror(errno));
	failures++;
}

static void mount_at(const char *device, const char *path, const char *type)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		complain("cannot make", path);
	if (mount(device, path, type, 0, NULL))
		complain("cannot mount", path);
}

/* /modules lists them in the order in which they need each other. */
static void load_modules(void)
{
	FILE *list = fopen("/modules", "r");
	char name[256];
	int fd;

	while (list && fgets(name, sizeof(name), list)) {
		name[strcspn(name, "\n")] = '\0';
		fd = open(name, O_RDONLY);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			complain("cannot load", name);
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		complain("cannot set", path);
	if (fd >= 0)
		close(fd);
}

/* As bench/run has dirtybit: dirty pages wait for msync, and the flusher is not in the way. */
static void quieten(void)
{
	set("/proc/sys/vm/dirty_ratio", "90");
	set("/proc/sys/vm/dirty_background_ratio", "90");
	set("/proc/sys/vm/dirty_writeback_centisecs", "0");
}

static void wait_for_disk(void)
{
	struct stat st;
	int tries;

	for (tries = 0; tries < 500 && stat("/dev/vda", &st); tries++)
		usleep(10000);
}

static void run(const char *name)
{
	const struct linux_bench *b;
	char *argv[] = { (char *)name, NULL };

	for (b = __start_benches; b < __stop_benches; b++) {
		if (strcmp(b->name, name))
			continue;
		if (b->main(1, argv)) {
			printf("bench: %s failed\n", name);
			failures++;
		}
		return;
	}
	printf("bench: there is no bench %s\n", name);
	failures++;
}

static void __attribute__((noreturn)) finish(void)
{
	printf("dirtybit: done: %s\n", failures ? "fail" : "pass");
	fflush(stdout);
	sync();
	usleep(100000); /* the serial line's buffer */
	iopl(3);
	outb(failures ? 0x11 : 0x10, 0xf4);
	for (;;)
		pause();
}

int main(void)
{
	const char *type = getenv("fstype");
	const char *wanted = getenv("bench");
	struct utsname name;
	cpu_set_t first;
	char *copy, *next;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_at("proc", "/proc", "proc");
	mount_at("sys", "/sys", "sysfs");
	mount_at("dev", "/dev", "devtmpfs");
	load_modules();
	wait_for_disk();
	mount_at("/dev/vda", "/bench", type ? type : "ext4");
	setenv("BENCH_FS", type ? type : "ext4", 1);
	quieten();
	uname(&name);
	printf("bench: %s %s\n", name.sysname, name.release);
	/* The clock and the idle time are one CPU's. */
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	copy = strdup(wanted ? wanted : "");
	for (next = strtok(copy, "+"); !failures && next; next = strtok(NULL, "+"))
		run(next);
	free(copy);
	finish();
}
