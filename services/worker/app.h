/* What the worker needs of the app database: of a site, and the sealing key of a date.
 * Kept in memory for a minute, so that a batch costs no look-up. One thread. */
#ifndef FOOTFALL_APP_H
#define FOOTFALL_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/pg.h"
#include "proto/event.h"

struct app;

#define APP_OWN_MOST                                                                               \
	51 /* a site's domain and its further hosts (deploy/schema/app/0007_rules.sql) */

/* A set of countries, by their two letters. */
struct app_countries {
	uint8_t bits[(26 * 26 + 7) / 8];
};
bool app_countries_hold(const struct app_countries *countries, struct span country);

struct app_site {
	char domain[254]; /* "": there is no such site (any more) */
	char zone[64];
	char *hosts;       /* further hosts of it, each ended by '\n'; NULL: none. Lent */
	bool refuses_bots; /* else they are marked */
	struct app_countries countries; /* that are refused */
};

/* Connects when first asked. */
int app_open(struct app **out, const char *conninfo, struct err *err) MUST_CHECK;
void app_close(struct app **app);

/* A site, lent until the next call. -EAGAIN: the app database cannot tell now, or is away: ask
 * again later, as often as you like. */
int app_site(struct app *app, uint32_t site_id, const struct app_site **site,
	struct err *err) MUST_CHECK;

/* The site's own hosts, lent by it: own has room for APP_OWN_MOST. How many they are. */
size_t app_own_hosts(const struct app_site *site, struct span *own);

/* The keys of a date (days since 1970-01-01), lent until the next call; NULL when they were
 * destroyed, or are due to be. Errors as above. */
int app_day_keys(struct app *app, int64_t date, const struct event_day_keys **keys,
	struct err *err) MUST_CHECK;

/* Hear what has changed in the app database, and wipe keys that are due; between two batches. */
void app_follow(struct app *app);

#endif
