#include "lib/pg.h"

#include <libpq-events.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/stop.h"

#define CONNECT_TIMEOUT_S "3"
#define POOL_WAIT_S       5
#define SQLSTATE_LENGTH   5
#define PREPARED_MOST     64
#define PATIENCE_US       (60 * US_PER_SECOND)
#define STOP_PATIENCE_US  (2 * US_PER_SECOND)
#define SESSION           "-c timezone=UTC -c datestyle=ISO "

struct pg_pool {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	char *conninfo;
	char *application;
	int schema, most, lent, idle_count;
	PGconn **idle; /* a stack: the connection used last is used first */
};

static bool sqlstate_in(const char *state, const char *const *list)
{
	for (; *list; list++)
		if (!strncmp(state, *list, strlen(*list)))
			return true;
	return false;
}

int pg_error(PGconn *conn, const PGresult *result, struct err *err)
{
	/* Classes 08 connection, 57 shutdown and cancel, 25006 a standby where the primary was, 40
	 * rollback, 53 resources, 55 object state (locks), 42501 missing right, 58 system error. */
	static const char *const lost[] = { "08", "57P", "25006", NULL };
	static const char *const later[] = { "40", "53", "55", "57014", "42501", "58", NULL };
	static const char *const values[] = { "P0001", "22", "23", NULL };
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	if (!text || !*text)
		text = PQerrorMessage(conn);
	if (!state || strlen(state) != SQLSTATE_LENGTH)
		return err_set(err, PQstatus(conn) == CONNECTION_OK ? -EPROTO : -ECONNRESET,
			"database: %s", text);
	if (sqlstate_in(state, lost) || PQstatus(conn) != CONNECTION_OK)
		return err_set(err, -ECONNRESET, "database: %s", text);
	if (sqlstate_in(state, later))
		return err_set(err, -EAGAIN, "database: %s (%s)", text, state);
	if (!strcmp(state, "23505"))
		return err_set(err, -EEXIST, "%s", text);
	if (sqlstate_in(state, values))
		return err_set(err, -EINVAL, "%s", text);
	if (!strncmp(state, "42", 2)) /* no such table, function, column */
		return err_set(err, -ENOSYS, "database: %s (%s)", text, state);
	return err_set(err, -EPROTO, "database: %s (%s)", text, state);
}

static void notice(void *unused, const char *text)
{
	(void)unused;
	log_debug("database: %s", text);
}

/* Texts whose plans a connection keeps; it has this from pg_open() until PQfinish(). */
struct prepared {
	char *text[PREPARED_MOST];
	int next; /* place for a text that has none */
};

static int prepared_event(PGEventId id, void *info, void *unused)
{
	struct prepared *p;

	(void)unused;
	if (id == PGEVT_REGISTER) {
		p = calloc(1, sizeof *p);
		return p && PQsetInstanceData(((PGEventRegister *)info)->conn, prepared_event, p);
	}
	if (id == PGEVT_CONNDESTROY) {
		p = PQinstanceData(((PGEventConnDestroy *)info)->conn, prepared_event);
		for (int i = 0; p && i < PREPARED_MOST; i++)
			free(p->text[i]);
		free(p);
	}
	return 1;
}

/* 0 when the database has had that migration. */
static int schema_check(PGconn *conn, int schema, struct err *err)
{
	PGresult *newest = NULL;
	struct err inner;
	int had = 0, rc;

	if (!schema)
		return 0;
	rc = pg_run(conn, &newest, "select max(number) from migration", 0, NULL, &inner);
	if (!rc)
		had = (int)pg_int(newest, 0, 0);
	PQclear(newest);
	if (rc && rc != -ENOSYS)
		return err_set(err, -ECONNRESET, "%s", inner.msg);
	return had >= schema
		       ? 0
		       : err_set(err, -ECONNRESET,
				 "database: it has had migration %d, this version waits for %d",
				 had, schema);
}

int pg_open_with(PGconn **out, const char *conninfo, const char *application, int schema,
	const char *options, struct err *err)
{
	/* A peer that is gone without a word is given up after 10 s: TCP would try for minutes. */
	const char *const names[] = { "dbname", "fallback_application_name", "connect_timeout",
		"client_encoding", "keepalives_idle", "keepalives_interval", "keepalives_count",
		"tcp_user_timeout", "options", NULL };
	char session[512];
	const char *const values[] = { conninfo, application, CONNECT_TIMEOUT_S, "UTF8", "5", "2",
		"3", "10000", session, NULL };
	PGconn *conn;

	/* Being connected cannot be interrupted, so it is not begun any more. */
	if (stop_asked_mono_us())
		return err_set(err, -ECONNRESET, "database: not connected to while ending");
	snprintf(session, sizeof session, SESSION "%s", options);
	conn = PQconnectdbParams(names, values, 1);
	PQsetNoticeProcessor(conn, notice, NULL);
	if (!conn || PQstatus(conn) != CONNECTION_OK || PQsetnonblocking(conn, 1)) {
		err_set(err, -ECONNRESET, "database: %s",
			conn ? PQerrorMessage(conn) : "no memory");
	} else if (!PQregisterEventProc(conn, prepared_event, "prepared", NULL)) {
		err_set(err, -ECONNRESET, "database: no memory");
	} else if (!schema_check(conn, schema, err)) {
		*out = conn;
		return 0;
	}
	PQfinish(conn);
	return -ECONNRESET;
}

int pg_open(
	PGconn **out, const char *conninfo, const char *application, int schema, struct err *err)
{
	return pg_open_with(out, conninfo, application, schema, "", err);
}

/* Wait until the socket can go on; false: it has taken too long. */
static bool socket_wait(PGconn *conn, short events, int64_t until_mono_us)
{
	struct pollfd fds[2] = { { PQsocket(conn), events, 0 }, { stop_fd(), POLLIN, 0 } };
	int64_t asked = stop_asked_mono_us(), left;

	if (asked && until_mono_us > asked + STOP_PATIENCE_US)
		until_mono_us = asked + STOP_PATIENCE_US;
	left = stop_fd() < 0 ? INT32_MAX : until_mono_us - clock_mono_us();
	if (left <= 0)
		return false;
	poll(fds, asked || stop_fd() < 0 ? 1 : 2, (int)(left / 1000 + 1));
	return true;
}

/* The last result of what was sent, or the first that failed; NULL: the connection is of no use any
 * more. */
static PGresult *pg_await(PGconn *conn, int64_t patience_us)
{
	int64_t until = clock_mono_us() + patience_us;
	PGresult *last = NULL;

	for (;;) {
		int unsent = PQflush(conn);
		PGresult *next;

		if (unsent > 0) {
			if (!socket_wait(conn, POLLIN | POLLOUT, until))
				break;
			if (!PQconsumeInput(conn))
				break;
			continue;
		}
		if (unsent < 0)
			break;
		while (PQisBusy(conn)) {
			if (!socket_wait(conn, POLLIN, until)) {
				PQclear(last);
				return NULL;
			}
			if (!PQconsumeInput(conn))
				break; /* PQgetResult() has the error */
		}
		next = PQgetResult(conn);
		if (!next)
			return last;
		if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
			PQclear(next);
			continue;
		}
		PQclear(last);
		last = next;
		if (PQstatus(conn) != CONNECTION_OK)
			return last;
	}
	PQclear(last);
	return NULL;
}

static int pg_check(PGconn *conn, PGresult *result, PGresult **out, struct err *err)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		int rc = pg_error(conn, result, err);

		PQclear(result);
		return rc;
	}
	if (out)
		*out = result;
	else
		PQclear(result);
	return 0;
}

/* Still at work for us: a session in an unknown state must not be used again. */
static int pg_give_up(PGconn *conn, struct err *err)
{
	shutdown(PQsocket(conn), SHUT_RDWR);
	(void)PQconsumeInput(conn);
	return err_set(err, -ECONNRESET, "database: no answer");
}

static int pg_run_sent(PGconn *conn, int sent, int64_t patience_us, PGresult **out, struct err *err)
{
	PGresult *result = sent ? pg_await(conn, patience_us) : NULL;

	if (result || !sent || PQstatus(conn) != CONNECTION_OK)
		return pg_check(conn, result, out, err);
	return pg_give_up(conn, err);
}

int pg_run(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	struct err *err)
{
	return pg_run_sent(conn, PQsendQueryParams(conn, sql, n, NULL, params, NULL, NULL, 0),
		PATIENCE_US, out, err);
}

/* Have the connection keep the plan of a text in a place, in which another may be. */
static int prepare(PGconn *conn, struct prepared *p, int place, const char *name, const char *sql,
	int n, struct err *err)
{
	char *text = strdup(sql), deallocate[64];
	int rc = text ? 0 : err_set(err, -ENOMEM, "database: no memory");

	if (!rc && p->text[place]) {
		snprintf(deallocate, sizeof deallocate, "deallocate %s", name);
		rc = pg_run_simple(conn, deallocate, err);
		if (!rc) {
			free(p->text[place]);
			p->text[place] = NULL;
		}
	}
	if (!rc)
		rc = pg_run_sent(
			conn, PQsendPrepare(conn, name, sql, n, NULL), PATIENCE_US, NULL, err);
	if (rc)
		free(text);
	else
		p->text[place] = text;
	return rc;
}

int pg_run_prepared(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	struct err *err)
{
	struct prepared *p = PQinstanceData(conn, prepared_event);
	char name[24];
	int i = 0, rc = 0;

	if (!p)
		return pg_run(conn, out, sql, n, params, err);
	while (i < PREPARED_MOST && !(p->text[i] && strcmp(p->text[i], sql) == 0))
		i++;
	if (i == PREPARED_MOST)
		i = p->next;
	snprintf(name, sizeof name, "footfall_%d", i);
	if (!p->text[i] || strcmp(p->text[i], sql) != 0) {
		p->next = (i + 1) % PREPARED_MOST; /* also when this place is spoilt now */
		rc = prepare(conn, p, i, name, sql, n, err);
		if (rc)
			return rc;
	}
	return pg_run_sent(conn, PQsendQueryPrepared(conn, name, n, params, NULL, NULL, 0),
		PATIENCE_US, out, err);
}

int pg_run_within(PGconn *conn, PGresult **out, const char *sql, int n, const char *const *params,
	int ms, struct err *err)
{
	return pg_run_sent(conn, PQsendQueryParams(conn, sql, n, NULL, params, NULL, NULL, 0),
		ms * 1000LL, out, err);
}

static int params_send(PGconn *conn, const char *sql, int n, const struct pg_param *params)
{
	const char *values[PG_PARAMS_MOST];
	int lengths[PG_PARAMS_MOST], formats[PG_PARAMS_MOST];

	for (int i = 0; i < n; i++) {
		values[i] = params[i].value;
		lengths[i] = (int)params[i].len;
		formats[i] = params[i].is_binary;
	}
	return PQsendQueryParams(conn, sql, n, NULL, values, lengths, formats, 0);
}

int pg_run_params(PGconn *conn, PGresult **out, const char *sql, int n,
	const struct pg_param *params, struct err *err)
{
	return pg_run_sent(conn, params_send(conn, sql, n, params), PATIENCE_US, out, err);
}

int pg_send_params(
	PGconn *conn, const char *sql, int n, const struct pg_param *params, struct err *err)
{
	int64_t until = clock_mono_us() + PATIENCE_US;
	int unsent;

	if (!params_send(conn, sql, n, params))
		return pg_error(conn, NULL, err);
	/* All of it: the server would wait for the rest while the caller is busy. */
	while ((unsent = PQflush(conn)) > 0)
		if (!socket_wait(conn, POLLIN | POLLOUT, until) || !PQconsumeInput(conn))
			break;
	if (unsent && PQstatus(conn) == CONNECTION_OK)
		return pg_give_up(conn, err);
	return unsent ? pg_error(conn, NULL, err) : 0;
}

int pg_receive(PGconn *conn, PGresult **out, struct err *err)
{
	return pg_run_sent(conn, 1, PATIENCE_US, out, err);
}

int pg_run_simple(PGconn *conn, const char *sql, struct err *err)
{
	return pg_run_sent(conn, PQsendQuery(conn, sql), PATIENCE_US, NULL, err);
}

void pg_clear_secret(PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++)
		for (int column = 0; column < PQnfields(result); column++)
			sodium_memzero(PQgetvalue(result, row, column),
				(size_t)PQgetlength(result, row, column));
	PQclear(result);
}

void pg_overwrite(PGconn *conn, size_t bytes)
{
	char number[24];
	const char *params[] = { number };
	struct err ignored;

	/* An answer is read into the buffer from its begin. What surrounds a row is far below 1
	 * KiB. */
	snprintf(number, sizeof number, "%zu", bytes + 1024);
	if (pg_run(conn, NULL, "select repeat(' ', $1)", 1, params, &ignored))
		log_debug("database: its buffer was not overwritten: %s", ignored.msg);
}

int64_t pg_int(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

int pg_pool_open(struct pg_pool **out, const char *conninfo, const char *application, int schema,
	int most, struct err *err)
{
	struct pg_pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return err_set(err, -ENOMEM, "database pool");
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->freed, NULL);
	pool->schema = schema;
	pool->most = most;
	pool->conninfo = strdup(conninfo);
	pool->application = strdup(application);
	pool->idle = calloc((size_t)most, sizeof(PGconn *));
	if (!pool->conninfo || !pool->application || !pool->idle) {
		pg_pool_close(&pool);
		return err_set(err, -ENOMEM, "database pool");
	}
	*out = pool;
	return 0;
}

void pg_pool_close(struct pg_pool **pool_p)
{
	struct pg_pool *pool = *pool_p;

	if (!pool)
		return;
	for (int i = 0; pool->idle && i < pool->idle_count; i++)
		PQfinish(pool->idle[i]);
	free(pool->idle);
	free(pool->conninfo);
	free(pool->application);
	pthread_cond_destroy(&pool->freed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	*pool_p = NULL;
}

int pg_pool_take(struct pg_pool *pool, PGconn **conn, struct err *err)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += POOL_WAIT_S;
	pthread_mutex_lock(&pool->lock);
	while (pool->lent == pool->most && !rc)
		rc = pthread_cond_timedwait(&pool->freed, &pool->lock, &until);
	if (pool->lent == pool->most) {
		pthread_mutex_unlock(&pool->lock);
		return err_set(err, -EAGAIN, "database: all %d connections are busy", pool->most);
	}
	pool->lent++;
	*conn = pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
	pthread_mutex_unlock(&pool->lock);
	if (*conn)
		return 0;
	rc = pg_open(conn, pool->conninfo, pool->application, pool->schema, err);
	if (rc) {
		*conn = NULL;
		pg_pool_put(pool, NULL);
	}
	return rc;
}

void pg_pool_put(struct pg_pool *pool, PGconn *conn)
{
	if (conn &&
		(PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_IDLE)) {
		PQfinish(conn);
		conn = NULL;
	}
	pthread_mutex_lock(&pool->lock);
	pool->lent--;
	if (conn)
		pool->idle[pool->idle_count++] = conn;
	pthread_cond_signal(&pool->freed);
	pthread_mutex_unlock(&pool->lock);
}

static int pool_run(struct pg_pool *pool, PGresult **out, const char *sql, int n,
	const char *const *params, bool secret, struct err *err)
{
	int rc = 0;

	/* An idle connection may have died with its server; only a fresh one tells the truth.
	 * Statements run here are read-only or single, so a second try is safe. */
	for (int tries = 0; tries < pool->most + 1; tries++) {
		PGconn *conn = NULL;

		rc = pg_pool_take(pool, &conn, err);
		if (rc)
			return rc;
		rc = pg_run_prepared(conn, out, sql, n, params, err);
		if (!rc && secret)
			pg_overwrite(conn, 1024);
		pg_pool_put(pool, conn);
		if (rc != -ECONNRESET)
			return rc;
	}
	return rc;
}

int pg_pool_run(struct pg_pool *pool, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err)
{
	return pool_run(pool, out, sql, n, params, false, err);
}

int pg_pool_run_secret(struct pg_pool *pool, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err)
{
	return pool_run(pool, out, sql, n, params, true, err);
}
