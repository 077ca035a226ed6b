#include "lib/check.h"
#include "proto/dropped.h"

#include <stdlib.h>
#include <string.h>

#include "lib/secret.h"

#define AGENT "Mozilla/5.0"

static const struct dropped_sum sample = { .site_id = 7,
	.ts_us = 1771857103000000,
	.reason = { "ip", 2 },
	.count = 1,
	.is_sample = true,
	.host = { "example.org", 11 },
	.path = { "/a", 2 },
	.agent = { AGENT, sizeof AGENT - 1 },
	.referrer = { "https://ref.example/", 20 },
	.origin = { "https://\"o\".example", 19 } };

/* Read again what was written. */
static int round_trip(const struct dropped_sum *sum, struct dropped_sum *read, struct json_t **kept,
	msgpack_sbuffer *wire)
{
	struct event ev;
	struct err err;

	msgpack_sbuffer_init(wire);
	assert_int_equal(dropped_encode(wire, sum, &err), 0);
	assert_int_equal(event_decode(&ev, (struct span){ wire->data, wire->size }, &err), 0);
	assert_int_equal(ev.kind, EVENT_DROPPED);
	return dropped_read(read, &ev, kept, &err);
}

static void assert_text(struct span text, struct span expected)
{
	assert_int_equal(text.len, expected.len);
	assert_memory_equal(text.ptr, expected.ptr, expected.len);
}

static void a_sample_is_read_as_it_was_written(void **state)
{
	struct dropped_sum read;
	struct json_t *kept;
	msgpack_sbuffer wire;

	(void)state;
	assert_int_equal(round_trip(&sample, &read, &kept, &wire), 0);
	assert_int_equal(read.site_id, 7);
	assert_int_equal(read.ts_us, sample.ts_us);
	assert_int_equal(read.count, 1);
	assert_true(read.is_sample);
	assert_text(read.reason, sample.reason);
	assert_text(read.host, sample.host);
	assert_text(read.path, sample.path);
	assert_text(read.agent, sample.agent);
	assert_text(read.referrer, sample.referrer);
	assert_text(read.origin, sample.origin);
	dropped_done(&kept);
	msgpack_sbuffer_destroy(&wire);
}

static void a_sum_may_be_of_no_site_and_has_no_texts(void **state)
{
	const struct dropped_sum sum = {
		.ts_us = 1771857103000000, .reason = { "new_word", 8 }, .count = 123456
	};
	struct dropped_sum read;
	struct json_t *kept;
	msgpack_sbuffer wire;

	(void)state;
	assert_int_equal(round_trip(&sum, &read, &kept, &wire), 0);
	assert_int_equal(read.site_id, 0);
	assert_int_equal(read.count, 123456);
	assert_false(read.is_sample);
	assert_text(read.reason, sum.reason);
	assert_int_equal(read.host.len + read.path.len + read.agent.len, 0);
	dropped_done(&kept);
	msgpack_sbuffer_destroy(&wire);
}

static void what_is_no_sum_is_refused(void **state)
{
	static const char *const props[] = { "", "{}", "[]", "{\"count\":\"0\"}", "{\"count\":3}",
		"{\"count\":\"3x\"}", "{\"count\":\"-3\"}", "{\"count\":\"99999999999\"}",
		"nonsense" };
	struct event ev = { .kind = EVENT_DROPPED, .name = SPAN("ip") };
	struct dropped_sum sum;
	struct json_t *kept;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof props / sizeof *props; i++) {
		ev.props = span_of(props[i]);
		assert_int_equal(dropped_read(&sum, &ev, &kept, &err), -EINVAL);
		dropped_done(&kept);
	}
	ev.props = SPAN("{\"count\":\"3\"}");
	assert_int_equal(dropped_read(&sum, &ev, &kept, &err), 0);
	dropped_done(&kept);
	ev.name = SPAN("");
	assert_int_equal(dropped_read(&sum, &ev, &kept, &err), -EINVAL);
	dropped_done(&kept);
	ev = (struct event){ .kind = EVENT_PAGEVIEW, .name = SPAN("ip"), .props = ev.props };
	assert_int_equal(dropped_read(&sum, &ev, &kept, &err), -EINVAL);
	dropped_done(&kept);
}

static void texts_that_are_too_long_are_cut_at_a_character(void **state)
{
	char path[EVENT_PATH_MOST + 2];
	struct dropped_sum sum = sample, read;
	struct json_t *kept;
	msgpack_sbuffer wire;

	(void)state;
	memset(path, 'a', sizeof path);
	memcpy(path + EVENT_PATH_MOST - 1, "\xc3\xa4", 2);
	sum.path = (struct span){ path, sizeof path };
	sum.origin = (struct span){ path, 400 };
	assert_int_equal(round_trip(&sum, &read, &kept, &wire), 0);
	assert_int_equal(read.path.len, EVENT_PATH_MOST - 1);
	assert_int_equal(read.origin.len, DROPPED_ORIGIN_MOST);
	dropped_done(&kept);
	msgpack_sbuffer_destroy(&wire);
}

static void every_reason_has_a_word_of_its_own(void **state)
{
	(void)state;
	for (int a = 1; a < DROPPED_REASONS; a++) {
		assert_in_range(strlen(dropped_word((enum dropped)a)), 1, DROPPED_WORD_MOST);
		for (int b = 1; b < a; b++)
			assert_string_not_equal(
				dropped_word((enum dropped)a), dropped_word((enum dropped)b));
	}
	assert_int_equal(dropped_of_bot(EVENT_BOT_NONE), DROPPED_NONE);
	assert_int_equal(dropped_of_bot(EVENT_BOT_PREFETCH), DROPPED_PREFETCH);
	assert_int_equal(dropped_of_bot(200), DROPPED_BOT);
}

static void only_refused_traffic_may_be_of_no_site(void **state)
{
	struct event ev = { .id = 1, .visitor = 2, .kind = EVENT_DROPPED };
	msgpack_sbuffer wire;
	struct err err;

	(void)state;
	for (int kind = EVENT_PAGEVIEW; kind <= EVENT_DROPPED; kind++) {
		ev.kind = (uint8_t)kind;
		msgpack_sbuffer_init(&wire);
		assert_int_equal(event_encode(&wire, &ev, &err), 0);
		assert_int_equal(event_decode(&(struct event){ 0 },
					 (struct span){ wire.data, wire.size }, &err),
			kind == EVENT_DROPPED ? 0 : -EBADMSG);
		msgpack_sbuffer_destroy(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_is_read_as_it_was_written),
		cmocka_unit_test(a_sum_may_be_of_no_site_and_has_no_texts),
		cmocka_unit_test(what_is_no_sum_is_refused),
		cmocka_unit_test(texts_that_are_too_long_are_cut_at_a_character),
		cmocka_unit_test(every_reason_has_a_word_of_its_own),
		cmocka_unit_test(only_refused_traffic_may_be_of_no_site),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
