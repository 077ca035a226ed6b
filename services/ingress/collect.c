/* POST /api/event: what scripts in pages send, in Plausible's format (proto/event.md names the
 * fields; the peers' rules are in its Events API). The body is JSON whatever its Content-Type says.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/enrich/cdn.h"
#include "lib/enrich/language.h"
#include "lib/enrich/ua_hints.h"
#include "lib/utf8.h"
#include "services/ingress/fields.h"
#include "services/ingress/intake.h"
#include "services/ingress/page.h"

/* What is read by modules that know of no event fits into one. */
_Static_assert(LANGUAGE_MOST <= EVENT_LANGUAGE_MOST, "a language fits");
_Static_assert(UA_BRANDS_MOST <= EVENT_BRANDS_MOST && UA_HINT_MOST <= EVENT_HINT_MOST, "hints fit");
_Static_assert(CDN_REGION_MOST <= EVENT_REGION_MOST && CDN_CITY_MOST <= EVENT_CITY_MOST,
	"a CDN's place fits");

#define DOMAINS_MOST     16
#define DOMAIN_LIST_MOST 2048
#define ENGAGED_MS_MOST  (30LL * 86400 * 1000)

/* One request as it is being read; the event's spans point into it. */
struct collected {
	struct event ev;
	struct page page;
	char referrer[EVENT_REFERRER_MOST];
	char agent[EVENT_AGENT_MOST];
	struct cdn cdn;
	struct field_revenue revenue;
	char *props, *metadata; /* owned */
	struct span domains, own_id;
	struct addr address;
	bool from_proxy;
	struct client client;
};

void collect_preflight(struct http_request *req, void *service)
{
	(void)service;
	http_add_header(req, "Access-Control-Allow-Origin", "*");
	http_add_header(req, "Access-Control-Allow-Methods", "POST, OPTIONS");
	http_add_header(req, "Access-Control-Allow-Headers", "*");
	http_add_header(req, "Access-Control-Max-Age", "86400");
	http_answer(req, 204, "", SPAN(""));
}

/* Answer 400 in Plausible's shape: {"errors": {field: [reason]}}. */
static void answer_invalid(struct http_request *req, const char *field, const char *reason)
{
	http_answer_json(req, 400, json_pack("{s{s[s]}}", "errors", field, reason));
}

/* Plausible's trackers send 1. */
static bool is_set(struct field field)
{
	return field.type == FIELD_TRUE || field_number(field) > 0;
}

/* Which field is wrong, or NULL; its reason is in *err. */
static const char *read_name_and_page(
	struct collected *c, const struct object *body, struct err *err)
{
	struct field name = object_field(body, "n", "name");
	struct span text;

	if (name.type == FIELD_NUMBER) /* a name may be 404 */
		name.type = FIELD_TEXT;
	if (field_text(&text, name, EVENT_NAME_MOST, err) || field_name(&c->ev, text, err))
		return "name";
	if (field_text(&text, object_field(body, "u", "url"), PAGE_URL_MOST, err))
		return "url";
	if (!text.len) {
		err_set(err, -EINVAL, "can't be blank");
		return "url";
	}
	if (page_clean(&c->page, text, is_set(object_field(body, "h", "hashMode")), err))
		return "url";
	page_tell(&c->page, &c->ev);
	return NULL;
}

static const char *read_domains(struct collected *c, const struct object *body, struct err *err)
{
	struct field domain = object_field(body, "d", "domain");

	if (field_text(&c->domains, domain, DOMAIN_LIST_MOST, err))
		return "domain";
	if (domain.type != FIELD_NONE && !span_trim(c->domains).len) {
		err_set(err, -EINVAL, "can't be blank");
		return "domain";
	}
	if (domain.type == FIELD_NONE)
		c->domains = c->ev.host;
	return NULL;
}

static const char *read_engagement(struct collected *c, const struct object *body, struct err *err)
{
	int64_t scroll = field_number(object_field(body, "sd", "scroll_depth"));
	int64_t engaged = field_number(object_field(body, "e", "engagement_time"));

	c->ev.engaged_ms = c->ev.scroll_depth = EVENT_NONE;
	if (c->ev.kind < EVENT_ENGAGEMENT || c->ev.kind > EVENT_PING)
		return NULL;
	if (c->ev.kind == EVENT_ENGAGEMENT && scroll == EVENT_NONE && engaged == EVENT_NONE) {
		err_set(err, -EINVAL, "needs sd or e");
		return "engagement";
	}
	c->ev.scroll_depth = scroll > 100 ? 100 : scroll;
	c->ev.engaged_ms = engaged > ENGAGED_MS_MOST ? 0 : engaged;
	return NULL;
}

/* The script's hint that no person is there: true, or a number but 0, as of GoatCounter's scripts.
 */
static bool says_bot(struct field hint)
{
	return hint.type == FIELD_TRUE || field_number(hint) > 0;
}

static const char *read_rest(struct collected *c, const struct object *body, struct err *err)
{
	struct field props = object_field(body, "p", "props");
	int64_t width = field_number(object_field(body, "w", "screen_width"));
	struct err ignored;
	struct span text;

	if (props.type == FIELD_NONE)
		props = object_field(body, "m", "meta");
	if (field_props(&c->props, props, err))
		return "props";
	c->ev.props = span_of(c->props ? c->props : "");
	/* Of what follows, as Plausible: what is wrong is left out, and the event kept. */
	if (!field_metadata(&c->metadata, object_field(body, "md", "metadata"), &ignored))
		c->ev.metadata = span_of(c->metadata ? c->metadata : "");
	if (!field_text(&text, object_field(body, "r", "referrer"), SIZE_MAX, &ignored))
		c->ev.referrer = referrer_strip(c->referrer, text);
	if (!field_text(&text, object_field(body, "t", "title"), SIZE_MAX, &ignored))
		c->ev.title = span_trim(utf8_first(span_trim(text), EVENT_TITLE_MOST));
	if (!field_revenue(&c->revenue, object_field(body, "$", "revenue"), &ignored)) {
		c->ev.revenue = span_of(c->revenue.amount);
		c->ev.currency = span_of(c->revenue.currency);
	}
	if (!field_text(&text, object_field(body, "l", "language"), SIZE_MAX, &ignored) &&
		language_tag(text).len)
		c->ev.language = language_tag(text);
	c->ev.interactive = object_field(body, "i", "interactive").type != FIELD_FALSE;
	c->ev.screen_width = width > 0 && width < 100000 ? (uint32_t)width : 0;
	if (field_text(&c->own_id, object_field(body, "id", NULL), CLIENT_EVENT_ID_MOST, err))
		return "id";
	if (field_text(&c->client.id, object_field(body, "visitor", NULL), EVENT_VISITOR_MOST, err))
		return "visitor";
	if (says_bot(object_field(body, "b", "bot")))
		c->client.bot = EVENT_BOT_HINT;
	return NULL;
}

static const char *read_body(struct collected *c, const struct object *body, struct err *err)
{
	const char *bad = read_name_and_page(c, body, err);

	if (!bad)
		bad = read_domains(c, body, err);
	if (!bad)
		bad = read_engagement(c, body, err);
	if (!bad)
		bad = read_rest(c, body, err);
	return bad;
}

static void read_hints(struct event *ev, const struct http_request *req)
{
	struct ua_hints hints;

	ua_hints_read(&hints, req);
	ev->ch_brands = hints.brands;
	ev->ch_platform = hints.platform;
	ev->ch_platform_version = hints.platform_version;
	ev->ch_model = hints.model;
	ev->ch_mobile = hints.mobile;
}

static void read_headers(struct collected *c, struct http_request *req)
{
	c->ev.user_agent = utf8_clean(c->agent, sizeof c->agent, http_header(req, "User-Agent"));
	c->ev.language = language_accepted(http_header(req, "Accept-Language"));
	read_hints(&c->ev, req);
	cdn_read(&c->cdn, req);
	c->ev.cdn_country = c->cdn.place.country;
	c->ev.cdn_region = c->cdn.place.region;
	c->ev.cdn_city = c->cdn.place.city;
	c->ev.ts_us = clock_now_us();
	c->address = http_client(req, &c->from_proxy);
	c->client = intake_client(req, "/api/event");
	c->client.address = &c->address;
}

/* The next name of the list, which is shortened by it. */
static struct span next_name(struct span *domains)
{
	size_t comma = span_find(*domains, ',');
	struct span name = span_trim(span_first(*domains, comma));

	*domains = span_from(*domains, comma + 1);
	return name;
}

/* Send the event to each site it names; what becomes of it is in *tally. An error: none can be
 * taken now, and none was (-EREMOTEIO: or was it). */
static int take_all(struct intake *in, struct collected *c, struct http_request *req,
	struct tally *tally, struct err *err)
{
	struct journal_ticket ticket = { 0 };
	struct span rest = c->domains;
	int taken = 0, rc = 0;

	c->ev.id = intake_event_id(
		c->own_id, c->from_proxy ? http_header(req, "X-Request-Id") : SPAN(""), 0);
	for (int n = 0; rest.len && n < DOMAINS_MOST; n++) {
		enum dropped refused = DROPPED_UNKNOWN_SITE;
		struct site site, *known = NULL;

		if (snapshot_site(in->snapshot, next_name(&rest), &site)) {
			known = &site;
			rc = intake_event(in, known, &c->ev, &c->client, &ticket, &refused, err);
			if (rc && !intake_event_is_bad(rc) && !taken)
				return rc;
			if (rc)
				refused = intake_event_is_bad(rc) ? DROPPED_INVALID
								  : DROPPED_UNAVAILABLE;
		}
		if (refused) {
			intake_drop(in, tally, refused, known, &c->ev, &c->client);
		} else {
			intake_take(tally, known, &c->ev);
			taken++;
		}
	}
	if (span_trim(rest).len)
		intake_drop(in, tally, DROPPED_TOO_MANY_SITES, NULL, &c->ev, &c->client);
	if (taken) {
		rc = journal_wait(in->journal, ticket, err);
		if (rc) /* of several some may be of an earlier flush, and kept */
			return taken > 1 ? -EREMOTEIO : rc;
	}
	atomic_fetch_add(&in->accepted, taken);
	return 0;
}

/* Where a site lists origins, the scripts of others may not read what it answers. */
static void hide_from_origin(struct http_request *req, const struct tally *tally)
{
	if (tally->reasons & 1U << DROPPED_ORIGIN)
		http_clear_headers(req);
}

/* Take the event of a body that could be read. */
static void collect_read(struct intake *in, struct collected *c, struct http_request *req)
{
	struct tally tally = { 0 };
	struct err err = { 0 };
	char count[24];
	int rc = take_all(in, c, req, &tally, &err);

	if (rc) {
		intake_forget(&tally);
		if (rc == -EREMOTEIO)
			http_drop(req);
		else
			intake_answer_unavailable(req, &err);
		return;
	}
	hide_from_origin(req, &tally);
	if (tally.dropped) {
		snprintf(count, sizeof count, "%zu", tally.dropped);
		http_add_header(req, "x-plausible-dropped", count);
	}
	intake_end(in, req, &tally, &c->client);
	http_answer(req, 202, "text/plain; charset=utf-8", SPAN("ok"));
}

/* A body that cannot be read counts for the sites that it names, if they can be read. What they
 * refuse by the parts that are known counts as refused: whose origin or address it is, or who opted
 * out, does not depend on the rest. */
static void collect_bad(struct intake *in, struct collected *c, const struct object *body,
	struct http_request *req, const char *field, const char *reason)
{
	struct tally tally = { 0 };
	struct span rest = SPAN("");
	struct site site;
	struct err ignored;

	if (body && !read_domains(c, body, &ignored))
		rest = c->domains;
	for (int n = 0; rest.len && n < DOMAINS_MOST; n++) {
		enum dropped refused;

		if (!snapshot_site(in->snapshot, next_name(&rest), &site))
			continue;
		refused = intake_refuse(in, &site, &c->ev, &c->client);
		intake_drop(
			in, &tally, refused ? refused : DROPPED_INVALID, &site, &c->ev, &c->client);
	}
	if (!tally.dropped)
		intake_drop(in, &tally, DROPPED_INVALID, NULL, &c->ev, &c->client);
	hide_from_origin(req, &tally);
	intake_end(in, req, &tally, &c->client);
	answer_invalid(req, field, reason);
}

void collect_event(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct object body;
	struct collected c; /* its buffers are large: only what counts is made zero */
	struct err err = { 0 };
	const char *field;
	struct span text;
	int rc;

	intake_allow_any_origin(req);
	memset(&c.ev, 0, sizeof c.ev);
	c.props = c.metadata = NULL;
	read_headers(&c, req);
	if (intake_body(in, req, HTTP_BODY_SMALL, &text, &c.client))
		return;
	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	rc = object_read(&body, text, NULL, &err);
	if (rc) {
		err_set(&err, -EINVAL, "the body is not a JSON object");
		field = "request";
	} else {
		field = read_body(&c, &body, &err);
	}
	if (field)
		collect_bad(in, &c, rc ? NULL : &body, req, field, err.msg);
	else
		collect_read(in, &c, req);
	free(c.props);
	free(c.metadata);
}
