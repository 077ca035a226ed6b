#include "lib/check.h"
#include "services/ingress/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SITE "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"
#define PIECES                                                                                     \
	"//# head\nH(\n//# part exit\nE;\n//# part outbound downloads\nB;\n//# part "              \
	"hash\nX;\n//# tail\nT)(\n"

static void assert_made(unsigned parts, const char *site, const char *expected)
{
	struct span script;

	assert_int_equal(script_make(&script, SPAN(PIECES), parts, span_of(site)), 0);
	assert_true(span_equals(script, span_of(expected)));
	script_free(&script);
}

static void a_script_is_the_core_the_parts_that_are_wanted_and_the_site(void **state)
{
	(void)state;
	assert_made(0, SITE, "H(T)(\"" SITE "\");\n");
	assert_made(SCRIPT_EXIT | SCRIPT_HASH, SITE, "H(E;X;T)(\"" SITE "\");\n");
	assert_made(SCRIPT_FORMS, SITE, "H(T)(\"" SITE "\");\n");
	assert_made(SCRIPT_NAMED, "", "H(T)(\"\");\n");
}

static void a_piece_that_several_parts_need_is_there_once_for_any_of_them(void **state)
{
	(void)state;
	assert_made(SCRIPT_OUTBOUND, "", "H(B;T)(\"\");\n");
	assert_made(SCRIPT_DOWNLOADS, "", "H(B;T)(\"\");\n");
	assert_made(SCRIPT_OUTBOUND | SCRIPT_DOWNLOADS, "", "H(B;T)(\"\");\n");
}

static void parts_are_known_by_their_names(void **state)
{
	static const char *const site_s[] = { "exit", "outbound", "downloads", "forms", "tagged",
		"404", "metadata" };
	unsigned all = 0;

	(void)state;
	for (size_t i = 0; i < sizeof site_s / sizeof *site_s; i++)
		all |= script_part(span_of(site_s[i]));
	assert_int_equal(all, SCRIPT_DEFAULT);
	assert_int_equal(script_part(SPAN("hash")), SCRIPT_HASH);
	assert_int_equal(script_part(SPAN("Exit")), 0);
	assert_int_equal(script_part(SPAN("exi")), 0);
	assert_int_equal(script_part(SPAN("")), 0);
}

/* The parts of a script that is asked for by this name, 0: there is none. */
static unsigned named(const char *file)
{
	unsigned parts = 0;

	return script_is_named(span_of(file), &parts) ? parts : 0;
}

static void scripts_have_plausibles_names_and_what_their_extensions_switch_on(void **state)
{
	const unsigned plain = SCRIPT_DEFAULT | SCRIPT_NAMED;

	(void)state;
	assert_int_equal(named("script.js"), plain);
	assert_int_equal(named("plausible.js"), plain);
	assert_int_equal(named("script.hash.js"), plain | SCRIPT_HASH);
	assert_int_equal(named("plausible.manual.outbound-links.hash.js"),
		plain | SCRIPT_HASH | SCRIPT_MANUAL);
	assert_int_equal(
		named("script.outbound-links.file-downloads.tagged-events.local.exclusions."
		      "compat.revenue.pageview-props.pageleave.js"),
		plain);
}

static void no_other_name_is_a_script(void **state)
{
	static const char *const none[] = { "", ".js", "script", "script.", "js", "script.jsx",
		"scripts.js", "script.map.js", "script.dnt.js", "script.hash", "script.js.js",
		"Script.js", "footfall.js", SITE ".js" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(named(none[i]), 0);
}

/* Load a file that has this text. */
static int load(struct span *out, const char *text, size_t len)
{
	char path[] = "/tmp/footfall-script-XXXXXX";
	int fd = mkstemp(path), rc;
	struct err err = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	rc = script_load(out, path, &err);
	unlink(path);
	assert_true(!rc || strstr(err.msg, path));
	return rc;
}

static void a_file_of_pieces_is_read_whole(void **state)
{
	struct span text;

	(void)state;
	assert_int_equal(load(&text, PIECES, sizeof PIECES - 1), 0);
	assert_true(span_equals(text, SPAN(PIECES)));
	script_free(&text);
}

static void what_is_no_file_of_pieces_stops_the_start(void **state)
{
	static const char *const wrong[] = { "", "H(T)(", "//# head\n", "//# head\nH(\n",
		"//# tail\nT)(\n//# head\nH(\n", "//# head\nH(\n//# part exit\nE;\n",
		"//# head\nH(\n//# part smell\nS;\n//# tail\nT)(\n",
		"//# head\nH(\n//# part \nS;\n//# tail\nT)(\n",
		"//# head\nH(\n//# part exit\n//# tail\nT)(\n",
		"//# head\nH(\nmore\n//# tail\nT)(\n", "//# head\n\n//# tail\nT)(\n" };
	struct span text;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(load(&text, wrong[i], strlen(wrong[i])), -EINVAL);
	assert_int_equal(script_load(&text, "/nowhere/footfall.js", &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nowhere/footfall.js"));
}

static void a_file_that_is_too_large_stops_the_start(void **state)
{
	const size_t len = 1 << 20;
	char *large = malloc(len);
	struct span text;

	(void)state;
	assert_non_null(large);
	memset(large, 'x', len);
	memcpy(large, "//# head\n", 9);
	memcpy(large + len - 13, "\n//# tail\nT)(\n", 14 - 1);
	assert_int_equal(load(&text, large, len), -EINVAL);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_script_is_the_core_the_parts_that_are_wanted_and_the_site),
		cmocka_unit_test(a_piece_that_several_parts_need_is_there_once_for_any_of_them),
		cmocka_unit_test(parts_are_known_by_their_names),
		cmocka_unit_test(scripts_have_plausibles_names_and_what_their_extensions_switch_on),
		cmocka_unit_test(no_other_name_is_a_script),
		cmocka_unit_test(a_file_of_pieces_is_read_whole),
		cmocka_unit_test(what_is_no_file_of_pieces_stops_the_start),
		cmocka_unit_test(a_file_that_is_too_large_stops_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
