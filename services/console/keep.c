#include "services/console/keep.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/log.h"
#include "lib/schema.h"
#include "lib/stop.h"

#define TURN_MS  (600 * 1000)
#define RETRY_MS (10 * 1000)
#define LOOK_MS  (3600 * 1000) /* what looks at all rows of a site, and locks nothing */
/* The server itself ends a statement that takes too long, a little before we would give it up, and
 * soon one whose asker is gone. */
#define SESSION    "-c statement_timeout=3500s -c client_connection_check_interval=10s"
#define ROWS       "5000" /* of a step: its site's lock is held for a tenth of a second */
#define DROP_TRIES 3      /* of a month, in a turn */
#define DROP_PAUSE 1000   /* ms */

struct keep {
	struct console *console;
	PGconn *metrics;
	bool is_mine; /* no other console does it */
	bool failing; /* as was said in the log */
	pthread_t thread;
};

static int run(struct keep *k, PGresult **out, const char *sql, int n, const char *const *params,
	struct err *err)
{
	if (stop_wait(0))
		return err_set(err, -ECANCELED, "the console is ending");
	return pg_run_within(k->metrics, out, sql, n, params, LOOK_MS, err);
}

/* Call a step that answers a number until that is 0. */
static int run_until_0(
	struct keep *k, const char *sql, int n, const char *const *params, struct err *err)
{
	int64_t more = 1;
	int rc = 0;

	while (!rc && more) {
		PGresult *found = NULL;

		rc = run(k, &found, sql, n, params, err);
		more = rc ? 0 : pg_int(found, 0, 0);
		PQclear(found);
	}
	return rc;
}

/* What one site has met must not keep the others waiting: it is for the next turn. Without a
 * connection there is nothing to go on with. */
static int site_over(int rc, const char *site, const struct err *err)
{
	if (!rc || rc == -ECANCELED || rc == -ECONNRESET)
		return rc;
	log_error("keep: a site is left for later site=%s: %s", site, err->msg);
	return 0;
}

/* --- age ----------------------------------------------------------------------------------------
 */

/* Drop the months beyond the limit. One that somebody reads for long (a dump) is left to a later
 * turn. */
static int months_drop(struct keep *k, struct err *err)
{
	char months[24];
	const char *const params[] = { months };
	bool more = k->console->settings.retention_months != 0;
	int rc = 0;

	snprintf(months, sizeof months, "%lld", (long long)k->console->settings.retention_months);
	for (int tries = 0; !rc && more;) {
		PGresult *found = NULL;
		bool dropped;

		rc = run(k, &found, "select part, dropped from retention_drop($1)", 1, params, err);
		more = !rc && !PQgetisnull(found, 0, 0);
		dropped = more && PQgetvalue(found, 0, 1)[0] == 't';
		tries = dropped ? 0 : tries + 1;
		if (dropped) {
			log_info("keep: a month was dropped table=%s", PQgetvalue(found, 0, 0));
		} else if (more && tries == DROP_TRIES) {
			log_info("keep: a month that somebody reads is left for later table=%s",
				PQgetvalue(found, 0, 0));
			more = false;
		} else if (more) {
			stop_wait(DROP_PAUSE);
		}
		PQclear(found);
	}
	return rc;
}

static int part_trim(struct keep *k, const char *site, const char *part, struct err *err)
{
	const char *params[] = { site, part, NULL, ROWS };
	PGresult *last = NULL;
	int rc;

	do {
		PGresult *next = NULL;

		rc = run(k, &next, "select retention_part($1, $2, $3, $4)", 4, params, err);
		PQclear(last);
		last = next;
		params[2] = rc || PQgetisnull(last, 0, 0) ? NULL : PQgetvalue(last, 0, 0);
	} while (params[2]);
	PQclear(last);
	return rc;
}

static int strings_trim(struct keep *k, const char *site, struct err *err)
{
	const char *const params[] = { site, ROWS };
	int rc = run(k, NULL, "select strings_doubt($1)", 1, params, err);

	if (!rc)
		rc = run_until_0(k, "select strings_take($1, $2)", 2, params, err);
	if (!rc)
		rc = run(k, NULL, "select strings_restore($1)", 1, params, err);
	if (!rc)
		rc = run_until_0(k, "select strings_drop($1, $2)", 2, params, err);
	return rc;
}

static int site_trim(
	struct keep *k, const char *site, const char *before, const char *strings, struct err *err)
{
	const char *const params[] = { site, before, strings };
	PGresult *parts = NULL;
	int rc = run(k, &parts, "select retention_parts($1)", 1, params, err);

	for (int i = 0; !rc && i < PQntuples(parts); i++)
		rc = part_trim(k, site, PQgetvalue(parts, i, 0), err);
	PQclear(parts);
	if (!rc && *strings == 't')
		rc = strings_trim(k, site, err);
	if (!rc)
		rc = run(k, NULL, "select retention_finish($1, $2, $3)", 3, params, err);
	if (!rc)
		log_info("keep: what is too old is gone site=%s before=%s", site, before);
	return rc;
}

static int sites_trim(struct keep *k, struct err *err)
{
	PGresult *due = NULL;
	int rc = run(k, NULL, "select retention_note()", 0, NULL, err);

	if (!rc)
		rc = run(k, &due, "select site_id, before, strings from retention_due()", 0, NULL,
			err);
	for (int i = 0; !rc && i < PQntuples(due); i++) {
		const char *site = PQgetvalue(due, i, 0);

		rc = site_trim(k, site, PQgetvalue(due, i, 1), PQgetvalue(due, i, 2), err);
		rc = site_over(rc, site, err);
	}
	PQclear(due);
	return rc;
}

/* --- removals -----------------------------------------------------------------------------------
 */

/* A site that is gone here and is there in the app database: that was restored from before the
 * removal. Asked in this order, as a removal begins in the app database. */
static int removals_undo(struct keep *k, struct err *err)
{
	PGresult *known = NULL, *there = NULL;
	const char *ids;
	int rc = run(k, &known, "select removal_known()", 0, NULL, err);

	ids = rc ? "" : PQgetvalue(known, 0, 0);
	if (!rc)
		rc = console_run(k->console, &there,
			"select array_agg(id) from site where id = any ($1)", 1, &ids, err);
	if (!rc && !PQgetisnull(there, 0, 0)) {
		ids = PQgetvalue(there, 0, 0);
		log_warn("keep: sites that were removed are there again sites=%s", ids);
		rc = run(k, NULL, "select removal_undo($1)", 1, &ids, err);
	}
	PQclear(known);
	PQclear(there);
	return rc;
}

static int removal_end(struct keep *k, const char *site, struct err *err)
{
	const char *const params[] = { site, ROWS };
	int rc = run_until_0(k, "select removal_step($1, $2)", 2, params, err);

	if (!rc)
		rc = console_run(k->console, NULL,
			"update site_removed set property_id = null, domain = null where id = $1",
			1, params, err);
	if (!rc)
		log_info("keep: all of a removed site is gone site=%s", site);
	return rc;
}

/* Removals that were interrupted, and those that a restored metrics database has forgotten. */
static int removals_end(struct keep *k, struct err *err)
{
	PGresult *removed = NULL, *due = NULL;
	int rc = removals_undo(k, err);

	if (!rc)
		rc = console_run(k->console, &removed,
			"select coalesce(array_agg(id), '{}'), "
			"coalesce(array_agg(id) filter (where domain is not null), '{}') "
			"from site_removed",
			0, NULL, err);
	if (!rc)
		rc = run(k, &due, "select removal_due($1) union select unnest($2::integer[])", 2,
			(const char *const[]){
				PQgetvalue(removed, 0, 0), PQgetvalue(removed, 0, 1) },
			err);
	for (int i = 0; !rc && i < PQntuples(due); i++)
		rc = site_over(
			removal_end(k, PQgetvalue(due, i, 0), err), PQgetvalue(due, i, 0), err);
	PQclear(removed);
	PQclear(due);
	return rc;
}

/* --- the thread ---------------------------------------------------------------------------------
 */

/* A connection, and with it the right to do it. */
static int connection_need(struct keep *k, struct err *err)
{
	PGresult *locked = NULL;
	int rc = 0;

	if (k->metrics && PQstatus(k->metrics) != CONNECTION_OK) {
		PQfinish(k->metrics);
		k->metrics = NULL;
	}
	if (!k->metrics) {
		k->is_mine = false;
		rc = pg_open_with(&k->metrics, k->console->settings.metrics_db,
			"footfall console keep", schema_metrics, SESSION, err);
		if (rc)
			k->metrics = NULL;
		else
			rc = pg_run_simple(k->metrics, "listen footfall_keep", err);
	}
	if (rc || k->is_mine)
		return rc;
	rc = run(
		k, &locked, "select pg_try_advisory_lock(hashtext('footfall keep'))", 0, NULL, err);
	k->is_mine = !rc && PQgetvalue(locked, 0, 0)[0] == 't';
	PQclear(locked);
	return rc;
}

static int turn(struct keep *k, struct err *err)
{
	int rc = connection_need(k, err);

	if (rc || !k->is_mine)
		return rc;
	/* Months come last, since they may have to wait, and then what else was in them. */
	rc = run(k, NULL, "select partitions_ahead()", 0, NULL, err);
	if (!rc)
		rc = removals_end(k, err);
	if (!rc)
		rc = sites_trim(k, err);
	if (!rc)
		rc = months_drop(k, err);
	if (!rc && k->console->settings.retention_months)
		rc = sites_trim(k, err);
	return rc;
}

/* Whether somebody has said something since the last time. What came with an answer is no longer in
 * the socket. */
static bool told(struct keep *k)
{
	PGnotify *notice;
	bool any = false;

	if (k->metrics && PQconsumeInput(k->metrics))
		for (; (notice = PQnotifies(k->metrics)); any = true)
			PQfreemem(notice);
	return any;
}

/* Until the next turn, somebody's word, or the end; true: the end. */
static bool wait_for_turn(struct keep *k, int ms)
{
	struct pollfd fds[] = { { stop_fd(), POLLIN, 0 },
		{ k->metrics ? PQsocket(k->metrics) : -1, POLLIN, 0 } };

	if (!told(k)) {
		poll(fds, 2, ms);
		told(k);
	}
	return stop_wait(0);
}

static void *keep_main(void *arg)
{
	struct keep *k = arg;
	int rc;

	do {
		struct err err = { 0 };

		rc = turn(k, &err);
		if (rc && rc != -ECANCELED && !k->failing)
			log_error("keep: the metrics database is not looked after: %s", err.msg);
		if (!rc && k->failing)
			log_info("keep: the metrics database is looked after again");
		k->failing = rc != 0;
	} while (!wait_for_turn(k, rc ? RETRY_MS : TURN_MS));
	PQfinish(k->metrics);
	return NULL;
}

int keep_open(struct keep **out, struct console *console, struct err *err)
{
	struct keep *k = calloc(1, sizeof *k);

	if (!k)
		return err_set(err, -ENOMEM, "keep");
	k->console = console;
	if (pthread_create(&k->thread, NULL, keep_main, k)) {
		free(k);
		return err_set(err, -EAGAIN, "keep: no thread");
	}
	*out = k;
	return 0;
}

void keep_close(struct keep **k_p)
{
	if (!*k_p)
		return;
	pthread_join((*k_p)->thread, NULL);
	free(*k_p);
	*k_p = NULL;
}
