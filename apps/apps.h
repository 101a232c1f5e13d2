/* SPDX-License-Identifier: MIT */
/*
 * apps.h - what the programs of this folder know of each other.
 */
#ifndef APPS_APPS_H
#define APPS_APPS_H

#include <stddef.h>

/* line.c. Show @prompt and let a line be edited on the terminal; its length without the newline.
 * -1: Ctrl-D on an empty line. */
int line_read(const char *prompt, char *buf, size_t size);

/* shell.c. Prompt until poweroff or Ctrl-D. */
void shell(void);
/* One line; its status, 0 is success. @line is cut up. */
int shell_line(char *line);

/* init.c. From now on the run ends as failed, whatever else happens. */
void init_note_failure(void);
void init_finish(void) __attribute__((noreturn));

/* lab/lab.c. The laboratory with the words of the boot argument; its status. */
int lab_from_boot(const char *words);

#endif
