#include "lib/enrich/cdn.h"

#include "lib/check.h"

static void assert_place(const char *country, const char *region, const char *city,
	const char *want_country, const char *want_region, const char *want_city)
{
	struct cdn cdn;
	bool found = cdn_place(&cdn, span_of(country), span_of(region), span_of(city));

	assert_int_equal(found, *want_country != '\0');
	assert_true(span_equals(cdn.place.country, span_of(want_country)));
	assert_true(span_equals(cdn.place.region, span_of(want_region)));
	assert_true(span_equals(cdn.place.city, span_of(want_city)));
}

static void a_cdn_names_country_region_and_city(void **state)
{
	(void)state;
	assert_place("US", "TX", "Austin", "US", "TX", "Austin");
	assert_place("de", "by", "M\xc3\xbcnchen", "DE", "BY", "M\xc3\xbcnchen");
	assert_place(" GB ", "", "", "GB", "", "");
	assert_place("GB", "GB-ENG", " London ", "GB", "GB-ENG", "London");
}

static void an_encoded_city_is_decoded(void **state)
{
	(void)state;
	assert_place("BR", "SP", "S%C3%A3o%20Paulo", "BR", "SP", "S\xc3\xa3o Paulo");
	assert_place("US", "", "50%", "US", "", "50%");
	assert_place("US", "", "Winston+Salem", "US", "", "Winston+Salem");
}

static void what_is_no_country_leaves_all_to_the_database(void **state)
{
	static const char *const none[] = { "", "XX", "xx", "T1", "ZZ", "U", "USA", "U1", "..",
		"\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_place(none[i], "TX", "Austin", "", "", "");
}

static void what_is_no_region_or_city_is_left_out(void **state)
{
	char longest[3 * CDN_CITY_MOST + 2];

	(void)state;
	assert_place("US", "T X", "Austin", "US", "", "Austin");
	assert_place("US", "ABCDEFGHIJKLMNOPQ", "Austin", "US", "", "Austin");
	assert_place("US", "<b>", "Aus%0Atin", "US", "", "");
	assert_place("US", "", "Aus\ttin", "US", "", "");
	assert_place("US", "", "Aus%00tin", "US", "", "");
	assert_place("US", "", "M\xfcnchen", "US", "", "M?nchen");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_place("US", "", longest, "US", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cdn_names_country_region_and_city),
		cmocka_unit_test(an_encoded_city_is_decoded),
		cmocka_unit_test(what_is_no_country_leaves_all_to_the_database),
		cmocka_unit_test(what_is_no_region_or_city_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
