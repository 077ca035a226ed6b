/* Liwan's events, which come to POST /api/event as Plausible's do (its tracker/script.ts sends
 * them, its web/routes/event.rs reads them). */
#ifndef FOOTFALL_LIWAN_H
#define FOOTFALL_LIWAN_H

#include "services/ingress/hit.h"
#include "services/ingress/object.h"

/* Whether a body is in that format: it names its site by an entity_id. */
bool liwan_is(const struct object *body);

/* Read the body (lent by memory that may be written to) into a hit that knows the headers, take it
 * and answer. */
void liwan_event(
	struct intake *in, struct hit *hit, const struct object *body, struct http_request *req);

#endif
