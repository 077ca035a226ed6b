#include "services/ingress/intake.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/secret.h"
#include "proto/record.h"

/* event_visitor() looks at so much of what stands in the agent's place. */
_Static_assert(CLIENT_SESSION_MOST <= EVENT_AGENT_MOST, "a session is looked at as a whole");

int64_t intake_event_id(struct span own, struct span request_id, size_t index)
{
	char text[512];
	int64_t drawn = 0;
	int len;

	if (own.len)
		len = snprintf(text, sizeof text, "c%.*s", (int)own.len, own.ptr);
	else
		len = snprintf(
			text, sizeof text, "r%.*s %zu", (int)request_id.len, request_id.ptr, index);
	if ((own.len || request_id.len) && len > 0 && (size_t)len < sizeof text)
		return id64(text, (size_t)len, NULL, 0);
	while (!drawn)
		randombytes_buf(&drawn, sizeof drawn);
	return drawn;
}

struct client intake_client(const struct http_request *req, const char *way)
{
	return (struct client){ .way = way,
		.from_page = true,
		.opts_out = span_equals(http_header(req, "Sec-GPC"), SPAN("1")) ||
			    span_equals(http_header(req, "DNT"), SPAN("1")),
		.origin = http_header(req, "Origin"),
		.bot = http_prefetches(req) ? EVENT_BOT_PREFETCH : EVENT_BOT_NONE };
}

/* Who sent the event, if no person: its request's own word, then the lists. */
static enum event_bot bot_of(struct intake *in, const struct site *site, const struct event *ev,
	const struct client *client)
{
	if (client->bot)
		return client->bot;
	if (site->refuses_bots && bots_know_agent(in->bots, ev->user_agent))
		return EVENT_BOT_AGENT;
	return bots_know_referrer(in->bots, ev->referrer) ? EVENT_BOT_SPAM : EVENT_BOT_NONE;
}

enum dropped intake_refuse(
	struct intake *in, const struct site *site, struct event *ev, const struct client *client)
{
	const struct asked asked = { .from_page = client->from_page,
		.opts_out = client->opts_out,
		.address = client->address,
		.origin = client->origin,
		.host = ev->host,
		.path = ev->path,
		.agent = ev->user_agent,
		.bot = (uint8_t)bot_of(in, site, ev, client) };

	ev->bot = asked.bot;
	return snapshot_refuse(in->snapshot, site, &asked);
}

/* The visitor of the day (proto/event.md, "Visitors"). One that is alone is known by the event's
 * id, so that it is the same when the event is sent again. */
static int64_t daily_visitor(const struct day *day, uint32_t site_id, const struct event *ev,
	const struct client *client)
{
	static const struct addr unknown,
		of_sessions = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff } };
	const struct addr *address = client->address ? client->address : &unknown;

	if (client->alone)
		return event_visitor(&day->keys, day->date, site_id, &of_sessions,
			(struct span){ (const char *)&ev->id, sizeof ev->id });
	if (client->session.len)
		return event_visitor(&day->keys, day->date, site_id, &of_sessions, client->session);
	return event_visitor(&day->keys, day->date, site_id, address, ev->user_agent);
}

int intake_event(struct intake *in, const struct site *site, struct event *ev,
	const struct client *client, struct journal_ticket *ticket, struct err *err)
{
	unsigned char sealed[EVENT_SEALED_BYTES];
	msgpack_sbuffer wire;
	struct day day;
	int rc = 0;

	if (client->id.len > EVENT_VISITOR_MOST)
		rc = err_set(err, -EINVAL, "the visitor's id has more than %d bytes",
			EVENT_VISITOR_MOST);
	if (!rc)
		rc = days_find(in->days, site->zone, ev->ts_us, &day, err);
	if (rc == -EPROTO || rc == -ENOSYS) /* not the event's fault, and may be mended */
		rc = -EAGAIN;
	if (rc)
		return rc;
	ev->site_id = site->id;
	if (client->id.len && site_is_persistent(site, day.date))
		ev->visitor = event_persistent_visitor(site->id, client->id);
	else
		ev->visitor = daily_visitor(&day, site->id, ev, client);
	ev->address_date = day.date;
	ev->address = SPAN("");
	if (client->address) {
		event_seal(sealed, &day.keys, site->id, client->address);
		ev->address = (struct span){ (const char *)sealed, sizeof sealed };
	}
	sodium_memzero(&day, sizeof day);
	msgpack_sbuffer_init(&wire);
	rc = event_encode(&wire, ev, err);
	if (!rc)
		rc = journal_append(in->journal, (uint8_t)(site->id % RECORD_LANES),
			(struct span){ wire.data, wire.size }, ticket, err);
	msgpack_sbuffer_destroy(&wire);
	return rc;
}

/* Of one event. */
struct tallied {
	uint32_t site_id;
	enum dropped reason; /* DROPPED_NONE: it was taken */
	bool is_recent;
	struct event *ev; /* with what is kept of it; NULL: nothing */
};

static void text_copy(struct span *to, struct span text, char **bytes)
{
	if (text.len)
		memcpy(*bytes, text.ptr, text.len);
	*to = (struct span){ *bytes, text.len };
	*bytes += text.len;
}

/* What refusals and recents keep of an event, in one piece of memory. */
static struct event *event_copy(const struct event *ev)
{
	struct event *copy = malloc(sizeof *copy + ev->name.len + ev->host.len + ev->path.len +
				    ev->referrer.len + ev->user_agent.len);
	char *bytes = (char *)(copy + 1);

	if (!copy)
		return NULL;
	*copy = (struct event){
		.id = ev->id, .visitor = ev->visitor, .kind = ev->kind, .bot = ev->bot
	};
	text_copy(&copy->name, ev->name, &bytes);
	text_copy(&copy->host, ev->host, &bytes);
	text_copy(&copy->path, ev->path, &bytes);
	text_copy(&copy->referrer, ev->referrer, &bytes);
	text_copy(&copy->user_agent, ev->user_agent, &bytes);
	return copy;
}

static void outcome_count(struct intake *in, const struct tallied *one, const struct client *client)
{
	static const struct event nothing;

	if (one->reason) {
		atomic_fetch_add(&in->rejected, 1);
		refusals_add(in->refusals, one->site_id, one->reason, one->ev, client->origin);
	}
	if (one->is_recent)
		recents_add(in->recents, one->site_id, client->way, one->reason,
			one->ev ? one->ev : &nothing, client->origin);
}

static struct tallied *outcome_place(struct tally *tally)
{
	if (tally->count == tally->size) {
		size_t size = tally->size ? 4 * tally->size : 1;
		void *grown = realloc(tally->outcomes, size * sizeof *tally->outcomes);

		if (!grown)
			return NULL;
		tally->outcomes = grown;
		tally->size = size;
	}
	return &tally->outcomes[tally->count++];
}

void intake_take(struct tally *tally, const struct site *site, const struct event *ev)
{
	struct tallied *one = NULL;
	struct event *copy = NULL;

	if (tally->told[0]++ < RECENTS_OF_SITE)
		copy = event_copy(ev);
	if (copy)
		one = outcome_place(tally);
	if (one)
		*one = (struct tallied){ .site_id = site->id, .is_recent = true, .ev = copy };
	else
		free(copy);
}

void intake_drop(struct intake *in, struct tally *tally, enum dropped reason,
	const struct site *site, const struct event *ev, const struct client *client)
{
	struct tallied one = { .site_id = site ? site->id : 0, .reason = reason };
	struct tallied *place = outcome_place(tally);

	tally->dropped++;
	tally->reasons |= 1U << reason;
	if (!place) { /* rather twice than never */
		outcome_count(in, &one, client);
		return;
	}
	if (tally->told[1]++ < RECENTS_OF_SITE) {
		one.is_recent = site != NULL;
		one.ev = ev ? event_copy(ev) : NULL;
	}
	*place = one;
}

void intake_forget(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++)
		free(tally->outcomes[i].ev);
	free(tally->outcomes);
	*tally = (struct tally){ 0 };
}

void intake_end(struct intake *in, struct http_request *req, struct tally *tally,
	const struct client *client)
{
	char text[DROPPED_REASONS * (DROPPED_WORD_MOST + 2)] = "";
	size_t len = 0;

	for (size_t i = 0; i < tally->count; i++)
		outcome_count(in, &tally->outcomes[i], client);
	for (int reason = 1; reason < DROPPED_REASONS; reason++)
		if (tally->reasons & 1U << reason)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s",
				len ? ", " : "", dropped_word((enum dropped)reason));
	if (len)
		http_add_header(req, "x-footfall-dropped", text);
	intake_forget(tally);
}

static void answer_no_body(struct intake *in, struct http_request *req, int rc, size_t most,
	const struct client *client)
{
	struct tally tally = { 0 };

	if (rc != -ENOBUFS) {
		intake_drop(in, &tally, DROPPED_INVALID, NULL, NULL, client);
		intake_end(in, req, &tally, client);
	}
	http_answer_no_body(req, rc, most);
}

int intake_body(struct intake *in, struct http_request *req, size_t most, struct span *body,
	const struct client *client)
{
	int rc = http_read_body(req, most, body);

	if (rc)
		answer_no_body(in, req, rc, most, client);
	return rc;
}

int intake_packed_body(struct intake *in, struct http_request *req, size_t most, struct span *body,
	const struct client *client)
{
	int rc = http_read_packed_body(req, most, body);

	if (rc)
		answer_no_body(in, req, rc, most, client);
	return rc;
}

void intake_answer_unavailable(struct http_request *req, const struct err *err)
{
	log_debug("intake: not now: %s", err->msg);
	http_add_header(req, "Retry-After", "5");
	http_answer_error(req, 503, "events cannot be taken now, please try again");
}

void intake_allow_any_origin(struct http_request *req)
{
	http_add_header(req, "Access-Control-Allow-Origin", "*");
	http_add_header(req, "Access-Control-Expose-Headers",
		"x-footfall-dropped, x-plausible-dropped, retry-after");
}

void intake_answer_preflight(struct http_request *req, const char *methods)
{
	http_add_header(req, "Access-Control-Allow-Origin", "*");
	http_add_header(req, "Access-Control-Allow-Methods", methods);
	http_add_header(req, "Access-Control-Allow-Headers", "*");
	http_add_header(req, "Access-Control-Max-Age", "86400");
	http_answer(req, 204, "", SPAN(""));
}
