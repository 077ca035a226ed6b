#include "services/worker/refused.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/utf8.h"

#define HOUR_US (3600 * US_PER_SECOND)

struct refused {
	char site[16];
	json_t *rows;
	int64_t sampled_s;
	/* Of this worker's own: those that are no samples, by reason, of one hour. */
	int64_t hour_us;
	int64_t count[DROPPED_REASONS];
};

int refused_open(struct refused **out, struct err *err)
{
	*out = calloc(1, sizeof **out);
	return *out ? 0 : err_set(err, -ENOMEM, "refused");
}

void refused_close(struct refused **refused)
{
	if (!*refused)
		return;
	json_decref((*refused)->rows);
	free(*refused);
	*refused = NULL;
}

void refused_begin(struct refused *r, uint32_t site_id)
{
	json_decref(r->rows);
	*r = (struct refused){ .sampled_s = INT64_MIN };
	snprintf(r->site, sizeof r->site, "%" PRIu32, site_id);
}

static int row_add(struct refused *r, json_t *row, struct err *err)
{
	if (!r->rows)
		r->rows = json_array();
	return json_array_append_new(r->rows, row) ? err_set(err, -ENOMEM, "refused: no memory")
						   : 0;
}

/* Records hold what clients sent: a text that the database would not take is cleaned. No text has
 * more bytes than the longest of an event. */
static json_t *text_json(struct span text)
{
	char clean[EVENT_PATH_MOST];

	_Static_assert(EVENT_PATH_MOST >= EVENT_REFERRER_MOST, "the longest text");
	if (!utf8_valid(text))
		text = utf8_clean(clean, sizeof clean, text);
	return text.len ? json_stringn(text.ptr, text.len) : json_string("");
}

static int sample_add(
	struct refused *r, const struct dropped_sum *sum, int64_t event_id, struct err *err)
{
	json_t *row = json_pack("{sI so sI so so so so so sI}", "ts_us", (json_int_t)sum->ts_us,
		"reason", text_json(sum->reason), "count", (json_int_t)sum->count, "host",
		text_json(sum->host), "path", text_json(sum->path), "agent", text_json(sum->agent),
		"referrer", text_json(sum->referrer), "origin", text_json(sum->origin), "event_id",
		(json_int_t)event_id);

	return row_add(r, row, err);
}

static int sum_add(
	struct refused *r, int64_t ts_us, struct span reason, int64_t count, struct err *err)
{
	return row_add(r,
		json_pack("{sI so sI}", "ts_us", (json_int_t)ts_us, "reason", text_json(reason),
			"count", (json_int_t)count),
		err);
}

int refused_add_sum(struct refused *r, const struct event *ev, struct err *err)
{
	struct dropped_sum sum;
	struct json_t *kept;
	int rc = dropped_read(&sum, ev, &kept, err);

	if (!rc && !sum.origin.ptr)
		sum.origin = SPAN("");
	if (!rc && sum.is_sample)
		rc = sample_add(r, &sum, 0, err);
	else if (!rc)
		rc = sum_add(r, sum.ts_us, sum.reason, (int64_t)sum.count, err);
	dropped_done(&kept);
	return rc;
}

static int counts_add(struct refused *r, struct err *err)
{
	int rc = 0;

	for (int reason = 1; reason < DROPPED_REASONS && !rc; reason++) {
		if (r->count[reason])
			rc = sum_add(r, r->hour_us, span_of(dropped_word((enum dropped)reason)),
				r->count[reason], err);
		r->count[reason] = 0;
	}
	return rc;
}

int refused_add(struct refused *r, const struct event *ev, enum dropped reason, struct err *err)
{
	int64_t second = ev->ts_us / US_PER_SECOND, hour_us = ev->ts_us - ev->ts_us % HOUR_US;
	int rc = hour_us == r->hour_us ? 0 : counts_add(r, err);

	r->hour_us = hour_us;
	if (rc)
		return rc;
	if (second == r->sampled_s) {
		r->count[reason]++;
		return 0;
	}
	r->sampled_s = second;
	return sample_add(r,
		&(struct dropped_sum){ .ts_us = ev->ts_us,
			.reason = span_of(dropped_word(reason)),
			.count = 1,
			.host = ev->host,
			.path = ev->path,
			.agent = ev->user_agent,
			.referrer = ev->referrer,
			.origin = SPAN("") },
		ev->id, err);
}

int refused_send(struct refused *r, PGconn *conn, struct err *err)
{
	const char *params[] = { r->site, NULL };
	char *text;
	int rc = counts_add(r, err);

	if (rc || !r->rows)
		return rc;
	params[1] = text = json_dumps(r->rows, JSON_COMPACT);
	rc = text ? pg_run(conn, NULL, "select dropped_apply($1, $2)", 2, params, err)
		  : err_set(err, -ENOMEM, "refused: no memory");
	free(text);
	return rc;
}
