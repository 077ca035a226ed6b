/* uap-core's own cases (tests/data/uap-core) against the rules of the npm package. */
#include "lib/enrich/uap.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <yaml.h>

#include "lib/check.h"
#include "lib/utf8.h"

#define RULES    "node_modules/uap-core/regexes.yaml"
#define KEYS     8
#define TEXT_MAX 4096

/* A field of uap that a case may name; NULL: not of this section. */
typedef const char *got_fn(const struct uap *uap, size_t key);

/* One case: what uap-core expects of an agent. */
struct test_case {
	char agent[TEXT_MAX];
	char want[KEYS][TEXT_MAX];
	bool has[KEYS];
};

static const char *const keys[KEYS] = { "family", "major", "minor", "patch", "patch_minor", "brand",
	"model", NULL };

static struct uap_rules *rules;

static int open_rules(void **state)
{
	struct err err = { 0 };

	(void)state;
	if (uap_open(&rules, RULES, &err))
		print_error("%s\n", err.msg);
	return rules ? 0 : -1;
}

static int close_rules(void **state)
{
	(void)state;
	uap_close(&rules);
	return 0;
}

static const char *browser_got(const struct uap *uap, size_t key)
{
	const char *const got[] = { uap->browser.family, uap->browser.major, uap->browser.minor,
		uap->browser.patch };

	return key < 4 ? got[key] : NULL; /* some cases name a patch_minor, which no browser has */
}

static const char *os_got(const struct uap *uap, size_t key)
{
	const char *const got[] = { uap->os.family, uap->os.major, uap->os.minor, uap->os.patch,
		uap->os.patch_minor };

	return key < 5 ? got[key] : NULL;
}

static const char *device_got(const struct uap *uap, size_t key)
{
	return key == 0   ? uap->device.family
	       : key == 5 ? uap->device.brand
	       : key == 6 ? uap->device.model
			  : NULL;
}

static void copy(char *out, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (plain && (!strcmp(text, "null") || !strcmp(text, "~")))
		text = "";
	assert_true(strlen(text) < TEXT_MAX);
	memcpy(out, text, strlen(text) + 1);
}

/* Read key and value, alternating, into *c. */
static void take_scalar(struct test_case *c, const yaml_event_t *event, int *key)
{
	const char *text = (const char *)event->data.scalar.value;

	if (*key == -1) {
		*key = strcmp(text, "user_agent_string") ? KEYS : KEYS + 1;
		for (int i = 0; keys[i]; i++)
			if (!strcmp(text, keys[i]))
				*key = i;
		return;
	}
	if (*key == KEYS + 1)
		copy(c->agent, event);
	if (*key < KEYS) {
		copy(c->want[*key], event);
		c->has[*key] = true;
	}
	*key = -1;
}

static size_t check(const struct test_case *c, got_fn *got)
{
	struct uap uap;
	size_t wrong = 0;

	uap_match(rules, span_of(c->agent), &uap);
	for (size_t i = 0; i < KEYS; i++) {
		const char *value = got(&uap, i);

		if (!c->has[i] || !value || !strcmp(value, c->want[i]))
			continue;
		print_error("%s of %s: \"%s\", not \"%s\"\n", keys[i], c->agent, value, c->want[i]);
		wrong = 1;
	}
	return wrong;
}

/* Check all cases of a file; `least` guards against reading nothing. */
static void check_file(const char *path, got_fn *got, size_t least)
{
	static struct test_case c;
	size_t count = 0, wrong = 0;
	int depth = 0, key = -1;
	FILE *file = fopen(path, "re");
	yaml_parser_t parser;
	yaml_event_t event;
	yaml_event_type_t type;

	assert_non_null(file);
	assert_true(yaml_parser_initialize(&parser));
	yaml_parser_set_input_file(&parser, file);
	do {
		assert_true(yaml_parser_parse(&parser, &event));
		type = event.type;
		if (type == YAML_MAPPING_START_EVENT && ++depth == 2) {
			memset(&c, 0, sizeof c);
			key = -1;
		} else if (type == YAML_SCALAR_EVENT && depth == 2) {
			take_scalar(&c, &event, &key);
		} else if (type == YAML_MAPPING_END_EVENT && depth-- == 2) {
			count++;
			wrong += check(&c, got);
		}
		yaml_event_delete(&event);
	} while (type != YAML_STREAM_END_EVENT);
	yaml_parser_delete(&parser);
	fclose(file);
	assert_true(count >= least);
	assert_int_equal(wrong, 0);
}

static void all_browsers_of_uap_core_are_told(void **state)
{
	(void)state;
	check_file("tests/data/uap-core/test_ua.yaml", browser_got, 1430);
}

static void all_systems_of_uap_core_are_told(void **state)
{
	(void)state;
	check_file("tests/data/uap-core/test_os.yaml", os_got, 462);
}

static void all_devices_of_uap_core_are_told(void **state)
{
	(void)state;
	check_file("tests/data/uap-core/test_device.yaml", device_got, 16116);
}

static void an_unknown_or_empty_agent_is_other(void **state)
{
	static const char *const agents[] = { "", "-", "Mozilla/5.0", "$1" };
	struct uap uap;

	(void)state;
	for (size_t i = 0; i < sizeof agents / sizeof *agents; i++) {
		uap_match(rules, span_of(agents[i]), &uap);
		assert_string_equal(uap.browser.family, "Other");
		assert_string_equal(uap.browser.major, "");
		assert_string_equal(uap.os.family, "Other");
		assert_string_equal(uap.device.family, "Other");
		assert_string_equal(uap.device.brand, "");
	}
	uap_match(rules, (struct span){ NULL, 0 }, &uap);
	assert_string_equal(uap.browser.family, "Other");
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Fill text with piece again and again. */
static struct span repeated(char *text, size_t size, const char *piece, size_t len)
{
	for (size_t i = 0; i < size; i++)
		text[i] = piece[i % len];
	return (struct span){ text, size };
}

static size_t put(char *text, size_t at, struct span piece)
{
	memcpy(text + at, piece.ptr, piece.len);
	return at + piece.len;
}

static void assert_sane(struct span agent)
{
	struct uap uap;
	double start = cpu_ms(), spent;

	uap_match(rules, agent, &uap);
	spent = cpu_ms() - start;
	assert_true(uap.browser.family[0] && uap.os.family[0] && uap.device.family[0]);
	assert_true(utf8_valid(span_of(uap.browser.family)));
	assert_true(utf8_valid(span_of(uap.os.family)));
	assert_true(utf8_valid(span_of(uap.device.family)));
	assert_true(utf8_valid(span_of(uap.device.model)));
	/* 0.5 ms at worst when alone; a loaded machine and sanitizers are slower. */
	if (spent > 30)
		fail_msg("%.1f ms for %.60s", spent, agent.ptr);
}

static void hostile_agents_cost_little_and_break_nothing(void **state)
{
	static const char *const pieces[] = { "a", " ", ";", "(", ")", "/", "0", ".", "\xff",
		"\xc3", "; ", "a ", "/a", "0.", "Android", "Android;", "iPhone", "Mozilla/5.0 (",
		"bot", "spider", "crawl ", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bot",
		"; NT-55555", "Mozilla Mobile ", "AppleWebKit/1.1 Safari ", "; Build", " Build/",
		"; ImPAD 5", "(Mobile; LYF/a/;rv:) Gecko/ Firefox/", "HbbTV/0.0.0 (;",
		"Windows Phone ", "Opera Mini/", "CFNetwork Darwin/", "KHTML, like Gecko",
		"NetCast.TV", "$1$2$3", "\r\n", "\xf0\x9f\x98\x80" };
	static char text[70000];
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		assert_sane(repeated(text, 512, pieces[i], strlen(pieces[i])));
		assert_sane(repeated(text, sizeof text, pieces[i], strlen(pieces[i])));
	}
	assert_sane(repeated(text, sizeof text, "Mozilla\0bot/1", 13));
	for (int i = 0; i < 200; i++) { /* bytes at random, the same in each run */
		for (size_t k = 0; k < 600; k++) {
			seed = seed * 1103515245u + 12345u;
			text[k] = (char)(seed >> 16);
		}
		assert_sane((struct span){ text, 600 });
	}
	for (int i = 0; i < 2000; i++) { /* pieces at random */
		size_t len = 0;

		while (len < 512) {
			const char *piece;

			seed = seed * 1103515245u + 12345u;
			piece = pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)];
			len = put(text, len, span_of(piece));
		}
		assert_sane((struct span){ text, len });
	}
}

static void only_the_first_512_bytes_count(void **state)
{
	char text[600];
	struct uap uap;

	(void)state;
	memset(text, 'x', sizeof text);
	put(text, 500, SPAN(" Firefox/1.0"));
	uap_match(rules, (struct span){ text, sizeof text }, &uap);
	assert_string_equal(uap.browser.family, "Firefox");
	put(text, 500, SPAN("x Firefox/1.0"));
	uap_match(rules, (struct span){ text, sizeof text }, &uap);
	assert_string_equal(uap.browser.family, "Other");
}

#define GOOD_SECTIONS                                                                              \
	"user_agent_parsers:\n"                                                                    \
	"  - regex: '(Foo)bar/(\\d+)(?:\\.(\\d+)|)'\n"                                             \
	"    v2_replacement: 'x$3$9y$'\n"                                                          \
	"os_parsers:\n"                                                                            \
	"  - regex: 'on (foo|bar)os'\n"                                                            \
	"    regex_flag: 'i'\n"                                                                    \
	"    os_replacement: ' $1 OS $1 '\n"                                                       \
	"    os_v4_replacement: '4'\n"                                                             \
	"    note: 'a key that is not ours'\n"                                                     \
	"device_parsers:\n"                                                                        \
	"  - regex: 'dev (\\w+) (\\w+)'\n"                                                         \
	"    brand_replacement: '$2'\n"

static char scratch[64];

static const char *file_of(const char *text)
{
	FILE *file;
	int fd;

	snprintf(scratch, sizeof scratch, "/tmp/footfall-uap-XXXXXX");
	fd = mkstemp(scratch);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return scratch;
}

static void replacements_groups_and_flags_are_as_specified(void **state)
{
	struct uap_rules *small = NULL;
	struct err err = { 0 };
	struct uap uap;
	int rc = uap_open(&small, file_of(GOOD_SECTIONS), &err);

	(void)state;
	unlink(scratch);
	assert_int_equal(rc, 0);
	assert_int_equal(uap_count(small), 3);
	uap_match(small, SPAN("Foobar/12.7 ON BarOS dev one two"), &uap);
	assert_string_equal(uap.browser.family, "Foo");
	assert_string_equal(uap.browser.major, "12");
	assert_string_equal(uap.browser.minor, "x7y$");
	assert_string_equal(uap.browser.patch, "");
	assert_string_equal(uap.os.family, "Bar OS Bar");
	assert_string_equal(uap.os.major, "");
	assert_string_equal(uap.os.patch_minor, "4");
	assert_string_equal(uap.device.family, "one");
	assert_string_equal(uap.device.brand, "two");
	assert_string_equal(uap.device.model, "one");
	uap_close(&small);
	assert_null(small);
	uap_close(&small);
}

static void what_are_no_rules_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "line" },
		{ "user_agent_parsers: [", "line" },
		{ "- a\n", "line 1" },
		{ "user_agent_parsers:\n  - regex: 'a'\n", "no os_parsers" },
		{ "user_agent_parsers:\n  - regex: '('\n", "line 2" },
		{ "user_agent_parsers:\n  - family_replacement: 'a'\n", "without regex" },
		{ "user_agent_parsers:\n  - regex: 'a'\n    regex: 'b'\n", "twice" },
		{ "user_agent_parsers:\n  - regex: 'a'\n    regex_flag: 'x'\n", "regex_flag" },
		{ "user_agent_parsers:\n  - regex: [a]\n", "line 2" },
		{ "user_agent_parsers:\n  - [a]: b\n", "line 2" },
		{ "user_agent_parsers:\n  - a\n", "not a rule" },
		{ "user_agent_parsers: a\n", "line 1" },
		{ "others:\n  - regex: 'a'\n", "not a section" },
		{ "user_agent_parsers:\n  - &a {regex: 'a'}\n  - *a\n", "line 3" },
		{ GOOD_SECTIONS "\t: x", "line" },
		{ "\xff\xfe\xff", "line" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct uap_rules *none = NULL;
		struct err err = { 0 };
		int rc = uap_open(&none, file_of(bad[i].text), &err);

		unlink(scratch);
		assert_int_equal(rc, -EINVAL);
		assert_null(none);
		assert_non_null(strstr(err.msg, scratch));
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s", err.msg);
	}
}

static void a_missing_file_and_a_directory_are_refused(void **state)
{
	struct uap_rules *none = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(uap_open(&none, "tests/data/uap-core/missing", &err), -ENOENT);
	assert_int_equal(uap_open(&none, "tests/data/uap-core", &err), -EINVAL);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_browsers_of_uap_core_are_told),
		cmocka_unit_test(all_systems_of_uap_core_are_told),
		cmocka_unit_test(all_devices_of_uap_core_are_told),
		cmocka_unit_test(an_unknown_or_empty_agent_is_other),
		cmocka_unit_test(hostile_agents_cost_little_and_break_nothing),
		cmocka_unit_test(only_the_first_512_bytes_count),
		cmocka_unit_test(replacements_groups_and_flags_are_as_specified),
		cmocka_unit_test(what_are_no_rules_is_refused_with_its_line),
		cmocka_unit_test(a_missing_file_and_a_directory_are_refused),
	};

	return cmocka_run_group_tests(tests, open_rules, close_rules);
}
