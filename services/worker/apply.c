#include "services/worker/apply.h"

#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/pg.h"
#include "lib/schema.h"
#include "lib/stop.h"
#include "services/worker/batch.h"
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
 * half a millisecond for the worst of agents, the transaction before may be idle and must not be
 * taken for a stopped one: of events with such agents HOLD_BATCH_BYTES are some 5,500. And a call
 * of late events, or of persistent visitors, takes seconds. The larger it is, the fewer rows of the
 * rollups it changes for an event. */
#define EVENT_OF_CALL_MOST 12000
/* While a call is put together: events between two looks whether to go on; and how long at most
 * while the database is at another, which may have the site's lock and be done. */
#define LOOK_EVERY      128
#define PREPARE_MOST_US US_PER_SECOND

#define APPLY_SQL                                                                                  \
	"select events_apply($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,"      \
	"$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38,$39,$40," \
	"$41,$42)"

/* Whatever the server's defaults are: records_claim() needs it (0002_delivery.sql). And never while
 * the database is migrated. */
#define BEGIN                                                                                      \
	"begin isolation level read committed; select pg_advisory_xact_lock_shared(" SCHEMA_LOCK ")"

struct told {
	uint32_t site_id, count;
};

/* What is ready for when the transaction before has ended: the rows of the first call of these
 * records, or nothing. */
struct prepared {
	struct record_id ids[HOLD_RECORDS_MOST];
	uint32_t n;
	size_t items;     /* that are in the call; 0: nothing is prepared */
	uint64_t refused; /* of them */
	int64_t until_us; /* when to stop preparing: what is done must be committed */
};

struct apply {
	char *conninfo;
	PGconn *conn;
	struct enrich *enrich;
	struct batch *batch;
	struct rows *rows;
	struct refused *refused;
	struct told *told;
	struct told calling; /* what the database is at now; no events: nothing */
	size_t told_count, told_size;
	struct prepared prepared;
	bool preparing; /* nothing may be asked of the database, which is at something else */
	/* Of the transaction that has begun and not ended. */
	const struct held *records;
	uint32_t n;
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
	rc = a->conninfo ? batch_open(&a->batch, err) : err_set(err, -ENOMEM, "apply");
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

void apply_close(struct apply **a_p)
{
	struct apply *a = *a_p;

	if (!a)
		return;
	PQfinish(a->conn);
	rows_close(&a->rows);
	refused_close(&a->refused);
	batch_close(&a->batch);
	free(a->conninfo);
	free(a->told);
	free(a);
	*a_p = NULL;
}

const struct apply_stats *apply_stats(const struct apply *a)
{
	return &a->stats;
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
	if (a->told_count == a->told_size) {
		size_t size = a->told_size ? a->told_size * 2 : SITES_FIRST;
		struct told *grown = realloc(a->told, size * sizeof *grown);

		if (!grown)
			return err_set(err, -ENOMEM, "apply: no memory for a batch");
		a->told = grown;
		a->told_size = size;
	}
	if (count)
		a->told[a->told_count++] = (struct told){ site_id, count };
	return 0;
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

/* An event of a record, or the whole of it (RECORD_PLACE). */
static int set_aside(struct apply *a, const struct record_id *record, uint32_t place_n,
	struct span wire, const struct err *why, struct err *err)
{
	char uuid[33], lane[8], seq[24], place[16], *hex;
	int rc = a->preparing ? err_set(err, -EAGAIN, "apply: not now") : call_end(a, err);

	if (rc)
		return rc;
	hex = malloc(2 * wire.len + 3);
	if (!hex)
		return err_set(err, -ENOMEM, "apply: no memory");
	uuid_text(record->producer, uuid);
	snprintf(lane, sizeof lane, "%u", record->lane);
	snprintf(seq, sizeof seq, "%llu", (unsigned long long)record->seq);
	snprintf(place, sizeof place, "%d", place_n == RECORD_PLACE ? -1 : (int)place_n);
	memcpy(hex, "\\x", 2);
	sodium_bin2hex(hex + 2, 2 * wire.len + 1, (const unsigned char *)wire.ptr, wire.len);
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
	struct span wire;
	struct err why;
	int rc = batch_wire(a->batch, item, &wire, err);

	*is_aside = false;
	if (rc)
		return rc;
	rc = event_decode(ev, wire, &why);
	*is_aside = rc && rc != -ENOMEM && rc != -ENOTSUP;
	if (*is_aside)
		return set_aside(a, item->record, item->place, wire, &why, err);
	if (rc) /* of a newer ingress: for a newer worker */
		*err = why;
	return rc;
}

/* Put a new record's events into the batch. */
static int record_take(struct apply *a, const struct held *held, struct err *err)
{
	int rc = batch_add(a->batch, &held->id, held->wire, err);
	struct err why = *err;

	if (!rc || rc == -ENOMEM)
		return rc;
	return set_aside(a, &held->id, RECORD_PLACE, held->wire, &why, err);
}

/* Have the database begin with the rows; call_end() has to follow. */
static int call_begin(struct apply *a, uint32_t site_id, struct err *err)
{
	struct pg_param params[ROWS_PARAMS];
	int rc = rows_params(a->rows, params, err);

	if (!rc)
		rc = pg_send_params(a->conn, APPLY_SQL, ROWS_PARAMS, params, err);
	a->calling = rc ? (struct told){ 0 } : (struct told){ site_id, rows_count(a->rows) };
	rows_clear(a->rows); /* the connection has a copy */
	return rc;
}

static int row_add(
	struct apply *a, const struct item *item, uint64_t *refused_count, struct err *err)
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
	++*refused_count;
	return refused_add(a->refused, &ev, refused, err);
}

static int may_go_on(const struct apply *a, struct err *err)
{
	if (stop_wait(0))
		return err_set(err, -EAGAIN, "the worker is ending");
	if (a->preparing && clock_mono_us() > a->prepared.until_us)
		return err_set(err, -EAGAIN, "apply: not now");
	return 0;
}

/* Put together what a call of some events of a site tells the database, which then need not be
 * looked at again (let_go). -ENOENT: there is no such site any more. */
static int call_make(struct apply *a, const struct item *items, size_t n, bool let_go,
	uint64_t *refused_count, struct err *err)
{
	int rc = 0;

	*refused_count = 0;
	rows_begin(a->rows, items[0].site_id, (uint32_t)n);
	refused_begin(a->refused, items[0].site_id);
	for (size_t i = 0; i < n && !rc; i++) {
		rc = i % LOOK_EVERY ? 0 : may_go_on(a, err);
		if (!rc)
			rc = row_add(a, &items[i], refused_count, err);
		if (let_go)
			batch_let_go(a->batch, &items[i]);
	}
	return rc;
}

/* Tell it, when it has done what it was told before. It is at it still afterwards. */
static int call_send(struct apply *a, uint32_t site_id, uint64_t refused_count, struct err *err)
{
	int rc = call_end(a, err);

	if (!rc)
		rc = refused_send(a->refused, a->conn, err);
	if (!rc && rows_count(a->rows))
		rc = call_begin(a, site_id, err);
	if (!rc)
		a->pending.refused += refused_count;
	return rc;
}

/* The usual way: many events of a site in one call. It is put together while the database is at the
 * one before. */
static int site_apply(
	struct apply *a, const struct item *items, size_t n, bool let_go, struct err *err)
{
	uint64_t refused_count;
	int rc = call_make(a, items, n, let_go, &refused_count, err);

	if (rc == -ENOENT) {
		a->pending.skipped += n;
		return 0;
	}
	return rc ? rc : call_send(a, items[0].site_id, refused_count, err);
}

/* The careful way, when the database has refused a value: one event at a time, the bad ones alone
 * set aside. */
static int item_apply_carefully(struct apply *a, const struct item *item, struct err *err)
{
	struct span wire;
	struct err why;
	int rc = pg_run_simple(a->conn, "savepoint one", err);

	if (rc)
		return rc;
	rc = site_apply(a, item, 1, false, &why);
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
	if (!rc)
		rc = batch_wire(a->batch, item, &wire, err);
	return rc ? rc : set_aside(a, item->record, item->place, wire, &why, err);
}

/* How many of them, at least one, the next call takes: of one site, which has as few calls as can
 * be, of one size. */
static size_t call_size(const struct item *items, size_t most)
{
	size_t n = 1, calls;

	while (n < most && items[n].site_id == items[0].site_id)
		n++;
	calls = (n + EVENT_OF_CALL_MOST - 1) / EVENT_OF_CALL_MOST;
	return (n + calls - 1) / calls;
}

/* The batch's events, from one on. */
static int items_apply(struct apply *a, size_t from, bool carefully, struct err *err)
{
	size_t count, n;
	const struct item *items = batch_items(a->batch, &count);
	int rc = 0;

	for (size_t i = from; i < count && !rc; i += n) {
		n = carefully ? 1 : call_size(&items[i], count - i);
		rc = carefully ? item_apply_carefully(a, &items[i], err)
			       : site_apply(a, &items[i], n, true, err);
	}
	return rc;
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

static void prepared_forget(struct apply *a)
{
	a->prepared.items = 0;
	batch_clear(a->batch);
}

/* Fill the batch with the records that are new; those that are not are counted. */
static int records_take(struct apply *a, const PGresult *claimed, struct err *err)
{
	int rc = 0;

	batch_clear(a->batch);
	for (uint32_t i = 0; i < a->n && !rc; i++)
		if (*PQgetvalue(claimed, (int)i, 0) == 't')
			rc = record_take(a, &a->records[i], err);
		else
			a->pending.repeats++;
	return rc;
}

/* Whether what is prepared is these records, and all of them are new. */
static bool is_prepared(const struct apply *a, const PGresult *claimed)
{
	if (!a->prepared.items || a->prepared.n != a->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (record_id_order(&a->prepared.ids[i], &a->records[i].id) ||
			*PQgetvalue(claimed, (int)i, 0) != 't')
			return false;
	return true;
}

/* Begin the transaction, and leave the database at its last call. */
static int transaction_begin(struct apply *a, bool carefully, struct err *err)
{
	PGresult *claimed = NULL;
	size_t from = 0, count;
	int rc = pg_run_simple(a->conn, BEGIN, err);

	a->told_count = 0;
	a->pending = a->stats;
	a->pending.records += a->n;
	if (!rc)
		rc = records_claim(a, a->records, a->n, &claimed, err);
	if (!rc && !carefully && is_prepared(a, claimed)) {
		from = a->prepared.items;
		rc = call_send(a, batch_items(a->batch, &count)->site_id, a->prepared.refused, err);
	} else if (!rc) {
		rc = records_take(a, claimed, err);
	}
	a->prepared.items = 0;
	PQclear(claimed);
	if (!rc)
		rc = items_apply(a, from, carefully, err);
	batch_clear(a->batch);
	return rc;
}

/* Wait for the last call, and commit. */
static int transaction_end(struct apply *a, struct err *err)
{
	int rc = call_end(a, err);

	for (uint32_t i = 0; i < a->n && !rc; i++) {
		bool done = false; /* for this producer, by an earlier record of the batch */

		for (uint32_t k = 0; k < i && !done; k++)
			done = !memcmp(a->records[k].id.producer, a->records[i].id.producer, 16);
		if (!done)
			rc = progress_raise(a, &a->records[i].id, err);
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

/* After an error: nothing is begun any more. Whether it may go better carefully. */
static bool give_up(struct apply *a, int rc, const struct err *why)
{
	prepared_forget(a);
	if (!roll_back(a) || rc == -ECONNRESET) {
		PQfinish(a->conn);
		a->conn = NULL;
		return false;
	}
	keep_tell(a, why);
	return rc == -EINVAL || rc == -EPROTO;
}

/* The careful way, of the same records: begun and ended but for the commit. */
static int again_carefully(struct apply *a, int rc, struct err *err)
{
	if (!give_up(a, rc, err))
		return rc;
	rc = transaction_begin(a, true, err);
	if (!rc)
		rc = call_end(a, err);
	if (rc)
		give_up(a, rc, err);
	return rc;
}

void apply_prepare(struct apply *a, const struct held *records, uint32_t n)
{
	struct prepared *p = &a->prepared;
	const struct item *items;
	struct err ignored;
	size_t count, first;
	int rc = 0;

	prepared_forget(a);
	a->preparing = true;
	p->until_us = clock_mono_us() + PREPARE_MOST_US;
	p->n = n;
	for (uint32_t i = 0; i < n && !rc; i++) {
		p->ids[i] = records[i].id;
		rc = record_take(a, &records[i], &ignored);
	}
	items = batch_items(a->batch, &count);
	first = !rc && count ? call_size(items, count) : 0;
	if (first && !call_make(a, items, first, true, &p->refused, &ignored))
		p->items = first;
	else
		prepared_forget(a);
	a->preparing = false;
}

int apply_begin(struct apply *a, const struct held *records, uint32_t n, struct err *err)
{
	int rc = connection_need(a, err);

	if (rc) {
		prepared_forget(a);
		return rc;
	}
	a->records = records;
	a->n = n;
	rc = transaction_begin(a, false, err);
	return rc ? again_carefully(a, rc, err) : 0;
}

int apply_end(struct apply *a, apply_told *told, void *who, struct err *err)
{
	int rc = transaction_end(a, err);

	if (rc) {
		rc = again_carefully(a, rc, err);
		if (rc)
			return rc;
		rc = transaction_end(a, err);
	}
	if (rc)
		give_up(a, rc, err);
	else
		committed(a, told, who);
	return rc;
}

int apply_fd(const struct apply *a)
{
	return a->calling.count ? PQsocket(a->conn) : -1;
}

bool apply_is_busy(const struct apply *a)
{
	struct pollfd fd = { apply_fd(a), POLLIN, 0 };

	return fd.fd >= 0 && !poll(&fd, 1, 0);
}

/* --- what was set aside -------------------------------------------------------------------------
 */

static int bytes_of(PGresult *rows, int row, int column, unsigned char **bytes, size_t *len)
{
	*bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, row, column), len);
	return *bytes ? 0 : -ENOMEM;
}

/* The events of what was set aside: one, or those of a whole record. */
static int wanted_events(struct apply *a, struct span wire, bool whole, struct err *err)
{
	static const struct record_id none;

	batch_clear(a->batch);
	return (whole ? batch_add : batch_add_event)(a->batch, &none, wire, err);
}

/* Apply them all, or none; *why says what is wrong with them when it is they. */
static int wanted_apply(
	struct apply *a, struct span wire, bool whole, struct err *why, struct err *err)
{
	const struct apply_stats before = a->pending;
	const size_t told_before = a->told_count;
	const struct item *items;
	size_t n;
	int rc = pg_run_simple(a->conn, "savepoint one", err);

	if (rc)
		return rc;
	rc = wanted_events(a, wire, whole, why);
	items = batch_items(a->batch, &n);
	for (size_t i = 0; !rc && i < n; i++) {
		struct event ev;
		struct span bytes;

		rc = batch_wire(a->batch, &items[i], &bytes, why);
		if (!rc)
			rc = event_decode(&ev, bytes, why);
		if (!rc)
			rc = site_apply(a, &items[i], 1, true, why);
		if (!rc)
			rc = call_end(a, why);
	}
	batch_clear(a->batch);
	if (!rc) {
		*why = (struct err){ 0 }; /* whoever serves what is known says why it is old */
		return pg_run_simple(a->conn, "release one", err);
	}
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
	prepared_forget(a);
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
