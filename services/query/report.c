#include "services/query/report.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

#include "lib/log.h"
#include "services/query/access.h"
#include "services/query/answer.h"
#include "services/query/request.h"
#include "services/query/sql.h"

#define LABELS_MOST     10000 /* as many as rows: 27 years of days, 416 days of hours */
#define LIVE_COMMENT_MS 15000

/* One snapshot for the range, the rows and the labels. Compiling a statement takes longer than
 * running it here; the planner guesses the rows of a report's later steps badly, and a nested loop
 * over more than it thought is the one mistake that costs minutes; a month's visitors fit in this
 * memory. */
static const char begin_sql[] = "begin isolation level repeatable read read only;"
				" set local statement_timeout = '10s';"
				" set local jit = off; set local enable_nestloop = off;"
				" set local work_mem = '32MB'";

static const struct {
	int code, status;
	enum outcome outcome;
} statuses[] = { { -EINVAL, 400, REFUSED }, { -EACCES, 401, FORBIDDEN }, { -EPERM, 403, FORBIDDEN },
	{ -ENOENT, 404, FORBIDDEN }, { -EAGAIN, 503, UNAVAILABLE },
	{ -ECONNRESET, 503, UNAVAILABLE } };

/* A database that cannot be reached is logged when that begins and when it ends. */
static void note_databases(struct query *query, bool down, const struct err *err)
{
	if (atomic_exchange(&query->databases_down, down) == down)
		return;
	if (down)
		log_warn("report: the database cannot be reached error=\"%s\"", err->msg);
	else
		log_info("report: the database is reached again");
}

void query_answer_failure(
	struct query *query, struct http_request *req, int code, const struct err *err)
{
	int status = 500;
	enum outcome outcome = FAILED;

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i].code == code) {
			status = statuses[i].status;
			outcome = statuses[i].outcome;
		}
	atomic_fetch_add(&query->outcomes[outcome], 1);
	if (status == 503)
		http_add_header(req, "Retry-After", "5");
	if (code == -ECONNRESET) {
		note_databases(query, true, err);
		http_answer_error(req, status, "the database cannot be reached now: try again");
	} else if (code == -EAGAIN) {
		log_warn("report: refused for now error=\"%s\"", err->msg);
		http_answer_error(req, status,
			"the database is busy, or the report took longer than 10 seconds: try"
			" again, or ask for a shorter range");
	} else if (outcome == FAILED) {
		log_error("report: failed error=\"%s\"", err->msg);
		http_answer_error(req, status, "the report failed; the log says why");
	} else {
		http_answer_error(req, status, "%s", err->msg);
	}
}

void query_answered(struct query *query)
{
	note_databases(query, false, NULL);
	atomic_fetch_add(&query->outcomes[ANSWERED], 1);
}

/* Read what the request shows of its right, or answer 401. */
bool query_credential(struct query *query, struct http_request *req, struct credential *credential)
{
	if (credential_read(credential, req))
		return true;
	atomic_fetch_add(&query->outcomes[FORBIDDEN], 1);
	http_answer_error(req, 401, "log in, or send a key as \"Authorization: Bearer KEY\"");
	return false;
}

struct report {
	struct request request;
	const char *country_names;
	struct site site;
	struct period period;
	PGresult *rows, *labels;
};

static void report_clear(struct report *r)
{
	PQclear(r->rows);
	PQclear(r->labels);
	r->rows = r->labels = NULL;
}

static int report_rows(struct report *r, PGconn *conn, struct err *err)
{
	const struct request *request = &r->request;
	struct sql sql;
	char site[24], limit[24], offset[24];
	const char *const values[SQL_PARAMS_MOST] = { [SQL_SITE] = site,
		[SQL_BUILD] = r->period.build,
		[SQL_ZONE] = r->period.zone,
		[SQL_STARTS] = r->period.starts,
		[SQL_ENDS] = r->period.ends,
		[SQL_FIRST_DATE] = r->period.first_date,
		[SQL_END_DATE] = r->period.end_date,
		[SQL_FIRST_MONTH] = r->period.first_month,
		[SQL_END_MONTH] = r->period.end_month,
		[SQL_LIMIT] = limit,
		[SQL_OFFSET] = offset,
		[SQL_COUNTRY_NAMES] = r->country_names };
	const char *params[SQL_PARAMS_MOST];
	int rc = sql_build(&sql, request, r->period.whole_days, r->period.some_persistent, err);

	if (rc)
		return rc;
	snprintf(site, sizeof site, "%" PRId64, r->site.id);
	snprintf(limit, sizeof limit, "%" PRId64, request->limit);
	snprintf(offset, sizeof offset, "%" PRId64, request->offset);
	for (int i = 0; i < sql.param_count; i++)
		params[i] = values[sql.params[i]];
	rc = (sql.is_of_rollups ? pg_run_prepared : pg_run)(
		conn, &r->rows, sql.text, sql.param_count, params, err);
	sql_clear(&sql);
	return rc;
}

static int report_labels(struct report *r, PGconn *conn, struct err *err)
{
	const char *unit = r->request.dimensions[request_time_dimension(&r->request)]->column;
	const char *const params[] = { r->period.zone, unit, r->period.starts, r->period.ends };

	return pg_run_prepared(conn, &r->labels,
		"select label from report_labels($1, $2, $3::timestamptz, $4::timestamptz)", 4,
		params, err);
}

static int report_units(struct report *r, struct err *err)
{
	const struct dimension *time;

	if (request_time_dimension(&r->request) < 0)
		return 0;
	request_set_time_unit(&r->request, period_unit(&r->period));
	time = r->request.dimensions[request_time_dimension(&r->request)];
	if (r->request.time_labels && period_intervals(&r->period, time->column) > LABELS_MOST)
		return err_set(err, -EINVAL,
			"the range has more than %d intervals of \"%s\": ask for a shorter range,"
			" a longer interval, or no time_labels",
			LABELS_MOST, time->name);
	return 0;
}

static int report_read(void *what, PGconn *conn, struct err *err)
{
	struct report *r = what;
	int rc;

	report_clear(r);
	rc = period_resolve(&r->period, conn, &r->request.range, r->site.id, r->site.zone,
		r->request.trim, err);
	if (!rc)
		rc = report_units(r, err);
	if (!rc)
		rc = report_rows(r, conn, err);
	if (!rc && r->request.time_labels)
		rc = report_labels(r, conn, err);
	return rc;
}

/* Idle connections may have died with their server; only one that is new tells the truth, so each
 * of the pool may fail once. */
int query_read(struct query *query, int (*read)(void *what, PGconn *conn, struct err *err),
	void *what, struct err *err)
{
	int rc = -ECONNRESET;

	for (int tries = 0; tries <= QUERY_CONNECTIONS && rc == -ECONNRESET; tries++) {
		struct err ignored;
		PGconn *conn;

		rc = pg_pool_take(query->metrics_db, &conn, err);
		if (rc)
			return rc;
		rc = pg_run_simple(conn, begin_sql, err);
		if (!rc)
			rc = read(what, conn, err);
		if (pg_run_simple(conn, "rollback", &ignored) && !rc)
			rc = 0; /* all was read; pg_pool_put() closes what is broken */
		pg_pool_put(query->metrics_db, conn);
	}
	return rc;
}

static int report_answer(struct report *r, struct http_request *req, struct err *err)
{
	struct answer_parts parts = { &r->request, &r->period, r->site.domain, r->rows, r->labels };
	struct span body = { NULL, 0 };
	char *text = NULL;
	int rc = answer_write(&text, &body.len, &parts, err);

	if (rc)
		return rc;
	body.ptr = text;
	http_add_header(req, "Cache-Control", "no-store");
	http_answer(req, 200, "application/json", body);
	free(text);
	return 0;
}

void report_query(struct http_request *req, void *service)
{
	struct query *query = service;
	struct credential credential;
	struct report report = { .country_names = query->country_names };
	struct err err = { 0 };
	struct span body;
	int rc;

	if (!query_credential(query, req, &credential) || http_body(req, REQUEST_BODY_MOST, &body))
		return;
	rc = request_parse(&report.request, body, &err);
	if (!rc)
		rc = access_check(
			&report.site, query->app_db, &credential, report.request.site, &err);
	if (!rc)
		rc = query_read(query, report_read, &report, &err);
	if (!rc)
		rc = report_answer(&report, req, &err);
	if (rc) {
		query_answer_failure(query, req, rc, &err);
	} else {
		query_answered(query);
	}
	bool large = report.rows && PQntuples(report.rows) > 1000;

	report_clear(&report);
	if (large)
		malloc_trim(0); /* what a large answer took would stay resident otherwise */
}

/* Tell of new events until the client is gone, the service ends, or the right has ended, which is
 * looked up anew with each comment. While the database cannot say, the stream goes on. */
static void live_stream(struct query *query, struct http_request *req, struct live_stream *stream,
	const struct credential *credential, const char *name)
{
	int rc = http_stream_open(req);

	while (!rc) {
		int64_t count = live_wait(query->live, stream, LIVE_COMMENT_MS);
		struct err err;
		struct site site;
		char text[40];

		if (count < 0)
			break;
		if (count > 0) {
			snprintf(text, sizeof text, "{\"events\":%" PRId64 "}", count);
			rc = http_stream_send(req, text, false);
			continue;
		}
		rc = http_stream_send(req, "waiting", true);
		if (!rc) {
			rc = access_check(&site, query->app_db, credential, name, &err);
			if (rc != -EACCES && rc != -ENOENT)
				rc = 0;
		}
	}
}

void report_live(struct http_request *req, void *service)
{
	struct query *query = service;
	struct span name = span_from(http_path(req), sizeof "/api/live/" - 1);
	struct credential credential;
	struct live_stream *stream;
	struct site site;
	struct err err;
	char text[REQUEST_SITE_SIZE];
	int rc;

	if (!query_credential(query, req, &credential))
		return;
	snprintf(text, sizeof text, "%.*s", (int)span_first(name, sizeof text - 1).len, name.ptr);
	rc = access_check(&site, query->app_db, &credential, text, &err);
	if (rc) {
		query_answer_failure(query, req, rc, &err);
		return;
	}
	if (span_equals(http_method(req), SPAN("HEAD"))) {
		http_answer(req, 200, "text/event-stream", SPAN(""));
		return;
	}
	stream = live_join(query->live, site.id);
	if (!stream) {
		http_add_header(req, "Retry-After", "30");
		http_answer_error(req, 503, "there are too many live streams: try again later");
		return;
	}
	live_stream(query, req, stream, &credential, text);
	live_leave(query->live, &stream);
}

static int database_ready(struct pg_pool *pool, const char *sql, struct err *err)
{
	int rc = pg_pool_run(pool, NULL, sql, 0, NULL, err);

	/* All connections busy is no reason to be taken out of service. */
	return rc == -EAGAIN && strstr(err->msg, "busy") ? 0 : rc;
}

int report_ready(void *service, struct err *err)
{
	struct query *query = service;
	int rc = database_ready(query->app_db,
		"select site.counter from login_session, site, site_member, api_key, site_alias "
		"limit 0",
		err);

	if (!rc)
		rc = database_ready(query->metrics_db,
			"select 'visit_running'::regproc, visit.bot from rollup_day, rollup_month,"
			" visit, visit_page, event, string limit 0",
			err);
	return rc;
}

void report_metrics(void *service, FILE *out)
{
	static const char *const names[OUTCOMES] = { "answered", "refused", "forbidden",
		"unavailable", "failed" };
	struct query *query = service;

	for (int i = 0; i < OUTCOMES; i++)
		fprintf(out, "footfall_queries_total{outcome=\"%s\"} %lld\n", names[i],
			atomic_load(&query->outcomes[i]));
	live_metrics(query->live, out);
}
