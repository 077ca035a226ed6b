#include "proto/mp.h"

#define ZONE_CHUNK 2048 /* bytes; an event's array of fields fits */
/* In one message: a record has up to 4096 events. msgpack-c takes 24 bytes for each before anybody
 * has looked at them. */
#define VALUES_MOST 4352

void mp_fail(struct mp_reader *r, int code, const char *reason)
{
	if (r->failed)
		return;
	r->failed = reason;
	r->code = code;
	r->left = 0;
}

/* 0 if wire is one whole msgpack value, of not too many. msgpack-c allocates what the head of
 * an array claims before it has seen its elements, so that a few damaged bytes would ask for 100
 * GB: an element has a byte at least, so a claim beyond the bytes that are left is refused here. */
static int claims_check(struct span wire)
{
	/* Bytes behind the first one, by type 0xc0 to 0xdf: of fixed size, or of the length's
	 * field. */
	static const unsigned char fixed[32] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1,
		2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0 };
	static const unsigned char length[32] = { 0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4 };
	uint64_t values = 1; /* still to come */

	for (uint64_t seen = 0; values; seen++) {
		unsigned char type, at;
		uint64_t n = 0;

		if (wire.len < values)
			return -EBADMSG;
		if (seen + values > VALUES_MOST)
			return -EMSGSIZE;
		type = (unsigned char)wire.ptr[0];
		wire = span_from(wire, 1);
		values--;
		if (type < 0x80 || type >= 0xe0)
			continue;
		if (type < 0xc0) { /* fixmap, fixarray, fixstr */
			n = type & (type < 0xa0 ? 0x0f : 0x1f);
			if (type < 0xa0) {
				values += type < 0x90 ? 2 * n : n;
				continue;
			}
		}
		at = type & 0x1f;
		if (type >= 0xc0) {
			if (wire.len < length[at])
				return -EBADMSG;
			for (int i = 0; i < length[at]; i++)
				n = n << 8 | (unsigned char)wire.ptr[i];
			wire = span_from(wire, length[at]);
			if (type >= 0xdc) { /* array 16, 32, map 16, 32 */
				values += type >= 0xde ? 2 * n : n;
				continue;
			}
			n += fixed[at] + (type >= 0xc7 && type <= 0xc9); /* ext has its own type */
		}
		if (wire.len < n)
			return -EBADMSG;
		wire = span_from(wire, n);
	}
	return 0;
}

/* Read wire, one array. */
static void array_begin(struct mp_reader *r, struct span wire)
{
	msgpack_object root;
	size_t used = 0;
	int rc;

	memset(r, 0, sizeof *r);
	if (!msgpack_zone_init(&r->zone, ZONE_CHUNK)) {
		mp_fail(r, -ENOMEM, "no memory");
		return;
	}
	rc = claims_check(wire);
	if (rc) {
		mp_fail(r, rc, rc == -EMSGSIZE ? "too many values" : "cut short");
		return;
	}
	rc = msgpack_unpack(wire.ptr, wire.len, &used, &r->zone, &root);
	if (rc == MSGPACK_UNPACK_EXTRA_BYTES)
		mp_fail(r, -EBADMSG, "bytes behind its end");
	else if (rc == MSGPACK_UNPACK_NOMEM_ERROR)
		mp_fail(r, -ENOMEM, "no memory");
	else if (rc != MSGPACK_UNPACK_SUCCESS)
		mp_fail(r, -EBADMSG, "not msgpack");
	else if (root.type != MSGPACK_OBJECT_ARRAY)
		mp_fail(r, -EBADMSG, "not an array");
	if (r->failed)
		return;
	r->at = root.via.array.ptr;
	r->left = root.via.array.size;
}

void mp_reader_init(struct mp_reader *r, struct span wire, unsigned version)
{
	array_begin(r, wire);
	r->version = (unsigned)mp_uint(r, UINT32_MAX);
	if (r->version > version)
		mp_fail(r, -ENOTSUP, "of a newer version");
}

msgpack_object_array mp_reader_init_list(struct mp_reader *r, struct span wire)
{
	array_begin(r, wire);
	return (msgpack_object_array){ r->left, (msgpack_object *)(uintptr_t)r->at };
}

bool mp_more(const struct mp_reader *r)
{
	return r->left > 0;
}

static const msgpack_object *mp_next(struct mp_reader *r)
{
	static const msgpack_object nothing = { .type = MSGPACK_OBJECT_NIL };

	if (!r->left) {
		mp_fail(r, -EBADMSG, "a field is missing");
		return &nothing;
	}
	r->left--;
	return r->at++;
}

uint64_t mp_uint(struct mp_reader *r, uint64_t most)
{
	const msgpack_object *o = mp_next(r);

	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		mp_fail(r, -EBADMSG, "a field is no unsigned number");
	else if (o->via.u64 > most)
		mp_fail(r, -EMSGSIZE, "a number is beyond its bound");
	return r->failed ? 0 : o->via.u64;
}

int64_t mp_int(struct mp_reader *r)
{
	const msgpack_object *o = mp_next(r);

	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 > INT64_MAX)
		mp_fail(r, -EMSGSIZE, "a number is beyond its bound");
	else if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER &&
		 o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER)
		mp_fail(r, -EBADMSG, "a field is no number");
	return r->failed ? 0 : o->via.i64;
}

bool mp_bool(struct mp_reader *r)
{
	const msgpack_object *o = mp_next(r);

	if (o->type != MSGPACK_OBJECT_BOOLEAN)
		mp_fail(r, -EBADMSG, "a field is neither true nor false");
	return !r->failed && o->via.boolean;
}

struct span mp_str(struct mp_reader *r, size_t most)
{
	const msgpack_object *o = mp_next(r);

	if (o->type != MSGPACK_OBJECT_STR)
		mp_fail(r, -EBADMSG, "a field is no text");
	else if (o->via.str.size > most)
		mp_fail(r, -EMSGSIZE, "a text is beyond its bound");
	return r->failed ? SPAN("") : (struct span){ o->via.str.ptr, o->via.str.size };
}

struct span mp_bin(struct mp_reader *r, size_t most)
{
	const msgpack_object *o = mp_next(r);

	if (o->type != MSGPACK_OBJECT_BIN)
		mp_fail(r, -EBADMSG, "a field is no bytes");
	else if (o->via.bin.size > most)
		mp_fail(r, -EMSGSIZE, "bytes are beyond their bound");
	return r->failed ? SPAN("") : (struct span){ o->via.bin.ptr, o->via.bin.size };
}

void mp_bytes(struct mp_reader *r, unsigned char *into, size_t size)
{
	struct span bytes = mp_bin(r, size);

	if (!r->failed && bytes.len != size)
		mp_fail(r, -EBADMSG, "bytes are too few");
	memset(into, 0, size);
	if (!r->failed)
		memcpy(into, bytes.ptr, size);
}

msgpack_object_array mp_array(struct mp_reader *r)
{
	const msgpack_object *o = mp_next(r);

	if (o->type != MSGPACK_OBJECT_ARRAY)
		mp_fail(r, -EBADMSG, "a field is no array");
	return r->failed ? (msgpack_object_array){ 0 } : o->via.array;
}

int mp_reader_end(struct mp_reader *r, const char *what, struct err *err)
{
	msgpack_zone_destroy(&r->zone);
	return r->failed ? err_set(err, r->code, "%s: %s", what, r->failed) : 0;
}

int mp_write(void *writer, const char *bytes, size_t len)
{
	struct mp_writer *w = writer;

	if (w->failed || msgpack_sbuffer_write(w->out, bytes, len))
		w->failed = true;
	return w->failed ? -1 : 0;
}

void mp_put_str(msgpack_packer *pk, struct span s)
{
	msgpack_pack_str(pk, s.len);
	msgpack_pack_str_body(pk, s.len ? s.ptr : "", s.len);
}

void mp_put_bin(msgpack_packer *pk, const void *bytes, size_t len)
{
	msgpack_pack_bin(pk, len);
	msgpack_pack_bin_body(pk, bytes, len);
}
