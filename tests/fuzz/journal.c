/* The recovery of a journal: segments that a dead ingress left, with anything done to them. The
 * input is a program: frames that are whole, so that checksums do not stop it, then damage. Reading
 * ends; entries lie within their record; numbers of a producer and lane have no gaps and never go
 * back; and read a second time all is the same. */
#include <assert.h>
#include <fcntl.h>
#include <glob.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/journal/journal.h"
#include "lib/journal/segment.h"
#include "lib/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENT_BYTES (SEGMENT_FRAMES_AT + 4096)
#define SEGMENTS_MOST 4

static struct {
	char parent[64], folder[80];
	const uint8_t *data;
	size_t left;
} in;

static uint64_t take(size_t bytes)
{
	uint64_t value = 0;

	for (; bytes && in.left; bytes--, in.left--)
		value = value << 8 | *in.data++;
	return value;
}

static void file_put(uint64_t number, const char *bytes, size_t len)
{
	char name[SEGMENT_NAME_SIZE], path[128];
	int fd;

	segment_name(number, name);
	snprintf(path, sizeof path, "%s/%s", in.folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

/* A segment with up to 64 frames of its lanes' records, as a writer would, or nearly. */
static void segment_put(uint64_t number, uint64_t seq[SEGMENT_LANES], unsigned char producer)
{
	static char bytes[SEGMENT_BYTES];
	struct segment_head head = { .number = number, .before = take(1) & 1 ? number - 1 : 0 };
	bool open_record[SEGMENT_LANES] = { false };
	size_t at = SEGMENT_FRAMES_AT, frames = take(1) % 64;

	memset(bytes, 0, sizeof bytes);
	memset(head.producer, producer, sizeof head.producer);
	for (int i = 0; i < SEGMENT_LANES; i++) {
		head.first[i] = seq[i] + 1;
		head.first_before[i] = head.before ? 1 : 0;
	}
	segment_head_seal(&head, bytes);
	memcpy(bytes + SEGMENT_BLOCK, bytes, SEGMENT_BLOCK);
	for (size_t i = 0; i < frames; i++) {
		uint8_t what = (uint8_t)take(1), lane = what % 4;
		size_t len = what & 0x80 ? 0 : 1 + take(1) % 40;
		char entry[41];

		if (at + frame_size(len) > sizeof bytes)
			break;
		memset(entry, what, sizeof entry);
		frame_seal(bytes + at,
			(struct frame_head){ .len = (uint32_t)len,
				.seq = seq[lane] + 1,
				.type = len ? FRAME_ENTRY : FRAME_CLOSE,
				.lane = lane },
			entry, number);
		at += frame_size(len);
		open_record[lane] = len > 0;
		seq[lane] += !len; /* a close: the next record */
	}
	for (int i = 0; i < SEGMENT_LANES; i++)
		seq[i] += open_record[i]; /* the segment's end closes it */
	for (size_t damage = take(1) % 8; damage; damage--) {
		size_t from = take(2) % sizeof bytes, len = take(1);

		for (; len && from < sizeof bytes; len--)
			bytes[from++] ^= (char)(1 + take(1));
	}
	file_put(number, bytes, take(1) % 8 ? sizeof bytes : take(2) % sizeof bytes);
}

struct seen {
	unsigned char producer;
	bool any;
	uint64_t last[SEGMENT_LANES];
};

/* Read all there is, and a hash of it. */
static void read_all(unsigned char hash[32], bool done)
{
	const struct journal_options options = { .parent = in.parent,
		.segment_bytes = SEGMENT_BYTES };
	struct journal *j = NULL;
	struct journal_record record;
	struct seen seen = { 0 };
	crypto_generichash_state state;
	struct err err;
	int rc;

	crypto_generichash_init(&state, NULL, 0, 32);
	rc = journal_adopt(&j, &options, &err);
	assert(rc >= 0);
	while (rc == 1 && journal_read(j, &record, &err) == 1) {
		const char *at = record.entries.len ? record.entries.ptr : "",
			   *end = at + record.entries.len;

		for (uint32_t i = 0; i < record.count; i++) {
			uint32_t len;

			memcpy(&len, at, sizeof len);
			at += sizeof len + len;
			assert(at <= end);
		}
		assert(at == end && record.lane < SEGMENT_LANES && record.seq);
		if (!seen.any || seen.producer != record.producer[0])
			seen = (struct seen){ .any = true, .producer = record.producer[0] };
		assert(record.seq > seen.last[record.lane]);
		seen.last[record.lane] = record.seq;
		crypto_generichash_update(&state, record.producer, sizeof record.producer);
		crypto_generichash_update(&state, (const unsigned char *)&record.lane, 1);
		crypto_generichash_update(&state, (const unsigned char *)&record.seq, 8);
		crypto_generichash_update(
			&state, (const unsigned char *)record.entries.ptr, record.entries.len);
		if (done)
			journal_done(j, record.segment);
	}
	if (done && j)
		assert(journal_is_drained(j));
	journal_close(&j);
	crypto_generichash_final(&state, hash, 32);
}

static void setup(void)
{
	log_open("fuzz", LOG_ALARM);
	assert(sodium_init() >= 0);
	snprintf(in.parent, sizeof in.parent, "%s/footfall-fuzz-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert(mkdtemp(in.parent));
	snprintf(in.folder, sizeof in.folder, "%s/0", in.parent);
	assert(!mkdir(in.folder, 0700));
}

static void remove_all(const char *pattern)
{
	char path[128];
	glob_t found;

	snprintf(path, sizeof path, "%s/%s", in.parent, pattern);
	if (!glob(path, GLOB_NOSORT, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
	globfree(&found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seq[SEGMENT_LANES] = { 0 }, segments;
	unsigned char producer = 1, first[32], second[32];

	if (!in.parent[0])
		setup();
	in.data = data;
	in.left = size;
	segments = 1 + take(1) % SEGMENTS_MOST;
	for (uint64_t number = 1; number <= segments; number++) {
		uint8_t what = (uint8_t)take(1);

		if (what % 4 == 0) { /* the next owner */
			producer = (unsigned char)(producer % 3 + 1);
			memset(seq, 0, sizeof seq);
		}
		if (what % 16 != 15) /* or that one is gone */
			segment_put(number, seq, producer);
	}
	read_all(first, false);
	read_all(second, true);
	assert(!memcmp(first, second, sizeof first));
	remove_all("0/*.seg");
	remove_all("archive/*"); /* what was damaged */
	return 0;
}
