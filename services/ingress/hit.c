#include "services/ingress/hit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/enrich/language.h"
#include "lib/enrich/ua_hints.h"
#include "lib/url.h"
#include "lib/utf8.h"

/* What is read by modules that know of no event fits into one. */
_Static_assert(LANGUAGE_MOST <= EVENT_LANGUAGE_MOST, "a language fits");
_Static_assert(UA_BRANDS_MOST <= EVENT_BRANDS_MOST && UA_HINT_MOST <= EVENT_HINT_MOST, "hints fit");
_Static_assert(CDN_REGION_MOST <= EVENT_REGION_MOST && CDN_CITY_MOST <= EVENT_CITY_MOST,
	"a CDN's place fits");

#define OLDEST_US      (946684800LL * US_PER_SECOND) /* 2000-01-01 */
#define SCREEN_MOST    100000                        /* px */
#define DEPTH_MOST     16  /* of objects that are made flat; what lies deeper is left out */
#define PROP_NAME_SIZE 512 /* a name beyond it is left out; field_props() refuses shorter ones */

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

int hit_set_time(struct hit *hit, int64_t ts_us, int64_t ahead_us, struct err *err)
{
	int64_t now = clock_now_us();

	if (ts_us > now + ahead_us)
		return err_set(err, -EINVAL, "in the future");
	if (ts_us < OLDEST_US)
		return err_set(err, -EINVAL, "before the year 2000");
	hit->ev.ts_us = ts_us < now ? ts_us : now;
	return 0;
}

int hit_set_url(struct hit *hit, struct span url, bool by_hash, struct err *err)
{
	int rc = page_clean(&hit->page, url, by_hash, err);

	if (!rc)
		page_tell(&hit->page, &hit->ev);
	return rc;
}

/* Whether a URL begins with a scheme, and is not relative (RFC 3986, section 4.2). */
static bool has_scheme(struct span url)
{
	for (size_t i = 0; i < url.len && !strchr("/?#", url.ptr[i]); i++)
		if (url.ptr[i] == ':')
			return i > 0;
	return false;
}

/* text as a URL in buf, or as it is. */
static int whole_url(struct span *out, char buf[PAGE_URL_MOST + 1], struct span host,
	struct span text, struct err *err)
{
	bool is_rooted;
	size_t len;

	for (size_t i = 0; i < host.len; i++)
		if (!host.ptr[i] || strchr("/?#@\\", host.ptr[i]))
			return err_set(err, -EINVAL, "has no valid host");
	if (host.len > EVENT_HOST_MOST + 6) /* it may have a port */
		return err_set(err, -EINVAL, "has no valid host");
	is_rooted = text.len && strchr("/?#", text.ptr[0]);
	len = (size_t)snprintf(buf, PAGE_URL_MOST + 1, "https://%.*s%s", (int)host.len, host.ptr,
		is_rooted ? "" : "/");
	text = utf8_first(text, PAGE_URL_MOST - len);
	memcpy(buf + len, text.ptr, text.len);
	*out = (struct span){ buf, len + text.len };
	return 0;
}

int hit_set_page(struct hit *hit, struct span host, const char *site_host, struct span url,
	bool by_hash, struct err *err)
{
	char buf[PAGE_URL_MOST + 1];
	struct url parts;
	int rc = 0;

	url = span_trim(url);
	if (!has_scheme(url))
		rc = whole_url(&url, buf, host.len ? host : span_of(site_host), url, err);
	else if (host.len && !url_split(&parts, url))
		rc = whole_url(
			&url, buf, host, span_from(url, (size_t)(parts.path.ptr - url.ptr)), err);
	return rc ? rc : hit_set_url(hit, utf8_first(url, PAGE_URL_MOST), by_hash, err);
}

int hit_set_custom(struct hit *hit, struct span name, struct err *err)
{
	int rc = field_name(&hit->ev, name, err);

	name = span_trim(name);
	if (!rc && span_starts_with(name, SPAN("footfall:")))
		rc = err_set(err, -EINVAL, "is none that begins with footfall:");
	if (rc)
		return rc;
	hit->ev.kind = EVENT_CUSTOM;
	hit->ev.name = name;
	return 0;
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

void hit_add_prop(json_t *props, const char *name, struct span text)
{
	text = utf8_first(text, FIELD_PROP_MOST);
	if (text.len)
		json_object_set_new(props, name, json_stringn(text.ptr, text.len));
}

static void flatten(json_t *props, char name[PROP_NAME_SIZE], json_t *value, int depth)
{
	size_t len = strlen(name);
	const char *key;
	json_t *each;
	char *text;

	if (json_is_string(value)) {
		hit_add_prop(props, name,
			(struct span){ json_string_value(value), json_string_length(value) });
	} else if (json_is_array(value)) {
		text = json_dumps(value, JSON_COMPACT);
		if (text && strlen(text) <= FIELD_PROP_MOST) /* half of one would be none */
			hit_add_prop(props, name, span_of(text));
		free(text);
	} else if (!json_is_object(value)) {
		json_object_set(props, name, value);
	} else if (depth < DEPTH_MOST) {
		json_object_foreach(value, key, each)
		{
			int more = snprintf(
				name + len, PROP_NAME_SIZE - len, "%s%s", len ? "." : "", key);

			if (more >= 0 && (size_t)more < PROP_NAME_SIZE - len)
				flatten(props, name, each, depth + 1);
			name[len] = '\0';
		}
	}
}

void hit_add_flat(json_t *props, json_t *object)
{
	char name[PROP_NAME_SIZE] = "";

	if (json_is_object(object))
		flatten(props, name, object, 0);
}

int hit_take_props(struct hit *hit, json_t *props, struct err *err)
{
	char *text = props ? json_dumps(props, JSON_COMPACT) : NULL;
	struct field field = { text ? FIELD_OBJECT : FIELD_NONE, span_of(text) };
	int rc = hit_set_props(hit, field, err);

	free(text);
	json_decref(props);
	return rc;
}

void hit_set_earned(struct hit *hit, const json_t *amount, const char *currency)
{
	json_t *revenue = json_pack("{sOss*}", "amount", amount, "currency", currency);
	char *text = revenue ? json_dumps(revenue, JSON_COMPACT) : NULL;
	struct field field = { text ? FIELD_OBJECT : FIELD_NONE, span_of(text) };
	struct err ignored;

	if (hit_set_revenue(hit, field, &ignored) || strtod(hit->revenue.amount, NULL) <= 0)
		hit->ev.revenue = hit->ev.currency = SPAN("");
	free(text);
	json_decref(revenue);
}

void batch_begin(struct batch *batch, struct intake *in, struct http_request *req)
{
	bool from_proxy;

	*batch = (struct batch){ .in = in, .req = req, .request_id = SPAN("") };
	batch->address = http_client(req, &from_proxy);
	if (from_proxy)
		batch->request_id = http_header(req, "X-Request-Id");
}

/* Seconds until the address of a request may send this hit; 0: now. Once its first hit is admitted
 * the others are. */
static int address_wait_s(struct batch *batch, const struct hit *hit)
{
	struct limits *limits = batch->in->limits;
	int wait_s = 0;

	if (!hit->client.from_page)
		return 0;
	if (batch->admitted)
		limits_owe_address(limits, &batch->address, clock_mono_us());
	else
		wait_s = limits_take_address(limits, &batch->address, clock_mono_us());
	batch->admitted = !wait_s;
	return wait_s;
}

/* Nothing of the request is taken. It counts once, as one of this hit's site, which is told of it
 * only what it would have taken: a flood tells nothing of who opted out. */
static int batch_limit(struct batch *batch, struct hit *hit, const struct site *site, int wait_s)
{
	bool told = site && !intake_refuse(batch->in, site, &hit->ev, &hit->client);

	batch->wait_s = wait_s;
	intake_forget(&batch->tally);
	intake_drop(
		batch->in, &batch->tally, DROPPED_RATE, site, told ? &hit->ev : NULL, &hit->client);
	return -EDQUOT;
}

int batch_add(struct batch *batch, struct hit *hit, size_t n, const struct site *site,
	enum dropped *refused, struct err *err)
{
	int wait_s, rc = 0;

	*refused = DROPPED_RATE;
	if (batch->wait_s)
		return -EDQUOT;
	wait_s = address_wait_s(batch, hit);
	if (wait_s)
		return batch_limit(batch, hit, site, wait_s);
	hit->ev.id = intake_event_id(hit->own_id, batch->request_id, n);
	*refused = site ? intake_refuse(batch->in, site, &hit->ev, &hit->client)
			: DROPPED_UNKNOWN_SITE;
	if (!*refused && hit->client.from_page)
		wait_s = limits_take_site(batch->in->limits, site->id, clock_mono_us());
	if (wait_s)
		*refused = DROPPED_RATE;
	if (wait_s && !batch->taken)
		return batch_limit(batch, hit, site, wait_s);
	if (!*refused)
		rc = intake_event(batch->in, site, &hit->ev, &hit->client, &batch->ticket, err);
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
	int wait_s = batch->wait_s ? 0 : address_wait_s(batch, hit);

	if (wait_s)
		batch_limit(batch, hit, site, wait_s);
	if (batch->wait_s)
		return DROPPED_RATE;
	/* Whose origin or address it is, or who opted out, does not depend on the rest. */
	if (site)
		refused = intake_refuse(batch->in, site, &hit->ev, &hit->client);
	if (!refused)
		refused = DROPPED_INVALID;
	intake_drop(batch->in, &batch->tally, refused, site, &hit->ev, &hit->client);
	return refused;
}

static void answer_limited(struct http_request *req, int wait_s)
{
	char seconds[16];

	snprintf(seconds, sizeof seconds, "%d", wait_s);
	http_add_header(req, "Retry-After", seconds);
	http_answer_error(req, 429, "too many events at once, please try again in %d s", wait_s);
}

int batch_end(struct batch *batch, int rc, const struct client *client, struct err *err)
{
	if (batch->wait_s) {
		intake_end(batch->in, batch->req, &batch->tally, client);
		answer_limited(batch->req, batch->wait_s);
		return err_set(err, -EDQUOT, "too many events at once");
	}
	if (!rc && batch->taken)
		rc = journal_wait(batch->in->journal, batch->ticket, err);
	if (rc) {
		intake_forget(&batch->tally);
		/* Of several some may be of an earlier flush, and kept. */
		if (batch->taken > 1 || (batch->taken && rc == -EREMOTEIO))
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
