/* worker: takes records from the ingresses, adds what can be derived from their events, writes them
 * to PostgreSQL. The next batch is gathered when the last is committed, so batches grow with the
 * load. SIGTERM: commit the batch in hand, acknowledge, exit 0. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/http.h"
#include "lib/log.h"
#include "lib/pg.h"
#include "lib/secret.h"
#include "lib/settings.h"
#include "lib/stop.h"
#include "services/worker/apply.h"
#include "services/worker/link.h"

#define BATCH_RECORDS  512
#define BATCH_BYTES    (4 << 20) /* and no more is read: what waits in sockets is bounded, too */
#define IDLE_MS        500
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS  10000

/* Records in hand, gathered from all links. */
struct batch {
	struct held held[BATCH_RECORDS];
	zmq_msg_t msg[BATCH_RECORDS];
	uint32_t count;
	size_t bytes;
};

struct worker {
	struct settings settings;
	struct app *app;
	struct enrich *enrich;
	struct apply *apply;
	struct links *links;
	struct pg_pool *metrics_pool; /* for readiness only: apply has a connection of its own */
	struct http_server *admin;
	struct batch *batch;
	pthread_mutex_t seen_lock; /* of what /metrics shows, copied between batches */
	struct apply_stats seen;
	unsigned long long faults;
	bool stopping;
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
		"footfall_events_set_aside_total %llu\n"
		"footfall_apply_faults_total %llu\n",
		(unsigned long long)s.records, (unsigned long long)s.repeats,
		(unsigned long long)s.events, (unsigned long long)s.known_events,
		(unsigned long long)s.set_aside, faults);
}

static int worker_open(struct worker *w, struct err *err)
{
	const struct settings *s = &w->settings;
	const struct admin_options admin = { .addr = s->admin_addr,
		.service_name = "worker",
		.service = w,
		.ready = worker_ready,
		.metrics = worker_metrics };
	int rc = secret_init(err);

	if (!rc && !(w->batch = calloc(1, sizeof *w->batch)))
		rc = err_set(err, -ENOMEM, "worker");
	if (!rc)
		rc = app_open(&w->app, s->app_db, err);
	if (!rc)
		rc = enrich_open(&w->enrich, s->ua_rules, s->geoip_db, w->app, err);
	if (!rc)
		rc = apply_open(&w->apply, s->metrics_db, w->enrich, err);
	if (!rc)
		rc = pg_pool_open(
			&w->metrics_pool, s->metrics_db, "footfall worker readiness", 1, err);
	if (!rc)
		rc = links_open(&w->links, s->ingress_links, s->live_links, err);
	return rc ? rc : admin_open(&w->admin, &admin, err);
}

static void count_fault(struct worker *w)
{
	pthread_mutex_lock(&w->seen_lock);
	w->faults++;
	pthread_mutex_unlock(&w->seen_lock);
}

static void batch_clear(struct batch *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		zmq_msg_close(&b->msg[i]);
	b->count = 0;
	b->bytes = 0;
}

static void worker_close(struct worker *w)
{
	http_server_close(&w->admin);
	if (w->batch)
		batch_clear(w->batch);
	links_close(&w->links);
	apply_close(&w->apply);
	enrich_close(&w->enrich);
	app_close(&w->app);
	pg_pool_close(&w->metrics_pool);
	free(w->batch);
	settings_clear(&w->settings);
}

static bool batch_holds(const struct batch *b, const struct record_id *id, int link)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (b->held[i].id.seq == id->seq && b->held[i].id.lane == id->lane &&
			b->held[i].link == link &&
			!memcmp(b->held[i].id.producer, id->producer, sizeof id->producer))
			return true;
	return false;
}

/* Gather what is there, waiting only for the first record. */
static void batch_gather(struct worker *w)
{
	static struct span events[RECORD_EVENTS];
	struct batch *b = w->batch;

	while (b->count < BATCH_RECORDS && b->bytes < BATCH_BYTES) {
		zmq_msg_t *msg = &b->msg[b->count];
		struct held *held = &b->held[b->count];
		struct err err;
		uint32_t n;

		zmq_msg_init(msg);
		if (!links_receive(w->links, msg, &held->link, b->count ? 0 : IDLE_MS)) {
			zmq_msg_close(msg);
			return;
		}
		held->wire = (struct span){ zmq_msg_data(msg), zmq_msg_size(msg) };
		if (record_decode(&held->id, events, &n, held->wire, &err)) {
			/* Not acknowledged: the ingress keeps it, and sends it again to somebody.
			 */
			log_alarm("worker: a record cannot be read link=%d bytes=%zu reason=%s",
				held->link, held->wire.len, err.msg);
			count_fault(w);
			zmq_msg_close(msg);
		} else if (batch_holds(b, &held->id, held->link)) {
			zmq_msg_close(msg);
		} else {
			b->bytes += held->wire.len;
			b->count++;
		}
	}
}

static void tell_live(void *who, uint32_t site_id, uint32_t count)
{
	links_tell_live(((struct worker *)who)->links, site_id, count);
}

static void lane_acknowledge(struct worker *w, const struct held *records, uint32_t n)
{
	struct record_id ids[BATCH_RECORDS];

	for (int link = 0; link < LINKS_MOST; link++) {
		uint32_t count = 0;

		for (uint32_t i = 0; i < n; i++)
			if (records[i].link == link)
				ids[count++] = records[i].id;
		if (count)
			links_acknowledge(w->links, link, ids, count);
	}
}

/* Apply the records of one lane, again and again until the database takes them; false: the end came
 * first, and they stay with their ingress. */
static bool lane_apply(struct worker *w, const struct held *records, uint32_t n)
{
	int wait_ms = RETRY_FIRST_MS;
	unsigned tries = 0;
	struct err err;

	while (apply_lane(w->apply, records, n, tell_live, w, &err)) {
		if (!tries++)
			log_error("worker: a batch cannot be applied, trying on lane=%u "
				  "records=%u: %s",
				records[0].id.lane, n, err.msg);
		count_fault(w);
		if (stop_wait(wait_ms)) {
			w->stopping = true;
			return false;
		}
		wait_ms = wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : wait_ms * 2;
	}
	if (tries)
		log_info("worker: the batch is applied lane=%u tries=%u", records[0].id.lane,
			tries + 1);
	pthread_mutex_lock(&w->seen_lock);
	w->seen = *apply_stats(w->apply);
	pthread_mutex_unlock(&w->seen_lock);
	lane_acknowledge(w, records, n);
	return true;
}

static int lane_order(const void *x, const void *y)
{
	const struct held *a = x, *b = y;
	int producer = memcmp(a->id.producer, b->id.producer, sizeof a->id.producer);

	if (a->id.lane != b->id.lane)
		return a->id.lane < b->id.lane ? -1 : 1;
	if (producer)
		return producer;
	return a->id.seq < b->id.seq ? -1 : a->id.seq > b->id.seq;
}

static void worker_step(struct worker *w)
{
	struct batch *b = w->batch;

	batch_gather(w);
	qsort(b->held, b->count, sizeof *b->held, lane_order);
	for (uint32_t i = 0, n; i < b->count; i += n) {
		for (n = 1; i + n < b->count && b->held[i + n].id.lane == b->held[i].id.lane; n++)
			;
		if (!lane_apply(w, &b->held[i], n))
			break;
	}
	batch_clear(b);
}

int main(int argc, char **argv)
{
	static struct worker w = { .seen_lock = PTHREAD_MUTEX_INITIALIZER };
	struct err err = { 0 };
	int rc;

	mallopt(M_ARENA_MAX, 2);
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
	while (!rc && !w.stopping && !stop_wait(0))
		worker_step(&w);
	if (rc)
		log_error("worker: %s", err.msg);
	worker_close(&w);
	if (!rc)
		log_info("worker: ended");
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
