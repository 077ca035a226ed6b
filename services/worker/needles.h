/* Needles: strings without which a regular expression cannot match, read from its own text. A rule
 * whose needles an agent does not hold is not tried, which spares more than nine of ten tries of
 * uap-core's rules. What an expression needs is written as trigrams, and those of an agent are
 * gathered once.
 *
 * The promise: needles_may_match() is false only where the expression matches nowhere. So whatever
 * this reader does not surely understand has no needles and is always tried. Case is not told
 * apart, which serves expressions with and without the flag for it. */
#ifndef FOOTFALL_WORKER_NEEDLES_H
#define FOOTFALL_WORKER_NEEDLES_H

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

#endif
