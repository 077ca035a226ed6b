#include "services/cli/stack_key.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/pg.h"
#include "services/cli/safe_file.h"

#define KEY_FILE_MOST 256

static int key_load(const char *path, char token[SECRET_TOKEN_SIZE], struct err *err)
{
	char *text = NULL;
	struct span trimmed;
	size_t len = 0;
	int rc = safe_file_read(&text, &len, path, KEY_FILE_MOST, err);

	token[0] = '\0';
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	trimmed = span_trim((struct span){ text, len });
	if (trimmed.len == SECRET_TOKEN_SIZE - 1)
		snprintf(token, SECRET_TOKEN_SIZE, "%.*s", (int)trimmed.len, trimmed.ptr);
	free(text);
	return 0;
}

/* Enter the key; *valid tells whether the database takes it. */
static int key_enter(PGconn *db, const char *token, bool *valid, struct err *err)
{
	char hash[SECRET_HASH_HEX_SIZE];
	const char *params[] = { hash };
	PGresult *found = NULL;
	int rc;

	secret_hash_hex(span_of(token), hash);
	rc = pg_run(db, NULL,
		"insert into api_key (account_id, name, key_hash, scopes) "
		"values (null, 'command line', $1, '{ingest}') on conflict do nothing",
		1, params, err);
	if (!rc)
		rc = pg_run(db, &found,
			"select from api_key where key_hash = $1 and revoked_at is null", 1, params,
			err);
	*valid = !rc && PQntuples(found);
	PQclear(found);
	return rc;
}

int stack_key(const struct stack *s, PGconn *db, char token[SECRET_TOKEN_SIZE], struct err *err)
{
	char path[PATH_MAX + 32], line[SECRET_TOKEN_SIZE + 1];
	bool valid = false;
	int rc;

	if (!*s->home)
		return err_set(err, -ENOENT,
			"no stack was found (FOOTFALL_HOME names its folder), so --key is needed");
	snprintf(path, sizeof path, "%s/secrets/cli.key", s->home);
	rc = key_load(path, token, err);
	if (!rc && *token)
		rc = key_enter(db, token, &valid, err);
	if (rc || valid)
		return rc;
	secret_token(token);
	snprintf(line, sizeof line, "%s\n", token);
	rc = safe_file_folders(path, err);
	if (!rc)
		rc = safe_file_write(path, span_of(line), err);
	return rc ? rc : key_enter(db, token, &valid, err);
}
