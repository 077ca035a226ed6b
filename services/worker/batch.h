/* Batch: the events of records of a lane, by site in ascending order and, of a site, as they
 * arrived. A record is unpacked to see of which sites its events are, and again when the first of
 * them is looked at, until the last one is let go of: where most are of one site, one record after
 * the other is in memory. One thread. */
#ifndef FOOTFALL_BATCH_H
#define FOOTFALL_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"
#include "proto/record.h"

/* An event, encoded still. */
struct item {
	uint32_t site_id;               /* 0: of none, or it cannot be read */
	uint32_t order;                 /* of arrival */
	uint32_t place;                 /* in its record */
	uint32_t content, at, len;      /* the batch's own: where its bytes are */
	const struct record_id *record; /* lent by who holds the record */
};

struct batch;

/* On success *out is yours, end it with batch_close(). -ENOMEM. */
int batch_open(struct batch **out, struct err *err) MUST_CHECK;
void batch_close(struct batch **batch);

/* Begin anew: nothing is in it. */
void batch_clear(struct batch *b);

/* Add a record's events; its id and bytes are borrowed until batch_clear(). -ENOMEM; others as
 * record_decode()'s, -EBADMSG also for many events that are too short to be any: nothing was
 * added. */
int batch_add(
	struct batch *b, const struct record_id *id, struct span wire, struct err *err) MUST_CHECK;

/* Add one event alone, likewise. -ENOMEM. */
int batch_add_event(
	struct batch *b, const struct record_id *id, struct span wire, struct err *err) MUST_CHECK;

/* All that were added, in order; lent until the next batch_add() or batch_clear(). */
struct item *batch_items(struct batch *b, size_t *count);

/* An event's bytes, lent until it and the others of its record are let go of. -ENOMEM. */
int batch_wire(
	struct batch *b, const struct item *item, struct span *wire, struct err *err) MUST_CHECK;

/* It is not looked at any more. */
void batch_let_go(struct batch *b, const struct item *item);

#endif
