/* On the files of the package iso-codes, which deploy/packages.list names. */
#include "lib/iso.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/check.h"

#define FOLDER "/usr/share/iso-codes/json"

static struct iso *opened(enum iso_part part)
{
	struct iso *iso = NULL;
	struct err err = { 0 };

	if (iso_open(&iso, FOLDER, part, &err))
		fail_msg("%s", err.msg);
	return iso;
}

static void a_country_has_its_common_english_name(void **state)
{
	static const char *const names[][2] = { { "DE", "Germany" }, { "BO", "Bolivia" },
		{ "KR", "South Korea" }, { "CI", "C\u00f4te d'Ivoire" }, { "XK", "Kosovo" },
		{ "XX", "" }, { "", "" }, { "DEU", "" }, { "longer than any", "" } };
	struct iso *iso = opened(ISO_COUNTRIES);

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_string_equal(iso_name(iso, names[i][0]), names[i][1]);
	iso_close(&iso);
	assert_null(iso);
}

static void a_region_is_found_by_its_code_and_by_its_name(void **state)
{
	struct iso *iso = opened(ISO_REGIONS);

	(void)state;
	assert_string_equal(iso_name(iso, "US-TX"), "Texas");
	assert_string_equal(iso_name(iso, "GB-ENG"), "England");
	assert_string_equal(iso_name(iso, "US-XX"), "");
	assert_string_equal(iso_region(iso, "US", SPAN("texas")), "US-TX");
	assert_string_equal(iso_region(iso, "AD", SPAN("Canillo")), "AD-02");
	assert_string_equal(iso_region(iso, "GB", SPAN("England")), "GB-ENG");
	assert_string_equal(iso_region(iso, "DE", SPAN("Texas")), "");
	assert_string_equal(iso_region(iso, "ZZ", SPAN("Texas")), "");
	assert_string_equal(iso_region(iso, "", SPAN("Texas")), "");
	iso_close(&iso);
}

static void all_names_are_one_json_object_by_code(void **state)
{
	struct iso *iso = opened(ISO_COUNTRIES);
	char *text = iso_json(iso);
	json_t *names = json_loads(text, 0, NULL);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(names, "AT")), "Austria");
	assert_true(json_object_size(names) >= 250);
	json_decref(names);
	free(text);
	iso_close(&iso);
}

static void a_file_that_is_none_of_iso_codes_is_refused_with_its_name(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{\"3166-1\":[]}", "{\"3166-1\":[{}]}",
		"{\"3166-1\":[{\"alpha_2\":\"DE\"}]}",
		"{\"3166-1\":[{\"alpha_2\":\"DE\",\"name\":7}]}",
		"{\"3166-1\":[{\"alpha_2\":\"\",\"name\":\"x\"}]}",
		"{\"3166-1\":[{\"alpha_2\":\"DE\",\"name\":\"x\"},{\"alpha_2\":"
		"\"ten letters\",\"name\":\"x\"}]}" };
	char dir[] = "/tmp/iso_test.XXXXXX", path[64];
	struct iso *iso = NULL;
	struct err err = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/iso_3166-1.json", dir);
	assert_int_equal(iso_open(&iso, dir, ISO_COUNTRIES, &err), -ENOENT);
	assert_non_null(strstr(err.msg, path));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		fputs(texts[i], file);
		fclose(file);
		assert_int_equal(iso_open(&iso, dir, ISO_COUNTRIES, &err), -EINVAL);
		assert_null(iso);
		assert_non_null(strstr(err.msg, path));
	}
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_country_has_its_common_english_name),
		cmocka_unit_test(a_region_is_found_by_its_code_and_by_its_name),
		cmocka_unit_test(all_names_are_one_json_object_by_code),
		cmocka_unit_test(a_file_that_is_none_of_iso_codes_is_refused_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
