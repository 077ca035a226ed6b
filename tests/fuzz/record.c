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

static struct record_packer *packer;
static struct record_reader *reader;

static bool lies_in(struct span part, const char *ptr, size_t len)
{
	return part.ptr >= ptr && part.ptr + part.len <= ptr + len;
}

static bool is_same(const struct record_id *a, const struct record_id *b)
{
	return a->lane == b->lane && a->seq == b->seq &&
	       !memcmp(a->producer, b->producer, sizeof a->producer);
}

static void comes_back(const struct record_id *id, const struct span *events, uint32_t n)
{
	static struct span again[RECORD_EVENTS];
	static char content[RECORD_CONTENT_MOST];
	struct record_id same;
	struct span wire;
	struct err err;
	uint32_t m;

	record_begin(packer, n);
	for (uint32_t i = 0; i < n; i++)
		record_add(packer, events[i]);
	wire = record_end(packer, id);
	assert(wire.len <= RECORD_MOST);
	assert(!record_decode(reader, &same, content, again, &m, wire, &err));
	assert(m == n && is_same(id, &same));
	for (uint32_t i = 0; i < n; i++)
		assert(span_equals(events[i], again[i]));
}

static void try_record(struct span wire)
{
	static struct span events[RECORD_EVENTS];
	struct record_id id, same;
	struct event ev;
	struct err err;
	size_t size;
	uint32_t n;
	char *content;
	int known = record_id_decode(&same, wire, &err), rc = record_size(&size, wire, &err);

	assert(size <= RECORD_CONTENT_MOST && (!rc || !size) && !known == (same.seq > 0));
	content = size ? malloc(size) : NULL;
	assert(content || !size);
	if (!record_decode(reader, &id, content, events, &n, wire, &err)) {
		assert(!known && !rc && n <= RECORD_EVENTS);
		for (uint32_t i = 0; i < n; i++) {
			assert(size ? lies_in(events[i], content, size)
				    : lies_in(events[i], wire.ptr, wire.len));
			if (event_decode(&ev, events[i], &err))
				assert(err.code);
		}
		comes_back(&id, events, n);
	} else {
		assert(!n);
	}
	assert(is_same(&id, &same));
	free(content);
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
	struct err err;

	if (!reader)
		assert(!record_packer_open(&packer, &err) && !record_reader_open(&reader, &err));
	try_record(wire);
	try_acknowledgement(wire);
	return 0;
}
