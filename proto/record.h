/* The record that carries events from an ingress to a worker, and the acknowledgement that comes
 * back; event.md has the words. */
#ifndef FOOTFALL_RECORD_H
#define FOOTFALL_RECORD_H

#include <msgpack.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

#define RECORD_VERSION 2
#define RECORD_LANES   16         /* lane = site id mod 16 */
#define RECORD_CLOSE   (64 << 10) /* bytes of events at which a record closes */
/* Bytes of a record: that, some for the frame of each event, and room to spare. */
#define RECORD_MOST (160 << 10)
/* Bytes of its events with their frames, so that it stays within that when they pack badly. */
#define RECORD_CONTENT_MOST (RECORD_MOST - (1 << 10))
#define RECORD_EVENT_LEAST  60 /* no event has fewer */
#define RECORD_EVENTS       4096

#define ACK_VERSION 1
#define ACKS_MOST   1024 /* in one message */

/* What makes a record unlike every other: who numbered it, in which lane, as which. seq starts at 1
 * and has no gaps. */
struct record_id {
	unsigned char producer[16]; /* UUID drawn at each start of an ingress */
	uint8_t lane;
	uint64_t seq;
};

/* By producer, lane and number: below 0, 0, above. */
int record_id_order(const struct record_id *a, const struct record_id *b);

/* Puts records together, one after the other; takes 0.9 MB, of which half is ever touched. One
 * thread. */
struct record_packer;

/* On success *out is yours, end it with record_packer_close(). -ENOMEM. */
int record_packer_open(struct record_packer **out, struct err *err) MUST_CHECK;
void record_packer_close(struct record_packer **packer);

/* A record is made in three steps, as events are known one by one: begin with their number (at most
 * RECORD_EVENTS), then each one's bytes (with up to 5 more for each RECORD_CONTENT_MOST in all).
 * Room for all that is there from the beginning: no step fails. */
void record_begin(struct record_packer *p, uint32_t events);
void record_add(struct record_packer *p, struct span event);
/* Its bytes, at most RECORD_MOST, lent until the next record_begin(). The same id and events give
 * the same bytes. */
struct span record_end(struct record_packer *p, const struct record_id *id);

/* Reads records. One thread. */
struct record_reader;

/* On success *out is yours, end it with record_reader_close(). -ENOMEM. */
int record_reader_open(struct record_reader **out, struct err *err) MUST_CHECK;
void record_reader_close(struct record_reader **reader);

/* Whatever is wrong with a record, *id is filled by what reads it, or its seq is 0: it cannot be
 * told which record it is. Errors as mp_reader_end()'s. */

/* Only which record it is; its events are not looked at. */
int record_id_decode(struct record_id *id, struct span wire, struct err *err) MUST_CHECK;

/* How many bytes record_decode() needs for the events, at most RECORD_CONTENT_MOST; 0: it is not
 * packed (version 1). */
int record_size(size_t *size, struct span wire, struct err *err) MUST_CHECK;

/* Decode wire: *id, and up to RECORD_EVENTS spans of events, which borrow from content (of
 * record_size() bytes) or, of a record of version 1, from wire. The events' own bytes are not
 * looked at. */
int record_decode(struct record_reader *r, struct record_id *id, char *content, struct span *events,
	uint32_t *count, struct span wire, struct err *err) MUST_CHECK;

/* Append an acknowledgement of n records (at most ACKS_MOST) to out, and read one. */
void ack_encode(msgpack_sbuffer *out, const struct record_id *ids, uint32_t n);
int ack_decode(struct record_id *ids, uint32_t *n, struct span wire, struct err *err) MUST_CHECK;

#endif
