#include "lib/check.h"
#include "services/console/form.h"

static bool same(const char *origin, const char *host)
{
	return form_is_same_origin(span_of(origin), span_of(host));
}

static void only_an_origin_with_the_host_itself_or_none_is_our_own(void **state)
{
	(void)state;
	assert_true(same("", "stats.example.org"));
	assert_true(same("https://stats.example.org", "stats.example.org"));
	assert_true(same("http://localhost:8080", "localhost:8080"));
	assert_true(same("HTTPS://Stats.Example.org", "stats.example.org"));
	assert_false(same("https://evil.example", "stats.example.org"));
	assert_false(same("https://stats.example.org.evil.example", "stats.example.org"));
	assert_false(same("https://evil-stats.example.org", "stats.example.org"));
	assert_false(same("http://localhost:8081", "localhost:8080"));
	assert_false(same("http://localhost", "localhost:8080"));
	assert_false(same("null", "null"));
	assert_false(same("file://stats.example.org", "stats.example.org"));
	assert_false(same("https:stats.example.org", "stats.example.org"));
	assert_false(same("https://", ""));
}

static void only_the_media_type_json_is_json(void **state)
{
	(void)state;
	assert_true(form_is_json(SPAN("application/json")));
	assert_true(form_is_json(SPAN("Application/JSON ; charset=utf-8")));
	assert_false(form_is_json(SPAN("")));
	assert_false(form_is_json(SPAN("text/plain")));
	assert_false(form_is_json(SPAN("text/plain; application/json")));
	assert_false(form_is_json(SPAN("application/jsonx")));
	assert_false(form_is_json(SPAN("application/x-www-form-urlencoded")));
}

static void a_body_that_is_no_object_is_refused(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "1", "\"x\"", "null", "{\"a\":1}x",
		"{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}", NULL };
	struct err err;
	json_t *form;

	(void)state;
	for (int i = 0; bad[i]; i++)
		assert_int_equal(form_parse(&form, span_of(bad[i]), &err), -EINVAL);
	assert_int_equal(form_parse(&form, SPAN(" {} "), &err), 0);
	json_decref(form);
}

static void a_text_is_taken_whole_or_refused_with_its_name(void **state)
{
	struct err err;
	const char *text;
	json_t *form;

	(void)state;
	assert_int_equal(form_parse(&form, SPAN("{\"a\":\"abc\",\"n\":1,\"e\":\"\"}"), &err), 0);
	assert_int_equal(form_text(&text, form, "a", 3, NULL, &err), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(form_text(&text, form, "a", 2, NULL, &err), -EINVAL);
	assert_string_equal(err.msg, "\"a\" has more than 2 bytes");
	assert_int_equal(form_text(&text, form, "n", 9, "x", &err), -EINVAL);
	assert_string_equal(err.msg, "\"n\" is not a text");
	assert_int_equal(form_text(&text, form, "e", 9, "x", &err), -EINVAL);
	assert_string_equal(err.msg, "\"e\" is empty");
	assert_int_equal(form_text(&text, form, "b", 9, NULL, &err), -EINVAL);
	assert_string_equal(err.msg, "\"b\" is missing");
	assert_int_equal(form_text(&text, form, "b", 9, "daily", &err), 0);
	assert_string_equal(text, "daily");
	json_decref(form);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_an_origin_with_the_host_itself_or_none_is_our_own),
		cmocka_unit_test(only_the_media_type_json_is_json),
		cmocka_unit_test(a_body_that_is_no_object_is_refused),
		cmocka_unit_test(a_text_is_taken_whole_or_refused_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
