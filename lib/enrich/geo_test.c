/* Databases: MaxMind's own test files (tests/data/geoip) and the npm one that is the default. */
#include "lib/enrich/geo.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/enrich/mmdb.h"
#include "lib/enrich/mmdb_sample.h"

#define COUNTRY_DB "tests/data/geoip/GeoIP2-Country-Test.mmdb"
#define CITY_DB    "tests/data/geoip/GeoIP2-City-Test.mmdb"
#define NPM_DB     "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
#define NPM_V4_DB                                                                                  \
	"node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country-ipv4.mmdb"

static struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, span_of(text)), 0);
	return addr;
}

static struct mmdb *opened(const char *path)
{
	struct mmdb *db = NULL;
	struct err err = { 0 };

	if (geo_open(&db, path, &err))
		fail_msg("%s", err.msg);
	return db;
}

static void assert_country(const struct mmdb *db, const char *address, const char *country)
{
	struct addr addr = addr_of(address);
	struct geo geo;

	geo_find(db, &addr, &geo);
	assert_string_equal(geo.country, country);
}

static void the_country_is_found_in_maxminds_layout(void **state)
{
	static const char *const files[] = { COUNTRY_DB, CITY_DB };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct mmdb *db = opened(files[i]);

		assert_country(db, "81.2.69.142", "GB");
		assert_country(db, "::ffff:81.2.69.142", "GB");
		assert_country(db, "216.160.83.56", "US");
		assert_country(db, "89.160.20.112", "SE");
		assert_country(db, "2001:218::1", "JP");
		assert_country(db, "2001:220::80", "KR");
		mmdb_close(&db);
		assert_null(db);
	}
}

static void the_country_is_found_in_the_flat_layout(void **state)
{
	struct mmdb *db = opened(NPM_DB);

	(void)state;
	assert_country(db, "1.1.1.1", "AU");
	assert_country(db, "193.0.6.139", "NL");
	assert_country(db, "::ffff:193.0.6.139", "NL");
	assert_country(db, "2001:67c:2e8:22::c100:68b", "NL");
	mmdb_close(&db);
}

static void an_unknown_address_has_no_country_and_is_no_error(void **state)
{
	static const char *const files[] = { COUNTRY_DB, NPM_DB, NPM_V4_DB };
	static const char *const unknown[] = { "127.0.0.1", "10.1.2.3", "0.0.0.0", "::", "::1",
		"255.255.255.255", "fe80::1" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct mmdb *db = opened(files[i]);

		for (size_t k = 0; k < sizeof unknown / sizeof *unknown; k++)
			assert_country(db, unknown[k], "");
		mmdb_close(&db);
	}
}

static void a_record_without_a_country_has_none(void **state)
{
	struct mmdb *db = opened(CITY_DB);

	(void)state;
	assert_country(db, "214.1.1.1", "");
	assert_country(db, "2a02:d500::1", "");
	mmdb_close(&db);
}

static void an_ipv4_database_knows_no_ipv6(void **state)
{
	struct mmdb *db = opened(NPM_V4_DB);

	(void)state;
	assert_country(db, "1.1.1.1", "AU");
	assert_country(db, "2001:67c:2e8:22::c100:68b", "");
	mmdb_close(&db);
}

static void assert_refused(const char *path, int code)
{
	struct mmdb *db = NULL;
	struct err err = { 0 };

	assert_int_equal(geo_open(&db, path, &err), code);
	assert_null(db);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, path));
}

static void what_is_no_database_is_refused_with_its_name(void **state)
{
	(void)state;
	assert_refused("tests/data/geoip/GeoIP2-City-Test-Invalid-Node-Count.mmdb", -EINVAL);
	assert_refused("tests/data/geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb", -EINVAL);
	assert_refused("tests/data/geoip", -EISDIR);
	assert_refused("tests/data/README.md", -EINVAL);
	assert_refused("/dev/null", -EINVAL);
	assert_refused("tests/data/geoip/missing.mmdb", -ENOENT);
}

/* Read path into memory that is the caller's. */
static char *file_bytes(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	char *bytes;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	*size = (size_t)st.st_size;
	bytes = malloc(*size);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, *size, file), *size);
	fclose(file);
	return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void a_truncated_database_is_refused_wherever_it_is_cut(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64];
	size_t size;
	char *bytes = file_bytes(COUNTRY_DB, &size);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/cut.mmdb", dir);
	for (size_t cut = 0; cut < size; cut += cut + 300 < size ? 97 : 1) {
		struct mmdb *db = NULL;
		struct err err = { 0 };

		write_file(path, bytes, cut);
		if (!geo_open(&db, path, &err)) /* only once its metadata is there */
			assert_true(cut + 300 > size);
		mmdb_close(&db);
	}
	unlink(path);
	rmdir(dir);
	free(bytes);
}

static void damage_gives_an_error_or_an_answer_but_no_crash(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64];
	size_t size, errors = 0;
	char *bytes = file_bytes(COUNTRY_DB, &size);
	struct addr addr[] = { addr_of("81.2.69.142"), addr_of("2001:218::1"),
		addr_of("216.160.83.56"), addr_of("89.160.20.112") };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/damaged.mmdb", dir);
	for (size_t at = 0; at < size; at += 23) {
		struct mmdb *db = NULL;
		struct err err = { 0 };
		char was[8];
		size_t n = size - at < sizeof was ? size - at : sizeof was;

		memcpy(was, bytes + at, n);
		memset(bytes + at, at % 2 ? 0xff : 0x3d, n);
		write_file(path, bytes, size);
		memcpy(bytes + at, was, n);
		if (geo_open(&db, path, &err)) {
			errors++;
			continue;
		}
		for (size_t i = 0; i < sizeof addr / sizeof *addr; i++) {
			struct geo geo;

			geo_find(db, &addr[i], &geo);
			assert_true(strlen(geo.country) % 2 == 0);
		}
		mmdb_close(&db);
	}
	assert_true(errors > 0);
	unlink(path);
	rmdir(dir);
	free(bytes);
}

/* What the source of the test database says of a network: the English names, and the first of the
 * subdivisions. */
struct expected {
	const char *country, *region, *region_name, *city;
	json_int_t city_id;
};

static const char *text_at(json_t *json, const char *a, const char *b)
{
	const char *text = json_string_value(json_object_get(json_object_get(json, a), b));

	return text ? text : "";
}

static struct expected expected_of(json_t *record)
{
	json_t *region = json_array_get(json_object_get(record, "subdivisions"), 0);
	json_t *city = json_object_get(record, "city");
	const char *code = json_string_value(json_object_get(region, "iso_code"));

	return (struct expected){ text_at(record, "country", "iso_code"), code ? code : "",
		text_at(region, "names", "en"), text_at(city, "names", "en"),
		json_integer_value(json_object_get(city, "geoname_id")) };
}

static void assert_found(
	const struct mmdb *db, const struct addr *addr, const struct expected *want)
{
	char region[GEO_REGION_SIZE + 8] = "";
	struct geo geo;

	if (*want->region)
		snprintf(region, sizeof region, "%s-%s", want->country, want->region);
	geo_find(db, addr, &geo);
	assert_string_equal(geo.country, want->country);
	assert_string_equal(geo.region, region);
	assert_string_equal(geo.region_name, want->region_name);
	assert_string_equal(geo.city, want->city);
	assert_int_equal(geo.city_id, want->city_id);
}

/* The first and the last address of a network, and one between; of ::a.b.c.d as IPv4, too. */
static void assert_network(
	const struct mmdb *db, const char *network, const struct expected *want, size_t *as_v4)
{
	static const struct addr v4 = { .bytes = { [10] = 0xff, [11] = 0xff } };
	struct addr_nets nets;
	struct err err;

	assert_int_equal(addr_nets_parse(&nets, network, &err), 0);
	for (int fill = 0; fill < 3; fill++) {
		struct addr addr = nets.net[0].base;

		for (int bit = nets.net[0].bits; bit < 128; bit++)
			if (fill == 2 || (fill == 1 && bit % 2))
				addr.bytes[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
		assert_found(db, &addr, want);
		if (!strncmp(network, "::", 2)) {
			memcpy(addr.bytes, v4.bytes, 12);
			assert_found(db, &addr, want);
			++*as_v4;
		}
	}
}

static void every_network_of_the_city_database_is_where_its_source_says(void **state)
{
	struct mmdb *db = opened(CITY_DB);
	json_t *source = json_load_file("tests/data/geoip/GeoIP2-City-Test.json", 0, NULL);
	json_t *entry, *record;
	const char *network;
	size_t i, networks = 0, cities = 0, as_v4 = 0;

	(void)state;
	json_array_foreach(source, i, entry)
	{
		json_object_foreach(entry, network, record)
		{
			struct expected want = expected_of(record);

			assert_network(db, network, &want, &as_v4);
			networks++;
			cities += *want.city != '\0';
		}
	}
	assert_true(networks > 250);
	assert_true(cities > 10);
	assert_true(as_v4 > 30);
	json_decref(source);
	mmdb_close(&db);
}

static void the_flat_layout_of_cities_has_names_without_ids(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64];
	struct addr addr = addr_of("1.2.3.4");
	struct mmdb *db;
	struct geo geo;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/flat.mmdb", dir);
	sample_write(path, "{\"1.2.3.0/24\":{\"city\":\"Vienna\",\"country_code\":\"AT\","
			   "\"latitude\":\"48.2\",\"postcode\":\"1010\",\"state1\":\"Wien\","
			   "\"state2\":\"\"},\"2001:db8::/32\":{\"country_code\":\"ZZ\"}}");
	db = opened(path);
	geo_find(db, &addr, &geo);
	assert_string_equal(geo.country, "AT");
	assert_string_equal(geo.region, "");
	assert_string_equal(geo.region_name, "Wien");
	assert_string_equal(geo.city, "Vienna");
	assert_int_equal(geo.city_id, 0);
	assert_country(db, "2001:db8::1", "");
	mmdb_close(&db);
	unlink(path);
	rmdir(dir);
}

static void a_name_that_is_too_long_is_cut_between_characters(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64], json[600], name[251] = "";
	struct addr addr = addr_of("1.2.3.4");
	struct mmdb *db;
	struct geo geo;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/long.mmdb", dir);
	for (int i = 0; i < 125; i++)
		memcpy(name + (size_t)2 * (size_t)i, "\xc3\xa9", 2);
	snprintf(json, sizeof json, "{\"1.0.0.0/8\":{\"country_code\":\"FR\",\"city\":\"%s\"}}",
		name);
	sample_write(path, json);
	db = opened(path);
	geo_find(db, &addr, &geo);
	assert_int_equal(strlen(geo.city), 128);
	mmdb_close(&db);
	unlink(path);
	rmdir(dir);
}

/* As when somebody copies a new file over the old one, or cuts it: the pages that are mapped must
 * not be the file's. */
static void a_file_that_is_cut_while_it_is_in_use_does_no_harm(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64];
	size_t size;
	char *bytes = file_bytes(CITY_DB, &size);
	struct mmdb *db;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/city.mmdb", dir);
	write_file(path, bytes, size);
	db = opened(path);
	assert_int_equal(truncate(path, 0), 0);
	assert_country(db, "81.2.69.142", "GB");
	assert_country(db, "2001:218::1", "JP");
	mmdb_close(&db);
	unlink(path);
	rmdir(dir);
	free(bytes);
}

static void a_database_without_countries_is_refused(void **state)
{
	char dir[] = "/tmp/geo_test.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/asn.mmdb", dir);
	sample_write(path, "{\"1.0.0.0/24\":{\"autonomous_system_number\":13335}}");
	assert_refused(path, -EINVAL);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_country_is_found_in_maxminds_layout),
		cmocka_unit_test(the_country_is_found_in_the_flat_layout),
		cmocka_unit_test(an_unknown_address_has_no_country_and_is_no_error),
		cmocka_unit_test(a_record_without_a_country_has_none),
		cmocka_unit_test(an_ipv4_database_knows_no_ipv6),
		cmocka_unit_test(what_is_no_database_is_refused_with_its_name),
		cmocka_unit_test(a_truncated_database_is_refused_wherever_it_is_cut),
		cmocka_unit_test(damage_gives_an_error_or_an_answer_but_no_crash),
		cmocka_unit_test(every_network_of_the_city_database_is_where_its_source_says),
		cmocka_unit_test(the_flat_layout_of_cities_has_names_without_ids),
		cmocka_unit_test(a_name_that_is_too_long_is_cut_between_characters),
		cmocka_unit_test(a_file_that_is_cut_while_it_is_in_use_does_no_harm),
		cmocka_unit_test(a_database_without_countries_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
