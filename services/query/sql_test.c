#include "lib/check.h"
#include "services/query/sql.h"

#include <stdio.h>

static struct sql built;

/* Build the statement of a body's metrics and dimensions, given as JSON arrays. */
static const char *build(const char *metrics, const char *more)
{
	char body[1000];
	struct request req;
	struct err err;

	snprintf(body, sizeof body, "{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":%s%s}",
		metrics, more);
	assert_int_equal(request_parse(&req, span_of(body), &err), 0);
	request_set_time_unit(&req, "day");
	sql_clear(&built);
	assert_int_equal(sql_build(&built, &req, &err), 0);
	return built.text;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in: %s", part, text);
}

static void visits_are_told_apart_only_where_they_are_asked_for(void **state)
{
	(void)state;
	assert_lacks(build("[\"visitors\",\"pageviews\",\"events\"]", ""), "piece");
	assert_lacks(
		build("[\"visitors\"]", ",\"dimensions\":[\"event:page\",\"visit:os\"]"), "piece");
	assert_has(build("[\"visits\"]", ""), "piece");
	assert_has(build("[\"bounce_rate\"]", ""), "piece");
	assert_has(build("[\"visitors\"]", ",\"dimensions\":[\"visit:source\"]"), "piece");
}

static void every_parameter_is_numbered_once_and_used(void **state)
{
	const char *text = build("[\"visitors\",\"visits\",\"percentage\",\"visit_duration\"]",
		",\"dimensions\":[\"time:week\",\"event:page\",\"visit:exit_page\"],"
		"\"include\":{\"total_rows\":true}");
	char number[20];

	(void)state;
	assert_int_equal(built.param_count, SQL_PARAMS_MOST);
	for (int i = 0; i < built.param_count; i++) {
		snprintf(number, sizeof number, "$%d::", i + 1);
		assert_has(text, number);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(built.params[k], built.params[i]);
	}
	assert_lacks(text, "{");
	build("[\"visitors\"]", "");
	assert_int_equal(built.param_count, 5); /* no zone, no first date */
}

static void ids_are_grouped_before_they_become_texts(void **state)
{
	const char *text = build("[\"visitors\"]", ",\"dimensions\":[\"event:page\"]");

	(void)state;
	assert_non_null(strstr(text, "grouped as"));
	assert_true(strstr(text, "string s") > strstr(text, "grouped as"));
	assert_has(text, "rows with ties");
	text = build("[\"visitors\"]",
		",\"dimensions\":[\"event:page\"],\"order_by\":[[\"event:page\",\"asc\"]]");
	assert_lacks(text, "rows with ties");
	assert_has(text, "order by t0 collate \"C\" asc");
}

/* Whatever is asked for, all counters of all parts stand in one order. */
static void every_metric_and_dimension_builds_alone_and_together(void **state)
{
	static const char *const dimensions[] = { "event:page", "visit:source", "visit:referrer",
		"visit:country", "visit:browser", "visit:browser_version", "visit:os",
		"visit:os_version", "visit:device", "visit:entry_page", "visit:exit_page", "time",
		"time:hour", "time:day", "time:week", "time:month" };
	static const char all[] = "[\"visitors\",\"visits\",\"pageviews\",\"events\","
				  "\"views_per_visit\",\"bounce_rate\",\"visit_duration\","
				  "\"percentage\"]";
	char more[100];

	(void)state;
	for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++) {
		snprintf(more, sizeof more, ",\"dimensions\":[\"%s\"]", dimensions[i]);
		assert_has(build(all, more), "d0");
		assert_has(build("[\"visitors\"]", more), "d0");
		assert_has(build("[\"visits\"]", more), "d0");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visits_are_told_apart_only_where_they_are_asked_for),
		cmocka_unit_test(every_parameter_is_numbered_once_and_used),
		cmocka_unit_test(ids_are_grouped_before_they_become_texts),
		cmocka_unit_test(every_metric_and_dimension_builds_alone_and_together),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	sql_clear(&built);
	return failed;
}
