#include "services/cli/migration.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pg.h"
#include "lib/schema.h"

#define DIGITS        4
#define SQL_FILE_MOST (4 << 20) /* a schema file is some KiB */

/* "0001_account.sql" */
static bool name_is_right(const char *name)
{
	size_t len = strlen(name);

	if (len <= DIGITS + 1 + 4 || len >= MIGRATION_NAME_SIZE)
		return false;
	for (size_t i = 0; i < len - 4; i++) {
		bool right = i < DIGITS ? isdigit((unsigned char)name[i])
			     : i == DIGITS
				     ? name[i] == '_'
				     : islower((unsigned char)name[i]) ||
					       isdigit((unsigned char)name[i]) || name[i] == '_';

		if (!right)
			return false;
	}
	return true;
}

static int read_file(struct migration *one, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	size_t len;

	if (!f)
		return err_set(err, -errno, "%s: %m", path);
	one->sql = calloc(1, SQL_FILE_MOST + 1);
	if (!one->sql) {
		fclose(f);
		return err_set(err, -ENOMEM, "%s: no memory", path);
	}
	len = fread(one->sql, 1, SQL_FILE_MOST, f);
	if (ferror(f) || len == SQL_FILE_MOST || memchr(one->sql, '\0', len)) {
		fclose(f);
		return err_set(err, -EINVAL, "%s: is not a text of less than %d MiB", path,
			SQL_FILE_MOST >> 20);
	}
	fclose(f);
	secret_hash_hex((struct span){ one->sql, len }, one->hash);
	return 0;
}

static int add_file(struct migrations *m, const char *dir, const char *name, struct err *err)
{
	struct migration *grown, *one;
	char path[4096];

	if (!name_is_right(name))
		return err_set(err, -EINVAL, "%s/%s: a migration is named as in 0001_account.sql",
			dir, name);
	grown = realloc(m->list, (m->count + 1) * sizeof *m->list);
	if (!grown)
		return err_set(err, -ENOMEM, "%s: no memory", dir);
	m->list = grown;
	one = &m->list[m->count++];
	memset(one, 0, sizeof *one);
	one->number = (int)strtol(name, NULL, 10);
	snprintf(one->name, sizeof one->name, "%.*s", (int)(strlen(name) - 4), name);
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return read_file(one, path, err);
}

static int by_number(const void *a, const void *b)
{
	return ((const struct migration *)a)->number - ((const struct migration *)b)->number;
}

int migrations_read(struct migrations *m, const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int rc = 0;

	memset(m, 0, sizeof *m);
	if (!d)
		return err_set(err, -errno, "the folder of migrations %s: %m", dir);
	while (!rc && (entry = readdir(d)))
		if (span_ends_with(span_of(entry->d_name), SPAN(".sql")))
			rc = add_file(m, dir, entry->d_name, err);
	closedir(d);
	if (rc)
		return rc;
	if (!m->count)
		return err_set(err, -ENOENT, "there are no migrations in %s", dir);
	qsort(m->list, m->count, sizeof *m->list, by_number);
	for (size_t i = 1; i < m->count; i++)
		if (m->list[i].number == m->list[i - 1].number)
			return err_set(err, -EINVAL, "%s and %s in %s have the same number",
				m->list[i - 1].name, m->list[i].name, dir);
	return 0;
}

void migrations_clear(struct migrations *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->list[i].sql);
	free(m->list);
	memset(m, 0, sizeof *m);
}

int migrations_begin(PGconn *db, struct err *err)
{
	int rc = pg_run(db, NULL, "select pg_advisory_lock(" SCHEMA_LOCK ")", 0, NULL, err);

	if (!rc)
		rc = pg_run(db, NULL,
			"create table if not exists migration (number integer primary key, "
			"name text not null, hash text not null, "
			"applied_at timestamptz not null default now())",
			0, NULL, err);
	/* Services wait for the one that they need (lib/schema.h). */
	if (!rc)
		rc = pg_run(db, NULL, "grant select on migration to public", 0, NULL, err);
	return rc;
}

static int compare(const struct migrations *m, const PGresult *had, struct err *err)
{
	for (int i = 0; i < PQntuples(had); i++) {
		const struct migration *one = (size_t)i < m->count ? &m->list[i] : NULL;
		const char *name = PQgetvalue(had, i, 1);

		if (one && one->number < pg_int(had, i, 0))
			return err_set(err, -EINVAL,
				"%s was not applied before %s: a migration takes the next free "
				"number",
				one->name, name);
		if (!one || one->number != pg_int(had, i, 0))
			return err_set(err, -EINVAL,
				"the database is newer than this version: it has had %s", name);
		if (strcmp(one->hash, PQgetvalue(had, i, 2)))
			return err_set(err, -EINVAL,
				"%s was changed after it was applied: write a new migration "
				"instead",
				one->name);
	}
	return 0;
}

int migrations_done(const struct migrations *m, PGconn *db, size_t *done, struct err *err)
{
	PGresult *had = NULL;
	int rc = pg_run(
		db, &had, "select number, name, hash from migration order by number", 0, NULL, err);

	if (!rc)
		rc = compare(m, had, err);
	if (!rc)
		*done = (size_t)PQntuples(had);
	PQclear(had);
	return rc;
}

/* The line of the file that an error of the database points at; 0 when it points nowhere. */
static int error_line(const char *sql, const PGresult *failed)
{
	const char *text = failed ? PQresultErrorField(failed, PG_DIAG_STATEMENT_POSITION) : NULL;
	long chars = text ? strtol(text, NULL, 10) : 0;
	int line = 1;

	if (chars < 1)
		return 0;
	for (; *sql && chars > 1; sql++) {
		chars -= ((unsigned char)*sql & 0xc0) != 0x80;
		line += *sql == '\n';
	}
	return line;
}

static int run_file(const struct migration *one, PGconn *db, struct err *err)
{
	PGresult *result = PQexec(db, one->sql);
	ExecStatusType status = PQresultStatus(result);
	struct err inner = { 0 };
	int rc = 0, line;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		rc = pg_error(db, result, &inner);
		line = error_line(one->sql, result);
		if (line)
			err_set(err, rc, "%s.sql, line %d: %s", one->name, line, inner.msg);
		else
			err_set(err, rc, "%s.sql: %s", one->name, inner.msg);
	} else if (PQtransactionStatus(db) != PQTRANS_INTRANS) {
		rc = err_set(err, -EINVAL, "%s.sql ends its transaction itself", one->name);
	}
	PQclear(result);
	return rc;
}

int migration_apply(const struct migration *one, PGconn *db, struct err *err)
{
	char number[16];
	const char *params[] = { number, one->name, one->hash };
	struct err dropped;
	int rc = pg_run_simple(db, "begin", err);

	snprintf(number, sizeof number, "%d", one->number);
	if (!rc)
		rc = run_file(one, db, err);
	/* A file may have narrowed the search path for itself; it must not matter here. */
	if (!rc)
		rc = pg_run(db, NULL,
			"insert into public.migration (number, name, hash) values ($1, $2, $3)", 3,
			params, err);
	if (!rc)
		return pg_run_simple(db, "commit", err);
	if (pg_run_simple(db, "rollback", &dropped))
		rc = -ECONNRESET; /* the connection is gone, and the transaction with it */
	return rc;
}
