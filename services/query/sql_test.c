#include "lib/check.h"
#include "services/query/sql.h"

#include <stdio.h>

static struct sql built;

/* Build the statement of a body's metrics, given as a JSON array, and other keys. */
static const char *build_of(
	bool whole_days, bool some_persistent, const char *metrics, const char *more)
{
	char body[1000];
	struct request req;
	struct err err;

	snprintf(body, sizeof body, "{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":%s%s}",
		metrics, more);
	assert_int_equal(request_parse(&req, span_of(body), &err), 0);
	request_set_time_unit(&req, "day");
	sql_clear(&built);
	assert_int_equal(sql_build(&built, &req, whole_days, some_persistent, &err), 0);
	return built.text;
}

static const char *build(const char *metrics, const char *more)
{
	return build_of(true, true, metrics, more);
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

static void assert_reads(const char *text, const char *table, const char *const others[])
{
	assert_has(text, table);
	for (; *others; others++)
		assert_lacks(text, *others);
}

static void a_report_reads_the_smallest_tables_that_know_it(void **state)
{
	static const char *const but_rollups[] = { "from visit v", "from event e", NULL };
	static const char *const but_visits[] = { "from rollup_", "from event e", NULL };
	static const char *const but_events[] = { "from rollup_", "from visit_page e", NULL };
	static const char all[] = "[\"visitors\",\"visits\",\"bounce_rate\"]",
			  one[] = "[\"visits\"]";

	(void)state;
	assert_reads(build(all, ""), "from rollup_month", but_rollups);
	assert_reads(build(all, ",\"dimensions\":[\"time:week\",\"visit:source\"]"),
		"from rollup_day", but_rollups);
	assert_reads(
		build(all, ",\"dimensions\":[\"visit:os_version\"]"), "from visit v", but_visits);
	assert_reads(build(all, ",\"dimensions\":[\"visit:os\",\"event:page\"]"),
		"from visit_page e", but_visits);
	assert_reads(build(one, ",\"dimensions\":[\"event:name\"]"), "from event e", but_events);
	assert_reads(build(all, ",\"dimensions\":[\"time:hour\"]"), "from event e", but_events);
	assert_reads(build_of(false, false, all, ""), "from event e", but_events);
}

static void rollups_alone_are_read_where_no_visitor_is_persistent(void **state)
{
	(void)state;
	assert_lacks(build_of(true, false, "[\"visitors\"]", ""), "from visit");
	assert_lacks(build_of(true, false, "[\"visitors\"]", ",\"dimensions\":[\"visit:os\"]"),
		"from visit");
	assert_has(build("[\"visitors\"]", ""), "from visit_page e");
}

static void months_stand_for_their_days_only_where_no_days_are_told(void **state)
{
	(void)state;
	assert_has(build("[\"visits\"]", ",\"dimensions\":[\"time:month\"]"), "rollup_month");
	assert_lacks(build("[\"visits\"]", ",\"dimensions\":[\"time:week\"]"), "rollup_month");
	assert_lacks(build("[\"visits\"]", ",\"dimensions\":[\"time:day\"]"), "rollup_month");
}

static void every_parameter_is_numbered_once_and_used(void **state)
{
	const char *text = build("[\"visitors\",\"visits\",\"percentage\",\"visit_duration\"]",
		",\"dimensions\":[\"time:week\",\"event:page\",\"visit:country_name\"],"
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
	assert_int_equal(built.param_count, SQL_PARAMS_MOST - 2); /* no start, no names */
	build("[\"visits\"]", ",\"include\":{\"bots\":true}");
	assert_int_equal(built.param_count, SQL_PARAMS_MOST - 4); /* nor months */
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

static void a_code_and_its_name_are_one_dimension_to_the_tables(void **state)
{
	static const char *const but_rollups[] = { "from visit v", "from event e", NULL };
	const char *text = build("[\"visitors\",\"visits\"]",
		",\"dimensions\":[\"visit:country\",\"visit:country_name\"]");

	(void)state;
	assert_reads(text,
		"from rollup_month where site_id = $1::integer and build = $2::integer"
		" and dimension = 7 ",
		but_rollups);
	assert_has(text, "::jsonb ->> s.value");
	assert_has(
		build("[\"visits\"]", ",\"dimensions\":[\"visit:country_name\",\"visit:browser\"]"),
		"from visit v");
}

static void bots_are_taken_out_where_no_visit_is_asked_and_kept_where_they_are_asked_for(
	void **state)
{
	static const char *const but_visits[] = { "from rollup_", "from event e", NULL };
	static const char of_all[] = ",\"include\":{\"bots\":true}";
	static const char by_name[] = ",\"dimensions\":[\"event:name\"]";
	const char *text;

	(void)state;
	text = build("[\"visitors\"]", by_name);
	assert_has(text, "not exists (select from bots v");
	assert_lacks(text, "join visits v");
	text = build("[\"visitors\"]", ",\"dimensions\":[\"visit:os_version\"]");
	assert_has(text, "join visits v");
	assert_lacks(text, "not exists (select from bots v");
	assert_has(build("[\"visits\"]", ",\"dimensions\":[\"visit:os_version\"]"), "not v.bot");
	text = build("[\"visitors\",\"visits\"]", of_all);
	assert_reads(text, "from visit_page e", but_visits);
	assert_lacks(text, "bot");
}

static void values_that_are_shown_alike_are_added_up_by_their_text(void **state)
{
	const char *text = build("[\"visitors\"]", ",\"dimensions\":[\"visit:city_name\"]");

	(void)state;
	assert_true(strstr(text, "string s") < strstr(text, "grouped as"));
	assert_has(text, "from merged group by 1");
	assert_lacks(build("[\"visitors\"]", ",\"dimensions\":[\"visit:source\"]"), "merged");
}

static void screens_are_told_by_their_class(void **state)
{
	(void)state;
	assert_has(build("[\"visitors\"]", ",\"dimensions\":[\"visit:screen\"]"),
		"case when v.screen_width <= 0 then null when v.screen_width < 576 then 'phone'"
		" when v.screen_width < 992 then 'tablet' when v.screen_width < 1440 then 'laptop'"
		" when v.screen_width > 0 then 'desktop' end as d0");
}

/* Whatever is asked for, all counters of all parts stand in one order. */
static void every_metric_and_dimension_builds_alone_and_together(void **state)
{
	static const char *const dimensions[] = { "event:page", "visit:source", "visit:referrer",
		"visit:country", "visit:country_name", "visit:browser", "visit:browser_version",
		"visit:os", "visit:os_version", "visit:device", "visit:entry_page",
		"visit:exit_page", "visit:channel", "visit:region", "visit:region_name",
		"visit:city", "visit:city_name", "visit:utm_source", "visit:utm_medium",
		"visit:utm_campaign", "visit:utm_term", "visit:utm_content", "visit:language",
		"visit:locale", "visit:screen", "visit:brand", "visit:model", "time", "time:hour",
		"time:day", "time:week", "time:month" };
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
		cmocka_unit_test(a_report_reads_the_smallest_tables_that_know_it),
		cmocka_unit_test(rollups_alone_are_read_where_no_visitor_is_persistent),
		cmocka_unit_test(months_stand_for_their_days_only_where_no_days_are_told),
		cmocka_unit_test(every_parameter_is_numbered_once_and_used),
		cmocka_unit_test(ids_are_grouped_before_they_become_texts),
		cmocka_unit_test(a_code_and_its_name_are_one_dimension_to_the_tables),
		cmocka_unit_test(
			bots_are_taken_out_where_no_visit_is_asked_and_kept_where_they_are_asked_for),
		cmocka_unit_test(values_that_are_shown_alike_are_added_up_by_their_text),
		cmocka_unit_test(screens_are_told_by_their_class),
		cmocka_unit_test(every_metric_and_dimension_builds_alone_and_together),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	sql_clear(&built);
	return failed;
}
