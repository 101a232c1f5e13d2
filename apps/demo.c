/* SPDX-License-Identifier: MIT */
/*
 * demo.c - the demonstration: what a store to a shared file mapping costs, and when it reaches the
 * disk. One line for each step, with what the step added to the counters; every line is checked.
 *
 * The disk column is read from the device, outside the cache. Threads on all other CPUs spin in the
 * address space while the pages are cleaned, so that the shootdown has somebody to reach. What the
 * counters must say is known for write_notify; under other policies only the bytes are checked.
 */
#include <dirtybit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "/demo.dat"
#define PAGES	  64
#define PAGE	  4096
#define SIZE	  ((size_t)PAGES * PAGE)
#define WORD	  8
#define MAX_CPUS  64

static struct {
	int fd, cpus, step, good;
	char *map;
	bool strict; /* the counters can be predicted */
	bool ok;     /* so far, of this step */
	struct db_stats before, after;
	char complaints[512];
	/* What the other CPUs do: each new round they store @word to their pages; while @hold is
	 * not zero they spin, otherwise they sleep. */
	volatile const char *word;
	volatile int round, hold, arrived;
	int holds;
	volatile bool stop;
} d;

/* --- the threads on the other CPUs --- */

/* Page p belongs to CPU p modulo their number. */
static void store_pages(int cpu, const char *word)
{
	int p;

	for (p = cpu; p < PAGES; p += d.cpus)
		*(volatile uint64_t *)(d.map + (size_t)p * PAGE) = *(const uint64_t *)word;
}

static int store_thread(void *arg)
{
	int cpu = (int)(intptr_t)arg;
	int seen = 0;
	int held = 0;

	while (!d.stop) {
		if (d.round != seen) {
			seen = d.round;
			store_pages(cpu, (const char *)d.word);
			__atomic_add_fetch(&d.arrived, 1, __ATOMIC_SEQ_CST);
		} else if (!d.hold) {
			usleep(200);
		} else if (d.hold != held) {
			held = d.hold;
			__atomic_add_fetch(&d.arrived, 1, __ATOMIC_SEQ_CST);
		} else {
			__builtin_ia32_pause();
		}
	}
	return 0;
}

static void wait_for_all(void)
{
	while (d.arrived < d.cpus - 1)
		usleep(50);
}

static void store_on_every_cpu(const char *word)
{
	d.word = word;
	d.arrived = 0;
	__atomic_add_fetch(&d.round, 1, __ATOMIC_SEQ_CST);
	store_pages(0, word);
	wait_for_all();
}

/* From here to let_go() every other CPU runs in this address space and does nothing. */
static void hold_all(void)
{
	d.arrived = 0;
	d.hold = ++d.holds;
	wait_for_all();
}

static void let_go(void)
{
	d.hold = 0;
}

/* --- telling and checking --- */

static void complain(const char *fmt, ...)
{
	size_t n = strlen(d.complaints);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d.complaints + n, sizeof(d.complaints) - n, fmt, ap);
	va_end(ap);
	d.ok = false;
}

static uint64_t rose(const char *counter)
{
	return db_stats_diff(&d.before, &d.after, counter);
}

static void expect(const char *counter, uint64_t low, uint64_t high)
{
	uint64_t value = rose(counter);

	if (!d.strict || (value >= low && value <= high))
		return;
	complain("     FAIL: %s rose by %llu, expected %llu", counter, (unsigned long long)value,
		 (unsigned long long)low);
	complain(low == high ? "\n" : " to %llu\n", (unsigned long long)high);
}

/* The words that the disk holds now: one if all pages agree, else "mixed". */
static const char *disk_word(void)
{
	static char word[WORD + 1];
	char now[WORD];
	int p;

	for (p = 0; p < PAGES; p++) {
		if (db_disk_read(d.fd, (uint64_t)p * PAGE, now, WORD) != WORD) {
			complain("     FAIL: the disk: %s\n", strerror(errno));
			return "?";
		}
		if (p && memcmp(word, now, WORD))
			return "mixed";
		memcpy(word, now, WORD);
	}
	return word[0] ? word : "zeros";
}

static void begin(void)
{
	d.ok = true;
	d.complaints[0] = '\0';
	db_stats_read(&d.before);
}

/* End of what is counted; the checks follow, then tell(). */
static void counted(void)
{
	db_stats_read(&d.after);
}

static void tell(const char *what, const char *disk_should_say)
{
	uint64_t io = rose("bio_reads") + rose("bio_writes") + rose("bio_flushes");
	const char *disk = disk_word();

	if (disk_should_say && strcmp(disk, disk_should_say))
		complain("     FAIL: the disk should hold \"%s\"\n", disk_should_say);
	printf("%2d  %-30s %6llu %6llu %8llu %5llu %6llu %5llu %4llu  %s\n", ++d.step, what,
	       (unsigned long long)rose("faults"), (unsigned long long)rose("write_faults"),
	       (unsigned long long)rose("pages_cleaned"), (unsigned long long)rose("ptes_cleaned"),
	       (unsigned long long)rose("tlb_shootdowns"),
	       (unsigned long long)rose("tlb_ipis_sent"), (unsigned long long)io, disk);
	printf("%s", d.complaints);
	d.good += d.ok;
}

static void tell_time(const char *when, struct db_time t)
{
	time_t seconds = t.sec;
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("    mtime %-24s %s.%09u\n", when, text, (unsigned int)t.nsec);
}

static struct db_stat now(void)
{
	struct db_stat st = { 0 };

	db_stat_fd(d.fd, &st);
	return st;
}

/* --- the steps --- */

static void write_old(void)
{
	static char page[PAGE] = "old";
	int p;

	begin();
	for (p = 0; p < PAGES; p++) {
		if (pwrite(d.fd, page, PAGE, (off_t)p * PAGE) != PAGE)
			complain("     FAIL: write: %s\n", strerror(errno));
	}
	if (fsync(d.fd))
		complain("     FAIL: fsync: %s\n", strerror(errno));
	counted();
	expect("pages_cleaned", PAGES, PAGES);
	expect("tlb_ipis_sent", 0, 0);
	tell("write \"old\", fsync", "old");
}

static bool map_and_load(void)
{
	uint64_t sum = 0;
	int p;

	begin();
	d.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, d.fd, 0);
	if (d.map == MAP_FAILED) {
		printf("demo: mmap of " FILE_NAME ": %s\n", strerror(errno));
		d.step++;
		return false;
	}
	for (p = 0; p < PAGES; p++)
		sum += *(volatile uint64_t *)(d.map + (size_t)p * PAGE);
	counted();
	if (memcmp(d.map, "old", 4) || !sum)
		complain("     FAIL: the mapping does not show what was written\n");
	expect("faults", 1, PAGES);
	expect("write_faults", 0, 0);
	tell("mmap MAP_SHARED, load all", "old");
	return true;
}

static void store_new(void)
{
	char what[40];

	begin();
	store_on_every_cpu("new\0\0\0\0");
	counted();
	expect("write_faults", PAGES, PAGES);
	expect("pages_dirtied", PAGES, PAGES);
	expect("pages_cleaned", 0, 0);
	snprintf(what, sizeof(what), "store \"new\" on %d CPU%s", d.cpus, d.cpus > 1 ? "s" : "");
	tell(what, "old");
}

static void store_again(void)
{
	begin();
	store_on_every_cpu("new\0\0\0\0");
	counted();
	expect("write_faults", 0, 0);
	tell("the same again: dirty already", "old");
}

static void msync_all(void)
{
	hold_all();
	begin();
	if (msync(d.map, SIZE, MS_SYNC))
		complain("     FAIL: msync: %s\n", strerror(errno));
	counted();
	let_go();
	expect("pages_cleaned", PAGES, PAGES);
	expect("ptes_cleaned", PAGES, PAGES);
	expect("tlb_shootdowns", 1, 1);
	expect("tlb_ipis_sent", 0, d.cpus - 1);
	expect("bio_writes", 1, PAGES);
	tell("msync: write-protect and write", "new");
}

static void store_newer(void)
{
	begin();
	store_on_every_cpu("newer\0\0");
	counted();
	expect("write_faults", PAGES, PAGES);
	expect("pages_dirtied", PAGES, PAGES);
	tell("store \"newer\": faults again", "new");
}

static void msync_newer(void)
{
	hold_all();
	begin();
	if (msync(d.map, SIZE, MS_SYNC))
		complain("     FAIL: msync: %s\n", strerror(errno));
	counted();
	let_go();
	expect("pages_cleaned", PAGES, PAGES);
	expect("tlb_shootdowns", 1, 1);
	tell("msync", "newer");
}

static void msync_clean(void)
{
	hold_all();
	begin();
	if (msync(d.map, SIZE, MS_SYNC))
		complain("     FAIL: msync: %s\n", strerror(errno));
	counted();
	let_go();
	expect("pages_cleaned", 0, 0);
	expect("tlb_shootdowns", 0, 0);
	expect("bio_writes", 0, 0);
	tell("msync with nothing dirty", "newer");
}

static void unmap(void)
{
	hold_all();
	begin();
	if (munmap(d.map, SIZE))
		complain("     FAIL: munmap: %s\n", strerror(errno));
	counted();
	let_go();
	expect("ptes_zapped", PAGES, PAGES);
	tell("munmap", "newer");
}

/* The change cookie moves with mtime, and also where the disk keeps whole seconds only. */
static void times(const struct db_stat *before, const struct db_stat *stored,
		  const struct db_stat *synced)
{
	begin();
	d.step++;
	tell_time("before the first store", before->mtime);
	tell_time("after it", stored->mtime);
	tell_time("after msync", synced->mtime);
	if (synced->version == before->version)
		complain("     FAIL: msync left mtime as it was\n");
	printf("%s", d.complaints);
	d.good += d.ok;
}

static void steps(void)
{
	struct db_stat before, stored, synced;

	write_old();
	if (!map_and_load())
		return;
	before = now();
	store_new();
	stored = now();
	store_again();
	msync_all();
	synced = now();
	store_newer();
	msync_newer();
	msync_clean();
	unmap();
	times(&before, &stored, &synced);
}

/* Pinned to CPU 0; the others each get a thread that stays until the mapping goes. */
static int on_boot_cpu(void *unused)
{
	struct db_thread *threads[MAX_CPUS] = { NULL };
	int cpu;

	for (cpu = 1; cpu < d.cpus; cpu++) {
		threads[cpu] = db_thread_start(cpu, store_thread, (void *)(intptr_t)cpu);
		if (!threads[cpu]) {
			printf("demo: no thread on CPU %d: %s\n", cpu, strerror(errno));
			d.cpus = cpu;
		}
	}
	steps();
	d.stop = true;
	for (cpu = 1; cpu < MAX_CPUS; cpu++) {
		if (threads[cpu])
			db_thread_join(threads[cpu]);
	}
	return 0;
}

static int demo(int argc, char **argv)
{
	const char *type = db_fs_type("/");
	const char *device = db_fs_device("/");
	struct db_thread *t;

	memset(&d, 0, sizeof(d));
	if (!device) {
		printf("demo: needs a disk to show anything; / is %s\n",
		       type ? type : "not mounted");
		return 1;
	}
	d.cpus = db_nr_cpus();
	d.strict = !strcmp(db_policy_current(), "write_notify");
	/* A new file: times never go back, and a restart may be a second behind the old one's. */
	if (!unlink(FILE_NAME) || errno == ENOENT)
		d.fd = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL, 0644);
	else
		d.fd = -1;
	if (d.fd < 0) {
		printf("demo: " FILE_NAME ": %s\n", strerror(errno));
		return 1;
	}
	printf("demo: a store to a shared mapping, and its way to the disk\n"
	       "      " FILE_NAME ": %d pages, %s on %s; %d CPU%s; policy %s\n\n",
	       PAGES, type, device, d.cpus, d.cpus > 1 ? "s" : "", db_policy_current());
	printf("    %-30s %6s %6s %8s %5s %6s %5s %4s  %s\n", "what is done", "faults", "write",
	       "cleaned", "PTEs", "flush", "IPIs", "I/O", "on disk");
	t = db_thread_start(0, on_boot_cpu, NULL);
	if (t)
		db_thread_join(t);
	close(d.fd);
	printf("\n    write: faults of a first store; cleaned: pages; PTEs: that lost W or D;\n");
	printf("    flush: TLB shootdowns; I/O: device requests; on disk: read past the cache\n");
	printf("\ndemo: %d of %d steps as expected\n", d.good, d.step);
	return !t || d.good != d.step;
}
PROGRAM(demo, demo, "one store's way to the disk, step by step");
