#include "lib/check.h"
#include "services/worker/shield.h"

#include <stdlib.h>

static void mark(struct app_site *site, const char *country)
{
	int bit = (country[0] - 'A') * 26 + country[1] - 'A';

	site->countries.bits[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static void a_country_that_is_listed_is_refused_and_no_other(void **state)
{
	struct app_site site = { .domain = "example.org" };

	(void)state;
	mark(&site, "DE");
	mark(&site, "ZZ");
	for (int a = 0; a < 26; a++)
		for (int b = 0; b < 26; b++) {
			const char country[] = { (char)('A' + a), (char)('A' + b), '\0' };
			bool listed = !strcmp(country, "DE") || !strcmp(country, "ZZ");

			assert_int_equal(shield_refuses(&site, span_of(country), EVENT_BOT_NONE),
				listed ? DROPPED_COUNTRY : DROPPED_NONE);
		}
	assert_int_equal(shield_refuses(&site, SPAN(""), EVENT_BOT_NONE), DROPPED_NONE);
	assert_int_equal(shield_refuses(&site, SPAN("de"), EVENT_BOT_NONE), DROPPED_NONE);
	assert_int_equal(shield_refuses(&site, SPAN("DEU"), EVENT_BOT_NONE), DROPPED_NONE);
}

static void a_bot_is_refused_where_the_site_says_so(void **state)
{
	struct app_site site = { .domain = "example.org" };

	(void)state;
	assert_int_equal(shield_refuses(&site, SPAN("DE"), EVENT_BOT_DATA_CENTRE), DROPPED_NONE);
	site.refuses_bots = true;
	assert_int_equal(
		shield_refuses(&site, SPAN("DE"), EVENT_BOT_DATA_CENTRE), DROPPED_DATA_CENTRE);
	assert_int_equal(shield_refuses(&site, SPAN("DE"), EVENT_BOT_NONE), DROPPED_NONE);
}

static void the_own_hosts_of_a_site_are_its_domain_and_its_further_ones(void **state)
{
	char hosts[] = "a.example\nb.example\n";
	struct app_site site = { .domain = "example.org" };
	struct span own[APP_OWN_MOST];

	(void)state;
	assert_int_equal(app_own_hosts(&site, own), 1);
	site.hosts = hosts;
	assert_int_equal(app_own_hosts(&site, own), 3);
	assert_true(span_equals(own[0], SPAN("example.org")));
	assert_true(span_equals(own[1], SPAN("a.example")));
	assert_true(span_equals(own[2], SPAN("b.example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_country_that_is_listed_is_refused_and_no_other),
		cmocka_unit_test(a_bot_is_refused_where_the_site_says_so),
		cmocka_unit_test(the_own_hosts_of_a_site_are_its_domain_and_its_further_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
