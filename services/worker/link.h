/* Links: a pair of sockets to every ingress, PULL for its records and PUSH for our
 * acknowledgements, and a PUB to every query service for the live view. One thread. */
#ifndef FOOTFALL_LINK_H
#define FOOTFALL_LINK_H

#include <stdint.h>
#include <zmq.h>

#include "lib/err.h"
#include "proto/record.h"

#define LINKS_MOST 64

struct links;

/* ingresses: comma-separated "host:push_port:ack_port"; live: comma-separated "host:port". Sockets
 * connect, and reconnect, by themselves. -EINVAL names what is wrong in the lists. */
int links_open(
	struct links **out, const char *ingresses, const char *live, struct err *err) MUST_CHECK;
void links_close(struct links **links);

/* Wait at most timeout_ms for a record; 1 when *msg (initialised by the caller) holds one that came
 * by link *link, 0 when none came. */
int links_receive(struct links *l, zmq_msg_t *msg, int *link, int timeout_ms);

/* Acknowledge n records by the link they came by. What cannot be sent is not an error: the record
 * comes again and is acknowledged then. */
void links_acknowledge(struct links *l, int link, const struct record_id *ids, uint32_t n);

/* Tell the live view that `count` events of a site are in the tables. May be lost. */
void links_tell_live(struct links *l, uint32_t site_id, uint32_t count);

#endif
