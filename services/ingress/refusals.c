#include "services/ingress/refusals.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "proto/record.h"

#define HOUR_US     (3600 * US_PER_SECOND)
#define SITES_FIRST 16

/* Of one site: as many as have sites that were sent to, and one for all that are not known. */
struct site_refusals {
	uint32_t site_id;
	int64_t sampled_s; /* the second of the last sample */
	int64_t hour_us;   /* of the counts */
	uint64_t count[DROPPED_REASONS];
};

struct refusals {
	struct journal *journal;
	pthread_mutex_t lock;        /* of what follows */
	struct site_refusals *sites; /* sorted by site_id */
	size_t count, size;
	unsigned long long total[DROPPED_REASONS];
};

int refusals_open(struct refusals **out, struct journal *journal, struct err *err)
{
	struct refusals *r = calloc(1, sizeof *r);

	*out = r;
	if (!r)
		return err_set(err, -ENOMEM, "refusals");
	r->journal = journal;
	pthread_mutex_init(&r->lock, NULL);
	return 0;
}

void refusals_close(struct refusals **refusals)
{
	if (!*refusals)
		return;
	pthread_mutex_destroy(&(*refusals)->lock);
	free((*refusals)->sites);
	free(*refusals);
	*refusals = NULL;
}

static int journal_put(struct refusals *r, const struct dropped_sum *sum)
{
	struct journal_ticket ticket = { 0 }; /* nobody waits for it */
	msgpack_sbuffer wire;
	struct err err;
	int rc;

	msgpack_sbuffer_init(&wire);
	rc = dropped_encode(&wire, sum, &err);
	if (!rc)
		rc = journal_append(r->journal, (uint8_t)(sum->site_id % RECORD_LANES),
			(struct span){ wire.data, wire.size }, &ticket, &err);
	msgpack_sbuffer_destroy(&wire);
	if (rc)
		log_debug("refusals: kept in memory for now: %s", err.msg);
	return rc;
}

static void site_flush(struct refusals *r, struct site_refusals *site)
{
	for (int reason = 1; reason < DROPPED_REASONS; reason++) {
		const struct dropped_sum sum = { .site_id = site->site_id,
			.ts_us = site->hour_us,
			.reason = span_of(dropped_word((enum dropped)reason)),
			.count = site->count[reason] };

		if (sum.count && !journal_put(r, &sum))
			site->count[reason] = 0;
	}
}

/* The site's place, made when there is none; NULL: no memory. */
static struct site_refusals *site_place(struct refusals *r, uint32_t site_id)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->sites[mid].site_id < site_id)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < r->count && r->sites[low].site_id == site_id)
		return &r->sites[low];
	if (r->count == r->size) {
		size_t size = r->size ? 2 * r->size : SITES_FIRST;
		void *grown = realloc(r->sites, size * sizeof *r->sites);

		if (!grown)
			return NULL;
		r->sites = grown;
		r->size = size;
	}
	memmove(&r->sites[low + 1], &r->sites[low], (r->count++ - low) * sizeof *r->sites);
	r->sites[low] = (struct site_refusals){ .site_id = site_id };
	return &r->sites[low];
}

static bool sample_put(struct refusals *r, const struct site_refusals *site, int64_t now_us,
	enum dropped reason, const struct event *ev, struct span origin)
{
	struct dropped_sum sample = { .site_id = site->site_id,
		.ts_us = now_us,
		.reason = span_of(dropped_word(reason)),
		.count = 1,
		.is_sample = true,
		.origin = origin };
	bool by_address = reason == DROPPED_IP;

	if (reason == DROPPED_OPT_OUT)
		return false;
	if (ev)
		sample.host = ev->host;
	if (ev && !by_address)
		sample.agent = ev->user_agent;
	/* Which pages people see who send to no site of ours, or to one that was removed, is not
	 * ours to keep; nor is what they do who are told apart by their address. */
	if (ev && site->site_id && !by_address) {
		sample.path = ev->path;
		sample.referrer = ev->referrer;
	}
	return !journal_put(r, &sample);
}

void refusals_add(struct refusals *r, uint32_t site_id, enum dropped reason, const struct event *ev,
	struct span origin)
{
	int64_t now_us = clock_now_us(), hour_us = now_us - now_us % HOUR_US;
	struct site_refusals *site;

	pthread_mutex_lock(&r->lock);
	r->total[reason]++;
	site = site_place(r, site_id);
	if (!site) {
		log_alarm("refusals: no memory to count site=%u reason=%s", site_id,
			dropped_word(reason));
	} else {
		if (site->hour_us != hour_us)
			site_flush(
				r, site); /* what stays, as the journal is full, is of this hour */
		site->hour_us = hour_us;
		if (site->sampled_s != now_us / US_PER_SECOND &&
			sample_put(r, site, now_us, reason, ev, origin))
			site->sampled_s = now_us / US_PER_SECOND;
		else
			site->count[reason]++;
	}
	pthread_mutex_unlock(&r->lock);
}

void refusals_flush(struct refusals *r)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->count; i++)
		site_flush(r, &r->sites[i]);
	pthread_mutex_unlock(&r->lock);
}

unsigned long long refusals_count(struct refusals *r, enum dropped reason)
{
	unsigned long long count;

	pthread_mutex_lock(&r->lock);
	count = r->total[reason];
	pthread_mutex_unlock(&r->lock);
	return count;
}
