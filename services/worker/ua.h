/* User agents: what a report says of one, by uap-core's rules and behind a cache, since most agents
 * come again and again. One thread at a time. */
#ifndef FOOTFALL_WORKER_UA_H
#define FOOTFALL_WORKER_UA_H

#include "lib/err.h"
#include "lib/span.h"

/* Valid UTF-8; empty: not known. */
struct ua {
	/* uap-core's family without the kind of device, which has a column of its own: "Chrome" of
	 * Chrome Mobile, "Safari" of Mobile Safari. */
	char browser[64];
	/* Major, and ".minor" where that is not zero: Safari 17.4, but Chrome 120, not 120.0.
	 * Browsers have frozen the rest, and where the minor is always 0, it only hides that it
	 * says nothing. */
	char browser_version[24];
	char os[64]; /* "Windows", "macOS", "iOS", "Android", "Linux", "Ubuntu", … */
	char os_version[24];
	char device[12]; /* device.h's type */
	char brand[48];
	char model[64];
};

struct ua_rules; /* opaque: the compiled rules, 4 MB, and a cache of 4,096 agents, 1.5 MB when full
		  */

/* Read the rules of uap-core at path (its regexes.yaml). On success *out is yours, end it with
 * ua_rules_close(). Errors as of uap_open(). */
int ua_rules_open(struct ua_rules **out, const char *path, struct err *err) MUST_CHECK;
void ua_rules_close(struct ua_rules **rules_p); /* takes *rules_p, leaves NULL; NULL is fine */

/* What agent is; any bytes will do. Only its first UAP_AGENT_MOST bytes are looked at, and the
 * answer depends on nothing but them and the rules. */
void ua_parse(struct ua_rules *rules, struct span agent, struct ua *out);

#endif
