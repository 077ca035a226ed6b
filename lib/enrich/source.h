/* Source: where the visitor of an event came from, as reports name it, and by which channel. From
 * the page's campaign parameters, else from the referrer; the names are of known_source.h. One
 * thread. */
#ifndef FOOTFALL_SOURCE_H
#define FOOTFALL_SOURCE_H

#include "lib/enrich/channel.h"
#include "lib/enrich/known_source.h"
#include "lib/enrich/referrer.h"

#define SOURCE_MOST 255 /* bytes of a name: as of a campaign parameter, and more than of a host */

/* What an event says of where its visitor came from. */
struct source_clues {
	struct span referrer; /* a URL */
	struct span utm_source, utm_medium, utm_campaign, ref;
	struct span click_id; /* the name of the parameter */
};

/* The spans lie in the struct: do not copy it. */
struct source {
	struct span referrer; /* cleaned: "news.ycombinator.com/item" */
	struct span name;     /* "Hacker News", "example.org", "summer-sale"; empty: direct */
	enum channel channel;
	struct referrer parsed;
	char text[SOURCE_MOST];
};

struct sources;

/* Read the lists. On success *out is yours, end it with sources_close(). Errors as known_open()'s.
 */
int sources_open(struct sources **out, const struct known_files *files, struct err *err) MUST_CHECK;
void sources_close(struct sources **sources_p); /* takes *sources_p, leaves NULL; NULL is fine */

/* Read the lists again if one of their files has become another; call it now and then. When one
 * cannot be read that is said in the log, and the last good lists stay. Whether one had changed. */
bool sources_follow(struct sources *sources);

/* Derive *out from the clues. own_hosts, borrowed: the site's own, which are no source.
 *
 * The source is the first there is of utm_source, ref and the referrer's host. Of a known one it is
 * its name; a tag that nobody knows stays as it is, and a host becomes its registrable domain, but
 * for one of the site's own domain: the blog of a shop stays apart from the shop. */
void source_find(const struct sources *sources, const struct source_clues *clues,
	const struct span *own_hosts, size_t own_count, struct source *out);

#endif
