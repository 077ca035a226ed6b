#include "lib/check.h"
#include "lib/glob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *pattern, *text;
	bool fits;
} cases[] = {
	{ "/a", "/a", true },
	{ "/a", "/ab", false },
	{ "/ab", "/a", false },
	{ "", "", true },
	{ "", "a", false },
	{ "*", "", true },
	{ "*", "/any/thing", true },
	{ "**", "x", true },
	{ "/a*", "/a", true },
	{ "/a*", "/abc/d", true },
	{ "/a*", "/b", false },
	{ "*.php", "/x/y.php", true },
	{ "*.php", "/x/y.phpx", false },
	{ "/a/*/c", "/a/b/c", true },
	{ "/a/*/c", "/a/b/b/c", true },
	{ "/a/*/c", "/a/c", false },
	{ "/a*a", "/a", false }, /* one "a" is not two */
	{ "/a*a", "/aa", true },
	{ "*ab*ab*", "ab", false },
	{ "*ab*ab*", "xabyabz", true },
	{ "*ab*b", "ab", false },
	{ "*ab*b", "abab", true }, /* the first "ab" is taken, the last "b" is another */
	{ "*a*b*c*", "abc", true },
	{ "*a*b*c*", "acb", false },
	{ "/[a]?.+", "/[a]?.+", true }, /* nothing else is special */
	{ "/[a]", "/a", false },
	{ "A", "a", false },
};

static void a_star_stands_for_any_bytes_and_the_rest_for_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (glob_fits(span_of(cases[i].pattern), span_of(cases[i].text)) != cases[i].fits)
			fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
}

/* Every pattern and text of up to five of "a", "b" and "*", against the definition, tried out. */
static bool by_definition(const char *pattern, const char *text)
{
	if (!*pattern)
		return !*text;
	if (*pattern == '*')
		return by_definition(pattern + 1, text) ||
		       (*text && by_definition(pattern, text + 1));
	return *pattern == *text && by_definition(pattern + 1, text + 1);
}

static void make(char *out, int number, int letters)
{
	int len = 0;

	for (; number; number /= letters + 1)
		if (number % (letters + 1))
			out[len++] = "ab*"[number % (letters + 1) - 1];
	out[len] = '\0';
}

static void it_fits_exactly_what_trying_all_ways_fits(void **state)
{
	char pattern[8], text[8];

	(void)state;
	for (int p = 0; p < 4 * 4 * 4 * 4 * 4; p++)
		for (int t = 0; t < 3 * 3 * 3 * 3 * 3; t++) {
			make(pattern, p, 3);
			make(text, t, 2);
			if (glob_fits(span_of(pattern), span_of(text)) !=
				by_definition(pattern, text))
				fail_msg("\"%s\" and \"%s\"", pattern, text);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_star_stands_for_any_bytes_and_the_rest_for_itself),
		cmocka_unit_test(it_fits_exactly_what_trying_all_ways_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
