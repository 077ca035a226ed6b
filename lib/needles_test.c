#include "lib/needles.h"

#include <stdio.h>

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

static void an_index_finds_just_those_that_may_match(void **state)
{
	static const char *const regexes[] = { "Firefox", "Chrome/(\\d+)", "[0-9]+", "Chrome.*Edg",
		"(?:abc|def|Opera) Mini", "Fire(fox|bird)", "x?", "Chromium", "def.*ghi", "ghi" };
	static const char *const texts[] = { "", "Firefox/1", "Chrome/120 Edg/1", "def Mini",
		"Opera Mini", "ghi", "def ghi", "Firebird", "a text of nobody's" };
	const size_t count = sizeof regexes / sizeof *regexes;
	struct needles list[sizeof regexes / sizeof *regexes];
	struct needles_index *index;
	struct needles_found found;
	struct trigrams trigrams;

	(void)state;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(needles_init(&list[i], regexes[i]), 0);
	index = needles_index_new(list, count);
	assert_non_null(index);
	for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
		size_t next;

		trigrams_of(&trigrams, span_of(texts[t]));
		needles_index_find(&found, index, &trigrams);
		next = needles_index_next(&found, index, 0);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(needles_may_match(&list[i], &trigrams), next == i);
			if (next == i)
				next = needles_index_next(&found, index, i + 1);
		}
		assert_int_equal(next, NEEDLES_NONE);
	}
	needles_index_free(&index);
	assert_null(index);
	for (size_t i = 0; i < count; i++)
		needles_clear(&list[i]);
}

static void an_index_of_many_words_finds_each(void **state)
{
	enum { MANY = 3000 };
	static struct needles list[MANY];
	struct needles_index *index;
	struct needles_found found;
	struct trigrams trigrams;
	char word[32];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(word, sizeof word, "crawler-%d/", i);
		assert_int_equal(needles_init(&list[i], word), 0);
	}
	index = needles_index_new(list, MANY);
	assert_non_null(index);
	for (int i = 0; i < MANY; i++) {
		snprintf(word, sizeof word, "a Crawler-%d/1", i);
		trigrams_of(&trigrams, span_of(word));
		needles_index_find(&found, index, &trigrams);
		assert_int_equal(needles_index_next(&found, index, (size_t)i), i);
	}
	needles_index_free(&index);
	for (int i = 0; i < MANY; i++)
		needles_clear(&list[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_that_matches_is_never_excluded),
		cmocka_unit_test(a_text_without_what_is_needed_is_excluded),
		cmocka_unit_test(a_broken_or_endless_regex_has_no_needles),
		cmocka_unit_test(an_index_finds_just_those_that_may_match),
		cmocka_unit_test(an_index_of_many_words_finds_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
