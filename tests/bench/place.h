/* A section of bench-enrich: how fast places and networks are found, how long it takes to read and
 * check a database whole, and what that leaves in memory. Include it behind show() and must(). */
#ifndef FOOTFALL_BENCH_PLACE_H
#define FOOTFALL_BENCH_PLACE_H

#include <stdlib.h>

#include "lib/clock.h"
#include "services/worker/place.h"

#define PLACE_LOOKUPS 1000000
#define PLACE_COUNTRY_DB                                                                           \
	"node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
#define PLACE_CITY_DB "tests/data/geoip/GeoIP2-City-Test.mmdb"

/* Any IPv4 address, or any of 2000::/3. */
static void place_random(struct addr *addr, bool v6)
{
	static const unsigned char v4[12] = { [10] = 0xff, [11] = 0xff };

	for (size_t i = 0; i < sizeof addr->bytes; i++)
		addr->bytes[i] = (unsigned char)random();
	if (v6)
		addr->bytes[0] = (unsigned char)(0x20 | (addr->bytes[0] & 0x1f));
	else
		memcpy(addr->bytes, v4, sizeof v4);
}

static void place_lookups(const char *what, const struct places *places, bool v6, const char *fixed)
{
	static struct addr addrs[PLACE_LOOKUPS];
	static const struct place_hint nothing;
	size_t known = 0;
	int64_t start;

	srandom(1);
	for (size_t i = 0; i < PLACE_LOOKUPS; i++) {
		place_random(&addrs[i], v6);
		if (fixed && addr_parse(&addrs[i], span_of(fixed)))
			abort();
	}
	start = clock_mono_us();
	for (size_t i = 0; i < PLACE_LOOKUPS; i++) {
		struct place place;

		places_find(places, &addrs[i], &nothing, &place);
		known += place.geo.country[0] != '\0';
	}
	show(what, PLACE_LOOKUPS * 1e6 / (double)(clock_mono_us() - start), "/s", 0, false);
	if (!known)
		abort(); /* it found nothing, so it measured nothing */
}

static void bench_place(void)
{
	struct place_files files = { PLACE_COUNTRY_DB, "", "", "/usr/share/iso-codes/json" };
	struct places *places;
	struct err err = { 0 };
	int64_t start = clock_mono_us();

	must(places_open(&places, &files, &err), &err);
	show("countries of the registries: read and checked",
		(double)(clock_mono_us() - start) / 1000, "ms", 0, true);
	place_lookups("places by it, random IPv4", places, false, NULL);
	place_lookups("places by it, random IPv6", places, true, NULL);
	places_close(&places);
	files.geoip_db = PLACE_CITY_DB;
	must(places_open(&places, &files, &err), &err);
	place_lookups("places by MaxMind's layout, with a city", places, false, "81.2.69.160");
	places_close(&places);
}

#endif
