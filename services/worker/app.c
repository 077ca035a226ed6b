#include "services/worker/app.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/schema.h"

#define SLOTS   1024 /* direct-mapped: sites by their number, dates by theirs */
#define LIFE_US (60 * US_PER_SECOND)
/* A key that was destroyed may have been made anew, for an older date. */
#define DESTROYED_LIFE_US US_PER_SECOND
#define ASK_MS            2000 /* a transaction waits meanwhile, and may be taken for a stopped one */
/* A database that is away is asked again after a second, and after four times as long as it took to
 * learn that: where nobody answers at all that is seconds, in which records wait whose sites are
 * known. */
#define RETRY_LEAST_US US_PER_SECOND
#define RETRY_TIMES    4

struct site_slot {
	uint32_t site_id; /* 0: free */
	int64_t fetched_mono_us;
	struct app_site site;
};

struct day_slot {
	int64_t date;
	int64_t fetched_mono_us; /* 0: free */
	int64_t dies_us;         /* 0: the keys were destroyed */
	struct event_day_keys keys;
};

struct app {
	char *conninfo;
	PGconn *conn; /* it also hears that something changed */
	int64_t retry_mono_us, sweep_mono_us;
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
	app->conninfo = strdup(conninfo);
	rc = app->sites && app->days && app->conninfo ? 0 : err_set(err, -ENOMEM, "app");
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
	PQfinish(app->conn);
	free(app->conninfo);
	if (app->days)
		sodium_memzero(app->days, SLOTS * sizeof *app->days);
	free(app->days);
	for (size_t i = 0; app->sites && i < SLOTS; i++)
		free(app->sites[i].site.hosts);
	free(app->sites);
	free(app);
	*app_p = NULL;
}

/* Ask again for every site; what is known serves on while there is nobody to ask. */
static void app_forget(struct app *app)
{
	for (size_t i = 0; i < SLOTS; i++)
		app->sites[i].fetched_mono_us = INT64_MIN / 2;
}

/* The connection, made when there is none. */
static int connection_need(struct app *app, struct err *err)
{
	int rc;

	if (app->conn && PQstatus(app->conn) == CONNECTION_OK)
		return 0;
	PQfinish(app->conn);
	app->conn = NULL;
	rc = pg_open(&app->conn, app->conninfo, "footfall worker", schema_app, err);
	if (!rc)
		rc = pg_run_simple(app->conn, "listen footfall_snapshot", err);
	if (!rc)
		app_forget(app); /* what changed while nobody listened */
	return rc;
}

/* Ask, but for a while after that was in vain, so that not every event waits for it. */
static int run(
	struct app *app, PGresult **rows, const char *sql, const char *param, struct err *err)
{
	const int64_t began = clock_mono_us();
	int64_t wait_us;
	int rc;

	if (began < app->retry_mono_us)
		return err_set(err, -EAGAIN, "the app database was away a moment ago");
	rc = connection_need(app, err);
	if (!rc)
		rc = pg_run_within(app->conn, rows, sql, 1, &param, ASK_MS, err);
	if (!rc)
		return 0;
	wait_us = RETRY_TIMES * (clock_mono_us() - began);
	if (rc == -ECONNRESET)
		app->retry_mono_us =
			clock_mono_us() + (wait_us > RETRY_LEAST_US ? wait_us : RETRY_LEAST_US);
	/* No event is to blame, nor is the connection to the metrics database. */
	err->code = -EAGAIN;
	return err->code;
}

/* Keys are due by our own clock, too: the database may be away. */
static void day_expire(struct day_slot *slot)
{
	if (!slot->dies_us || clock_now_us() < slot->dies_us)
		return;
	sodium_memzero(&slot->keys, sizeof slot->keys);
	slot->dies_us = 0;
}

static void days_sweep(struct app *app)
{
	int64_t now = clock_mono_us();

	if (now < app->sweep_mono_us)
		return;
	app->sweep_mono_us = now + LIFE_US;
	for (size_t i = 0; i < SLOTS; i++)
		day_expire(&app->days[i]);
}

void app_follow(struct app *app)
{
	PGnotify *notice;
	bool changed = false;

	days_sweep(app);
	if (!app->conn || !PQconsumeInput(app->conn))
		return;
	for (; (notice = PQnotifies(app->conn)); changed = true)
		PQfreemem(notice);
	if (changed)
		app_forget(app);
}

/* Which bit is a country's; -1: that is none. */
static int country_bit(struct span country)
{
	if (country.len != 2 || country.ptr[0] < 'A' || country.ptr[0] > 'Z' ||
		country.ptr[1] < 'A' || country.ptr[1] > 'Z')
		return -1;
	return (country.ptr[0] - 'A') * 26 + country.ptr[1] - 'A';
}

bool app_countries_hold(const struct app_countries *countries, struct span country)
{
	int bit = country_bit(country);

	return bit >= 0 && countries->bits[bit / 8] >> bit % 8 & 1;
}

/* "DE,FR" */
static void countries_read(struct app_countries *countries, struct span list)
{
	memset(countries, 0, sizeof *countries);
	for (; list.len; list = span_from(list, span_find(list, ',') + 1)) {
		int bit = country_bit(span_first(list, span_find(list, ',')));

		if (bit >= 0)
			countries->bits[bit / 8] |= (uint8_t)(1 << bit % 8);
	}
}

/* What is behind $1 and whether there is any site, or that one was removed, for sure. */
static const char site_sql[] =
	"select domain, zone, exists (select from site) or exists (select from site_removed r "
	"where r.id = $1::integer), bots = 'refuse', "
	"(select string_agg(value, ',') from site_rule_of_worker where site_id = $1::integer and "
	"kind = 'country'), "
	"(select string_agg(value || E'\n', '') from site_rule_of_worker where site_id = "
	"$1::integer and kind = 'alias') "
	"from (select) one left join site on id = $1";

int app_site(struct app *app, uint32_t site_id, const struct app_site **site, struct err *err)
{
	struct site_slot *slot = &app->sites[site_id % SLOTS];
	int64_t now = clock_mono_us();
	char number[16];
	PGresult *row;
	int rc;

	*site = &slot->site;
	if (slot->site_id == site_id && now - slot->fetched_mono_us < LIFE_US)
		return 0;
	snprintf(number, sizeof number, "%u", site_id);
	rc = run(app, &row, site_sql, number, err);
	if (rc) /* what was known a while ago will do */
		return slot->site_id == site_id ? 0 : rc;
	/* No site at all is no proof that this one was deleted: somebody restores the database. A
	 * removal is. */
	if (PQgetvalue(row, 0, 2)[0] != 't') {
		PQclear(row);
		return err_set(err, -EAGAIN, "the app database has no sites");
	}
	snprintf(slot->site.domain, sizeof slot->site.domain, "%s", PQgetvalue(row, 0, 0));
	snprintf(slot->site.zone, sizeof slot->site.zone, "%s", PQgetvalue(row, 0, 1));
	slot->site.refuses_bots = PQgetvalue(row, 0, 3)[0] == 't';
	countries_read(&slot->site.countries, span_of(PQgetvalue(row, 0, 4)));
	free(slot->site.hosts);
	slot->site.hosts = PQgetisnull(row, 0, 5) ? NULL : strdup(PQgetvalue(row, 0, 5));
	slot->site_id = site_id;
	slot->fetched_mono_us = now;
	PQclear(row);
	return 0;
}

size_t app_own_hosts(const struct app_site *site, struct span *own)
{
	struct span rest = span_of(site->hosts);
	size_t count = 0;

	own[count++] = span_of(site->domain);
	for (; rest.len && count < APP_OWN_MOST; rest = span_from(rest, span_find(rest, '\n') + 1))
		own[count++] = span_first(rest, span_find(rest, '\n'));
	return count;
}

static void day_set(struct day_slot *slot, int64_t date, const PGresult *row)
{
	unsigned char key[32];

	sodium_memzero(&slot->keys, sizeof slot->keys);
	slot->date = date;
	slot->fetched_mono_us = clock_mono_us();
	slot->dies_us = 0;
	if (!PQntuples(row) ||
		sodium_hex2bin(key, sizeof key, PQgetvalue(row, 0, 0), 64, NULL, NULL, NULL))
		return;
	slot->dies_us = pg_int(row, 0, 1);
	event_day_keys_derive(&slot->keys, key);
	sodium_memzero(key, sizeof key);
}

static bool day_is_fresh(const struct day_slot *slot)
{
	return clock_mono_us() - slot->fetched_mono_us <
	       (slot->dies_us ? LIFE_US : DESTROYED_LIFE_US);
}

int app_day_keys(struct app *app, int64_t date, const struct event_day_keys **keys, struct err *err)
{
	struct day_slot *slot = &app->days[(uint64_t)date % SLOTS];
	bool known = slot->date == date && slot->fetched_mono_us;
	char number[24];
	PGresult *row;
	int rc;

	if (!known || !day_is_fresh(slot)) {
		snprintf(number, sizeof number, "%lld", (long long)date);
		rc = run(app, &row,
			"select encode(key, 'hex'), (extract(epoch from destroy_after) * "
			"1000000)::bigint from day_key "
			"where date = date '1970-01-01' + $1::integer and destroy_after > now()",
			number, err);
		if (rc && !known)
			return rc;
		if (!rc) {
			day_set(slot, date, row);
			pg_clear_secret(row);
			pg_overwrite(app->conn, 1024);
		}
	}
	day_expire(slot);
	*keys = slot->dies_us ? &slot->keys : NULL;
	return 0;
}
