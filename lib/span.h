/* Bytes that came from outside: a borrowed piece of memory with its length, never NUL-terminated.
 * A span owns nothing; it is valid as long as what it points into. */
#ifndef FOOTFALL_SPAN_H
#define FOOTFALL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *ptr;
	size_t len;
};

/* A string literal as a span. */
#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })

static inline struct span span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline bool span_equals(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !memcmp(a.ptr, b.ptr, a.len));
}

/* As span_equals, ASCII letters of either case being the same. */
static inline bool span_equals_nocase(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !strncasecmp(a.ptr, b.ptr, a.len));
}

static inline bool span_starts_with(struct span s, struct span prefix)
{
	return s.len >= prefix.len && !memcmp(s.ptr, prefix.ptr, prefix.len);
}

static inline bool span_ends_with(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	       (!suffix.len || !memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len));
}

/* The rest of s from byte `from` on; from beyond the end gives an empty span. */
static inline struct span span_from(struct span s, size_t from)
{
	return from >= s.len ? (struct span){ s.ptr + s.len, 0 }
			     : (struct span){ s.ptr + from, s.len - from };
}

/* The first len bytes of s, or all of it. */
static inline struct span span_first(struct span s, size_t len)
{
	return (struct span){ s.ptr, len < s.len ? len : s.len };
}

/* Index of the first byte c, or s.len when there is none. */
static inline size_t span_find(struct span s, char c)
{
	const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.ptr) : s.len;
}

/* s without blanks (space, tab, CR, LF) at either end. */
static inline struct span span_trim(struct span s)
{
	while (s.len && strchr(" \t\r\n", s.ptr[0]) && s.ptr[0])
		s = span_from(s, 1);
	while (s.len && s.ptr[s.len - 1] && strchr(" \t\r\n", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

#endif
