/* Local days and their keys: for a zone and a time, the date it is there and the keys derived from
 * that date's random key. Both come from the app database (PostgreSQL's own zone data) and are kept
 * in memory. Any thread may ask. */
#ifndef FOOTFALL_DAY_H
#define FOOTFALL_DAY_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/pg.h"
#include "proto/event.h"

struct day {
	int64_t date;               /* days since 1970-01-01 */
	int64_t starts_us, ends_us; /* of this date in the zone are all times from, until */
	int64_t dies_us; /* from then on its keys are nobody's: they are not used, and wiped */
	struct event_day_keys keys;
};

struct days;

/* The pool is borrowed until days_close(). */
int days_open(struct days **out, struct pg_pool *pool, struct err *err) MUST_CHECK;
void days_close(struct days **days);

/* Hold a day (all but its keys) that will be asked for, with its key in hex. -EPROTO: no
 * key. */
int days_hold(struct days *days, const char *zone, const struct day *day, const char *key_hex,
	struct err *err) MUST_CHECK;

/* Hold none any more: before all of a new snapshot are held. */
void days_let_go(struct days *days);

/* Those held are what the database has, as of now; others are forgotten when they have become old.
 */
void days_still_hold(struct days *days);

/* Wipe and forget those that are due, whether the database can be asked or not. Every few seconds.
 */
void days_forget_due(struct days *days);

/* The day of ts_us in zone, copied to *out. A day that is not in memory is fetched: -ECONNRESET,
 * -EAGAIN when the database cannot give it now (503: nothing may be kept without a key); -EINVAL:
 * it gives none for that time. */
int days_find(struct days *days, const char *zone, int64_t ts_us, struct day *out,
	struct err *err) MUST_CHECK;

#endif
