/* Reader: the records of a folder's segments, oldest first, each whole and as often as it is read
 * anew the same. A record that is damaged on disk is given as an empty one of its number, so that
 * its numbers have no gaps for who counts them. One thread. */
#ifndef FOOTFALL_READER_H
#define FOOTFALL_READER_H

#include "lib/journal/store.h"
#include "lib/span.h"

/* A record, as it is read. */
struct journal_record {
	unsigned char producer[16]; /* UUID drawn by the owner that wrote it, at its start */
	uint8_t lane;
	uint64_t seq;     /* from 1, without gaps per producer and lane */
	uint64_t segment; /* it lies in */
	uint32_t count;
	struct span entries; /* lent until the next read: count times {uint32_t len, bytes} */
};

struct reader;

/* The store is borrowed until reader_close(). */
int reader_open(struct reader **out, struct store *store, struct err *err) MUST_CHECK;
void reader_close(struct reader **reader);

/* The segment that is being read; 0 before the first. */
uint64_t reader_segment(const struct reader *r);

/* The next closed record: 1; none now: 0; an error: nothing has changed, try again. Of the segment
 * being read, bytes below `limit` are looked at, and while it is not `sealed` more may follow. */
int reader_next(struct reader *r, uint64_t limit, bool sealed, struct journal_record *record,
	struct err *err) MUST_CHECK;

uint64_t reader_damaged(const struct reader *r); /* places that could not be read */

#endif
