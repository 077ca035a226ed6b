/* Limits: how many events an address may send, and a site may take, of callers without a key: a
 * token bucket for each, which holds the burst and is filled at the rate. Memory is fixed, whatever
 * comes: 65,536 addresses and 4,096 sites are remembered, 1.1 MiB, and when a place is needed, the
 * fullest bucket gives way, so that whoever is held back is not forgotten first. No address is
 * kept, but a hash of it under a key that is drawn at each start. Each ingress counts for itself.
 * Any thread may call. */
#ifndef FOOTFALL_LIMITS_H
#define FOOTFALL_LIMITS_H

#include <stdint.h>

#include "lib/addr.h"
#include "lib/err.h"

struct limits;

/* Events a second for long, and at once. */
struct limit {
	int64_t rate;  /* 1 to 1,000,000; 0: any number */
	int64_t burst; /* 1 to 10,000,000 */
};

struct limits_options {
	struct limit address, site;
	const struct addr_nets *trusted; /* borrowed; proxies, which are not limited: whoever does
					    not say for whom it asks may ask for everybody */
};

/* End with limits_close(). -ENOMEM. */
int limits_open(
	struct limits **out, const struct limits_options *options, struct err *err) MUST_CHECK;
void limits_close(struct limits **limits);

/* Take one event's token of an address (of IPv6 of its /64) or a site, at a time of the monotonic
 * clock. 0: taken. Else there is none, and it is the seconds until there will be one, 1 at least.
 */
int limits_take_address(struct limits *limits, const struct addr *addr, int64_t now_mono_us);
int limits_take_site(struct limits *limits, uint32_t site_id, int64_t now_mono_us);

/* Take one though there may be none, which is then owed: for the further events of a request whose
 * first got one, so that a request is taken whole or not at all, and one of more events than the
 * burst is not refused for ever. */
void limits_owe_address(struct limits *limits, const struct addr *addr, int64_t now_mono_us);

#endif
