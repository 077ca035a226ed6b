/* The record that carries events from an ingress to a worker, and the acknowledgement that comes
 * back; event.md has the words. */
#ifndef FOOTFALL_RECORD_H
#define FOOTFALL_RECORD_H

#include <msgpack.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

#define RECORD_VERSION 1
#define RECORD_LANES   16         /* lane = site id mod 16 */
#define RECORD_CLOSE   (64 << 10) /* bytes of events at which a record closes */
/* Bytes of a record: that, some for the frame of each event, and room to spare. */
#define RECORD_MOST   (160 << 10)
#define RECORD_EVENTS 4096 /* no event has under 60 bytes */
#define ACKS_MOST     1024 /* in one message */

/* What makes a record unlike every other: who numbered it, in which lane, as which. seq starts at 1
 * and has no gaps. */
struct record_id {
	unsigned char producer[16]; /* UUID drawn at each start of an ingress */
	uint8_t lane;
	uint64_t seq;
};

/* Bytes of a record are made in two steps, as events are known one by one: begin with the number of
 * events, then each event's bytes. The same id and events give the same bytes. */
void record_begin(msgpack_sbuffer *out, const struct record_id *id, uint32_t events);
void record_add(msgpack_sbuffer *out, struct span event);

/* Decode wire: *id, and up to RECORD_EVENTS spans of events, which borrow from wire. The events'
 * own bytes are not looked at. Errors as mp_reader_end()'s. */
int record_decode(struct record_id *id, struct span *events, uint32_t *count, struct span wire,
	struct err *err) MUST_CHECK;

/* Append an acknowledgement of n records (at most ACKS_MOST) to out, and read one. */
void ack_encode(msgpack_sbuffer *out, const struct record_id *ids, uint32_t n);
int ack_decode(struct record_id *ids, uint32_t *n, struct span wire, struct err *err) MUST_CHECK;

#endif
