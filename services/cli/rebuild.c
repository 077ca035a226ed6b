/* footfall rebuild: count visits and rollups anew from the events, while new ones come in. The plan
 * is that of deploy/schema/metrics/0007_rebuild.sql. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/pg.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define PART       "2000"  /* events: the site's lock is held for a tenth of a second */
#define SWEEP      "10000" /* rows */
#define SAY_EACH   (2 * US_PER_SECOND)
#define KEY_FIELDS 3 /* of the last event of a part: visitor, id, ts */

/* What visits_count() takes of events, in its order. */
#define COLUMNS 32
static const char part_sql[] =
	"select count(*), (array_agg(visitor))[count(*)], (array_agg(id))[count(*)], "
	"(array_agg(ts))[count(*)], "
	"array_agg((extract(epoch from ts) * 1000000)::bigint), array_agg(visitor), "
	"array_agg(id), array_agg(kind), "
	"array_agg(interactive), "
	"array_agg(host), array_agg(page), array_agg(referrer), array_agg(source), "
	"array_agg(country), "
	"array_agg(browser), array_agg(browser_version), array_agg(os), array_agg(os_version), "
	"array_agg(device), array_agg(language), array_agg(screen_width), array_agg(engaged_ms), "
	"array_agg(scroll_depth), array_agg(region), array_agg(city), array_agg(locale), "
	"array_agg(channel), array_agg(utm_source), array_agg(utm_medium), "
	"array_agg(utm_campaign), "
	"array_agg(utm_term), array_agg(utm_content), array_agg(click_id), array_agg(brand), "
	"array_agg(model), array_agg(bot) "
	"from (select * from event where site_id = $1 and (visitor, id, ts) > ($2, $3, $4) "
	"order by visitor, id, ts limit " PART ") part";
static const char count_sql[] = "select visits_count($1, $2, rebuild_zone($1, $2), $3, $4, $5, $6, "
				"$7, $8, $9, $10, $11, $12, "
				"$13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, "
				"$26, $27, $28, $29, $30, $31, $32, $33, $34)";

struct rebuild {
	struct stack stack;
	PGconn *app, *reads, *writes; /* the latter two to the metrics database */
	bool quiet;
};

/* One site, and how far it is. */
struct progress {
	const char *id, *zone, *domain;
	char build[16];
	long long events, all;
	int64_t said_mono_us;
};

static void say(const struct rebuild *r, struct progress *p, bool now)
{
	char done[RESULT_COUNT_SIZE], all[RESULT_COUNT_SIZE];

	if (r->quiet || (!now && clock_mono_us() - p->said_mono_us < SAY_EACH))
		return;
	p->said_mono_us = clock_mono_us();
	fprintf(stderr, "%s: %s of %s events\n", p->domain,
		result_count(done, (unsigned long long)p->events),
		result_count(all, (unsigned long long)p->all));
}

/* Begin, and take the snapshot of the events that are to be read, in a transaction of `reads`. */
static int begin(struct rebuild *r, struct progress *p, struct err *err)
{
	const char *params[] = { p->id, p->zone };
	PGresult *found = NULL;
	int rc = pg_run(r->reads, NULL, "select pg_advisory_lock(1, $1)", 1, params, err), unlocked;

	if (rc)
		return rc;
	rc = pg_run(r->reads, &found, "select rebuild_begin($1, $2)", 2, params, err);
	if (!rc)
		snprintf(p->build, sizeof p->build, "%s", PQgetvalue(found, 0, 0));
	PQclear(found);
	found = NULL;
	if (!rc)
		rc = pg_run_simple(r->reads,
			"begin transaction isolation level repeatable read read only", err);
	/* The first statement takes the snapshot. */
	if (!rc)
		rc = pg_run(r->reads, &found, "select count(*) from event where site_id = $1", 1,
			params, err);
	if (!rc)
		p->all = pg_int(found, 0, 0);
	PQclear(found);
	unlocked = pg_run(r->reads, NULL, "select pg_advisory_unlock(1, $1)", 1, params, err);
	return rc ? rc : unlocked;
}

/* Count the part behind the last one; the result is kept for its key, and replaced. */
static int count_part(struct rebuild *r, struct progress *p, PGresult **part, struct err *err)
{
	const char *params[2 + COLUMNS] = { p->id, "-9223372036854775808", "-9223372036854775808",
		"-infinity" };
	PGresult *next = NULL;
	int rc;

	for (int i = 0; *part && i < KEY_FIELDS; i++)
		params[1 + i] = PQgetvalue(*part, 0, 1 + i);
	rc = pg_run(r->reads, &next, part_sql, 1 + KEY_FIELDS, params, err);
	PQclear(*part);
	*part = next;
	if (rc || !pg_int(next, 0, 0))
		return rc;
	params[1] = p->build;
	for (int i = 0; i < COLUMNS; i++)
		params[2 + i] = PQgetvalue(next, 0, 1 + KEY_FIELDS + i);
	rc = pg_run(r->writes, NULL, count_sql, 2 + COLUMNS, params, err);
	p->events += pg_int(next, 0, 0);
	return rc;
}

static int sweep(struct rebuild *r, const struct progress *p, struct err *err)
{
	const char *params[] = { p->id, SWEEP };
	int64_t gone;
	int rc;

	do {
		PGresult *found = NULL;

		rc = pg_run(r->writes, &found, "select rebuild_sweep($1, $2)", 2, params, err);
		gone = rc ? 0 : pg_int(found, 0, 0);
		PQclear(found);
	} while (gone);
	return rc;
}

static int rebuild_site(struct rebuild *r, struct progress *p, struct err *err)
{
	const char *params[] = { p->id, p->build };
	PGresult *part = NULL;
	struct err ignored;
	int rc = begin(r, p, err);

	do {
		say(r, p, false);
		if (!rc)
			rc = count_part(r, p, &part, err);
	} while (!rc && pg_int(part, 0, 0));
	PQclear(part);
	(void)!pg_run_simple(r->reads, "rollback", rc ? &ignored : err);
	if (!rc)
		rc = pg_run(r->writes, NULL, "select rebuild_finish($1, $2)", 2, params, err);
	if (!rc)
		rc = sweep(r, p, err);
	if (!rc)
		say(r, p, true);
	return rc;
}

static int open_all(struct rebuild *r, struct err *err)
{
	int rc = stack_open(&r->stack, FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB, err);

	if (!rc)
		rc = stack_app_db(&r->stack, &r->app, err);
	if (!rc)
		rc = stack_metrics_db(&r->stack, &r->reads, err);
	return rc ? rc : stack_metrics_db(&r->stack, &r->writes, err);
}

static int rebuild_sites(struct call *call, struct rebuild *r, struct err *err)
{
	const char *which = call_option(call, "site");
	json_t *done = json_array();
	PGresult *sites = NULL;
	int rc = pg_run(r->app, &sites,
		"select id, zone, domain, property_id from site where $1::text is null "
		"or property_id::text = lower($1) or id::text = $1 "
		"or domain = regexp_replace(lower($1), '^www\\.', '') order by domain",
		1, &which, err);

	if (!rc && which && !PQntuples(sites))
		rc = err_set(err, -ENOENT, "there is no site \"%s\"", which);
	for (int i = 0; !rc && i < PQntuples(sites); i++) {
		struct progress p = { .id = PQgetvalue(sites, i, 0),
			.zone = PQgetvalue(sites, i, 1),
			.domain = PQgetvalue(sites, i, 2) };

		rc = rebuild_site(r, &p, err);
		if (!rc)
			json_array_append_new(
				done, json_pack("{sssssIss}", "property_id",
					      PQgetvalue(sites, i, 3), "domain", p.domain, "events",
					      (json_int_t)p.events, "timezone", p.zone));
	}
	if (!rc && call->json)
		rc = result_json(json_incref(done), err);
	else if (!rc)
		printf("%zu sites rebuilt\n", json_array_size(done));
	PQclear(sites);
	json_decref(done);
	return rc;
}

static int rebuild(struct call *call, struct err *err)
{
	struct rebuild r = { .quiet = call->json };
	int rc = open_all(&r, err);

	if (!rc)
		rc = rebuild_sites(call, &r, err);
	PQfinish(r.app);
	PQfinish(r.reads);
	PQfinish(r.writes);
	stack_close(&r.stack);
	return rc;
}

const struct command rebuild_commands[] = {
	{ "rebuild", NULL, "count visits and reports anew from the events",
		"After a change of a site's time zone, or when an upgrade asks for it. New events "
		"are\n"
		"taken meanwhile, and reports show the old numbers until all of a site is done. "
		"Days "
		"whose\n"
		"events are gone keep their numbers. Interrupted, it is simply run again.",
		rebuild, { { "site", "DOMAIN|PROPERTY_ID", "only this site" } } },
	{ NULL },
};
