/* User agents: what a report says of one, by uap-core's rules, the browser's Client Hints and the
 * list of crawlers, behind a cache, since most agents come again and again. The rules are read
 * again when their file changes; one that cannot be read is told of once in the log, and the last
 * good ones stay. One thread at a time. */
#ifndef FOOTFALL_UA_H
#define FOOTFALL_UA_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

/* Bounds in bytes, beyond which nothing is looked at. */
#define UA_AGENT_MOST  1024 /* real agents have under 512; the rules look at 512 */
#define UA_BRANDS_MOST 512
#define UA_HINT_MOST   128

/* What Sec-CH-UA-Mobile said. */
enum ua_mobile { UA_MOBILE_UNSAID, UA_MOBILE_NO, UA_MOBILE_YES };

/* User-Agent Client Hints, without their quotes; all zeros: none were sent. */
struct ua_hints {
	struct span brands; /* a list, as sent: "Chromium";v="120.0.6099.129", … */
	struct span platform, platform_version, model;
	uint8_t mobile; /* enum ua_mobile */
};

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
	char brand[48];  /* of the device: its maker */
	char model[64];
	bool is_cut; /* the agent is longer than UAP_AGENT_MOST bytes, the rest was not looked at */
	bool is_bot; /* one of the list of crawlers, or a browser without a window; then a "bot" */
};

struct ua_rules; /* opaque: the compiled rules, 4 MB, and a cache of 4,096 agents, 1.5 MB when full
		  */

/* Read the rules of uap-core at path (its regexes.yaml) and the list of crawlers at bots. On
 * success *out is yours, end it with ua_rules_close(). Errors as of uap_open() and agents_open().
 */
int ua_rules_open(
	struct ua_rules **out, const char *path, const char *bots, struct err *err) MUST_CHECK;
void ua_rules_close(struct ua_rules **rules_p); /* takes *rules_p, leaves NULL; NULL is fine */

/* What agent is, with the hints beside it (NULL: none); any bytes will do. Only the agent's first
 * UAP_AGENT_MOST bytes are looked at, and the answer depends on nothing but them, the hints, the
 * rules and the list. */
void ua_parse(
	struct ua_rules *rules, struct span agent, const struct ua_hints *hints, struct ua *out);

/* Read the rules and the list again if their files have changed; ua_parse() does so by itself. */
void ua_rules_follow(struct ua_rules *rules, int64_t now_mono_us);

#endif
