/* Rows: events of one site on their way into the database, as the array parameters of
 * events_apply() (deploy/schema/metrics/0010_apply.sql), texts interned. */
#ifndef FOOTFALL_ROWS_H
#define FOOTFALL_ROWS_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/pg.h"
#include "proto/event.h"
#include "services/worker/enrich.h"

#define ROWS_PARAMS 42 /* of events_apply() */

struct rows;

int rows_open(struct rows **out, struct err *err) MUST_CHECK;
void rows_close(struct rows **rows);

/* There are none any more; memory is kept for the next use, up to a bound. */
void rows_clear(struct rows *rows);

/* Begin anew, for a site and about `most` events. */
void rows_begin(struct rows *rows, uint32_t site_id, uint32_t most);

/* Add an event of that site. -ENOMEM. */
int rows_add(struct rows *rows, const struct event *ev, const struct enriched *more,
	struct err *err) MUST_CHECK;

/* Why an event is thought to be of no person, by all that is known of it now. */
enum event_bot rows_bot(const struct event *ev, const struct enriched *more);

uint32_t rows_count(const struct rows *rows);

/* The parameters, lent until the next rows_begin() or rows_clear(); nothing may be added behind.
 * -ENOMEM. */
int rows_params(struct rows *rows, struct pg_param params[ROWS_PARAMS], struct err *err) MUST_CHECK;

#endif
