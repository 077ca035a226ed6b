/* Journal: append-only segments of accepted events, so that an event we have answered for outlives
 * a crash of anything behind us. Any thread appends; one flusher thread of the journal's own writes
 * and syncs what has gathered (group commit); one thread reads.
 *
 * Entries gather, per lane, in an open record that closes by age or size; only closed records are
 * read, and a record read again is the same bytes. Segments are preallocated, so that a full disk
 * shows when a segment is made and not in the middle of an entry. A segment is deleted once all its
 * records are done. What a previous owner left is read first.
 *
 * On disk (all numbers little endian, as this machine's): a segment begins with struct
 * segment_head, frames follow, each padded to 8 bytes: struct frame_head, then its entry's bytes.
 * A frame's checksum is CRC-32 of the rest of its head and its bytes, seeded by the segment's
 * number. */
#ifndef FOOTFALL_JOURNAL_H
#define FOOTFALL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

#define JOURNAL_LANES      16
#define JOURNAL_ENTRY_MOST (64 << 10) /* bytes of one entry */

struct journal; /* opaque; journal.c knows the inside */

struct journal_options {
	const char *
		parent; /* folder of journals; this process takes a free one inside, or makes one */
	uint64_t most_bytes;    /* of all segments; beyond it appends are refused */
	uint64_t segment_bytes; /* of one */
	uint32_t close_bytes;   /* a record closes when it has gathered as much… */
	int64_t close_us;       /* …or is as old */
};

/* A record, as it is read. */
struct journal_record {
	unsigned char producer[16]; /* UUID drawn by the owner that wrote it, at its start */
	uint8_t lane;
	uint64_t seq;     /* from 1, without gaps per producer and lane */
	uint64_t segment; /* for journal_done() */
	uint32_t count;
	struct span entries; /* lent until the next read: count times {uint32_t len, bytes} */
};

/* Take a journal. On success *out is yours, end it with journal_close(). */
int journal_open(
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

/* Wait for the ticket's flush. -EIO: the sync failed. From then on the journal takes nothing: the
 * kernel may have dropped the dirty pages, so "try again" would lie; the owner should end. */
int journal_wait(struct journal *j, struct journal_ticket ticket, struct err *err) MUST_CHECK;

/* Whether a sync has failed. */
bool journal_failed(struct journal *j);

/* A file descriptor that is readable when there may be more to read; lent. Read its 8 bytes to
 * reset it (eventfd). */
int journal_readable_fd(struct journal *j);

/* The next closed and synced record, in order, in *record: 1; none now: 0; -EIO and others: the
 * segment cannot be read. One thread only. */
int journal_read(struct journal *j, struct journal_record *record, struct err *err) MUST_CHECK;

/* A record that was read is delivered for good (once per record). The reader's thread only. */
void journal_done(struct journal *j, uint64_t segment);

/* Close the open records now, and wait until that is synced: for an orderly end. */
void journal_flush(struct journal *j);

struct journal_stats {
	uint64_t segments, bytes, most_bytes;
	uint64_t entries, flushes; /* since the start */
	uint64_t damaged;          /* places in old segments that could not be read */
	bool full;
};
void journal_stats(struct journal *j, struct journal_stats *stats);

#endif
