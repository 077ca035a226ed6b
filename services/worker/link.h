/* Links: a pair of sockets to every ingress, PULL for its records and PUSH for our
 * acknowledgements, and a PUB to every query service for the live view. Ingresses and query
 * services are known by names; every few seconds each name is resolved, and there is a link to
 * every address behind it. So they may come, go and move without anybody's restart. One thread;
 * names are resolved by another. */
#ifndef FOOTFALL_LINK_H
#define FOOTFALL_LINK_H

#include <stdint.h>
#include <zmq.h>

#include "lib/err.h"
#include "proto/record.h"

struct links;

struct links_options {
	const char *ingresses;               /* comma-separated "host:push_port:ack_port" */
	const char *live;                    /* comma-separated "host:port" */
	const char *server_key, *own_secret; /* lib/curve.h; "": links are plain */
};

/* Sockets connect, and reconnect, by themselves. -EINVAL names what is wrong in the lists; a name
 * that means nothing yet is no error. */
int links_open(struct links **out, const struct links_options *options, struct err *err) MUST_CHECK;
void links_close(struct links **links);

/* Wait at most timeout_ms for a record, and until fd (-1: none) is readable; 1 when *msg
 * (initialised by the caller) holds one that came by link *link, 0 when none came. */
int links_receive(struct links *l, zmq_msg_t *msg, unsigned *link, int fd, int timeout_ms);

/* Acknowledge n records by the link they came by. What cannot be sent is not an error, nor is a
 * link that has gone: the record comes again and is acknowledged then. */
void links_acknowledge(struct links *l, unsigned link, const struct record_id *ids, uint32_t n);

/* Tell the live view that `count` events of a site are in the tables. May be lost. */
void links_tell_live(struct links *l, uint32_t site_id, uint32_t count);

/* How many ingresses there is a link to. Any thread. */
unsigned links_count(struct links *l);

#endif
