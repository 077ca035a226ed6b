#include "services/console/session.h"

#include <string.h>

#include "lib/log.h"
#include "lib/secret.h"

#define COOKIE    "footfall_session"
#define DAYS      "30"
#define SECONDS   "2592000" /* the same 30 days */
#define COOKIE_OF "; Path=/; HttpOnly; SameSite=Lax; Max-Age="

static void session_set_cookie(
	struct console *console, struct http_request *req, const char *token, const char *seconds)
{
	char cookie[SECRET_TOKEN_SIZE + 128];

	snprintf(cookie, sizeof cookie, COOKIE "=%s" COOKIE_OF "%s%s", token, seconds,
		console->settings.cookie_secure ? "; Secure" : "");
	http_add_header(req, "Set-Cookie", cookie);
}

/* The hash of the request's token; false when it has none. */
static bool session_hash(const struct http_request *req, char hash[SECRET_HASH_HEX_SIZE])
{
	char token[SECRET_TOKEN_SIZE];

	if (!http_cookie(req, COOKIE, token, sizeof token))
		return false;
	secret_hash_hex(span_of(token), hash);
	return true;
}

int session_open(
	struct console *console, struct http_request *req, const char *account_id, struct err *err)
{
	char token[SECRET_TOKEN_SIZE], hash[SECRET_HASH_HEX_SIZE];
	const char *const params[] = { hash, account_id };
	int rc;

	secret_token(token);
	secret_hash_hex(span_of(token), hash);
	rc = console_run(console, NULL,
		"insert into login_session (token_hash, account_id, expires_at) "
		"values ($1, $2, now() + interval '" DAYS " days')",
		2, params, err);
	if (!rc)
		session_set_cookie(console, req, token, SECONDS);
	return rc;
}

int session_find(
	struct console *console, struct http_request *req, struct session *out, struct err *err)
{
	char hash[SECRET_HASH_HEX_SIZE];
	const char *const params[] = { hash };
	PGresult *result;
	int rc;

	if (!session_hash(req, hash))
		return err_set(err, -EACCES, "please log in");
	rc = console_run(console, &result,
		"select a.id, a.email from login_session s join account a on a.id = s.account_id "
		"where s.token_hash = $1 and s.expires_at > now()",
		1, params, err);
	if (rc)
		return rc;
	if (PQntuples(result)) {
		snprintf(out->account_id, sizeof out->account_id, "%s", PQgetvalue(result, 0, 0));
		snprintf(out->email, sizeof out->email, "%s", PQgetvalue(result, 0, 1));
	} else {
		rc = err_set(err, -EACCES, "please log in");
	}
	PQclear(result);
	return rc;
}

int session_need(struct console *console, struct http_request *req, struct session *out)
{
	struct err err = { 0 };
	int rc = session_find(console, req, out, &err);

	if (rc == -EACCES)
		http_answer_error(req, 401, "%s", err.msg);
	else if (rc)
		console_answer_failure(req, &err);
	return rc;
}

int session_end(struct console *console, struct http_request *req, struct err *err)
{
	char hash[SECRET_HASH_HEX_SIZE];
	const char *const params[] = { hash };
	int rc = 0;

	if (session_hash(req, hash))
		rc = console_run(console, NULL, "delete from login_session where token_hash = $1",
			1, params, err);
	if (!rc)
		session_set_cookie(console, req, "", "0");
	return rc;
}

void session_sweep(struct console *console)
{
	static const char *const statements[] = {
		"delete from login_session where expires_at <= now()",
		"delete from setup_token where expires_at <= now()",
	};
	struct err err = { 0 };

	/* A lost database is logged by console_run(), and the next sweep is soon enough. */
	for (int i = 0; i < 2; i++) {
		int rc = console_run(console, NULL, statements[i], 0, NULL, &err);

		if (rc && rc != -ECONNRESET && rc != -EAGAIN)
			log_error("session: the sweep failed: %s", err.msg);
	}
}
