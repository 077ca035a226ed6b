#include "services/ingress/hit.h"

#include <ctype.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/enrich/language.h"
#include "lib/enrich/ua_hints.h"
#include "lib/utf8.h"

/* What is read by modules that know of no event fits into one. */
_Static_assert(LANGUAGE_MOST <= EVENT_LANGUAGE_MOST, "a language fits");
_Static_assert(UA_BRANDS_MOST <= EVENT_BRANDS_MOST && UA_HINT_MOST <= EVENT_HINT_MOST, "hints fit");
_Static_assert(CDN_REGION_MOST <= EVENT_REGION_MOST && CDN_CITY_MOST <= EVENT_CITY_MOST,
	"a CDN's place fits");

#define SCREEN_MOST 100000 /* px */

void hit_init(struct hit *hit, const char *way)
{
	memset(&hit->ev, 0, sizeof hit->ev);
	hit->ev.ts_us = clock_now_us();
	hit->ev.engaged_ms = hit->ev.scroll_depth = EVENT_NONE;
	hit->ev.interactive = true;
	hit->client = (struct client){ .id = SPAN(""), .way = way, .origin = SPAN("") };
	hit->own_id = SPAN("");
	hit->props = hit->metadata = NULL;
}

void hit_done(struct hit *hit)
{
	free(hit->props);
	free(hit->metadata);
	hit->props = hit->metadata = NULL;
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

void hit_read_headers(struct hit *hit, const struct http_request *req)
{
	bool from_proxy;

	hit_set_agent(hit, http_header(req, "User-Agent"));
	hit->ev.language = language_accepted(http_header(req, "Accept-Language"));
	read_hints(&hit->ev, req);
	cdn_read(&hit->cdn, req);
	hit->ev.cdn_country = hit->cdn.place.country;
	hit->ev.cdn_region = hit->cdn.place.region;
	hit->ev.cdn_city = hit->cdn.place.city;
	hit->address = http_client(req, &from_proxy);
	hit->client = intake_client(req, hit->client.way);
	hit->client.address = &hit->address;
}

int hit_set_name(struct hit *hit, struct field name, struct err *err)
{
	struct span text;
	int rc;

	if (name.type == FIELD_NUMBER) /* a name may be 404 */
		name.type = FIELD_TEXT;
	rc = field_text(&text, name, EVENT_NAME_MOST, err);
	return rc ? rc : field_name(&hit->ev, text, err);
}

int hit_set_url(struct hit *hit, struct span url, bool by_hash, struct err *err)
{
	int rc = page_clean(&hit->page, url, by_hash, err);

	if (!rc)
		page_tell(&hit->page, &hit->ev);
	return rc;
}

void hit_set_referrer(struct hit *hit, struct span url)
{
	hit->ev.referrer = referrer_strip(hit->referrer, url);
}

void hit_set_title(struct hit *hit, struct span title)
{
	hit->ev.title = span_trim(utf8_first(span_trim(title), EVENT_TITLE_MOST));
}

void hit_set_agent(struct hit *hit, struct span user_agent)
{
	hit->ev.user_agent = utf8_clean(hit->agent, sizeof hit->agent, user_agent);
}

void hit_set_language(struct hit *hit, struct span language)
{
	struct span tag = language_tag(language);

	if (tag.len)
		hit->ev.language = tag;
}

void hit_set_screen(struct hit *hit, struct field screen)
{
	size_t digits = 0;
	int64_t width;

	while (screen.type == FIELD_TEXT && digits < screen.text.len &&
		isdigit((unsigned char)screen.text.ptr[digits]))
		digits++;
	if (screen.type == FIELD_TEXT)
		screen.text = span_first(screen.text, digits);
	width = field_number(screen);
	hit->ev.screen_width = width > 0 && width < SCREEN_MOST ? (uint32_t)width : 0;
}

int hit_set_props(struct hit *hit, struct field props, struct err *err)
{
	int rc = field_props(&hit->props, props, err);

	hit->ev.props = span_of(!rc && hit->props ? hit->props : "");
	return rc;
}

int hit_set_metadata(struct hit *hit, struct field metadata, struct err *err)
{
	int rc = field_metadata(&hit->metadata, metadata, err);

	hit->ev.metadata = span_of(!rc && hit->metadata ? hit->metadata : "");
	return rc;
}

int hit_set_revenue(struct hit *hit, struct field revenue, struct err *err)
{
	int rc = field_revenue(&hit->revenue, revenue, err);

	hit->ev.revenue = span_of(rc ? "" : hit->revenue.amount);
	hit->ev.currency = span_of(rc ? "" : hit->revenue.currency);
	return rc;
}

void batch_begin(struct batch *batch, struct intake *in, struct http_request *req)
{
	bool from_proxy;

	*batch = (struct batch){ .in = in, .req = req, .request_id = SPAN("") };
	http_client(req, &from_proxy);
	if (from_proxy)
		batch->request_id = http_header(req, "X-Request-Id");
}

int batch_add(struct batch *batch, struct hit *hit, size_t n, const struct site *site,
	enum dropped *refused, struct err *err)
{
	int rc = 0;

	*refused = DROPPED_UNKNOWN_SITE;
	hit->ev.id = intake_event_id(hit->own_id, batch->request_id, n);
	if (site)
		rc = intake_event(
			batch->in, site, &hit->ev, &hit->client, &batch->ticket, refused, err);
	if (rc && !intake_event_is_bad(rc) && !batch->taken)
		return rc;
	if (rc)
		*refused = intake_event_is_bad(rc) ? DROPPED_INVALID : DROPPED_UNAVAILABLE;
	if (*refused) {
		intake_drop(batch->in, &batch->tally, *refused, site, &hit->ev, &hit->client);
	} else {
		intake_take(&batch->tally, site, &hit->ev);
		batch->taken++;
	}
	return 0;
}

enum dropped batch_add_bad(struct batch *batch, struct hit *hit, const struct site *site)
{
	enum dropped refused = DROPPED_NONE;

	/* Whose origin or address it is, or who opted out, does not depend on the rest. */
	if (site)
		refused = intake_refuse(batch->in, site, &hit->ev, &hit->client);
	if (!refused)
		refused = DROPPED_INVALID;
	intake_drop(batch->in, &batch->tally, refused, site, &hit->ev, &hit->client);
	return refused;
}

int batch_end(struct batch *batch, int rc, const struct client *client, struct err *err)
{
	if (!rc && batch->taken)
		rc = journal_wait(batch->in->journal, batch->ticket, err);
	if (rc) {
		intake_forget(&batch->tally);
		if (batch->taken > 1) /* some may be of an earlier flush, and kept */
			http_drop(batch->req);
		else
			intake_answer_unavailable(batch->req, err);
		return rc;
	}
	atomic_fetch_add(&batch->in->accepted, (long long)batch->taken);
	if (batch->tally.reasons & 1U << DROPPED_ORIGIN)
		http_clear_headers(batch->req);
	intake_end(batch->in, batch->req, &batch->tally, client);
	return 0;
}
