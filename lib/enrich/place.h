/* Place: where an event's client is and whether that is a data centre, from what a CDN in front of
 * us said, a GeoIP database, and an ASN database where one is given. Files that change are read
 * again; a new one that is bad is told of once in the log, and the last good one stays. One thread
 * at a time.
 */
#ifndef FOOTFALL_PLACE_H
#define FOOTFALL_PLACE_H

#include <stdbool.h>

#include "lib/addr.h"
#include "lib/enrich/geo.h"
#include "lib/err.h"
#include "lib/span.h"

/* Paths, borrowed for the life of the places. */
struct place_files {
	const char *geoip_db;
	const char *asn_db;       /* "": none, and nothing is a data centre */
	const char *data_centres; /* with an asn_db */
	const char *iso_codes;    /* the folder of iso-codes' JSON files */
};

/* They as the settings name them; borrowed from these. */
struct settings;
struct place_files place_files_of(const struct settings *settings);

/* What a CDN said of a request; empty: nothing. A region is its part of ISO 3166-2 behind the
 * country
 * ("TX"), or all of it. */
struct place_hint {
	struct span country, region, city;
};

struct place {
	struct geo geo;
	bool is_data_centre;
};

struct places; /* opaque */

/* On success *out is yours, end it with places_close(). Errors as geo_open()'s, networks_open()'s
 * and iso_open()'s; -EINVAL also for an asn_db without data_centres. */
int places_open(struct places **out, const struct place_files *files, struct err *err) MUST_CHECK;
void places_close(struct places **places_p); /* takes it, leaves NULL; NULL is fine */

/* Read again what has changed. Cheap: to be called between pieces of work, as often as one likes.
 */
void places_follow(struct places *places, int64_t now_mono_us);

/* Derive *out. client: NULL when it is not known. The CDN's word comes before the database's; where
 * they agree, the database adds what it knows more. */
void places_find(const struct places *places, const struct addr *client,
	const struct place_hint *hint, struct place *out);

#endif
