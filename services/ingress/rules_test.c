#include "lib/check.h"
#include "services/ingress/rules.h"

#include <stdlib.h>
#include <string.h>

static struct rules *rules_of(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct rules *rules;
	struct err err;

	assert_non_null(json);
	assert_int_equal(rules_read(&rules, json, &err), 0);
	json_decref(json);
	return rules;
}

static struct asked page_view(void)
{
	return (struct asked){ .from_page = true,
		.origin = SPAN("https://example.org"),
		.host = SPAN("example.org"),
		.path = SPAN("/a"),
		.agent = SPAN("Mozilla/5.0 (X11) Gecko") };
}

static enum dropped refuse(const char *text, const struct asked *asked)
{
	struct rules *rules = rules_of(text);
	enum dropped reason = rules_refuse(rules, asked);

	rules_free(&rules);
	return reason;
}

static void a_site_without_rules_has_none_and_refuses_nothing(void **state)
{
	static const char *const without[] = { "[false, false, false, []]",
		"[false, false, false, [[\"alias\", \"example.net\"]]]",
		"[false, false, false, [[\"of_later\", \"x\"]]]" };
	const struct asked asked = page_view();
	struct rules *rules;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof without / sizeof *without; i++)
		assert_null(rules_of(without[i]));
	assert_int_equal(rules_read(&rules, NULL, &err), 0);
	assert_null(rules);
	assert_int_equal(rules_refuse(NULL, &asked), DROPPED_NONE);
	assert_false(rules_refuse_bots(NULL));
}

static void each_kind_of_rule_looks_at_its_own_part(void **state)
{
	static const struct {
		const char *rule;
		enum dropped reason;
	} cases[] = {
		{ "[\"origin\", \"https://example.com\"]", DROPPED_ORIGIN },
		{ "[\"origin\", \"https://example.org\"]", DROPPED_NONE },
		{ "[\"origin\", \"https://*\"]", DROPPED_NONE },
		{ "[\"host\", \"example.org\"]", DROPPED_HOST },
		{ "[\"host\", \"*.org\"]", DROPPED_HOST },
		{ "[\"host\", \"*.example.org\"]", DROPPED_NONE },
		{ "[\"path\", \"/a\"]", DROPPED_PATH }, { "[\"path\", \"/A\"]", DROPPED_NONE },
		{ "[\"path\", \"/\"]", DROPPED_NONE }, { "[\"agent\", \"gecko\"]", DROPPED_AGENT },
		{ "[\"agent\", \"mozilla*gecko\"]", DROPPED_AGENT },
		{ "[\"agent\", \"gecko*\"]", DROPPED_NONE },
		{ "[\"ip\", \"192.0.2.0/24\"]", DROPPED_IP },
		{ "[\"ip\", \"192.0.3.0/24\"]", DROPPED_NONE },
		{ "[\"ip\", \"::/0\"]", DROPPED_IP }, /* IPv4 lies within IPv6 */
	};
	struct asked asked = page_view();
	struct addr address;

	(void)state;
	assert_int_equal(addr_parse(&address, SPAN("192.0.2.7")), 0);
	asked.address = &address;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[200];

		snprintf(text, sizeof text, "[false, false, false, [%s]]", cases[i].rule);
		if (refuse(text, &asked) != cases[i].reason)
			fail_msg("%s", cases[i].rule);
	}
	asked.address = NULL;
	assert_int_equal(
		refuse("[false, false, false, [[\"ip\", \"0.0.0.0/0\"]]]", &asked), DROPPED_NONE);
}

static void origins_are_for_pages_and_flags_for_themselves(void **state)
{
	static const char listed[] = "[true, false, false, [[\"origin\", \"https://ok.example\"]]]";
	struct asked asked = page_view();

	(void)state;
	asked.from_page = false;
	assert_int_equal(refuse(listed, &asked), DROPPED_NONE);
	asked.from_page = true;
	assert_int_equal(refuse(listed, &asked), DROPPED_ORIGIN);
	asked.origin = SPAN("");
	assert_int_equal(refuse(listed, &asked), DROPPED_NO_ORIGIN);
	asked.opts_out = true;
	assert_int_equal(refuse("[false, true, false, []]", &asked), DROPPED_NONE);
	assert_int_equal(refuse("[false, false, true, []]", &asked), DROPPED_OPT_OUT);
	asked.bot = EVENT_BOT_HINT;
	assert_int_equal(refuse("[false, true, false, []]", &asked), DROPPED_BOT_HINT);
	asked.bot = EVENT_BOT_SPAM;
	assert_int_equal(refuse("[false, true, false, []]", &asked), DROPPED_SPAM_REFERRER);
}

static void an_origin_is_compared_whole_and_in_any_case(void **state)
{
	static const char text[] = "[false, false, false, [[\"origin\", \"https://ok.example\"]]]";
	static const char *const others[] = { "https://ok.example.evil.example",
		"https://ok.example:8443", "http://ok.example", "null", "https://ok.exampl" };
	struct asked asked = page_view();
	char endless[5000];

	(void)state;
	asked.origin = SPAN("HTTPS://Ok.Example");
	assert_int_equal(refuse(text, &asked), DROPPED_NONE);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		asked.origin = span_of(others[i]);
		assert_int_equal(refuse(text, &asked), DROPPED_ORIGIN);
	}
	memset(endless, 'x', sizeof endless);
	asked.origin = (struct span){ endless, sizeof endless };
	assert_int_equal(
		refuse("[false, false, false, [[\"origin\", \"*\"]]]", &asked), DROPPED_ORIGIN);
}

static void a_text_that_is_not_ours_is_refused(void **state)
{
	static const char *const wrong[] = { "{}", "[]", "[false, false, false]", "[1, 2, 3, []]",
		"[false, false, false, {}]", "[false, false, false, [\"ip\"]]",
		"[false, false, false, [[\"ip\", 7]]]",
		"[false, false, false, [[\"ip\", \"x\"]]]" };
	struct rules *rules;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		json_t *json = json_loads(wrong[i], 0, NULL);

		if (rules_read(&rules, json, &err) != -EBADMSG)
			fail_msg("%s", wrong[i]);
		assert_null(rules);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_site_without_rules_has_none_and_refuses_nothing),
		cmocka_unit_test(each_kind_of_rule_looks_at_its_own_part),
		cmocka_unit_test(origins_are_for_pages_and_flags_for_themselves),
		cmocka_unit_test(an_origin_is_compared_whole_and_in_any_case),
		cmocka_unit_test(a_text_that_is_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
