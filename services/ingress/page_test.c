#include "lib/check.h"
#include "services/ingress/page.h"

static void pages_are_named_as_the_reports_name_them(void **state)
{
	static const char *const cases[][3] = {
		{ "https://example.org", "example.org", "/" },
		{ "https://WWW.Example.org/", "example.org", "/" },
		{ "http://example.org:8080/a/b/?q=secret#frag", "example.org", "/a/b" },
		{ "https://example.org/caf%C3%A9", "example.org", "/caf\xc3\xa9" },
		{ "https://example.org/%ff%00", "example.org", "/%ff%00" },
		{ "https://example.org/a%2", "example.org", "/a%2" },
		{ "https://example.org/a//", "example.org", "/a" },
		{ "https://example.org/user/jane.doe@mail.example/edit", "example.org",
			"/user/*/edit" },
		{ "https://example.org/user/jane%40mail.example", "example.org", "/user/*" },
		{ "https://example.org/@jane", "example.org", "/@jane" },
		{ "https://example.org/r/"
		  "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef",
			"example.org", "/r/*" },
		{ "https://example.org/r/0123456789abcdef", "example.org", "/r/0123456789abcdef" },
		{ "https://example.org./a", "example.org", "/a" },
		{ "https://example.org/a%2Fb", "example.org", "/a/b" },
		{ "https://example.org/a+b", "example.org", "/a+b" },
		{ "https://example.org/#/users", "example.org", "/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct page page;
		struct err err;

		assert_int_equal(page_clean(&page, span_of(cases[i][0]), false, &err), 0);
		assert_true(span_equals(page.host, span_of(cases[i][1])));
		if (!span_equals(page.path, span_of(cases[i][2])))
			fail_msg("%s: %.*s", cases[i][0], (int)page.path.len, page.path.ptr);
	}
}

static void what_is_no_page_is_refused(void **state)
{
	static const char *const bad[] = { "", "example.org/", "data:text/html,x",
		"ftp://example.org/", "https://", "javascript:alert(1)" };
	struct page page;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(page_clean(&page, span_of(bad[i]), false, &err), -EINVAL);
}

static void what_apps_send_for_a_url_needs_no_host_and_may_have_any_scheme_but_data(void **state)
{
	static const char *const cases[][3] = {
		{ "app://localhost/about?x=1", "localhost", "/about" },
		{ "https://www.Example.org/a/", "example.org", "/a" },
		{ "/about/?utm_source=x#y", "", "/about" },
		{ "file:///home/x.html", "", "/home/x.html" },
		{ "/a:///b", "", "/a:///b" },
		{ "/", "", "/" },
	};
	static const char *const bad[] = { "", "data:text/html,x", "DATA:///x", "about:blank",
		"nonsense", "//", "https://", "https://a\\@b/", "//b\\/" };
	char url[PAGE_URL_MOST + 1];
	struct page page;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(page_clean_app(&page, span_of(cases[i][0]), false, &err), 0);
		assert_true(span_equals(page.host, span_of(cases[i][1])));
		if (!span_equals(page.path, span_of(cases[i][2])))
			fail_msg("%s: %.*s", cases[i][0], (int)page.path.len, page.path.ptr);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (page_clean_app(&page, span_of(bad[i]), false, &err) != -EINVAL)
			fail_msg("%s", bad[i]);
	memset(url, 'x', sizeof url);
	url[0] = '/';
	url[1] = '#';
	assert_int_equal(page_clean_app(&page, (struct span){ url, PAGE_URL_MOST }, true, &err), 0);
	assert_int_equal(page.path.len, PAGE_URL_MOST);
	assert_int_equal(page_clean_app(&page, (struct span){ url, PAGE_URL_MOST + 1 }, true, &err),
		-EINVAL);
}

static void a_referrer_keeps_no_query_fragment_or_user(void **state)
{
	static const char *const cases[][2] = {
		{ "https://me:pw@News.example:8443/item?id=1#c", "https://News.example:8443/item" },
		{ "https://news.example", "https://news.example" },
		{ "https://[2001:db8::1]:80/x?y", "https://[2001:db8::1]:80/x" },
		{ "android-app://com.google.android.gm/", "android-app://com.google.android.gm/" },
		{ " https://news.example/a\n", "https://news.example/a" },
		{ "https://news.example/u/jane@mail.example/x", "https://news.example/u/*/x" },
		{ "https://news.example/u/jane%40mail.example", "https://news.example/u/*" },
		{ "https://news.example/caf%C3%A9/", "https://news.example/caf%C3%A9/" },
		{ "https://google.com\xff.evil.example/", "" },
		{ "not a url", "" },
	};
	char buf[EVENT_REFERRER_MOST];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_true(span_equals(
			referrer_strip(buf, span_of(cases[i][0])), span_of(cases[i][1])));
}

static void a_page_that_routes_by_its_fragment_is_told_by_it(void **state)
{
	static const char *const cases[][2] = {
		{ "https://example.org/#/users", "/#/users" },
		{ "https://example.org#/users", "/#/users" },
		{ "https://example.org/app/#/users/7/", "/app/#/users/7" },
		{ "https://example.org/app#!/users", "/app#!/users" },
		{ "https://example.org/#caf%C3%A9", "/#caf\xc3\xa9" },
		{ "https://example.org/?q=1#/users?token=secret", "/#/users" },
		{ "https://example.org/#/u/jane@mail.example/edit", "/#/u/*/edit" },
		{ "https://example.org/a/#/", "/a" },
		{ "https://example.org/a#", "/a" },
		{ "https://example.org/a", "/a" },
	};
	struct page page;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(page_clean(&page, span_of(cases[i][0]), true, &err), 0);
		if (!span_equals(page.path, span_of(cases[i][1])))
			fail_msg("%s: %.*s", cases[i][0], (int)page.path.len, page.path.ptr);
	}
}

static void campaign_parameters_are_read_before_the_query_is_dropped(void **state)
{
	static const struct {
		const char *url;
		bool by_hash;
		const char *source;
	} cases[] = {
		{ "https://example.org/a?utm_source=news&x=1#top", false, "news" },
		{ "https://example.org/#/a?utm_source=news", false, "" },
		{ "https://example.org/#/a?utm_source=news", true, "news" },
		{ "https://example.org/?utm_source=one#/a?utm_source=two", true, "one" },
	};
	struct page page;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct event ev = { 0 };

		assert_int_equal(
			page_clean(&page, span_of(cases[i].url), cases[i].by_hash, &err), 0);
		page_tell(&page, &ev);
		assert_true(span_equals(ev.utm_source, span_of(cases[i].source)));
		assert_true(span_equals(ev.path, page.path));
		assert_true(span_find(ev.path, '?') == ev.path.len);
	}
}

static void a_url_as_long_as_may_be_is_taken(void **state)
{
	char url[PAGE_URL_MOST + 1] = "https://a#/";
	struct page page;
	struct err err;

	(void)state;
	memset(url + 11, 'x', sizeof url - 11);
	for (int by_hash = 0; by_hash < 2; by_hash++) {
		assert_int_equal(
			page_clean(&page, (struct span){ url, PAGE_URL_MOST }, by_hash, &err), 0);
		assert_int_equal(
			page_clean(&page, (struct span){ url, PAGE_URL_MOST + 1 }, by_hash, &err),
			-EINVAL);
	}
	assert_int_equal(page.path.len, PAGE_URL_MOST - 9 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_named_as_the_reports_name_them),
		cmocka_unit_test(what_is_no_page_is_refused),
		cmocka_unit_test(
			what_apps_send_for_a_url_needs_no_host_and_may_have_any_scheme_but_data),
		cmocka_unit_test(a_referrer_keeps_no_query_fragment_or_user),
		cmocka_unit_test(a_page_that_routes_by_its_fragment_is_told_by_it),
		cmocka_unit_test(campaign_parameters_are_read_before_the_query_is_dropped),
		cmocka_unit_test(a_url_as_long_as_may_be_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
