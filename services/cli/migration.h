/* Migrations: the numbered SQL files of a database, and which of them it has had. */
#ifndef FOOTFALL_MIGRATION_H
#define FOOTFALL_MIGRATION_H

#include <libpq-fe.h>
#include <stddef.h>

#include "lib/err.h"
#include "lib/secret.h"

#define MIGRATION_NAME_SIZE 128

struct migration {
	int number;
	char name[MIGRATION_NAME_SIZE];  /* "0001_account": the file's name without ".sql" */
	char hash[SECRET_HASH_HEX_SIZE]; /* of the file's bytes */
	char *sql;
};

struct migrations {
	struct migration *list; /* by number */
	size_t count;
};

/* Read all of dir/NNNN_name.sql. -EINVAL: a .sql file with another name, or two with one number.
 * migrations_clear() is fine either way. */
int migrations_read(struct migrations *m, const char *dir, struct err *err) MUST_CHECK;
void migrations_clear(struct migrations *m);

/* Take the lock that lets one of several hosts migrate this database, and wait for it. It ends
 * with the connection. Makes the table `migration` when it is not there. */
int migrations_begin(PGconn *db, struct err *err) MUST_CHECK;

/* How many of m's first migrations the database has had. -EINVAL says why it cannot go on: an
 * applied file was changed, or the database has had migrations that m does not know. */
int migrations_done(
	const struct migrations *m, PGconn *db, size_t *done, struct err *err) MUST_CHECK;

/* Apply one, in a transaction of its own. */
int migration_apply(const struct migration *one, PGconn *db, struct err *err) MUST_CHECK;

#endif
