/* Who asks, and whether they may see a site: a login session's cookie, or a key of scope "stats".
 */
#ifndef FOOTFALL_QUERY_ACCESS_H
#define FOOTFALL_QUERY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/http.h"
#include "lib/pg.h"
#include "lib/secret.h"

struct credential {
	bool is_key; /* else a login session's token */
	char hash[SECRET_HASH_HEX_SIZE];
};

struct site {
	int64_t id;
	char domain[256];
	char zone[64];
};

/* What the request shows: a key where it has one, else the cookie. False: neither. */
bool credential_read(struct credential *out, const struct http_request *req);

/* The site named by its domain or property id, as far as the credential may see it. -EACCES: the
 * credential is worth nothing (unknown, expired, revoked, without the scope). -ENOENT: there is no
 * such site for them, be it somebody else's or nobody's. Else as pg.h. */
int access_check(struct site *out, struct pg_pool *app_db, const struct credential *credential,
	const char *name, struct err *err) MUST_CHECK;

/* Whether the login session is an owner's, of the site so named, which is then in *out, or, with
 * NULL, of any. -EACCES, -ENOENT as above, also for a key; -EPERM: they may see the site, and do
 * not own it, or own none. */
int access_owner(struct site *out, struct pg_pool *app_db, const struct credential *credential,
	const char *name, struct err *err) MUST_CHECK;

#endif
