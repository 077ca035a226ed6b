#include "lib/campaign.h"

#include "lib/check.h"
#include "lib/utf8.h"

static void assert_read(const char *query, enum campaign_field field, const char *value)
{
	struct campaign c;

	campaign_read(&c, span_of(query));
	if (!span_equals(c.field[field], span_of(value)))
		fail_msg("%s: \"%.*s\"", query, (int)c.field[field].len, c.field[field].ptr);
}

static void each_parameter_is_read_decoded_and_trimmed(void **state)
{
	static const char *const query =
		"a=b&utm_source=news%20letter&utm_medium=e-mail&utm_campaign=spring+sale"
		"&utm_term=caf%C3%A9&utm_content=%20top+&ref=x";

	(void)state;
	assert_read(query, UTM_SOURCE, "news letter");
	assert_read(query, UTM_MEDIUM, "e-mail");
	assert_read(query, UTM_CAMPAIGN, "spring sale");
	assert_read(query, UTM_TERM, "caf\xc3\xa9");
	assert_read(query, UTM_CONTENT, "top");
	assert_read(query, CAMPAIGN_REF, "x");
	assert_read("UTM_Source=A", UTM_SOURCE, "A");
	assert_read("utm%5Fsource=A", UTM_SOURCE, "A");
	assert_read("x=1&amp;utm_source=A", UTM_SOURCE, "A");
	assert_read("utm_source=a%26b%3Dc", UTM_SOURCE, "a&b=c");
	assert_read("utm_source=a=b", UTM_SOURCE, "a=b");
}

static void what_is_not_there_or_blank_is_empty(void **state)
{
	static const char *const none[] = { "", "&", "=", "&&==&", "utm_source",
		"utm_source=", "utm_source=+%20", "xutm_source=a", "utm_sourcex=a",
		"utm_source%00=a", "=utm_source", "utm_source_but_a_very_long_name=a" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_read(none[i], UTM_SOURCE, "");
}

static void of_a_repeated_parameter_the_first_that_is_not_blank_counts(void **state)
{
	(void)state;
	assert_read("utm_source=&utm_source=a&utm_source=b", UTM_SOURCE, "a");
}

static void source_counts_before_ref(void **state)
{
	(void)state;
	assert_read("source=a", CAMPAIGN_REF, "a");
	assert_read("ref=b&source=a", CAMPAIGN_REF, "a");
	assert_read("source=&ref=b", CAMPAIGN_REF, "b");
}

static void of_a_click_id_the_name_is_kept(void **state)
{
	static const char *const cases[][2] = { { "gclid=abc", "gclid" }, { "GCLID=abc", "gclid" },
		{ "gclid=", "" }, { "gclid", "" }, { "fbclid=1", "fbclid" },
		{ "gad_source=1&gbraid=0A&gclid=Cj0", "gclid" }, { "wbraid=1&gbraid=1", "gbraid" },
		{ "msclkid=1", "msclkid" }, { "ttclid=1", "ttclid" }, { "twclid=1", "twclid" },
		{ "li_fat_id=1", "li_fat_id" }, { "clid=1", "" } };
	struct campaign c;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		campaign_read(&c, span_of(cases[i][0]));
		assert_true(span_equals(c.click_id, span_of(cases[i][1])));
	}
	assert_true(span_equals(campaign_click_id(SPAN("Gclid")), SPAN("gclid")));
	assert_int_equal(campaign_click_id(SPAN("gclidx")).len, 0);
}

static void a_value_is_valid_text_of_bounded_length(void **state)
{
	char query[4000] = "utm_source=";
	size_t head = strlen(query);
	struct campaign c;

	(void)state;
	assert_read("utm_source=a%ffb", UTM_SOURCE, "a?b");
	assert_read("utm_source=a%00%0ab", UTM_SOURCE, "a  b");
	for (size_t at = head; at + 9 <= sizeof query; at += 9)
		memcpy(query + at, "%E2%82%AC", 9);
	campaign_read(&c, (struct span){ query, head + 9 * 300 });
	assert_true(utf8_valid(c.field[UTM_SOURCE]));
	assert_true(c.field[UTM_SOURCE].len <= CAMPAIGN_MOST);
	assert_true(c.field[UTM_SOURCE].len > CAMPAIGN_MOST - 3);
	memset(query + head, 'a', sizeof query - head);
	campaign_read(&c, (struct span){ query, sizeof query });
	assert_int_equal(c.field[UTM_SOURCE].len, CAMPAIGN_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_parameter_is_read_decoded_and_trimmed),
		cmocka_unit_test(what_is_not_there_or_blank_is_empty),
		cmocka_unit_test(of_a_repeated_parameter_the_first_that_is_not_blank_counts),
		cmocka_unit_test(source_counts_before_ref),
		cmocka_unit_test(of_a_click_id_the_name_is_kept),
		cmocka_unit_test(a_value_is_valid_text_of_bounded_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
