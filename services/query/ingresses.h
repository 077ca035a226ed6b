/* Ingresses: asked by their admin ports for what only they know. Any thread may ask. */
#ifndef FOOTFALL_QUERY_INGRESSES_H
#define FOOTFALL_QUERY_INGRESSES_H

#include <jansson.h>

#include "lib/err.h"

struct ingresses;

/* Ask at once, so that those who ask never take all threads of reports. */
#define INGRESSES_AT_ONCE 2

/* list: "host:port", with commas; it is copied. On success *out is yours. -EINVAL says what is not;
 * -ENOMEM. */
int ingresses_open(struct ingresses **out, const char *list, struct err *err) MUST_CHECK;
/* When nobody asks any more. */
void ingresses_close(struct ingresses **ingresses);

/* Ask every ingress behind every name for the last requests of a site, and append what they answer
 * to all. Takes two seconds at most, of which each is waited for one; *asked and *answered count
 * them, a name that cannot be looked up by then as one. -EBUSY: others are asking; -ENOMEM. */
int ingresses_recent(struct ingresses *ingresses, const char *site_id, json_t *all, unsigned *asked,
	unsigned *answered, struct err *err) MUST_CHECK;

#endif
