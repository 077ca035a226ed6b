#include <stdlib.h>
#include <string.h>

#include "lib/check.h"
#include "lib/secret.h"
#include "services/cli/batch.h"
#include "services/cli/log_reader.h"

static const struct batch_site site = { { "00000000-0000-4000-8000-000000000001", 36 },
	{ "https://example.org", 19 } };
static const char id[] = "0123456789abcdef0123456789abcdef";

static struct batch batch;

static int setup(void **state)
{
	struct err err;

	(void)state;
	return batch_init(&batch, &err);
}

static int teardown(void **state)
{
	(void)state;
	batch_clear(&batch);
	return 0;
}

static void add(const char *text)
{
	struct log_line line;

	assert_int_equal(log_line_parse(&line, span_of(text)), 0);
	batch_add(&batch, &site, id, &line);
}

/* Event number n, as a reader of JSON sees it; owned. */
static json_t *event(size_t n)
{
	size_t start = n ? batch.ends[n - 1] : 0;
	json_error_t error;
	json_t *object = json_loadb(batch.body + start, batch.ends[n] - start, 0, &error);

	if (!object)
		fail_msg("%s: %.*s", error.text, (int)(batch.ends[n] - start), batch.body + start);
	return object;
}

static void assert_field(size_t n, const char *name, const char *wanted)
{
	json_t *object = event(n);
	const char *got = json_string_value(json_object_get(object, name));

	if (wanted)
		assert_string_equal(got ? got : "(none)", wanted);
	else
		assert_null(json_object_get(object, name));
	json_decref(object);
}

static void a_line_becomes_a_page_view(void **state)
{
	(void)state;
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c HTTP/1.1\" 200 1 "
	    "\"http://r/\" "
	    "\"Agent/1\"");
	assert_field(0, "id", id);
	assert_field(0, "name", "pageview");
	assert_field(0, "property_id", "00000000-0000-4000-8000-000000000001");
	assert_field(0, "url", "https://example.org/a?b=c");
	assert_field(0, "timestamp", "2000-10-10T13:55:36-07:00");
	assert_field(0, "ip", "192.0.2.7");
	assert_field(0, "referrer", "http://r/");
	assert_field(0, "user_agent", "Agent/1");
}

static void what_a_line_does_not_say_is_left_out(void **state)
{
	(void)state;
	add("- - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"");
	assert_field(0, "ip", NULL);
	assert_field(0, "referrer", NULL);
	assert_field(0, "user_agent", NULL);
}

static void bytes_that_are_no_text_become_replacement_characters(void **state)
{
	(void)state;
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /caf\xc3\xa9/\xff\xc3\" 200 1 "
	    "\"http://r/\\x00\\xed\\xa0\\x80\" \"q\\\"b\\\\t\\t\xf0\x9f\x98\x80\xc0\xaf\"");
	assert_field(0, "url", "https://example.org/caf\xc3\xa9/\xef\xbf\xbd\xef\xbf\xbd");
	assert_field(0, "referrer", "http://r/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_field(0, "user_agent", "q\"b\\t\t\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd");
}

static void any_byte_gives_json(void **state)
{
	char text[256], out[6 * sizeof text + 2], *end = out;
	json_t *string;

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)i;
	*end++ = '"';
	end = batch_put_text(end, (struct span){ text, sizeof text });
	*end++ = '"';
	string = json_loadb(out, (size_t)(end - out), JSON_DECODE_ANY, NULL);
	assert_non_null(string);
	json_decref(string);
}

static void host_names_stand_for_addresses_of_their_own(void **state)
{
	char one[64], two[64];
	json_t *object;

	(void)state;
	add("a.example.net - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1");
	add("b.example.net - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1");
	add("A.example.net - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1");
	object = event(0);
	snprintf(one, sizeof one, "%s", json_string_value(json_object_get(object, "ip")));
	json_decref(object);
	object = event(1);
	snprintf(two, sizeof two, "%s", json_string_value(json_object_get(object, "ip")));
	json_decref(object);
	assert_memory_equal(one, "fd", 2);
	assert_string_not_equal(one, two);
	assert_field(2, "ip", one);
}

static void a_query_too_long_does_not_cost_the_page_view(void **state)
{
	char text[4096] = "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /page?";
	size_t len = strlen(text);

	(void)state;
	memset(text + len, 'q', 2500);
	snprintf(text + len + 2500, sizeof text - len - 2500, " HTTP/1.1\" 200 1");
	add(text);
	assert_field(0, "url", "https://example.org/page");
}

static void a_full_batch_stays_below_a_mebibyte(void **state)
{
	struct log_line line;
	char *target = malloc(LOG_LINE_MOST);

	(void)state;
	assert_non_null(target);
	memset(target, 1, LOG_LINE_MOST); /* each byte becomes six */
	target[0] = '/';
	assert_int_equal(log_line_parse(&line, SPAN("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "
						    "\"GET / HTTP/1.1\" 200 1")),
		0);
	line.target = (struct span){ target, LOG_LINE_MOST };
	while (!batch_is_full(&batch))
		batch_add(&batch, &site, id, &line);
	assert_true(batch.len < 1 << 20);
	free(target);
}

static void events_that_are_done_are_taken_out(void **state)
{
	const bool keep[] = { false, true, false, true };

	(void)state;
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /0 HTTP/1.1\" 200 1");
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /one HTTP/1.1\" 200 1");
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /two HTTP/1.1\" 200 1");
	add("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /3 HTTP/1.1\" 200 1");
	batch_keep(&batch, keep);
	assert_int_equal(batch.count, 2);
	assert_field(0, "url", "https://example.org/one");
	assert_field(1, "url", "https://example.org/3");
	assert_int_equal(batch.len, batch.ends[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_line_becomes_a_page_view),
		TEST(what_a_line_does_not_say_is_left_out),
		TEST(bytes_that_are_no_text_become_replacement_characters),
		TEST(any_byte_gives_json),
		TEST(host_names_stand_for_addresses_of_their_own),
		TEST(a_query_too_long_does_not_cost_the_page_view),
		TEST(a_full_batch_stays_below_a_mebibyte),
		TEST(events_that_are_done_are_taken_out),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
