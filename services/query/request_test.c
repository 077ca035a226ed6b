#include "lib/check.h"
#include "services/query/request.h"

#include <stdio.h>

static struct request parsed;
static struct err failure;

static int parse(const char *body)
{
	failure = (struct err){ 0 };
	return request_parse(&parsed, span_of(body), &failure);
}

/* A body with the required keys, and more. */
static int parse_with(const char *more)
{
	char body[2000];

	snprintf(body, sizeof body,
		"{\"site_id\":\"example.org\",\"metrics\":[\"visitors\"],\"date_range\":\"7d\"%s%"
		"s}",
		*more ? "," : "", more);
	return parse(body);
}

static void assert_refused(int rc, const char *sentence)
{
	assert_int_equal(rc, -EINVAL);
	assert_string_equal(failure.msg, sentence);
}

static void the_least_request_has_the_documented_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse_with(""), 0);
	assert_string_equal(parsed.site, "example.org");
	assert_int_equal(parsed.metric_count, 1);
	assert_int_equal(parsed.dimension_count, 0);
	assert_int_equal(parsed.limit, 10000);
	assert_int_equal(parsed.offset, 0);
	assert_int_equal(parsed.order_count, 1);
	assert_false(parsed.order[0].by_dimension);
	assert_true(parsed.order[0].descending);
	assert_false(parsed.time_labels || parsed.total_rows || parsed.imports || parsed.trim);
}

static void an_order_not_given_is_by_time_and_then_by_the_first_metric(void **state)
{
	(void)state;
	assert_int_equal(parse_with("\"dimensions\":[\"event:page\",\"time:day\"]"), 0);
	assert_int_equal(parsed.order_count, 2);
	assert_true(parsed.order[0].by_dimension);
	assert_int_equal(parsed.order[0].index, 1);
	assert_false(parsed.order[0].descending);
	assert_false(parsed.order[1].by_dimension);
	assert_true(parsed.order[1].descending);
}

static void what_is_not_an_object_is_refused(void **state)
{
	(void)state;
	assert_refused(parse("[]"), "the body must be a JSON object");
	assert_int_equal(parse(""), -EINVAL);
	assert_int_equal(parse("{\"site_id\":"), -EINVAL);
	assert_int_equal(parse("{\"site_id\":\"\xff\"}"), -EINVAL);
}

static void an_unknown_or_repeated_key_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused(parse_with("\"filter\":[]"), "the key \"filter\" is not known");
	assert_refused(parse_with("\"include\":{\"label\":true}"),
		"the key \"label\" is not known in include");
	assert_refused(parse_with("\"pagination\":{\"page\":2}"),
		"the key \"page\" is not known in pagination");
	assert_int_equal(parse_with("\"metrics\":[\"visits\"]"), -EINVAL);
}

static void a_missing_key_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused(parse("{\"metrics\":[\"visitors\"],\"date_range\":\"7d\"}"),
		"site_id must be a domain or a property id");
	assert_refused(parse("{\"site_id\":\"a\",\"date_range\":\"7d\"}"),
		"metrics must be an array of at least one metric");
	assert_refused(parse("{\"site_id\":\"a\",\"metrics\":[\"visitors\"]}"),
		"date_range must be a text or an array of two texts");
}

static void a_site_longer_than_any_domain_is_refused(void **state)
{
	char body[600];

	(void)state;
	snprintf(body, sizeof body,
		"{\"site_id\":\"%0256d\",\"metrics\":[\"visitors\"],\"date_range\":\"7d\"}", 1);
	assert_refused(parse(body), "site_id has more than 255 bytes");
}

static void unknown_later_and_repeated_words_are_told_apart(void **state)
{
	(void)state;
	assert_refused(parse_with("\"dimensions\":[\"visit:colour\"]"),
		"the dimension \"visit:colour\" is not known");
	assert_refused(parse_with("\"dimensions\":[\"visit:exit_page_hostname\"]"),
		"the dimension \"visit:exit_page_hostname\" is not supported yet");
	assert_refused(parse_with("\"dimensions\":[\"event:props:author\"]"),
		"the dimension \"event:props:author\" is not supported yet");
	assert_refused(parse_with("\"dimensions\":[\"event:props:\"]"),
		"the dimension \"event:props:\" is not known");
	assert_refused(parse_with("\"dimensions\":[\"event:page\",\"event:page\"]"),
		"the dimension \"event:page\" is named twice");
	assert_refused(parse_with("\"dimensions\":[\"time:day\",\"time:hour\"]"),
		"there is more than one time dimension");
	assert_refused(parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"hits\"]}"),
		"the metric \"hits\" is not known");
	assert_refused(
		parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"scroll_depth\"]}"),
		"the metric \"scroll_depth\" is not supported yet");
	assert_refused(parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"visits\","
			     "\"visits\"]}"),
		"the metric \"visits\" is named twice");
}

static void more_dimensions_than_a_table_has_are_refused(void **state)
{
	(void)state;
	assert_refused(
		parse_with("\"dimensions\":[\"event:page\",\"event:name\",\"visit:source\","
			   "\"visit:referrer\",\"visit:os\",\"visit:browser\",\"visit:device\","
			   "\"visit:country\",\"time\"]"),
		"there are more than 8 dimensions");
}

static void filters_are_refused_save_none(void **state)
{
	(void)state;
	assert_int_equal(parse_with("\"filters\":[]"), 0);
	assert_refused(parse_with("\"filters\":[[\"is\",\"event:page\",[\"/\"]]]"),
		"filters are not supported yet");
	assert_refused(parse_with("\"filters\":{}"), "filters must be an array");
}

static void metrics_of_visits_are_not_told_by_events_save_by_page(void **state)
{
	static const char *const fine[] = { "\"event:page\"", "\"event:page\",\"event:hostname\"",
		"\"visit:source\"", "\"time:day\"" };
	char body[300];

	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		snprintf(body, sizeof body,
			"{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"bounce_rate\"],"
			"\"dimensions\":[%s]}",
			fine[i]);
		assert_int_equal(parse(body), 0);
	}
	assert_refused(
		parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"bounce_rate\"],"
		      "\"dimensions\":[\"event:name\"]}"),
		"the metric \"bounce_rate\" cannot be told by \"event:name\"");
	assert_refused(
		parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"bounce_rate\"],"
		      "\"dimensions\":[\"event:page\",\"event:name\",\"event:hostname\"]}"),
		"the metric \"bounce_rate\" cannot be told by \"event:name\"");
	assert_refused(
		parse("{\"site_id\":\"a\",\"date_range\":\"7d\",\"metrics\":[\"percentage\"]}"),
		"the metric \"percentage\" needs a dimension");
}

static void an_order_names_what_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(
		parse_with("\"dimensions\":[\"event:page\"],"
			   "\"order_by\":[[\"event:page\",\"desc\"],[\"visitors\",\"asc\"]]"),
		0);
	assert_true(parsed.order[0].by_dimension && parsed.order[0].descending);
	assert_false(parsed.order[1].by_dimension || parsed.order[1].descending);
	assert_refused(parse_with("\"order_by\":[[\"visits\",\"desc\"]]"),
		"order_by names \"visits\", which is no metric or dimension of the query");
	assert_int_equal(parse_with("\"order_by\":[[\"visitors\",\"down\"]]"), -EINVAL);
	assert_int_equal(parse_with("\"order_by\":[\"visitors\"]"), -EINVAL);
}

static void pagination_has_bounds(void **state)
{
	(void)state;
	assert_int_equal(parse_with("\"pagination\":{\"limit\":1,\"offset\":7}"), 0);
	assert_int_equal(parsed.limit, 1);
	assert_int_equal(parsed.offset, 7);
	assert_refused(parse_with("\"pagination\":{\"limit\":0}"),
		"pagination.limit must be a whole number from 1 to 10000");
	assert_int_equal(parse_with("\"pagination\":{\"limit\":10001}"), -EINVAL);
	assert_int_equal(parse_with("\"pagination\":{\"limit\":\"5\"}"), -EINVAL);
	assert_int_equal(parse_with("\"pagination\":{\"offset\":-1}"), -EINVAL);
}

static void labels_need_a_time_dimension(void **state)
{
	(void)state;
	assert_int_equal(
		parse_with("\"dimensions\":[\"time\"],\"include\":{\"time_labels\":true}"), 0);
	assert_true(parsed.time_labels);
	assert_refused(parse_with("\"include\":{\"time_labels\":true}"),
		"include.time_labels needs a time dimension");
	assert_refused(parse_with("\"include\":{\"total_rows\":1}"),
		"include.total_rows must be true or false");
}

static void bots_are_left_out_unless_they_are_asked_for(void **state)
{
	(void)state;
	assert_int_equal(parse_with("\"include\":{}"), 0);
	assert_false(parsed.bots);
	assert_int_equal(parse_with("\"include\":{\"bots\":true}"), 0);
	assert_true(parsed.bots);
	assert_refused(
		parse_with("\"include\":{\"bots\":\"yes\"}"), "include.bots must be true or false");
}

static void every_word_of_the_peers_that_enrichment_tells_is_known(void **state)
{
	static const char *const words[] = { "visit:channel", "visit:utm_medium",
		"visit:utm_source", "visit:utm_campaign", "visit:utm_content", "visit:utm_term",
		"visit:region", "visit:city", "visit:country_name", "visit:region_name",
		"visit:city_name" };
	char more[80];

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		snprintf(more, sizeof more, "\"dimensions\":[\"%s\"]", words[i]);
		assert_int_equal(parse_with(more), 0);
		assert_string_equal(parsed.dimensions[0]->name, words[i]);
	}
}

static void time_becomes_the_unit_that_suits(void **state)
{
	(void)state;
	assert_int_equal(parse_with("\"dimensions\":[\"event:page\",\"time\"]"), 0);
	request_set_time_unit(&parsed, "week");
	assert_string_equal(parsed.dimensions[1]->name, "time:week");
	assert_int_equal(parse_with("\"dimensions\":[\"time:day\"]"), 0);
	request_set_time_unit(&parsed, "week");
	assert_string_equal(parsed.dimensions[0]->name, "time:day");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_request_has_the_documented_defaults),
		cmocka_unit_test(an_order_not_given_is_by_time_and_then_by_the_first_metric),
		cmocka_unit_test(what_is_not_an_object_is_refused),
		cmocka_unit_test(an_unknown_or_repeated_key_is_refused_by_name),
		cmocka_unit_test(a_missing_key_is_refused_by_name),
		cmocka_unit_test(a_site_longer_than_any_domain_is_refused),
		cmocka_unit_test(unknown_later_and_repeated_words_are_told_apart),
		cmocka_unit_test(more_dimensions_than_a_table_has_are_refused),
		cmocka_unit_test(filters_are_refused_save_none),
		cmocka_unit_test(metrics_of_visits_are_not_told_by_events_save_by_page),
		cmocka_unit_test(an_order_names_what_is_asked_for),
		cmocka_unit_test(pagination_has_bounds),
		cmocka_unit_test(labels_need_a_time_dimension),
		cmocka_unit_test(bots_are_left_out_unless_they_are_asked_for),
		cmocka_unit_test(every_word_of_the_peers_that_enrichment_tells_is_known),
		cmocka_unit_test(time_becomes_the_unit_that_suits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
