/* GoatCounter's formats: GET and POST /count of its count.js and of pictures, and POST
 * /api/v0/count of servers with a key (its handlers/count.go and handlers/api.go). api.md says what
 * differs. */
#include <ctype.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/rfc3339.h"
#include "lib/url.h"
#include "lib/utf8.h"
#include "services/ingress/hit.h"
#include "services/ingress/image.h"

#define COUNT_PATH    "/count"
#define API_PATH      "/api/v0/count"
#define API_BODY_MOST (2 << 20)
#define HITS_MOST     500
#define KEY_MOST      200 /* bytes; ours have 43 */
#define TITLE_CHARS   1024
#define REF_CHARS     2048
#define HINT_LEAST    150 /* of the script's hints that it is a bot */
#define AHEAD_MOST_US (5 * US_PER_SECOND)
#define INDEXES_SIZE  (HITS_MOST * 5)

/* What a hit is told by, in the order of its names in either format. */
enum word { PATH, TITLE, EVENT, REF, QUERY, SIZE, BOT, WORDS };
static const char *const count_words[WORDS] = { "p", "t", "e", "r", "q", "s", "b" };
static const char *const api_words[WORDS] = { "path", "title", "event", "ref", "query", "size",
	"bot" };

/* --- a hit, of either format --------------------------------------------------------------------
 */

static size_t count_chars(struct span text)
{
	size_t count = 0, len;

	for (; text.len; text = span_from(text, len), count++) {
		len = utf8_char_len(text);
		len = len ? len : 1;
	}
	return count;
}

/* The text of a word, of most characters at most. */
static int read_text(struct span *out, const struct object *object, const char *word, size_t most,
	struct err *err)
{
	struct err why;

	if (field_text(out, object_field(object, word, NULL), SIZE_MAX, &why))
		return err_set(err, -EINVAL, "%s: %s", word, why.msg);
	if (count_chars(*out) > most)
		return err_set(err, -EINVAL, "%s: must be shorter than %zu characters", word, most);
	return 0;
}

static int read_bool(bool *out, const struct object *object, const char *word, struct err *err)
{
	static const char *const yes[] = { "true", "1", "on" };
	static const char *const no[] = { "", "false", "0", "off" };
	struct field field = object_field(object, word, NULL);

	*out = field.type == FIELD_TRUE;
	if (field.type == FIELD_NONE || field.type == FIELD_TRUE || field.type == FIELD_FALSE)
		return 0;
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (span_equals_nocase(field.text, span_of(yes[i]))) {
			*out = true;
			return 0;
		}
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (span_equals_nocase(field.text, span_of(no[i])))
			return 0;
	return err_set(err, -EINVAL, "%s: is neither true nor false", word);
}

/* 0, or one of the numbers by which scripts say why they think that no person is there. */
static int read_bot(struct hit *hit, const struct object *object, const char *word, struct err *err)
{
	struct field field = object_field(object, word, NULL);
	int64_t hint = field_number(field);

	if (field.type == FIELD_NONE || hint == 0 || (field.type == FIELD_TEXT && !field.text.len))
		return 0;
	if (hint < HINT_LEAST)
		return err_set(err, -EDOM, "wrong value: %s=%lld", word, (long long)hint);
	hit->client.bot = EVENT_BOT_HINT;
	return 0;
}

/* "1920", "1920,1080,2", or the same as a JSON array. */
static int read_size(
	struct hit *hit, const struct object *object, const char *word, struct err *err)
{
	struct field size = object_field(object, word, NULL);

	if (size.type == FIELD_ARRAY)
		size = (struct field){ FIELD_TEXT, span_trim(span_from(size.text, 1)) };
	for (size_t i = 0; size.type == FIELD_TEXT && i < size.text.len; i++)
		if (!strchr("0123456789.,] \t\r\n", size.text.ptr[i]))
			return err_set(err, -EINVAL, "%s: is not width,height,scale", word);
	hit_set_screen(hit, size);
	return 0;
}

/* A name that scripts may give besides those that campaign_read() knows. */
static void read_campaign_word(
	struct span *to, const struct object *query, const char *word, char text[CAMPAIGN_MOST])
{
	struct span value = span_trim(object_field(query, word, NULL).text);

	if (to->len || !value.len)
		return;
	value = utf8_first(value, CAMPAIGN_MOST);
	memcpy(text, value.ptr, value.len);
	*to = (struct span){ text, value.len };
}

/* What the page's query says of where the visitor came from. GoatCounter knows "src" and
 * "campaign", too. */
static void read_campaign(struct hit *hit, struct span query)
{
	struct campaign *campaign = &hit->page.campaign;
	struct span *source = &campaign->field[CAMPAIGN_REF];
	char buf[OBJECT_QUERY_MOST];
	struct object words;
	struct err ignored;

	if (query.len && query.ptr[0] == '?')
		query = span_from(query, 1);
	campaign_read(campaign, query);
	if (!object_read_query(&words, buf, query, &ignored)) {
		if (!campaign->field[UTM_SOURCE].len)
			read_campaign_word(source, &words, "src", campaign->text[CAMPAIGN_REF]);
		read_campaign_word(&campaign->field[UTM_CAMPAIGN], &words, "campaign",
			campaign->text[UTM_CAMPAIGN]);
	}
}

/* A referrer is a URL or any text, which then names the source, where no campaign does. */
static void read_referrer(struct hit *hit, struct span ref)
{
	struct event *ev = &hit->ev;
	char *text = hit->page.campaign.text[CAMPAIGN_REF];

	hit_set_referrer(hit, ref);
	ref = span_trim(ref);
	if (ev->referrer.len || ev->ref.len || ev->utm_source.len || !ref.len || ref.ptr[0] == '/')
		return;
	ref = utf8_first(ref, CAMPAIGN_MOST);
	memcpy(text, ref.ptr, ref.len);
	ev->ref = (struct span){ text, ref.len };
}

/* A page of the host. */
static int set_page(struct hit *hit, struct span host, struct span path, struct err *err)
{
	bool is_ipv6 = span_find(host, ':') < host.len;
	char url[PAGE_URL_MOST + 300];
	struct err why;

	while (path.len && path.ptr[0] == '/')
		path = span_from(path, 1);
	path = span_first(path, PAGE_URL_MOST); /* with scheme and host it is too long, then */
	snprintf(url, sizeof url, "https://%s%.*s%s/%.*s", is_ipv6 ? "[" : "", (int)host.len,
		host.ptr, is_ipv6 ? "]" : "", (int)path.len, path.ptr);
	if (hit_set_url(hit, span_of(url), false, &why))
		return err_set(err, -EINVAL, "path: %s", why.msg);
	return 0;
}

/* Where a hit happened, as far as it does not say so itself. */
struct where {
	struct span host;
	struct span page; /* URL of one of the site; empty: not known */
};

static int read_view(struct hit *hit, const struct where *where, struct span path,
	struct span query, struct err *err)
{
	size_t mark = span_find(path, '?');
	int rc = set_page(hit, where->host, span_first(path, mark), err);

	if (rc)
		return rc;
	hit->ev.kind = EVENT_PAGEVIEW;
	read_campaign(hit, query.len ? query : span_from(path, mark + 1));
	page_tell(&hit->page, &hit->ev);
	return 0;
}

/* An event has a name in place of a path; here it may be called as anything, also as our own. It is
 * on a page where that is known, and tells of no campaign. */
static int read_event(struct hit *hit, const struct where *where, struct span name, struct err *err)
{
	bool has_page = where->page.len && !hit_set_url(hit, where->page, false, err);
	struct err why;
	int rc = has_page ? 0 : set_page(hit, where->host, SPAN(""), err);

	if (rc)
		return rc;
	while (name.len && name.ptr[0] == '/')
		name = span_from(name, 1);
	if (!name.len)
		name = SPAN("(no event name)");
	if (field_name(&hit->ev, name, &why))
		return err_set(err, -EINVAL, "path: %s", why.msg);
	hit->ev.kind = EVENT_CUSTOM;
	hit->ev.name = name;
	campaign_read(&hit->page.campaign, SPAN(""));
	page_tell(&hit->page, &hit->ev);
	if (!has_page)
		hit->ev.path = SPAN("");
	return 0;
}

/* Read a hit. -EINVAL: what is wrong of which word; -EDOM: the sentence says
 * all. */
static int read_hit(struct hit *hit, const struct object *object, const char *const words[WORDS],
	const struct where *where, struct err *err)
{
	struct span path, title, ref, query;
	bool is_event;
	int rc = read_text(&path, object, words[PATH], SIZE_MAX, err);

	if (!rc && !span_trim(path).len)
		rc = err_set(err, -EINVAL, "path: must be set");
	if (!rc)
		rc = read_text(&title, object, words[TITLE], TITLE_CHARS, err);
	if (!rc)
		rc = read_text(&ref, object, words[REF], REF_CHARS, err);
	if (!rc)
		rc = read_text(&query, object, words[QUERY], SIZE_MAX, err);
	if (!rc)
		rc = read_bool(&is_event, object, words[EVENT], err);
	if (!rc)
		rc = read_bot(hit, object, words[BOT], err);
	if (!rc)
		rc = read_size(hit, object, words[SIZE], err);
	if (rc)
		return rc;
	hit_set_title(hit, title);
	path = span_trim(path);
	rc = is_event ? read_event(hit, where, path, err) : read_view(hit, where, path, query, err);
	if (!rc)
		read_referrer(hit, ref);
	return rc;
}

/* --- /count -------------------------------------------------------------------------------------
 */

/* The site of a host, with or without its port. */
static bool host_site(struct intake *in, struct span host, struct site *site)
{
	return snapshot_site(in->snapshot, host, site) ||
	       snapshot_site(in->snapshot, span_first(host, span_find(host, ':')), site);
}

/* The site of "/PROPERTY_ID/count", or of "/count" and the host that was asked. */
static bool count_site(struct intake *in, const struct http_request *req, struct site *site)
{
	struct span path = http_path(req);

	if (span_equals(path, SPAN(COUNT_PATH)))
		return host_site(in, http_header(req, "Host"), site);
	path = span_from(path, 1);
	path = span_first(path, span_find(path, '/'));
	return path.len == PROPERTY_ID_SIZE - 1 && snapshot_site(in->snapshot, path, site);
}

static struct where where_of_site(const struct site *site)
{
	struct span domain = span_of(site->domain);

	return (struct where){ span_first(domain, span_find(domain, ':')), SPAN("") };
}

/* As Referer tells it. Browsers tell other hosts than the page's own no path, so that "/" says
 * nothing of the page. */
static struct where where_of_request(
	struct intake *in, const struct site *site, const struct http_request *req)
{
	struct where where = where_of_site(site);
	struct span referer = http_header(req, "Referer");
	struct site other;
	struct url url;

	if (url_split(&url, referer))
		return where;
	where.host = url.host;
	if (url.path.len > 1 && snapshot_site(in->snapshot, url.host, &other) &&
		other.id == site->id)
		where.page = referer;
	return where;
}

static int count_params(struct object *params, char buf[OBJECT_QUERY_MOST], struct intake *in,
	struct http_request *req, const struct client *client, struct err *err)
{
	int rc = object_read_query(params, buf, http_query(req), err);
	struct span form;

	if (rc)
		return err_set(err, -EDOM, "error decoding parameters: the query %s", err->msg);
	if (object_field(params, "p", NULL).type || !span_equals(http_method(req), SPAN("POST")))
		return 0;
	if (intake_body(in, req, OBJECT_QUERY_MOST - 1, &form, client))
		return -EPIPE; /* answered */
	if (object_read_query(params, buf, form, err))
		return err_set(err, -EDOM, "error decoding parameters: the form %s", err->msg);
	return 0;
}

/* Why it was not taken, as GoatCounter says it. */
static void say_invalid(struct http_request *req, int rc, const struct err *why)
{
	char text[sizeof why->msg + 16];

	snprintf(text, sizeof text, "%s%s", rc == -EDOM ? "" : "not valid: ", why->msg);
	http_add_header(req, "X-Goatcounter", text);
}

static void say_ignored(struct http_request *req, enum dropped reason)
{
	char text[64];

	snprintf(
		text, sizeof text, "ignored because the site refuses it: %s", dropped_word(reason));
	http_add_header(req, "X-Goatcounter", text);
}

static void answer_count(
	struct http_request *req, enum dropped refused, int rc, const struct err *why)
{
	if (refused == DROPPED_INVALID || refused == DROPPED_UNKNOWN_SITE) {
		say_invalid(req, rc, why);
		image_answer(req, 400);
	} else if (refused && refused != DROPPED_PREFETCH) {
		say_ignored(req, refused);
		image_answer(req, 202);
	} else {
		image_answer(req, 200);
	}
}

/* Give a hit to its site, NULL: none that is known; or, where rc says that it could not be read,
 * count it as such; and answer. */
static void count_take(struct intake *in, struct http_request *req, struct hit *hit,
	const struct site *site, int rc, struct err *why)
{
	enum dropped refused = DROPPED_INVALID;
	struct err err = { 0 };
	struct batch batch;
	int added = 0;

	batch_begin(&batch, in, req);
	if (rc)
		batch_add_bad(&batch, hit, site);
	else
		added = batch_add(&batch, hit, 0, site, &refused, why);
	if (refused == DROPPED_UNKNOWN_SITE)
		err_set(why, -EINVAL, "site: there is none of this name");
	if (!batch_end(&batch, added, &hit->client, &err))
		answer_count(req, refused, rc, why);
}

static void count_read(struct intake *in, struct http_request *req, struct hit *hit)
{
	char buf[OBJECT_QUERY_MOST];
	struct object params;
	struct site site;
	struct where where;
	struct err why = { 0 };
	bool known = count_site(in, req, &site);
	int rc = count_params(&params, buf, in, req, &hit->client, &why);

	if (rc == -EPIPE)
		return;
	if (!rc && known) {
		where = where_of_request(in, &site, req);
		rc = read_bool(&hit->client.alone, &params, "ns", &why);
		if (!rc)
			rc = read_hit(hit, &params, count_words, &where, &why);
	}
	count_take(in, req, hit, known ? &site : NULL, rc, &why);
}

void goatcounter_count(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct hit hit;

	if (!image_begin(in, req))
		return;
	hit_init(&hit, COUNT_PATH);
	hit_read_headers(&hit, req);
	hit.client.origin = image_origin(req);
	count_read(in, req, &hit);
	hit_done(&hit);
}

/* --- POST /api/v0/count -------------------------------------------------------------------------
 */

/* What recents and refusals are told of who sent hits. */
static const struct client nobody = { .way = API_PATH };

/* One call. */
struct call {
	struct intake *in;
	struct http_request *req;
	struct site site;
	bool no_sessions;
	struct batch batch;
	json_t *errors; /* by index */
	size_t error_count;
	char filtered[INDEXES_SIZE]; /* "5, 10" */
	size_t filtered_len;
};

/* The key of "Bearer KEY", or the password of Basic, in buf; empty: none. */
static struct span read_key(const struct http_request *req, char buf[KEY_MOST])
{
	struct span header = http_header(req, "Authorization"), text;
	size_t len;

	if (!span_equals_nocase(span_first(header, 6), SPAN("Basic ")))
		return http_bearer(req);
	text = span_trim(span_from(header, 6));
	if (sodium_base642bin((unsigned char *)buf, KEY_MOST, text.ptr, text.len, NULL, &len, NULL,
		    sodium_base64_VARIANT_ORIGINAL))
		return SPAN("");
	text = (struct span){ buf, len };
	return span_from(text, span_find(text, ':') + 1);
}

/* Answer 401 unless the key may send events; then *site is the host's, if the key may write that,
 * or else the only one that it may. */
static bool api_site(struct call *call, struct span key)
{
	struct snapshot *snapshot = call->in->snapshot;
	struct tally tally = { 0 };

	if (!key.len || !snapshot_key_allows(snapshot, key, 0)) {
		intake_drop(call->in, &tally, DROPPED_KEY, NULL, NULL, &nobody);
		intake_end(call->in, call->req, &tally, &nobody);
		http_add_header(call->req, "WWW-Authenticate", "Bearer, Basic realm=\"Footfall\"");
		http_answer_error(call->req, 401,
			"a key with the scope \"ingest\" is needed: Authorization: Bearer KEY, or "
			"Basic with the key as password");
		return false;
	}
	if ((host_site(call->in, http_header(call->req, "Host"), &call->site) &&
		    snapshot_key_allows(snapshot, key, call->site.id)) ||
		snapshot_key_site(snapshot, key, &call->site))
		return true;
	intake_drop(call->in, &tally, DROPPED_UNKNOWN_SITE, NULL, NULL, &nobody);
	intake_end(call->in, call->req, &tally, &nobody);
	http_answer_error(call->req, 400,
		"the key may write to several sites: send it to a host of the one that is meant, "
		"or use a key of one site");
	return false;
}

static int read_time(struct hit *hit, const struct object *object, struct err *err)
{
	struct err why;
	struct span text;
	int64_t ts_us;
	int rc = read_text(&text, object, "created_at", 64, err);

	if (rc || !text.len)
		return rc;
	if (rfc3339_parse(&ts_us, text))
		return err_set(
			err, -EINVAL, "created_at: is no RFC 3339 time, as 2026-03-01T12:00:00Z");
	if (hit_set_time(hit, ts_us, AHEAD_MOST_US, &why))
		return err_set(err, -EINVAL, "created_at: %s", why.msg);
	return 0;
}

/* "NL", or "US-TX". */
static int read_location(struct hit *hit, const struct object *object, struct err *err)
{
	struct span text;
	int rc = read_text(&text, object, "location", 16, err);
	size_t dash = span_find(text, '-');

	if (rc || !text.len)
		return rc;
	if (!cdn_place(&hit->cdn, span_first(text, dash), span_from(text, dash + 1), SPAN("")))
		return err_set(err, -EINVAL, "location: is no country of ISO 3166-1, as NL");
	hit->ev.cdn_country = hit->cdn.place.country;
	hit->ev.cdn_region = hit->cdn.place.region;
	return 0;
}

static int read_visitor(
	const struct call *call, struct hit *hit, const struct object *object, struct err *err)
{
	struct span ip, agent;
	int rc = read_text(&ip, object, "ip", 64, err);

	if (!rc && ip.len && addr_parse(&hit->address, ip))
		rc = err_set(err, -EINVAL, "ip: is not an address");
	if (!rc)
		rc = read_text(&agent, object, "user_agent", SIZE_MAX, err);
	if (!rc)
		rc = read_text(&hit->client.session, object, "session", SIZE_MAX, err);
	if (!rc && hit->client.session.len > CLIENT_SESSION_MOST)
		rc = err_set(err, -EINVAL, "session: has more than %d bytes", CLIENT_SESSION_MOST);
	if (rc)
		return rc;
	hit_set_agent(hit, agent);
	if (ip.len)
		hit->client.address = &hit->address;
	hit->client.alone = !hit->client.session.len && !(agent.len && ip.len);
	if (hit->client.alone && !call->no_sessions)
		return err_set(err, -EINVAL,
			"session or browser/IP not set; use no_sessions if you don't want to track "
			"unique visits");
	return 0;
}

static int api_read_hit(
	const struct call *call, struct hit *hit, const struct object *object, struct err *err)
{
	struct where where = where_of_site(&call->site);
	struct span text;
	int rc = read_visitor(call, hit, object, err);

	if (!rc)
		rc = read_hit(hit, object, api_words, &where, err);
	if (!rc)
		rc = read_time(hit, object, err);
	if (!rc)
		rc = read_location(hit, object, err);
	if (!rc)
		rc = read_text(&text, object, "language", SIZE_MAX, err);
	if (!rc)
		hit_set_language(hit, text);
	if (!rc)
		rc = read_text(&hit->own_id, object, "id", SIZE_MAX, err);
	if (!rc && hit->own_id.len > CLIENT_EVENT_ID_MOST)
		rc = err_set(err, -EINVAL, "id: has more than %d bytes", CLIENT_EVENT_ID_MOST);
	return rc;
}

static void call_error(struct call *call, size_t n, const char *reason)
{
	char index[24];

	snprintf(index, sizeof index, "%zu", n);
	json_object_set_new(call->errors, index, json_string(reason));
	call->error_count++;
}

static void call_filtered(struct call *call, size_t n)
{
	call->filtered_len += (size_t)snprintf(call->filtered + call->filtered_len,
		sizeof call->filtered - call->filtered_len, "%s%zu", call->filtered_len ? ", " : "",
		n);
}

/* Take the n-th hit; bad: why it is no object, or 0. An error is batch_add()'s. */
static int call_hit(
	struct call *call, const struct object *object, size_t n, int bad, struct err *err)
{
	enum dropped refused = DROPPED_INVALID;
	struct hit hit;
	int rc = 0;

	hit_init(&hit, API_PATH);
	if (!bad)
		bad = api_read_hit(call, &hit, object, err);
	if (bad)
		batch_add_bad(&call->batch, &hit, &call->site);
	else
		rc = batch_add(&call->batch, &hit, n, &call->site, &refused, err);
	if (!rc && refused == DROPPED_UNAVAILABLE)
		call_error(call, n, "not taken now, please send it again");
	else if (!rc && refused == DROPPED_INVALID)
		call_error(call, n, err->msg);
	else if (!rc && refused)
		call_filtered(call, n);
	hit_done(&hit);
	return rc;
}

static size_t count_elements(struct span hits)
{
	struct object_array array = { .rest = hits };
	struct span element;
	struct err ignored;
	size_t count = 0;

	while (object_array_next(&array, &element, &ignored) > 0)
		count++;
	return count;
}

static int call_hits(struct call *call, struct span hits, struct err *err)
{
	struct object_array array = { .rest = hits };
	struct span element;
	struct err ignored;
	int rc = 0;

	for (size_t n = 0; !rc && object_array_next(&array, &element, &ignored) > 0; n++) {
		struct object object;
		int bad = object_read(&object, element, NULL, err);

		rc = call_hit(call, &object, n, bad, err);
	}
	return rc;
}

/* ["ip"] is all there is to filter by; whatever it says, the site's rules hold. */
static int read_filter(const struct object *body, struct err *err)
{
	struct field filter = object_field(body, "filter", NULL);
	json_t *list = NULL;
	const char *word;
	int rc = 0;

	if (filter.type == FIELD_NONE)
		return 0;
	if (filter.type != FIELD_ARRAY || object_tree(&list, filter.text, err))
		return err_set(err, -EINVAL, "filter is not an array that can be read");
	for (size_t i = 0; !rc && i < json_array_size(list); i++) {
		word = json_string_value(json_array_get(list, i));
		if (!word || strcmp(word, "ip") != 0)
			rc = err_set(err, -EINVAL, "unknown value in Filter: only \"ip\" is known");
	}
	json_decref(list);
	return rc;
}

/* -EINVAL: the body as a whole is wrong, and nothing of it is taken. */
static int api_read_body(struct call *call, struct span *hits, struct span text, struct err *err)
{
	struct object body;
	struct err why;
	size_t count;
	int rc = 0;

	if (object_read(&body, text, NULL, &why))
		rc = err_set(err, -EINVAL, "the body is not a JSON object");
	if (!rc)
		rc = read_bool(&call->no_sessions, &body, "no_sessions", err);
	if (!rc)
		rc = read_filter(&body, err);
	if (rc)
		return rc;
	*hits = object_field(&body, "hits", NULL).text;
	count = object_field(&body, "hits", NULL).type == FIELD_ARRAY ? count_elements(*hits) : 0;
	if (!count)
		return err_set(err, -EINVAL, "no hits");
	if (count > HITS_MOST)
		return err_set(
			err, -EINVAL, "maximum amount of pageviews in one batch is %d", HITS_MOST);
	return 0;
}

static void api_answer(struct call *call)
{
	if (call->filtered_len)
		http_add_header(call->req, "X-Goatcounter-Filter", call->filtered);
	if (call->error_count)
		http_answer_json(call->req, 400,
			json_object_size(call->errors) == call->error_count
				? json_pack("{sO}", "errors", call->errors)
				: NULL);
	else
		http_answer_json(call->req, 202, json_pack("{ss}", "status", "ok"));
}

static void api_take(struct call *call, struct span text)
{
	struct tally tally = { 0 };
	struct err err = { 0 };
	struct span hits;
	int rc;

	if (api_read_body(call, &hits, text, &err)) {
		intake_drop(call->in, &tally, DROPPED_INVALID, &call->site, NULL, &nobody);
		intake_end(call->in, call->req, &tally, &nobody);
		http_answer_error(call->req, 400, "%s", err.msg);
		return;
	}
	batch_begin(&call->batch, call->in, call->req);
	call->errors = json_object();
	rc = call_hits(call, hits, &err);
	if (!batch_end(&call->batch, rc, &nobody, &err))
		api_answer(call);
	json_decref(call->errors);
}

void goatcounter_api(struct http_request *req, void *service)
{
	struct call call = { .in = service, .req = req };
	char buf[KEY_MOST];
	struct err err = { 0 };
	struct span text;

	if (snapshot_ready(call.in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	if (!api_site(&call, read_key(req, buf)) ||
		intake_body(call.in, req, API_BODY_MOST, &text, &nobody))
		return;
	api_take(&call, text);
}
