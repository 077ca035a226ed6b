#include "services/query/dropped.h"

#include <stdio.h>
#include <stdlib.h>

#define DAYS_MOST     90
#define DAYS_FALLBACK "7"
#define DAYS_SIZE     64
#define SITE_SIZE     256 /* a domain or a property id */

/* Sums of whole hours (UTC), the latest first; 90 days of 20 reasons are 43,200 rows at most. */
static const char dropped_sql[] =
	"with sums as materialized (select hour, reason, count from dropped where site_id = $1 and "
	"hour > now() - $2::integer * interval '1 day') "
	"select json_build_object("
	"'total', (select coalesce(json_object_agg(reason, count order by count desc, reason), "
	"'{}') from (select reason, sum(count)::bigint as count from sums group by reason) t), "
	"'hours', (select coalesce(json_agg(json_build_object('hour', to_char(hour at time zone "
	"'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'reason', reason, 'count', count) "
	"order by hour desc, reason), '[]') from sums), "
	"'samples', (select coalesce(json_agg(json_build_object('time', to_char(ts at time zone "
	"'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'reason', reason, 'host', host, 'path', path, "
	"'agent', agent, 'referrer', referrer, 'origin', origin) order by ts desc), '[]') "
	"from (select * from dropped_sample where site_id = $1 and ts > now() - $2::integer * "
	"interval '1 day' order by ts desc limit 100) s))";

static int read_days(struct http_request *req, char days[DAYS_SIZE], struct err *err)
{
	char *end;
	long number;

	if (!http_param(req, "days", days, DAYS_SIZE) || !*days)
		snprintf(days, DAYS_SIZE, "%s", DAYS_FALLBACK);
	number = strtol(days, &end, 10);
	if (*end || number < 1 || number > DAYS_MOST)
		return err_set(err, -EINVAL, "days must be 1 to %d", DAYS_MOST);
	return 0;
}

void dropped_report(struct http_request *req, void *service)
{
	char name[SITE_SIZE], days[DAYS_SIZE], id[24];
	const char *const params[] = { id, days };
	struct query *query = service;
	struct credential credential;
	struct err err = { 0 };
	PGresult *found = NULL;
	struct site site;
	int rc = 0;

	if (!query_credential(query, req, &credential))
		return;
	if (!http_param(req, "site", name, sizeof name) || !*name)
		rc = err_set(&err, -EINVAL, "site is missing: a domain or a property id");
	if (!rc)
		rc = read_days(req, days, &err);
	if (!rc)
		rc = access_check(&site, query->app_db, &credential, name, &err);
	if (!rc) {
		snprintf(id, sizeof id, "%lld", (long long)site.id);
		rc = pg_pool_run(query->metrics_db, &found, dropped_sql, 2, params, &err);
	}
	if (rc) {
		query_answer_failure(query, req, rc, &err);
	} else {
		http_add_header(req, "Cache-Control", "no-store");
		http_answer(req, 200, "application/json", span_of(PQgetvalue(found, 0, 0)));
		query_answered(query);
	}
	PQclear(found);
}
