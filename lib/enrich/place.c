#include "lib/enrich/place.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/enrich/mmdb.h"
#include "lib/enrich/networks.h"
#include "lib/iso.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/utf8.h"
#include "lib/watch.h"

struct places {
	struct place_files files;
	struct iso *regions;
	struct mmdb *geo;
	struct networks *networks; /* NULL: none */
	struct watch geo_watch, asn_watch, list_watch;
};

struct place_files place_files_of(const struct settings *settings)
{
	return (struct place_files){ .geoip_db = settings->geoip_db,
		.asn_db = settings->asn_db,
		.data_centres = settings->data_centres,
		.iso_codes = settings->iso_codes };
}

int places_open(struct places **out, const struct place_files *files, struct err *err)
{
	struct places *p = calloc(1, sizeof *p);
	int64_t now = clock_mono_us();
	int rc;

	if (!p)
		return err_set(err, -ENOMEM, "places");
	p->files = *files;
	watch_init(&p->geo_watch, files->geoip_db, now);
	watch_init(&p->asn_watch, files->asn_db, now);
	watch_init(&p->list_watch, files->data_centres, now);
	rc = iso_open(&p->regions, files->iso_codes, ISO_REGIONS, err);
	if (!rc)
		rc = geo_open(&p->geo, files->geoip_db, err);
	if (!rc && *files->asn_db && !*files->data_centres)
		rc = err_set(err, -EINVAL,
			"an ASN database is given, but no list of data centres: "
			"FOOTFALL_DATA_CENTRES");
	if (!rc && *files->asn_db)
		rc = networks_open(&p->networks, files->asn_db, files->data_centres, err);
	if (rc)
		places_close(&p);
	else
		*out = p;
	return rc;
}

void places_close(struct places **places_p)
{
	struct places *p = *places_p;

	*places_p = NULL;
	if (!p)
		return;
	networks_close(&p->networks);
	mmdb_close(&p->geo);
	iso_close(&p->regions);
	free(p);
}

static void say_reload(int rc, const char *path, const struct err *err)
{
	if (rc)
		log_error("place: %s; the last good one stays in use", err->msg);
	else
		log_info("place: a new file is in use path=%s", path);
}

static void follow_geo(struct places *p)
{
	struct mmdb *fresh = NULL;
	struct err err = { 0 };
	int rc = geo_open(&fresh, p->files.geoip_db, &err);

	say_reload(rc, p->files.geoip_db, &err);
	if (rc)
		return;
	mmdb_close(&p->geo);
	p->geo = fresh;
}

static void follow_networks(struct places *p, const char *changed)
{
	struct networks *fresh = NULL;
	struct err err = { 0 };
	int rc = networks_open(&fresh, p->files.asn_db, p->files.data_centres, &err);

	say_reload(rc, changed, &err);
	if (rc)
		return;
	networks_close(&p->networks);
	p->networks = fresh;
}

void places_follow(struct places *p, int64_t now_mono_us)
{
	bool asn, list;

	if (watch_has_changed(&p->geo_watch, now_mono_us))
		follow_geo(p);
	if (!p->networks)
		return;
	asn = watch_has_changed(&p->asn_watch, now_mono_us);
	list = watch_has_changed(&p->list_watch, now_mono_us);
	if (asn || list)
		follow_networks(p, asn ? p->files.asn_db : p->files.data_centres);
}

/* "TX" or "US-TX" as ISO 3166-2 has it; false for what is neither. */
static bool region_code(char code[GEO_REGION_SIZE], const char *country, struct span said)
{
	if (said.len > 3 && said.ptr[2] == '-' && !strncasecmp(said.ptr, country, 2))
		said = span_from(said, 3);
	if (!said.len || said.len > 3)
		return false;
	for (size_t i = 0; i < said.len; i++)
		if (!isalnum((unsigned char)said.ptr[i]))
			return false;
	snprintf(code, GEO_REGION_SIZE, "%.2s-%.*s", country, (int)said.len, said.ptr);
	for (char *p = code; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return true;
}

/* What is told of a larger place is kept only as long as the smaller ones may lie in it. */
static void prefer_hint(struct geo *geo, const struct place_hint *hint)
{
	char region[GEO_REGION_SIZE];

	if (hint->country.len != 2)
		return;
	if (!span_equals(hint->country, span_of(geo->country))) {
		memset(geo, 0, sizeof *geo);
		memcpy(geo->country, hint->country.ptr, 2);
	}
	if (region_code(region, geo->country, hint->region) && strcmp(region, geo->region) != 0) {
		memset(geo->region_name, 0, sizeof geo->region_name);
		memset(geo->city, 0, sizeof geo->city);
		geo->city_id = 0;
		memcpy(geo->region, region, sizeof region);
	}
	if (hint->city.len && !span_equals(hint->city, span_of(geo->city))) {
		struct span city = utf8_clean(geo->city, sizeof geo->city - 1, hint->city);

		geo->city[city.len] = '\0';
		geo->city_id = 0;
	}
}

/* A region has a code and a name: whichever is missing is asked of the standard. */
static void complete_region(const struct iso *regions, struct geo *geo)
{
	const char *found;

	if (geo->region[0] && !geo->region_name[0]) {
		found = iso_name(regions, geo->region);
		snprintf(geo->region_name, sizeof geo->region_name, "%s", found);
	} else if (geo->country[0] && geo->region_name[0] && !geo->region[0]) {
		found = iso_region(regions, geo->country, span_of(geo->region_name));
		snprintf(geo->region, sizeof geo->region, "%s", found);
	}
}

void places_find(const struct places *p, const struct addr *client, const struct place_hint *hint,
	struct place *out)
{
	memset(out, 0, sizeof *out);
	if (client) {
		geo_find(p->geo, client, &out->geo);
		out->is_data_centre = p->networks && networks_is_data_centre(p->networks, client);
	}
	prefer_hint(&out->geo, hint);
	complete_region(p->regions, &out->geo);
}
