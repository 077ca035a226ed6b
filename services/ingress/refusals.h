/* Refusals: how much traffic was not taken, by site, reason and hour. Gathered in memory, and put
 * into the journal every few seconds as events of their own (proto/dropped.h), from where they are
 * as sure as any event: counted exactly once. What was gathered since is lost with a killed
 * ingress. Of each site and second one refusal goes at once, as a sample. Any thread may call. */
#ifndef FOOTFALL_REFUSALS_H
#define FOOTFALL_REFUSALS_H

#include "lib/err.h"
#include "lib/journal/journal.h"
#include "proto/dropped.h"

struct refusals;

/* The journal is borrowed until refusals_close(). */
int refusals_open(struct refusals **out, struct journal *journal, struct err *err) MUST_CHECK;

/* What was not put into the journal is lost: refusals_flush() first. */
void refusals_close(struct refusals **refusals);

/* Count one request, or one event of a request, of a site (0: of none that is known). The texts of
 * ev (host, path, agent, referrer; NULL: none could be read) and its origin serve as a sample; of
 * no known site only host, agent and origin, of an address that is refused only host and origin, of
 * who opted out none at all. */
void refusals_add(struct refusals *r, uint32_t site_id, enum dropped reason, const struct event *ev,
	struct span origin);

/* Put what has gathered into the journal. What it cannot take now stays for the next time. */
void refusals_flush(struct refusals *r);

/* How many since the start. */
unsigned long long refusals_count(struct refusals *r, enum dropped reason);

#endif
