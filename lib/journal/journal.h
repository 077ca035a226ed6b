/* Journal: append-only segments of accepted events, so that an event we have answered for outlives
 * a crash of anything behind us. Any thread appends; one flusher thread of the journal's own writes
 * and syncs what has gathered (group commit); one thread reads.
 *
 * Entries gather, per lane, in an open record that closes by age or size; only closed records are
 * read, and a record read again is the same bytes. Segments are preallocated, so that a full disk
 * shows when a segment is made and not in the middle of an entry. A segment whose records are all
 * done goes to the archive, or for good. What a previous owner left is read first.
 *
 * segment.h has the bytes on disk; folder, store, reader and archive are this module's parts. */
#ifndef FOOTFALL_JOURNAL_H
#define FOOTFALL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/journal/disk.h"
#include "lib/journal/reader.h"
#include "lib/journal/sift.h"
#include "lib/span.h"

#define JOURNAL_LANES      SEGMENT_LANES
#define JOURNAL_ENTRY_MOST SEGMENT_ENTRY_MOST /* bytes of one entry */

struct journal; /* opaque; journal.c knows the inside */

struct journal_options {
	const char *parent;     /* folder of journals; ours is a free one inside, or a new one */
	uint64_t most_bytes;    /* of our segments and the archive; beyond it appends fail */
	uint64_t segment_bytes; /* of one */
	uint32_t close_bytes;   /* a record closes when it has gathered as much… */
	int64_t close_us;       /* …or is as old */
	int64_t roll_us;      /* a segment in use ends when it is as old; 0: only when it is full */
	int64_t archive_days; /* 0: delivered segments are deleted */
	const struct disk *disk; /* NULL: the system's */
};

/* Take a journal. On success *out is yours, end it with journal_close(). */
int journal_open(
	struct journal **out, const struct journal_options *options, struct err *err) MUST_CHECK;

/* Take one that nobody owns and that holds segments, only to read it: 1, *out is yours; there is
 * none: 0. Nothing can be appended to it. */
int journal_adopt(
	struct journal **out, const struct journal_options *options, struct err *err) MUST_CHECK;

/* Sync what has gathered, stop, release. Undelivered records stay for the next owner. */
void journal_close(struct journal **journal);

/* Which entry to wait for; plain data. */
struct journal_ticket {
	uint64_t flush;
};

/* Append an entry to a lane: wholly or, on error, not at all. It is durable only when
 * journal_wait() of its ticket says 0; several tickets of one caller: the last is enough.
 * -ENOSPC: full (bound reached, or the disk is); what is stored is untouched, try later.
 * -EIO: an earlier sync failed. -EMSGSIZE: an entry beyond JOURNAL_ENTRY_MOST. */
int journal_append(struct journal *j, uint8_t lane, struct span entry,
	struct journal_ticket *ticket, struct err *err) MUST_CHECK;

/* Wait for the ticket's flush. -EIO: the sync failed, and the ticket's entry was cut off again
 * (earlier ones of the caller may be of an earlier flush, and kept); -EREMOTEIO: and it may be
 * kept. From then on the journal takes nothing: the kernel may have dropped the dirty pages, so
 * "try again" would lie; the owner should end. */
int journal_wait(struct journal *j, struct journal_ticket ticket, struct err *err) MUST_CHECK;

/* Whether a sync has failed. */
bool journal_failed(struct journal *j);

/* A file descriptor that is readable when there may be more to read; lent. Read its 8 bytes to
 * reset it (eventfd). Of an adopted journal: nothing is to come. */
int journal_readable_fd(struct journal *j);

/* The next closed and synced record, in order, in *record: 1; none now: 0; -EMFILE and others: not
 * now. One thread only. */
int journal_read(struct journal *j, struct journal_record *record, struct err *err) MUST_CHECK;

/* A record that was read is delivered for good (once per record). The reader's thread only. */
void journal_done(struct journal *j, uint64_t segment);

/* Whether all that is closed has been read and is done; of an adopted journal: it can be closed.
 * The reader's thread only. */
bool journal_is_drained(struct journal *j);

/* Close the open records now, and wait until that is synced: for an orderly end. */
void journal_flush(struct journal *j);

/* End the segment in use soon, if it holds anything, so that it can leave when it is done. */
void journal_roll(struct journal *j);

/* Delete what has been in the archive for long enough. Any thread; now and then. */
void journal_expire(struct journal *j);

/* archive_sift() of its archive. Any thread. */
int journal_sift(struct journal *j, uint64_t number, sift_keeps *keeps, void *who,
	struct err *err) MUST_CHECK;

struct journal_stats {
	uint64_t segments, bytes, most_bytes, archive_bytes;
	uint64_t entries, flushes; /* since the start */
	uint64_t damaged;          /* places that could not be read */
	int64_t began_us;          /* when the segment in use was begun */
	bool full;
};
void journal_stats(struct journal *j, struct journal_stats *stats);

#endif
