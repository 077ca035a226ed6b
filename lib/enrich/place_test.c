/* Time is the test's own: places_follow() is told it. What is logged is caught on stderr. */
#include "lib/enrich/place.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/enrich/mmdb_sample.h"
#include "lib/watch.h"

#define DATA   "tests/data/geoip/"
#define NAMES  "/usr/share/iso-codes/json"
#define CENTRE "3.5.140.2"

static const char flat_json[] = "{\"81.2.69.0/24\":{\"country_code\":\"US\",\"state1\":\"Texas\","
				"\"city\":\"Austin\"}}";
static const char asn_json[] = "{\"3.0.0.0/9\":{\"autonomous_system_number\":16509}}";

struct fixture {
	char dir[32], geo[64], asn[64], list[64], log[64];
	int64_t now;
	struct places *places;
};

static void copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	char buf[4096];
	size_t n;

	assert_non_null(in);
	assert_non_null(out);
	while ((n = fread(buf, 1, sizeof buf, in)))
		assert_int_equal(fwrite(buf, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = { 0 };
	struct place_files files;

	snprintf(f->dir, sizeof f->dir, "/tmp/place_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->geo, sizeof f->geo, "%s/geo.mmdb", f->dir);
	snprintf(f->asn, sizeof f->asn, "%s/asn.mmdb", f->dir);
	snprintf(f->list, sizeof f->list, "%s/list.txt", f->dir);
	snprintf(f->log, sizeof f->log, "%s/log", f->dir);
	copy_file(DATA "GeoIP2-City-Test.mmdb", f->geo);
	sample_write(f->asn, asn_json);
	write_text(f->list, "16509 Amazon\n");
	files = (struct place_files){ f->geo, f->asn, f->list, NAMES };
	if (places_open(&f->places, &files, &err))
		fail_msg("%s", err.msg);
	f->now = clock_mono_us();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	places_close(&f->places);
	unlink(f->geo);
	rmdir(f->geo);
	unlink(f->asn);
	unlink(f->list);
	unlink(f->log);
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct place found(
	const struct fixture *f, const char *address, const struct place_hint *hint)
{
	static const struct place_hint nothing;
	struct addr addr;
	struct place place;

	if (address)
		assert_int_equal(addr_parse(&addr, span_of(address)), 0);
	places_find(f->places, address ? &addr : NULL, hint ? hint : &nothing, &place);
	return place;
}

static void assert_geo(const struct geo *geo, const char *country, const char *region,
	const char *region_name, const char *city, uint32_t city_id)
{
	assert_string_equal(geo->country, country);
	assert_string_equal(geo->region, region);
	assert_string_equal(geo->region_name, region_name);
	assert_string_equal(geo->city, city);
	assert_int_equal(geo->city_id, city_id);
}

static struct place_hint hint_of(const char *country, const char *region, const char *city)
{
	return (struct place_hint){ span_of(country), span_of(region), span_of(city) };
}

/* Let as many looks pass as a watch needs to tell of a change, and some more. What was logged
 * meanwhile stands in f->log; returns how many lines. */
static int follow(struct fixture *f)
{
	FILE *log = fopen(f->log, "we+");
	char line[1000];
	int lines = 0, was = dup(STDERR_FILENO);

	assert_non_null(log);
	assert_return_code(dup2(fileno(log), STDERR_FILENO), errno);
	for (int i = 0; i < 5; i++)
		places_follow(f->places, f->now += WATCH_EVERY_US);
	fflush(stderr);
	assert_return_code(dup2(was, STDERR_FILENO), errno);
	close(was);
	rewind(log);
	while (fgets(line, sizeof line, log))
		lines++;
	fclose(log);
	return lines;
}

static bool log_says(const struct fixture *f, const char *text)
{
	char all[4000] = "";
	FILE *log = fopen(f->log, "re");

	assert_non_null(log);
	all[fread(all, 1, sizeof all - 1, log)] = '\0';
	fclose(log);
	return strstr(all, text) != NULL;
}

static void a_place_is_what_the_database_says(void **state)
{
	struct fixture *f = *state;
	struct place place = found(f, "81.2.69.160", NULL);

	assert_geo(&place.geo, "GB", "GB-ENG", "England", "London", 2643743);
	assert_false(place.is_data_centre);
	place = found(f, "127.0.0.1", NULL);
	assert_geo(&place.geo, "", "", "", "", 0);
	place = found(f, NULL, NULL);
	assert_geo(&place.geo, "", "", "", "", 0);
	assert_true(found(f, CENTRE, NULL).is_data_centre);
}

static void the_word_of_a_cdn_comes_before_the_databases(void **state)
{
	struct fixture *f = *state;
	struct place_hint hint = hint_of("US", "TX", "Austin");
	struct place place = found(f, "81.2.69.160", &hint);

	assert_geo(&place.geo, "US", "US-TX", "Texas", "Austin", 0);
	place = found(f, NULL, &hint);
	assert_geo(&place.geo, "US", "US-TX", "Texas", "Austin", 0);
	hint = hint_of("FR", "", "");
	place = found(f, "81.2.69.160", &hint);
	assert_geo(&place.geo, "FR", "", "", "", 0);
	hint = hint_of("GB", "SCT", "");
	place = found(f, "81.2.69.160", &hint);
	assert_geo(&place.geo, "GB", "GB-SCT", "Scotland", "", 0);
	hint = hint_of("GB", "GB-ENG", "Leeds");
	place = found(f, "81.2.69.160", &hint);
	assert_geo(&place.geo, "GB", "GB-ENG", "England", "Leeds", 0);
}

static void where_a_cdn_and_the_database_agree_the_database_adds_what_it_knows(void **state)
{
	struct fixture *f = *state;
	struct place_hint hints[] = { hint_of("GB", "", ""), hint_of("GB", "eng", ""),
		hint_of("GB", "GB-ENG", "London"), hint_of("GB", "", "London"),
		hint_of("GB", "no region", ""), hint_of("", "TX", "Austin") };

	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
		struct place place = found(f, "81.2.69.160", &hints[i]);

		assert_geo(&place.geo, "GB", "GB-ENG", "England", "London", 2643743);
	}
}

static void a_new_database_is_picked_up_and_gives_a_region_by_name_its_code(void **state)
{
	struct fixture *f = *state;
	char fresh[72];
	struct place place;

	snprintf(fresh, sizeof fresh, "%s.new", f->geo);
	sample_write(fresh, flat_json);
	assert_int_equal(rename(fresh, f->geo), 0);
	assert_int_equal(follow(f), 1);
	assert_true(log_says(f, "a new file is in use"));
	place = found(f, "81.2.69.160", NULL);
	assert_geo(&place.geo, "US", "US-TX", "Texas", "Austin", 0);
	assert_int_equal(follow(f), 0);
}

static void a_bad_file_is_told_of_once_and_the_last_good_one_stays(void **state)
{
	static const char *const bad[] = { "GeoIP2-City-Test-Broken-Double-Format.mmdb",
		"GeoIP2-City-Test-Invalid-Node-Count.mmdb", "truncated", "empty", "directory",
		"missing" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct place place;
		char path[128];

		snprintf(path, sizeof path, DATA "%s", bad[i]);
		if (!strcmp(bad[i], "truncated")) /* in place, while it is in use */
			assert_int_equal(truncate(f->geo, 12000), 0);
		else if (!strcmp(bad[i], "empty"))
			assert_int_equal(truncate(f->geo, 0), 0);
		else if (!strcmp(bad[i], "directory"))
			assert_int_equal(unlink(f->geo) || mkdir(f->geo, 0700), 0);
		else if (!strcmp(bad[i], "missing"))
			assert_int_equal(rmdir(f->geo), 0);
		else
			copy_file(path, f->geo);
		assert_int_equal(follow(f), 1);
		assert_true(log_says(f, "\"level\":\"error\""));
		assert_true(log_says(f, f->geo));
		assert_true(log_says(f, "the last good one stays in use"));
		place = found(f, "81.2.69.160", NULL);
		assert_geo(&place.geo, "GB", "GB-ENG", "England", "London", 2643743);
		if (!strcmp(bad[i], "GeoIP2-City-Test-Invalid-Node-Count.mmdb"))
			copy_file(DATA "GeoIP2-City-Test.mmdb", f->geo);
	}
	copy_file(DATA "GeoIP2-Country-Test.mmdb", f->geo);
	assert_int_equal(follow(f), 1);
	assert_string_equal(found(f, "81.2.69.160", NULL).geo.country, "GB");
	assert_string_equal(found(f, "81.2.69.160", NULL).geo.city, "");
}

static void a_new_list_of_data_centres_is_picked_up_and_a_bad_one_is_not(void **state)
{
	struct fixture *f = *state;

	write_text(f->list, "7 nobody\n");
	assert_int_equal(follow(f), 1);
	assert_false(found(f, CENTRE, NULL).is_data_centre);
	write_text(f->list, "16509 Amazon and more\n");
	assert_int_equal(follow(f), 1);
	assert_true(found(f, CENTRE, NULL).is_data_centre);
	write_text(f->list, "nonsense\n");
	assert_int_equal(follow(f), 1);
	assert_true(log_says(f, "line 1"));
	assert_true(found(f, CENTRE, NULL).is_data_centre);
	write_text(f->asn, "");
	assert_int_equal(follow(f), 1);
	assert_true(found(f, CENTRE, NULL).is_data_centre);
}

static void without_an_asn_database_nothing_is_a_data_centre(void **state)
{
	struct fixture *f = *state;
	const struct place_files none = { f->geo, "", "", NAMES },
				 no_list = { f->geo, f->asn, "", NAMES };
	struct places *refused = NULL;
	struct err err;

	places_close(&f->places);
	assert_int_equal(places_open(&f->places, &none, &err), 0);
	assert_false(found(f, CENTRE, NULL).is_data_centre);
	assert_int_equal(places_open(&refused, &no_list, &err), -EINVAL);
	assert_null(refused);
	assert_non_null(strstr(err.msg, "FOOTFALL_DATA_CENTRES"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_place_is_what_the_database_says),
		TEST(the_word_of_a_cdn_comes_before_the_databases),
		TEST(where_a_cdn_and_the_database_agree_the_database_adds_what_it_knows),
		TEST(a_new_database_is_picked_up_and_gives_a_region_by_name_its_code),
		TEST(a_bad_file_is_told_of_once_and_the_last_good_one_stays),
		TEST(a_new_list_of_data_centres_is_picked_up_and_a_bad_one_is_not),
		TEST(without_an_asn_database_nothing_is_a_data_centre),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
