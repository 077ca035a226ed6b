/* A batch of events on their way to POST /api/v1/events, as JSON Lines: one JSON object a line, so
 * that one that the server cannot read spoils no other. */
#ifndef FOOTFALL_BATCH_H
#define FOOTFALL_BATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "services/cli/log_line.h"

#define BATCH_EVENTS 1000 /* the server's bound */
#define BATCH_BYTES                                                                                \
	(600 << 10)      /* full from here on: with one more event, still under 1 MiB, which       \
			  * is where many proxies stop */
#define BATCH_ID_SIZE 33 /* 16 bytes in hex, and NUL */

/* The site, as events name it. */
struct batch_site {
	struct span property_id;
	struct span origin; /* "https://example.org", or empty: then the server puts the site's */
};

/* How far a log is, and what its lines came to. */
struct batch_mark {
	uint64_t offset, lines;         /* bytes and lines since the log's beginning */
	bool partial;                   /* the last line had no line break */
	uint64_t verdict[LOG_VERDICTS]; /* lines of this run */
};

struct batch {
	char *body; /* room for BATCH_BYTES and the largest event */
	size_t len;
	size_t ends[BATCH_EVENTS]; /* where each event's line ends in body */
	size_t count;
	struct batch_mark mark; /* of the log's text up to the end of this batch */
	/* What became of it. */
	size_t accepted, rejected;
	json_t *reasons; /* reason of a rejection: count; NULL: none */
};

int batch_init(struct batch *b, struct err *err) MUST_CHECK;
void batch_clear(struct batch *b);

/* Make it empty again. */
void batch_reset(struct batch *b);
bool batch_is_full(const struct batch *b);

/* Add a page view. line's texts are at most LOG_LINE_MOST bytes together; the batch is not full. */
void batch_add(struct batch *b, const struct batch_site *site, const char *id,
	const struct log_line *line);

/* Keep only the events whose index keep[] says true. */
void batch_keep(struct batch *b, const bool *keep);

/* Write text at out as the inside of a JSON string, and return where it ends: at most 6 * text.len
 * bytes on. Bytes that are no UTF-8, and NUL, become U+FFFD. */
char *batch_put_text(char *out, struct span text);

#endif
