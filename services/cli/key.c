/* footfall key …: the keys of programs. A key is shown once; the database has its hash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"
#include "lib/secret.h"
#include "services/cli/account.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define SCOPES_TEXT_SIZE 64

/* "stats,ingest" as PostgreSQL writes an array. Other scopes are refused. */
static int scopes_array(struct call *call, char array[SCOPES_TEXT_SIZE], struct err *err)
{
	const char *given = call_option(call, "scope");
	struct span rest = span_of(given ? given : "");
	bool stats = false, ingest = false;

	while (rest.len) {
		struct span one = span_trim(span_first(rest, span_find(rest, ',')));

		if (span_equals(one, SPAN("stats")))
			stats = true;
		else if (span_equals(one, SPAN("ingest")))
			ingest = true;
		else
			return call_wrong(call, err, "\"%.*s\" is no scope: stats and ingest are",
				(int)one.len, one.ptr);
		rest = span_from(rest, span_find(rest, ',') + 1);
	}
	if (!stats && !ingest)
		return call_wrong(call, err, "key add needs --scope stats, ingest, or both");
	snprintf(array, SCOPES_TEXT_SIZE, "{%s%s%s}", stats ? "stats" : "",
		stats && ingest ? "," : "", ingest ? "ingest" : "");
	return 0;
}

static int print_key(
	const struct call *call, const char *token, const PGresult *made, struct err *err)
{
	json_t *object;

	if (!call->json) {
		puts(token);
		fputs("This is the only time that the key is shown.\n", stderr);
		return 0;
	}
	object = result_row(made, 0);
	if (object)
		json_object_set_new(object, "key", json_string(token));
	return result_json(object, err);
}

static int key_add(struct call *call, struct err *err)
{
	const char *owner = call_option(call, "owner"), *name = call_option(call, "name");
	char id[24], token[SECRET_TOKEN_SIZE], hash[SECRET_HASH_HEX_SIZE], scopes[SCOPES_TEXT_SIZE];
	const char *params[] = { id, name ? name : "", hash, scopes };
	PGresult *made = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc;

	if (!owner)
		return call_wrong(call, err, "key add needs --owner EMAIL");
	rc = scopes_array(call, scopes, err);
	if (rc)
		return rc;
	secret_token(token);
	secret_hash_hex(span_of(token), hash);
	rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = account_find(db, owner, id, err);
	if (!rc)
		rc = pg_run(db, &made,
			"insert into api_key (account_id, name, key_hash, scopes) "
			"values ($1, $2, $3, $4::text[]) "
			"returning id, name, to_json(scopes) as scopes",
			4, params, err);
	if (!rc)
		rc = print_key(call, token, made, err);
	PQclear(made);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int key_list(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found,
			call->json ? "select k.id, k.name, a.email as owner, to_json(k.scopes) as "
				     "scopes, "
				     "k.created_at, k.revoked_at from api_key k "
				     "left join account a on a.id = k.account_id order by k.id"
				   : "select k.id, coalesce(a.email, '(operator)') as owner, "
				     "array_to_string(k.scopes, ',') as scopes, "
				     "to_char(k.created_at, 'YYYY-MM-DD') as created, "
				     "case when k.revoked_at is null then 'valid' else 'revoked' "
				     "end as state, "
				     "k.name from api_key k left join account a on a.id = "
				     "k.account_id "
				     "order by k.id",
			0, NULL, err);
	if (!rc)
		rc = result_print(found, call->json, err);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int key_revoke(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc;

	if (!*call->arg[0] || strspn(call->arg[0], "0123456789") != strlen(call->arg[0]) ||
		strlen(call->arg[0]) > 18)
		return call_wrong(call, err, "\"%s\" is no id of a key; footfall key list has them",
			call->arg[0]);
	rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = pg_run(db, &found,
			"update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1 "
			"returning id, revoked_at",
			1, call->arg, err);
	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT, "there is no key with the id %s", call->arg[0]);
	if (!rc && call->json)
		rc = result_json(result_row(found, 0), err);
	else if (!rc)
		printf("key %s is revoked\n", call->arg[0]);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

const struct command key_commands[] = {
	{ "key add", NULL, "make a key and print it, this once", NULL, key_add,
		{ { "owner", "EMAIL", "the account whose sites it is for" },
			{ "scope", "SCOPES", "stats, ingest, or both with a comma" },
			{ "name", "TEXT", "what it is for" } } },
	{ "key list", NULL, "list the keys", NULL, key_list, { { NULL } } },
	{ "key revoke", "ID", "make a key invalid", NULL, key_revoke, { { NULL } } },
	{ NULL },
};
