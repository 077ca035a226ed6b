#include "services/query/derived.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/campaign.h"
#include "lib/clock.h"
#include "lib/enrich/cdn.h"
#include "lib/enrich/language.h"
#include "lib/enrich/locale.h"
#include "lib/enrich/place.h"
#include "lib/enrich/source.h"
#include "lib/enrich/ua.h"
#include "lib/enrich/ua_hints.h"
#include "lib/log.h"
#include "lib/screen.h"
#include "lib/spam.h"
#include "lib/url.h"
#include "proto/dropped.h"
#include "proto/event.h"

#define URL_MOST    2000  /* bytes, as of an event's */
#define WIDTH_MOST  99999 /* likewise */
#define PARAM_SIZE  16384 /* civetweb takes no longer request */
#define NUMBER_SIZE 8
#define REST_US     (60 * US_PER_SECOND)

struct derived {
	const struct settings *settings;
	pthread_mutex_t lock; /* of all that follows: its modules are for one thread at a time */
	bool open;
	int64_t asked_mono_us;
	struct ua_rules *ua;
	struct places *places;
	struct sources *sources;
	struct spam *spam;
};

struct derived *derived_new(const struct settings *settings)
{
	struct derived *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->settings = settings;
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

static void files_close(struct derived *d)
{
	ua_rules_close(&d->ua);
	places_close(&d->places);
	sources_close(&d->sources);
	spam_close(&d->spam);
	d->open = false;
}

void derived_free(struct derived **derived_p)
{
	struct derived *d = *derived_p;

	*derived_p = NULL;
	if (!d)
		return;
	files_close(d);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void derived_rest(struct derived *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->open && clock_mono_us() - d->asked_mono_us >= REST_US) {
		files_close(d);
		malloc_trim(0);
	}
	pthread_mutex_unlock(&d->lock);
}

static int files_open(struct derived *d, struct err *err)
{
	const struct settings *s = d->settings;
	const struct place_files place = place_files_of(s);
	const struct known_files lists = known_files_of(s);
	int rc = places_open(&d->places, &place, err);

	if (!rc)
		rc = ua_rules_open(&d->ua, s->ua_rules, s->bot_agents, err);
	if (!rc)
		rc = sources_open(&d->sources, &lists, err);
	if (!rc)
		rc = spam_open(&d->spam, s->spam_referrers, err);
	if (rc)
		files_close(d);
	d->open = !rc;
	return rc;
}

static int files_follow(struct derived *d, struct err *err)
{
	d->asked_mono_us = clock_mono_us();
	if (!d->open)
		return files_open(d, err);
	places_follow(d->places, clock_mono_us());
	ua_rules_follow(d->ua, clock_mono_us());
	sources_follow(d->sources);
	spam_follow(d->spam);
	return 0;
}

/* --- what the request says ----------------------------------------------------------------------
 */

struct visit {
	struct span host, referrer, language;
	struct campaign campaign;
	uint32_t width_px;
	struct ua_hints hints;
	struct cdn cdn;
	char url[PARAM_SIZE], referrer_text[PARAM_SIZE];
};

static int url_read(struct url *url, const char *name, struct span text, struct err *err)
{
	if (text.len > URL_MOST)
		return err_set(err, -EINVAL, "%s has more than %d bytes", name, URL_MOST);
	return url_split(url, text) ? err_set(err, -EINVAL, "%s is not a URL", name) : 0;
}

static int page_read(struct visit *v, const struct http_request *req, struct err *err)
{
	struct span host = http_header(req, "Host");
	struct url url;
	int rc;

	campaign_read(&v->campaign, SPAN(""));
	v->host = span_first(host, span_find(host, ':'));
	if (!http_param(req, "url", v->url, sizeof v->url))
		return 0;
	rc = url_read(&url, "url", span_of(v->url), err);
	if (rc)
		return rc;
	v->host = url.host;
	campaign_read(&v->campaign, url.query);
	return 0;
}

static int referrer_read(struct visit *v, const struct http_request *req, struct err *err)
{
	struct url url;

	v->referrer = span_first(http_header(req, "Referer"), URL_MOST);
	if (!http_param(req, "referrer", v->referrer_text, sizeof v->referrer_text))
		return 0;
	v->referrer = span_of(v->referrer_text);
	return v->referrer.len ? url_read(&url, "referrer", v->referrer, err) : 0;
}

static int width_read(struct visit *v, const struct http_request *req, struct err *err)
{
	char text[NUMBER_SIZE], *end;
	long width;

	v->width_px = 0;
	if (!http_param(req, "screen_width", text, sizeof text) && !*text)
		return 0;
	width = strtol(text, &end, 10);
	if (end == text || *end || width < 1 || width > WIDTH_MOST)
		return err_set(err, -EINVAL, "screen_width is not a number of 1 to %d", WIDTH_MOST);
	v->width_px = (uint32_t)width;
	return 0;
}

static int visit_read(struct visit *v, const struct http_request *req, struct err *err)
{
	int rc = page_read(v, req, err);

	if (!rc)
		rc = referrer_read(v, req, err);
	if (!rc)
		rc = width_read(v, req, err);
	v->language = language_accepted(http_header(req, "Accept-Language"));
	ua_hints_read(&v->hints, req);
	cdn_read(&v->cdn, req);
	return rc;
}

/* --- what is derived ----------------------------------------------------------------------------
 */

static void put(json_t *out, const char *key, struct span text)
{
	json_object_set_new(out, key, text.len ? json_stringn(text.ptr, text.len) : json_null());
}

static void put_ua(json_t *out, const struct ua *ua)
{
	put(out, "browser", span_of(ua->browser));
	put(out, "browser_version", span_of(ua->browser_version));
	put(out, "os", span_of(ua->os));
	put(out, "os_version", span_of(ua->os_version));
	put(out, "device", span_of(ua->device));
	put(out, "brand", span_of(ua->brand));
	put(out, "model", span_of(ua->model));
}

/* Who told it: the CDN, where what is known is what it said ("ENG" of "GB-ENG"). */
static void put_teller(
	json_t *out, const char *key, const char *known, struct span said, const struct cdn *cdn)
{
	bool by_cdn = said.len && span_ends_with(span_of(known), said);

	put(out, key, !*known ? SPAN("") : by_cdn ? span_of(cdn->name) : SPAN("database"));
}

static void put_place(json_t *out, const struct geo *geo, const struct cdn *cdn)
{
	json_t *from = json_object();
	const char *region = *geo->region ? geo->region : geo->region_name;

	put(out, "country", span_of(geo->country));
	put(out, "region", span_of(geo->region));
	put(out, "region_name", span_of(geo->region_name));
	json_object_set_new(out, "city", geo->city_id ? json_integer(geo->city_id) : json_null());
	put(out, "city_name", span_of(geo->city));
	put_teller(from, "country", geo->country, cdn->place.country, cdn);
	put_teller(from, "region", region, cdn->place.region, cdn);
	put_teller(from, "city", geo->city, cdn->place.city, cdn);
	json_object_set_new(out, "place_from", from);
}

static void put_source(json_t *out, const struct derived *d, const struct visit *v)
{
	const struct source_clues clues = { .referrer = v->referrer,
		.utm_source = v->campaign.field[UTM_SOURCE],
		.utm_medium = v->campaign.field[UTM_MEDIUM],
		.utm_campaign = v->campaign.field[UTM_CAMPAIGN],
		.ref = v->campaign.field[CAMPAIGN_REF],
		.click_id = v->campaign.click_id };
	struct source source;

	source_find(d->sources, &clues, &v->host, 1, &source);
	put(out, "source", source.name);
	put(out, "channel", channel_name(source.channel));
	put(out, "referrer", source.referrer);
}

/* Why it is thought to be of no person: the first is what an event would be marked with. */
static json_t *bot_json(const struct derived *d, const struct visit *v,
	const struct http_request *req, const struct ua *ua, const struct place *place)
{
	json_t *reasons = json_array();
	struct url referrer;
	const struct {
		bool is_so;
		enum event_bot bot;
	} looks[] = {
		{ http_prefetches(req), EVENT_BOT_PREFETCH },
		{ !url_split(&referrer, v->referrer) && spam_is_referrer(d->spam, referrer.host),
			EVENT_BOT_SPAM },
		{ ua->is_bot, EVENT_BOT_AGENT },
		{ place->is_data_centre, EVENT_BOT_DATA_CENTRE },
	};

	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
		if (looks[i].is_so)
			json_array_append_new(reasons,
				json_string(dropped_word(dropped_of_bot((uint8_t)looks[i].bot))));
	return reasons;
}

static void put_looked_up(struct derived *d, const struct visit *v, const struct http_request *req,
	const struct addr *client, json_t *out)
{
	struct place place;
	struct ua ua;

	ua_parse(d->ua, http_header(req, "User-Agent"), &v->hints, &ua);
	places_find(d->places, client, &v->cdn.place, &place);
	put_ua(out, &ua);
	put_place(out, &place.geo, &v->cdn);
	put_source(out, d, v);
	json_object_set_new(out, "bot", bot_json(d, v, req, &ua, &place));
}

static void put_plain(json_t *out, const struct visit *v, const struct http_request *req)
{
	struct locale locale;

	json_object_set_new(out, "opts_out",
		json_boolean(span_equals(http_header(req, "Sec-GPC"), SPAN("1")) ||
			     span_equals(http_header(req, "DNT"), SPAN("1"))));
	locale_parse(&locale, v->language);
	put(out, "language", span_of(locale.language));
	put(out, "locale", span_of(locale.locale));
	put(out, "screen", span_of(screen_class(v->width_px)));
}

int derived_tell(struct derived *d, const struct http_request *req, const struct addr *client,
	json_t **out, struct err *err)
{
	struct visit *v = malloc(sizeof *v);
	struct err unread;
	int rc = v ? visit_read(v, req, err) : err_set(err, -ENOMEM, "no memory");

	if (rc) {
		free(v);
		return rc;
	}
	*out = json_object();
	put_plain(*out, v, req);
	pthread_mutex_lock(&d->lock);
	if (files_follow(d, &unread)) {
		log_error("debug: what is derived cannot be told: %s", unread.msg);
		put(*out, "error", SPAN("a file cannot be read, which one says the log"));
	} else {
		put_looked_up(d, v, req, client, *out);
	}
	pthread_mutex_unlock(&d->lock);
	free(v);
	return 0;
}
