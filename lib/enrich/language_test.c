#include "lib/enrich/language.h"

#include "lib/check.h"

static void the_accepted_language_that_is_liked_best_counts(void **state)
{
	static const char *const rows[][2] = {
		{ "de-CH, de;q=0.9", "de-CH" },
		{ "fr;q=0.9", "fr" },
		{ "en;q=0.5, de-AT;q=0.9, fr", "fr" },
		{ "en;q=0.5,de-AT ; q=0.9,fr;q=0.85", "de-AT" },
		{ "en;Q=0.5, de;q=0.5", "en" },
		{ "en;q=0, de;q=0.001", "de" },
		{ "*, pt-BR;q=0.1", "pt-BR" },
		{ "en;q=1.000, de", "en" },
		{ "en;q=2, de;q=0.1", "de" },
		{ "en;q=1.5, de;q=0.1", "de" },
		{ "en;q=0.1234, de;q=0.1", "de" },
		{ "en;q=, de;q=0.1", "de" },
		{ "en;level=1, de;q=0.1", "de" },
		{ ",, ,zh_TW", "zh_TW" },
		{ "<script>, de;q=0.3", "de" },
		{ "a-tag-that-is-longer-than-any-real-one-is, de;q=0.3", "de" },
		{ "", "" },
		{ "*", "" },
		{ "de;q=0", "" },
		{ "<script>", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span language = language_accepted(span_of(rows[i][0]));

		if (!span_equals(language, span_of(rows[i][1])))
			fail_msg("%s: %.*s", rows[i][0], (int)language.len, language.ptr);
	}
}

static void a_language_is_a_tag_or_none(void **state)
{
	(void)state;
	assert_true(span_equals(language_tag(SPAN(" de-AT ")), SPAN("de-AT")));
	assert_true(span_equals(language_tag(SPAN("zh_TW")), SPAN("zh_TW")));
	assert_int_equal(language_tag(SPAN("de AT")).len, 0);
	assert_int_equal(language_tag(SPAN("\xc3\xa9")).len, 0);
	assert_int_equal(language_tag(SPAN("a-tag-that-is-longer-than-any-real-one-is")).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_accepted_language_that_is_liked_best_counts),
		cmocka_unit_test(a_language_is_a_tag_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
