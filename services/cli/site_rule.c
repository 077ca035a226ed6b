/* footfall site rule …: what a site takes and what it refuses (deploy/schema/app/0007_rules.sql).
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/pg.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define ABOUT_KINDS                                                                                \
	"  origin   https://example.org   events of pages come from listed origins only, once "    \
	"any\n"                                                                                    \
	"                                 is listed\n"                                             \
	"  alias    example.net           a further host of the site, as its domain is one\n"      \
	"  ip       192.0.2.0/24          refuse that address or network: your own visits, say\n"  \
	"  country  DE                    refuse that country\n"                                   \
	"  host     *.example.com         refuse pages on that host\n"                             \
	"  path     /admin/*              refuse these pages\n"                                    \
	"  agent    examiner              refuse agents that have this in them, in any case\n"     \
	"\"*\" stands for any characters (in origin, host, path and agent; an agent with it is "   \
	"the\n"                                                                                    \
	"whole one). A site has 500 rules at most, 50 of them aliases. What is refused is "        \
	"counted:\n"                                                                               \
	"footfall site show."

/* Run a statement with the site's number as $1 and the call's other arguments behind it. */
static int run_for_site(
	struct call *call, PGconn *db, PGresult **out, const char *sql, int n, struct err *err)
{
	const char *params[] = { NULL, call->arg[1], call->arg[2] };
	PGresult *site = NULL;
	int rc = pg_run(db, &site,
		"select id from site where property_id::text = lower($1) "
		"or domain = regexp_replace(lower($1), '^www\\.', '')",
		1, call->arg, err);

	if (!rc && !PQntuples(site))
		rc = err_set(err, -ENOENT, "there is no site \"%s\"", call->arg[0]);
	if (!rc) {
		params[0] = PQgetvalue(site, 0, 0);
		rc = pg_run(db, out, sql, n, params, err);
	}
	PQclear(site);
	return rc;
}

static int rule_add(struct call *call, struct err *err)
{
	PGresult *made = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = run_for_site(call, db, &made,
			"select site_id, kind, value from site_rule_add($1, $2, $3)", 3, err);
	if (!rc && call->json)
		rc = result_json(result_row(made, 0), err);
	else if (!rc)
		printf("added: %s %s\n", PQgetvalue(made, 0, 1), PQgetvalue(made, 0, 2));
	PQclear(made);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int rule_list(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = run_for_site(call, db, &found,
			"select kind, value from site_rule where site_id = $1 order by kind, value",
			1, err);
	if (!rc)
		rc = result_print(found, call->json, err);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int rule_remove(struct call *call, struct err *err)
{
	PGresult *done = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = run_for_site(
			call, db, &done, "select site_rule_remove($1, $2, $3) as removed", 3, err);
	if (!rc && PQgetvalue(done, 0, 0)[0] != 't')
		rc = err_set(err, -ENOENT, "%s has no rule %s \"%s\": footfall site rule list",
			call->arg[0], call->arg[1], call->arg[2]);
	if (!rc && call->json)
		rc = result_json(result_row(done, 0), err);
	else if (!rc)
		puts("removed");
	PQclear(done);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

const struct command site_rule_commands[] = {
	{ "site rule add", "DOMAIN|PROPERTY_ID KIND VALUE",
		"let a site refuse something, or take it", ABOUT_KINDS, rule_add, { { NULL } } },
	{ "site rule list", "DOMAIN|PROPERTY_ID", "list a site's rules", NULL, rule_list,
		{ { NULL } } },
	{ "site rule remove", "DOMAIN|PROPERTY_ID KIND VALUE", "remove one of a site's rules", NULL,
		rule_remove, { { NULL } } },
	{ NULL },
};
