/* What the service answers: POST /api/v2/query and GET /api/live/<site>. */
#ifndef FOOTFALL_QUERY_REPORT_H
#define FOOTFALL_QUERY_REPORT_H

#include <stdatomic.h>

#include "lib/http.h"
#include "lib/pg.h"
#include "services/query/live.h"

/* At once to the metrics database: each may take a core and some memory there. */
#define QUERY_CONNECTIONS 8

enum outcome { ANSWERED, REFUSED, FORBIDDEN, UNAVAILABLE, FAILED, OUTCOMES };

/* The service; handlers get it. */
struct query {
	struct pg_pool *app_db, *metrics_db;
	struct live *live;
	char *country_names; /* a JSON object by code; owned */
	atomic_llong outcomes[OUTCOMES];
	atomic_bool databases_down; /* said in the log, once */
};

void report_query(struct http_request *req, void *query);
void report_live(struct http_request *req, void *query);

/* Do both databases answer, with the tables and rights that reports need? */
int report_ready(void *query, struct err *err);
void report_metrics(void *query, FILE *out);

#endif
