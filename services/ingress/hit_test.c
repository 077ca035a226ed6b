#include "lib/check.h"
#include "lib/clock.h"
#include "services/ingress/hit.h"

#include <stdio.h>
#include <stdlib.h>

static struct hit hit;

static int setup(void **state)
{
	(void)state;
	hit_init(&hit, "/test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hit_done(&hit);
	return 0;
}

static void assert_span(struct span s, const char *text)
{
	if (!span_equals(s, span_of(text)))
		fail_msg("is \"%.*s\", not \"%s\"", (int)s.len, s.ptr, text);
}

static void a_page_is_a_url_or_what_stands_behind_a_host(void **state)
{
	static const struct {
		const char *host, *url, *is_host, *is_path;
	} cases[] = {
		{ "", "https://www.a.example:8443/x/?q=1#y", "a.example", "/x/#y" },
		{ "", "/x?q=1", "site.example", "/x" },
		{ "", "x/y", "site.example", "/x/y" },
		{ "", "?utm_source=s", "site.example", "/" },
		{ "", "#y", "site.example", "/#y" },
		{ "", "", "site.example", "/" },
		{ "", "//double/slash", "site.example", "//double/slash" },
		{ "", "/x:y", "site.example", "/x:y" },
		{ "b.example", "/x", "b.example", "/x" },
		{ "b.example:8080", "https://a.example/x", "b.example", "/x" },
		{ "b.example", "https://me:pw@a.example:8443?q=1", "b.example", "/" },
		{ "b.example", "app://tab/x", "b.example", "/x" },
	};
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(hit_set_page(&hit, span_of(cases[i].host), "site.example",
					 span_of(cases[i].url), true, &err),
			0);
		assert_span(hit.ev.host, cases[i].is_host);
		assert_span(hit.ev.path, cases[i].is_path);
	}
}

static void a_page_that_is_none_is_refused(void **state)
{
	static const struct {
		const char *host, *url;
	} cases[] = { { "", "data:text/html,x" }, { "", "app://tab/x" }, { "a/b", "/x" },
		{ "me@a", "/x" }, { "a?b", "/x" }, { "a#b", "/x" }, { "a b", "/x" },
		{ "b.example", "mailto:x" } };
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(hit_set_page(&hit, span_of(cases[i].host), "site.example",
					 span_of(cases[i].url), false, &err),
			-EINVAL);
}

static void a_long_page_is_cut(void **state)
{
	char url[4 * PAGE_URL_MOST];
	struct err err = { 0 };

	(void)state;
	memset(url, 'x', sizeof url);
	assert_int_equal(hit_set_page(&hit, SPAN("a.example"), "", (struct span){ url, sizeof url },
				 false, &err),
		0);
	assert_int_equal(hit.ev.path.len, PAGE_URL_MOST - strlen("https://a.example"));
	memcpy(url, "https://b.example/", 18);
	assert_int_equal(
		hit_set_page(&hit, SPAN(""), "", (struct span){ url, sizeof url }, false, &err), 0);
	assert_int_equal(hit.ev.path.len, PAGE_URL_MOST - strlen("https://b.example"));
}

static void a_custom_event_may_have_the_name_of_another_kind(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(hit_set_custom(&hit, SPAN(" pageview "), &err), 0);
	assert_int_equal(hit.ev.kind, EVENT_CUSTOM);
	assert_span(hit.ev.name, "pageview");
	assert_int_equal(hit_set_custom(&hit, SPAN("footfall:ping"), &err), -EINVAL);
	assert_int_equal(hit_set_custom(&hit, SPAN("footfall:new"), &err), -EINVAL);
	assert_int_equal(hit_set_custom(&hit, SPAN(" "), &err), -EINVAL);
}

/* What is left of an object once it is flat. */
static void assert_flat(const char *json, const char *wanted)
{
	json_t *object = json_loads(json, 0, NULL), *props = json_object();
	struct err err = { 0 };

	hit_done(&hit);
	hit_add_flat(props, object);
	json_decref(object);
	assert_int_equal(hit_take_props(&hit, props, &err), 0);
	assert_span(hit.ev.props, wanted);
}

static void nested_properties_are_joined_by_dots(void **state)
{
	(void)state;
	assert_flat("{\"a\":{\"b\":{\"c\":1}},\"d\":true,\"e\":null,\"f\":\"g\"}",
		"{\"a.b.c\":\"1\",\"d\":\"true\",\"f\":\"g\"}");
	assert_flat("{\"a\":[1,{\"b\":2}],\"c\":[]}", "{\"a\":\"[1,{\\\"b\\\":2}]\",\"c\":\"[]\"}");
	assert_flat("{\"a\":{}}", "");
	assert_flat("[1]", "");
	assert_flat(
		"{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"a.b\":3}", "{\"a.b\":\"3\",\"a.c.d\":\"2\"}");
}

static void what_lies_too_deep_or_has_too_long_a_name_is_left_out(void **state)
{
	char json[8192], name[600], deep[4 * 40 + 1], ends[40 + 1] = "";
	size_t len;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		memcpy(deep + 4 * i, "{\"\":", 5);
	memset(ends, '}', 40);
	snprintf(json, sizeof json, "{\"kept\":1,\"x\":%s1%s}", deep, ends);
	assert_flat(json, "{\"kept\":\"1\"}");
	memset(name, 'n', sizeof name);
	len = (size_t)snprintf(json, sizeof json, "{\"%.*s\":1,\"kept\":{\"%.*s\":2,\"too\":3}}",
		(int)sizeof name, name, (int)sizeof name, name);
	assert_true(len < sizeof json);
	assert_flat(json, "{\"kept.too\":\"3\"}");
}

static void a_long_text_is_cut_at_the_end_of_a_character(void **state)
{
	json_t *props = json_object();
	char text[FIELD_PROP_MOST + 1];

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text + FIELD_PROP_MOST - 1, "\xc3\xa9", 2);
	hit_add_prop(props, "long", (struct span){ text, sizeof text });
	hit_add_prop(props, "none", SPAN(""));
	assert_int_equal(json_string_length(json_object_get(props, "long")), FIELD_PROP_MOST - 1);
	assert_null(json_object_get(props, "none"));
	json_decref(props);
}

static void only_what_is_above_0_was_earned(void **state)
{
	static const struct {
		const char *amount, *currency, *is;
	} cases[] = { { "9.5", "eur", "9.500" }, { "\"9.5\"", "EUR", "9.500" }, { "0", "EUR", "" },
		{ "-1", "EUR", "" }, { "\"x\"", "EUR", "" }, { "9.5", NULL, "" },
		{ "9.5", "EURO", "" }, { "[]", "EUR", "" }, { "0.0001", "EUR", "" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *amount = json_loads(cases[i].amount, JSON_DECODE_ANY, NULL);

		hit_set_earned(&hit, amount, cases[i].currency);
		assert_span(hit.ev.revenue, cases[i].is);
		assert_span(hit.ev.currency, *cases[i].is ? "EUR" : "");
		json_decref(amount);
	}
	hit_set_earned(&hit, NULL, "EUR");
	assert_span(hit.ev.revenue, "");
}

static void a_time_is_between_the_year_2000_and_now(void **state)
{
	const int64_t oldest = 946684800LL * US_PER_SECOND, ahead = 5 * US_PER_SECOND;
	int64_t now = clock_now_us();
	struct err err = { 0 };

	(void)state;
	assert_int_equal(hit_set_time(&hit, oldest, ahead, &err), 0);
	assert_int_equal(hit.ev.ts_us, oldest);
	assert_int_equal(hit_set_time(&hit, oldest - 1, ahead, &err), -EINVAL);
	assert_string_equal(err.msg, "before the year 2000");
	assert_int_equal(hit_set_time(&hit, INT64_MIN, ahead, &err), -EINVAL);
	assert_int_equal(hit.ev.ts_us, oldest);
	assert_int_equal(hit_set_time(&hit, now + ahead, ahead, &err), 0);
	assert_in_range(hit.ev.ts_us, now, clock_now_us());
	assert_int_equal(hit_set_time(&hit, INT64_MAX, ahead, &err), -EINVAL);
	assert_string_equal(err.msg, "in the future");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_is_between_the_year_2000_and_now),
		cmocka_unit_test_setup_teardown(
			a_page_is_a_url_or_what_stands_behind_a_host, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_that_is_none_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_page_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_custom_event_may_have_the_name_of_another_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nested_properties_are_joined_by_dots, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_lies_too_deep_or_has_too_long_a_name_is_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_long_text_is_cut_at_the_end_of_a_character, setup, teardown),
		cmocka_unit_test_setup_teardown(only_what_is_above_0_was_earned, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
