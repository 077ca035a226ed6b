#include "services/worker/needles.h"

#include "lib/check.h"

static bool may_match(const char *regex, const char *text)
{
	struct trigrams trigrams;
	struct needles needles;
	bool may;

	assert_int_equal(needles_init(&needles, regex), 0);
	trigrams_of(&trigrams, span_of(text));
	may = needles_may_match(&needles, &trigrams);
	needles_clear(&needles);
	return may;
}

static void a_text_that_matches_is_never_excluded(void **state)
{
	static const char *const cases[][2] = { /* a regex, and a text that it matches */
		{ "Firefox", "Mozilla Firefox/1" }, { "firefox", "FIREFOX" }, { "abc?", "ab" },
		{ "abc*def", "abdef" }, { "abc+def", "abcccdef" }, { "abc{0,3}def", "abdef" },
		{ "abc{2}def", "abccdef" }, { "abcd{0}", "abc" }, { "(?:abc)?", "" },
		{ "(abc)*def", "def" }, { "(?:abc|)def", "def" }, { "(?:|abc)", "" },
		{ "abc|def", "def" }, { "abc|", "" }, { "abc|.", "x" },
		{ "(abc|[0-9])def", "7def" }, { "(?:abc(?:def|ghi)|jkl)mno", "jklmno" },
		{ "(?:abc(?:def|ghi)|jkl)mno", "abcghimno" }, { "x(abc|def|gh)y", "xghy" },
		{ "(?!abc)def", "def" }, { "(?<!abc)def", "def" }, { "abc(?!def)", "abcxyz" },
		{ "(?=abc)a", "abc" }, { "(?i)ABC", "abc" }, { "[Bb]ot", "BOT" },
		{ "[Bb]?ot/1", "ot/1" }, { "[ab]cde", "acde" }, { "[]a]bcd", "]bcd" },
		{ "[^]a]bcd", "xbcd" }, { "[\\]a]bcd", "abcd" }, { "a[(|]bcd", "a|bcd" },
		{ "\\d\\.\\d+abc", "1.22abc" }, { "abc\\/def", "abc/def" },
		{ "abc\\bdef", "abc def" }, { "\\Qa.b\\Eccc", "a.bccc" }, { "\\x41bcd", "Abcd" },
		{ "(abc)\\1d", "abcabcd" }, { "(?x)a b c # no", "abc" }, { "(?<n>abc)d", "abcd" },
		{ "(?>abc)d", "abcd" }, { "abc{,3}d", "abc{,3}d" }, { "abc{d", "abc{d" },
		{ "[[:alpha:]x]abc", "qabc" }, { "[\\Q]\\E]abc", "]abc" },
		{ "abcdefghijklmnop", "abcdefghijklmnop" }, { "^abc$", "abc" },
		{ "a.?b.?c", "abc" }, { "(((abc)))", "abc" }, { "", "" }, { "a*?abc", "abc" },
		{ "abc??def", "abdef" }, { "b\xc3\xa4r", "b\xc3\xa4r" }
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!may_match(cases[i][0], cases[i][1]))
			fail_msg("%s excludes %s", cases[i][0], cases[i][1]);
}

static void a_text_without_what_is_needed_is_excluded(void **state)
{
	static const char *const cases[][2] = { { "Firefox/(\\d+)", "Chrome/12" },
		{ "abc?def", "abc" }, { "(?:abc|def)", "ghi" }, { "(?:abc|def) Build", "abc" },
		{ "; *(PEDI)_(PLUS)_(W) Build", "; PEDI Build" },
		{ "(?:abc(?:def|ghi)|jkl)", "mno" }, { "(abc){1,2}", "xyz" },
		{ "abc\\.def", "abc def" }, { "[Bb]ot/", "foot" },
		{ "^.{0,200}?(\\d)(?:[Ss]pider|crawl)", "1 Mozilla" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (may_match(cases[i][0], cases[i][1]))
			fail_msg("%s does not exclude %s", cases[i][0], cases[i][1]);
}

static void a_broken_or_endless_regex_has_no_needles(void **state)
{
	static const char *const broken[] = { "abc(", "abc)", "abc[", "abc\\", "abc(?", "*abc",
		"abc{", "abc[a-", "(?:abc", "abc(*FAIL)" };
	char deep[301];

	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		assert_true(may_match(broken[i], ""));
	memset(deep, '(', 100);
	memset(deep + 100, 'a', 100);
	memset(deep + 200, ')', 100);
	deep[300] = '\0';
	assert_true(may_match(deep, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_that_matches_is_never_excluded),
		cmocka_unit_test(a_text_without_what_is_needed_is_excluded),
		cmocka_unit_test(a_broken_or_endless_regex_has_no_needles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
