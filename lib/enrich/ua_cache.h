/* The last agents and what they are. In sets of four: an agent has its place in one set, where it
 * takes that of the one that was asked for longest ago. One thread at a time. */
#ifndef FOOTFALL_UA_CACHE_H
#define FOOTFALL_UA_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/enrich/ua.h"

#define UA_CACHE_WAYS    4
#define UA_CACHE_ENTRIES 4096 /* a month of a handful of sites has fewer agents */

/* Of an agent and its hints. 128 bits with a secret key: nobody can make two agents meet. */
struct ua_key {
	unsigned char bytes[16];
};

struct ua_cache; /* opaque */

/* NULL: no memory. */
struct ua_cache *ua_cache_new(void);
void ua_cache_free(struct ua_cache **cache_p); /* takes *cache_p, leaves NULL; NULL is fine */

struct ua_key ua_cache_key(
	const struct ua_cache *cache, struct span agent, const struct ua_hints *hints);

/* Forget all. */
void ua_cache_forget(struct ua_cache *cache);

/* The place for key, lent until the next call, and in *known whether it is filled already. If it is
 * not, it now counts as this key's: fill it. */
struct ua *ua_cache_place(struct ua_cache *cache, const struct ua_key *key, bool *known);

#endif
