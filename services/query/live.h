/* The live view: workers tell which sites have new events in the tables, and streams wait for word
 * of their site. A message is one frame, "SITE_ID COUNT" in decimal. What is said while nobody
 * waits is forgotten: a stream only tells a page when to ask again. */
#ifndef FOOTFALL_QUERY_LIVE_H
#define FOOTFALL_QUERY_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/err.h"
#include "lib/span.h"

struct live;
struct live_stream;

struct live_options {
	const char *addr;                     /* "host:port" where the SUB socket is bound */
	int most;                             /* streams at once */
	const char *link_secret, *link_allow; /* lib/curve.h; NULL or "": no keys. Borrowed */
	bool link_plain;
};

/* Bind, and listen on a thread of its own. */
int live_open(struct live **out, const struct live_options *options, struct err *err) MUST_CHECK;
/* End all streams at once, and begin no more. */
void live_stop(struct live *live);
/* To be called when no stream is left. */
void live_close(struct live **live);

/* Begin to wait for a site's events; end with live_leave(). NULL: as many as there may be. */
struct live_stream *live_join(struct live *live, int64_t site_id);
void live_leave(struct live *live, struct live_stream **stream);

/* Wait for new events of the stream's site, at most timeout_ms, and at least a third of a second
 * after the last time there were some. Returns how many there were, 0: none, -ECANCELED: end. */
int64_t live_wait(struct live *live, struct live_stream *stream, int timeout_ms) MUST_CHECK;

void live_metrics(struct live *live, FILE *out);

/* Read a message. -EINVAL: it is none. */
int live_message_parse(int64_t *site_id, int64_t *count, struct span message) MUST_CHECK;

#endif
