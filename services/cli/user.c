/* footfall user …: who may log in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"
#include "lib/secret.h"
#include "services/cli/account.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

int account_find(PGconn *db, const char *email, char id[24], struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(db, &found, "select id from account where lower(email) = lower($1)", 1,
		&email, err);

	if (!rc && !PQntuples(found))
		rc = err_set(
			err, -ENOENT, "there is no account with the e-mail address \"%s\"", email);
	if (!rc)
		snprintf(id, 24, "%s", PQgetvalue(found, 0, 0));
	PQclear(found);
	return rc;
}

/* The first line of stdin, hashed. */
static int read_password(struct call *call, char hash[PASSWORD_HASH_SIZE], struct err *err)
{
	char text[PASSWORD_MOST + 3];
	struct span password;

	if (!call_has(call, "password-stdin"))
		return call_wrong(call, err, "%s reads the password from stdin: --password-stdin",
			call->command->name);
	if (!fgets(text, sizeof text, stdin))
		return err_set(err, -EINVAL, "there is no password on stdin");
	password = span_of(text);
	if (password.len && password.ptr[password.len - 1] == '\n')
		password.len--;
	if (password.len && password.ptr[password.len - 1] == '\r')
		password.len--;
	return password_hash(password, hash, err);
}

static int user_add(struct call *call, struct err *err)
{
	char hash[PASSWORD_HASH_SIZE];
	const char *params[] = { call->arg[0], hash };
	PGresult *made = NULL;
	PGconn *db = NULL;
	struct stack stack = { 0 };
	int rc = read_password(call, hash, err);

	if (!rc)
		rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = pg_run(db, &made, "select account_create($1, $2) as id, $1::text as email", 2,
			params, err);
	if (!rc && call->json)
		rc = result_json(result_row(made, 0), err);
	else if (!rc)
		printf("%s may log in now\n", PQgetvalue(made, 0, 1));
	PQclear(made);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int user_list(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found,
			"select a.id, a.email, count(m.site_id) as sites, a.created_at "
			"from account a left join site_member m on m.account_id = a.id "
			"group by a.id order by a.id",
			0, NULL, err);
	if (!rc)
		rc = result_print(found, call->json, err);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int say_done(struct call *call, const char *what, struct err *err)
{
	if (call->json)
		return result_json(json_pack("{ssss}", "email", call->arg[0], "done", what), err);
	printf("%s: %s\n", call->arg[0], what);
	return 0;
}

static int user_password(struct call *call, struct err *err)
{
	char hash[PASSWORD_HASH_SIZE], id[24];
	const char *params[] = { id, hash };
	PGconn *db = NULL;
	struct stack stack = { 0 };
	int rc = read_password(call, hash, err);

	if (!rc)
		rc = stack_open_app(&stack, &db, err);
	if (!rc)
		rc = account_find(db, call->arg[0], id, err);
	/* Whoever was logged in with the old password is not any more. */
	if (!rc)
		rc = pg_run(db, NULL,
			"with changed as (update account set password_hash = $2 where id = $1 "
			"returning id) delete from login_session using changed "
			"where account_id = changed.id",
			2, params, err);
	if (!rc)
		rc = say_done(call, "the password is changed, and all sessions are ended", err);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

/* Sites that would be left without an owner. */
static int refuse_orphans(PGconn *db, const char *id, struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(db, &found,
		"select count(*), min(s.domain) from site_member m join site s on s.id = m.site_id "
		"where m.account_id = $1 and m.role = 'owner' and not exists (select from "
		"site_member o "
		"where o.site_id = m.site_id and o.role = 'owner' and o.account_id <> "
		"m.account_id)",
		1, &id, err);

	if (!rc && pg_int(found, 0, 0))
		rc = err_set(err, -EBUSY,
			"%s sites, \"%s\" among them, would have no owner left; --force removes "
			"the account all the same",
			PQgetvalue(found, 0, 0), PQgetvalue(found, 0, 1));
	PQclear(found);
	return rc;
}

static int user_remove(struct call *call, struct err *err)
{
	char id[24];
	const char *params[] = { id };
	PGconn *db = NULL;
	struct stack stack;
	int rc = stack_open_app(&stack, &db, err);

	if (!rc)
		rc = account_find(db, call->arg[0], id, err);
	if (!rc && !call_has(call, "force"))
		rc = refuse_orphans(db, id, err);
	if (!rc)
		rc = pg_run(db, NULL, "delete from account where id = $1", 1, params, err);
	if (!rc)
		rc = say_done(call, "removed, with its sessions and keys", err);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

#define PASSWORD_OPTION                                                                            \
	{                                                                                          \
		"password-stdin", NULL, "the password is the first line of stdin (8 to 256 bytes)" \
	}

const struct command user_commands[] = {
	{ "user add", "EMAIL", "make an account", NULL, user_add, { PASSWORD_OPTION } },
	{ "user list", NULL, "list the accounts", NULL, user_list, { { NULL } } },
	{ "user password", "EMAIL", "set an account's password and end its sessions", NULL,
		user_password, { PASSWORD_OPTION } },
	{ "user remove", "EMAIL", "remove an account, its sessions and its keys", NULL, user_remove,
		{ { "force", NULL, "even if sites are left without an owner" } } },
	{ NULL },
};
