/* worker: takes records from the ingresses, adds what can be derived from their events, writes them
 * to PostgreSQL. The next batch is gathered when the last is committed, so batches grow with the
 * load. SIGTERM: end the transaction in hand, acknowledge, exit 0; what else is in hand stays with
 * its ingress. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
#define LOCK_WAITED "(55P03)"  /* in vain, as pg_error() tells it: others have the site's lock */
#define LARGE_BYTES (48 << 10) /* of memory: goes back whole, a record's is 64 KiB */
/* Records come one behind the other; after this long no more are on their way. An ingress needs
 * some of it to send what follows an acknowledgement. And then nothing is waited for, however many
 * keep coming. */
#define MORE_MS         10
#define GATHER_MOST_US  (50 * 1000LL)
#define WANTED_EVERY_US (2 * US_PER_SECOND) /* how often to look for what is wanted again */

struct worker {
	struct settings settings;
	struct app *app;
	struct enrich *enrich;
	struct apply *apply;
	struct links *links;
	struct pg_pool *metrics_pool; /* for readiness only: apply has a connection of its own */
	struct http_server *admin;
	struct hold *hold;
	int64_t wanted_mono_us;
	pthread_mutex_t seen_lock; /* of what /metrics shows, copied between batches */
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
	struct record_id id;
	struct err err;

	if (record_id_decode(&id, wire, &err)) {
		/* Not acknowledged: the ingress keeps it, and sends it again to somebody. */
		log_alarm("worker: a record cannot be read link=%u bytes=%zu reason=%s", link,
			wire.len, err.msg);
		count_fault(w);
	} else {
		hold_add(w->hold, &id, msg, link);
	}
}

/* Gather what is there and on its way, waiting for long only when there is nothing to do: a large
 * batch costs the database half as much an event as a small one. */
static void gather(struct worker *w)
{
	int wait_ms = hold_wait_ms(w->hold, IDLE_MS);
	int64_t until_mono_us = 0;

	if (hold_is_full(w->hold)) {
		stop_wait(wait_ms);
		return;
	}
	do {
		zmq_msg_t msg;
		unsigned link;
		int got;

		zmq_msg_init(&msg);
		got = links_receive(w->links, &msg, &link, wait_ms);
		if (got)
			record_hold(w, &msg, link);
		zmq_msg_close(&msg);
		if (!got)
			return;
		if (!until_mono_us)
			until_mono_us = clock_mono_us() + GATHER_MOST_US;
		wait_ms = clock_mono_us() < until_mono_us ? MORE_MS : 0;
	} while (!hold_is_full(w->hold));
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

/* Apply the records of one lane. What the database cannot do now is tried again later, for ever,
 * and never set aside. An error: it is away, and no other lane need be tried. */
static int lane_apply(struct worker *w, uint8_t lane)
{
	uint32_t n;
	const struct held *records = hold_lane(w->hold, lane, &n);
	struct err err;
	int rc = apply_lane(w->apply, records, n, tell_live, w, &err);

	if (rc) {
		if (hold_put_off(w->hold, lane, strstr(err.msg, LOCK_WAITED) != NULL) == 1)
			log_error("worker: a lane cannot be applied, trying on lane=%u records=%u: "
				  "%s",
				lane, n, err.msg);
		count_fault(w);
		return rc;
	}
	pthread_mutex_lock(&w->seen_lock);
	w->seen = *apply_stats(w->apply);
	pthread_mutex_unlock(&w->seen_lock);
	lane_acknowledge(w, records, n);
	hold_drop(w->hold, lane, records, n);
	return 0;
}

static void wanted_again(struct worker *w)
{
	struct err err;

	if (clock_mono_us() < w->wanted_mono_us)
		return;
	w->wanted_mono_us = clock_mono_us() + WANTED_EVERY_US;
	if (apply_wanted(w->apply, tell_live, w, &err))
		log_debug("worker: nothing that was set aside can be tried now: %s", err.msg);
}

static void worker_step(struct worker *w)
{
	gather(w);
	app_follow(w->app);
	enrich_follow(w->enrich);
	for (uint8_t lane = 0; lane < RECORD_LANES && !stop_wait(0); lane++)
		if (hold_is_due(w->hold, lane) && lane_apply(w, lane) == -ECONNRESET)
			return;
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
	if (rc)
		log_error("worker: %s", err.msg);
	worker_close(&w);
	if (!rc)
		log_info("worker: ended");
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
