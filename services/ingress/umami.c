/* POST /api/send and /api/batch: what Umami's tracker and SDKs send, {"type", "payload"}
 * (src/app/api/send/route.ts and request-schema.ts of Umami 3.1). What an anonymous caller may not
 * decide (ip, userAgent, timestamp, browser, os, device) is passed over. */
#include <ctype.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "services/ingress/hit.h"

#define BATCH_MOST    1000
#define HOSTNAME_MOST 260 /* with a port */
#define VITAL_MS_MOST 60000
#define SHIFT_MOST    100
#define HOUR_US       (3600 * US_PER_SECOND)

#define UUID_BYTES 16
#define UUID_SIZE  37

/* An event as it was sent. */
struct sent {
	struct hit hit;
	struct site site;
	bool site_known;
	bool by_hash; /* as Umami, a page's fragment is part of its path */
};

/* Its answer, alone or in a batch's. */
struct reply {
	int status;
	json_t *body; /* owned */
};

void umami_preflight(struct http_request *req, void *service)
{
	(void)service;
	intake_answer_preflight(req, "GET, DELETE, POST, PUT");
}

static struct reply reply_error(int status, const char *code, const char *message)
{
	return (struct reply){ status, json_pack("{s{sssssi}}", "error", "message", message, "code",
					       code, "status", status) };
}

/* Umami's schema says what is wrong as a tree (z.treeifyError()). field NULL: the whole event. */
static struct reply reply_bad(const char *field, const char *reason)
{
	struct reply reply = reply_error(400, "bad-request", "Bad request");
	json_t *error = json_object_get(reply.body, "error");
	json_t *own = json_pack("{s[s]}", "errors", reason);

	if (field && strcmp(field, "type") != 0)
		own = json_pack("{s[]s{s{s[]s{so}}}}", "errors", "properties", "payload", "errors",
			"properties", field, own);
	else if (field)
		own = json_pack("{s[]s{so}}", "errors", "properties", field, own);
	json_object_update(error, own);
	json_decref(own);
	return reply;
}

/* --- fields -------------------------------------------------------------------------------------
 */

static bool is_uuid(struct span text)
{
	if (text.len != UUID_SIZE - 1)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text.ptr[i] != '-'
							    : !isxdigit((unsigned char)text.ptr[i]))
			return false;
	return true;
}

/* The readers of fields return the name of the one that is wrong, with its reason in *err, or NULL.
 */
static const char *read_site(
	struct sent *s, const struct intake *in, const struct object *payload, struct err *err)
{
	struct field website = object_field(payload, "website", NULL);

	if (website.type == FIELD_NONE || object_field(payload, "link", "pixel").type != FIELD_NONE)
		err_set(err, -EINVAL, "is needed, and neither link nor pixel are known here");
	else if (website.type != FIELD_TEXT || !is_uuid(website.text))
		err_set(err, -EINVAL, "is not a UUID");
	else
		s->site_known = snapshot_site(in->snapshot, website.text, &s->site);
	return err->code ? "website" : NULL;
}

static const char *read_page(struct sent *s, const struct object *payload, struct err *err)
{
	const char *site_host = s->site_known ? s->site.domain : "localhost";
	struct span host, url, referrer;

	if (field_text(&host, object_field(payload, "hostname", NULL), HOSTNAME_MOST, err))
		return "hostname";
	if (field_text(&referrer, object_field(payload, "referrer", NULL), SIZE_MAX, err))
		return "referrer";
	if (field_text(&url, object_field(payload, "url", NULL), SIZE_MAX, err) ||
		hit_set_page(&s->hit, host, site_host, url, s->by_hash, err))
		return "url";
	hit_set_referrer(&s->hit, referrer);
	return NULL;
}

static const char *read_visitor(struct sent *s, const struct object *payload, struct err *err)
{
	struct span text;

	if (field_text(&text, object_field(payload, "title", NULL), SIZE_MAX, err))
		return "title";
	hit_set_title(&s->hit, text);
	if (field_text(&text, object_field(payload, "language", NULL), SIZE_MAX, err))
		return "language";
	hit_set_language(&s->hit, text);
	hit_set_screen(&s->hit, object_field(payload, "screen", NULL));
	if (field_text(
		    &s->hit.client.id, object_field(payload, "id", NULL), EVENT_VISITOR_MOST, err))
		return "id";
	return NULL;
}

/* Properties of tag and data, in which a "tag" of its own counts. */
static const char *read_data(struct sent *s, const struct object *payload, struct err *err)
{
	struct field field = object_field(payload, "data", NULL);
	struct span tag;
	json_t *flat, *data = NULL;
	bool bad;

	if (field_text(&tag, object_field(payload, "tag", NULL), SIZE_MAX, err))
		return "tag";
	if (field.type != FIELD_NONE && field.type != FIELD_OBJECT) {
		err_set(err, -EINVAL, "is not an object that can be read");
		return "data";
	}
	if (field.type == FIELD_OBJECT && object_tree(&data, field.text, err))
		return "data";
	flat = json_object();
	hit_add_prop(flat, "tag", tag);
	hit_add_flat(flat, data);
	if (s->hit.ev.kind != EVENT_PING)
		hit_set_earned(&s->hit, json_object_get(data, "revenue"),
			json_string_value(json_object_get(data, "currency")));
	json_decref(data);
	bad = hit_take_props(&s->hit, flat, err);
	return bad ? "data" : NULL;
}

static const char *read_event(struct sent *s, const struct object *payload, struct err *err)
{
	struct span name;

	if (field_text(&name, object_field(payload, "name", NULL), EVENT_NAME_MOST, err))
		return "name";
	s->hit.ev.kind = EVENT_PAGEVIEW;
	if (name.len && hit_set_custom(&s->hit, name, err))
		return "name";
	s->by_hash = true;
	return read_data(s, payload, err);
}

/* What is known of a visitor: it keeps the visit alive, and counts as nothing. */
static const char *read_identify(struct sent *s, const struct object *payload, struct err *err)
{
	s->hit.ev.kind = EVENT_PING;
	s->by_hash = true;
	return read_data(s, payload, err);
}

static const char *read_performance(struct sent *s, const struct object *payload, struct err *err)
{
	static const char *const vitals[] = { "lcp", "inp", "cls", "fcp", "ttfb" };
	const char *bad = NULL;
	json_t *props = json_object();

	s->hit.ev.kind = EVENT_VITAL;
	for (size_t i = 0; !bad && i < sizeof vitals / sizeof *vitals; i++) {
		struct field field = object_field(payload, vitals[i], NULL);
		double most = strcmp(vitals[i], "cls") != 0 ? VITAL_MS_MOST : SHIFT_MOST;
		json_t *value = NULL;

		if (field.type == FIELD_NONE)
			continue;
		if (field.type == FIELD_NUMBER)
			value = json_loadb(field.text.ptr, field.text.len, JSON_DECODE_ANY, NULL);
		if (!value || json_number_value(value) < 0 || json_number_value(value) > most) {
			err_set(err, -EINVAL, "is not a number from 0 to %.0f", most);
			bad = vitals[i];
		}
		json_object_set_new(props, vitals[i], value);
	}
	if (hit_take_props(&s->hit, props, err) && !bad)
		bad = "type";
	return bad;
}

static const char *read_payload(struct sent *s, const struct intake *in, struct field type,
	const struct object *payload, struct err *err)
{
	static const struct {
		const char *type;
		const char *(*read)(struct sent *, const struct object *, struct err *);
	} readers[] = { { "event", read_event }, { "identify", read_identify },
		{ "performance", read_performance } };
	const char *bad = read_site(s, in, payload, err);
	size_t i = 0;

	if (bad)
		return bad;
	while (i < sizeof readers / sizeof *readers &&
		!span_equals(type.text, span_of(readers[i].type)))
		i++;
	if (type.type != FIELD_TEXT || i == sizeof readers / sizeof *readers) {
		err_set(err, -EINVAL, "is none of event, identify, performance");
		return "type";
	}
	bad = readers[i].read(s, payload, err);
	if (!bad)
		bad = read_page(s, payload, err);
	return bad ? bad : read_visitor(s, payload, err);
}

/* --- what it is answered ------------------------------------------------------------------------
 */

/* The key of the ids that a visitor's browser is told: of the date's, or, of a visitor known by an
 * id of its own, of that. So neither leads to the number under which the visitor is stored. */
static void ids_key(unsigned char key[32], struct intake *in, const struct sent *s)
{
	unsigned char base[32];
	struct day day;
	struct err ignored;

	if (s->hit.ev.visitor & 1)
		crypto_generichash(base, sizeof base, (const unsigned char *)s->hit.client.id.ptr,
			s->hit.client.id.len, NULL, 0);
	else if (!days_find(in->days, s->site.zone, s->hit.ev.ts_us, &day, &ignored))
		memcpy(base, day.keys.salt, sizeof base);
	else
		randombytes_buf(base, sizeof base);
	crypto_kdf_derive_from_key(key, 32, 1, "umami id", base);
	sodium_memzero(&day, sizeof day);
	sodium_memzero(base, sizeof base);
}

/* A UUID (RFC 9562, version 8) of a site's visitor and an hour. */
static void uuid_of(
	char out[UUID_SIZE], const unsigned char key[32], const struct event *ev, int64_t hour)
{
	const struct {
		int64_t visitor, hour, site_id;
	} what = { ev->visitor, hour, ev->site_id };
	unsigned char id[UUID_BYTES];
	char hex[2 * UUID_BYTES + 1];

	crypto_generichash(id, sizeof id, (const unsigned char *)&what, sizeof what, key, 32);
	id[6] = (unsigned char)((id[6] & 0x0f) | 0x80);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
	sodium_bin2hex(hex, sizeof hex, id, sizeof id);
	snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		hex + 20);
}

static void base64(char *out, size_t size, const char *text)
{
	sodium_bin2base64(out, size, (const unsigned char *)text, strlen(text),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* What the tracker sends back as x-umami-cache. It looks like a JWT, and is one that nobody signed
 * (RFC 7519, section 6): nothing rests on it, and it is not read. */
static json_t *token_of(const struct sent *s, const char *session_id, const char *visit_id)
{
	char claims[256], head[64], body[sizeof claims / 3 * 4 + 8];

	snprintf(claims, sizeof claims,
		"{\"websiteId\":\"%s\",\"sessionId\":\"%s\",\"visitId\":\"%s\",\"iat\":%lld}",
		s->site.property_id, session_id, visit_id,
		(long long)(s->hit.ev.ts_us / US_PER_SECOND));
	base64(head, sizeof head, "{\"alg\":\"none\",\"typ\":\"JWT\"}");
	base64(body, sizeof body, claims);
	return json_sprintf("%s.%s.", head, body);
}

static struct reply reply_taken(struct intake *in, const struct sent *s)
{
	char session_id[UUID_SIZE], visit_id[UUID_SIZE];
	unsigned char key[32];

	ids_key(key, in, s);
	uuid_of(session_id, key, &s->hit.ev, -1);
	uuid_of(visit_id, key, &s->hit.ev, s->hit.ev.ts_us / HOUR_US);
	sodium_memzero(key, sizeof key);
	return (struct reply){ 200,
		json_pack("{sossss}", "cache", token_of(s, session_id, visit_id), "sessionId",
			session_id, "visitId", visit_id) };
}

static struct reply reply_of(
	struct intake *in, const struct sent *s, enum dropped refused, const struct err *err)
{
	switch (refused) {
	case DROPPED_NONE:
		return reply_taken(in, s);
	case DROPPED_UNKNOWN_SITE:
		return reply_error(400, "bad-request", "Website not found.");
	case DROPPED_INVALID:
		return reply_bad(NULL, err->msg);
	case DROPPED_IP:
	case DROPPED_ORIGIN:
	case DROPPED_NO_ORIGIN:
		return reply_error(403, "forbidden", "Forbidden");
	case DROPPED_OPT_OUT:
	case DROPPED_HOST:
	case DROPPED_PATH:
	case DROPPED_AGENT:
	case DROPPED_BOT:
	case DROPPED_BOT_HINT:
	case DROPPED_SPAM_REFERRER:
	case DROPPED_DATA_CENTRE:
	case DROPPED_PREFETCH:
		return (struct reply){ 200, json_pack("{ss}", "beep", "boop") };
	case DROPPED_RATE:
		return reply_error(429, "too-many-requests", "Too many requests");
	default:
		return reply_error(503, "unavailable", "not taken now, please send it again");
	}
}

/* Take one event of a request, the n-th from 0 on; rc is batch_add()'s. */
static struct reply take_one(
	struct batch *batch, const char *way, struct span json, size_t n, int *rc, struct err *err)
{
	struct object event, payload;
	struct field nested = { FIELD_NONE, SPAN("") };
	struct reply reply = { 0, NULL };
	enum dropped refused = DROPPED_INVALID;
	const char *field = NULL;
	struct sent s;

	*err = (struct err){ 0 };
	hit_init(&s.hit, way);
	hit_read_headers(&s.hit, batch->req);
	s.site_known = s.by_hash = false;
	*rc = object_read(&event, json, NULL, err);
	if (!*rc)
		nested = object_field(&event, "payload", NULL);
	if (!*rc && nested.type != FIELD_OBJECT)
		*rc = err_set(err, -EINVAL, "payload is not an object");
	if (!*rc)
		*rc = object_read(&payload, nested.text, NULL, err);
	if (!*rc)
		field = read_payload(
			&s, batch->in, object_field(&event, "type", NULL), &payload, err);
	if (*rc || field) {
		*rc = 0;
		batch_add_bad(batch, &s.hit, s.site_known ? &s.site : NULL);
		reply = reply_bad(field, err->msg);
	} else {
		*rc = batch_add(batch, &s.hit, n, s.site_known ? &s.site : NULL, &refused, err);
		if (!*rc)
			reply = reply_of(batch->in, &s, refused, err);
	}
	hit_done(&s.hit);
	return reply;
}

/* The body of a request, which is answered here where there is none to take. */
static int body_of(
	struct intake *in, struct http_request *req, struct span *text, const struct client *client)
{
	struct err err = { 0 };

	intake_allow_any_origin(req);
	if (intake_body(in, req, HTTP_BODY_SMALL, text, client))
		return -EINVAL;
	if (!snapshot_ready(in->snapshot, &err))
		return 0;
	intake_answer_unavailable(req, &err);
	return -EAGAIN;
}

void umami_send(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct client client = intake_client(req, "/api/send");
	struct err err = { 0 };
	struct batch batch;
	struct reply reply;
	struct span text;
	int rc;

	if (body_of(in, req, &text, &client))
		return;
	batch_begin(&batch, in, req);
	reply = take_one(&batch, client.way, text, 0, &rc, &err);
	if (batch_end(&batch, rc, &client, &err))
		json_decref(reply.body);
	else
		http_answer_json(req, reply.status, reply.body);
}

/* -EINVAL: it is no array of objects, or too long a one. *count: of its elements. */
static int batch_look(struct span text, size_t *count, struct err *err)
{
	struct object_array array = { .rest = text };
	struct span element;
	int more;

	for (*count = 0; (more = object_array_next(&array, &element, err)) > 0; ++*count) {
		if (*count == BATCH_MOST)
			return err_set(err, -EINVAL, "has more than %d events", BATCH_MOST);
		if (element.ptr[0] != '{')
			return err_set(err, -EINVAL, "holds something that is not an object");
	}
	return more;
}

/* It counts as one event that cannot be read. */
static void batch_look_bad(struct batch *batch, const struct client *client)
{
	struct hit unread;

	hit_init(&unread, client->way);
	unread.client = *client;
	batch_add_bad(batch, &unread, NULL);
}

/* Take each event of an array that was looked at. Yours: those that were not processed. *cache: the
 * first token, yours, or NULL. */
static json_t *batch_take(struct batch *batch, const char *way, struct span text, json_t **cache,
	int *rc, struct err *err)
{
	struct object_array array = { .rest = text };
	json_t *details = json_array();
	struct span element;
	struct err ignored;

	for (size_t n = 0; !*rc && object_array_next(&array, &element, &ignored) > 0; n++) {
		struct reply reply = take_one(batch, way, element, n, rc, err);
		json_t *token = json_object_get(reply.body, "cache");

		if (!*rc && reply.status != 200)
			json_array_append_new(details, json_pack("{sIsO}", "index", (json_int_t)n,
							       "response", reply.body));
		if (!*cache && token)
			*cache = json_incref(token);
		json_decref(reply.body);
	}
	return details;
}

void umami_batch(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct client client = intake_client(req, "/api/batch");
	json_t *details = NULL, *cache = NULL;
	struct err err = { 0 };
	struct batch batch;
	struct span text;
	size_t count, bad;
	int looked, rc = 0;

	if (body_of(in, req, &text, &client))
		return;
	batch_begin(&batch, in, req);
	looked = batch_look(text, &count, &err);
	if (looked)
		batch_look_bad(&batch, &client);
	else
		details = batch_take(&batch, client.way, text, &cache, &rc, &err);
	bad = json_array_size(details);
	if (batch_end(&batch, rc, &client, &err))
		json_decref(details);
	else if (looked)
		http_answer_json(req, 400, reply_bad(NULL, err.msg).body);
	else
		http_answer_json(req, 200,
			json_pack("{sIsIsIsosO?}", "size", (json_int_t)count, "processed",
				(json_int_t)(count - bad), "errors", (json_int_t)bad, "details",
				details, "cache", cache));
	json_decref(cache);
}
