#include "services/cli/removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define ROWS      "5000" /* of a step */
#define NAME_MOST 300

struct removal {
	struct stack stack;
	PGconn *app, *metrics;
	char domain[NAME_MOST], property_id[64], id[16];
	long long rows, unreadable; /* the latter of what was set aside */
};

static int removal_open(struct removal *r, struct err *err)
{
	int rc = stack_open(&r->stack, FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB, err);

	if (!rc)
		rc = stack_app_db(&r->stack, &r->app, err);
	return rc ? rc : stack_metrics_db(&r->stack, &r->metrics, err);
}

/* What is about to be removed, or was begun to be. */
static int removal_find(struct removal *r, const char *name, struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(r->app, &found,
		"select s.domain, s.property_id from (select domain, property_id, 0 as number from "
		"site "
		"union all select domain, property_id, number from site_removed) s "
		"where s.property_id::text = lower($1) "
		"or s.domain = regexp_replace(lower($1), '^www\\.', '') order by number limit 1",
		1, &name, err);

	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT, "there is no site \"%s\"", name);
	if (!rc) {
		snprintf(r->domain, sizeof r->domain, "%s", PQgetvalue(found, 0, 0));
		snprintf(r->property_id, sizeof r->property_id, "%s", PQgetvalue(found, 0, 1));
	}
	PQclear(found);
	return rc;
}

/* By its domain, typed: a "y" is given too easily. */
static int removal_ask(const struct removal *r, struct err *err)
{
	char answer[NAME_MOST] = "";

	fprintf(stderr,
		"This deletes %s and all that was counted of it, for good.\nType its domain to go "
		"on: ",
		r->domain);
	if (!fgets(answer, sizeof answer, stdin))
		*answer = '\0';
	answer[strcspn(answer, "\r\n")] = '\0';
	return strcmp(answer, r->domain) ? err_set(err, -ECANCELED, "nothing was removed") : 0;
}

/* First in the app database: from then on nothing new comes. */
static int removal_begin(struct removal *r, struct err *err)
{
	const char *params[] = { r->property_id };
	PGresult *begun = NULL;
	int rc = pg_run(r->app, &begun, "select id from site_remove($1)", 1, params, err);

	if (!rc)
		snprintf(r->id, sizeof r->id, "%s", PQgetvalue(begun, 0, 0));
	PQclear(begun);
	return rc;
}

static int removal_run(struct removal *r, struct err *err)
{
	const char *params[] = { r->id, ROWS };
	PGresult *unreadable = NULL;
	int64_t gone = 1;
	int rc = 0;

	while (!rc && gone) {
		PGresult *found = NULL;

		rc = pg_run(r->metrics, &found, "select removal_step($1, $2)", 2, params, err);
		gone = rc ? 0 : pg_int(found, 0, 0);
		r->rows += gone;
		PQclear(found);
	}
	if (!rc)
		rc = pg_run(r->metrics, &unreadable,
			"select unreadable from site_removed where id = $1", 1, params, err);
	if (!rc && PQntuples(unreadable))
		r->unreadable = pg_int(unreadable, 0, 0);
	PQclear(unreadable);
	if (!rc)
		rc = pg_run(r->app, NULL,
			"update site_removed set property_id = null, domain = null where id = $1",
			1, params, err);
	return rc;
}

int site_remove(struct call *call, struct err *err)
{
	struct removal r = { .app = NULL };
	char count[RESULT_COUNT_SIZE];
	int rc = removal_open(&r, err);

	if (!rc)
		rc = removal_find(&r, call->arg[0], err);
	if (!rc && !call_has(call, "yes"))
		rc = removal_ask(&r, err);
	if (!rc)
		rc = removal_begin(&r, err);
	if (!rc)
		rc = removal_run(&r, err);
	if (!rc && call->json)
		rc = result_json(
			json_pack("{sssssIsI}", "property_id", r.property_id, "domain", r.domain,
				"rows", (json_int_t)r.rows, "unreadable", (json_int_t)r.unreadable),
			err);
	else if (!rc)
		printf("%s is removed, and %s rows of it. Ingresses take its events out of the "
		       "archive\nwithin a minute of their running.\n",
			r.domain, result_count(count, (unsigned long long)r.rows));
	if (!rc && !call->json && r.unreadable)
		printf("%s unreadable dead letters that may have been its went, too.\n",
			result_count(count, (unsigned long long)r.unreadable));
	PQfinish(r.app);
	PQfinish(r.metrics);
	stack_close(&r.stack);
	return rc;
}
