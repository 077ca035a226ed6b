/* Archive: delivered segments, compressed, for as many days as asked, in parent/archive/ beside the
 * journals. From it a restored database gets what it lacks. It never takes space from new events:
 * when there is none, its oldest file goes.
 *
 * A file is <producer>-<segment>.zst: a skippable frame (RFC 8878, section 3.1.2) with struct
 * archive_summary and the number it is sifted up to (0, or missing in older files: it is not), then
 * the segment as one zstd frame. The summary tells which records are inside without reading them.
 * Segments with damage are kept as they are, <producer>-<segment>.damaged; so is what can be read
 * of a file with damage, once it was to be sifted. */
#ifndef FOOTFALL_ARCHIVE_H
#define FOOTFALL_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/journal/segment.h"
#include "lib/journal/sift.h"

struct archive_summary {
	uint64_t number; /* of the segment */
	unsigned char producer[16];
	uint64_t first[SEGMENT_LANES], last[SEGMENT_LANES]; /* 0, 0: no record of that lane */
	uint64_t bytes;                                     /* of the segment */
};

struct archive;

/* keep_days 0: nothing is archived; below: only to read, the folder is not made. */
int archive_open(
	struct archive **out, const char *parent, int64_t keep_days, struct err *err) MUST_CHECK;
void archive_close(struct archive **archive);

bool archive_keeps(const struct archive *a);

/* Store a segment, whose file is segment_fd. One that is there already is left as it is. On error
 * (-ENOSPC, …) nothing is stored. */
int archive_store(struct archive *a, const struct archive_summary *summary, int segment_fd,
	struct err *err) MUST_CHECK;

/* Move a segment with damage here, for a person to look at. */
int archive_set_aside(struct archive *a, const struct archive_summary *summary, int dir_fd,
	const char *name, struct err *err) MUST_CHECK;

/* Delete the oldest file; false: there is none. */
bool archive_give_way(struct archive *a);

/* Delete what is older than keep_days; damaged segments are kept for 3 days at least. */
void archive_expire(struct archive *a);

uint64_t archive_bytes(struct archive *a);

/* The summaries of all segments, oldest first; *list is yours (free). */
int archive_list(struct archive *a, struct archive_summary **list, size_t *count,
	struct err *err) MUST_CHECK;

/* Take the entries that are not to be kept out of all files that are not sifted up to `number`, a
 * number that rises whenever there is more that must go, and write it down in them. A file is
 * replaced whole or not at all, and keeps its age. Of one with damage what cannot be read goes.
 * Several ingresses may at the same time, of each one thread. Ends early, with 0, when the process
 * is asked to end. On error the rest is for the next time. */
int archive_sift(struct archive *a, uint64_t number, sift_keeps *keeps, void *who,
	struct err *err) MUST_CHECK;

/* Write the segment again, to to_fd. -EBADMSG: the file is damaged. */
int archive_extract(struct archive *a, const struct archive_summary *summary, int to_fd,
	struct err *err) MUST_CHECK;

#endif
