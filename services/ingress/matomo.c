/* GET and POST /matomo.php: what Matomo's trackers and SDKs send, alone (as a query, or a form) or
 * many at once ({"requests": ["?…", …]}); https://developer.matomo.org/api-reference/tracking-api.
 * Parameters that are not named here mean nothing. What an anonymous caller may not decide (cip,
 * cdt, ua, country, region, city) counts with a token_auth only, which is a key of ours. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/enrich/language.h"
#include "lib/rfc3339.h"
#include "lib/utf8.h"
#include "services/ingress/hit.h"
#include "services/ingress/image.h"

#define BULK_BYTES    (2 << 20)
#define BULK_MOST     1000
#define NAME_CHARS    120  /* of an event's name, as field_name() takes */
#define NAME_SIZE     1024 /* two of them, of 4 bytes a character */
#define ORIGIN_MOST   256
#define AHEAD_MOST_US (60 * US_PER_SECOND)
#define NO_CURRENCY   "XXX" /* ISO 4217's: Matomo's requests name none */

/* The parameters of one event: of the URL, and of a form, which comes after it. */
struct params {
	struct object query, form;
	char query_text[OBJECT_QUERY_MOST], form_text[OBJECT_QUERY_MOST];
};

/* An event as it was sent. */
struct sent {
	struct hit hit;
	const struct params *params;
	struct site site;
	bool site_known;
	struct span token;
	char name[NAME_SIZE];
};

/* The text of a parameter, "" where there is none. */
static struct span param(const struct params *params, const char *name)
{
	struct field field = object_field(&params->query, name, NULL);

	if (field.type == FIELD_NONE)
		field = object_field(&params->form, name, NULL);
	if (field.type == FIELD_TRUE)
		return SPAN("1");
	return field.type == FIELD_TEXT || field.type == FIELD_NUMBER ? span_trim(field.text)
								      : SPAN("");
}

static bool is_set(const struct params *params, const char *name)
{
	return field_number((struct field){ FIELD_TEXT, param(params, name) }) > 0;
}

/* --- fields -------------------------------------------------------------------------------------
 */

/* Our number of the site, or its property id. */
static int read_site(struct sent *s, const struct intake *in, struct err *err)
{
	struct span text = param(s->params, "idsite");
	int64_t id = field_number((struct field){ FIELD_TEXT, text });

	if (!text.len)
		return err_set(err, -EINVAL, "idsite is missing");
	if (id >= 0 && id <= INT32_MAX)
		s->site_known = snapshot_site_of_id(in->snapshot, (uint32_t)id, &s->site);
	else
		s->site_known = snapshot_site(in->snapshot, text, &s->site);
	return 0;
}

/* "2026-03-01 12:00:00" (UTC), or Unix time in seconds. */
static int read_time(struct sent *s, struct err *err)
{
	struct span text = param(s->params, "cdt");
	struct err why;
	int64_t ts_us;
	char utc[40];

	if (!text.len)
		return 0;
	snprintf(utc, sizeof utc, "%.*sZ", (int)span_first(text, 30).len, text.ptr);
	if (rfc3339_parse(&ts_us, span_of(utc))) {
		ts_us = field_number((struct field){ FIELD_TEXT, text });
		if (ts_us < 0 || ts_us > UINT32_MAX)
			return err_set(err, -EINVAL, "cdt is no time, as 2026-03-01 12:00:00");
		ts_us *= US_PER_SECOND;
	}
	if (hit_set_time(&s->hit, ts_us, AHEAD_MOST_US, &why))
		return err_set(err, -EINVAL, "cdt is %s", why.msg);
	return 0;
}

/* A server sends for its visitors, so what its own request shows of itself says nothing of them. */
static int read_server(struct sent *s, const struct http_request *req, struct err *err)
{
	const struct params *p = s->params;
	struct span agent = param(p, "ua"), address = param(p, "cip");
	const char *way = s->hit.client.way;
	bool from_proxy;

	hit_init(&s->hit, way);
	hit_set_agent(&s->hit, agent.len ? agent : http_header(req, "User-Agent"));
	s->hit.address = http_client(req, &from_proxy);
	if (address.len && addr_parse(&s->hit.address, address))
		return err_set(err, -EINVAL, "cip is not an address");
	s->hit.client.address = &s->hit.address;
	if (cdn_place(&s->hit.cdn, param(p, "country"), param(p, "region"), param(p, "city"))) {
		s->hit.ev.cdn_country = s->hit.cdn.place.country;
		s->hit.ev.cdn_region = s->hit.cdn.place.region;
		s->hit.ev.cdn_city = s->hit.cdn.place.city;
	}
	return read_time(s, err);
}

/* A token that may not send events of the site is passed over as if there were none, unless
 * something was sent that needs one: then it would be counted as somebody else's, or at another
 * time. */
static int read_client(struct sent *s, struct intake *in, const struct http_request *req,
	enum dropped *refused, struct err *err)
{
	static const char *const guarded[] = { "cip", "cdt", "ua", "country", "region", "city" };

	if (!s->token.len || !s->site_known)
		return 0;
	if (snapshot_key_allows(in->snapshot, s->token, s->site.id))
		return read_server(s, req, err);
	for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
		if (param(s->params, guarded[i]).len) {
			*refused = DROPPED_KEY;
			return err_set(err, -EINVAL,
				"token_auth is no key that may send events of this site, and %s "
				"needs one",
				guarded[i]);
		}
	return 0;
}

/* Without a url the page is the one that shows the image, as it is for Matomo. */
static int read_page(struct sent *s, struct span referer, struct err *err)
{
	struct span url = param(s->params, "url"), from = param(s->params, "urlref");
	int rc;

	if (!url.len && !from.len)
		url = referer;
	rc = hit_set_page(
		&s->hit, SPAN(""), s->site_known ? s->site.domain : "localhost", url, false, err);
	if (rc) {
		char reason[sizeof err->msg];

		memcpy(reason, err->msg, sizeof reason);
		return err_set(err, rc, "url %s", reason);
	}
	hit_set_referrer(&s->hit, from);
	return 0;
}

static void read_visitor(struct sent *s)
{
	static const char *const ids[] = { "uid", "cid", "_id" };
	struct span lang = language_accepted(param(s->params, "lang"));

	hit_set_title(&s->hit, param(s->params, "action_name"));
	hit_set_language(&s->hit, lang);
	hit_set_screen(&s->hit, (struct field){ FIELD_TEXT, param(s->params, "res") });
	for (size_t i = 0; i < sizeof ids / sizeof *ids && !s->hit.client.id.len; i++)
		s->hit.client.id = param(s->params, ids[i]);
}

static void add_param(const struct sent *s, json_t *props, const char *name)
{
	hit_add_prop(props, name, param(s->params, name));
}

/* "dimension1", "dimension2", … */
static bool is_dimension(struct span name)
{
	const struct span word = SPAN("dimension");
	size_t i = word.len;

	if (!span_starts_with(name, word) || name.len == word.len || name.len > word.len + 3)
		return false;
	while (i < name.len && isdigit((unsigned char)name.ptr[i]))
		i++;
	return i == name.len;
}

static void add_dimensions(const struct sent *s, json_t *props)
{
	const struct object *const objects[] = { &s->params->form, &s->params->query };
	char name[16];

	for (size_t o = 0; o < 2; o++)
		for (size_t i = 0; i < objects[o]->count; i++) {
			struct span key = objects[o]->member[i].name;

			if (!is_dimension(key))
				continue;
			snprintf(name, sizeof name, "%.*s", (int)key.len, key.ptr);
			add_param(s, props, name);
		}
}

/* Cut to what a name may have: properties have its parts whole. */
static struct span name_cut(struct span name)
{
	size_t chars = 0, i = 0;

	while (i < name.len && chars++ < NAME_CHARS)
		i += utf8_char_len(span_from(name, i));
	return span_first(name, i);
}

static int read_event(struct sent *s, json_t *props, struct err *err)
{
	struct span category = name_cut(param(s->params, "e_c"));
	struct span action = name_cut(param(s->params, "e_a"));

	add_param(s, props, "e_c");
	add_param(s, props, "e_a");
	add_param(s, props, "e_n");
	add_param(s, props, "e_v");
	snprintf(s->name, sizeof s->name, "%.*s - %.*s", (int)category.len, category.ptr,
		(int)action.len, action.ptr);
	return hit_set_custom(&s->hit, name_cut(span_of(s->name)), err);
}

static int read_search(struct sent *s, json_t *props, struct err *err)
{
	add_param(s, props, "search");
	add_param(s, props, "search_cat");
	add_param(s, props, "search_count");
	return hit_set_custom(&s->hit, SPAN("Site Search"), err);
}

static int read_click(struct sent *s, json_t *props, struct err *err)
{
	struct span link = param(s->params, "link");

	hit_add_prop(props, "url", link.len ? link : param(s->params, "download"));
	return hit_set_custom(
		&s->hit, link.len ? SPAN("Outbound Link: Click") : SPAN("File Download"), err);
}

static void read_earned(struct sent *s)
{
	struct span amount = param(s->params, "revenue"), currency = param(s->params, "currency");
	char code[4];
	json_t *text = json_stringn(amount.ptr, amount.len);

	snprintf(code, sizeof code, "%.*s", (int)span_first(currency, 3).len, currency.ptr);
	hit_set_earned(&s->hit, text, currency.len ? code : NO_CURRENCY);
	json_decref(text);
}

/* A goal, or with idgoal=0 an order (which has a number) or a cart (which earned nothing yet). */
static int read_goal(struct sent *s, json_t *props, struct err *err)
{
	static const char *const order[] = { "ec_id", "ec_st", "ec_tx", "ec_sh", "ec_dt" };
	struct span goal = param(s->params, "idgoal");

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		add_param(s, props, order[i]);
	if (is_set(s->params, "idgoal")) {
		add_param(s, props, "idgoal");
		read_earned(s);
		snprintf(s->name, sizeof s->name, "Goal %.*s", (int)name_cut(goal).len, goal.ptr);
		return hit_set_custom(&s->hit, name_cut(span_of(s->name)), err);
	}
	if (!param(s->params, "ec_id").len)
		return hit_set_custom(&s->hit, SPAN("Ecommerce Cart Update"), err);
	read_earned(s);
	return hit_set_custom(&s->hit, SPAN("Ecommerce Order"), err);
}

typedef int action_reader(struct sent *s, json_t *props, struct err *err);

/* What it is of, as Matomo chooses. NULL: no event of its own. */
static action_reader *reader_of(const struct params *p)
{
	if (is_set(p, "ping"))
		return NULL;
	if (param(p, "idgoal").len)
		return read_goal;
	if (param(p, "e_c").len && param(p, "e_a").len)
		return read_event;
	if (param(p, "link").len || param(p, "download").len)
		return read_click;
	return param(p, "search").len ? read_search : NULL;
}

/* What is no action of a person (a heart beat, an impression of content, a plugin's own) keeps the
 * visit alive and counts as nothing. */
static int read_action(struct sent *s, struct err *err)
{
	const struct params *p = s->params;
	action_reader *read = reader_of(p);
	json_t *props = json_object();

	add_dimensions(s, props);
	s->hit.ev.kind = is_set(p, "ping") || param(p, "c_n").len || is_set(p, "ca")
				 ? EVENT_PING
				 : EVENT_PAGEVIEW;
	if (read && read(s, props, err)) {
		json_decref(props);
		return err->code;
	}
	return hit_take_props(&s->hit, props, err);
}

/* --- taking -------------------------------------------------------------------------------------
 */

/* Take one event of a request, the n-th from 0 on. *refused: why it is not taken, with the reason
 * for a person in err. rc is batch_add()'s. */
static int take_one(struct batch *batch, const struct params *params, struct span token, size_t n,
	enum dropped *refused, struct err *err)
{
	struct sent s;
	const struct site *site;
	int rc;

	*refused = DROPPED_INVALID;
	hit_init(&s.hit, "/matomo.php");
	hit_read_headers(&s.hit, batch->req);
	s.hit.client.origin = image_origin(batch->req);
	s.params = params;
	s.site_known = false;
	s.token = token.len ? token : param(params, "token_auth");
	if (!s.token.len)
		s.token = http_bearer(batch->req);
	rc = read_site(&s, batch->in, err);
	if (!rc)
		rc = read_client(&s, batch->in, batch->req, refused, err);
	if (!rc && !is_set(params, "rec"))
		rc = err_set(err, -EINVAL, "rec is not 1");
	if (!rc)
		rc = read_page(&s, http_header(batch->req, "Referer"), err);
	if (!rc) {
		read_visitor(&s);
		rc = read_action(&s, err);
	}
	site = s.site_known ? &s.site : NULL;
	if (!rc) {
		rc = batch_add(batch, &s.hit, n, site, refused, err);
	} else {
		if (*refused == DROPPED_KEY)
			intake_drop(
				batch->in, &batch->tally, DROPPED_KEY, site, NULL, &s.hit.client);
		else
			batch_add_bad(batch, &s.hit, site);
		rc = 0;
	}
	if (!rc && *refused == DROPPED_UNKNOWN_SITE)
		err_set(err, -EINVAL, "no site has this idsite");
	hit_done(&s.hit);
	return rc;
}

/* Whether it is to be told as an error: a site's own refusal is none, as for Matomo. */
static bool is_error(enum dropped refused)
{
	return refused && (refused < DROPPED_ORIGIN || refused > DROPPED_PREFETCH);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Matomo's script sends its POST with credentials, and where it cannot read the answer it sends the
 * event once more by GET. No cookie is read here, nor does an answer tell of anybody. */
static void allow_origin(struct http_request *req)
{
	struct span origin = http_header(req, "Origin");
	char text[ORIGIN_MOST + 1];

	if (!span_equals(http_method(req), SPAN("POST")) || !origin.len ||
		origin.len > ORIGIN_MOST) {
		intake_allow_any_origin(req);
		return;
	}
	snprintf(text, sizeof text, "%.*s", (int)origin.len, origin.ptr);
	http_add_header(req, "Access-Control-Allow-Origin", text);
	http_add_header(req, "Access-Control-Allow-Credentials", "true");
	http_add_header(req, "Access-Control-Expose-Headers", "x-footfall-dropped");
	http_add_header(req, "Vary", "Origin");
}

/* The image of Matomo's Tracker\Response: 43 bytes. */
static void answer_taken(struct http_request *req, const struct params *params)
{
	static const char gif[] = "GIF89a\1\0\1\0\x80\0\0\0\0\0\0\0\0!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0"
				  "\1\0\0\2\2D\1\0;";
	_Static_assert(sizeof gif - 1 == 43, "43 bytes");

	http_add_header(req, "Cache-Control", "no-store");
	if (span_equals(param(params, "send_image"), SPAN("0")))
		http_answer(req, 204, "", SPAN(""));
	else
		http_answer(req, 200, "image/gif", (struct span){ gif, sizeof gif - 1 });
}

static void single(struct intake *in, struct http_request *req, const struct params *params,
	const struct client *client)
{
	enum dropped refused;
	struct batch batch;
	struct err err = { 0 };
	int rc;

	batch_begin(&batch, in, req);
	rc = take_one(&batch, params, SPAN(""), 0, &refused, &err);
	if (batch_end(&batch, rc, client, &err))
		return;
	if (is_error(refused))
		http_answer_error(req, 400, "%s", err.msg);
	else
		answer_taken(req, params);
}

static void bad_request(struct intake *in, struct http_request *req, const struct client *client,
	const char *reason)
{
	struct err ignored = { 0 };
	struct batch batch;
	struct hit unread;

	hit_init(&unread, client->way);
	unread.client = *client;
	batch_begin(&batch, in, req);
	batch_add_bad(&batch, &unread, NULL);
	if (!batch_end(&batch, 0, client, &ignored))
		http_answer_error(req, 400, "%s", reason);
}

/* --- many at once -------------------------------------------------------------------------------
 */

/* An element of a bulk request: the text of a URL or its query, or an object. -EINVAL. */
static int read_element(struct params *params, struct span element, struct err *err)
{
	json_t *json;
	struct span text;
	int rc;

	params->query.count = params->form.count = 0;
	if (element.ptr[0] == '{')
		return object_read(&params->query, element, NULL, err);
	json = element.ptr[0] == '"' ? json_loadb(element.ptr, element.len, JSON_DECODE_ANY, NULL)
				     : NULL;
	if (!json)
		return err_set(err, -EINVAL, "is neither a text nor an object");
	text = (struct span){ json_string_value(json), json_string_length(json) };
	text = span_from(text, span_find(text, '?') + 1);
	rc = object_read_query(
		&params->query, params->query_text, span_first(text, span_find(text, '#')), err);
	json_decref(json);
	return rc;
}

/* Take each of the requests. *invalid: the indices of those that are in error, yours. */
static int bulk_take(struct batch *batch, struct params *params, struct span requests,
	struct span token, size_t *count, json_t *invalid, struct err *err)
{
	struct object_array array = { .rest = requests };
	struct hit unread;
	struct span element;
	struct err reason;
	int rc = 0;

	hit_init(&unread, "/matomo.php");
	unread.client = intake_client(batch->req, "/matomo.php");
	for (*count = 0; !rc && object_array_next(&array, &element, &reason) > 0; ++*count) {
		enum dropped refused = DROPPED_INVALID;

		if (read_element(params, element, &reason))
			batch_add_bad(batch, &unread, NULL);
		else
			rc = take_one(batch, params, token, *count, &refused, err);
		if (!rc && is_error(refused))
			json_array_append_new(invalid, json_integer((json_int_t)*count));
	}
	return rc;
}

/* -EINVAL: they are no array, or too many. */
static int bulk_look(struct span requests, struct err *err)
{
	struct object_array array = { .rest = requests };
	struct span element;
	size_t count = 0;
	int more;

	while ((more = object_array_next(&array, &element, err)) > 0)
		if (count++ == BULK_MOST)
			return err_set(err, -EINVAL, "there are more than %d requests", BULK_MOST);
	return more;
}

static void bulk(struct intake *in, struct http_request *req, struct params *params,
	struct span text, const struct client *client)
{
	struct object body;
	struct field requests = { FIELD_NONE, SPAN("") };
	json_t *invalid = json_array();
	struct err err = { 0 };
	struct batch batch;
	struct span token;
	size_t count = 0;
	int rc = object_read(&body, text, NULL, &err);

	if (!rc)
		requests = object_field(&body, "requests", NULL);
	if (!rc && requests.type != FIELD_ARRAY)
		rc = err_set(&err, -EINVAL, "requests is not an array");
	if (!rc)
		rc = field_text(&token, object_field(&body, "token_auth", NULL), 256, &err);
	if (!rc)
		rc = bulk_look(requests.text, &err);
	if (rc) {
		json_decref(invalid);
		bad_request(in, req, client, err.msg);
		return;
	}
	batch_begin(&batch, in, req);
	rc = bulk_take(&batch, params, requests.text, token, &count, invalid, &err);
	if (batch_end(&batch, rc, client, &err)) {
		json_decref(invalid);
		return;
	}
	params->query = body; /* where send_image is */
	params->form.count = 0;
	if (span_equals(param(params, "send_image"), SPAN("0"))) {
		json_decref(invalid);
		http_answer(req, 204, "", SPAN(""));
		return;
	}
	http_answer_json(req, 200,
		json_pack("{sssIsIso}", "status", "success", "tracked",
			(json_int_t)(count - json_array_size(invalid)), "invalid",
			(json_int_t)json_array_size(invalid), "invalid_indices", invalid));
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void handle(struct intake *in, struct http_request *req, struct params *params)
{
	struct client client = intake_client(req, "/matomo.php");
	struct span body = SPAN("");
	struct err err = { 0 };
	int rc;

	allow_origin(req);
	if (span_equals(http_method(req), SPAN("POST")) &&
		intake_body(in, req, BULK_BYTES, &body, &client))
		return;
	body = span_trim(body);
	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	if (span_starts_with(body, SPAN("{"))) {
		bulk(in, req, params, body, &client);
		return;
	}
	if (span_starts_with(body, SPAN("?"))) /* as beacons of its script may begin */
		body = span_from(body, 1);
	rc = object_read_query(&params->query, params->query_text, http_query(req), &err);
	if (!rc)
		rc = object_read_query(&params->form, params->form_text, body, &err);
	if (rc)
		bad_request(in, req, &client, err.msg);
	else if (!params->query.count && !params->form.count &&
		 !span_equals(http_method(req), SPAN("POST")))
		http_answer(req, 200, "text/plain; charset=utf-8",
			SPAN("Matomo's trackers may send their events here.\n"));
	else
		single(in, req, params, &client);
}

void matomo_track(struct http_request *req, void *service)
{
	struct params *params = malloc(sizeof *params); /* more than a stack should hold */

	if (!params) {
		struct err err = { -ENOMEM, "no memory" };

		intake_answer_unavailable(req, &err);
		return;
	}
	handle(service, req, params);
	free(params);
}
