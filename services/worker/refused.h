/* Refused traffic of one site on its way into the database
 * (deploy/schema/metrics/0011_dropped.sql): the sums that came from ingresses, and what is refused
 * here. One thread. */
#ifndef FOOTFALL_REFUSED_H
#define FOOTFALL_REFUSED_H

#include "lib/err.h"
#include "lib/pg.h"
#include "proto/dropped.h"

struct refused;

int refused_open(struct refused **out, struct err *err) MUST_CHECK;
void refused_close(struct refused **refused);

/* Begin anew, for a site. */
void refused_begin(struct refused *r, uint32_t site_id);

/* Add an event of kind EVENT_DROPPED of that site. -EINVAL: it is none. -ENOMEM. */
int refused_add_sum(struct refused *r, const struct event *ev, struct err *err) MUST_CHECK;

/* Add an event that this worker refuses; the first of each second is a sample. -ENOMEM. */
int refused_add(
	struct refused *r, const struct event *ev, enum dropped reason, struct err *err) MUST_CHECK;

/* Count them, if there are any, within the caller's transaction. Errors as pg_run()'s. */
int refused_send(struct refused *r, PGconn *conn, struct err *err) MUST_CHECK;

#endif
