/* A thin reader over msgpack-c for our own messages: one array whose fields are read straight down.
 * The reader keeps its first error and then yields zeros and empty spans; mp_reader_end() is
 * checked once. Spans borrow from the wire. Elements behind the last one read are skipped: they are
 * fields that a newer writer knows. */
#ifndef FOOTFALL_MP_H
#define FOOTFALL_MP_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

struct mp_reader {
	msgpack_zone zone;
	const msgpack_object *at; /* the fields not yet read */
	uint32_t left;
	unsigned version;   /* of the message */
	const char *failed; /* the first thing found wrong, NULL while all is well */
	int code;
};

/* Read wire, which must be one array that begins with version 1 to `version`, and nothing after it.
 * Must be ended whatever it finds. */
void mp_reader_init(struct mp_reader *r, struct span wire, unsigned version);

/* Likewise, of an array that is part of a message and has no version. Its elements are lent until
 * mp_reader_end(). */
msgpack_object_array mp_reader_init_list(struct mp_reader *r, struct span wire);

/* Whether there are fields left: a writer of an earlier day wrote only those that it knew. */
bool mp_more(const struct mp_reader *r);

uint64_t mp_uint(struct mp_reader *r, uint64_t most);
int64_t mp_int(struct mp_reader *r);
bool mp_bool(struct mp_reader *r);
struct span mp_str(struct mp_reader *r, size_t most); /* longer is -EMSGSIZE, never cut */
struct span mp_bin(struct mp_reader *r, size_t most);
/* Exactly size bytes into `into`. */
void mp_bytes(struct mp_reader *r, unsigned char *into, size_t size);
/* An array: its elements are lent until mp_reader_end(). */
msgpack_object_array mp_array(struct mp_reader *r);

/* Give up reading, for a reason found by the caller (a literal). */
void mp_fail(struct mp_reader *r, int code, const char *reason);

/* Release; 0, or the first error: -EBADMSG not msgpack, not ours or of a wrong type, -EMSGSIZE
 * beyond a bound, -ENOTSUP a newer version. `what` names the message in the sentence. */
int mp_reader_end(struct mp_reader *r, const char *what, struct err *err) MUST_CHECK;

/* What a packer writes into when no byte may be missing: it remembers that memory has run out. */
struct mp_writer {
	msgpack_sbuffer *out;
	bool failed;
};
int mp_write(void *writer, const char *bytes, size_t len); /* for msgpack_packer_init() */

/* Writers: append to a packer. */
void mp_put_str(msgpack_packer *pk, struct span s);
void mp_put_bin(msgpack_packer *pk, const void *bytes, size_t len);

#endif
