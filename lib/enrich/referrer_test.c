#include "lib/enrich/referrer.h"

#include "lib/check.h"
#include "lib/utf8.h"

static const struct span own[] = { { "example.org", 11 }, { "www.Shop.example", 16 } };

static void assert_referrer(const char *url, const char *referrer, const char *source)
{
	struct referrer out;

	referrer_parse(&out, span_of(url), own, sizeof own / sizeof *own);
	if (!span_equals(out.referrer, span_of(referrer)))
		fail_msg("referrer of %s: %.*s", url, (int)out.referrer.len, out.referrer.ptr);
	if (!span_equals(out.source, span_of(source)))
		fail_msg("source of %s: %.*s", url, (int)out.source.len, out.source.ptr);
}

static void a_referrer_is_its_host_and_path(void **state)
{
	static const char *const cases[][3] = {
		{ "https://news.example/a/B?id=7#top", "news.example/a/B", "news.example" },
		{ "https://www.google.com/", "google.com", "google.com" },
		{ "https://www.google.com", "google.com", "google.com" },
		{ "HTTPS://WWW.Google.COM/Search", "google.com/Search", "google.com" },
		{ "http://user:secret@news.example/a", "news.example/a", "news.example" },
		{ "http://news.example:80/a", "news.example/a", "news.example" },
		{ "https://news.example:443/a", "news.example/a", "news.example" },
		{ "https://news.example:80/a", "news.example:80/a", "news.example" },
		{ "http://news.example:8080", "news.example:8080", "news.example" },
		{ "http://[2001:DB8::1]:81/a", "[2001:db8::1]:81/a", "[2001:db8::1]" },
		{ "http://203.0.113.9/a", "203.0.113.9/a", "203.0.113.9" },
		{ "http://news.example./a", "news.example/a", "news.example" },
		{ "http://www.example/", "example", "example" },
		{ "http://www./", "www", "www" },
		{ "http://wwwnews.example/", "wwwnews.example", "wwwnews.example" },
		{ " https://news.example/a\n", "news.example/a", "news.example" },
		{ "https://b\xc3\xbc"
		  "cher.example/\xc3\xa4",
			"b\xc3\xbc"
			"cher.example/\xc3\xa4",
			"b\xc3\xbc"
			"cher.example" },
		{ "https://news.example/?a", "news.example", "news.example" },
		{ "https://news.example//", "news.example//", "news.example" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_referrer(cases[i][0], cases[i][1], cases[i][2]);
}

static void an_android_app_is_a_source_by_its_name(void **state)
{
	(void)state;
	assert_referrer("android-app://com.google.android.gm/",
		"android-app://com.google.android.gm", "android-app://com.google.android.gm");
	assert_referrer("android-app://com.Slack/https/example.org", "android-app://com.Slack",
		"android-app://com.Slack");
}

static void what_is_no_web_address_says_nothing(void **state)
{
	static const char *const none[] = { "", " ", "-", "news.example", "/a", "//news.example/",
		"about:blank", "data:text/html,x", "javascript:1", "file:///etc/passwd",
		"ftp://news.example/", "chrome-extension://abcdef/x", "https://", "https:///a",
		"https://evil.example\\.news.example/", "https://a b/",
		"https://news.example:99999/" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_referrer(none[i], "", "");
}

static void the_site_itself_and_local_hosts_are_no_source(void **state)
{
	static const char *const cases[][2] = {
		{ "https://example.org/a", "example.org/a" },
		{ "https://www.example.org/a", "example.org/a" },
		{ "http://EXAMPLE.org:8080/a", "example.org:8080/a" },
		{ "https://example.org./", "example.org" },
		{ "https://shop.example/a", "shop.example/a" },
		{ "https://www.shop.example/", "shop.example" },
		{ "http://localhost:3000/a", "localhost:3000/a" },
		{ "http://127.0.0.1:3000/", "127.0.0.1:3000" },
		{ "http://127.8.9.1/", "127.8.9.1" },
		{ "http://[::1]/a", "[::1]/a" },
	};
	static const char *const others[] = { "blog.example.org", "myexample.org",
		"example.org.evil", "org", "localhost.example", "128.0.0.1", "shop.example.org" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_referrer(cases[i][0], cases[i][1], "");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		char url[64] = "https://";

		memcpy(url + 8, others[i], strlen(others[i]) + 1);
		assert_referrer(url, others[i], others[i]);
	}
}

static size_t put(char *text, size_t at, struct span piece)
{
	memcpy(text + at, piece.ptr, piece.len);
	return at + piece.len;
}

static void a_long_referrer_is_cut_after_a_whole_character(void **state)
{
	char url[2000] = "https://news.example/";
	struct referrer out;

	(void)state;
	for (size_t at = strlen(url); at + 3 < sizeof url;)
		at = put(url, at, SPAN("\xe2\x82\xac"));
	referrer_parse(&out, span_of(url), NULL, 0);
	assert_int_equal(out.referrer.len, 13 + (REFERRER_MOST - 13) / 3 * 3);
	assert_true(utf8_valid(out.referrer));
	assert_true(span_equals(out.source, SPAN("news.example")));

	memset(url + 8, 'a', sizeof url - 8); /* a host of 1,992 bytes */
	referrer_parse(&out, (struct span){ url, sizeof url }, NULL, 0);
	assert_int_equal(out.referrer.len, REFERRER_MOST);
	assert_int_equal(out.source.len, REFERRER_MOST);
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
	struct referrer out;

	(void)state;
	assert_referrer("https://news.example/caf\xe9/a", "news.example/caf?/a", "news.example");
	assert_referrer("https://caf\xe9.example/", "caf?.example", "caf?.example");
	referrer_parse(&out, SPAN("https://news.example/a\0b"), NULL, 0);
	assert_true(span_equals(out.referrer, SPAN("news.example/a?b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_referrer_is_its_host_and_path),
		cmocka_unit_test(an_android_app_is_a_source_by_its_name),
		cmocka_unit_test(what_is_no_web_address_says_nothing),
		cmocka_unit_test(the_site_itself_and_local_hosts_are_no_source),
		cmocka_unit_test(a_long_referrer_is_cut_after_a_whole_character),
		cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
