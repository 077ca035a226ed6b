/* Sender: reads closed records from journals and pushes them to workers over ZeroMQ, at most a
 * window of unacknowledged ones at a time, of 3 MiB in all, so that memory stays bounded whatever
 * the backlog. A record whose acknowledgement is overdue is sent again, the same bytes. Beside our
 * own journal, those that no ingress owns any more are delivered. One thread of its own. */
#ifndef FOOTFALL_SENDER_H
#define FOOTFALL_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/journal/journal.h"

struct sender_options {
	const char *push_addr, *ack_addr;      /* "host:port" to bind */
	uint32_t window;                       /* records; fewer when they have many bytes */
	const struct journal_options *orphans; /* how to adopt; borrowed until sender_close() */
	const char *link_secret, *link_allow;  /* curve.h; "": no keys */
	bool link_plain;
};

struct sender;

/* The journal is borrowed until sender_close(). */
int sender_open(struct sender **out, struct journal *journal, const struct sender_options *options,
	struct err *err) MUST_CHECK;

/* Go on for at most drain_ms (below 0: however long it takes) to deliver what is closed, then stop.
 */
void sender_close(struct sender **sender, int drain_ms);

struct sender_stats {
	uint64_t sent, resent, acknowledged; /* records since the start */
	uint32_t in_flight, adopted;         /* now */
};
void sender_stats(struct sender *sender, struct sender_stats *stats);

#endif
