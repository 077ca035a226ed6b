/* User-Agent Client Hints: what a Chromium says of itself beside its agent, which it has frozen
 * (https://wicg.github.io/ua-client-hints/). The agent of a reduced browser is made whole again, so
 * that uap-core's rules know the device; the names and versions that no agent tells any more are
 * put in afterwards. */
#ifndef FOOTFALL_UA_HINTS_H
#define FOOTFALL_UA_HINTS_H

#include "lib/enrich/ua.h"
#include "lib/http.h"
#include "lib/span.h"

/* The room for an agent with the hints put in, and for all that hints say. */
#define UA_HINTS_AGENT_MOST (UA_AGENT_MOST + 2 * UA_HINT_MOST)

/* Fill *out from a request's headers, Sec-CH-UA-Full-Version-List or else Sec-CH-UA, -Platform,
 * -Platform-Version, -Model and -Mobile; lent by the request. A header that is not what the
 * standard says, or is longer than ua.h's bounds, counts as none. */
void ua_hints_read(struct ua_hints *out, const struct http_request *req);

/* The text of a header that is one string (RFC 8941, section 3.3.3), lent by it: "Windows" without
 * its quotes. Empty for what is none, is too long, or has a backslash, which no browser sends. */
struct span ua_hints_text(struct span header);

/* The agent with the model and the version of Android that the hints tell, where it has Chrome's
 * placeholders for them ("Android 10; K"); else agent itself. */
struct span ua_hints_agent(
	const struct ua_hints *hints, struct span agent, char room[UA_HINTS_AGENT_MOST]);

/* Put what the hints say into *ua, which has what the agent says. */
void ua_hints_apply(const struct ua_hints *hints, struct ua *ua);

#endif
