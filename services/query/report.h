/* What the service answers: POST /api/v2/query and GET /api/live/<site>; and what all its handlers
 * share. */
#ifndef FOOTFALL_QUERY_REPORT_H
#define FOOTFALL_QUERY_REPORT_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/http.h"
#include "lib/pg.h"
#include "services/query/access.h"
#include "services/query/counter.h"
#include "services/query/derived.h"
#include "services/query/ingresses.h"
#include "services/query/live.h"

/* At once to the metrics database: each may take a core and some memory there. */
#define QUERY_CONNECTIONS 8

enum outcome { ANSWERED, REFUSED, FORBIDDEN, UNAVAILABLE, FAILED, OUTCOMES };

/* The service; handlers get it. */
struct query {
	struct pg_pool *app_db, *metrics_db;
	struct live *live;
	const struct addr_nets *trusted; /* proxies */
	const char *trusted_list;        /* as it was set */
	struct ingresses *ingresses;
	struct derived *derived;
	struct counter *counter;
	char *country_names; /* a JSON object by code; owned */
	atomic_llong outcomes[OUTCOMES];
	atomic_bool databases_down; /* said in the log, once */
};

/* Read what the request shows of its right, or answer 401. */
bool query_credential(struct query *query, struct http_request *req, struct credential *credential);
/* Answer what failed with that code; the outcome is counted. */
void query_answer_failure(
	struct query *query, struct http_request *req, int code, const struct err *err);
/* Read of the metrics database, in one snapshot and at most 10 s a statement. read may be called
 * again, from the beginning, on another connection; what it is given is `what`. */
int query_read(struct query *query, int (*read)(void *what, PGconn *conn, struct err *err),
	void *what, struct err *err) MUST_CHECK;
/* Note that a request was answered. */
void query_answered(struct query *query);

void report_query(struct http_request *req, void *query);
void report_live(struct http_request *req, void *query);

/* Do both databases answer, with the tables and rights that reports need? */
int report_ready(void *query, struct err *err);
void report_metrics(void *query, FILE *out);

#endif
