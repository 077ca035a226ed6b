/* footfall site …: the sites that are counted. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/pg.h"
#include "services/cli/account.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define SITE_COLUMNS "s.id as site_id, s.property_id, s.domain, s.zone as timezone, s.identity"

static void print_site(const PGresult *site, const char *app_url)
{
	for (int c = 0; c < PQnfields(site); c++)
		printf("%-12s %s\n", PQfname(site, c), PQgetvalue(site, 0, c));
	printf("\nThe line for its pages:\n  <script defer src=\"%s/js/%s.js\"></script>\n",
		app_url, PQgetvalue(site, 0, 1));
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

static int site_show(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found,
			"select " SITE_COLUMNS ", s.created_at, (select string_agg(a.email, ', ' "
			"order by a.email) from site_member m join account a on a.id = "
			"m.account_id "
			"where m.site_id = s.id and m.role = 'owner') as owners from site s "
			"where s.property_id::text = lower($1) "
			"or s.domain = regexp_replace(lower($1), '^www\\.', '')",
			1, call->arg, err);
	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT, "there is no site \"%s\"", call->arg[0]);
	if (!rc && call->json)
		rc = result_json(result_row(found, 0), err);
	else if (!rc)
		print_site(found, stack.settings.app_url);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int site_set(struct call *call, struct err *err)
{
	const char *zone = call_option(call, "timezone"), *identity = call_option(call, "identity");
	const char *params[] = { call->arg[0], zone, identity };
	PGresult *set = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc;

	if (!zone && !identity)
		return call_wrong(call, err, "site set needs --timezone or --identity");
	rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = pg_run(db, &set, "select " SITE_COLUMNS " from site_set($1, $2, $3) s", 3,
			params, err);
	if (!rc && call->json)
		rc = result_json(result_row(set, 0), err);
	else if (!rc)
		print_site(set, stack.settings.app_url);
	if (!rc && !call->json && zone)
		printf("\nUntil it is counted anew, reports keep the days of the zone before:\n"
		       "  footfall rebuild --site %s\n",
			PQgetvalue(set, 0, 2));
	if (!rc && !call->json && identity)
		puts("\nA change of identity holds from the site's next midnight on.");
	PQclear(set);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

const struct command site_commands[] = {
	{ "site add", "DOMAIN", "make a site", NULL, site_add,
		{ { "owner", "EMAIL", "the account that it belongs to" },
			{ "timezone", "ZONE", "whose days its reports have, as in Europe/Berlin" },
			{ "identity", "KIND", "daily (the default) or persistent" } } },
	{ "site list", NULL, "list the sites", NULL, site_list, { { NULL } } },
	{ "site set", "DOMAIN|PROPERTY_ID", "change a site", NULL, site_set,
		{ { "timezone", "ZONE", "whose days its reports have" },
			{ "identity", "KIND",
				"daily or persistent, from its next midnight on" } } },
	{ "site show", "DOMAIN|PROPERTY_ID", "show a site and the line for its pages", NULL,
		site_show, { { NULL } } },
	{ NULL },
};
