/* Recents: the last requests of a site and what became of each, for whoever wonders why something
 * is not counted. In memory only, without addresses, for the sites that were sent to last. Any
 * thread may call. */
#ifndef FOOTFALL_RECENTS_H
#define FOOTFALL_RECENTS_H

#include <jansson.h>

#include "lib/err.h"
#include "proto/dropped.h"

#define RECENTS_OF_SITE 50
#define RECENTS_SITES   48 /* 50 requests of some 560 bytes each: 1.3 MiB at most */

struct recents;

int recents_open(struct recents **out, struct err *err) MUST_CHECK;
void recents_close(struct recents **recents);

/* Note one event of a request, which is forgotten when 50 more have come, or when as many other
 * sites were sent to since. way: the path it came by (lasting). ev may hold less than a whole
 * event; DROPPED_NONE: it was accepted. Texts are cut; of who opted out none are
 * kept, and of an address that is refused neither path, referrer nor agent. */
void recents_add(struct recents *r, uint32_t site_id, const char *way, enum dropped reason,
	const struct event *ev, struct span origin);

/* Those of a site, the latest first, as an array of objects; NULL: no memory. Yours. Numbers of 64
 * bits are texts. */
json_t *recents_json(struct recents *r, uint32_t site_id);

#endif
