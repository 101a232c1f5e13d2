/* SPDX-License-Identifier: MIT */
/*
 * fmt.c - how does a format and its arguments become text?
 *
 * One pass, no memory but the caller's buffer, no floating point: callable from panic and from
 * interrupts. Text beyond the buffer is counted and not stored. A conversion it does not know is
 * copied as it stands, so that a mistake shows.
 */
#include "kernel/lib/fmt.h"

#include <string.h>

struct out {
	char *buf;
	size_t size; /* of buf, the final NUL included */
	size_t len;  /* characters so far, stored or not */
};

struct spec {
	bool left, zero, alt, plus, space;
	int width;
	int precision; /* -1: none given */
	int length;    /* bytes of the integer argument */
};

static void emit(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void emit_many(struct out *o, char c, int n)
{
	while (n-- > 0)
		emit(o, c);
}

/* @text of @len characters, padded with spaces to the width. */
static void emit_text(struct out *o, const struct spec *s, const char *text, int len)
{
	if (!s->left)
		emit_many(o, ' ', s->width - len);
	for (int i = 0; i < len; i++)
		emit(o, text[i]);
	if (s->left)
		emit_many(o, ' ', s->width - len);
}

/* @prefix is a sign or "0x", @v the magnitude. */
static void emit_number(struct out *o, const struct spec *s, const char *prefix, u64 v,
			unsigned int base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24]; /* 22 octal digits of 64 bits */
	int n = 0, zeros, pad;
	int prefix_len = (int)strlen(prefix);

	for (; v; v /= base)
		text[n++] = digits[v % base];
	zeros = (s->precision < 0 ? 1 : s->precision) - n;
	if (zeros < 0)
		zeros = 0;
	if (s->alt && base == 8 && zeros == 0)
		zeros = 1;
	pad = s->width - prefix_len - zeros - n;
	/* Zeros fill the width only where no precision says how many digits there are. */
	if (s->zero && !s->left && s->precision < 0 && pad > 0) {
		zeros += pad;
		pad = 0;
	}
	if (!s->left)
		emit_many(o, ' ', pad);
	for (int i = 0; i < prefix_len; i++)
		emit(o, prefix[i]);
	emit_many(o, '0', zeros);
	while (n > 0)
		emit(o, text[--n]);
	if (s->left)
		emit_many(o, ' ', pad);
}

static u64 take_unsigned(const struct spec *s, va_list *ap)
{
	switch (s->length) {
	case 1: return (u8)va_arg(*ap, unsigned int);
	case 2: return (u16)va_arg(*ap, unsigned int);
	case 4: return va_arg(*ap, unsigned int);
	default: return va_arg(*ap, u64);
	}
}

static s64 take_signed(const struct spec *s, va_list *ap)
{
	switch (s->length) {
	case 1: return (signed char)va_arg(*ap, int);
	case 2: return (short)va_arg(*ap, int);
	case 4: return va_arg(*ap, int);
	default: return va_arg(*ap, s64);
	}
}

static void emit_signed(struct out *o, const struct spec *s, s64 v)
{
	const char *sign = v < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

	emit_number(o, s, sign, v < 0 ? 0 - (u64)v : (u64)v, 10, false);
}

static void emit_hex(struct out *o, const struct spec *s, u64 v, bool upper)
{
	emit_number(o, s, s->alt && v ? (upper ? "0X" : "0x") : "", v, 16, upper);
}

static void emit_string(struct out *o, const struct spec *s, const char *text)
{
	size_t len;

	if (!text)
		text = "(null)";
	len = s->precision < 0 ? strlen(text) : strnlen(text, (size_t)s->precision);
	emit_text(o, s, text, (int)len);
}

/* Digits at *@p, or the argument for a '*'. */
static int take_count(const char **p, va_list *ap)
{
	int n = 0;

	if (**p == '*') {
		(*p)++;
		return va_arg(*ap, int);
	}
	for (; **p >= '0' && **p <= '9'; (*p)++)
		n = n > 99999 ? n : n * 10 + (**p - '0');
	return n;
}

static const char *parse_spec(const char *p, struct spec *s, va_list *ap)
{
	*s = (struct spec){ .precision = -1, .length = 4 };
	for (;; p++) {
		if (*p == '-')
			s->left = true;
		else if (*p == '0')
			s->zero = true;
		else if (*p == '#')
			s->alt = true;
		else if (*p == '+')
			s->plus = true;
		else if (*p == ' ')
			s->space = true;
		else
			break;
	}
	s->width = take_count(&p, ap);
	if (s->width < 0) {
		s->left = true;
		s->width = -s->width;
	}
	if (*p == '.') {
		p++;
		s->precision = take_count(&p, ap);
	}
	for (;; p++) {
		if (*p == 'h')
			s->length = s->length == 2 ? 1 : 2;
		else if (*p == 'l' || *p == 'z' || *p == 't' || *p == 'j')
			s->length = 8;
		else
			break;
	}
	return p;
}

/* One conversion, *@p behind the '%'. Returns what follows it. */
static const char *convert(struct out *o, const char *p, va_list *ap)
{
	const char *start = p;
	struct spec s;
	char c;

	p = parse_spec(p, &s, ap);
	switch (*p) {
	case 'd':
	case 'i': emit_signed(o, &s, take_signed(&s, ap)); break;
	case 'u': emit_number(o, &s, "", take_unsigned(&s, ap), 10, false); break;
	case 'o': emit_number(o, &s, "", take_unsigned(&s, ap), 8, false); break;
	case 'x': emit_hex(o, &s, take_unsigned(&s, ap), false); break;
	case 'X': emit_hex(o, &s, take_unsigned(&s, ap), true); break;
	case 'p': emit_number(o, &s, "0x", (u64)va_arg(*ap, void *), 16, false); break;
	case 's': emit_string(o, &s, va_arg(*ap, const char *)); break;
	case 'c':
		c = (char)va_arg(*ap, int);
		emit_text(o, &s, &c, 1);
		break;
	case '%': emit(o, '%'); break;
	default:
		emit(o, '%');
		for (; start < p; start++)
			emit(o, *start);
		return p;
	}
	return p + 1;
}

int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { .buf = buf, .size = size };
	va_list ap;

	/* A copy, because only a va_list that is not a parameter can be passed by address. */
	va_copy(ap, args);
	while (*fmt) {
		if (*fmt == '%')
			fmt = convert(&o, fmt + 1, &ap);
		else
			emit(&o, *fmt++);
	}
	va_end(ap);
	if (size)
		buf[o.len < size ? o.len : size - 1] = '\0';
	return (int)o.len;
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = kvsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return len;
}
