#include "services/worker/apply.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/pg.h"
#include "lib/schema.h"
#include "lib/stop.h"
#include "services/worker/refused.h"
#include "services/worker/rows.h"
#include "services/worker/shield.h"

#define SITES_FIRST   16
#define WANTED_MOST   100 /* of what was set aside, in one transaction */
#define HOUR_US       (3600 * US_PER_SECOND)
#define SET_ASIDE_FEW 20         /* in an hour; more must be under 1 % of its events */
#define RECORD_PLACE  UINT32_MAX /* of a record that was set aside whole */

/* A worker that hangs, or is stopped, must not keep the others waiting: its transaction ends by
 * itself, and theirs give up waiting and go on with other lanes. */
#define SESSION                                                                                    \
	"-c idle_in_transaction_session_timeout=6s -c lock_timeout=2s -c statement_timeout=30s"
/* The refusal of site_refuse_removed() (0008_retention.sql), as pg_error() tells it; and
 * how often the console is told at most. */
#define SITE_REMOVED "(55F01)"
#define TELL_US      (10 * US_PER_SECOND)
/* In one call: its parameters are held in memory twice, 0.6 KiB an event. While it is put together,
 * half a millisecond for the worst of agents, the transaction is idle and must not be taken for a
 * stopped one: of events with such agents what may be in hand has some 5,500. And a call of late
 * events, or of persistent visitors, takes seconds. The larger it is, the fewer rows of the rollups
 * it changes for an event. */
#define EVENT_OF_CALL_MOST 10000
/* The database takes this much longer for an event than we do to put it together. Fewer events than
 * these are not worth two calls. */
#define CALL_OF_PREPARING 7
#define EVENT_OF_CALL_FEW 1000

#define APPLY_SQL                                                                                  \
	"select events_apply($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,"      \
	"$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38,$39,$40," \
	"$41,$42)"

/* Whatever the server's defaults are: records_claim() needs it (0002_delivery.sql). And never while
 * the database is migrated. */
#define BEGIN                                                                                      \
	"begin isolation level read committed; select pg_advisory_xact_lock_shared(" SCHEMA_LOCK ")"

/* An event of the lane's batch, still on the wire. */
struct item {
	uint32_t site_id;
	uint32_t order; /* of arrival */
	uint32_t place; /* in its record */
	const struct record_id *record;
	struct span wire;
};

struct told {
	uint32_t site_id, count;
};

struct apply {
	char *conninfo;
	PGconn *conn;
	struct enrich *enrich;
	struct rows *rows;
	struct refused *refused;
	struct record_reader *reader;
	struct span *events; /* of one record */
	char **contents;     /* of the records in hand, which items borrow from */
	size_t content_count, content_size;
	struct item *items;
	struct told *told;
	struct told calling; /* what the database is at now; no events: nothing */
	size_t count, size, told_count, told_size;
	struct apply_stats stats, pending; /* pending becomes stats with the commit */
	struct apply_stats hour;           /* stats when this hour began */
	int64_t hour_mono_us;
	int64_t tell_mono_us; /* not before */
};

int apply_open(struct apply **out, const char *conninfo, struct enrich *enrich, struct err *err)
{
	struct apply *a = calloc(1, sizeof *a);
	int rc;

	if (!a)
		return err_set(err, -ENOMEM, "apply");
	a->enrich = enrich;
	a->hour_mono_us = clock_mono_us();
	a->conninfo = strdup(conninfo);
	a->events = calloc(RECORD_EVENTS, sizeof *a->events);
	rc = a->conninfo && a->events ? 0 : err_set(err, -ENOMEM, "apply");
	if (!rc)
		rc = record_reader_open(&a->reader, err);
	if (!rc)
		rc = rows_open(&a->rows, err);
	if (!rc)
		rc = refused_open(&a->refused, err);
	if (rc)
		apply_close(&a);
	else
		*out = a;
	return rc;
}

static void contents_free(struct apply *a)
{
	while (a->content_count)
		free(a->contents[--a->content_count]);
}

void apply_close(struct apply **a_p)
{
	struct apply *a = *a_p;

	if (!a)
		return;
	PQfinish(a->conn);
	rows_close(&a->rows);
	refused_close(&a->refused);
	free(a->conninfo);
	record_reader_close(&a->reader);
	free(a->events);
	contents_free(a);
	free(a->contents);
	free(a->items);
	free(a->told);
	free(a);
	*a_p = NULL;
}

const struct apply_stats *apply_stats(const struct apply *a)
{
	return &a->stats;
}

/* Make room for one more element in a growing array. */
static int grow(void **array, size_t *size, size_t count, size_t element, struct err *err)
{
	void *grown;

	if (count < *size)
		return 0;
	grown = realloc(*array, (*size ? *size * 2 : SITES_FIRST) * element);
	if (!grown)
		return err_set(err, -ENOMEM, "apply: no memory for a batch");
	*array = grown;
	*size = *size ? *size * 2 : SITES_FIRST;
	return 0;
}

/* --- statements ---------------------------------------------------------------------------------
 */

static void uuid_text(const unsigned char producer[16], char text[33])
{
	sodium_bin2hex(text, 33, producer, 16); /* PostgreSQL reads a UUID without hyphens, too */
}

/* Which of the records are new; *claimed is the server's "{t,f,…}" in result. */
static int records_claim(
	struct apply *a, const struct held *records, uint32_t n, PGresult **result, struct err *err)
{
	size_t size = (size_t)n * 34 + 3;
	char *texts = malloc(3 * size), *producers = texts, *lanes, *seqs;
	size_t at[3] = { 0 };
	int rc;

	if (!texts)
		return err_set(err, -ENOMEM, "apply: no memory");
	lanes = texts + size;
	seqs = lanes + size;
	for (uint32_t i = 0; i < n; i++) {
		char uuid[33], sep = i ? ',' : '{';

		uuid_text(records[i].id.producer, uuid);
		at[0] += (size_t)snprintf(producers + at[0], size - at[0], "%c%s", sep, uuid);
		at[1] += (size_t)snprintf(
			lanes + at[1], size - at[1], "%c%u", sep, records[i].id.lane);
		at[2] += (size_t)snprintf(seqs + at[2], size - at[2], "%c%llu", sep,
			(unsigned long long)records[i].id.seq);
	}
	snprintf(producers + at[0], size - at[0], "}");
	snprintf(lanes + at[1], size - at[1], "}");
	snprintf(seqs + at[2], size - at[2], "}");
	rc = pg_run(a->conn, result, "select unnest(records_claim($1, $2, $3))", 3,
		(const char *const[]){ producers, lanes, seqs }, err);
	free(texts);
	return rc;
}

static int progress_raise(struct apply *a, const struct record_id *id, struct err *err)
{
	char uuid[33], lane[8];

	uuid_text(id->producer, uuid);
	snprintf(lane, sizeof lane, "%u", id->lane);
	return pg_run(a->conn, NULL, "select progress_raise($1, $2)", 2,
		(const char *const[]){ uuid, lane }, err);
}

static int told_add(struct apply *a, uint32_t site_id, uint32_t count, struct err *err)
{
	int rc = grow((void **)&a->told, &a->told_size, a->told_count, sizeof *a->told, err);

	if (!rc && count)
		a->told[a->told_count++] = (struct told){ site_id, count };
	return rc;
}

/* Wait for the call that the database is at, if it is at one. */
static int call_end(struct apply *a, struct err *err)
{
	const struct told calling = a->calling;
	PGresult *result;
	uint32_t stored;
	int rc;

	if (!calling.count)
		return 0;
	a->calling.count = 0;
	rc = pg_receive(a->conn, &result, err);
	if (rc)
		return rc;
	stored = (uint32_t)pg_int(result, 0, 0);
	PQclear(result);
	a->pending.events += stored;
	a->pending.known_events += calling.count - stored;
	return told_add(a, calling.site_id, stored, err);
}

static int set_aside(
	struct apply *a, const struct item *item, const struct err *why, struct err *err)
{
	char uuid[33], lane[8], seq[24], place[16], *hex;
	int rc = call_end(a, err);

	if (rc)
		return rc;
	hex = malloc(2 * item->wire.len + 3);
	if (!hex)
		return err_set(err, -ENOMEM, "apply: no memory");
	uuid_text(item->record->producer, uuid);
	snprintf(lane, sizeof lane, "%u", item->record->lane);
	snprintf(seq, sizeof seq, "%llu", (unsigned long long)item->record->seq);
	snprintf(place, sizeof place, "%d", item->place == RECORD_PLACE ? -1 : (int)item->place);
	memcpy(hex, "\\x", 2);
	sodium_bin2hex(hex + 2, 2 * item->wire.len + 1, (const unsigned char *)item->wire.ptr,
		item->wire.len);
	rc = pg_run(a->conn, NULL,
		"insert into dead_letter (producer, lane, seq, place, reason, bytes) "
		"values ($1, $2, $3, $4, $5, $6)",
		6, (const char *const[]){ uuid, lane, seq, place, why->msg, hex }, err);
	free(hex);
	if (rc)
		return rc;
	log_alarm("apply: an event was set aside producer=%s lane=%s seq=%s place=%s reason=%s",
		uuid, lane, seq, place, why->msg);
	a->pending.set_aside++;
	return 0;
}

/* --- a lane's batch ------------------------------------------------------------------------------
 */

/* Decode an event; one that cannot be read is set aside. */
static int item_read(
	struct apply *a, const struct item *item, struct event *ev, bool *is_aside, struct err *err)
{
	struct err why;
	int rc = event_decode(ev, item->wire, &why);

	*is_aside = rc && rc != -ENOMEM && rc != -ENOTSUP;
	if (*is_aside)
		return set_aside(a, item, &why, err);
	if (rc) /* of a newer ingress: for a newer worker */
		*err = why;
	return rc;
}

/* The events of a record, into a->events; they stay until contents_free(). */
static int record_read(struct apply *a, struct span wire, uint32_t *n, struct err *err)
{
	char *content = NULL;
	struct record_id id;
	size_t size;
	int rc = record_size(&size, wire, err);

	*n = 0;
	if (!rc && size) {
		rc = grow((void **)&a->contents, &a->content_size, a->content_count,
			sizeof *a->contents, err);
		content = rc ? NULL : malloc(size);
		if (!rc && !content)
			rc = err_set(err, -ENOMEM, "apply: no memory for a record");
		if (content)
			a->contents[a->content_count++] = content;
	}
	return rc ? rc : record_decode(a->reader, &id, content, a->events, n, wire, err);
}

/* Put the events of a new record into items. */
static int record_take(struct apply *a, const struct held *held, struct err *err)
{
	uint32_t n;
	int rc = record_read(a, held->wire, &n, err);

	if (rc && rc != -ENOMEM) {
		const struct item whole = {
			.place = RECORD_PLACE, .record = &held->id, .wire = held->wire
		};
		struct err why = *err;

		return set_aside(a, &whole, &why, err);
	}
	for (uint32_t i = 0; i < n && !rc; i++) {
		struct item item = { .order = (uint32_t)a->count,
			.place = i,
			.record = &held->id,
			.wire = a->events[i] };
		struct event ev;
		bool is_aside = false;

		item.site_id = event_site(item.wire);
		if (!item.site_id) {
			rc = item_read(a, &item, &ev, &is_aside, err);
			item.site_id = ev.site_id;
		}
		if (rc || is_aside)
			continue;
		rc = grow((void **)&a->items, &a->size, a->count, sizeof *a->items, err);
		if (!rc)
			a->items[a->count++] = item;
	}
	return rc;
}

static int item_order(const void *x, const void *y)
{
	const struct item *a = x, *b = y;

	if (a->site_id != b->site_id)
		return a->site_id < b->site_id ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Have the database begin with the rows; call_end() has to follow. */
static int call_begin(struct apply *a, uint32_t site_id, struct err *err)
{
	struct pg_param params[ROWS_PARAMS];
	int rc = rows_params(a->rows, params, err);

	if (!rc)
		rc = pg_send_params(a->conn, APPLY_SQL, ROWS_PARAMS, params, err);
	a->calling = rc ? (struct told){ 0 } : (struct told){ site_id, rows_count(a->rows) };
	return rc;
}

static int row_add(struct apply *a, const struct item *item, struct err *err)
{
	struct enriched more;
	struct event ev;
	enum dropped refused;
	bool is_aside;
	int rc = item_read(a, item, &ev, &is_aside, err);

	if (is_aside)
		return rc;
	if (!rc && ev.kind == EVENT_DROPPED) {
		rc = ev.site_id ? enrich_site_exists(a->enrich, ev.site_id, err) : 0;
		return rc ? rc : refused_add_sum(a->refused, &ev, err);
	}
	if (!rc)
		rc = enrich_event(a->enrich, &ev, &more, err);
	if (rc)
		return rc;
	refused = shield_refuses(
		more.site, span_of(more.place.geo.country), (uint8_t)rows_bot(&ev, &more));
	if (!refused)
		return rows_add(a->rows, &ev, &more, err);
	a->pending.refused++;
	return refused_add(a->refused, &ev, refused, err);
}

/* The usual way: many events of a site in one call. It is put together while the database is at the
 * one before, and may be under way still afterwards. */
static int site_apply(struct apply *a, const struct item *items, size_t n, struct err *err)
{
	const uint64_t refused_before = a->pending.refused;
	int rc = 0;

	rows_begin(a->rows, items[0].site_id, (uint32_t)n);
	refused_begin(a->refused, items[0].site_id);
	for (size_t i = 0; i < n && !rc; i++)
		rc = row_add(a, &items[i], err);
	if (rc == -ENOENT) {
		a->pending.skipped += n;
		return 0;
	}
	if (!rc)
		rc = call_end(a, err);
	if (!rc)
		rc = refused_send(a->refused, a->conn, err);
	if (!rc && rows_count(a->rows))
		rc = call_begin(a, items[0].site_id, err);
	if (rc)
		a->pending.refused = refused_before;
	return rc;
}

/* The careful way, when the database has refused a value: one event at a time, the bad ones alone
 * set aside. */
static int item_apply_carefully(struct apply *a, const struct item *item, struct err *err)
{
	struct err why;
	int rc = pg_run_simple(a->conn, "savepoint one", err);

	if (rc)
		return rc;
	rc = site_apply(a, item, 1, &why);
	if (!rc)
		rc = call_end(a, &why);
	if (!rc)
		return pg_run_simple(a->conn, "release one", err);
	/* What cannot be told (-EPROTO) is taken for that one event's fault, too: if it is not,
	 * there are soon too many. */
	if (rc != -EINVAL && rc != -EPROTO) {
		*err = why;
		return rc;
	}
	rc = pg_run_simple(a->conn, "rollback to one", err);
	return rc ? rc : set_aside(a, item, &why, err);
}

/* How many of them, at least one, the next call takes: of one site, which has as few calls as can
 * be, of one size. While the database has nothing to do it is a small one, and behind it the others
 * are put together. */
static size_t call_size(const struct apply *a, const struct item *items, size_t most)
{
	size_t n = 1, calls;

	while (n < most && items[n].site_id == items[0].site_id)
		n++;
	if (!a->calling.count && n >= 2 * EVENT_OF_CALL_FEW)
		return n / CALL_OF_PREPARING;
	calls = (n + EVENT_OF_CALL_MOST - 1) / EVENT_OF_CALL_MOST;
	return (n + calls - 1) / calls;
}

static int items_apply(struct apply *a, bool carefully, struct err *err)
{
	int rc = 0;

	qsort(a->items, a->count, sizeof *a->items, item_order);
	for (size_t i = 0, n; i < a->count && !rc; i += n) {
		if (stop_wait(0))
			return err_set(err, -EAGAIN, "the worker is ending");
		n = carefully ? 1 : call_size(a, &a->items[i], a->count - i);
		rc = carefully ? item_apply_carefully(a, &a->items[i], err)
			       : site_apply(a, &a->items[i], n, err);
	}
	return rc ? rc : call_end(a, err);
}

/* If more than a hundredth of an hour's events would be set aside, it is not they who are wrong:
 * nothing more is, until somebody has looked. */
static int few_set_aside(struct apply *a, struct err *err)
{
	int64_t now = clock_mono_us();
	uint64_t aside, events;

	if (now - a->hour_mono_us > HOUR_US) {
		a->hour = a->stats;
		a->hour_mono_us = now;
	}
	aside = a->pending.set_aside - a->hour.set_aside;
	events = aside + a->pending.events + a->pending.known_events - a->hour.events -
		 a->hour.known_events;
	if (a->pending.set_aside == a->stats.set_aside || aside <= SET_ASIDE_FEW ||
		aside * 100 <= events)
		return 0;
	log_alarm("apply: stopped: %llu of %llu events in an hour would be set aside",
		(unsigned long long)aside, (unsigned long long)events);
	return err_set(err, -EAGAIN, "too many events would be set aside");
}

static int lane_in_transaction(
	struct apply *a, const struct held *records, uint32_t n, bool carefully, struct err *err)
{
	PGresult *claimed = NULL;
	int rc = pg_run_simple(a->conn, BEGIN, err);

	a->count = a->told_count = 0;
	a->pending = a->stats;
	if (!rc)
		rc = records_claim(a, records, n, &claimed, err);
	for (uint32_t i = 0; i < n && !rc; i++) {
		a->pending.records++;
		if (PQgetvalue(claimed, (int)i, 0)[0] == 't')
			rc = record_take(a, &records[i], err);
		else
			a->pending.repeats++;
	}
	PQclear(claimed);
	if (!rc && a->count)
		rc = items_apply(a, carefully, err);
	contents_free(a);
	for (uint32_t i = 0; i < n && !rc; i++) {
		bool done = false; /* for this producer, by an earlier record of the batch */

		for (uint32_t k = 0; k < i && !done; k++)
			done = !memcmp(records[k].id.producer, records[i].id.producer, 16);
		if (!done)
			rc = progress_raise(a, &records[i].id, err);
	}
	if (!rc)
		rc = few_set_aside(a, err);
	return rc ? rc : pg_run_simple(a->conn, "commit", err);
}

/* A connection that can be used, made when there is none. */
static int connection_need(struct apply *a, struct err *err)
{
	int rc = 0;

	if (a->conn && PQstatus(a->conn) != CONNECTION_OK) {
		PQfinish(a->conn);
		a->conn = NULL;
	}
	if (a->conn)
		return 0;
	rc = pg_open_with(&a->conn, a->conninfo, "footfall worker", schema_metrics, SESSION, err);
	if (!rc) /* what is acknowledged must not be lost at the server's crash */
		rc = pg_run_simple(a->conn,
			"select set_config('synchronous_commit', 'on', false) "
			"where current_setting('synchronous_commit') = 'off'",
			err);
	if (rc) {
		PQfinish(a->conn);
		a->conn = NULL;
	}
	return rc;
}

/* Give up the transaction; false: the connection is lost with it. */
static bool roll_back(struct apply *a)
{
	struct err ignored;

	(void)!call_end(a, &ignored);
	if (!pg_run_simple(a->conn, "rollback", &ignored))
		return true;
	PQfinish(a->conn);
	a->conn = NULL;
	return false;
}

/* One database says that a site was removed, and the other, or what we remember of it, that it is
 * there: as after one of them was restored. The console settles it (services/console/keep.h). */
static void keep_tell(struct apply *a, const struct err *why)
{
	struct err err;

	if (!strstr(why->msg, SITE_REMOVED) || clock_mono_us() < a->tell_mono_us)
		return;
	a->tell_mono_us = clock_mono_us() + TELL_US;
	if (pg_run_simple(a->conn, "notify footfall_keep", &err))
		log_debug("apply: the console was not told: %s", err.msg);
}

static void committed(struct apply *a, apply_told *told, void *who)
{
	a->stats = a->pending;
	for (size_t i = 0; i < a->told_count; i++)
		told(who, a->told[i].site_id, a->told[i].count);
}

int apply_lane(struct apply *a, const struct held *records, uint32_t n, apply_told *told, void *who,
	struct err *err)
{
	int rc = connection_need(a, err);

	if (rc)
		return rc;
	for (int carefully = 0; carefully < 2; carefully++) {
		rc = lane_in_transaction(a, records, n, carefully, err);
		if (!rc)
			break;
		if (!roll_back(a) || rc == -ECONNRESET) {
			PQfinish(a->conn);
			a->conn = NULL;
			return rc;
		}
		keep_tell(a, err);
		if (rc != -EINVAL && rc != -EPROTO)
			return rc;
	}
	if (!rc)
		committed(a, told, who);
	return rc;
}

/* --- what was set aside -------------------------------------------------------------------------
 */

static int bytes_of(PGresult *rows, int row, int column, unsigned char **bytes, size_t *len)
{
	*bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, row, column), len);
	return *bytes ? 0 : -ENOMEM;
}

/* The events of what was set aside: one, or those of a whole record. */
static int wanted_events(
	struct apply *a, struct span wire, bool whole, uint32_t *n, struct err *err)
{
	if (whole)
		return record_read(a, wire, n, err);
	a->events[0] = wire;
	*n = 1;
	return 0;
}

/* Apply them all, or none; *why says what is wrong with them when it is they. */
static int wanted_apply(
	struct apply *a, struct span wire, bool whole, struct err *why, struct err *err)
{
	const struct apply_stats before = a->pending;
	const size_t told_before = a->told_count;
	uint32_t n;
	int rc = pg_run_simple(a->conn, "savepoint one", err);

	if (rc)
		return rc;
	rc = wanted_events(a, wire, whole, &n, why);
	for (uint32_t i = 0; !rc && i < n; i++) {
		struct item item = { .place = i, .wire = a->events[i] };
		struct event ev;

		rc = event_decode(&ev, item.wire, why);
		item.site_id = ev.site_id;
		if (!rc)
			rc = site_apply(a, &item, 1, why);
		if (!rc)
			rc = call_end(a, why);
	}
	contents_free(a);
	if (!rc)
		return pg_run_simple(a->conn, "release one", err);
	if (rc == -ECONNRESET || rc == -EAGAIN || rc == -ENOMEM) {
		*err = *why;
		return rc;
	}
	a->pending = before;
	a->told_count = told_before;
	return pg_run_simple(a->conn, "rollback to one", err);
}

static int wanted_one(struct apply *a, PGresult *rows, int row, struct err *err)
{
	const char *const key[] = { PQgetvalue(rows, row, 0), PQgetvalue(rows, row, 1),
		PQgetvalue(rows, row, 2), PQgetvalue(rows, row, 3) };
	struct err why = { 0 };
	unsigned char *bytes;
	size_t len;
	int rc = bytes_of(rows, row, 4, &bytes, &len);

	if (rc)
		return err_set(err, rc, "apply: no memory");
	rc = wanted_apply(a, (struct span){ (const char *)bytes, len }, *key[3] == '-', &why, err);
	PQfreemem(bytes);
	if (rc)
		return rc;
	if (!why.code)
		return pg_run(a->conn, NULL,
			"delete from dead_letter where producer = $1 and lane = $2 and seq = $3 "
			"and place = $4",
			4, key, err);
	return pg_run(a->conn, NULL,
		"update dead_letter set wanted = false, reason = $5 where producer = $1 "
		"and lane = $2 and seq = $3 and place = $4",
		5, (const char *const[]){ key[0], key[1], key[2], key[3], why.msg }, err);
}

int apply_wanted(struct apply *a, apply_told *told, void *who, struct err *err)
{
	char most[16];
	PGresult *rows = NULL;
	int rc = connection_need(a, err);

	if (rc)
		return rc;
	a->told_count = 0;
	a->pending = a->stats;
	snprintf(most, sizeof most, "%d", WANTED_MOST);
	rc = pg_run_simple(a->conn, BEGIN, err);
	if (!rc)
		rc = pg_run(a->conn, &rows,
			"select producer, lane, seq, place, bytes from dead_letter where wanted "
			"order by set_aside limit $1 for update skip locked",
			1, (const char *const[]){ most }, err);
	for (int i = 0; !rc && i < PQntuples(rows); i++)
		rc = wanted_one(a, rows, i, err);
	PQclear(rows);
	if (!rc)
		rc = pg_run_simple(a->conn, "commit", err);
	if (!rc)
		committed(a, told, who);
	else if (roll_back(a))
		keep_tell(a, err);
	return rc;
}
