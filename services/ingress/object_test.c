#include "lib/check.h"
#include "services/ingress/object.h"

#include <stdio.h>
#include <stdlib.h>

/* Each on the heap, of exactly its bytes: so the sanitizer sees whoever reads or writes beyond. */
static char *copy_of(const char *text)
{
	char *copy = malloc(strlen(text) + 1);

	assert_non_null(copy);
	return memcpy(copy, text, strlen(text) + 1);
}

static void assert_field(
	const struct object *object, const char *name, enum field_type type, const char *text)
{
	struct field field = object_field(object, name, NULL);

	assert_int_equal(field.type, type);
	assert_true(span_equals(field.text, span_of(text)));
}

static void members_lie_where_they_were_sent(void **state)
{
	char *json = copy_of(" {\"text\" : \"plain\", \"number\":-12.5e1,\"yes\":true,\"no\":false,"
			     "\"nothing\":null,\"list\":[1,{\"text\":\"inner\"}],"
			     "\"object\":{\"a\":{\"b\":[]}},\"empty\":\"\"} ");
	struct object object;
	struct err err;

	(void)state;
	assert_int_equal(object_read(&object, span_of(json), NULL, &err), 0);
	assert_field(&object, "text", FIELD_TEXT, "plain");
	assert_field(&object, "number", FIELD_NUMBER, "-12.5e1");
	assert_field(&object, "yes", FIELD_TRUE, "");
	assert_field(&object, "no", FIELD_FALSE, "");
	assert_field(&object, "nothing", FIELD_NONE, "");
	assert_field(&object, "missing", FIELD_NONE, "");
	assert_field(&object, "list", FIELD_ARRAY, "[1,{\"text\":\"inner\"}]");
	assert_field(&object, "object", FIELD_OBJECT, "{\"a\":{\"b\":[]}}");
	assert_field(&object, "empty", FIELD_TEXT, "");
	free(json);
}

static void escapes_are_decoded_and_nested_ones_left(void **state)
{
	char *json = copy_of("{\"a\\u0062\":\"\\\"\\u00e9\\ud83d\\ude00\\n\",\"c\":{\"d\":"
			     "\"\\u0065\"},\"z\":\"\\/\"}");
	struct object object;
	struct err err;

	(void)state;
	assert_int_equal(object_read(&object, span_of(json), NULL, &err), 0);
	assert_field(&object, "ab", FIELD_TEXT, "\"\xc3\xa9\xf0\x9f\x98\x80\n");
	assert_field(&object, "c", FIELD_OBJECT, "{\"d\":\"\\u0065\"}");
	assert_field(&object, "z", FIELD_TEXT, "/");
	free(json);
}

static void of_two_names_the_first_that_says_something_counts(void **state)
{
	char *json =
		copy_of("{\"n\":null,\"name\":\"long\",\"u\":\"1\",\"url\":\"2\",\"u\":\"3\"}");
	struct object object;
	struct err err;

	(void)state;
	assert_int_equal(object_read(&object, span_of(json), NULL, &err), 0);
	assert_true(span_equals(object_field(&object, "n", "name").text, SPAN("long")));
	assert_true(span_equals(object_field(&object, "u", "url").text, SPAN("3")));
	free(json);
}

static void what_is_no_object_is_told_from_what_is_no_json(void **state)
{
	static const struct {
		const char *json;
		int rc;
	} cases[] = { { "", -EBADMSG }, { "{", -EBADMSG }, { "{\"a\":1", -EBADMSG },
		{ "{\"a\":tru}", -EBADMSG }, { "{\"a\":1} x", -EBADMSG }, { "{'a':1}", -EBADMSG },
		{ "{\"a\":1,}", -EBADMSG }, { "{\"a\":\"\n\"}", -EBADMSG }, { "{} {}", -EBADMSG },
		{ "17", -EINVAL }, { "\"text\"", -EINVAL }, { "[]", -EINVAL }, { "null", -EINVAL },
		{ "[{\"a\":1}]", -EINVAL }, { "{\"a\":\"\\u0000\"}", -EINVAL },
		{ "{\"a\":\"\xff\"}", -EINVAL }, { "{\"a\":\"\\udc00\"}", -EINVAL },
		{ "{\"\xc3\":1}", -EINVAL }, { "{}", 0 }, { " {\"a\":{\"b\":\"\xff\"}}\n", 0 } };
	struct object object;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *json = copy_of(cases[i].json);

		if (object_read(&object, span_of(json), NULL, &err) != cases[i].rc)
			fail_msg("%s", cases[i].json);
		free(json);
	}
}

static void members_beyond_the_bound_refuse_the_object(void **state)
{
	char json[2048];
	struct object object;
	struct err err;

	(void)state;
	for (int count = OBJECT_MEMBERS_MOST; count <= OBJECT_MEMBERS_MOST + 1; count++) {
		int len = snprintf(json, sizeof json, "{\"first\":1");

		for (int i = 1; i < count; i++)
			len += snprintf(json + len, sizeof json - (size_t)len,
				",\"m%d\":{\"x\":1,\"y\":2}", i);
		snprintf(json + len, sizeof json - (size_t)len, "}");
		assert_int_equal(object_read(&object, span_of(json), NULL, &err),
			count > OBJECT_MEMBERS_MOST ? -EINVAL : 0);
	}
}

static void values_are_read_one_after_another(void **state)
{
	char *json = copy_of("{\"a\":\"\\u0061\"},[1],2 ,{}");
	struct span rest = span_of(json);
	struct object object;
	struct err err;
	size_t used;

	(void)state;
	assert_int_equal(object_skip(rest, &used, &err), 0);
	assert_int_equal(used, 14);
	assert_int_equal(object_read(&object, rest, &used, &err), 0);
	assert_int_equal(used, 14);
	assert_field(&object, "a", FIELD_TEXT, "a");
	rest = span_from(rest, used + 1);
	assert_int_equal(object_read(&object, rest, &used, &err), -EINVAL);
	assert_int_equal(used, 3);
	rest = span_from(rest, used + 1);
	assert_int_equal(object_read(&object, rest, &used, &err), -EINVAL);
	assert_int_equal(used, 1);
	rest = span_from(rest, used + 2);
	assert_int_equal(object_read(&object, rest, &used, &err), 0);
	assert_int_equal(used, 2);
	assert_int_equal(object_skip(span_from(rest, used), &used, &err), -EBADMSG);
	free(json);
}

static void a_query_is_an_object_of_texts(void **state)
{
	char *query =
		copy_of("p=%2Fa%20b+c&t=caf%C3%A9&bad=%ff%00%0ax%zz&&empty=&flag&a%5B0%5D=1&p=2");
	char *buf = malloc(OBJECT_QUERY_MOST);
	struct object object;
	struct err err;

	(void)state;
	assert_int_equal(object_read_query(&object, buf, span_of(query), &err), 0);
	assert_int_equal(object.count, 7);
	assert_field(&object, "p", FIELD_TEXT, "2");
	assert_true(span_equals(object.member[0].value.text, SPAN("/a b c")));
	assert_field(&object, "t", FIELD_TEXT, "caf\xc3\xa9");
	assert_field(&object, "bad", FIELD_TEXT, "?  x%zz");
	assert_field(&object, "empty", FIELD_TEXT, "");
	assert_field(&object, "flag", FIELD_TEXT, "");
	assert_field(&object, "a[0]", FIELD_TEXT, "1");
	assert_int_equal(object_read_query(&object, buf, SPAN(""), &err), 0);
	assert_int_equal(object.count, 0);
	free(query);
	free(buf);
}

static void a_query_has_bounds(void **state)
{
	char *buf = malloc(OBJECT_QUERY_MOST), *query = malloc(OBJECT_QUERY_MOST);
	struct object object;
	struct err err;

	(void)state;
	memset(query, 'a', OBJECT_QUERY_MOST);
	assert_int_equal(object_read_query(
				 &object, buf, (struct span){ query, OBJECT_QUERY_MOST - 1 }, &err),
		0);
	assert_int_equal(object.member[0].name.len, OBJECT_QUERY_MOST - 1);
	assert_int_equal(
		object_read_query(&object, buf, (struct span){ query, OBJECT_QUERY_MOST }, &err),
		-EMSGSIZE);
	for (size_t i = 1; i < OBJECT_QUERY_MOST; i += 2)
		query[i] = '&';
	assert_int_equal(object_read_query(&object, buf,
				 (struct span){ query, (size_t)2 * OBJECT_MEMBERS_MOST }, &err),
		0);
	assert_int_equal(object_read_query(&object, buf,
				 (struct span){ query, (size_t)2 * OBJECT_MEMBERS_MOST + 1 }, &err),
		-EINVAL);
	free(query);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_lie_where_they_were_sent),
		cmocka_unit_test(escapes_are_decoded_and_nested_ones_left),
		cmocka_unit_test(of_two_names_the_first_that_says_something_counts),
		cmocka_unit_test(what_is_no_object_is_told_from_what_is_no_json),
		cmocka_unit_test(members_beyond_the_bound_refuse_the_object),
		cmocka_unit_test(values_are_read_one_after_another),
		cmocka_unit_test(a_query_is_an_object_of_texts),
		cmocka_unit_test(a_query_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
