#include "lib/check.h"
#include "services/ingress/fields.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value as a member of an object; lent until the next call. */
static struct field json(const char *text)
{
	static char whole[4096];
	static struct object object;
	struct err err;
	int len = snprintf(whole, sizeof whole, "{\"v\":%s}", text);

	assert_in_range(len, 1, sizeof whole - 1);
	assert_int_equal(object_read(&object, span_of(whole), NULL, &err), 0);
	return object_field(&object, "v", NULL);
}

static struct field json_of(json_t *value) /* takes it */
{
	char *text = json_dumps(value, 0);
	struct field field = json(text);

	free(text);
	json_decref(value);
	return field;
}

static void numbers_are_read_from_numbers_and_their_texts(void **state)
{
	static const struct {
		const char *text;
		int64_t number;
	} cases[] = { { "17", 17 }, { "17.9", 17 }, { "\"17\"", 17 }, { "0", 0 },
		{ "-1", EVENT_NONE }, { "\"\"", EVENT_NONE }, { "\"17x\"", EVENT_NONE },
		{ "true", EVENT_NONE }, { "1e300", EVENT_NONE }, { "[]", EVENT_NONE } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(field_number(json(cases[i].text)), cases[i].number);
	assert_int_equal(field_number(json("null")), EVENT_NONE);
}

static void assert_props(const char *given, const char *kept)
{
	struct err err;
	char *text;

	assert_int_equal(field_props(&text, json(given), &err), 0);
	if (kept)
		assert_string_equal(text, kept);
	else
		assert_null(text);
	free(text);
}

static void properties_are_plain_values_as_texts(void **state)
{
	(void)state;
	assert_props("{\"b\":1,\"a\":\"x\",\"c\":true,\"d\":1.5}",
		"{\"a\":\"x\",\"b\":\"1\",\"c\":\"true\",\"d\":\"1.5\"}");
	assert_props("\"{\\\"a\\\":\\\"x\\\"}\"", "{\"a\":\"x\"}");
	assert_props("{\"a\":[1],\"b\":{},\"c\":null,\"d\":\"  \",\" \":1}", NULL);
	assert_props("\"no json\"", NULL);
	assert_props("[1,2]", NULL);
}

static void a_property_beyond_its_bound_is_refused(void **state)
{
	json_t *props = json_object();
	char *text, big[2002];
	struct err err;

	(void)state;
	memset(big, 'v', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	json_object_set_new(props, "k", json_string(big));
	assert_int_equal(field_props(&text, json_of(props), &err), -EINVAL);
}

static void of_more_than_thirty_properties_thirty_are_kept(void **state)
{
	json_t *props = json_object(), *kept;
	char *text, key[16];
	struct err err;

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "k%02d", i);
		json_object_set_new(props, key, json_string("v"));
	}
	assert_int_equal(field_props(&text, json_of(props), &err), 0);
	kept = json_loads(text, 0, NULL);
	assert_int_equal(json_object_size(kept), 30);
	json_decref(kept);
	free(text);
}

static void revenue_needs_an_amount_and_a_currency(void **state)
{
	static const char *const bad[] = { "{}", "{\"amount\":1}", "{\"currency\":\"EUR\"}",
		"{\"amount\":\"x\",\"currency\":\"EUR\"}", "{\"amount\":1,\"currency\":\"EURO\"}",
		"{\"amount\":1e30,\"currency\":\"EUR\"}", "17" };
	struct field_revenue revenue;
	struct err err;

	(void)state;
	assert_int_equal(
		field_revenue(&revenue, json("{\"amount\":\"12.5\",\"currency\":\"eur\"}"), &err),
		0);
	assert_string_equal(revenue.amount, "12.500");
	assert_string_equal(revenue.currency, "EUR");
	assert_int_equal(field_revenue(&revenue,
				 json("\"{\\\"amount\\\":3,\\\"currency\\\":\\\"USD\\\"}\""), &err),
		0);
	assert_string_equal(revenue.amount, "3.000");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(field_revenue(&revenue, json(bad[i]), &err), -EINVAL);
	assert_int_equal(field_revenue(&revenue, json("null"), &err), 0);
	assert_string_equal(revenue.amount, "");
}

static void a_name_says_what_an_event_is(void **state)
{
	struct event ev = { .kind = 0 };
	char longest[2 * 121 + 1] = "";
	struct err err;

	(void)state;
	assert_int_equal(field_name(&ev, SPAN("pageview"), &err), 0);
	assert_int_equal(ev.kind, EVENT_PAGEVIEW);
	assert_int_equal(field_name(&ev, SPAN(" Sign up "), &err), 0);
	assert_int_equal(ev.kind, EVENT_CUSTOM);
	assert_true(span_equals(ev.name, SPAN("Sign up")));
	assert_int_equal(field_name(&ev, SPAN("footfall:ping"), &err), 0);
	assert_int_equal(ev.kind, EVENT_PING);
	assert_int_equal(ev.name.len, 0);
	assert_int_equal(field_name(&ev, SPAN("ping"), &err), 0);
	assert_int_equal(ev.kind, EVENT_CUSTOM);
	assert_int_equal(field_name(&ev, SPAN("footfall:pong"), &err), -EINVAL);
	assert_int_equal(field_name(&ev, SPAN("  "), &err), -EINVAL);
	for (int i = 0; i < 121; i++) /* characters are counted, not bytes */
		memcpy(longest + 2 * i, "\xc3\xa9", 3);
	assert_int_equal(field_name(&ev, span_of(longest), &err), -EINVAL);
	assert_int_equal(field_name(&ev, span_first(span_of(longest), 240), &err), 0);
}

static void of_metadata_what_reports_know_is_kept(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"type\":\" article \",\"author\":\"Ada\",\"tags\":[\"c\",\" sql \"],"
		  "\"categories\":[\"Tech\"]}",
			"{\"author\":\"Ada\",\"categories\":[\"Tech\"],\"tags\":[\"c\",\"sql\"],"
			"\"type\":\"article\"}" },
		{ "{\"tags\":\"one\"}", "{\"tags\":[\"one\"]}" },
		{ "{\"author\":\"Ada\",\"wordcount\":700,\"x\":{\"y\":[1]}}",
			"{\"author\":\"Ada\"}" },
		{ "{\"author\":null,\"type\":\" \",\"tags\":[\"\",\"a\"],\"categories\":[]}",
			"{\"tags\":[\"a\"]}" },
		{ "{}", NULL },
		{ "{\"x\":1}", NULL },
	};
	struct err err;
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(field_metadata(&text, json(cases[i][0]), &err), 0);
		if (cases[i][1])
			assert_string_equal(text, cases[i][1]);
		else
			assert_null(text);
		free(text);
	}
	assert_int_equal(field_metadata(&text, json("null"), &err), 0);
	assert_null(text);
}

static void metadata_of_another_shape_is_refused_with_its_key(void **state)
{
	static const char *const cases[][2] = { { "[]", "object" }, { "\"x\"", "object" },
		{ "{\"type\":7}", "type" }, { "{\"author\":[\"a\"]}", "author" },
		{ "{\"tags\":[1]}", "tags" }, { "{\"categories\":{\"a\":1}}", "categories" } };
	json_t *many = json_array(), *object = json_object();
	char longer[202] = "", *text;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(field_metadata(&text, json(cases[i][0]), &err), -EINVAL);
		assert_non_null(strstr(err.msg, cases[i][1]));
		assert_null(text);
	}
	for (int i = 0; i < 31; i++)
		json_array_append_new(many, json_string("a"));
	json_object_set_new(object, "tags", many);
	assert_int_equal(field_metadata(&text, json_of(object), &err), -EINVAL);
	assert_non_null(strstr(err.msg, "30"));
	memset(longer, 'a', 201);
	assert_int_equal(
		field_metadata(&text, json_of(json_pack("{ss}", "author", longer)), &err), -EINVAL);
	assert_non_null(strstr(err.msg, "200"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_from_numbers_and_their_texts),
		cmocka_unit_test(properties_are_plain_values_as_texts),
		cmocka_unit_test(a_property_beyond_its_bound_is_refused),
		cmocka_unit_test(of_more_than_thirty_properties_thirty_are_kept),
		cmocka_unit_test(revenue_needs_an_amount_and_a_currency),
		cmocka_unit_test(a_name_says_what_an_event_is),
		cmocka_unit_test(of_metadata_what_reports_know_is_kept),
		cmocka_unit_test(metadata_of_another_shape_is_refused_with_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
