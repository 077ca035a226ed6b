/* Records and acknowledgements on the wire. Another zstd may pack the same events into other bytes,
 * so the packed sample is read, and not made again. */
#include "lib/check.h"
#include "proto/record.h"

#include <stdlib.h>

#include "proto/sample.h"

struct fixture {
	struct record_packer *packer;
	struct record_reader *reader;
	/* What was read last. */
	struct record_id id;
	struct span events[RECORD_EVENTS];
	uint32_t count;
	char *content;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	*state = f;
	return !f || record_packer_open(&f->packer, &f->err) ||
	       record_reader_open(&f->reader, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	record_packer_close(&f->packer);
	record_reader_close(&f->reader);
	free(f->content);
	free(f);
	return 0;
}

/* Read a record, from memory of exactly its size into such, so that a sanitizer sees what is read
 * or written beyond. */
static int read_record(struct fixture *f, struct span wire)
{
	char *bytes = malloc(wire.len ? wire.len : 1);
	const struct span copy = { bytes, wire.len };
	struct record_id id;
	size_t size = 0;
	int rc;

	if (wire.len)
		memcpy(bytes, wire.ptr, wire.len);
	f->count = 1;
	rc = record_id_decode(&id, copy, &f->err);
	assert_true(!rc == (id.seq != 0));
	rc = record_size(&size, copy, &f->err);
	assert_true(size <= RECORD_CONTENT_MOST && (!rc || !size));
	free(f->content);
	f->content = size ? malloc(size) : NULL;
	if (!rc)
		rc = record_decode(
			f->reader, &f->id, f->content, f->events, &f->count, copy, &f->err);
	else
		assert_int_not_equal(
			record_decode(f->reader, &f->id, NULL, f->events, &f->count, copy, &f->err),
			0);
	assert_true(!rc || !f->count);
	assert_memory_equal(f->id.producer, id.producer, sizeof id.producer);
	assert_int_equal(f->id.lane, id.lane);
	assert_int_equal(f->id.seq, id.seq);
	for (uint32_t i = 0; !size && i < f->count; i++)
		f->events[i].ptr = wire.ptr + (f->events[i].ptr - bytes);
	free(bytes);
	return rc;
}

static void assert_is_the_samples(const struct fixture *f, uint32_t count)
{
	struct sample e = sample_read("event-1");

	assert_int_equal(f->id.producer[0], 0xf0);
	assert_int_equal(f->id.producer[15], 0x0f);
	assert_int_equal(f->id.lane, 7);
	assert_int_equal(f->id.seq, 300);
	assert_int_equal(f->count, count);
	for (uint32_t i = 0; i + 1 < count; i++)
		assert_true(span_equals(f->events[i], span_of_sample(&e)));
	/* Damaged, and no matter of its neighbours. */
	assert_true(span_equals(f->events[count - 1], SPAN("\xc1")));
}

static void a_record_of_version_1_is_read_still(void **state)
{
	struct sample s = sample_read("record-1");
	struct fixture *f = *state;

	assert_int_equal(read_record(f, span_of_sample(&s)), 0);
	assert_null(f->content);
	assert_is_the_samples(f, 2);
}

static void the_packed_sample_gives_its_events(void **state)
{
	struct sample s = sample_read("record-2");
	struct fixture *f = *state;

	assert_int_equal(read_record(f, span_of_sample(&s)), 0);
	assert_is_the_samples(f, 3);
}

static void a_newer_version_is_refused_by_name(void **state)
{
	struct sample s = sample_read("record-2");
	struct fixture *f = *state;
	struct record_id id;

	s.bytes[1] = RECORD_VERSION + 1;
	assert_int_equal(read_record(f, span_of_sample(&s)), -ENOTSUP);
	assert_int_equal(record_id_decode(&id, span_of_sample(&s), &f->err), -ENOTSUP);
	assert_string_equal(f->err.msg, "record: of a newer version");
}

static void a_record_cut_anywhere_is_an_error(void **state)
{
	struct fixture *f = *state;

	for (int version = 1; version <= 2; version++) {
		struct sample s = sample_read(version == 1 ? "record-1" : "record-2");

		for (size_t len = 0; len < s.len; len++)
			assert_int_equal(
				read_record(f, (struct span){ (char *)s.bytes, len }), -EBADMSG);
	}
}

static void a_damaged_record_is_an_error_or_a_record_never_a_crash(void **state)
{
	struct fixture *f = *state;

	for (int version = 1; version <= 2; version++) {
		struct sample s = sample_read(version == 1 ? "record-1" : "record-2");

		for (size_t i = 0; i < s.len; i++)
			for (int bit = 0; bit < 8; bit++) {
				int rc;

				s.bytes[i] = (unsigned char)(s.bytes[i] ^ 1 << bit);
				rc = read_record(f, span_of_sample(&s));
				assert_true(
					!rc || rc == -EBADMSG || rc == -EMSGSIZE || rc == -ENOTSUP);
				s.bytes[i] = (unsigned char)(s.bytes[i] ^ 1 << bit);
			}
	}
}

/* Frames by hand (RFC 8878), for an event of one byte: a number of four bytes, a byte of bits,
 * size, a block of raw bytes. */
#define ZSTD  "28b52ffd"
#define BLOCK "210000"
#define LIST  "91c40178"

static void only_one_whole_frame_of_its_size_is_unpacked(void **state)
{
	static const struct {
		const char *what, *packed;
		int rc;
	} cases[] = {
		{ "as it is to be", ZSTD "2004" BLOCK LIST, 0 },
		{ "nothing", "", -EBADMSG },
		{ "no frame", LIST, -EBADMSG },
		{ "its number alone", ZSTD, -EBADMSG },
		{ "no size", ZSTD "0000" BLOCK LIST, -EBADMSG },
		{ "a size of 0", ZSTD "2000010000", -EBADMSG },
		{ "more than its size", ZSTD "2003" BLOCK LIST, -EBADMSG },
		{ "less than its size", ZSTD "2005" BLOCK LIST, -EBADMSG },
		{ "a size beyond the bound", ZSTD "a000800200" BLOCK LIST, -EMSGSIZE },
		{ "a size of 2^63", ZSTD "e00000000000000080" BLOCK LIST, -EMSGSIZE },
		{ "a window of its own", ZSTD "80a804000000" BLOCK LIST, -EBADMSG },
		{ "a dictionary", ZSTD "210104" BLOCK LIST, -EBADMSG },
		{ "a bit of a newer format", ZSTD "2804" BLOCK LIST, -EBADMSG },
		{ "a wrong checksum", ZSTD "2404" BLOCK LIST "00000000", -EBADMSG },
		{ "a byte behind it", ZSTD "2004" BLOCK LIST "00", -EBADMSG },
		{ "a second frame", ZSTD "2004" BLOCK LIST ZSTD "2004" BLOCK LIST, -EBADMSG },
		{ "a skippable frame before it", "502a4d1800000000" ZSTD "2004" BLOCK LIST,
			-EBADMSG },
		{ "a skippable frame behind it", ZSTD "2004" BLOCK LIST "502a4d1800000000",
			-EBADMSG },
		{ "a skippable frame alone", "502a4d180400000091c40178", -EBADMSG },
		{ "no last block", ZSTD "2004200000" LIST, -EBADMSG },
		{ "no array", ZSTD "2004" BLOCK "01020304", -EBADMSG },
		{ "bytes behind the array", ZSTD "2004" BLOCK "90909090", -EBADMSG },
		{ "an event that is a text", ZSTD "2004" BLOCK "91a2c3a9", -EBADMSG },
		{ "an event without its bytes", ZSTD "2004" BLOCK "91c40278", -EBADMSG },
		{ "an array of 2^32 - 1", ZSTD "2005290000ddffffffff", -EBADMSG },
		/* so often 0xc0, by a block of one byte */
		{ "4,097 events", ZSTD "60040f180000dc10010b8000c0", -EMSGSIZE },
		{ "5,000 events", ZSTD "608b12180000dc1388439c00c0", -EMSGSIZE },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char wire[128] = "\x95\x02\xc4\x10................\x07\x01\xc4";
		size_t n = 0;
		int rc;

		assert_int_equal(sodium_hex2bin(wire + 24, sizeof wire - 24, cases[i].packed,
					 strlen(cases[i].packed), NULL, &n, NULL),
			0);
		wire[23] = (unsigned char)n;
		rc = read_record(f, (struct span){ (char *)wire, 24 + n });
		if (rc != cases[i].rc)
			fail_msg("%s: %d, and not %d", cases[i].what, rc, cases[i].rc);
		assert_int_equal(f->id.seq, 1);
		if (!rc)
			assert_true(f->count == 1 && span_equals(f->events[0], SPAN("x")));
	}
}

/* Texts that pack as events do, or not at all. */
static void bytes_make(char *bytes, size_t len, bool packable)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (char)(packable && i % 8 ? 'a' : x >> 24);
	}
}

/* Events of `len` bytes each; gives the record's bytes. */
static size_t comes_back(struct fixture *f, uint32_t events, size_t len, bool packable)
{
	const struct record_id id = { .producer = { 1, 2, 3 }, .lane = 15, .seq = INT64_MAX };
	char *bytes = malloc(len * events + 1);
	struct span wire;

	bytes_make(bytes, len * events, packable);
	record_begin(f->packer, events);
	for (uint32_t i = 0; i < events; i++)
		record_add(f->packer, (struct span){ bytes + i * len, len });
	wire = record_end(f->packer, &id);
	assert_true(wire.len <= RECORD_MOST);
	assert_int_equal(read_record(f, wire), 0);
	assert_memory_equal(f->id.producer, id.producer, sizeof id.producer);
	assert_int_equal(f->id.lane, id.lane);
	assert_int_equal(f->id.seq, id.seq);
	assert_int_equal(f->count, events);
	for (uint32_t i = 0; i < events; i++)
		assert_true(span_equals(f->events[i], (struct span){ bytes + i * len, len }));
	free(bytes);
	return wire.len;
}

static void a_record_comes_back_as_it_was_put_together(void **state)
{
	struct fixture *f = *state;

	for (int packable = 0; packable < 2; packable++) {
		comes_back(f, 0, 0, packable);
		comes_back(f, 1, 0, packable);
		for (uint32_t events = 1; events <= RECORD_EVENTS; events *= 2)
			for (size_t len = 1; events * (len + 3) <= RECORD_CLOSE; len *= 3)
				comes_back(f, events, len, packable);
		comes_back(f, 1, RECORD_CLOSE, packable);
		comes_back(f, RECORD_EVENTS, RECORD_CLOSE / RECORD_EVENTS, packable);
	}
	assert_true(comes_back(f, RECORD_CLOSE / 400, 400, true) < RECORD_CLOSE / 3);
}

static void the_largest_record_fits_however_badly_it_packs(void **state)
{
	struct fixture *f = *state;

	/* An array's head of 3 bytes, and 5 for each event. */
	assert_true(comes_back(f, 2, (RECORD_CONTENT_MOST - 13) / 2, false) > RECORD_CONTENT_MOST);
	assert_true(comes_back(f, 2, (RECORD_CONTENT_MOST - 13) / 2, true) < RECORD_CLOSE);
}

static void the_same_events_give_the_same_bytes(void **state)
{
	const struct record_id id = { .producer = { 1 }, .lane = 1, .seq = 1 };
	struct fixture *f = *state;
	static char first[RECORD_MOST], bytes[RECORD_CLOSE];
	struct span wire;
	size_t len = 0;

	bytes_make(bytes, sizeof bytes, true);
	for (int again = 0; again < 2; again++) {
		comes_back(f, 10, again ? 10 : 5000, again);
		record_begin(f->packer, 100);
		for (int i = 0; i < 100; i++)
			record_add(f->packer, (struct span){ bytes + i * 100L, 500 });
		wire = record_end(f->packer, &id);
		if (again)
			assert_true(span_equals(wire, (struct span){ first, len }));
		memcpy(first, wire.ptr, wire.len);
		len = wire.len;
	}
}

static void acknowledgements_come_back_as_they_were_sent(void **state)
{
	struct record_id ids[3] = { { .lane = 0, .seq = 1 }, { .lane = 15, .seq = 1ULL << 40 },
		{ .lane = 3, .seq = 7 } };
	static struct record_id got[ACKS_MOST];
	msgpack_sbuffer out;
	uint32_t n;
	struct err err;

	(void)state;
	memset(ids[1].producer, 0xab, 16);
	msgpack_sbuffer_init(&out);
	ack_encode(&out, ids, 3);
	assert_int_equal(out.data[1], 1); /* whatever version records have */
	assert_int_equal(ack_decode(got, &n, (struct span){ out.data, out.size }, &err), 0);
	assert_int_equal(n, 3);
	for (int i = 0; i < 3; i++) {
		assert_memory_equal(got[i].producer, ids[i].producer, 16);
		assert_int_equal(got[i].lane, ids[i].lane);
		assert_int_equal(got[i].seq, ids[i].seq);
	}
	assert_int_not_equal(ack_decode(got, &n, (struct span){ out.data, out.size - 1 }, &err), 0);
	msgpack_sbuffer_destroy(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_record_of_version_1_is_read_still),
		TEST(the_packed_sample_gives_its_events),
		TEST(a_newer_version_is_refused_by_name),
		TEST(a_record_cut_anywhere_is_an_error),
		TEST(a_damaged_record_is_an_error_or_a_record_never_a_crash),
		TEST(only_one_whole_frame_of_its_size_is_unpacked),
		TEST(a_record_comes_back_as_it_was_put_together),
		TEST(the_largest_record_fits_however_badly_it_packs),
		TEST(the_same_events_give_the_same_bytes),
		cmocka_unit_test(acknowledgements_come_back_as_they_were_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
