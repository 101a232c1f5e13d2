/* SPDX-License-Identifier: MIT */
/*
 * line.c - editing one line on a plain serial terminal, with history.
 *
 * Owns:  the echo; the console is raw. The terminal must know carriage return, ESC [ K, ESC [ n C.
 * Keys:  arrows, Home, End, Backspace, Delete; Ctrl-A E B F start, end, left, right; Ctrl-D delete
 *	  (or end of input), Ctrl-K U W kill to the end, the line, a word; Ctrl-P N history; Ctrl-L
 *	  redraw; Ctrl-C give up the line.
 * A line longer than the terminal is shown through a window that follows the cursor.
 */
#include "apps/apps.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CTRL(c)	     ((c)&0x1f)
#define LINE_SIZE    256
#define HISTORY_SIZE 32
#define COLUMNS	     80

enum key { KEY_UP = 256, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_DELETE, KEY_NONE };

struct line {
	const char *prompt;
	char text[LINE_SIZE]; /* always terminated */
	size_t len, pos;
	unsigned int back; /* steps back in history; 0: the new line */
};

static char history[HISTORY_SIZE][LINE_SIZE];
static unsigned int history_count; /* lines ever kept */
static char unfinished[LINE_SIZE]; /* the new line, while history is looked at */

static int read_byte(void)
{
	unsigned char c;

	return read(STDIN_FILENO, &c, 1) == 1 ? c : CTRL('d');
}

static void put(const char *text, size_t len)
{
	write(STDOUT_FILENO, text, len);
}

/* The rest of a sequence that began with ESC: ESC [ letter, ESC O letter, ESC [ number ~. */
static int read_escape(void)
{
	int c = read_byte();
	int number = 0;

	if (c != '[' && c != 'O')
		return KEY_NONE;
	c = read_byte();
	while ((c >= '0' && c <= '9') || c == ';') {
		number = c == ';' ? 0 : number * 10 + c - '0';
		c = read_byte();
	}
	switch (c) {
	case 'A': return KEY_UP;
	case 'B': return KEY_DOWN;
	case 'C': return KEY_RIGHT;
	case 'D': return KEY_LEFT;
	case 'H': return KEY_HOME;
	case 'F': return KEY_END;
	case '~': break;
	default: return KEY_NONE;
	}
	switch (number) {
	case 1:
	case 7: return KEY_HOME;
	case 4:
	case 8: return KEY_END;
	case 3: return KEY_DELETE;
	default: return KEY_NONE;
	}
}

static void redraw(const struct line *l)
{
	size_t room = COLUMNS - 1 - strlen(l->prompt);
	size_t from = l->pos > room ? l->pos - room : 0;
	size_t shown = l->len - from < room ? l->len - from : room;
	size_t column = strlen(l->prompt) + l->pos - from;
	char out[COLUMNS + 32];
	int n;

	n = snprintf(out, sizeof(out), "\r%s%.*s\x1b[K", l->prompt, (int)shown, l->text + from);
	if (from + shown != l->pos)
		n += snprintf(out + n, sizeof(out) - n, "\r\x1b[%zuC", column);
	put(out, n);
}

static void insert(struct line *l, char c)
{
	size_t room = COLUMNS - 1 - strlen(l->prompt);

	if (l->len == LINE_SIZE - 1)
		return;
	memmove(l->text + l->pos + 1, l->text + l->pos, l->len - l->pos + 1);
	l->text[l->pos++] = c;
	l->len++;
	if (l->pos == l->len && l->len < room)
		put(&c, 1);
	else
		redraw(l);
}

/* Remove @count characters from @at on. */
static void cut(struct line *l, size_t at, size_t count)
{
	memmove(l->text + at, l->text + at + count, l->len - at - count + 1);
	l->len -= count;
	l->pos = at;
}

static void replace(struct line *l, const char *text)
{
	strlcpy(l->text, text, sizeof(l->text));
	l->len = strlen(l->text);
	l->pos = l->len;
}

static void history_step(struct line *l, int direction)
{
	unsigned int kept = history_count < HISTORY_SIZE ? history_count : HISTORY_SIZE;

	if ((direction > 0 && l->back == kept) || (direction < 0 && !l->back))
		return;
	if (!l->back)
		strlcpy(unfinished, l->text, sizeof(unfinished));
	l->back += direction;
	replace(l, l->back ? history[(history_count - l->back) % HISTORY_SIZE] : unfinished);
}

static void history_keep(const char *text)
{
	const char *last = history[(history_count - 1) % HISTORY_SIZE];

	if (!*text || (history_count && !strcmp(text, last)))
		return;
	strlcpy(history[history_count++ % HISTORY_SIZE], text, LINE_SIZE);
}

static void kill_word(struct line *l)
{
	size_t from = l->pos;

	while (from > 0 && l->text[from - 1] == ' ')
		from--;
	while (from > 0 && l->text[from - 1] != ' ')
		from--;
	cut(l, from, l->pos - from);
}

/* Keys that move or remove; false if @key is none of them. */
static bool edit(struct line *l, int key)
{
	switch (key) {
	case KEY_LEFT:
	case CTRL('b'): l->pos -= l->pos > 0; break;
	case KEY_RIGHT:
	case CTRL('f'): l->pos += l->pos < l->len; break;
	case KEY_HOME:
	case CTRL('a'): l->pos = 0; break;
	case KEY_END:
	case CTRL('e'): l->pos = l->len; break;
	case KEY_UP:
	case CTRL('p'): history_step(l, 1); break;
	case KEY_DOWN:
	case CTRL('n'): history_step(l, -1); break;
	case '\b':
	case 0x7f:
		if (l->pos)
			cut(l, l->pos - 1, 1);
		break;
	case KEY_DELETE:
	case CTRL('d'):
		if (l->pos < l->len)
			cut(l, l->pos, 1);
		break;
	case CTRL('k'): cut(l, l->pos, l->len - l->pos); break;
	case CTRL('u'): cut(l, 0, l->len); break;
	case CTRL('w'): kill_word(l); break;
	case CTRL('l'): break;
	default: return false;
	}
	return true;
}

int line_read(const char *prompt, char *buf, size_t size)
{
	static bool after_return; /* "\r\n" ends one line, not two */
	struct line l = { .prompt = prompt };
	int key;

	fflush(stdout);
	put(prompt, strlen(prompt));
	for (;;) {
		key = read_byte();
		if (key == '\n' && after_return) {
			after_return = false;
			continue;
		}
		after_return = key == '\r';
		if (key == '\r' || key == '\n')
			break;
		if (key == 0x1b)
			key = read_escape();
		if (key == CTRL('c')) {
			put("^C\n", 3);
			buf[0] = '\0';
			return 0;
		}
		if (key == CTRL('d') && !l.len) {
			put("\n", 1);
			return -1;
		}
		if (edit(&l, key))
			redraw(&l);
		else if (key >= ' ' && key < 256)
			insert(&l, key);
	}
	put("\n", 1);
	history_keep(l.text);
	strlcpy(buf, l.text, size);
	return strlen(buf);
}
