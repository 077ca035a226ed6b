#include "lib/check.h"
#include "lib/utf8.h"

static void what_rfc_3629_allows_is_valid(void **state)
{
	(void)state;
	assert_true(utf8_valid(SPAN("")));
	assert_true(utf8_valid(SPAN("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf")));
}

static void overlong_surrogate_cut_and_nul_are_not_valid(void **state)
{
	static const struct span bad[] = { { "\xc0\x80", 2 }, { "\xe0\x80\x80", 3 },
		{ "\xed\xa0\x80", 3 }, { "\xf4\x90\x80\x80", 4 }, { "\xc3", 1 }, { "\xe2\x82", 2 },
		{ "\x80", 1 }, { "a\0b", 3 }, { "\xff", 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(utf8_valid(bad[i]));
}

static void cleaning_replaces_what_is_not_valid_and_cuts_between_characters(void **state)
{
	char buf[8];

	(void)state;
	assert_true(span_equals(utf8_clean(buf, 8, SPAN("a\xff\xc3\xa9")), SPAN("a?\xc3\xa9")));
	assert_true(span_equals(utf8_clean(buf, 2, SPAN("a\xc3\xa9")), SPAN("a")));
	assert_true(span_equals(utf8_first(SPAN("a\xc3\xa9"), 2), SPAN("a")));
	assert_true(span_equals(utf8_first(SPAN("a\xc3\xa9"), 3), SPAN("a\xc3\xa9")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_rfc_3629_allows_is_valid),
		cmocka_unit_test(overlong_surrogate_cut_and_nul_are_not_valid),
		cmocka_unit_test(cleaning_replaces_what_is_not_valid_and_cuts_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
