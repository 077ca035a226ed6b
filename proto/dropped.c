#include "proto/dropped.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/utf8.h"

#define VISITOR 2 /* of nobody, but 0 is not one */

static const char *const words[DROPPED_REASONS] = {
	[DROPPED_NONE] = "",
	[DROPPED_UNKNOWN_SITE] = "unknown_site",
	[DROPPED_INVALID] = "invalid",
	[DROPPED_KEY] = "key",
	[DROPPED_TOO_MANY_SITES] = "too_many_sites",
	[DROPPED_UNAVAILABLE] = "unavailable",
	[DROPPED_ORIGIN] = "origin",
	[DROPPED_NO_ORIGIN] = "no_origin",
	[DROPPED_OPT_OUT] = "opt_out",
	[DROPPED_IP] = "ip",
	[DROPPED_COUNTRY] = "country",
	[DROPPED_HOST] = "host",
	[DROPPED_PATH] = "path",
	[DROPPED_AGENT] = "agent",
	[DROPPED_BOT] = "bot",
	[DROPPED_BOT_HINT] = "bot_hint",
	[DROPPED_SPAM_REFERRER] = "spam_referrer",
	[DROPPED_DATA_CENTRE] = "data_centre",
	[DROPPED_PREFETCH] = "prefetch",
	[DROPPED_RATE] = "rate",
};

const char *dropped_word(enum dropped reason)
{
	return reason < DROPPED_REASONS ? words[reason] : "";
}

enum dropped dropped_of_bot(uint8_t event_bot)
{
	switch (event_bot) {
	case EVENT_BOT_NONE:
		return DROPPED_NONE;
	case EVENT_BOT_HINT:
		return DROPPED_BOT_HINT;
	case EVENT_BOT_SPAM:
		return DROPPED_SPAM_REFERRER;
	case EVENT_BOT_DATA_CENTRE:
		return DROPPED_DATA_CENTRE;
	case EVENT_BOT_PREFETCH:
		return DROPPED_PREFETCH;
	default:
		return DROPPED_BOT;
	}
}

/* {"count": "3", "origin": "https://…"}; NULL: no memory. */
static char *props_text(const struct dropped_sum *sum)
{
	struct span origin = utf8_first(sum->origin, DROPPED_ORIGIN_MOST);
	char count[24], *text;
	json_t *props;

	snprintf(count, sizeof count, "%" PRIu64, sum->count);
	props = json_pack("{ss sb}", "count", count, "sample", sum->is_sample);
	if (origin.len)
		json_object_set_new(props, "origin", json_stringn(origin.ptr, origin.len));
	text = props ? json_dumps(props, JSON_COMPACT) : NULL;
	json_decref(props);
	return text;
}

int dropped_encode(msgpack_sbuffer *out, const struct dropped_sum *sum, struct err *err)
{
	struct event ev = { .site_id = sum->site_id,
		.ts_us = sum->ts_us,
		.kind = EVENT_DROPPED,
		.visitor = VISITOR,
		.name = span_first(sum->reason, DROPPED_WORD_MOST),
		.host = utf8_first(sum->host, EVENT_HOST_MOST),
		.path = utf8_first(sum->path, EVENT_PATH_MOST),
		.user_agent = utf8_first(sum->agent, EVENT_AGENT_MOST),
		.referrer = utf8_first(sum->referrer, EVENT_REFERRER_MOST),
		.engaged_ms = EVENT_NONE,
		.scroll_depth = EVENT_NONE };
	char *props = props_text(sum);
	int rc;

	if (!props)
		return err_set(err, -ENOMEM, "no memory for refused traffic");
	ev.props = span_of(props);
	while (!ev.id)
		randombytes_buf(&ev.id, sizeof ev.id);
	rc = event_encode(out, &ev, err);
	free(props);
	return rc;
}

/* 0: it is no number from 1 on. */
static uint64_t count_of(const json_t *text)
{
	const char *digits = json_string_value(text);
	char *end;
	unsigned long long count;

	if (!digits)
		return 0;
	count = strtoull(digits, &end, 10);
	return *end || count > INT32_MAX ? 0 : count;
}

int dropped_read(
	struct dropped_sum *sum, const struct event *ev, struct json_t **kept, struct err *err)
{
	json_t *props = *kept = json_loadb(ev->props.ptr, ev->props.len, 0, NULL);

	*sum = (struct dropped_sum){ .site_id = ev->site_id,
		.ts_us = ev->ts_us,
		.reason = ev->name,
		.count = count_of(json_object_get(props, "count")),
		.is_sample = json_is_true(json_object_get(props, "sample")),
		.host = ev->host,
		.path = ev->path,
		.agent = ev->user_agent,
		.referrer = ev->referrer,
		.origin = span_of(json_string_value(json_object_get(props, "origin"))) };
	if (ev->kind != EVENT_DROPPED || !ev->name.len || ev->name.len > DROPPED_WORD_MOST ||
		!sum->count)
		return err_set(err, -EINVAL, "refused traffic without its reason or count");
	return 0;
}

void dropped_done(struct json_t **kept)
{
	json_decref(*kept);
	*kept = NULL;
}
