#include "lib/enrich/geo.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/enrich/mmdb.h"
#include "lib/utf8.h"

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Two letters; "XX" and "ZZ" are how some say that they do not know. */
static void put_country(char country[GEO_COUNTRY_SIZE], struct span code)
{
	if (code.len == 2 && is_upper(code.ptr[0]) && is_upper(code.ptr[1]) &&
		!span_equals(code, SPAN("XX")) && !span_equals(code, SPAN("ZZ")))
		memcpy(country, code.ptr, 2);
}

/* The part of ISO 3166-2 behind the country: one to three letters or digits. */
static void put_region(struct geo *geo, struct span code)
{
	if (!geo->country[0] || !code.len || code.len > 3)
		return;
	for (size_t i = 0; i < code.len; i++)
		if (!is_upper(code.ptr[i]) && !isdigit((unsigned char)code.ptr[i]))
			return;
	snprintf(geo->region, sizeof geo->region, "%s-%.*s", geo->country, (int)code.len, code.ptr);
}

static void put_name(char name[GEO_NAME_SIZE], struct span text)
{
	name[utf8_clean(name, GEO_NAME_SIZE - 1, span_trim(text)).len] = '\0';
}

#define PATH(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void read_maxmind(MMDB_entry_s *record, struct geo *geo, int *status)
{
	put_country(geo->country, mmdb_text(record, PATH("country", "iso_code"), status));
	put_region(geo, mmdb_text(record, PATH("subdivisions", "0", "iso_code"), status));
	put_name(geo->region_name,
		mmdb_text(record, PATH("subdivisions", "0", "names", "en"), status));
	geo->city_id = mmdb_number(record, PATH("city", "geoname_id"), status);
	put_name(geo->city, mmdb_text(record, PATH("city", "names", "en"), status));
}

static void read_flat(MMDB_entry_s *record, struct geo *geo, int *status)
{
	put_country(geo->country, mmdb_text(record, PATH("country_code"), status));
	put_name(geo->region_name, mmdb_text(record, PATH("state1"), status));
	put_name(geo->city, mmdb_text(record, PATH("city"), status));
}

static int read_record(MMDB_entry_s *record, void *out)
{
	struct geo *geo = out;
	int status = MMDB_SUCCESS;

	memset(geo, 0, sizeof *geo);
	read_maxmind(record, geo, &status);
	if (!geo->country[0] && !geo->city[0] && status == MMDB_SUCCESS)
		read_flat(record, geo, &status);
	if (status != MMDB_SUCCESS)
		memset(geo, 0, sizeof *geo);
	return status;
}

/* While a database is checked: does it know any country? */
struct checked {
	struct geo geo;
	bool has_countries;
};

static int check_record(MMDB_entry_s *record, void *out)
{
	struct checked *checked = out;
	int status = read_record(record, &checked->geo);

	checked->has_countries |= checked->geo.country[0] != '\0';
	return status;
}

int geo_open(struct mmdb **out, const char *path, struct err *err)
{
	struct checked checked = { .has_countries = false };
	struct mmdb *db;
	int rc = mmdb_open(&db, "GeoIP database", path, check_record, &checked, err);

	if (rc)
		return rc;
	if (!checked.has_countries) {
		mmdb_close(&db);
		return err_set(err, -EINVAL, "GeoIP database %s: it knows no country", path);
	}
	*out = db;
	return 0;
}

void geo_find(const struct mmdb *db, const struct addr *addr, struct geo *out)
{
	if (!mmdb_find(db, addr, read_record, out))
		memset(out, 0, sizeof *out);
}
