/* Needles: strings without which a regular expression cannot match, read from its own text. Of a
 * long list of expressions only those are tried whose needles a text holds, which are few. What an
 * expression needs is written as trigrams, and those of a text are gathered once.
 *
 * The promise: needles_may_match() is false only where the expression matches nowhere. So whatever
 * this reader does not surely understand has no needles and is always tried. Case is not told
 * apart, which serves expressions with and without the flag for it. */
#ifndef FOOTFALL_NEEDLES_H
#define FOOTFALL_NEEDLES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

/* Clauses, all of which must hold; a clause is alternatives, one of which must hold; an alternative
 * is trigrams, all of which must be there. Flat: clauses, { alternatives, { trigrams, trigram… }…
 * }…, each a number. NULL: no needles. */
struct needles {
	uint16_t *code;
};

/* 8192: an agent of 512 bytes sets 6 % of it, so that a chance hit of three trigrams is rare. */
#define TRIGRAM_BITS 13
struct trigrams {
	uint64_t bits[(1 << TRIGRAM_BITS) / 64];
};

/* Read what regex needs; *out is ended with needles_clear(). -ENOMEM. */
int needles_init(struct needles *out, const char *regex) MUST_CHECK;
void needles_clear(struct needles *needles);

void trigrams_of(struct trigrams *out, struct span text);

/* False: an expression with these needles does not match the text of these trigrams. */
bool needles_may_match(const struct needles *needles, const struct trigrams *trigrams);

/* A list of expressions by their needles: it finds those that may match by what the text has, at a
 * cost that grows with the text and not with the list. Unchanged once made, so any thread may ask.
 */
struct needles_index; /* opaque; borrows the needles */

#define NEEDLES_INDEX_MOST 20480 /* expressions of a list */

/* Numbers of expressions in a list. */
struct needles_found {
	uint64_t bits[NEEDLES_INDEX_MOST / 64];
};

/* Of count expressions, at most NEEDLES_INDEX_MOST, with the needles in list (borrowed until
 * needles_index_free()). NULL: no memory. */
struct needles_index *needles_index_new(const struct needles *list, size_t count) MUST_CHECK;
void needles_index_free(struct needles_index **index_p); /* takes it, leaves NULL; NULL is fine */

/* Those that may match a text of these trigrams. */
void needles_index_find(struct needles_found *out, const struct needles_index *index,
	const struct trigrams *trigrams);

/* The first of them that is not below from, or NEEDLES_NONE. */
#define NEEDLES_NONE SIZE_MAX
size_t needles_index_next(
	const struct needles_found *found, const struct needles_index *index, size_t from);

#endif
