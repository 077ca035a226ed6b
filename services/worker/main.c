/* worker: takes records from the ingresses, adds what can be derived from their events, writes them
 * to PostgreSQL. While the database is at one batch the next is gathered, and put together once it
 * is complete, so batches grow with the load. SIGTERM: end the transaction in hand, acknowledge,
 * exit 0; what else is in hand stays with its ingress. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/pg.h"
#include "lib/schema.h"
#include "lib/secret.h"
#include "lib/settings.h"
#include "lib/stop.h"
#include "services/worker/apply.h"
#include "services/worker/hold.h"
#include "services/worker/link.h"

#define IDLE_MS     500
#define LARGE_BYTES (48 << 10) /* of memory: goes back whole, an unpacked record's is 64 KiB */
/* Records come one behind the other; after this long no more are on their way. An ingress needs
 * some of it to send what follows an acknowledgement. And then nothing is waited for, however many
 * keep coming. */
#define MORE_MS        10
#define GATHER_MOST_US (50 * 1000LL)
/* Less than this is not put together while the database is at something: more may follow. */
#define PREPARE_BYTES (HOLD_BATCH_BYTES / 2)
/* How often to look for what is wanted again; also while there is always something to do. */
#define WANTED_EVERY_US      (2 * US_PER_SECOND)
#define WANTED_EVERY_BUSY_US (20 * US_PER_SECOND)

/* Records that the database is at, or is told next. */
struct flight {
	uint8_t lane;
	uint32_t n;
	struct held records[HOLD_RECORDS_MOST];
};

struct worker {
	struct settings settings;
	struct app *app;
	struct enrich *enrich;
	struct apply *apply;
	struct links *links;
	struct pg_pool *metrics_pool; /* for readiness only: apply has a connection of its own */
	struct http_server *admin;
	struct hold *hold;
	struct flight flights[2], *flight; /* flight: that has begun, or NULL */
	int64_t wanted_mono_us;            /* when it was looked for what is wanted again */
	pthread_mutex_t seen_lock;         /* of what /metrics shows, copied between batches */
	struct apply_stats seen;
	unsigned long long faults;
};

static int worker_ready(void *service, struct err *err)
{
	struct worker *w = service;

	return pg_pool_run(w->metrics_pool, NULL, "select 1", 0, NULL, err);
}

static void worker_metrics(void *service, FILE *out)
{
	struct worker *w = service;
	struct apply_stats s;
	unsigned long long faults;

	pthread_mutex_lock(&w->seen_lock);
	s = w->seen;
	faults = w->faults;
	pthread_mutex_unlock(&w->seen_lock);
	fprintf(out,
		"footfall_records_applied_total %llu\n"
		"footfall_records_repeated_total %llu\n"
		"footfall_events_stored_total %llu\n"
		"footfall_events_known_total %llu\n"
		"footfall_events_skipped_total %llu\n"
		"footfall_events_refused_total %llu\n"
		"footfall_events_set_aside_total %llu\n"
		"footfall_apply_faults_total %llu\n"
		"footfall_links %u\n",
		(unsigned long long)s.records, (unsigned long long)s.repeats,
		(unsigned long long)s.events, (unsigned long long)s.known_events,
		(unsigned long long)s.skipped, (unsigned long long)s.refused,
		(unsigned long long)s.set_aside, faults, links_count(w->links));
}

static int worker_open(struct worker *w, struct err *err)
{
	const struct settings *s = &w->settings;
	const struct admin_options admin = { .addr = s->admin_addr,
		.service_name = "worker",
		.service = w,
		.ready = worker_ready,
		.metrics = worker_metrics };
	const struct enrich_files files = { .ua_rules = s->ua_rules,
		.bot_agents = s->bot_agents,
		.place = place_files_of(s),
		.sources = known_files_of(s) };
	int rc = secret_init(err);

	if (!rc && !(w->hold = hold_new()))
		rc = err_set(err, -ENOMEM, "worker");
	if (!rc)
		rc = app_open(&w->app, s->app_db, err);
	if (!rc)
		rc = enrich_open(&w->enrich, &files, w->app, err);
	if (!rc)
		rc = apply_open(&w->apply, s->metrics_db, w->enrich, err);
	if (!rc)
		rc = pg_pool_open(&w->metrics_pool, s->metrics_db, "footfall worker readiness",
			schema_metrics, 1, err);
	if (!rc)
		rc = links_open(&w->links,
			&(struct links_options){ .ingresses = s->ingress_links,
				.live = s->live_links,
				.server_key = s->link_server_key,
				.own_secret = s->link_secret },
			err);
	return rc ? rc : admin_open(&w->admin, &admin, err);
}

static void count_fault(struct worker *w)
{
	pthread_mutex_lock(&w->seen_lock);
	w->faults++;
	pthread_mutex_unlock(&w->seen_lock);
}

static void worker_close(struct worker *w)
{
	http_server_close(&w->admin);
	hold_free(&w->hold);
	links_close(&w->links);
	apply_close(&w->apply);
	enrich_close(&w->enrich);
	app_close(&w->app);
	pg_pool_close(&w->metrics_pool);
	settings_clear(&w->settings);
}

/* Keep what has come, if it can be told which record it is. */
static void record_hold(struct worker *w, zmq_msg_t *msg, unsigned link)
{
	const struct span wire = { zmq_msg_data(msg), zmq_msg_size(msg) };
	struct record_id id = { .seq = 0 };
	size_t size = 0;
	struct err err;

	if (record_id_decode(&id, wire, &err) && !id.seq) {
		/* Not acknowledged: the ingress keeps it, and sends it again to somebody. */
		log_alarm("worker: a record cannot be read link=%u bytes=%zu reason=%s", link,
			wire.len, err.msg);
		count_fault(w);
		return;
	}
	if (record_size(&size, wire, &err))
		log_debug("worker: of a record: %s", err.msg); /* apply sets it aside */
	hold_add(w->hold, &id, (uint32_t)(size ? size : wire.len), msg, link);
}

/* How long a record is waited for, the first one or another. */
static int gather_wait_ms(struct worker *w, int64_t until_mono_us)
{
	int ms;

	if (w->flight && apply_fd(w->apply) < 0) /* it need not be waited for */
		return 0;
	if (w->flight)
		return hold_has(w->hold, PREPARE_BYTES) ? MORE_MS : IDLE_MS;
	if (until_mono_us)
		return clock_mono_us() < until_mono_us ? MORE_MS : 0;
	ms = hold_wait_ms(w->hold, IDLE_MS);
	return ms ? ms : MORE_MS; /* what waits came meanwhile, and more may follow */
}

/* Gather what is there and on its way, since a large batch costs the database half as much an event
 * as a small one: until as much is there as a transaction takes, no more comes, or the database has
 * done what it is at. For long only when there is nothing to tell it. */
static void gather(struct worker *w)
{
	int64_t until_mono_us = 0;

	if (hold_is_full(w->hold)) {
		if (!w->flight)
			stop_wait(hold_wait_ms(w->hold, IDLE_MS));
		return;
	}
	while (!hold_has(w->hold, HOLD_BATCH_BYTES)) {
		zmq_msg_t msg;
		unsigned link;
		int got;

		zmq_msg_init(&msg);
		got = links_receive(w->links, &msg, &link, w->flight ? apply_fd(w->apply) : -1,
			gather_wait_ms(w, until_mono_us));
		if (got)
			record_hold(w, &msg, link);
		zmq_msg_close(&msg);
		if (!got)
			return;
		if (!until_mono_us)
			until_mono_us = clock_mono_us() + GATHER_MOST_US;
	}
}

static void tell_live(void *who, uint32_t site_id, uint32_t count)
{
	links_tell_live(((struct worker *)who)->links, site_id, count);
}

static void lane_acknowledge(struct worker *w, const struct held *records, uint32_t n)
{
	struct record_id ids[HOLD_RECORDS_MOST];
	bool done[HOLD_RECORDS_MOST] = { false };

	for (uint32_t first = 0; first < n; first++) {
		uint32_t count = 0;

		for (uint32_t i = first; i < n && !done[first]; i++)
			if (records[i].link == records[first].link) {
				ids[count++] = records[i].id;
				done[i] = i > first;
			}
		if (count)
			links_acknowledge(w->links, records[first].link, ids, count);
	}
}

/* What the database cannot do now is tried again later, for ever, and never set aside. */
static void lane_put_off(struct worker *w, const struct flight *f, const struct err *err)
{
	if (stop_wait(0)) /* it was not begun, or not ended, for that */
		return;
	if (hold_put_off(w->hold, f->lane) == 1)
		log_error("worker: a lane cannot be applied, trying on lane=%u records=%u: %s",
			f->lane, f->n, err->msg);
	count_fault(w);
}

/* Wait for what has begun, if anything has. An error: the database is away. */
static int flight_end(struct worker *w)
{
	const struct flight *f = w->flight;
	struct err err;
	int rc;

	if (!f)
		return 0;
	w->flight = NULL;
	rc = apply_end(w->apply, tell_live, w, &err);
	if (rc) {
		lane_put_off(w, f, &err);
		return rc == -ECONNRESET ? rc : 0;
	}
	pthread_mutex_lock(&w->seen_lock);
	w->seen = *apply_stats(w->apply);
	pthread_mutex_unlock(&w->seen_lock);
	lane_acknowledge(w, f->records, f->n);
	hold_drop(w->hold, f->lane, f->records, f->n);
	return 0;
}

/* Begin with what waits in a lane. It is put together while the database is at what it was told
 * before, and that is ended first. An error: the database is away, and no other lane need be
 * tried. */
static int lane_begin(struct worker *w, uint8_t lane)
{
	struct flight *f = w->flight == w->flights ? w->flights + 1 : w->flights;
	struct err err;
	int rc;

	f->lane = lane;
	f->n = hold_lane(w->hold, lane, f->records);
	if (w->flight && apply_is_busy(w->apply))
		apply_prepare(w->apply, f->records, f->n);
	rc = flight_end(w);
	/* Due no more: it was this lane's, and has failed. */
	if (rc || stop_wait(0) || !hold_is_due(w->hold, lane))
		return rc;
	rc = apply_begin(w->apply, f->records, f->n, &err);
	if (rc) {
		lane_put_off(w, f, &err);
		return rc == -ECONNRESET ? rc : 0;
	}
	hold_begin(w->hold, lane, f->records, f->n);
	w->flight = f;
	return 0;
}

static void wanted_again(struct worker *w)
{
	const int64_t every = w->flight ? WANTED_EVERY_BUSY_US : WANTED_EVERY_US;
	struct err err;

	if (clock_mono_us() - w->wanted_mono_us < every || flight_end(w))
		return;
	w->wanted_mono_us = clock_mono_us();
	if (apply_wanted(w->apply, tell_live, w, &err))
		log_debug("worker: nothing that was set aside can be tried now: %s", err.msg);
}

static void worker_step(struct worker *w)
{
	bool begun = false;

	gather(w);
	app_follow(w->app);
	enrich_follow(w->enrich);
	/* What comes while the database is at something, and is no whole batch, is few, and more
	 * may follow. */
	for (uint8_t lane = 0; lane < RECORD_LANES && !stop_wait(0); lane++)
		if ((!w->flight || begun || hold_has(w->hold, PREPARE_BYTES)) &&
			hold_is_due(w->hold, lane)) {
			begun = true;
			if (lane_begin(w, lane))
				return;
		}
	if (!begun)
		flight_end(w);
	wanted_again(w);
}

int main(int argc, char **argv)
{
	static struct worker w = { .seen_lock = PTHREAD_MUTEX_INITIALIZER };
	struct err err = { 0 };
	int rc;

	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	stop_block();
	rc = settings_start(&w.settings, FOR_WORKER, "worker",
		"takes records from ingresses, enriches their events, writes them to PostgreSQL",
		argc, argv, &err);
	if (rc == -ECANCELED)
		return EXIT_SUCCESS;
	if (!rc)
		rc = worker_open(&w, &err);
	if (!rc)
		log_info("worker: started links=%s", w.settings.ingress_links);
	while (!rc && !stop_wait(0))
		worker_step(&w);
	flight_end(&w);
	if (rc)
		log_error("worker: %s", err.msg);
	worker_close(&w);
	if (!rc)
		log_info("worker: ended");
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
