/* footfall site …: the sites that are counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"
#include "services/cli/account.h"
#include "services/cli/command.h"
#include "services/cli/removal.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define SITE_COLUMNS "s.id as site_id, s.property_id, s.domain, s.zone as timezone, s.identity"
#define SITE_CHOICES                                                                               \
	", s.bots, s.origin_required, s.honour_dnt, to_json(s.script) as script, s.counter"

#define OID_BOOL 16 /* of PostgreSQL's catalog/pg_type.dat */
#define OID_JSON 114

/* A JSON array of plain words. */
static void print_list(const char *json)
{
	for (; *json; json++)
		if (*json == ',')
			fputs(", ", stdout);
		else if (!strchr("[]\"", *json))
			putchar(*json);
}

static void print_columns(const PGresult *site)
{
	for (int c = 0; c < PQnfields(site); c++) {
		const char *text = PQgetvalue(site, 0, c);

		if (PQftype(site, c) == OID_BOOL)
			text = *text == 't' ? "yes" : "no";
		printf("%-15s ", PQfname(site, c));
		if (PQftype(site, c) == OID_JSON && strcmp(text, "[]") != 0)
			print_list(text);
		else
			fputs(PQftype(site, c) == OID_JSON ? "none" : text, stdout);
		putchar('\n');
	}
}

static void print_site(const PGresult *site, const char *app_url)
{
	print_columns(site);
	printf("\nThe line for its pages:\n  <script defer src=\"%s/js/%s.js\"></script>\n",
		app_url, PQgetvalue(site, 0, 1));
	printf("\nFor browsers without scripts, too:\n  <noscript><img src=\"%s/pixel/%s.gif\" "
	       "alt=\"\" "
	       "referrerpolicy=\"no-referrer-when-downgrade\"></noscript>\n",
		app_url, PQgetvalue(site, 0, 1));
	printf("\nOpened in a browser, its visits are not counted any more; the other undoes "
	       "that:\n"
	       "  https://%s/#footfall-ignore\n  https://%s/#footfall-count\n",
		PQgetvalue(site, 0, 2), PQgetvalue(site, 0, 2));
}

static int site_add(struct call *call, struct err *err)
{
	const char *owner = call_option(call, "owner"), *zone = call_option(call, "timezone");
	const char *identity = call_option(call, "identity");
	char id[24];
	const char *params[] = { call->arg[0], id, zone, identity ? identity : "daily" };
	PGresult *made = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc;

	if (!owner || !zone)
		return call_wrong(call, err, "site add needs --owner EMAIL and --timezone ZONE");
	rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = account_find(db, owner, id, err);
	if (!rc)
		rc = pg_run(db, &made, "select " SITE_COLUMNS " from site_create($1, $2, $3, $4) s",
			4, params, err);
	if (!rc && call->json)
		rc = result_json(result_row(made, 0), err);
	else if (!rc)
		print_site(made, stack.settings.app_url);
	PQclear(made);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int site_list(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found, "select " SITE_COLUMNS " from site s order by s.domain", 0,
			NULL, err);
	if (!rc)
		rc = result_print(found, call->json, err);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

/* --- how long it is kept: that is known to the metrics database --------------------------------
 */

#define RETENTION_MOST 36500 /* days */

static int retention_get(PGconn *metrics, const char *site_id, json_t **days, struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(
		metrics, &found, "select days from retention where site_id = $1", 1, &site_id, err);

	if (!rc)
		*days = PQntuples(found) ? json_integer(pg_int(found, 0, 0)) : json_null();
	PQclear(found);
	return rc;
}

/* days: as it was given, a number or "none". The console is told. */
static int retention_set(PGconn *metrics, const char *site_id, const char *days, struct err *err)
{
	const char *params[] = { site_id, days };
	bool none = !strcmp(days, "none");
	int rc = none ? pg_run(metrics, NULL, "delete from retention where site_id = $1", 1, params,
				err)
		      : pg_run(metrics, NULL,
				"insert into retention values ($1, $2) on conflict (site_id) "
				"do update set days = excluded.days",
				2, params, err);

	return rc ? rc : pg_run_simple(metrics, "notify footfall_keep", err);
}

static int retention_check(struct call *call, const char *days, struct err *err)
{
	long number;

	if (!days || !strcmp(days, "none"))
		return 0;
	return call_number(call, "retention", 1, RETENTION_MOST, 0, &number, err);
}

/* What was refused of the site in the last 30 days, {reason: count}. */
static int dropped_get(PGconn *metrics, const char *site_id, json_t **sums, struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(metrics, &found,
		"select coalesce(json_object_agg(reason, count order by count desc, reason), '{}') "
		"as dropped from (select reason, sum(count)::bigint as count from dropped where "
		"site_id = $1 and hour > now() - interval '30 days' group by reason) d",
		1, &site_id, err);

	if (!rc)
		*sums = json_loads(PQgetvalue(found, 0, 0), 0, NULL);
	PQclear(found);
	return rc;
}

static void print_dropped(const json_t *sums)
{
	char text[RESULT_COUNT_SIZE];
	const char *reason;
	json_t *count;

	json_object_foreach((json_t *)(uintptr_t)sums, reason, count)
		printf("%-15s %s in 30 days: %s\n", "dropped",
			result_count(text, (unsigned long long)json_integer_value(count)), reason);
}

/* The site with its limit, and what was refused. Takes nothing. */
static int site_json(PGconn *metrics, const PGresult *site, json_t **out, struct err *err)
{
	json_t *days = NULL, *dropped = NULL;
	int rc = retention_get(metrics, PQgetvalue(site, 0, 0), &days, err);

	if (!rc)
		rc = dropped_get(metrics, PQgetvalue(site, 0, 0), &dropped, err);
	if (!rc) {
		*out = result_row(site, 0);
		json_object_set(*out, "retention_days", days);
		json_object_set(*out, "dropped_30_days", dropped);
	}
	json_decref(days);
	json_decref(dropped);
	return rc;
}

static void print_site_kept(const PGresult *site, const json_t *kept, const char *app_url)
{
	const json_t *days = json_object_get(kept, "retention_days");

	if (json_is_integer(days))
		printf("%-15s %lld days\n", "retention", (long long)json_integer_value(days));
	else
		printf("%-15s none\n", "retention");
	print_dropped(json_object_get(kept, "dropped_30_days"));
	print_site(site, app_url);
}

static int open_both(struct stack *stack, PGconn **app, PGconn **metrics, struct err *err)
{
	int rc = stack_open(stack, FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB, err);

	*app = *metrics = NULL;
	if (!rc)
		rc = stack_app_db(stack, app, err);
	return rc ? rc : stack_metrics_db(stack, metrics, err);
}

static int site_show(struct call *call, struct err *err)
{
	PGconn *db = NULL, *metrics = NULL;
	PGresult *found = NULL;
	json_t *kept = NULL;
	struct stack stack;
	int rc = open_both(&stack, &db, &metrics, err);

	if (!rc)
		rc = pg_run(db, &found,
			"select " SITE_COLUMNS SITE_CHOICES
			", (select count(*) from site_rule r where "
			"r.site_id = s.id) as rules, s.created_at, (select string_agg(a.email, ', "
			"' "
			"order by a.email) from site_member m join account a on a.id = "
			"m.account_id "
			"where m.site_id = s.id and m.role = 'owner') as owners from site s "
			"where s.property_id::text = lower($1) "
			"or s.domain = regexp_replace(lower($1), '^www\\.', '')",
			1, call->arg, err);
	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT, "there is no site \"%s\"", call->arg[0]);
	if (!rc)
		rc = site_json(metrics, found, &kept, err);
	if (!rc && call->json)
		rc = result_json(json_incref(kept), err);
	else if (!rc)
		print_site_kept(found, kept, stack.settings.app_url);
	json_decref(kept);
	PQclear(found);
	PQfinish(db);
	PQfinish(metrics);
	stack_close(&stack);
	return rc;
}

static void print_set(const PGresult *set, const struct call *call)
{
	const char *retention = call_option(call, "retention");

	if (call_has(call, "timezone"))
		printf("\nUntil it is counted anew, reports keep the days of the zone before:\n"
		       "  footfall rebuild --site %s\n",
			PQgetvalue(set, 0, 2));
	if (call_has(call, "identity"))
		puts("\nA change of identity holds from the site's next midnight on.");
	if (retention && strcmp(retention, "none"))
		puts("\nThe console deletes what is older, from now on; reports by day keep their "
		     "numbers.");
}

/* "yes" or "no" of an option, as SQL has it; NULL: not given. */
static int take_choice(struct call *call, const char *name, const char **out, struct err *err)
{
	const char *text = call_option(call, name);

	*out = !text ? NULL : strcmp(text, "yes") ? "false" : "true";
	if (text && strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return call_wrong(call, err, "--%s is \"%s\", must be yes or no", name, text);
	return 0;
}

static int site_set(struct call *call, struct err *err)
{
	const char *zone = call_option(call, "timezone"), *identity = call_option(call, "identity");
	const char *days = call_option(call, "retention");
	const char *params[] = { call->arg[0], zone, identity, call_option(call, "bots"), NULL,
		NULL, call_option(call, "script"), NULL };
	PGconn *db = NULL, *metrics = NULL;
	PGresult *set = NULL;
	json_t *kept = NULL;
	struct stack stack;
	int rc = retention_check(call, days, err);

	if (!rc)
		rc = take_choice(call, "origin-required", &params[4], err);
	if (!rc)
		rc = take_choice(call, "honour-dnt", &params[5], err);
	if (!rc)
		rc = take_choice(call, "counter", &params[7], err);
	if (rc)
		return rc;
	if (!zone && !identity && !days && !params[3] && !params[4] && !params[5] && !params[6] &&
		!params[7])
		return call_wrong(call, err, "site set needs something to set; try --help");
	rc = open_both(&stack, &db, &metrics, err);
	if (!rc)
		rc = pg_run(db, &set,
			"select " SITE_COLUMNS SITE_CHOICES
			" from site_set($1, $2, $3, $4, $5, $6, $7, $8) s",
			8, params, err);
	if (!rc && days)
		rc = retention_set(metrics, PQgetvalue(set, 0, 0), days, err);
	if (!rc)
		rc = site_json(metrics, set, &kept, err);
	if (!rc && call->json) {
		rc = result_json(json_incref(kept), err);
	} else if (!rc) {
		print_site_kept(set, kept, stack.settings.app_url);
		print_set(set, call);
	}
	json_decref(kept);
	PQclear(set);
	PQfinish(db);
	PQfinish(metrics);
	stack_close(&stack);
	return rc;
}

const struct command site_commands[] = {
	{ "site add", "DOMAIN", "make a site", NULL, site_add,
		{ { "owner", "EMAIL", "the account that it belongs to" },
			{ "timezone", "ZONE", "whose days its reports have, as in Europe/Berlin" },
			{ "identity", "KIND", "daily (the default) or persistent" } } },
	{ "site list", NULL, "list the sites", NULL, site_list, { { NULL } } },
	{ "site set", "DOMAIN|PROPERTY_ID", "change a site",
		"With a limit of age, reports by day keep their numbers: only events, visits and "
		"their pages\nare deleted, and what is older is not taken any more, from wherever "
		"it "
		"comes. Of visitors known\nby a persistent id, the month in which the limit lies "
		"is "
		"kept whole: they count once a month.",
		site_set,
		{ { "timezone", "ZONE", "whose days its reports have" },
			{ "identity", "KIND", "daily or persistent, from its next midnight on" },
			{ "retention", "DAYS|none",
				"delete events and visits that are older than so many days" },
			{ "bots", "CHOICE",
				"mark (the default): keep what bots send, marked; refuse: do not" },
			{ "origin-required", "yes|no",
				"refuse events of pages without an Origin header" },
			{ "honour-dnt", "yes|no", "refuse what comes with DNT: 1 or Sec-GPC: 1" },
			{ "script", "LIST",
				"what its script has: some of exit, outbound, downloads, forms, "
				"tagged, 404, metadata, hash; or default, all, none" },
			{ "counter", "yes|no",
				"whether anyone may read its counts of visits at /counter/" } } },
	{ "site show", "DOMAIN|PROPERTY_ID", "show a site and the line for its pages", NULL,
		site_show, { { NULL } } },
	{ "site remove", "DOMAIN|PROPERTY_ID", "delete a site and all that was counted of it",
		"Asks first. Its script and its keys stop working at once; its events are taken "
		"out of the\ntables, and by the ingresses, within a minute of their running, out "
		"of the "
		"archive. Nothing\nbrings them back. Interrupted, the console goes on with it, or "
		"it is "
		"simply run again.\nDead letters of its lane that cannot be read go, too, as they "
		"may be its; the answer says\nhow many (\"unreadable\").",
		site_remove, { { "yes", NULL, "do not ask" } } },
	{ NULL },
};
