/* The console's state, one struct that every handler gets. Handlers run at the same time on
 * civetweb's threads; what is written after the start is atomic or has a lock of its own. */
#ifndef FOOTFALL_CONSOLE_H
#define FOOTFALL_CONSOLE_H

#include <stdatomic.h>
#include <stdio.h>

#include "lib/addr.h"
#include "lib/http.h"
#include "lib/pg.h"
#include "lib/settings.h"
#include "services/console/throttle.h"

struct keep;

struct console {
	struct settings settings;
	struct addr_nets trusted;
	struct pg_pool *app;
	struct throttle *by_client; /* failed logins of an address */
	struct throttle *by_email;  /* failed logins for an account, from anywhere */
	struct http_server *http, *admin;
	struct keep *keep;        /* the metrics database in order */
	atomic_llong db_failures; /* in a row; 0 while the database answers */
	atomic_llong logins, logins_refused, logins_throttled;
	atomic_llong day_keys_destroyed;
	atomic_llong day_keys_failing_mono_us; /* since when none could be destroyed; 0: they can */
	bool day_keys_alarmed;                 /* the job's own */
};

/* Run one statement on the app database, see pg_pool_run(). Logs when the database stops answering
 * and when it answers again, not each failure between. */
int console_run(struct console *console, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err) MUST_CHECK;

/* Answer a request that failed with a code of pg.h: 400 and 409 carry the sentence, which is meant
 * for the person; 503 asks to come again; anything else is our mistake, logged, and 500. */
void console_answer_failure(struct http_request *req, const struct err *err);

#endif
