/* query: answers what was counted. Reports by POST /api/v2/query for the dashboard and for
 * programs, and a stream that says when there is something new. It only reads; while a database is
 * down it answers 503 and recovers by itself. SIGTERM: end streams, answer what is in hand, exit 0.
 */
#include <malloc.h>
#include <stdlib.h>

#include "lib/http.h"
#include "lib/http_client.h"
#include "lib/iso.h"
#include "lib/log.h"
#include "lib/schema.h"
#include "lib/secret.h"
#include "lib/settings.h"
#include "lib/stop.h"
#include "services/query/debug.h"
#include "services/query/dropped.h"
#include "services/query/report.h"

#define APP_CONNECTIONS 4

static int names_read(struct query *query, const char *iso_codes, struct err *err)
{
	struct iso *countries;
	int rc = iso_open(&countries, iso_codes, ISO_COUNTRIES, err);

	if (rc)
		return rc;
	query->country_names = iso_json(countries);
	iso_close(&countries);
	return query->country_names ? 0 : err_set(err, -ENOMEM, "names of countries");
}

static int query_open(struct query *query, const struct settings *s, struct err *err)
{
	int rc = names_read(query, s->iso_codes, err);

	query->derived = derived_new(s);
	if (!rc && !query->derived)
		rc = err_set(err, -ENOMEM, "query");
	if (!rc)
		rc = counter_open(&query->counter, err);
	if (!rc)
		rc = pg_pool_open(&query->app_db, s->app_db, "footfall-query", schema_app,
			APP_CONNECTIONS, err);
	if (!rc)
		rc = pg_pool_open(&query->metrics_db, s->metrics_db, "footfall-query",
			schema_metrics, QUERY_CONNECTIONS, err);
	if (!rc)
		rc = live_open(&query->live,
			&(struct live_options){ .addr = s->live_addr,
				.most = (int)s->live_max,
				.link_secret = s->link_secret,
				.link_allow = s->link_allow,
				.link_plain = s->link_plain },
			err);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct http_route routes[] = { { "POST", "/api/v2/query", report_query },
		{ "GET", "/api/live/*", report_live },
		{ "GET", "/api/reports/dropped", dropped_report },
		{ "GET", "/api/debug/request", debug_request },
		{ "GET", "/api/debug/recent", debug_recent }, { "GET", "/counter/*", counter_get },
		{ "GET", "/*/counter/*", counter_get }, { 0 } };
	struct query query = { 0 };
	struct settings s;
	struct addr_nets trusted;
	struct http_server *server = NULL, *admin = NULL;
	struct err err = { 0 };
	int rc;

	mallopt(M_ARENA_MAX, 2); /* an arena per thread would keep what each once needed */
	stop_block();
	rc = settings_start(
		&s, FOR_QUERY, "query", "answers reports and the live view", argc, argv, &err);
	if (!rc)
		rc = secret_init(&err);
	if (!rc)
		rc = addr_nets_parse(&trusted, s.trusted_proxies, &err);
	if (!rc)
		rc = ingresses_open(&query.ingresses, s.ingress_admins, &err);
	if (!rc)
		rc = http_client_init(&err);
	query.trusted = &trusted;
	query.trusted_list = s.trusted_proxies;
	if (!rc)
		rc = query_open(&query, &s, &err);
	/* A thread for each stream besides those of reports: streams can never starve them. */
	if (!rc)
		rc = http_server_open(&server,
			&(struct http_options){ .addr = s.query_addr,
				.threads = (int)(s.http_threads + s.live_max),
				.routes = routes,
				.service = &query,
				.trusted = &trusted },
			&err);
	if (!rc)
		rc = admin_open(&admin,
			&(struct admin_options){ .addr = s.admin_addr,
				.service_name = "query",
				.service = &query,
				.ready = report_ready,
				.metrics = report_metrics },
			&err);
	if (!rc) {
		log_info("query: started addr=%s live=%s", s.query_addr, s.live_addr);
		while (!stop_wait(60000))
			derived_rest(query.derived);
		log_info("query: stopping");
	}
	if (query.live)
		live_stop(query.live); /* or the server would wait for its streams */
	http_servers_close(&server, &admin);
	live_close(&query.live);
	pg_pool_close(&query.metrics_db);
	pg_pool_close(&query.app_db);
	ingresses_close(&query.ingresses);
	derived_free(&query.derived);
	counter_close(&query.counter);
	free(query.country_names);
	settings_clear(&s);
	if (rc && rc != -ECANCELED)
		log_error("query: %s", err.msg);
	return rc && rc != -ECANCELED ? EXIT_FAILURE : EXIT_SUCCESS;
}
