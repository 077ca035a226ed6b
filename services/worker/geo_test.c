/* Databases: MaxMind's own test files (tests/data/geoip) and the npm one that is the default. */
#include "services/worker/geo.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"

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

static struct geo_db *opened(const char *path)
{
	struct geo_db *db = NULL;
	struct err err = { 0 };

	if (geo_open(&db, path, &err))
		fail_msg("%s", err.msg);
	return db;
}

static void assert_country(const struct geo_db *db, const char *address, const char *country)
{
	struct addr addr = addr_of(address);
	struct err err = { 0 };
	struct geo geo;

	assert_int_equal(geo_find(db, &addr, &geo, &err), 0);
	assert_string_equal(geo.country, country);
}

static void the_country_is_found_in_maxminds_layout(void **state)
{
	static const char *const files[] = { COUNTRY_DB, CITY_DB };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct geo_db *db = opened(files[i]);

		assert_country(db, "81.2.69.142", "GB");
		assert_country(db, "::ffff:81.2.69.142", "GB");
		assert_country(db, "216.160.83.56", "US");
		assert_country(db, "89.160.20.112", "SE");
		assert_country(db, "2001:218::1", "JP");
		assert_country(db, "2001:220::80", "KR");
		geo_close(&db);
		assert_null(db);
	}
}

static void the_country_is_found_in_the_flat_layout(void **state)
{
	struct geo_db *db = opened(NPM_DB);

	(void)state;
	assert_country(db, "1.1.1.1", "AU");
	assert_country(db, "193.0.6.139", "NL");
	assert_country(db, "::ffff:193.0.6.139", "NL");
	assert_country(db, "2001:67c:2e8:22::c100:68b", "NL");
	geo_close(&db);
}

static void an_unknown_address_has_no_country_and_is_no_error(void **state)
{
	static const char *const files[] = { COUNTRY_DB, NPM_DB, NPM_V4_DB };
	static const char *const unknown[] = { "127.0.0.1", "10.1.2.3", "0.0.0.0", "::", "::1",
		"255.255.255.255", "fe80::1" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct geo_db *db = opened(files[i]);

		for (size_t k = 0; k < sizeof unknown / sizeof *unknown; k++)
			assert_country(db, unknown[k], "");
		geo_close(&db);
	}
}

static void a_record_without_a_country_has_none(void **state)
{
	struct geo_db *db = opened(CITY_DB);

	(void)state;
	assert_country(db, "214.1.1.1", "");
	assert_country(db, "2a02:d500::1", "");
	geo_close(&db);
}

static void an_ipv4_database_knows_no_ipv6(void **state)
{
	struct geo_db *db = opened(NPM_V4_DB);

	(void)state;
	assert_country(db, "1.1.1.1", "AU");
	assert_country(db, "2001:67c:2e8:22::c100:68b", "");
	geo_close(&db);
}

static void assert_refused(const char *path, int code)
{
	struct geo_db *db = NULL;
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
	assert_refused("tests/data/geoip", -EINVAL);
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
		struct geo_db *db = NULL;
		struct err err = { 0 };

		write_file(path, bytes, cut);
		if (!geo_open(&db, path, &err)) /* only once its metadata is there */
			assert_true(cut + 300 > size);
		geo_close(&db);
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
		struct geo_db *db = NULL;
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

			if (geo_find(db, &addr[i], &geo, &err)) {
				assert_int_equal(err.code, -EBADMSG);
				assert_string_equal(geo.country, "");
				errors++;
			}
		}
		geo_close(&db);
	}
	assert_true(errors > 0);
	unlink(path);
	rmdir(dir);
	free(bytes);
}

/* Its doubles are broken; the country lies before them or not, depending on the record. */
static void a_database_with_broken_doubles_still_says_which_record_is_bad(void **state)
{
	struct geo_db *db = opened("tests/data/geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb");
	struct addr addr = addr_of("81.2.69.142");
	struct err err = { 0 };
	struct geo geo;
	int rc = geo_find(db, &addr, &geo, &err);

	(void)state;
	assert_true(rc == -EBADMSG ? !geo.country[0] : !strcmp(geo.country, "GB"));
	geo_close(&db);
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
		cmocka_unit_test(a_database_with_broken_doubles_still_says_which_record_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
