#include "proto/record.h"

#include <assert.h>
#include <stdlib.h>
/* For a compressor in memory of ours, see record_packer_open(). */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "proto/mp.h"

#define LEVEL      1  /* a third of the bytes; the next ones take longer and save little */
#define WINDOW_LOG 18 /* at least the content, as frame_get() wants it */
#define HEAD_MOST  40 /* what is before the packed events: 1 + 1 + 18 + 1 + 9 + 5 bytes */

_Static_assert(RECORD_CONTENT_MOST <= 1 << WINDOW_LOG, "a window holds all");
_Static_assert(HEAD_MOST + ZSTD_COMPRESSBOUND(RECORD_CONTENT_MOST) <= RECORD_MOST,
	"what cannot be made smaller has room");

/* What msgpack-c writes into; that it has room is its owner's to know. */
struct buffer {
	char *ptr;
	size_t len, size;
};

static int buffer_write(void *buffer, const char *bytes, size_t len)
{
	struct buffer *b = buffer;

	assert(len <= b->size - b->len);
	memcpy(b->ptr + b->len, bytes, len);
	b->len += len;
	return 0;
}

int record_id_order(const struct record_id *a, const struct record_id *b)
{
	int producer = memcmp(a->producer, b->producer, sizeof a->producer);

	if (producer || a->lane != b->lane)
		return producer ? producer : a->lane - b->lane;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

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

/* --- putting together ------------------------------------------------------------------------- */

struct record_packer {
	void *zstd_room;
	ZSTD_CCtx *zstd; /* lies in it, so that it asks for no memory later */
	struct buffer content, wire;
};

/* A compressor in memory of ours begins without the defaults. */
static bool zstd_is_set(ZSTD_CCtx *zstd)
{
	return !ZSTD_isError(ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, WINDOW_LOG)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1));
}

int record_packer_open(struct record_packer **out, struct err *err)
{
	struct record_packer *p = calloc(1, sizeof *p);
	size_t size = ZSTD_estimateCCtxSize(LEVEL);

	if (!p)
		return err_set(err, -ENOMEM, "record: no memory");
	p->zstd_room = malloc(size);
	p->content.ptr = malloc(RECORD_CONTENT_MOST);
	p->wire.ptr = malloc(RECORD_MOST);
	if (p->zstd_room)
		p->zstd = ZSTD_initStaticCCtx(p->zstd_room, size);
	if (!p->zstd || !zstd_is_set(p->zstd) || !p->content.ptr || !p->wire.ptr) {
		record_packer_close(&p);
		return err_set(err, -ENOMEM, "record: no memory");
	}
	p->content.size = RECORD_CONTENT_MOST;
	*out = p;
	return 0;
}

void record_packer_close(struct record_packer **p_p)
{
	struct record_packer *p = *p_p;

	if (!p)
		return;
	free(p->zstd_room);
	free(p->content.ptr);
	free(p->wire.ptr);
	free(p);
	*p_p = NULL;
}

void record_begin(struct record_packer *p, uint32_t events)
{
	msgpack_packer pk;

	assert(events <= RECORD_EVENTS);
	p->content.len = 0;
	msgpack_packer_init(&pk, &p->content, buffer_write);
	msgpack_pack_array(&pk, events);
}

void record_add(struct record_packer *p, struct span event)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, &p->content, buffer_write);
	mp_put_bin(&pk, event.ptr, event.len);
}

struct span record_end(struct record_packer *p, const struct record_id *id)
{
	/* How long the head is follows from what comes behind it, so it is put before that. */
	char *packed = p->wire.ptr + HEAD_MOST;
	size_t len = ZSTD_compress2(
		p->zstd, packed, RECORD_MOST - HEAD_MOST, p->content.ptr, p->content.len);
	char bytes[HEAD_MOST];
	struct buffer head = { bytes, 0, sizeof bytes };
	msgpack_packer pk;

	assert(!ZSTD_isError(len));
	msgpack_packer_init(&pk, &head, buffer_write);
	msgpack_pack_array(&pk, 5);
	msgpack_pack_uint8(&pk, RECORD_VERSION);
	id_put(&pk, id);
	msgpack_pack_bin(&pk, len);
	memcpy(packed - head.len, head.ptr, head.len);
	return (struct span){ packed - head.len, head.len + len };
}

/* --- reading ---------------------------------------------------------------------------------- */

struct record_reader {
	ZSTD_DCtx *zstd;
};

int record_reader_open(struct record_reader **out, struct err *err)
{
	struct record_reader *r = calloc(1, sizeof *r);

	if (r)
		r->zstd = ZSTD_createDCtx();
	if (!r || !r->zstd) {
		record_reader_close(&r);
		return err_set(err, -ENOMEM, "record: no memory");
	}
	*out = r;
	return 0;
}

void record_reader_close(struct record_reader **r_p)
{
	struct record_reader *r = *r_p;

	if (!r)
		return;
	ZSTD_freeDCtx(r->zstd);
	free(r);
	*r_p = NULL;
}

int record_id_decode(struct record_id *id, struct span wire, struct err *err)
{
	struct mp_reader r;

	mp_reader_init(&r, wire, RECORD_VERSION);
	id_get(&r, id);
	return mp_reader_end(&r, "record", err);
}

/* The frame of the events, and the bytes that they come to. */
static struct span frame_get(struct mp_reader *r, size_t *size)
{
	/* RFC 8878, section 3.1.1: a number of four bytes, then one of bits, of which 0x20 says
	 * that the window is as large as the content, whose size follows, and 0x03 that there is a
	 * dictionary. */
	static const unsigned char magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	struct span frame = mp_bin(r, RECORD_MOST);
	unsigned long long content;

	*size = 0;
	if (frame.len <= sizeof magic || memcmp(frame.ptr, magic, sizeof magic) != 0) {
		mp_fail(r, -EBADMSG, "its events are no zstd frame");
		return frame;
	}
	content = ZSTD_getFrameContentSize(frame.ptr, frame.len);
	if ((frame.ptr[sizeof magic] & 0x23) != 0x20 || content == ZSTD_CONTENTSIZE_ERROR ||
		content == ZSTD_CONTENTSIZE_UNKNOWN || !content)
		mp_fail(r, -EBADMSG, "its events are packed as we never do");
	else if (content > RECORD_CONTENT_MOST)
		mp_fail(r, -EMSGSIZE, "its events have too many bytes");
	else if (ZSTD_findFrameCompressedSize(frame.ptr, frame.len) != frame.len)
		mp_fail(r, -EBADMSG, "its events are not one whole frame");
	else
		*size = (size_t)content;
	return frame;
}

int record_size(size_t *size, struct span wire, struct err *err)
{
	struct record_id id;
	struct mp_reader r;

	*size = 0;
	mp_reader_init(&r, wire, RECORD_VERSION);
	id_get(&r, &id);
	if (r.version > 1)
		frame_get(&r, size);
	return mp_reader_end(&r, "record", err);
}

static void events_get(
	struct mp_reader *r, msgpack_object_array list, struct span *events, uint32_t *count)
{
	if (list.size > RECORD_EVENTS)
		mp_fail(r, -EMSGSIZE, "too many events");
	for (uint32_t i = 0; !r->failed && i < list.size; i++) {
		if (list.ptr[i].type != MSGPACK_OBJECT_BIN)
			mp_fail(r, -EBADMSG, "an event is no bytes");
		events[i] = (struct span){ list.ptr[i].via.bin.ptr, list.ptr[i].via.bin.size };
	}
	*count = r->failed ? 0 : list.size;
}

int record_decode(struct record_reader *r, struct record_id *id, char *content, struct span *events,
	uint32_t *count, struct span wire, struct err *err)
{
	struct mp_reader head, list;
	msgpack_object_array packed;
	struct span frame;
	size_t size;
	int rc;

	*count = 0;
	mp_reader_init(&head, wire, RECORD_VERSION);
	id_get(&head, id);
	if (head.version <= 1) {
		events_get(&head, mp_array(&head), events, count);
		return mp_reader_end(&head, "record", err);
	}
	frame = frame_get(&head, &size);
	if (!head.failed &&
		ZSTD_decompressDCtx(r->zstd, content, size, frame.ptr, frame.len) != size)
		mp_fail(&head, -EBADMSG, "its events cannot be unpacked");
	rc = mp_reader_end(&head, "record", err);
	if (rc)
		return rc;
	packed = mp_reader_init_list(&list, (struct span){ content, size });
	events_get(&list, packed, events, count);
	return mp_reader_end(&list, "record", err);
}

/* --- acknowledgements ------------------------------------------------------------------------- */

void ack_encode(msgpack_sbuffer *out, const struct record_id *ids, uint32_t n)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 2 + 3 * n);
	msgpack_pack_uint8(&pk, ACK_VERSION);
	msgpack_pack_uint32(&pk, n);
	for (uint32_t i = 0; i < n; i++)
		id_put(&pk, &ids[i]);
}

int ack_decode(struct record_id *ids, uint32_t *n, struct span wire, struct err *err)
{
	struct mp_reader r;

	mp_reader_init(&r, wire, ACK_VERSION);
	*n = (uint32_t)mp_uint(&r, ACKS_MOST);
	for (uint32_t i = 0; !r.failed && i < *n; i++)
		id_get(&r, &ids[i]);
	return mp_reader_end(&r, "acknowledgement", err);
}
