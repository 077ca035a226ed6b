#include "services/console/site.h"

#include "services/console/form.h"
#include "services/console/session.h"

#define DOMAIN_MOST   300 /* the database says more closely what a domain is; this bounds it */
#define ZONE_MOST     64
#define IDENTITY_MOST 16

/* Columns id, property_id, domain, zone, identity, role of a row. NULL without memory. */
static json_t *site_json(const PGresult *result, int row)
{
	return json_pack("{sI ss ss ss ss ss}", "site_id", (json_int_t)pg_int(result, row, 0),
		"property_id", PQgetvalue(result, row, 1), "domain", PQgetvalue(result, row, 2),
		"timezone", PQgetvalue(result, row, 3), "identity", PQgetvalue(result, row, 4),
		"role", PQgetvalue(result, row, 5));
}

int site_list(struct console *console, const char *account_id, json_t **out, struct err *err)
{
	const char *const params[] = { account_id };
	PGresult *result;
	int rc = console_run(console, &result,
		"select s.id, s.property_id, s.domain, s.zone, s.identity, m.role "
		"from site_member m join site s on s.id = m.site_id "
		"where m.account_id = $1 order by s.domain, s.id",
		1, params, err);

	if (rc)
		return rc;
	*out = json_array();
	for (int i = 0; i < PQntuples(result) && *out; i++)
		if (json_array_append_new(*out, site_json(result, i))) {
			json_decref(*out);
			*out = NULL;
		}
	PQclear(result);
	return *out ? 0 : err_set(err, -ENOMEM, "no memory for the list of sites");
}

static int site_create(struct console *console, const struct session *who, const json_t *form,
	PGresult **out, struct err *err)
{
	const char *params[4] = { [1] = who->account_id };
	int rc = form_text(&params[0], form, "domain", DOMAIN_MOST, NULL, err);

	if (!rc)
		rc = form_text(&params[2], form, "timezone", ZONE_MOST, NULL, err);
	if (!rc)
		rc = form_text(&params[3], form, "identity", IDENTITY_MOST, "daily", err);
	if (!rc)
		rc = console_run(console, out,
			"select id, property_id, domain, zone, identity, 'owner' "
			"from site_create($1, $2, $3, $4)",
			4, params, err);
	return rc;
}

void site_add(struct http_request *req, void *service)
{
	struct console *console = service;
	struct session session;
	struct err err = { 0 };
	PGresult *result = NULL;
	json_t *form;

	if (form_read(req, &form))
		return;
	if (!session_need(console, req, &session)) {
		if (site_create(console, &session, form, &result, &err))
			console_answer_failure(req, &err);
		else
			http_answer_json(req, 201, site_json(result, 0));
	}
	PQclear(result);
	json_decref(form);
}

void site_zones(struct http_request *req, void *service)
{
	struct console *console = service;
	struct session session;
	struct err err = { 0 };
	PGresult *result;

	if (session_need(console, req, &session))
		return;
	/* The database lists them anew from its files each time (some 50 ms), hence only for those
	 * who are logged in. Besides zones it knows copies of all (posix/, right/) and file names
	 * that name no place. */
	if (console_run(console, &result,
		    "select json_agg(name order by name) from pg_timezone_names "
		    "where name !~ '^(posix|right)/' "
		    "and name not in ('Factory', 'localtime', 'posixrules')",
		    0, NULL, &err)) {
		console_answer_failure(req, &err);
		return;
	}
	http_add_header(req, "Cache-Control", "private, max-age=86400");
	http_answer(req, 200, "application/json", span_of(PQgetvalue(result, 0, 0)));
	PQclear(result);
}
