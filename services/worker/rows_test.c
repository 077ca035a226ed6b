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

static void what_an_array_reads_as_its_own_signs_is_escaped(void **state)
{
	const char *params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7);
	add(rows, "/a\"b\\c,{d}", "{\"k\":\"v\"}");
	add(rows, "NULL", "");
	assert_int_equal(rows_params(rows, params, &err), 0);
	assert_string_equal(params[SITE], "7");
	assert_string_equal(params[ZONE], "Asia/Kolkata");
	assert_string_equal(params[STRING_VALUE], "{\"/a\\\"b\\\\c,{d}\",\"NULL\"}");
	assert_string_equal(params[PROPS], "{\"{\\\"k\\\":\\\"v\\\"}\",NULL}");
	assert_string_equal(params[TS], "{1431857103000000,1431857103000000}");
	assert_string_equal(params[INTERACTIVE], "{f,f}");
	assert_string_equal(params[WIDTH], "{NULL,NULL}");
	rows_close(&rows);
}

static void a_text_is_sent_once_a_batch_and_named_by_its_id(void **state)
{
	const char *params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;
	char ids[80], one[32];

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	for (int batch = 0; batch < 2; batch++) {
		rows_begin(rows, 7);
		add(rows, "/same", "");
		add(rows, "/same", "");
		assert_int_equal(rows_params(rows, params, &err), 0);
		assert_string_equal(params[STRING_VALUE], "{\"/same\"}");
		snprintf(one, sizeof one, "%lld", (long long)id64("/same", 5, NULL, 0));
		snprintf(ids, sizeof ids, "{%s,%s}", one, one);
		assert_string_equal(params[PAGE], ids);
	}
	rows_close(&rows);
}

static void a_batch_of_many_texts_keeps_them_all(void **state)
{
	const char *params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;
	size_t commas = 0;
	char path[32];

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7);
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof path, "/page/%d", i);
		add(rows, path, "");
	}
	assert_int_equal(rows_count(rows), 5000);
	assert_int_equal(rows_params(rows, params, &err), 0);
	for (const char *p = params[STRING_ID]; *p; p++)
		commas += *p == ',';
	assert_int_equal(commas, 4999);
	rows_close(&rows);
}

static void nothing_is_an_empty_array(void **state)
{
	const char *params[ROWS_PARAMS];
	struct rows *rows;
	struct err err;

	(void)state;
	assert_int_equal(rows_open(&rows, &err), 0);
	rows_begin(rows, 7);
	assert_int_equal(rows_params(rows, params, &err), 0);
	assert_string_equal(params[STRING_ID], "{}");
	assert_string_equal(params[TS], "{}");
	rows_close(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_array_reads_as_its_own_signs_is_escaped),
		cmocka_unit_test(a_text_is_sent_once_a_batch_and_named_by_its_id),
		cmocka_unit_test(a_batch_of_many_texts_keeps_them_all),
		cmocka_unit_test(nothing_is_an_empty_array),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
