/* SPDX-License-Identifier: MIT */
/*
 * commands_file.c - shell commands about files, directories, disks and mounts.
 */
#include <dirent.h>
#include <dirtybit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* "ls: /x: No such file or directory"; always 1. */
static int complain(const char *command, const char *object)
{
	printf("%s: %s: %s\n", command, object, strerror(errno));
	return 1;
}

/* "2023-11-14 22:13:20" of @t, UTC; with @nanoseconds also ".000000000". */
static const char *time_text(struct db_time t, bool nanoseconds, char *buf, size_t size)
{
	time_t seconds = t.sec;
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
	if (nanoseconds)
		snprintf(buf + n, size - n, ".%09u", (unsigned int)t.nsec);
	return buf;
}

static void list_entry(const char *name, const struct db_stat *st)
{
	char when[32];

	printf("%c %3u %12llu  %s  %s%s\n", S_ISDIR(st->mode) ? 'd' : '-', (unsigned int)st->nlink,
	       (unsigned long long)st->size, time_text(st->mtime, false, when, sizeof(when)), name,
	       S_ISDIR(st->mode) ? "/" : "");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names of @dir, sorted, into *@names; their number. */
static size_t read_names(DIR *dir, char ***names)
{
	struct dirent *entry;
	size_t room = 0;
	size_t n = 0;
	char **more;

	*names = NULL;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (n == room) {
			room = room ? 2 * room : 32;
			more = realloc(*names, room * sizeof(**names));
			if (!more)
				break;
			*names = more;
		}
		(*names)[n] = strdup(entry->d_name);
		if (!(*names)[n])
			break;
		n++;
	}
	qsort(*names, n, sizeof(**names), compare_names);
	return n;
}

static int list_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct db_stat st;
	char full[512];
	char **names;
	size_t n, i;
	int status = 0;

	if (!dir)
		return complain("ls", path);
	errno = 0;
	n = read_names(dir, &names);
	if (errno)
		status = complain("ls", path);
	for (i = 0; i < n; i++) {
		snprintf(full, sizeof(full), "%s/%s", path, names[i]);
		if (db_stat_path(full, &st))
			status = complain("ls", full);
		else
			list_entry(names[i], &st);
		free(names[i]);
	}
	free(names);
	closedir(dir);
	return status;
}

static int ls(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/";
	struct db_stat st;

	if (db_stat_path(path, &st))
		return complain("ls", path);
	if (S_ISDIR(st.mode))
		return list_directory(path);
	list_entry(path, &st);
	return 0;
}
COMMAND(ls, ls, "[PATH]", "list a directory or a file");

static int cat_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	char last = '\n';
	char buf[1024];
	ssize_t n;

	if (fd < 0)
		return complain("cat", path);
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		last = buf[n - 1];
		if (write(STDOUT_FILENO, buf, n) != n) {
			n = -1;
			break;
		}
	}
	/* The prompt belongs to a line of its own. */
	if (last != '\n' && isatty(STDOUT_FILENO))
		putchar('\n');
	if (n < 0)
		complain("cat", path);
	close(fd);
	return n < 0;
}

static int cat(int argc, char **argv)
{
	int status = 0;
	int i;

	if (argc < 2) {
		printf("cat: which file?\n");
		return 1;
	}
	for (i = 1; i < argc; i++)
		status |= cat_file(argv[i]);
	return status;
}
COMMAND(cat, cat, "FILE...", "show files");

static int stat_file(int argc, char **argv)
{
	struct db_stat st;
	char when[40];

	if (argc != 2) {
		printf("stat: which file?\n");
		return 1;
	}
	if (db_stat_path(argv[1], &st))
		return complain("stat", argv[1]);
	printf("%s: %s, inode %llu, mode %04o, %u links\n", argv[1],
	       S_ISDIR(st.mode) ? "directory" : "regular file", (unsigned long long)st.ino,
	       (unsigned int)st.mode & 07777, (unsigned int)st.nlink);
	printf("  size     %llu bytes, %llu blocks of 512, %u per I/O\n",
	       (unsigned long long)st.size, (unsigned long long)st.blocks,
	       (unsigned int)st.blksize);
	printf("  access   %s\n", time_text(st.atime, true, when, sizeof(when)));
	printf("  modify   %s\n", time_text(st.mtime, true, when, sizeof(when)));
	printf("  change   %s\n", time_text(st.ctime, true, when, sizeof(when)));
	printf("  version  %llu\n", (unsigned long long)st.version);
	return 0;
}
COMMAND(stat, stat_file, "FILE", "size, blocks and times with nanoseconds");

static int rm(int argc, char **argv)
{
	struct db_stat st;
	int status = 0;
	int i;

	for (i = 1; i < argc; i++) {
		bool dir = !db_stat_path(argv[i], &st) && S_ISDIR(st.mode);

		if (dir ? rmdir(argv[i]) : unlink(argv[i]))
			status = complain("rm", argv[i]);
	}
	return status;
}
COMMAND(rm, rm, "PATH...", "remove files and empty directories");

static int make_directory(int argc, char **argv)
{
	int status = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (mkdir(argv[i], 0755))
			status = complain("mkdir", argv[i]);
	}
	return status;
}
COMMAND(mkdir, make_directory, "PATH...", "make directories");

static int mv(int argc, char **argv)
{
	if (argc != 3) {
		printf("mv: from where to where?\n");
		return 1;
	}
	return rename(argv[1], argv[2]) ? complain("mv", argv[1]) : 0;
}
COMMAND(mv, mv, "FROM TO", "rename a file or directory");

static int echo(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		printf("%s%s", argv[i], i < argc - 1 ? " " : "");
	printf("\n");
	return 0;
}
COMMAND(echo, echo, "TEXT", "say it");

static int sync_all(int argc, char **argv)
{
	sync();
	return 0;
}
COMMAND(sync, sync_all, "", "write everything to the disks");

static int disks(int argc, char **argv)
{
	struct db_disk d;
	int n;

	for (n = 0; !db_disk_info(n, &d); n++) {
		if (!n)
			printf("%-8s %10s %7s %10s %10s %8s\n", "disk", "MiB", "sector", "reads",
			       "writes", "flushes");
		printf("%-8s %10.1f %7u %10llu %10llu %8llu%s%s\n", d.name, d.bytes / 1048576.0,
		       (unsigned int)d.sector_size, (unsigned long long)d.reads,
		       (unsigned long long)d.writes, (unsigned long long)d.flushes,
		       d.in_use ? "  mounted" : "", d.read_only ? "  read-only" : "");
	}
	if (!n)
		printf("disks: there is none\n");
	return 0;
}
COMMAND(disks, disks, "", "disks and the requests they got");

static int mount(int argc, char **argv)
{
	const char *device = argc > 1 && strcmp(argv[1], "none") ? argv[1] : NULL;
	const char *type = db_fs_type("/");

	if (argc == 1) {
		const char *on = db_fs_device("/");

		if (type)
			printf("/ is %s on %s\n", type, on ? on : "no device");
		else
			printf("mount: nothing is mounted\n");
		return 0;
	}
	if (argc < 3) {
		printf("mount: a device (or none), a path, and perhaps a type\n");
		return 1;
	}
	return db_mount(device, argc > 3 ? argv[3] : NULL, argv[2]) ? 1 : 0;
}
COMMAND(mount, mount, "[DEVICE PATH [TYPE]]", "show the root, or mount a file system");

static int umount(int argc, char **argv)
{
	if (argc != 2) {
		printf("umount: which path?\n");
		return 1;
	}
	return db_umount(argv[1]) ? 1 : 0;
}
COMMAND(umount, umount, "PATH", "write everything of it and let it go");
