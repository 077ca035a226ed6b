/* UTF-8: what the database, JSON and msgpack's texts insist on. */
#ifndef FOOTFALL_UTF8_H
#define FOOTFALL_UTF8_H

#include <stdbool.h>

#include "lib/span.h"

/* Length in bytes of the character at the head of s (not empty), 1 to 4; 0 when what stands there
 * is no character of UTF-8, or NUL. */
size_t utf8_char_len(struct span s);

/* Whether s is UTF-8 (RFC 3629: shortest form, no surrogates) without NUL. */
bool utf8_valid(struct span s);

/* Copy s into buf, each byte that is not part of valid UTF-8 (and each NUL) replaced by "?", cut at
 * size bytes or before the character that would not fit. Returns the copy. */
struct span utf8_clean(char *buf, size_t size, struct span s);

/* s cut to most bytes at most, at the end of a character. */
struct span utf8_first(struct span s, size_t most);

#endif
