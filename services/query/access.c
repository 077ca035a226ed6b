#include "services/query/access.h"

#include <stdio.h>

#define COOKIE          "footfall_session"
#define CREDENTIAL_MOST 200 /* bytes; ours have 43, longer ones are not hashed */

bool credential_read(struct credential *out, const struct http_request *req)
{
	char cookie[CREDENTIAL_MOST + 1];
	struct span token = http_bearer(req);

	out->is_key = token.len > 0;
	if (!out->is_key) {
		if (!http_cookie(req, COOKIE, cookie, sizeof cookie))
			return false;
		token = span_of(cookie);
	}
	if (token.len > CREDENTIAL_MOST)
		return false;
	secret_hash_hex(token, out->hash);
	return true;
}

/* One statement, so that the answer takes as long for a site that is not theirs as for none. A key
 * without an account is the operator's. */
static const char access_sql[] =
	"with who as ("
	" select account_id, false as operator from login_session"
	" where $1::text = 'session' and token_hash = $2 and expires_at > now()"
	" union all"
	" select account_id, account_id is null from api_key"
	" where $1::text = 'key' and key_hash = $2 and revoked_at is null and 'stats' = "
	"any(scopes))"
	" select s.id, s.domain, s.zone from who left join site s"
	" on (s.domain = regexp_replace(lower($3), '^www\\.', '') or s.property_id ="
	"  case when $3 ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $3::uuid end)"
	" and (who.operator or exists (select from site_member m"
	"  where m.site_id = s.id and m.account_id = who.account_id))";

int access_check(struct site *out, struct pg_pool *app_db, const struct credential *credential,
	const char *name, struct err *err)
{
	const char *const params[] = { credential->is_key ? "key" : "session", credential->hash,
		name };
	PGresult *result = NULL;
	int rc = pg_pool_run(app_db, &result, access_sql, 3, params, err);

	if (rc)
		return rc;
	if (!PQntuples(result)) {
		rc = err_set(err, -EACCES,
			credential->is_key ? "this key is not valid for reading statistics"
					   : "this login is over: log in again");
	} else if (PQgetisnull(result, 0, 0)) {
		rc = err_set(err, -ENOENT, "there is no such site, or it is not yours");
	} else {
		out->id = pg_int(result, 0, 0);
		snprintf(out->domain, sizeof out->domain, "%s", PQgetvalue(result, 0, 1));
		snprintf(out->zone, sizeof out->zone, "%s", PQgetvalue(result, 0, 2));
	}
	PQclear(result);
	return rc;
}

static const char owner_sql[] =
	"select exists (select from site_member m where m.account_id = l.account_id and m.role = "
	"'owner' and ($2::integer is null or m.site_id = $2::integer)) "
	"from login_session l where l.token_hash = $1 and l.expires_at > now()";

int access_owner(struct site *out, struct pg_pool *app_db, const struct credential *credential,
	const char *name, struct err *err)
{
	const char *params[] = { credential->hash, NULL };
	PGresult *result = NULL;
	char id[24];
	int rc = 0;

	if (credential->is_key)
		return err_set(err, -EACCES, "this is for people: log in");
	if (name)
		rc = access_check(out, app_db, credential, name, err);
	if (!rc && name) {
		snprintf(id, sizeof id, "%lld", (long long)out->id);
		params[1] = id;
	}
	if (!rc)
		rc = pg_pool_run(app_db, &result, owner_sql, 2, params, err);
	if (rc)
		return rc;
	if (!PQntuples(result))
		rc = err_set(err, -EACCES, "this login is over: log in again");
	else if (PQgetvalue(result, 0, 0)[0] != 't')
		rc = err_set(err, -EPERM, "only an owner may see this");
	PQclear(result);
	return rc;
}
