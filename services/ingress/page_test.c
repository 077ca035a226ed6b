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
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct page page;
		struct err err;

		assert_int_equal(page_clean(&page, span_of(cases[i][0]), &err), 0);
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
		assert_int_equal(page_clean(&page, span_of(bad[i]), &err), -EINVAL);
}

static void a_referrer_keeps_no_query_fragment_or_user(void **state)
{
	static const char *const cases[][2] = {
		{ "https://me:pw@News.example:8443/item?id=1#c", "https://News.example:8443/item" },
		{ "https://news.example", "https://news.example" },
		{ "https://[2001:db8::1]:80/x?y", "https://[2001:db8::1]:80/x" },
		{ "android-app://com.google.android.gm/", "android-app://com.google.android.gm/" },
		{ "not a url", "" },
	};
	char buf[EVENT_REFERRER_MOST];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_true(span_equals(
			referrer_strip(buf, span_of(cases[i][0])), span_of(cases[i][1])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_named_as_the_reports_name_them),
		cmocka_unit_test(what_is_no_page_is_refused),
		cmocka_unit_test(a_referrer_keeps_no_query_fragment_or_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
