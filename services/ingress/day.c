#include "services/ingress/day.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"

#define BUCKETS      1024
#define ENTRIES_MOST 8192 /* 1 MiB; an import of 20 years in one zone needs 7,300 */
#define US_PER_DAY   (86400 * US_PER_SECOND)
/* A key that was destroyed is forgotten here within the hour. */
#define ENTRY_LIFE_US (30 * 60 * US_PER_SECOND)
#define AWAY_US       (2 * US_PER_SECOND)

struct entry {
	struct entry *next;
	char zone[64];
	int64_t utc_day; /* of the times that were asked for; a bucket's entries are found by it */
	int64_t fetched_mono_us;
	bool held; /* one of those that days_hold() brings: it is kept fresh by its owner */
	struct day day;
};

struct days {
	struct pg_pool *pool;
	pthread_mutex_t lock;
	struct entry *bucket[BUCKETS];
	size_t count;
	int64_t away_mono_us; /* until then the database is not asked: it did not answer */
};

int days_open(struct days **out, struct pg_pool *pool, struct err *err)
{
	struct days *days = calloc(1, sizeof *days);

	if (!days)
		return err_set(err, -ENOMEM, "days");
	days->pool = pool;
	pthread_mutex_init(&days->lock, NULL);
	*out = days;
	return 0;
}

/* Wipe and free the entries that `which` says. With the lock held. */
static void days_forget(struct days *days, bool (*which)(const struct entry *e))
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry **at = &days->bucket[i], *e; (e = *at);) {
			if (!which(e)) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			sodium_memzero(e, sizeof *e);
			free(e);
			days->count--;
		}
}

static bool is_any(const struct entry *e)
{
	return e != NULL;
}

static bool is_not_held(const struct entry *e)
{
	return !e->held;
}

static bool is_due(const struct entry *e)
{
	return clock_now_us() >= e->day.dies_us;
}

/* Its key may have been destroyed since. */
static bool is_old(const struct entry *e)
{
	return !e->held && clock_mono_us() - e->fetched_mono_us > ENTRY_LIFE_US;
}

void days_close(struct days **days_p)
{
	if (!*days_p)
		return;
	days_forget(*days_p, is_any);
	pthread_mutex_destroy(&(*days_p)->lock);
	free(*days_p);
	*days_p = NULL;
}

static int64_t utc_day_of(int64_t ts_us)
{
	return ts_us / US_PER_DAY - (ts_us % US_PER_DAY < 0);
}

static struct entry **bucket_of(struct days *days, const char *zone, int64_t utc_day)
{
	uint64_t hash = (uint64_t)utc_day * 0x9e3779b97f4a7c15ULL;

	for (; *zone; zone++)
		hash = (hash ^ (unsigned char)*zone) * 0x100000001b3ULL;
	return &days->bucket[(hash >> 32) % BUCKETS];
}

/* Look among what is in memory and not due; *stale tells that what was found is due to be fetched
 * again. */
static bool days_look(
	struct days *days, const char *zone, int64_t ts_us, struct day *out, bool *stale)
{
	int64_t utc_day = utc_day_of(ts_us), now = clock_mono_us();

	for (struct entry *e = *bucket_of(days, zone, utc_day); e; e = e->next)
		if (e->utc_day == utc_day && ts_us >= e->day.starts_us && ts_us < e->day.ends_us &&
			!is_due(e) && !strcmp(e->zone, zone)) {
			*out = e->day;
			*stale = now - e->fetched_mono_us > ENTRY_LIFE_US;
			return true;
		}
	return false;
}

static int day_key_read(struct day *day, const char *hex, struct err *err)
{
	unsigned char key[32];
	size_t len = 0;
	int rc = 0;

	if (sodium_hex2bin(key, sizeof key, hex, strlen(hex), NULL, &len, NULL) ||
		len != sizeof key)
		rc = err_set(err, -EPROTO, "a day key is not 32 bytes");
	else
		event_day_keys_derive(&day->keys, key);
	sodium_memzero(key, sizeof key);
	return rc;
}

static int day_fetch(
	struct days *days, const char *zone, int64_t ts_us, struct day *out, struct err *err)
{
	char seconds[32];
	const char *params[] = { zone, seconds };
	PGresult *row;
	int rc;

	snprintf(seconds, sizeof seconds, "%lld.%06lld", (long long)(ts_us / US_PER_SECOND),
		(long long)(ts_us % US_PER_SECOND));
	/* Clocks that go back over midnight (St. John's, until 2011) show the end of the day before
	 * once more: the day is held from there on, and what lies before is fetched each time. */
	rc = pg_pool_run_secret(days->pool, &row,
		"select d.date - date '1970-01-01', (extract(epoch from case when ((m - interval "
		"'1 microsecond') at time zone $1)::date < d.date then m else d.starts end) * "
		"1000000)::bigint, "
		"(extract(epoch from d.ends) * 1000000)::bigint, encode(k.key, 'hex'), "
		"(extract(epoch from k.destroy_after) * 1000000)::bigint "
		"from local_day($1, to_timestamp($2::numeric)) d, day_key_for(d.date) k, "
		"lateral (select d.date::timestamp at time zone $1 as m) last_midnight",
		2, params, err);
	if (rc)
		return rc;
	out->date = pg_int(row, 0, 0);
	out->starts_us = pg_int(row, 0, 1);
	out->ends_us = pg_int(row, 0, 2);
	out->dies_us = pg_int(row, 0, 4);
	rc = day_key_read(out, PQgetvalue(row, 0, 3), err);
	pg_clear_secret(row);
	return rc;
}

/* With the lock held. */
static int days_keep(struct days *days, const char *zone, int64_t utc_day, const struct day *day,
	bool held, struct err *err)
{
	struct entry **bucket = bucket_of(days, zone, utc_day), *e;

	for (e = *bucket; e; e = e->next) /* fetched again, or by another thread meanwhile */
		if (e->utc_day == utc_day && e->day.date == day->date && !strcmp(e->zone, zone))
			break;
	if (!e) {
		if (days->count >= ENTRIES_MOST)
			days_forget(days, is_not_held); /* rare, and only costs time */
		e = calloc(1, sizeof *e);
		if (!e)
			return err_set(err, -ENOMEM, "days");
		snprintf(e->zone, sizeof e->zone, "%s", zone);
		e->utc_day = utc_day;
		e->next = *bucket;
		*bucket = e;
		days->count++;
	}
	e->fetched_mono_us = clock_mono_us();
	e->held = held;
	e->day = *day;
	return 0;
}

int days_hold(struct days *days, const char *zone, const struct day *day, const char *key_hex,
	struct err *err)
{
	struct day keyed = *day;
	int rc = day_key_read(&keyed, key_hex, err);

	pthread_mutex_lock(&days->lock);
	for (int64_t utc = utc_day_of(day->starts_us); !rc && utc <= utc_day_of(day->ends_us - 1);
		utc++)
		rc = days_keep(days, zone, utc, &keyed, true, err);
	pthread_mutex_unlock(&days->lock);
	sodium_memzero(&keyed, sizeof keyed);
	return rc;
}

void days_let_go(struct days *days)
{
	pthread_mutex_lock(&days->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = days->bucket[i]; e; e = e->next)
			e->held = false;
	pthread_mutex_unlock(&days->lock);
}

void days_still_hold(struct days *days)
{
	int64_t now = clock_mono_us();

	pthread_mutex_lock(&days->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = days->bucket[i]; e; e = e->next)
			if (e->held)
				e->fetched_mono_us = now;
	days_forget(days, is_old);
	pthread_mutex_unlock(&days->lock);
}

void days_forget_due(struct days *days)
{
	pthread_mutex_lock(&days->lock);
	days_forget(days, is_due);
	pthread_mutex_unlock(&days->lock);
}

int days_find(struct days *days, const char *zone, int64_t ts_us, struct day *out, struct err *err)
{
	bool stale = false, found, away;
	struct day fresh;
	int rc;

	pthread_mutex_lock(&days->lock);
	found = days_look(days, zone, ts_us, out, &stale);
	away = days->away_mono_us > clock_mono_us();
	pthread_mutex_unlock(&days->lock);
	if (found && (!stale || away))
		return 0;
	if (away)
		return err_set(err, -EAGAIN, "days: the database did not answer a moment ago");
	rc = day_fetch(days, zone, ts_us, &fresh, err);
	pthread_mutex_lock(&days->lock);
	if (rc == -ECONNRESET || rc == -EAGAIN)
		days->away_mono_us = clock_mono_us() + AWAY_US;
	else if (!rc && clock_now_us() >= fresh.dies_us) /* by our clock, and not by its */
		rc = err_set(err, -EAGAIN, "days: the key of this day is being destroyed");
	else if (!rc)
		rc = days_keep(days, zone, utc_day_of(ts_us), &fresh, false, err);
	pthread_mutex_unlock(&days->lock);
	if (rc && found) {
		log_debug("days: the one in memory serves: %s", err->msg);
		return 0; /* the database is away; the day's key serves on */
	}
	if (!rc)
		*out = fresh;
	sodium_memzero(&fresh, sizeof fresh);
	return rc;
}
