#include "lib/enrich/locale.h"

#include "lib/check.h"

static void a_language_is_named_as_bcp_47_names_it(void **state)
{
	static const struct {
		const char *text, *language, *locale;
	} rows[] = {
		{ "de", "de", "de" },
		{ "DE", "de", "de" },
		{ "de-AT", "de", "de-AT" },
		{ "de-at", "de", "de-AT" },
		{ "de_AT.UTF-8", "de", "de-AT" },
		{ "de_DE@euro", "de", "de-DE" },
		{ " en-US ", "en", "en-US" },
		{ "EN-us", "en", "en-US" },
		{ "zh-hant-hk", "zh", "zh-Hant-HK" },
		{ "zh-Hans", "zh", "zh-Hans" },
		{ "sr-Latn-RS", "sr", "sr-Latn-RS" },
		{ "es-419", "es", "es-419" },
		{ "haw-US", "haw", "haw-US" },
		{ "fil", "fil", "fil" },
		{ "zh-yue-HK", "yue", "yue-HK" },
		{ "ca-ES-valencia", "ca", "ca-ES" },
		{ "de-CH-1996", "de", "de-CH" },
		{ "de-1996", "de", "de" },
		{ "en-US-u-hc-h12", "en", "en-US" },
		{ "de-DE-x-goethe", "de", "de-DE" },
		{ "iw-IL", "he", "he-IL" },
		{ "in", "id", "id" },
		{ "ji", "yi", "yi" },
		{ "en-UK", "en", "en-GB" },
		{ "de-DD", "de", "de-DE" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct locale locale;

		locale_parse(&locale, span_of(rows[i].text));
		assert_string_equal(locale.language, rows[i].language);
		assert_string_equal(locale.locale, rows[i].locale);
	}
}

static void what_names_no_language_is_not_known(void **state)
{
	static const char *const texts[] = { "", " ", "*", "-", "--", "C", "POSIX", "und", "und-DE",
		"zxx", "mul", "x-klingon", "i-default", "e", "engl", "english", "12", "d\xc3\xa9",
		"<script>", "d-e" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct locale locale;

		locale_parse(&locale, span_of(texts[i]));
		assert_string_equal(locale.language, "");
		assert_string_equal(locale.locale, "");
	}
}

static void what_cannot_be_read_behind_a_language_is_left_out(void **state)
{
	static const char *const texts[] = { "de-", "de--AT", "de-toolongforany", "de-A", "de-9",
		"de-\xff\xfe", "de-AT1", "de-;drop" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct locale locale;

		locale_parse(&locale, span_of(texts[i]));
		assert_string_equal(locale.locale, "de");
	}
}

static void the_longest_tag_fits(void **state)
{
	struct locale locale;

	(void)state;
	locale_parse(&locale, SPAN("zho-yue-Hant-419-u-co-x"));
	assert_string_equal(locale.language, "yue");
	assert_string_equal(locale.locale, "yue-Hant-419");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_language_is_named_as_bcp_47_names_it),
		cmocka_unit_test(what_names_no_language_is_not_known),
		cmocka_unit_test(what_cannot_be_read_behind_a_language_is_left_out),
		cmocka_unit_test(the_longest_tag_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
