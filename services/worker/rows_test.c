#include "lib/check.h"
#include "services/worker/rows.h"

#include <stdio.h>
#include <string.h>

#include "lib/secret.h"

/* Places of parameters of events_apply(), from 0. */
enum {
	SITE = 0,
	ZONE = 1,
	STRING_ID = 2,
	STRING_VALUE = 3,
	TS = 4,
	INTERACTIVE = 8,
	PAGE = 11,
	WIDTH = 22,
	PROPS = 27
};

static const struct app_site site = { .domain = "example.org", .zone = "Asia/Kolkata" };
static const struct enriched nothing = { .site = &site };

static struct event event_of(const char *path, const char *props)
{
	return (struct event){ .site_id = 7,
		.id = 1,
		.ts_us = 1431857103000000,
		.kind = EVENT_PAGEVIEW,
		.visitor = 2,
		.path = span_of(path),
		.props = span_of(props),
		.engaged_ms = EVENT_NONE,
		.scroll_depth = EVENT_NONE };
}

static void add(struct rows *rows, const char *path, const char *props)
{
	struct event ev = event_of(path, props);
	struct err err;

	assert_int_equal(rows_add(rows, &ev, &nothing, &err), 0);
}

static int64_t be_read(const char *at, size_t bytes)
{
	uint64_t value = (unsigned char)at[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char)at[i];
	return (int64_t)value;
}

#define NUMBER_NULL INT64_MIN

/* The n-th element of a binary array, as array_recv() reads it; *count is how many it has. */
static int64_t number_of(struct pg_param array, uint32_t n, uint32_t *count)
{
	const char *at = array.value, *end = at + array.len;
	int64_t value = NUMBER_NULL;

	assert_true(array.is_binary);
	assert_true(array.len >= 12);
	*count = 0;
	if (!be_read(at, 4)) {
		assert_int_equal(array.len, 12);
		return value;
	}
	assert_int_equal(be_read(at, 4), 1);
	assert_int_equal(be_read(at + 16, 4), 1);
	*count = (uint32_t)be_read(at + 12, 4);
	at += 20;
	for (uint32_t i = 0; i < *count; i++) {
		int64_t bytes = be_read(at, 4);

		at += 4;
		assert_true(bytes == -1 || bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
		if (bytes > 0 && i == n)
			value = be_read(at, (size_t)bytes);
		at += bytes > 0 ? bytes : 0;
	}
	assert_ptr_equal(at, end);
	return value;
}

static void assert_two(struct pg_param array, int64_t first, int64_t second)
{
	uint32_t count;

	assert_true(number_of(array, 0, &count) == first);
	assert_true(number_of(array, 1, &count) == second);
	assert_int_equal(count, 2);
}

static void what_an_array_reads_as_its_own_signs_is_escaped(void **state)
{
	struct pg_param params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7, 1);
	add(rows, "/a\"b\\c,{d}", "{\"k\":\"v\"}");
	add(rows, "NULL", "");
	assert_int_equal(rows_params(rows, params, &err), 0);
	assert_string_equal(params[SITE].value, "7");
	assert_string_equal(params[ZONE].value, "Asia/Kolkata");
	assert_string_equal(
		params[STRING_VALUE].value, "{\"/a\\\"b\\\\c,{d}\",\"Direct\",\"NULL\"}");
	assert_string_equal(params[PROPS].value, "{\"{\\\"k\\\":\\\"v\\\"}\",NULL}");
	assert_two(params[TS], 1431857103000000, 1431857103000000);
	assert_two(params[INTERACTIVE], 0, 0);
	rows_close(&rows);
}

static void a_text_is_sent_once_a_batch_and_named_by_its_id(void **state)
{
	struct pg_param params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	for (int batch = 0; batch < 2; batch++) {
		rows_begin(rows, 7, 1);
		add(rows, "/same", "");
		add(rows, "/same", "");
		assert_int_equal(rows_params(rows, params, &err), 0);
		assert_string_equal(params[STRING_VALUE].value, "{\"/same\",\"Direct\"}");
		assert_two(params[PAGE], id64("/same", 5, NULL, 0), id64("/same", 5, NULL, 0));
	}
	rows_close(&rows);
}

static void a_batch_of_many_texts_keeps_them_all(void **state)
{
	struct pg_param params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;
	uint32_t count;
	char path[32];

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7, 1);
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof path, "/page/%d", i);
		add(rows, path, "");
	}
	assert_int_equal(rows_count(rows), 5000);
	assert_int_equal(rows_params(rows, params, &err), 0);
	assert_true(number_of(params[STRING_ID], 5000, &count) == id64("/page/4999", 10, NULL, 0));
	assert_int_equal(count, 5001); /* and the channel */
	rows_close(&rows);
}

static void nothing_is_an_empty_array(void **state)
{
	struct pg_param params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;
	uint32_t count;

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7, 1);
	assert_int_equal(rows_params(rows, params, &err), 0);
	assert_string_equal(params[STRING_VALUE].value, "{}");
	assert_true(number_of(params[TS], 0, &count) == NUMBER_NULL);
	assert_int_equal(count, 0);
	rows_close(&rows);
}

static void nulls_are_sent_only_beside_others(void **state)
{
	struct pg_param params[ROWS_PARAMS];
	struct event wide = event_of("/wide", "{}");
	struct rows *rows;
	uint32_t count;
	struct err err;

	(void)state;
	wide.screen_width = 800;
	assert_int_equal(rows_open(&rows, &err), 0);
	for (int batch = 0; batch < 2; batch++) { /* the second begins anew */
		rows_begin(rows, 7, 1);
		add(rows, "/a", "");
		assert_int_equal(rows_params(rows, params, &err), 0);
		assert_true(number_of(params[WIDTH], 0, &count) == NUMBER_NULL);
		assert_int_equal(count, 0);
		assert_string_equal(params[PROPS].value, "{}");
		rows_begin(rows, 7, 1);
		add(rows, "/a", "");
		assert_int_equal(rows_add(rows, &wide, &nothing, &err), 0);
		assert_int_equal(rows_params(rows, params, &err), 0);
		assert_two(params[WIDTH], NUMBER_NULL, 800);
		assert_string_equal(params[PROPS].value, "{NULL,\"{}\"}");
	}
	rows_close(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_array_reads_as_its_own_signs_is_escaped),
		cmocka_unit_test(a_text_is_sent_once_a_batch_and_named_by_its_id),
		cmocka_unit_test(a_batch_of_many_texts_keeps_them_all),
		cmocka_unit_test(nothing_is_an_empty_array),
		cmocka_unit_test(nulls_are_sent_only_beside_others),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
