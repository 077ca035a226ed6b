/* Sift: a copy of a segment without some of its entries, for data that must not be kept. Records
 * keep their numbers, so that who counts them finds no gap: one of which nothing is kept is empty.
 * Bytes that cannot be read are left out, too, since they may be what must go. */
#ifndef FOOTFALL_SIFT_H
#define FOOTFALL_SIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

typedef bool sift_keeps(void *who, struct span entry);

struct sifted {
	uint64_t entries;    /* that were left out */
	uint64_t unreadable; /* bytes, other than 0, that were */
};

/* Copy segment `number`, whose file is from_fd, to to_fd, an empty file; both from their beginning,
 * wherever they stand. -errno of a read or a write. */
int segment_sift(int from_fd, int to_fd, uint64_t number, sift_keeps *keeps, void *who,
	struct sifted *sifted) MUST_CHECK;

#endif
