/* POST /api/event: what scripts in pages send, in Plausible's format (proto/event.md names the
 * fields; Plausible's rules are those of its lib/plausible/ingestion/request.ex, and where ours
 * differ api.md says so). The body is JSON whatever its Content-Type says. */
#include <jansson.h>
#include <stdio.h>

#include "lib/log.h"
#include "services/ingress/hit.h"
#include "services/ingress/liwan.h"

#define DOMAINS_MOST     16
#define DOMAIN_LIST_MOST 2048
#define ENGAGED_MS_BOUND (30LL * 86400 * 1000) /* more was a fault of old trackers: 0 */

void collect_preflight(struct http_request *req, void *service)
{
	(void)service;
	intake_answer_preflight(req, "POST, OPTIONS");
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
static const char *read_name_and_page(struct hit *hit, const struct object *body, struct err *err)
{
	struct span text;

	if (hit_set_name(hit, object_field(body, "n", "name"), err))
		return "event_name";
	/* Plausible's trackers of before it had engagement; they sent sd with it, or nothing. */
	if (hit->ev.kind == EVENT_CUSTOM && span_equals(hit->ev.name, SPAN("pageleave"))) {
		hit->ev.kind = EVENT_EXIT;
		hit->ev.name = SPAN("");
	}
	if (field_text(&text, object_field(body, "u", "url"), PAGE_URL_MOST, err))
		return "url";
	if (!text.len) {
		err_set(err, -EINVAL, "can't be blank");
		return "url";
	}
	if (page_clean_app(
		    &hit->page, span_trim(text), is_set(object_field(body, "h", "hashMode")), err))
		return "url";
	page_tell(&hit->page, &hit->ev);
	return NULL;
}

/* *domains: the names of sites, separated by commas. */
static const char *read_domains(
	struct span *domains, const struct hit *hit, const struct object *body, struct err *err)
{
	struct field domain = object_field(body, "d", "domain");

	if (field_text(domains, domain, DOMAIN_LIST_MOST, err))
		return "domain";
	if (domain.type == FIELD_NONE)
		*domains = hit->ev.host;
	if (!span_trim(*domains).len) {
		err_set(err, -EINVAL, "can't be blank");
		return "domain";
	}
	return NULL;
}

static const char *read_engagement(struct event *ev, const struct object *body, struct err *err)
{
	int64_t scroll = field_number(object_field(body, "sd", "scroll_depth"));
	int64_t engaged = field_number(object_field(body, "e", "engagement_time"));

	if (ev->kind < EVENT_ENGAGEMENT || ev->kind > EVENT_PING)
		return NULL;
	if (ev->kind == EVENT_ENGAGEMENT && scroll == EVENT_NONE && engaged == EVENT_NONE) {
		err_set(err, -EINVAL, "is engagement, which needs a whole number for sd or for e");
		return "event_name";
	}
	ev->scroll_depth = scroll > 100 ? 100 : scroll;
	ev->engaged_ms = engaged >= ENGAGED_MS_BOUND ? 0 : engaged;
	return NULL;
}

/* The script's hint that no person is there: true, or a number but 0, as of GoatCounter's scripts.
 */
static bool says_bot(struct field hint)
{
	return hint.type == FIELD_TRUE || field_number(hint) > 0;
}

/* Of a title and what is like it: too long or of another type, it is left out, and the event kept,
 * as Plausible does. */
static struct span text_or_none(const struct object *body, const char *name, const char *long_name)
{
	struct err ignored;
	struct span text;

	return field_text(&text, object_field(body, name, long_name), SIZE_MAX, &ignored) ? SPAN("")
											  : text;
}

static const char *read_rest(struct hit *hit, const struct object *body, struct err *err)
{
	struct field props = object_field(body, "m", "meta");
	struct err ignored;

	if (props.type == FIELD_NONE)
		props = object_field(body, "p", "props");
	if (hit_set_props(hit, props, err))
		return "props";
	if (hit_set_metadata(hit, object_field(body, "md", "metadata"), &ignored))
		log_debug("collect: metadata left out: %s", ignored.msg);
	if (hit_set_revenue(hit, object_field(body, "$", "revenue"), &ignored))
		log_debug("collect: revenue left out: %s", ignored.msg);
	hit_set_referrer(hit, text_or_none(body, "r", "referrer"));
	hit_set_title(hit, text_or_none(body, "t", "title"));
	hit_set_language(hit, text_or_none(body, "l", "language"));
	hit_set_screen(hit, object_field(body, "w", "screen_width"));
	hit->ev.interactive = object_field(body, "i", "interactive").type != FIELD_FALSE;
	if (field_text(&hit->own_id, object_field(body, "id", NULL), CLIENT_EVENT_ID_MOST, err))
		return "id";
	if (field_text(
		    &hit->client.id, object_field(body, "visitor", NULL), EVENT_VISITOR_MOST, err))
		return "visitor";
	if (says_bot(object_field(body, "b", "bot")))
		hit->client.bot = EVENT_BOT_HINT;
	return NULL;
}

static const char *read_body(
	struct hit *hit, struct span *domains, const struct object *body, struct err *err)
{
	const char *bad = read_name_and_page(hit, body, err);

	if (!bad)
		bad = read_domains(domains, hit, body, err);
	if (!bad)
		bad = read_engagement(&hit->ev, body, err);
	if (!bad)
		bad = read_rest(hit, body, err);
	return bad;
}

/* The next name of the list, which is shortened by it. */
static struct span next_name(struct span *domains)
{
	size_t comma = span_find(*domains, ',');
	struct span name = span_trim(span_first(*domains, comma));

	*domains = span_from(*domains, comma + 1);
	return name;
}

/* The site that is named next; NULL: none that is known. */
static const struct site *next_site(
	const struct intake *in, struct site *site, struct span *domains)
{
	return snapshot_site(in->snapshot, next_name(domains), site) ? site : NULL;
}

/* Whether the sender wants to see which address was believed of the request. Its answer is for
 * people with curl: without headers for other origins, no page learns its visitor's address by it.
 */
static bool is_debugged(const struct http_request *req)
{
	return span_equals_nocase(http_header(req, "X-Debug-Request"), SPAN("true"));
}

static void answer_taken(struct http_request *req, const struct hit *hit)
{
	char address[ADDR_TEXT_SIZE];

	addr_text(&hit->address, address);
	if (is_debugged(req))
		http_answer(req, 200, "text/plain; charset=utf-8", span_of(address));
	else
		http_answer(req, 202, "text/plain; charset=utf-8", SPAN("ok"));
}

/* Give a hit that could be read to each site it names. */
static void collect_read(
	struct intake *in, struct hit *hit, struct span domains, struct http_request *req)
{
	struct batch batch;
	struct err err = { 0 };
	struct site site;
	enum dropped refused;
	char count[24];
	int rc = 0;

	batch_begin(&batch, in, req);
	for (int n = 0; !rc && domains.len && n < DOMAINS_MOST; n++)
		rc = batch_add(&batch, hit, 0, next_site(in, &site, &domains), &refused, &err);
	if (!rc && span_trim(domains).len)
		intake_drop(in, &batch.tally, DROPPED_TOO_MANY_SITES, NULL, &hit->ev, &hit->client);
	snprintf(count, sizeof count, "%zu", batch.tally.dropped);
	if (batch_end(&batch, rc, &hit->client, &err))
		return;
	if (strcmp(count, "0") != 0)
		http_add_header(req, "x-plausible-dropped", count);
	answer_taken(req, hit);
}

/* One that cannot be read counts for the sites that it names, if these can be read. */
static void collect_bad(struct intake *in, struct hit *hit, const struct object *body,
	struct http_request *req, const char *field, const char *reason)
{
	struct span domains = SPAN("");
	struct batch batch;
	struct site site;
	struct err ignored = { 0 };

	batch_begin(&batch, in, req);
	if (body && read_domains(&domains, hit, body, &ignored))
		domains = SPAN("");
	for (int n = 0; domains.len && n < DOMAINS_MOST; n++)
		if (next_site(in, &site, &domains))
			batch_add_bad(&batch, hit, &site);
	if (!batch.tally.dropped)
		batch_add_bad(&batch, hit, NULL);
	if (!batch_end(&batch, 0, &hit->client, &ignored))
		answer_invalid(req, field, reason);
}

void collect_event(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct span text, domains = SPAN("");
	struct object body;
	struct hit hit;
	struct err err = { 0 };
	const char *field;
	int rc;

	if (!is_debugged(req))
		intake_allow_any_origin(req);
	hit_init(&hit, "/api/event");
	hit_read_headers(&hit, req);
	if (intake_body(in, req, HTTP_BODY_SMALL, &text, &hit.client))
		return;
	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	rc = object_read(&body, text, NULL, &err);
	if (rc)
		collect_bad(in, &hit, NULL, req, "request", "is not a JSON object");
	else if (liwan_is(&body))
		liwan_event(in, &hit, &body, req);
	else if ((field = read_body(&hit, &domains, &body, &err)) != NULL)
		collect_bad(in, &hit, &body, req, field, err.msg);
	else
		collect_read(in, &hit, domains, req);
	hit_done(&hit);
}
