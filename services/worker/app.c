#include "services/worker/app.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"

#define SLOTS   1024 /* direct-mapped: sites by their number, dates by theirs */
#define LIFE_US (60 * US_PER_SECOND)

struct site_slot {
	uint32_t site_id; /* 0: free */
	int64_t fetched_mono_us;
	char domain[254];
};

struct day_slot {
	int64_t date;
	int64_t fetched_mono_us; /* 0: free */
	bool destroyed;
	struct event_day_keys keys;
};

struct app {
	struct pg_pool *pool;
	struct site_slot *sites;
	struct day_slot *days;
};

int app_open(struct app **out, const char *conninfo, struct err *err)
{
	struct app *app = calloc(1, sizeof *app);
	int rc;

	if (!app)
		return err_set(err, -ENOMEM, "app");
	app->sites = calloc(SLOTS, sizeof *app->sites);
	app->days = calloc(SLOTS, sizeof *app->days);
	rc = app->sites && app->days ? 0 : err_set(err, -ENOMEM, "app");
	if (!rc)
		rc = pg_pool_open(&app->pool, conninfo, "footfall worker", 1, err);
	if (rc)
		app_close(&app);
	else
		*out = app;
	return rc;
}

void app_close(struct app **app_p)
{
	struct app *app = *app_p;

	if (!app)
		return;
	pg_pool_close(&app->pool);
	if (app->days)
		sodium_memzero(app->days, SLOTS * sizeof *app->days);
	free(app->days);
	free(app->sites);
	free(app);
	*app_p = NULL;
}

int app_domain(struct app *app, uint32_t site_id, const char **domain, struct err *err)
{
	struct site_slot *slot = &app->sites[site_id % SLOTS];
	int64_t now = clock_mono_us();
	char number[16];
	const char *params[] = { number };
	PGresult *row;
	int rc;

	*domain = slot->domain;
	if (slot->site_id == site_id && now - slot->fetched_mono_us < LIFE_US)
		return 0;
	snprintf(number, sizeof number, "%u", site_id);
	rc = pg_pool_run(app->pool, &row, "select domain from site where id = $1", 1, params, err);
	if (rc) /* what was known a while ago will do */
		return slot->site_id == site_id ? 0 : rc;
	snprintf(slot->domain, sizeof slot->domain, "%s",
		PQntuples(row) ? PQgetvalue(row, 0, 0) : "");
	slot->site_id = site_id;
	slot->fetched_mono_us = now;
	PQclear(row);
	return 0;
}

int app_day_keys(struct app *app, int64_t date, const struct event_day_keys **keys, struct err *err)
{
	struct day_slot *slot = &app->days[(uint64_t)date % SLOTS];
	int64_t now = clock_mono_us();
	unsigned char key[32];
	char number[24];
	const char *params[] = { number };
	PGresult *row;
	int rc;

	*keys = slot->destroyed ? NULL : &slot->keys;
	if (slot->date == date && slot->fetched_mono_us && now - slot->fetched_mono_us < LIFE_US)
		return 0;
	snprintf(number, sizeof number, "%lld", (long long)date);
	rc = pg_pool_run(app->pool, &row,
		"select encode(key, 'hex') from day_key where date = date '1970-01-01' + "
		"$1::integer",
		1, params, err);
	if (rc)
		return slot->date == date && slot->fetched_mono_us ? 0 : rc;
	slot->date = date;
	slot->fetched_mono_us = now;
	slot->destroyed = !PQntuples(row) || sodium_hex2bin(key, sizeof key, PQgetvalue(row, 0, 0),
						     64, NULL, NULL, NULL);
	sodium_memzero(&slot->keys, sizeof slot->keys);
	if (!slot->destroyed)
		event_day_keys_derive(&slot->keys, key);
	sodium_memzero(key, sizeof key);
	PQclear(row);
	*keys = slot->destroyed ? NULL : &slot->keys;
	return 0;
}

int app_ping(struct app *app, struct err *err)
{
	return pg_pool_run(app->pool, NULL, "select 1", 0, NULL, err);
}
