/* PostgreSQL over libpq: parameterised statements, errors as sentences, a bounded pool. In a
 * service (lib/stop.h) no statement is waited for longer than a minute. Once its end is asked for,
 * all that is still waited for ends within two seconds of that, and no connection is made any more:
 * a database that hangs cannot hold a service.
 *
 * Codes tell what the caller can do:
 *   -ECONNRESET  the connection is lost or cannot be made, or the server has not answered for too
 *                long: open another, later
 *   -EAGAIN      the server cannot now (serialisation, deadlock, lock or statement time-out, disk
 *                full, shutting down, missing right): the same statement may succeed later
 *   -EEXIST      a unique value is taken already
 *   -EINVAL      the database refused the values; the message is meant for the person who sent
 *                them where our own functions raised it (SQLSTATE P0001, 22023)
 *   -ENOSYS      it lacks what we ask of it: it is not migrated, or it is our mistake
 *   -EPROTO      anything else */
#ifndef FOOTFALL_PG_H
#define FOOTFALL_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

/* Connect; waits 5 s at most. On success *out is yours, end it with PQfinish(). schema: the
 * migration that the database must have had (lib/schema.h; 0: none). One that is behind, or empty,
 * is not there yet: -ECONNRESET. One that is ahead is taken, since a version's calls work until its
 * successor has replaced it everywhere. */
int pg_open(PGconn **out, const char *conninfo, const char *application, int schema,
	struct err *err) MUST_CHECK;

/* The same with settings of the session, as "-c name=value -c …". */
int pg_open_with(PGconn **out, const char *conninfo, const char *application, int schema,
	const char *options, struct err *err) MUST_CHECK;

/* Run one statement with n text parameters ($1 …, NULL is SQL null). With out, *out is yours on
 * success (PQclear); without it, the result is dropped. After an error inside a transaction the
 * caller rolls back. */
int pg_run(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	struct err *err) MUST_CHECK;

/* The same for a text that is run again and again: the connection keeps its plan, which often takes
 * longer to make than to run. Of more than 64 texts, those that came first give way. */
int pg_run_prepared(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	struct err *err) MUST_CHECK;

/* pg_run(), waiting for at most `ms`. */
int pg_run_within(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	int ms, struct err *err) MUST_CHECK;

/* A parameter that may be in PostgreSQL's binary form, as its type's receive function reads it. */
struct pg_param {
	const char *value; /* borrowed; NULL is SQL null */
	size_t len;
	bool is_binary; /* else text, with its NUL */
};

/* pg_run() of at most PG_PARAMS_MOST parameters of either form. */
#define PG_PARAMS_MOST 64
int pg_run_params(PGconn *conn, PGresult **out, const char *sql, int n,
	const struct pg_param *params, struct err *err) MUST_CHECK;

/* The same in two steps, to do something else meanwhile: send it, after which the parameters are
 * not looked at any more, and wait for the answer. Between them nothing else may be run on the
 * connection. */
int pg_send_params(PGconn *conn, const char *sql, int n, const struct pg_param *params,
	struct err *err) MUST_CHECK;
int pg_receive(PGconn *conn, PGresult **out, struct err *err) MUST_CHECK;

/* pg_run() of a statement with no parameters; several statements separated by ; are one
 * transaction. */
int pg_run_simple(PGconn *conn, const char *sql, struct err *err) MUST_CHECK;

/* Turn a failed result (borrowed, may be NULL) into a code and sentence. */
int pg_error(PGconn *conn, const PGresult *result, struct err *err);

/* An answer that has secrets in it lies in the result and in libpq's buffer of the connection.
 * Clear the one (NULL is fine), wiping it; have the other, of at most so many bytes, overwritten by
 * an answer that has none. */
void pg_clear_secret(PGresult *result);
void pg_overwrite(PGconn *conn, size_t bytes);

/* Value of a cell as a whole number; 0 for null. */
int64_t pg_int(const PGresult *result, int row, int column);

/* A pool of at most `most` connections that are opened when first needed, as by pg_open(). Any
 * thread may take. */
struct pg_pool;
int pg_pool_open(struct pg_pool **out, const char *conninfo, const char *application, int schema,
	int most, struct err *err) MUST_CHECK;
void pg_pool_close(struct pg_pool **pool);

/* Lend a connection until pg_pool_put(); waits at most 5 s for a free one (-EAGAIN). */
int pg_pool_take(struct pg_pool *pool, PGconn **conn, struct err *err) MUST_CHECK;
/* Give it back; one that is broken or inside a transaction is closed instead of lent again. */
void pg_pool_put(struct pg_pool *pool, PGconn *conn);

/* Take, run one statement by pg_run_prepared(), give back. A connection found lost is replaced
 * once. */
int pg_pool_run(struct pg_pool *pool, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err) MUST_CHECK;

/* The same for a row of less than a KiB that has secrets in it: pg_overwrite() is done, and
 * pg_clear_secret() left to do. */
int pg_pool_run_secret(struct pg_pool *pool, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err) MUST_CHECK;

#endif
