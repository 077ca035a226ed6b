#include <stdlib.h>
#include <string.h>

#include "lib/check.h"
#include "services/cli/log_line.h"

static void assert_span(struct span got, const char *wanted)
{
	if (!span_equals(got, span_of(wanted)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)got.len, got.ptr, wanted);
}

static struct log_line parsed(const char *text)
{
	struct log_line line;

	if (log_line_parse(&line, span_of(text)))
		fail_msg("not understood: %s", text);
	return line;
}

static enum log_verdict verdict_of(const char *text)
{
	struct log_line line = parsed(text);

	return log_line_verdict(&line);
}

static void a_combined_line_gives_all_its_fields(void **state)
{
	struct log_line line = parsed(
		"83.149.9.216 - - [17/May/2015:10:05:43 +0000] \"GET /a/b.html?x=1 HTTP/1.1\" 200 "
		"171717 \"http://semicomplete.com/p/\" \"Mozilla/5.0 (X11; Linux)\"");

	(void)state;
	assert_span(line.client, "83.149.9.216");
	assert_true(line.client_is_address);
	assert_string_equal(line.time, "2015-05-17T10:05:43+00:00");
	assert_span(line.method, "GET");
	assert_span(line.target, "/a/b.html?x=1");
	assert_int_equal(line.status, 200);
	assert_span(line.referrer, "http://semicomplete.com/p/");
	assert_span(line.agent, "Mozilla/5.0 (X11; Linux)");
	assert_int_equal(log_line_verdict(&line), LOG_PAGE);
}

static void a_common_line_has_neither_referrer_nor_agent(void **state)
{
	struct log_line line = parsed("127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "
				      "\"GET /apache_pb HTTP/1.0\" 200 2326");

	(void)state;
	assert_span(line.client, "127.0.0.1");
	assert_string_equal(line.time, "2000-10-10T13:55:36-07:00");
	assert_span(line.referrer, "");
	assert_span(line.agent, "");
}

static void a_dash_is_no_value(void **state)
{
	struct log_line line =
		parsed("::1 - - [10/Oct/2000:13:55:36 +0530] \"GET / HTTP/1.0\" 304 - \"-\" \"-\"");

	(void)state;
	assert_span(line.client, "::1");
	assert_true(line.client_is_address);
	assert_span(line.referrer, "");
	assert_span(line.agent, "");
	assert_int_equal(log_line_verdict(&line), LOG_PAGE);
}

static void a_virtual_host_before_the_client_is_passed_over(void **state)
{
	(void)state;
	assert_span(parsed("example.org:80 192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "
			   "\"GET / HTTP/1.0\" 200 1")
			    .client,
		"192.0.2.1");
	assert_span(parsed("10.0.0.1:80 2001:db8::7 - - [10/Oct/2000:13:55:36 +0000] "
			   "\"GET / HTTP/1.0\" 200 1")
			    .client,
		"2001:db8::7");
	assert_span(
		parsed("example.org:80 dialup-3.example.net - frank [10/Oct/2000:13:55:36 +0000] "
		       "\"GET / HTTP/1.0\" 200 1")
			.client,
		"dialup-3.example.net");
}

static void a_client_may_be_a_host_name(void **state)
{
	struct log_line line = parsed("dialup-3.example.net - - [10/Oct/2000:13:55:36 +0000] "
				      "\"GET / HTTP/1.0\" 200 1");

	(void)state;
	assert_span(line.client, "dialup-3.example.net");
	assert_false(line.client_is_address);
}

static void a_user_may_have_blanks_and_brackets(void **state)
{
	struct log_line line = parsed("192.0.2.1 - john [at] doe [10/Oct/2000:13:55:36 +0000] "
				      "\"GET /x HTTP/1.0\" 200 1");

	(void)state;
	assert_span(line.client, "192.0.2.1");
	assert_span(line.target, "/x");
}

static void quotes_inside_are_escaped(void **state)
{
	struct log_line line = parsed(
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /a\\\"b\\\\ HTTP/1.1\" 200 1 "
		"\"http://x/?q=\\\"\\\\\" \"an \\\"agent\\\"\"");
	char buf[64];

	(void)state;
	assert_span(log_text_plain(buf, line.target), "/a\"b\\");
	assert_span(log_text_plain(buf, line.referrer), "http://x/?q=\"\\");
	assert_span(log_text_plain(buf, line.agent), "an \"agent\"");
}

static void escapes_of_both_servers_are_undone(void **state)
{
	char buf[64];

	(void)state;
	assert_span(log_text_plain(buf, SPAN("caf\\xc3\\xa9 \\x22\\x5C\\t\\v")),
		"caf\xc3\xa9 \"\\\t\v");
	assert_span(log_text_plain(buf, SPAN("C:\\y \\xg1 \\x4")), "C:\\y \\xg1 \\x4");
	assert_span(log_text_plain(buf, SPAN("end\\")), "end\\");
}

static void blanks_in_a_target_belong_to_it(void **state)
{
	(void)state;
	assert_span(
		parsed("192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /a b c HTTP/1.1\" 200 1")
			.target,
		"/a b c");
	assert_span(parsed("192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /old\" 200 1").target,
		"/old");
}

static void an_absolute_target_is_cut_to_its_path(void **state)
{
	(void)state;
	assert_span(parsed("192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "
			   "\"GET http://example.org/p?q HTTP/1.1\" 200 1")
			    .target,
		"/p?q");
	assert_span(parsed("192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "
			   "\"GET http://example.org HTTP/1.1\" 200 1")
			    .target,
		"/");
}

static void further_fields_are_passed_over(void **state)
{
	struct log_line line = parsed(
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1 \"http://r/\" "
		"\"agent\" \"203.0.113.7, 10.0.0.1\" 0.003 -");

	(void)state;
	assert_span(line.client, "192.0.2.1");
	assert_span(line.agent, "agent");
	line = parsed("192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1 0.003");
	assert_span(line.agent, "");
}

static void what_is_no_such_line_is_refused(void **state)
{
	static const char *const wrong[] = { "", "hello",
		"192.0.2.1 - - [10/Oct/2000:13:55:36] \"GET / HTTP/1.1\" 200 1",
		"192.0.2.1 - - [10/Okt/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1",
		"192.0.2.1 - - [32/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1",
		"192.0.2.1 - - [10/Oct/2000:24:55:36 +0000] \"GET / HTTP/1.1\" 200 1",
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] GET / HTTP/1.1 200 1",
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1 200 1",
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\"",
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200",
		"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 2x0 1",
		"[10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1",
		"2000-10-10T13:55:36Z 192.0.2.1 GET / 200" };
	struct log_line line;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (!log_line_parse(&line, span_of(wrong[i])))
			fail_msg("taken: %s", wrong[i]);
}

static void every_beginning_of_a_line_is_safe_to_read(void **state)
{
	static const char whole[] =
		"e.org:80 192.0.2.1 - a[b [10/Oct/2000:13:55:36 +0000] \"GET /\\\" HTTP/1.1\" 200 "
		"1 \"http://\\x\" \"a\\\\\"";

	(void)state;
	for (size_t len = 0; len < sizeof whole; len++) {
		char *exact = malloc(len + 1); /* so that ASan sees a byte beyond */
		char buf[sizeof whole];
		struct log_line line;

		assert_non_null(exact);
		memcpy(exact, whole, len);
		if (!log_line_parse(&line, (struct span){ exact, len })) {
			log_line_verdict(&line);
			log_text_plain(buf, line.target);
			log_text_plain(buf, line.referrer);
			log_text_plain(buf, line.agent);
		}
		free(exact);
	}
}

#define LINE(request, status)                                                                      \
	"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"" request "\" " status " 1"

static void only_answered_gets_of_pages_count(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "200")), LOG_PAGE);
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "204")), LOG_PAGE);
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "304")), LOG_PAGE);
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "301")), LOG_STATUS);
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "404")), LOG_STATUS);
	assert_int_equal(verdict_of(LINE("GET / HTTP/1.1", "199")), LOG_STATUS);
	assert_int_equal(verdict_of(LINE("HEAD / HTTP/1.1", "200")), LOG_NOT_GET);
	assert_int_equal(verdict_of(LINE("POST /form HTTP/1.1", "200")), LOG_NOT_GET);
	assert_int_equal(verdict_of(LINE("\\x16\\x03\\x01", "400")), LOG_NOT_GET);
	assert_int_equal(verdict_of(LINE("-", "408")), LOG_NOT_GET);
	assert_int_equal(verdict_of(LINE("GET /style.css HTTP/1.1", "200")), LOG_ASSET);
	assert_int_equal(verdict_of(LINE("GET * HTTP/1.1", "200")), LOG_MALFORMED);
}

static void an_asset_is_known_by_the_extension_of_its_path(void **state)
{
	static const char *const assets[] = { "/a.css", "/A.PNG", "/x/y.min.js?v=3", "/favicon.ico",
		"/robots.txt", "/feed.xml", "/f.woff2", "/app.webmanifest", "/d.pdf#page=2",
		"/s.css;jsessionid=1", "/.css" };
	static const char *const pages[] = { "/", "/about", "/index.html", "/a.php?f=x.css",
		"/a.css/", "/v1.2", "/name.markdown", "/css", "/x.css/y", "/a.", "/feed/", "" };

	(void)state;
	for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
		if (!log_target_is_asset(span_of(assets[i])))
			fail_msg("a page? %s", assets[i]);
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (log_target_is_asset(span_of(pages[i])))
			fail_msg("an asset? %s", pages[i]);
}

static void the_extensions_are_sorted_for_the_search(void **state)
{
	(void)state;
	for (size_t i = 1; log_asset_extensions[i]; i++)
		assert_true(strcmp(log_asset_extensions[i - 1], log_asset_extensions[i]) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_combined_line_gives_all_its_fields),
		cmocka_unit_test(a_common_line_has_neither_referrer_nor_agent),
		cmocka_unit_test(a_dash_is_no_value),
		cmocka_unit_test(a_virtual_host_before_the_client_is_passed_over),
		cmocka_unit_test(a_client_may_be_a_host_name),
		cmocka_unit_test(a_user_may_have_blanks_and_brackets),
		cmocka_unit_test(quotes_inside_are_escaped),
		cmocka_unit_test(escapes_of_both_servers_are_undone),
		cmocka_unit_test(blanks_in_a_target_belong_to_it),
		cmocka_unit_test(an_absolute_target_is_cut_to_its_path),
		cmocka_unit_test(further_fields_are_passed_over),
		cmocka_unit_test(what_is_no_such_line_is_refused),
		cmocka_unit_test(every_beginning_of_a_line_is_safe_to_read),
		cmocka_unit_test(only_answered_gets_of_pages_count),
		cmocka_unit_test(an_asset_is_known_by_the_extension_of_its_path),
		cmocka_unit_test(the_extensions_are_sorted_for_the_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
