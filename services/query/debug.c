#include "services/query/debug.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/http_client.h"
#include "lib/log.h"
#include "lib/settings.h"

#define RECENT_MOST 50
#define SITE_SIZE   256 /* a domain or a property id */

/* When workers run, an event is in the tables long before. */
#define APPLIED_WITHIN_US (60 * US_PER_SECOND)

/* --- this very request --------------------------------------------------------------------------
 */

/* A text of the request, which may hold bytes that are not UTF-8. */
static json_t *header_text(const struct http_request *req, const char *name)
{
	struct span value = http_header(req, name);
	json_t *text = value.len ? json_stringn(value.ptr, value.len) : json_null();

	return text ? text : json_string("(not UTF-8)");
}

static json_t *headers_json(const struct http_request *req)
{
	static const char *const names[] = { "Host", "Origin", "User-Agent", "Accept-Language",
		"Referer", "DNT", "Sec-GPC", "Sec-Purpose", "Purpose", "X-Moz", "Sec-CH-UA",
		"Sec-CH-UA-Full-Version-List", "Sec-CH-UA-Platform", "Sec-CH-UA-Platform-Version",
		"Sec-CH-UA-Model", "Sec-CH-UA-Mobile", "X-Forwarded-For", "X-Forwarded-Proto",
		"X-Real-IP", "Forwarded", "CF-Connecting-IP", "CF-IPCountry", "CF-Region-Code",
		"CF-IPCity", "CloudFront-Viewer-Country", "CloudFront-Viewer-Country-Region",
		"CloudFront-Viewer-City", "X-Vercel-IP-Country", "X-Vercel-IP-Country-Region",
		"X-Vercel-IP-City" };
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (http_header(req, names[i]).len)
			json_object_set_new(object, names[i], header_text(req, names[i]));
	return object;
}

static void hop_add(
	json_t *hops, const struct addr *addr, const char *from, const struct addr_nets *trusted)
{
	char text[ADDR_TEXT_SIZE];

	addr_text(addr, text);
	json_array_append_new(hops, json_pack("{ss ss sb}", "address", text, "from", from,
					    "trusted", addr_nets_hold(trusted, addr)));
}

/* The way to the client as addr_of_client() goes it: each of whom the one before told. */
static json_t *hops_json(const struct http_request *req, const struct addr_nets *trusted)
{
	struct span left = http_header(req, "X-Forwarded-For");
	struct addr addr = http_peer(req);
	json_t *hops = json_array();

	hop_add(hops, &addr, "peer", trusted);
	while (left.len && addr_nets_hold(trusted, &addr)) {
		size_t start = left.len;

		while (start && left.ptr[start - 1] != ',')
			start--;
		if (addr_parse(&addr, span_from(left, start)))
			break;
		hop_add(hops, &addr, "X-Forwarded-For", trusted);
		left.len = start ? start - 1 : 0;
	}
	return hops;
}

static json_t *trusted_json(const char *list)
{
	struct span rest = span_of(list);
	json_t *array = json_array();

	for (; rest.len; rest = span_from(rest, span_find(rest, ',') + 1)) {
		struct span one = span_trim(span_first(rest, span_find(rest, ',')));

		if (one.len)
			json_array_append_new(array, json_stringn(one.ptr, one.len));
	}
	return array;
}

void debug_request(struct http_request *req, void *service)
{
	struct query *query = service;
	struct credential credential;
	struct err err = { 0 };
	char text[ADDR_TEXT_SIZE];
	struct addr client;
	json_t *hops, *derived;
	bool from_proxy;
	int rc;

	if (!query_credential(query, req, &credential))
		return;
	client = http_client(req, &from_proxy);
	rc = access_owner(NULL, query->app_db, &credential, NULL, &err);
	if (!rc)
		rc = derived_tell(query->derived, req, &client, &derived, &err);
	if (rc) {
		query_answer_failure(query, req, rc, &err);
		return;
	}
	addr_text(&client, text);
	hops = hops_json(req, query->trusted);
	http_add_header(req, "Cache-Control", "no-store");
	http_answer_json(req, 200,
		json_pack("{ss ss so so so so}", "address", text, "from",
			json_array_size(hops) > 1 ? "X-Forwarded-For" : "peer", "way", hops,
			"trusted_proxies", trusted_json(query->trusted_list), "headers",
			headers_json(req), "derived", derived));
	query_answered(query);
}

/* --- the last requests of a site ----------------------------------------------------------------
 */

/* "2026-03-01T12:00:00.123Z" */
static void time_text(int64_t ts_us, char *text, size_t size)
{
	time_t seconds = (time_t)(ts_us / US_PER_SECOND);
	struct tm tm;
	size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));

	snprintf(text + len, size - len, ".%03dZ", (int)(ts_us % US_PER_SECOND / 1000));
}

static int latest_first(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	json_int_t m = json_integer_value(json_object_get(*x, "time_us"));
	json_int_t n = json_integer_value(json_object_get(*y, "time_us"));

	return (m < n) - (m > n);
}

/* The latest 50 of what all ingresses told, in order; takes nothing, NULL: no memory. */
static json_t *latest_of(json_t *all)
{
	size_t count = json_array_size(all);
	json_t **sorted = calloc(count + 1, sizeof(void *)), *latest = json_array();

	for (size_t i = 0; sorted && i < count; i++)
		sorted[i] = json_array_get(all, i);
	if (sorted)
		qsort(sorted, count, sizeof(void *), latest_first);
	for (size_t i = 0; sorted && i < count && i < RECENT_MOST; i++)
		json_array_append(latest, sorted[i]);
	free(sorted);
	return latest;
}

/* Of those that were accepted: are they in the tables, or else, did a worker refuse them? Only the
 * refusals that were sampled are known one by one; a client that sends its event's id again can
 * have one stored and another refused. */
static const char became_sql[] =
	"select stored, case when not stored then (select s.reason from dropped_sample s "
	"where s.site_id = $1 and s.event_id = g.id and g.id <> 0 limit 1) end "
	"from rows from (jsonb_to_recordset($2) as (visitor bigint, id bigint)) with ordinality "
	"as g(visitor, id, n), lateral (select exists (select from event e where e.site_id = $1 "
	"and e.visitor = g.visitor and e.id = g.id) as stored) as e order by n";

static int ask_tables(
	struct query *query, const char *site_id, json_t *requests, PGresult **out, struct err *err)
{
	char *text = json_dumps(requests, JSON_COMPACT);
	const char *const params[] = { site_id, text };
	int rc = text ? pg_pool_run(query->metrics_db, out, became_sql, 2, params, err)
		      : err_set(err, -ENOMEM, "no memory");

	free(text);
	return rc;
}

/* What became of one that ingresses accepted, and why it was dropped, if it was. */
static const char *outcome_of(json_t *one, const PGresult *became, int row, int64_t age_us)
{
	if (json_object_get(one, "reason"))
		return "dropped";
	if (!became)
		return "accepted";
	if (PQgetvalue(became, row, 0)[0] == 't')
		return "stored";
	if (!PQgetisnull(became, row, 1)) {
		json_object_set_new(one, "reason", json_string(PQgetvalue(became, row, 1)));
		return "dropped";
	}
	return age_us > APPLIED_WITHIN_US ? "refused_or_late" : "accepted";
}

/* Outcome and time of one, in words; what is only ours goes. */
static void request_tell(json_t *one, const PGresult *became, int row)
{
	int64_t ts_us = json_integer_value(json_object_get(one, "time_us"));
	char text[40];

	time_text(ts_us, text, sizeof text);
	json_object_set_new(one, "time", json_string(text));
	json_object_set_new(
		one, "outcome", json_string(outcome_of(one, became, row, clock_now_us() - ts_us)));
	json_object_del(one, "time_us");
	json_object_del(one, "visitor");
	json_object_del(one, "id");
}

static void recent_answer(struct query *query, struct http_request *req, const struct site *site)
{
	unsigned asked = 0, answered = 0;
	json_t *all = json_array(), *requests, *one;
	PGresult *became = NULL;
	struct err err = { 0 };
	char id[24];
	size_t i;
	bool known;
	int rc;

	snprintf(id, sizeof id, "%lld", (long long)site->id);
	rc = ingresses_recent(query->ingresses, id, all, &asked, &answered, &err);
	if (rc) {
		json_decref(all);
		if (rc == -EBUSY) {
			http_add_header(req, "Retry-After", "2");
			http_answer_error(req, 503, "%s: try again in a moment", err.msg);
		} else {
			query_answer_failure(query, req, rc, &err);
		}
		return;
	}
	requests = latest_of(all);
	json_decref(all);
	/* The tables may be away, and then it is good to see what ingresses say. */
	known = !ask_tables(query, id, requests, &became, &err);
	if (!known)
		log_warn("debug: the tables cannot be asked error=\"%s\"", err.msg);
	json_array_foreach(requests, i, one) request_tell(one, became, (int)i);
	PQclear(became);
	http_add_header(req, "Cache-Control", "no-store");
	http_answer_json(req, 200,
		json_pack("{ss s{sisi} sb so}", "site", site->domain, "ingresses", "asked",
			(int)asked, "answered", (int)answered, "tables_asked", known, "requests",
			requests));
	query_answered(query);
}

void debug_recent(struct http_request *req, void *service)
{
	struct query *query = service;
	struct credential credential;
	char name[SITE_SIZE];
	struct err err = { 0 };
	struct site site;
	int rc = 0;

	if (!query_credential(query, req, &credential))
		return;
	if (!http_param(req, "site", name, sizeof name) || !*name)
		rc = err_set(&err, -EINVAL, "site is missing: a domain or a property id");
	if (!rc)
		rc = access_owner(&site, query->app_db, &credential, name, &err);
	if (rc)
		query_answer_failure(query, req, rc, &err);
	else
		recent_answer(query, req, &site);
}
