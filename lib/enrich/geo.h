/* Geo: where an address is, by any database of MaxMind's format that knows countries, or cities as
 * well. MaxMind's own layout (country.iso_code, subdivisions, city) and the flat one of
 * @ip-location-db (country_code, state1, city) are told apart by record. */
#ifndef FOOTFALL_GEO_H
#define FOOTFALL_GEO_H

#include <stdint.h>

#include "lib/addr.h"
#include "lib/err.h"

#define GEO_COUNTRY_SIZE 3
#define GEO_REGION_SIZE  7 /* "GB-ENG" */
/* The longest names of GeoNames have 100-odd bytes; a CDN may say as many. */
#define GEO_NAME_SIZE 129

/* Texts are UTF-8; empty: not known. */
struct geo {
	char country[GEO_COUNTRY_SIZE]; /* ISO 3166-1 alpha-2 */
	/* ISO 3166-2, of the largest of the subdivisions that hold the address: England, not West
	 * Berkshire. The flat layout has a name only. */
	char region[GEO_REGION_SIZE];
	char region_name[GEO_NAME_SIZE]; /* in English */
	uint32_t city_id;                /* of GeoNames, 0: not known */
	char city[GEO_NAME_SIZE];        /* in English */
};

struct mmdb;

/* Open the database at path and read it whole once. On success *out is yours, end it with
 * mmdb_close(). Errors as mmdb_open()'s; -EINVAL also when it knows no country at all. */
int geo_open(struct mmdb **out, const char *path, struct err *err) MUST_CHECK;

/* Find addr; an address written as ::ffff:a.b.c.d is looked up as IPv4. *out is empty when the
 * database does not know it. */
void geo_find(const struct mmdb *db, const struct addr *addr, struct geo *out);

#endif
