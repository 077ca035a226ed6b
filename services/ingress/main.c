/* ingress: takes events over HTTP, makes them durable in the journal, answers, and pushes them to
 * workers as records. SIGTERM: take nothing new, answer what is in hand, sync, exit 0; what workers
 * have not acknowledged stays in the journal for the next start. */
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/schema.h"
#include "lib/secret.h"
#include "lib/settings.h"
#include "lib/stop.h"
#include "proto/record.h"
#include "services/ingress/intake.h"
#include "services/ingress/script.h"
#include "services/ingress/sender.h"

#define SEGMENT_BYTES        (8 << 20) /* a whole one is read again after a crash: seconds at most */
#define SEGMENT_ROLL_US      (3600LL * US_PER_SECOND) /* so that it reaches the archive */
#define RECORD_CLOSE_US      (100 * 1000)
#define DATABASE_CONNECTIONS 2
#define DRAIN_MS             3000 /* of delivering, from the signal on */
#define DRAIN_LEAST_MS       300 /* for what came last, when the servers took all of that to close */
#define EXPIRE_EVERY_S       60
#define REMOVED_EVERY_S      5
#define REFUSALS_EVERY_S     5
#define REMOVED_AGAIN_US     (60 * US_PER_SECOND) /* after a failure */

struct ingress {
	struct settings settings;
	struct addr_nets trusted;
	struct pg_pool *pool;
	struct intake intake;
	struct journal_options journal;
	struct sender *sender;
	struct http_server *http, *admin;
	uint64_t removal_rolled;       /* segments in use were ended for it */
	int64_t removal_again_mono_us; /* of one that failed; before, nothing is tried */
	bool removal_failing;          /* as was said in the log */
};

static const struct http_route routes[] = {
	{ "POST", "/api/event", collect_event },
	{ "OPTIONS", "/api/event", collect_preflight },
	{ "POST", "/api/send", umami_send },
	{ "OPTIONS", "/api/send", umami_preflight },
	{ "POST", "/api/batch", umami_batch },
	{ "OPTIONS", "/api/batch", umami_preflight },
	{ "GET", "/matomo.php", matomo_track },
	{ "POST", "/matomo.php", matomo_track },
	{ "OPTIONS", "/matomo.php", collect_preflight },
	{ "POST", "/api/v1/events", server_api_events },
	{ "GET", "/count", goatcounter_count },
	{ "POST", "/count", goatcounter_count },
	{ "GET", "/*/count", goatcounter_count },
	{ "POST", "/*/count", goatcounter_count },
	{ "POST", "/api/v0/count", goatcounter_api },
	{ "GET", "/pixel/*", pixel_get },
	{ "GET", "/js/*", script_get },
	{ 0 },
};

static int ingress_ready(void *service, struct err *err)
{
	struct ingress *g = service;
	struct journal_stats journal;

	journal_stats(g->intake.journal, &journal);
	if (journal_failed(g->intake.journal))
		return err_set(err, -EIO, "the journal takes nothing any more");
	if (journal.full)
		return err_set(err, -ENOSPC, "the journal is full");
	return snapshot_ready(g->intake.snapshot, err);
}

static void ingress_metrics(void *service, FILE *out)
{
	struct ingress *g = service;
	struct journal_stats j;
	struct sender_stats s;

	journal_stats(g->intake.journal, &j);
	sender_stats(g->sender, &s);
	http_metrics(g->http, out);
	fprintf(out,
		"footfall_events_accepted_total %lld\n"
		"footfall_events_rejected_total %lld\n"
		"footfall_journal_bytes %llu\n"
		"footfall_journal_bytes_most %llu\n"
		"footfall_journal_full %d\n"
		"footfall_journal_entries_total %llu\n"
		"footfall_journal_flushes_total %llu\n"
		"footfall_journal_damaged_total %llu\n"
		"footfall_records_sent_total %llu\n"
		"footfall_records_resent_total %llu\n"
		"footfall_records_acknowledged_total %llu\n"
		"footfall_records_in_flight %u\n"
		"footfall_journals_adopted %u\n"
		"footfall_archive_bytes %llu\n",
		atomic_load(&g->intake.accepted), atomic_load(&g->intake.rejected),
		(unsigned long long)j.bytes, (unsigned long long)j.most_bytes, j.full,
		(unsigned long long)j.entries, (unsigned long long)j.flushes,
		(unsigned long long)j.damaged, (unsigned long long)s.sent,
		(unsigned long long)s.resent, (unsigned long long)s.acknowledged, s.in_flight,
		s.adopted, (unsigned long long)j.archive_bytes);
	for (int reason = 1; reason < DROPPED_REASONS; reason++)
		fprintf(out, "footfall_events_dropped_total{reason=\"%s\"} %llu\n",
			dropped_word((enum dropped)reason),
			refusals_count(g->intake.refusals, (enum dropped)reason));
}

static int limits_start(struct ingress *g, struct err *err)
{
	const struct settings *s = &g->settings;
	const struct limits_options options = {
		.address = { s->limit_address, s->limit_address_burst },
		.site = { s->limit_site, s->limit_site_burst },
		.trusted = &g->trusted,
	};

	return limits_open(&g->intake.limits, &options, err);
}

static int journal_start(struct ingress *g, struct err *err)
{
	g->journal = (struct journal_options){ .parent = g->settings.journal_dir,
		.most_bytes = (uint64_t)g->settings.journal_max_mib << 20,
		.segment_bytes = SEGMENT_BYTES,
		.close_bytes = RECORD_CLOSE,
		.close_us = RECORD_CLOSE_US,
		.roll_us = SEGMENT_ROLL_US,
		.archive_days = g->settings.archive_days };
	return journal_open(&g->intake.journal, &g->journal, err);
}

/* GET /recent?site=NUMBER, for query services: the last requests of a site here. */
static void recent_get(struct http_request *req, void *service)
{
	struct ingress *g = service;
	char text[16], *end;
	unsigned long site_id;

	if (!span_equals(http_path(req), SPAN("/recent")) ||
		!http_param(req, "site", text, sizeof text)) {
		http_answer_error(req, 404, "there is nothing here");
		return;
	}
	site_id = strtoul(text, &end, 10);
	if (!*text || *end || site_id > INT32_MAX)
		http_answer_error(req, 400, "site is not a number");
	else
		http_answer_json(req, 200, recents_json(g->intake.recents, (uint32_t)site_id));
}

static int servers_start(struct ingress *g, struct err *err)
{
	const struct http_options http = { .addr = g->settings.ingress_addr,
		.threads = (int)g->settings.http_threads,
		.routes = routes,
		.service = &g->intake,
		.trusted = &g->trusted };
	const struct admin_options admin = { .addr = g->settings.admin_addr,
		.service_name = "ingress",
		.service = g,
		.ready = ingress_ready,
		.metrics = ingress_metrics,
		.other = recent_get };
	int rc = http_server_open(&g->http, &http, err);

	return rc ? rc : admin_open(&g->admin, &admin, err);
}

static int ingress_open(struct ingress *g, struct err *err)
{
	const struct sender_options sender = { .push_addr = g->settings.push_addr,
		.ack_addr = g->settings.ack_addr,
		.window = (uint32_t)g->settings.send_window,
		.orphans = &g->journal,
		.link_secret = g->settings.link_secret,
		.link_allow = g->settings.link_allow,
		.link_plain = g->settings.link_plain };
	int rc = secret_init(err);

	if (!rc && strcmp(g->settings.drain, "none") && strcmp(g->settings.drain, "all"))
		rc = err_set(err, -EINVAL, "FOOTFALL_DRAIN is \"%s\", must be none or all",
			g->settings.drain);
	if (!rc)
		rc = addr_nets_parse(&g->trusted, g->settings.trusted_proxies, err);
	if (!rc)
		rc = limits_start(g, err);
	if (!rc)
		rc = script_load(&g->intake.tracker, g->settings.tracker_file, err);
	if (!rc)
		rc = journal_start(g, err);
	if (!rc)
		rc = refusals_open(&g->intake.refusals, g->intake.journal, err);
	if (!rc)
		rc = recents_open(&g->intake.recents, err);
	if (!rc)
		rc = bots_open(
			&g->intake.bots, g->settings.bot_agents, g->settings.spam_referrers, err);
	if (!rc)
		rc = pg_pool_open(&g->pool, g->settings.app_db, "footfall ingress", schema_app,
			DATABASE_CONNECTIONS, err);
	if (!rc)
		rc = days_open(&g->intake.days, g->pool, err);
	if (!rc)
		rc = snapshot_open(&g->intake.snapshot, g->settings.app_db, g->settings.journal_dir,
			g->intake.days, err);
	if (!rc)
		rc = sender_open(&g->sender, g->intake.journal, &sender, err);
	return rc ? rc : servers_start(g, err);
}

static int drain_ms(const struct ingress *g)
{
	int64_t asked = stop_asked_mono_us(), left;

	if (!strcmp(g->settings.drain, "all"))
		return -1;
	left = asked ? DRAIN_MS - (clock_mono_us() - asked) / 1000 : 0;
	return left > DRAIN_LEAST_MS ? (int)left : DRAIN_LEAST_MS;
}

/* Answer what is in hand, and deliver what can be at once; or, where the journal's folder goes with
 * this host, all of it, however long that takes. */
static void ingress_close(struct ingress *g)
{
	if (g->intake.snapshot)
		snapshot_stop(g->intake.snapshot);
	http_servers_close(&g->http, &g->admin);
	if (g->intake.refusals)
		refusals_flush(g->intake.refusals);
	if (g->intake.journal)
		journal_flush(g->intake.journal);
	sender_close(&g->sender, drain_ms(g));
	refusals_close(&g->intake.refusals);
	recents_close(&g->intake.recents);
	bots_close(&g->intake.bots);
	limits_close(&g->intake.limits);
	journal_close(&g->intake.journal);
	snapshot_close(&g->intake.snapshot);
	days_close(&g->intake.days);
	pg_pool_close(&g->pool);
	script_free(&g->intake.tracker);
	settings_clear(&g->settings);
}

/* When footfall replay asks for it (it touches the file), what is delivered goes to the archive
 * now. */
static void roll_when_asked(struct ingress *g)
{
	char path[PATH_MAX];
	struct journal_stats journal;
	int64_t asked_us;
	struct stat st;

	snprintf(path, sizeof path, "%s/roll", g->settings.journal_dir);
	if (stat(path, &st))
		return;
	journal_stats(g->intake.journal, &journal);
	asked_us = st.st_mtim.tv_sec * US_PER_SECOND + st.st_mtim.tv_nsec / 1000;
	if (asked_us > journal.began_us && asked_us <= clock_now_us())
		journal_roll(g->intake.journal);
}

struct removed {
	uint32_t *sites;
	size_t count;
};

static int site_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool is_of_a_site(void *who, struct span entry)
{
	const struct removed *removed = who;
	struct event ev;
	struct err ignored;

	return event_decode(&ev, entry, &ignored) ||
	       !bsearch(&ev.site_id, removed->sites, removed->count, sizeof *removed->sites,
		       site_order);
}

/* Of a site that was removed nothing stays in the archive. What of it is in journals comes there
 * when it is delivered (workers drop it); segments in use are ended for that. */
static void removed_sites_forget(struct ingress *g)
{
	struct removed removed;
	struct err err;
	uint64_t removal;
	int rc;

	if (clock_mono_us() < g->removal_again_mono_us)
		return;
	rc = snapshot_removed(g->intake.snapshot, &removed.sites, &removed.count, &removal, &err);
	if (!rc && removal != g->removal_rolled) {
		journal_roll(g->intake.journal);
		g->removal_rolled = removal; /* once, also if what follows fails for long */
	}
	if (!rc && removal)
		rc = journal_sift(g->intake.journal, removal, is_of_a_site, &removed, &err);
	if (rc)
		g->removal_again_mono_us = clock_mono_us() + REMOVED_AGAIN_US;
	if (rc && !g->removal_failing)
		log_error("ingress: removed sites are in the archive still: %s", err.msg);
	if (!rc && g->removal_failing)
		log_info("ingress: removed sites are out of the archive");
	g->removal_failing = rc != 0;
	free(removed.sites);
}

/* Until the end is asked for, or the journal fails. */
static int ingress_run(struct ingress *g, struct err *err)
{
	for (unsigned second = 0; !stop_wait(1000); second++) {
		if (journal_failed(g->intake.journal))
			return err_set(err, -EIO, "the journal takes nothing any more");
		roll_when_asked(g);
		bots_follow(g->intake.bots);
		if (second % EXPIRE_EVERY_S == 0)
			journal_expire(g->intake.journal);
		if (second % REFUSALS_EVERY_S == 0)
			refusals_flush(g->intake.refusals);
		if (second % REMOVED_EVERY_S == 0)
			removed_sites_forget(g);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct ingress g;
	struct err err = { 0 };
	int rc;

	mallopt(M_ARENA_MAX, 2);              /* one a thread would keep what a burst took */
	mallopt(M_MMAP_THRESHOLD, 128 << 10); /* a large body goes back whole, however many came */
	stop_block();
	rc = settings_start(&g.settings, FOR_INGRESS, "ingress",
		"takes events over HTTP, makes them durable, pushes them to workers", argc, argv,
		&err);
	if (rc == -ECANCELED)
		return EXIT_SUCCESS;
	if (!rc)
		rc = ingress_open(&g, &err);
	if (!rc)
		log_info("ingress: started addr=%s", g.settings.ingress_addr);
	if (!rc)
		rc = ingress_run(&g, &err);
	if (rc)
		log_error("ingress: %s", err.msg);
	ingress_close(&g);
	if (!rc)
		log_info("ingress: ended");
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
