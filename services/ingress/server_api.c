/* POST /api/v1/events: events from servers and imports, with a key. A JSON array or JSON Lines of
 * at most 1,000 objects, each answered on its own; api.md has the fields. */
#include <jansson.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/rfc3339.h"
#include "services/ingress/hit.h"

#define BODY_MOST     (2 << 20) /* also unpacked; few are in memory at once */
#define EVENTS_MOST   1000
#define AHEAD_MOST_US (60 * US_PER_SECOND)

/* What happened to one event. */
enum outcome { ACCEPTED, REJECTED, DROPPED, UNAVAILABLE };

struct call {
	struct intake *in;
	struct span key, request_id;
	struct journal_ticket ticket;
	size_t count, accepted, rejected, dropped, unavailable;
	struct tally tally; /* but for those that are to be sent again */
	json_t *results;    /* those not accepted */
	struct err unavailable_err;
	char last_name[254]; /* of a site: most calls name the same one a thousand times */
	struct site last_site;
};

/* One event of a call. */
struct sent {
	struct hit hit;
	struct span site_name;
	const struct site *site; /* once it is known */
	enum dropped refused;
};

static int say_field(struct err *err, int rc, const char *field)
{
	char reason[sizeof err->msg];

	memcpy(reason, err->msg, sizeof reason);
	return err_set(err, rc, "%s %s", field, reason);
}

static int read_text(struct span *out, const struct object *object, const char *name, size_t most,
	struct err *err)
{
	int rc = field_text(out, object_field(object, name, NULL), most, err);

	return rc ? say_field(err, rc, name) : 0;
}

static int read_time(struct sent *s, const struct object *object, struct err *err)
{
	int64_t ts_us;
	struct span text;
	int rc = read_text(&text, object, "timestamp", 64, err);

	if (rc || !text.len)
		return rc;
	if (rfc3339_parse(&ts_us, text))
		return err_set(
			err, -EINVAL, "timestamp is no RFC 3339 time, as 2026-03-01T12:00:00Z");
	rc = hit_set_time(&s->hit, ts_us, AHEAD_MOST_US, err);
	return rc ? say_field(err, rc, "timestamp is") : 0;
}

static int read_client(struct sent *s, const struct object *object, struct err *err)
{
	struct span text;
	int rc = read_text(&text, object, "ip", 64, err);

	if (!rc && text.len && addr_parse(&s->hit.address, text))
		rc = err_set(err, -EINVAL, "ip is not an address");
	if (!rc && text.len)
		s->hit.client.address = &s->hit.address;
	if (!rc)
		rc = read_text(&text, object, "user_agent", HTTP_BODY_SMALL, err);
	if (!rc)
		hit_set_agent(&s->hit, text);
	if (!rc)
		rc = read_text(&s->hit.ev.language, object, "language", EVENT_LANGUAGE_MOST, err);
	return rc;
}

/* A path alone is one of the site: who sends events of a known site need not know its domain. */
static struct span whole_url(
	char buf[PAGE_URL_MOST + 300], const struct site *site, struct span url)
{
	int len;

	if (!url.len || url.ptr[0] != '/' || url.len > PAGE_URL_MOST)
		return url;
	len = snprintf(buf, PAGE_URL_MOST + 300, "https://%s", site->domain);
	memcpy(buf + len, url.ptr, url.len);
	return (struct span){ buf, (size_t)len + url.len };
}

/* What the event says itself counts before what its URL says. */
static int read_campaign(struct sent *s, const struct object *object, struct err *err)
{
	const struct {
		const char *name;
		struct span *place;
	} fields[] = { { "utm_source", &s->hit.ev.utm_source },
		{ "utm_medium", &s->hit.ev.utm_medium },
		{ "utm_campaign", &s->hit.ev.utm_campaign }, { "utm_term", &s->hit.ev.utm_term },
		{ "utm_content", &s->hit.ev.utm_content }, { "ref", &s->hit.ev.ref } };
	struct span text;
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof fields / sizeof *fields; i++) {
		rc = read_text(&text, object, fields[i].name, EVENT_CAMPAIGN_MOST, err);
		if (!rc && span_trim(text).len)
			*fields[i].place = span_trim(text);
	}
	if (!rc)
		rc = read_text(&text, object, "click_id", EVENT_CLICK_ID_MOST, err);
	if (rc || !text.len)
		return rc;
	s->hit.ev.click_id = campaign_click_id(text);
	return s->hit.ev.click_id.len
		       ? 0
		       : err_set(err, -EINVAL, "click_id is not the name of a known one, as gclid");
}

static int read_page(
	struct sent *s, const struct site *site, const struct object *object, struct err *err)
{
	char url[PAGE_URL_MOST + 300];
	struct span text;
	int rc = hit_set_name(&s->hit, object_field(object, "name", NULL), err);

	if (rc)
		return say_field(err, rc, "name");
	rc = read_text(&text, object, "url", HTTP_BODY_SMALL, err);
	if (!rc && (rc = hit_set_url(&s->hit, whole_url(url, site, text),
			    object_field(object, "hash", NULL).type == FIELD_TRUE, err)))
		return say_field(err, rc, "url");
	if (!rc)
		rc = read_campaign(s, object, err);
	if (!rc)
		rc = read_text(&text, object, "referrer", HTTP_BODY_SMALL, err);
	if (!rc)
		hit_set_referrer(&s->hit, text);
	if (!rc)
		rc = read_text(&text, object, "title", HTTP_BODY_SMALL, err);
	if (!rc)
		hit_set_title(&s->hit, text);
	return rc;
}

static int read_rest(struct sent *s, const struct object *object, struct err *err)
{
	enum field_type interactive = object_field(object, "interactive", NULL).type;
	int rc = hit_set_props(&s->hit, object_field(object, "props", NULL), err);

	if (rc)
		return say_field(err, rc, "props");
	rc = hit_set_metadata(&s->hit, object_field(object, "metadata", NULL), err);
	if (rc)
		return say_field(err, rc, "metadata");
	rc = hit_set_revenue(&s->hit, object_field(object, "revenue", NULL), err);
	if (rc)
		return say_field(err, rc, "revenue");
	if (interactive != FIELD_NONE && interactive != FIELD_TRUE && interactive != FIELD_FALSE)
		return err_set(err, -EINVAL, "interactive is neither true nor false");
	s->hit.ev.interactive = interactive != FIELD_FALSE;
	hit_set_screen(&s->hit, object_field(object, "screen", NULL));
	s->hit.ev.engaged_ms = field_number(object_field(object, "engaged_ms", NULL));
	s->hit.ev.scroll_depth = field_number(object_field(object, "scroll_depth", NULL));
	if (s->hit.ev.scroll_depth > 100)
		return err_set(err, -EINVAL, "scroll_depth is above 100");
	if (s->hit.ev.kind == EVENT_ENGAGEMENT && s->hit.ev.engaged_ms < 0 &&
		s->hit.ev.scroll_depth < 0)
		return err_set(err, -EINVAL, "engagement needs engaged_ms or scroll_depth");
	rc = read_text(&s->hit.own_id, object, "id", CLIENT_EVENT_ID_MOST, err);
	return rc ? rc : read_text(&s->hit.client.id, object, "visitor", EVENT_VISITOR_MOST, err);
}

static int read_site_name(struct sent *s, const struct object *object, struct err *err)
{
	int rc = read_text(&s->site_name, object, "property_id", 64, err);

	if (!rc && !s->site_name.len)
		rc = read_text(&s->site_name, object, "domain", 260, err);
	if (!rc && !s->site_name.len)
		rc = err_set(err, -EINVAL, "domain or property_id is missing");
	return rc;
}

/* The site that an event names, if the key allows it. */
static int find_site(struct call *call, struct span name, struct err *err)
{
	if (name.len < sizeof call->last_name && span_equals(name, span_of(call->last_name)))
		return 0;
	call->last_name[0] = '\0';
	if (!snapshot_site(call->in->snapshot, name, &call->last_site) ||
		!snapshot_key_allows(call->in->snapshot, call->key, call->last_site.id))
		return err_set(err, -EINVAL, "no site of this key has that domain or property_id");
	snprintf(call->last_name, sizeof call->last_name, "%.*s", (int)name.len, name.ptr);
	return 0;
}

static int take_one(struct call *call, struct sent *s, const struct object *object, struct err *err)
{
	int rc = read_site_name(s, object, err);

	if (!rc) {
		s->refused = DROPPED_UNKNOWN_SITE;
		rc = find_site(call, s->site_name, err);
	}
	if (!rc) {
		s->refused = DROPPED_INVALID;
		s->site = &call->last_site;
		rc = read_page(s, s->site, object, err);
	}
	if (!rc)
		rc = read_time(s, object, err);
	if (!rc)
		rc = read_client(s, object, err);
	if (!rc)
		rc = read_rest(s, object, err);
	if (rc)
		return rc;
	s->hit.ev.id = intake_event_id(s->hit.own_id, call->request_id, call->count);
	s->refused = intake_refuse(call->in, s->site, &s->hit.ev, &s->hit.client);
	return s->refused ? 0
			  : intake_event(call->in, s->site, &s->hit.ev, &s->hit.client,
				    &call->ticket, err);
}

static void result_add(struct call *call, enum outcome outcome, const struct err *err)
{
	static const char *const names[] = { "accepted", "rejected", "dropped", "unavailable" };
	json_t *reason = json_string(err->msg);

	if (!reason)
		reason = json_string("it holds bytes that are not UTF-8");
	json_array_append_new(call->results, json_pack("{sIssso}", "index", (json_int_t)call->count,
						     "status", names[outcome], "error", reason));
}

/* Take one event of the call, from the start of text; used is as of object_read(). */
static void call_event(struct call *call, struct span text, size_t *used)
{
	struct sent s;
	struct object object;
	struct err err = { 0 };
	int rc = object_read(&object, text, used, &err);

	hit_init(&s.hit, "/api/v1/events");
	s.site = NULL;
	s.refused = DROPPED_INVALID;
	if (rc)
		rc = say_field(&err, -EINVAL, "the event");
	else if (call->unavailable) /* the first that cannot be taken ends it: the rest is sent
				       again */
		rc = err_set(&err, -EAGAIN, "%s", call->unavailable_err.msg);
	else
		rc = take_one(call, &s, &object, &err);
	if (!rc && !s.refused) {
		intake_take(&call->tally, s.site, &s.hit.ev);
		call->accepted++;
	} else if (!rc) {
		call->dropped++;
		err_set(&err, -EPERM, "the site refuses it: %s", dropped_word(s.refused));
		result_add(call, DROPPED, &err);
	} else if (intake_event_is_bad(rc)) {
		call->rejected++;
		result_add(call, REJECTED, &err);
		/* What was accepted up to the journal could still be too large for it. */
		if (!s.refused)
			s.refused = DROPPED_INVALID;
	} else {
		call->unavailable++;
		call->unavailable_err = err;
		err_set(&err, rc, "not taken now, please send it again");
		result_add(call, UNAVAILABLE, &err);
	}
	if (s.refused && (!rc || intake_event_is_bad(rc)))
		intake_drop(call->in, &call->tally, s.refused, s.site, &s.hit.ev, &s.hit.client);
	call->count++;
	hit_done(&s.hit);
}

static struct span skip_space(struct span text)
{
	while (text.len && text.ptr[0] && strchr(" \t\r\n", text.ptr[0]))
		text = span_from(text, 1);
	return text;
}

/* Go through the elements of an array. With `call` each is taken; without, they are only looked at.
 */
static int array_walk(struct call *call, struct span text, struct err *err)
{
	size_t count = 0;

	text = skip_space(text);
	if (!text.len || text.ptr[0] != '[')
		return err_set(err, -EINVAL, "the body is not a JSON array");
	text = skip_space(span_from(text, 1));
	if (text.len && text.ptr[0] == ']')
		return skip_space(span_from(text, 1)).len
			       ? err_set(err, -EINVAL, "something follows the array")
			       : 0;
	for (;;) {
		size_t used;
		char next;

		if (count++ == EVENTS_MOST)
			return err_set(
				err, -EINVAL, "the body has more than %d events", EVENTS_MOST);
		if (call)
			call_event(call, text, &used);
		else if (object_skip(text, &used, err))
			return err_set(
				err, -EINVAL, "the body is not JSON: event %zu is none", count);
		text = skip_space(span_from(text, used));
		next = text.len ? text.ptr[0] : '\0';
		text = skip_space(span_from(text, 1));
		if (next == ']' && !text.len)
			return 0;
		if (next != ',')
			return err_set(
				err, -EINVAL, "the body is not JSON: behind event %zu", count);
	}
}

/* -EINVAL: the whole body is wrong, and nothing of it was taken: it is looked through first. */
static int call_array(struct call *call, struct span text, struct err *err)
{
	int rc = array_walk(NULL, text, err);

	return rc ? rc : array_walk(call, text, err);
}

static size_t count_lines(struct span text)
{
	size_t lines = 0;

	for (; text.len; text = span_from(text, span_find(text, '\n') + 1))
		lines += span_trim(span_first(text, span_find(text, '\n'))).len > 0;
	return lines;
}

static int call_lines(struct call *call, struct span text, struct err *err)
{
	if (count_lines(text) > EVENTS_MOST)
		return err_set(err, -EINVAL, "the body has more than %d events", EVENTS_MOST);
	for (; text.len; text = span_from(text, span_find(text, '\n') + 1)) {
		struct span line = span_trim(span_first(text, span_find(text, '\n')));

		if (line.len)
			call_event(call, line, NULL);
	}
	return 0;
}

/* What recents and refusals are told of who sent events. */
static const struct client nobody = { .way = "/api/v1/events" };

static void answer(struct http_request *req, struct call *call)
{
	atomic_fetch_add(&call->in->accepted, (long long)call->accepted);
	if (call->unavailable && !call->accepted) {
		intake_answer_unavailable(req, &call->unavailable_err);
		json_decref(call->results);
		return;
	}
	if (call->unavailable)
		call->tally.reasons |= 1U << DROPPED_UNAVAILABLE;
	intake_end(call->in, req, &call->tally, &nobody);
	http_answer_json(req, 200,
		json_pack("{sIsIsIsIso}", "accepted", (json_int_t)call->accepted, "rejected",
			(json_int_t)call->rejected, "dropped", (json_int_t)call->dropped,
			"unavailable", (json_int_t)call->unavailable, "results", call->results));
}

void server_api_events(struct http_request *req, void *service)
{
	struct call call = { .in = service, .key = http_bearer(req) };
	struct err err = { 0 };
	struct span text, lead;
	bool from_proxy;
	int rc;

	if (snapshot_ready(call.in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	if (!call.key.len || !snapshot_key_allows(call.in->snapshot, call.key, 0)) {
		intake_drop(call.in, &call.tally, DROPPED_KEY, NULL, NULL, &nobody);
		intake_end(call.in, req, &call.tally, &nobody);
		http_add_header(req, "WWW-Authenticate", "Bearer");
		http_answer_error(req, 401,
			"a key with the scope \"ingest\" is needed: "
			"Authorization: Bearer KEY");
		return;
	}
	if (intake_packed_body(call.in, req, BODY_MOST, &text, &nobody))
		return;
	http_client(req, &from_proxy);
	if (from_proxy)
		call.request_id = http_header(req, "X-Request-Id");
	call.results = json_array();
	lead = span_trim(text);
	if (lead.len && lead.ptr[0] == '{')
		rc = call_lines(&call, text, &err);
	else
		rc = call_array(&call, text, &err);
	if (!rc && call.accepted)
		rc = journal_wait(call.in->journal, call.ticket, &err);
	if (rc)
		json_decref(call.results);
	if (rc == -EREMOTEIO || (rc == -EIO && call.accepted > 1)) {
		http_drop(req); /* some may be kept */
	} else if (rc == -EIO) {
		intake_answer_unavailable(req, &err);
	} else if (rc) {
		intake_drop(call.in, &call.tally, DROPPED_INVALID, NULL, NULL, &nobody);
		intake_end(call.in, req, &call.tally, &nobody);
		http_answer_error(req, 400, "%s", err.msg);
	} else {
		answer(req, &call);
	}
	intake_forget(&call.tally); /* what was answered 503 or not at all */
}
