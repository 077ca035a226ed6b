#include "services/console/account.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "services/console/form.h"
#include "services/console/session.h"
#include "services/console/site.h"

/* What the database says of a login: the e-mail as it compares them, and the account if any. */
struct candidate {
	PGresult *row;    /* owned */
	const char *key;  /* lent by row: lower case */
	const char *id;   /* NULL: there is no such account */
	const char *hash; /* NULL likewise */
};

static int candidate_find(
	struct candidate *out, struct console *console, const char *email, struct err *err)
{
	const char *const params[] = { email };
	int rc = console_run(console, &out->row,
		"select lower($1), a.id, a.password_hash "
		"from (select) one left join account a on lower(a.email) = lower($1)",
		1, params, err);

	if (rc)
		return rc;
	out->key = PQgetvalue(out->row, 0, 0);
	if (!PQgetisnull(out->row, 0, 1)) {
		out->id = PQgetvalue(out->row, 0, 1);
		out->hash = PQgetvalue(out->row, 0, 2);
	}
	return 0;
}

/* Ask both throttles; true when the request was refused and answered. */
static bool login_is_throttled(
	struct console *console, struct http_request *req, struct span client, struct span email)
{
	int64_t now = clock_mono_us();
	int wait_s = throttle_take(console->by_client, client, now);
	char text[16];

	if (!wait_s) {
		wait_s = throttle_take(console->by_email, email, now);
		if (wait_s)
			throttle_give_back(console->by_client, client);
	}
	if (!wait_s)
		return false;
	atomic_fetch_add(&console->logins_throttled, 1);
	snprintf(text, sizeof text, "%d", wait_s);
	http_add_header(req, "Retry-After", text);
	http_answer_error(req, 429, "too many failed logins; try again in %d minute%s",
		(wait_s + 59) / 60, wait_s > 60 ? "s" : "");
	return true;
}

/* The password is looked at whether the account exists or not, so that neither the answer nor its
 * time tells which e-mail addresses have one. */
static void login_decide(struct console *console, struct http_request *req,
	const struct candidate *who, const char *password)
{
	bool from_proxy;
	struct addr addr = http_client(req, &from_proxy);
	struct span client = addr_client(&addr), email = span_of(who->key);
	struct err err = { 0 };

	if (login_is_throttled(console, req, client, email))
		return;
	if (password_verify(span_of(password), who->hash)) {
		atomic_fetch_add(&console->logins_refused, 1);
		http_answer_error(req, 401, "the e-mail address or the password is wrong");
		return;
	}
	throttle_give_back(console->by_client, client);
	throttle_give_back(console->by_email, email);
	if (session_open(console, req, who->id, &err)) {
		console_answer_failure(req, &err);
		return;
	}
	atomic_fetch_add(&console->logins, 1);
	http_answer(req, 204, "", SPAN(""));
}

void account_login(struct http_request *req, void *service)
{
	struct console *console = service;
	struct candidate who = { 0 };
	struct err err = { 0 };
	const char *email, *password;
	json_t *form;
	int rc;

	if (form_read(req, &form))
		return;
	rc = form_text(&email, form, "email", EMAIL_MOST, NULL, &err);
	if (!rc)
		rc = form_text(&password, form, "password", PASSWORD_MOST, NULL, &err);
	if (!rc)
		rc = candidate_find(&who, console, email, &err);
	if (rc)
		console_answer_failure(req, &err);
	else
		login_decide(console, req, &who, password);
	PQclear(who.row);
	json_decref(form);
}

void account_logout(struct http_request *req, void *service)
{
	struct err err = { 0 };

	if (form_admit(req))
		return;
	if (session_end(service, req, &err))
		console_answer_failure(req, &err);
	else
		http_answer(req, 204, "", SPAN(""));
}

/* Whether the token would do now. account_create_first() decides; this keeps strangers from making
 * us hash passwords. */
static int setup_check(struct console *console, const char *token_hash, struct err *err)
{
	const char *const params[] = { token_hash };
	PGresult *result;
	int rc = console_run(console, &result,
		"select from setup_token where token_hash = $1 and expires_at > now() "
		"and not exists (select from account)",
		1, params, err);

	if (rc)
		return rc;
	if (!PQntuples(result))
		rc = err_set(err, -EACCES, "this link is wrong, used or too old");
	PQclear(result);
	return rc;
}

static int setup_create(struct console *console, struct http_request *req, const char *token_hash,
	const char *email, const char *password, struct err *err)
{
	char hash[PASSWORD_HASH_SIZE];
	const char *const params[] = { token_hash, email, hash };
	PGresult *result = NULL;
	int rc = password_hash(span_of(password), hash, err);

	if (!rc)
		rc = console_run(console, &result, "select account_create_first($1, $2, $3)", 3,
			params, err);
	if (!rc && PQgetisnull(result, 0, 0))
		rc = err_set(err, -EACCES, "this link is wrong, used or too old");
	if (!rc) {
		log_info("account: the first account was made");
		rc = session_open(console, req, PQgetvalue(result, 0, 0), err);
	}
	PQclear(result);
	return rc;
}

void account_setup(struct http_request *req, void *service)
{
	struct console *console = service;
	char token_hash[SECRET_HASH_HEX_SIZE];
	const char *token, *email, *password;
	struct err err = { 0 };
	json_t *form;
	int rc;

	if (form_read(req, &form))
		return;
	rc = form_text(&token, form, "token", 200, NULL, &err);
	if (!rc)
		rc = form_text(&email, form, "email", EMAIL_MOST, NULL, &err);
	if (!rc)
		rc = form_text(&password, form, "password", PASSWORD_MOST, NULL, &err);
	if (!rc) {
		secret_hash_hex(span_of(token), token_hash);
		rc = setup_check(console, token_hash, &err);
	}
	if (!rc)
		rc = setup_create(console, req, token_hash, email, password, &err);
	if (rc == -EACCES)
		http_answer_error(req, 403, "%s", err.msg);
	else if (rc)
		console_answer_failure(req, &err);
	else
		http_answer(req, 204, "", SPAN(""));
	json_decref(form);
}

/* 401, and whether somebody has to be the first. */
static void me_nobody(struct console *console, struct http_request *req)
{
	struct err err = { 0 };
	PGresult *result;

	if (console_run(console, &result, "select from account limit 1", 0, NULL, &err)) {
		console_answer_failure(req, &err);
		return;
	}
	http_answer_json(req, 401,
		json_pack("{ss sb}", "error", "please log in", "setup", !PQntuples(result)));
	PQclear(result);
}

void account_me(struct http_request *req, void *service)
{
	struct console *console = service;
	struct session session;
	struct err err = { 0 };
	json_t *sites = NULL;
	int rc;

	http_add_header(req, "Cache-Control", "no-store");
	rc = session_find(console, req, &session, &err);
	if (rc == -EACCES) {
		me_nobody(console, req);
		return;
	}
	if (!rc)
		rc = site_list(console, session.account_id, &sites, &err);
	if (rc)
		console_answer_failure(req, &err);
	else
		http_answer_json(
			req, 200, json_pack("{ss so}", "email", session.email, "sites", sites));
}
