#include "proto/record.h"

#include "proto/mp.h"

static void id_put(msgpack_packer *pk, const struct record_id *id)
{
	mp_put_bin(pk, id->producer, sizeof id->producer);
	msgpack_pack_uint8(pk, id->lane);
	msgpack_pack_uint64(pk, id->seq);
}

static void id_get(struct mp_reader *r, struct record_id *id)
{
	mp_bytes(r, id->producer, sizeof id->producer);
	id->lane = (uint8_t)mp_uint(r, RECORD_LANES - 1);
	id->seq = mp_uint(r, INT64_MAX);
	if (!r->failed && !id->seq)
		mp_fail(r, -EBADMSG, "its number is 0");
}

void record_begin(msgpack_sbuffer *out, const struct record_id *id, uint32_t events)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 5);
	msgpack_pack_uint8(&pk, RECORD_VERSION);
	id_put(&pk, id);
	msgpack_pack_array(&pk, events);
}

void record_add(msgpack_sbuffer *out, struct span event)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	mp_put_bin(&pk, event.ptr, event.len);
}

int record_decode(struct record_id *id, struct span *events, uint32_t *count, struct span wire,
	struct err *err)
{
	struct mp_reader r;
	msgpack_object_array list;

	mp_reader_init(&r, wire, RECORD_VERSION);
	id_get(&r, id);
	list = mp_array(&r);
	if (list.size > RECORD_EVENTS)
		mp_fail(&r, -EMSGSIZE, "too many events");
	for (uint32_t i = 0; !r.failed && i < list.size; i++) {
		if (list.ptr[i].type != MSGPACK_OBJECT_BIN)
			mp_fail(&r, -EBADMSG, "an event is no bytes");
		events[i] = (struct span){ list.ptr[i].via.bin.ptr, list.ptr[i].via.bin.size };
	}
	*count = r.failed ? 0 : list.size;
	return mp_reader_end(&r, "record", err);
}

void ack_encode(msgpack_sbuffer *out, const struct record_id *ids, uint32_t n)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 2 + 3 * n);
	msgpack_pack_uint8(&pk, RECORD_VERSION);
	msgpack_pack_uint32(&pk, n);
	for (uint32_t i = 0; i < n; i++)
		id_put(&pk, &ids[i]);
}

int ack_decode(struct record_id *ids, uint32_t *n, struct span wire, struct err *err)
{
	struct mp_reader r;

	mp_reader_init(&r, wire, RECORD_VERSION);
	*n = (uint32_t)mp_uint(&r, ACKS_MOST);
	for (uint32_t i = 0; !r.failed && i < *n; i++)
		id_get(&r, &ids[i]);
	return mp_reader_end(&r, "acknowledgement", err);
}
