/* Ledger: what of which access log was imported into a site, so that a line is counted once however
 * often, and in whatever state of rotation, its file is imported.
 *
 * A file is known by a keyed hash of its first line, a line by that and its byte offset. Both are
 * made with a key that only the ledger has: who reads the ids cannot try out addresses. Two equal
 * lines have different ids, and one line has the same id at every attempt, provided that the ledger
 * was on disk before the first event of its file was sent. That is the caller's duty. */
#ifndef FOOTFALL_LEDGER_H
#define FOOTFALL_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

#define LEDGER_HASH_BYTES 32
#define LEDGER_ID_SIZE    33 /* 16 bytes in hex, and NUL */

struct ledger;

/* What was done of one file. */
struct ledger_entry {
	uint64_t offset; /* of the first byte not imported yet, in the uncompressed text */
	uint64_t lines;  /* before it */
	bool partial;    /* the last line had no line break */
	char name[256];  /* under which it was last seen; only for people */
	char time[32];   /* of the last change, RFC 3339 in UTC; filled by ledger_save() */
};

struct ledger_file {
	unsigned char hash[LEDGER_HASH_BYTES];
	struct ledger_entry entry;
	bool known;
};

/* Open the ledger of a site at path, or begin one (in memory, until it is saved). -EBUSY: another
 * import has it. -EINVAL: it is damaged, or another site's. End it with ledger_close(). */
int ledger_open(
	struct ledger **out, const char *path, const char *property_id, struct err *err) MUST_CHECK;
void ledger_close(struct ledger **ledger);

/* Fill *file with what is known of the file with this first line. */
void ledger_find(struct ledger *l, struct span first_line, struct ledger_file *file);

/* Put *file down, on disk: its name and how far it is. */
int ledger_save(struct ledger *l, struct ledger_file *file, struct err *err) MUST_CHECK;

/* The id of the event of the line at offset. */
void ledger_event_id(const struct ledger *l, const struct ledger_file *file, uint64_t offset,
	char id[LEDGER_ID_SIZE]);

#endif
