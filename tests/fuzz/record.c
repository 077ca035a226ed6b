/* The decoders of what comes over the wire: a record, with its events, and an acknowledgement.
 * Whatever comes, they end, within the bytes they were given; and what they make sense of is the
 * same when it is encoded again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/event.h"
#include "proto/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_record(struct span wire)
{
	static struct span events[RECORD_EVENTS], again[RECORD_EVENTS];
	struct record_id id, same;
	msgpack_sbuffer bytes;
	struct event ev;
	struct err err;
	uint32_t n, m;

	if (record_decode(&id, events, &n, wire, &err))
		return;
	msgpack_sbuffer_init(&bytes);
	record_begin(&bytes, &id, n);
	for (uint32_t i = 0; i < n; i++) {
		assert(events[i].ptr >= wire.ptr &&
			events[i].ptr + events[i].len <= wire.ptr + wire.len);
		record_add(&bytes, events[i]);
		if (event_decode(&ev, events[i], &err))
			assert(err.code);
	}
	assert(!record_decode(&same, again, &m, (struct span){ bytes.data, bytes.size }, &err));
	assert(m == n && same.lane == id.lane && same.seq == id.seq);
	assert(!memcmp(same.producer, id.producer, sizeof id.producer));
	for (uint32_t i = 0; i < n; i++)
		assert(span_equals(events[i], again[i]));
	msgpack_sbuffer_destroy(&bytes);
}

static void try_acknowledgement(struct span wire)
{
	static struct record_id ids[ACKS_MOST], same[ACKS_MOST];
	msgpack_sbuffer bytes;
	struct err err;
	uint32_t n, m;

	if (ack_decode(ids, &n, wire, &err))
		return;
	assert(n <= ACKS_MOST);
	msgpack_sbuffer_init(&bytes);
	ack_encode(&bytes, ids, n);
	assert(!ack_decode(same, &m, (struct span){ bytes.data, bytes.size }, &err) && m == n);
	msgpack_sbuffer_destroy(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span wire = { (const char *)data, size };

	try_record(wire);
	try_acknowledgement(wire);
	return 0;
}
