/* Bots: whether what sent an event is no person, as far as the request tells. */
#ifndef FOOTFALL_BOTS_H
#define FOOTFALL_BOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http.h"
#include "lib/span.h"

/* Whether the browser says that it fetches or renders the page before anybody asks for it:
 * Sec-Purpose (https://wicg.github.io/nav-speculation/prefetch.html), or Purpose and X-Moz of older
 * ones. */
bool bots_prefetches(const struct http_request *req);

/* By the lists of agents and of referrers that are spam: enum event_bot. */
uint8_t bots_listed(struct span user_agent, struct span referrer);

#endif
