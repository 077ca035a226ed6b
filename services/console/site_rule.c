#include "services/console/site_rule.h"

#include <stdio.h>

#include "services/console/form.h"
#include "services/console/session.h"

#define PREFIX      "/api/sites/"
#define SUFFIX      "/rules"
#define NAME_SIZE   64
#define KIND_MOST   16
#define VALUE_MOST  500 /* the database says more closely what a value is */
#define CHOICE_MOST 16
#define SCRIPT_MOST 200

/* Who asks, for which site of theirs. */
struct asked_site {
	struct session session;
	char id[24];
};

/* The number of the site in the path, if the session's account owns it; on error the answer has
 * been sent. */
static int site_need(struct console *console, struct http_request *req, struct asked_site *out)
{
	struct span name = span_from(http_path(req), sizeof PREFIX - 1);
	char text[NAME_SIZE];
	const char *const params[] = { out->session.account_id, text };
	PGresult *found = NULL;
	struct err err = { 0 };
	int rc;

	if (!span_ends_with(name, SPAN(SUFFIX)) || name.len - sizeof SUFFIX + 1 >= sizeof text) {
		http_answer_error(req, 404, "there is nothing here");
		return -ENOENT;
	}
	snprintf(text, sizeof text, "%.*s", (int)(name.len - sizeof SUFFIX + 1), name.ptr);
	rc = session_need(console, req, &out->session);
	if (rc)
		return rc;
	rc = console_run(console, &found,
		"select s.id, m.role = 'owner' from site_member m join site s on s.id = m.site_id "
		"where m.account_id = $1 and s.property_id::text = lower($2)",
		2, params, &err);
	if (rc) {
		console_answer_failure(req, &err);
		return rc;
	}
	if (!PQntuples(found)) {
		http_answer_error(req, 404, "there is no such site, or it is not yours");
		rc = -ENOENT;
	} else if (PQgetvalue(found, 0, 1)[0] != 't') {
		http_answer_error(
			req, 403, "only an owner of the site may see or change its rules");
		rc = -EACCES;
	} else {
		snprintf(out->id, sizeof out->id, "%s", PQgetvalue(found, 0, 0));
	}
	PQclear(found);
	return rc;
}

/* Answer with all that holds for the site now. */
static void answer_rules(struct console *console, struct http_request *req,
	const struct asked_site *site, int status)
{
	const char *const params[] = { site->id };
	PGresult *found = NULL;
	struct err err = { 0 };

	if (console_run(console, &found,
		    "select json_build_object('bots', bots, 'origin_required', origin_required, "
		    "'honour_dnt', honour_dnt, 'script', script, 'counter', counter, 'rules', "
		    "(select coalesce(json_agg("
		    "json_build_object('kind', kind, 'value', value) order by kind, value), '[]') "
		    "from site_rule where site_id = site.id)) from site where id = $1",
		    1, params, &err))
		console_answer_failure(req, &err);
	else if (!PQntuples(found))
		http_answer_error(req, 404, "there is no such site, or it is not yours");
	else
		http_answer(req, status, "application/json", span_of(PQgetvalue(found, 0, 0)));
	PQclear(found);
}

void site_rules_get(struct http_request *req, void *service)
{
	struct asked_site site;

	if (!site_need(service, req, &site))
		answer_rules(service, req, &site, 200);
}

/* A choice of yes or no as SQL has it, NULL when it is not given. */
static int form_choice(const char **out, const json_t *form, const char *name, struct err *err)
{
	const json_t *member = json_object_get(form, name);

	*out = NULL;
	if (!member)
		return 0;
	if (!json_is_boolean(member))
		return err_set(err, -EINVAL, "\"%s\" is neither true nor false", name);
	*out = json_is_true(member) ? "true" : "false";
	return 0;
}

/* The parts of the script, a list of their names, as text in buf; NULL when it is not given. */
static int form_script(
	const char **out, char buf[SCRIPT_MOST + 1], const json_t *form, struct err *err)
{
	const json_t *list = json_object_get(form, "script"), *name;
	size_t i, len = 0;

	*out = NULL;
	if (!list)
		return 0;
	if (!json_is_array(list))
		return err_set(err, -EINVAL, "\"script\" is no list of names");
	*buf = '\0';
	json_array_foreach(list, i, name)
	{
		if (!json_is_string(name) || len + json_string_length(name) + 1 > SCRIPT_MOST)
			return err_set(err, -EINVAL, "\"script\" is no list of names");
		len += (size_t)snprintf(
			buf + len, SCRIPT_MOST + 1 - len, ",%s", json_string_value(name));
	}
	*out = buf;
	return 0;
}

static int rules_choose(
	struct console *console, const struct asked_site *site, const json_t *form, struct err *err)
{
	const char *params[] = { site->id, NULL, NULL, NULL, NULL, NULL };
	char script[SCRIPT_MOST + 1];
	int rc = 0;

	if (json_object_get(form, "bots"))
		rc = form_text(&params[1], form, "bots", CHOICE_MOST, NULL, err);
	if (!rc)
		rc = form_choice(&params[2], form, "origin_required", err);
	if (!rc)
		rc = form_choice(&params[3], form, "honour_dnt", err);
	if (!rc)
		rc = form_script(&params[4], script, form, err);
	if (!rc)
		rc = form_choice(&params[5], form, "counter", err);
	if (!rc)
		rc = console_run(console, NULL,
			"select site_set((select property_id::text from site where id = $1), "
			"p_bots => $2, p_origin_required => $3, p_honour_dnt => $4, "
			"p_script => $5, p_counter => $6)",
			6, params, err);
	return rc;
}

static int rule_add(
	struct console *console, const struct asked_site *site, const json_t *form, struct err *err)
{
	const char *params[] = { site->id, NULL, NULL };
	int rc = form_text(&params[1], form, "kind", KIND_MOST, NULL, err);

	if (!rc)
		rc = form_text(&params[2], form, "value", VALUE_MOST, NULL, err);
	if (!rc)
		rc = console_run(console, NULL, "select site_rule_add($1, $2, $3)", 3, params, err);
	return rc;
}

/* -ENOENT: there is no such rule. */
static int rule_remove(
	struct console *console, const struct asked_site *site, const json_t *form, struct err *err)
{
	const char *params[] = { site->id, NULL, NULL };
	PGresult *removed = NULL;
	int rc = form_text(&params[1], form, "kind", KIND_MOST, NULL, err);

	if (!rc)
		rc = form_text(&params[2], form, "value", VALUE_MOST, NULL, err);
	if (!rc)
		rc = console_run(
			console, &removed, "select site_rule_remove($1, $2, $3)", 3, params, err);
	if (!rc && PQgetvalue(removed, 0, 0)[0] != 't')
		rc = err_set(err, -ENOENT, "the site has no such rule");
	PQclear(removed);
	return rc;
}

/* Read the form, change what it says, and answer what holds then. */
static void rules_change(struct http_request *req, struct console *console, int status,
	int (*change)(struct console *, const struct asked_site *, const json_t *, struct err *))
{
	struct asked_site site;
	struct err err = { 0 };
	json_t *form;
	int rc;

	if (form_read(req, &form))
		return;
	if (!site_need(console, req, &site)) {
		rc = change(console, &site, form, &err);
		if (rc == -ENOENT)
			http_answer_error(req, 404, "%s", err.msg);
		else if (rc)
			console_answer_failure(req, &err);
		else
			answer_rules(console, req, &site, status);
	}
	json_decref(form);
}

void site_rules_choose(struct http_request *req, void *service)
{
	rules_change(req, service, 200, rules_choose);
}

void site_rules_add(struct http_request *req, void *service)
{
	rules_change(req, service, 201, rule_add);
}

void site_rules_remove(struct http_request *req, void *service)
{
	rules_change(req, service, 200, rule_remove);
}
