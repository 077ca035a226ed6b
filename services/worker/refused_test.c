#include "lib/check.h"
#include "services/worker/refused.h"

/* As an ingress of another make might have written it: with bytes that are not UTF-8, and a NUL. */
static const char rubbish[] = "/\xff\0\xc3(x";

static void texts_that_are_not_utf8_neither_lose_a_sample_nor_fail(void **state)
{
	const struct span path = { rubbish, sizeof rubbish - 1 };
	struct event ev = { .site_id = 7,
		.id = 11,
		.ts_us = 1,
		.kind = EVENT_DROPPED,
		.name = SPAN("i\xfep"),
		.host = path,
		.path = path,
		.user_agent = path,
		.referrer = path,
		.props = SPAN("{\"count\": \"3\", \"sample\": true}") };
	struct refused *refused;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(refused_open(&refused, &err), 0);
	refused_begin(refused, 7);
	assert_int_equal(refused_add_sum(refused, &ev, &err), 0);
	ev.props = SPAN("{\"count\": \"3\", \"sample\": false}");
	assert_int_equal(refused_add_sum(refused, &ev, &err), 0);
	ev.kind = EVENT_PAGEVIEW;
	assert_int_equal(refused_add(refused, &ev, DROPPED_COUNTRY, &err), 0);
	refused_close(&refused);
}

static void absent_texts_are_empty_ones(void **state)
{
	const struct event ev = { .site_id = 7, .id = 11, .ts_us = 1, .kind = EVENT_PAGEVIEW };
	struct refused *refused;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(refused_open(&refused, &err), 0);
	refused_begin(refused, 7);
	assert_int_equal(refused_add(refused, &ev, DROPPED_COUNTRY, &err), 0);
	refused_close(&refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_that_are_not_utf8_neither_lose_a_sample_nor_fail),
		cmocka_unit_test(absent_texts_are_empty_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
