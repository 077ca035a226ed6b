/* Referrer: what the referrer of an event says of where a visitor came from. So far that is its
 * host; a name ("Google") and the registrable domain are to be made of the host, not of the URL. */
#ifndef FOOTFALL_REFERRER_H
#define FOOTFALL_REFERRER_H

#include <stddef.h>

#include "lib/span.h"

/* Paths longer than this are not read by anyone in a report. Cut, unlike other texts: whatever else
 * an event says is worth more than the tail of a stranger's path. */
#define REFERRER_MOST 500

/* The spans lie in text: do not copy the struct. */
struct referrer {
	struct span referrer; /* "example.org/a", "[2001:db8::1]:8080/a", "android-app://name" */
	struct span source;   /* the host, as in referrer, or "android-app://name" */
	char text[REFERRER_MOST];
};

/* Clean url into *out, as valid UTF-8. Of http and https the scheme, user, "www.", query, fragment,
 * the scheme's own port and a path of "/" are dropped, ASCII letters of the host lower-cased, and
 * the rest of the path kept; of android-app only the name is kept. Of another scheme, or no URL at
 * all: both are empty.
 *
 * The source alone is empty as well when the visitor did not come from elsewhere: from localhost, a
 * loopback address, or one of the site's own hosts (borrowed; compared without "www.", case or
 * port). */
void referrer_parse(
	struct referrer *out, struct span url, const struct span *own_hosts, size_t own_count);

#endif
