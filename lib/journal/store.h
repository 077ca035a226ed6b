/* Store: the segments of one folder, from oldest to newest, and what is known of each: how far it
 * is read, how many of its records are still to be acknowledged. A segment that is read to its end
 * and wholly acknowledged leaves, into the archive or for good. The writer adds at the end, the
 * reader does all the rest. */
#ifndef FOOTFALL_STORE_H
#define FOOTFALL_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/journal/archive.h"
#include "lib/journal/disk.h"
#include "lib/journal/folder.h"

struct store_segment {
	struct archive_summary summary; /* number, and what has been read of it */
	uint32_t unacknowledged;
	bool read_to_end, damaged;
	struct store_segment *next;
};

struct store {
	const struct disk *disk;
	struct folder folder;
	struct archive *archive;
	uint64_t segment_bytes;
	pthread_mutex_t lock; /* of all below */
	struct store_segment *first, **end;
	uint64_t count, active; /* number of the segment being written, 0: none */
};

/* Take the folder (its fields are the store's from now on) and look what is in it. */
int store_open(struct store *s, struct folder *folder, const struct disk *disk,
	struct archive *archive, uint64_t segment_bytes, struct err *err) MUST_CHECK;
void store_clear(struct store *s);

/* The writer: a segment has been made and is the active one; the one before is not any more. number
 * 0 of `made`: none could be made, so there is no active one. */
int store_add(struct store *s, uint64_t made) MUST_CHECK;

/* The reader: the number of the first segment behind `number`, 0: there is none. */
uint64_t store_after(struct store *s, uint64_t number);

/* A record of that segment was read (its number counted in the summary), or is acknowledged. */
void store_read(struct store *s, uint64_t segment, const unsigned char producer[16], uint8_t lane,
	uint64_t seq);
void store_acknowledged(struct store *s, uint64_t segment);

/* Nothing more will be read of it and those before it; or: bytes of it cannot be read. */
void store_read_to_end(struct store *s, uint64_t segment);
void store_damaged(struct store *s, uint64_t segment);

/* Let go of what is done. Returns how many segments left. */
unsigned store_tidy(struct store *s);

uint64_t store_count(struct store *s);
uint64_t store_active(struct store *s);

#endif
