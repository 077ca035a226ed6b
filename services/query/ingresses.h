/* Ingresses: asked by their admin ports for what only they know. */
#ifndef FOOTFALL_QUERY_INGRESSES_H
#define FOOTFALL_QUERY_INGRESSES_H

#include <jansson.h>

#include "lib/err.h"

/* Whether list is one of "host:port", with commas. -EINVAL says what is not. */
int ingresses_check(const char *list, struct err *err) MUST_CHECK;

/* Ask every ingress behind every name of list for the last requests of a site, and append what they
 * answer to all. Each is waited for at most a second; *asked and *answered count them. */
void ingresses_recent(
	const char *list, const char *site_id, json_t *all, unsigned *asked, unsigned *answered);

#endif
