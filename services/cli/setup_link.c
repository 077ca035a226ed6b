/* footfall setup-link: the one-time link for the first account, while there is none. */
#include <stdio.h>
#include <string.h>

#include "lib/pg.h"
#include "lib/secret.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

static int draw_token(PGconn *db, char token[SECRET_TOKEN_SIZE], bool *needed, struct err *err)
{
	char hash[SECRET_HASH_HEX_SIZE];
	const char *params[] = { hash };
	PGresult *made = NULL;
	int rc;

	secret_token(token);
	secret_hash_hex(span_of(token), hash);
	/* One statement: of two links at the same time both hold, older ones none. */
	rc = pg_run(db, &made,
		"with gone as (delete from setup_token) "
		"insert into setup_token (token_hash, expires_at) "
		"select $1, now() + interval '1 hour' where not exists (select from account) "
		"returning expires_at",
		1, params, err);
	*needed = !rc && PQntuples(made);
	PQclear(made);
	return rc;
}

static int setup_link(struct call *call, struct err *err)
{
	char token[SECRET_TOKEN_SIZE], link[1024] = "";
	bool needed = false;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = draw_token(db, token, &needed, err);
	if (!rc && needed) {
		struct span url = span_of(stack.settings.app_url);

		while (url.len && url.ptr[url.len - 1] == '/')
			url.len--;
		snprintf(link, sizeof link, "%.*s/#setup=%s", (int)url.len, url.ptr, token);
	}
	if (!rc && call->json)
		rc = result_json(json_pack("{ss?}", "link", needed ? link : NULL), err);
	else if (!rc && needed)
		puts(link);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

const struct command setup_commands[] = {
	{ "setup-link", NULL, "print a link for making the first account; nothing if there is one",
		"The link is valid for one hour and for one account; a new one ends older ones.",
		setup_link, { { NULL } } },
	{ NULL },
};
