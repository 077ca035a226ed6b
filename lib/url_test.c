#include "lib/url.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/check.h"

static void assert_span(struct span got, const char *want)
{
	char text[300];

	snprintf(text, sizeof text, "%.*s", (int)got.len, got.ptr);
	assert_string_equal(text, want);
}

static void a_url_is_split_into_its_parts(void **state)
{
	static const struct {
		const char *text, *scheme, *user, *host, *port, *path, *query, *fragment;
	} cases[] = {
		{ "https://example.org", "https", "", "example.org", "", "", "", "" },
		{ "https://example.org/", "https", "", "example.org", "", "/", "", "" },
		{ "HTTP://Example.org:8080/a/b?c=d&e#f?g", "HTTP", "", "Example.org", "8080",
			"/a/b", "c=d&e", "f?g" },
		{ "http://u:p@w@example.org:80/x", "http", "u:p@w", "example.org", "80", "/x", "",
			"" },
		{ "http://example.org?a=/b:c@d", "http", "", "example.org", "", "", "a=/b:c@d",
			"" },
		{ "http://example.org#/a?b", "http", "", "example.org", "", "", "", "/a?b" },
		{ "http://example.org/?", "http", "", "example.org", "", "/", "", "" },
		{ "http://example.org/a?b?c", "http", "", "example.org", "", "/a", "b?c", "" },
		{ "http://example.org:/a", "http", "", "example.org", "", "/a", "", "" },
		{ "http://[2001:db8::1]:81/a", "http", "", "2001:db8::1", "81", "/a", "", "" },
		{ "http://[::ffff:1.2.3.4]", "http", "", "::ffff:1.2.3.4", "", "", "", "" },
		{ "http://localhost:3000/", "http", "", "localhost", "3000", "/", "", "" },
		{ "http://bücher.example/ä", "http", "", "bücher.example", "", "/ä", "", "" },
		{ "android-app://com.google.android.gm/https/x", "android-app", "",
			"com.google.android.gm", "", "/https/x", "", "" },
		{ "http://example.org//a\\b", "http", "", "example.org", "", "//a\\b", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct url url;

		assert_int_equal(url_split(&url, span_of(cases[i].text)), 0);
		assert_span(url.scheme, cases[i].scheme);
		assert_span(url.user, cases[i].user);
		assert_span(url.host, cases[i].host);
		assert_span(url.port, cases[i].port);
		assert_span(url.path, cases[i].path);
		assert_span(url.query, cases[i].query);
		assert_span(url.fragment, cases[i].fragment);
	}
}

static void what_has_no_scheme_and_host_is_refused(void **state)
{
	static const char *const bad[] = { "", ":", "//", "://", "example.org", "example.org/a",
		"/a", "//example.org/a", "http:", "http:/", "http:/example.org", "http://",
		"http:///a", "http://?a", "http://#a", "http://:80/", "http://u@", "http://u@/a",
		"data:text/html,x", "about:blank", "mailto:a@b", "javascript://", "file:///etc",
		"1http://a", "ht tp://a", "http//a://b", " http://a", "blob:http://a/" };
	struct url url;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(url_split(&url, span_of(bad[i])), -EINVAL);
	assert_int_equal(url_split(&url, (struct span){ NULL, 0 }), -EINVAL);
}

static void a_host_or_port_that_a_browser_refuses_is_refused(void **state)
{
	static const char *const bad[] = { "http://a b/", "http://a\tb", "http://a\\@b/",
		"http://evil.example\\.good.example/", "http://a%2fb/", "http://<a>/",
		"http://a\x7f/", "http://a:b/", "http://a:80x/", "http://a:-1/", "http://a:65536/",
		"http://a:000080/", "http://a:80:81/", "http://[::1", "http://[::1]x/",
		"http://[]/", "http://[a.b]/", "http://[fe80::1%25eth0]/", "http://::1/",
		"http://a]/" };
	struct url url;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(url_split(&url, span_of(bad[i])), -EINVAL);
	assert_int_equal(url_split(&url, (struct span){ "http://a\0b/", 11 }), -EINVAL);
}

static void assert_inside(struct span part, struct span text)
{
	assert_true(part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len);
}

/* Every text of up to 5 pieces out of the marks that steer the split, in a block of exactly its
 * length, so that a sanitizer sees any step outside. */
static void no_arrangement_of_the_marks_leads_outside_the_text(void **state)
{
	static const char *const pieces[] = { "", "http", "://", ":", "/", "?", "#", "@", "[", "]",
		"a", "80", "\xff" };
	size_t count = sizeof pieces / sizeof *pieces;

	(void)state;
	for (size_t n = 0; n < count * count * count * count * count; n++) {
		char text[40] = "";
		size_t len = 0, rest = n;
		struct span exact;
		char *block;
		struct url url;

		for (int i = 0; i < 5; i++, rest /= count)
			len += (size_t)snprintf(
				text + len, sizeof text - len, "%s", pieces[rest % count]);
		block = malloc(len + !len);
		assert_non_null(block);
		memcpy(block, text, len);
		exact = (struct span){ block, len };
		if (!url_split(&url, exact)) {
			struct span parts[] = { url.scheme, url.user, url.host, url.port, url.path,
				url.query, url.fragment };

			assert_true(url.host.len > 0);
			assert_true(!url.path.len || url.path.ptr[0] == '/');
			for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
				assert_inside(parts[i], exact);
		}
		free(block);
	}
}

static void a_text_is_decoded_and_what_is_no_escape_stays(void **state)
{
	static const char *const cases[][3] = {
		{ "", "", "" },
		{ "a%20b+c", "a b+c", "a b c" },
		{ "%2B%25", "+%", "+%" },
		{ "caf%C3%A9", "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "100%", "100%", "100%" },
		{ "%4", "%4", "%4" },
		{ "%4g%g4%%41", "%4g%g4%A", "%4g%g4%A" },
		{ "%2541", "%41", "%41" },
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int plus = 0; plus < 2; plus++)
			assert_true(span_equals(url_decode(buf, span_of(cases[i][0]), plus),
				span_of(cases[i][1 + plus])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_split_into_its_parts),
		cmocka_unit_test(what_has_no_scheme_and_host_is_refused),
		cmocka_unit_test(a_host_or_port_that_a_browser_refuses_is_refused),
		cmocka_unit_test(no_arrangement_of_the_marks_leads_outside_the_text),
		cmocka_unit_test(a_text_is_decoded_and_what_is_no_escape_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
