#include "services/ingress/liwan.h"

#include <jansson.h>

#include "lib/utf8.h"

/* Liwan's own bounds, in bytes. */
#define ENTITY_MOST   255
#define REFERRER_MOST 256

bool liwan_is(const struct object *body)
{
	return object_field(body, "entity_id", NULL).type != FIELD_NONE;
}

/* Its trackers sent the campaign beside a URL without a query, until they left the query there. */
static void read_campaign(struct event *ev, struct field sent)
{
	const struct {
		const char *name;
		struct span *place;
	} fields[] = { { "source", &ev->utm_source }, { "medium", &ev->utm_medium },
		{ "campaign", &ev->utm_campaign }, { "term", &ev->utm_term },
		{ "content", &ev->utm_content } };
	struct object utm;
	struct err ignored;
	struct span text;

	if (sent.type != FIELD_OBJECT || object_read(&utm, sent.text, NULL, &ignored))
		return;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (!fields[i].place->len &&
			!field_text(&text, object_field(&utm, fields[i].name, NULL), SIZE_MAX,
				&ignored))
			*fields[i].place =
				span_trim(utf8_first(span_trim(text), EVENT_CAMPAIGN_MOST));
}

/* Which field is wrong, or NULL; its reason is in *err. */
static const char *read_body(
	struct hit *hit, struct span *entity, const struct object *body, struct err *err)
{
	struct span text;

	if (field_text(entity, object_field(body, "entity_id", NULL), ENTITY_MOST, err))
		return "entity_id";
	if (!span_trim(*entity).len) {
		err_set(err, -EINVAL, "can't be blank");
		return "entity_id";
	}
	if (hit_set_name(hit, object_field(body, "name", NULL), err))
		return "name";
	if (field_text(&text, object_field(body, "url", NULL), PAGE_URL_MOST, err) ||
		hit_set_url(hit, text, false, err))
		return "url";
	if (field_text(&text, object_field(body, "referrer", NULL), REFERRER_MOST, err))
		return "referrer";
	hit_set_referrer(hit, text);
	hit_set_screen(hit, object_field(body, "screen_width", NULL));
	read_campaign(&hit->ev, object_field(body, "utm", NULL));
	if (object_field(body, "exit", NULL).type == FIELD_TRUE) {
		hit->ev.kind = EVENT_EXIT;
		hit->ev.name = SPAN("");
	}
	return NULL;
}

static void answer_bad(struct http_request *req, const char *field, const char *reason)
{
	http_answer_json(req, 400,
		json_pack("{sssosi}", "status", "Bad Request", "message",
			json_sprintf("%s %s", field, reason), "code", 400));
}

void liwan_event(
	struct intake *in, struct hit *hit, const struct object *body, struct http_request *req)
{
	struct span entity;
	struct batch batch;
	struct site site;
	struct err err = { 0 }, ignored = { 0 };
	enum dropped refused;
	const char *bad = read_body(hit, &entity, body, &err);
	bool known = snapshot_site(in->snapshot, span_trim(entity), &site);
	int rc = 0;

	batch_begin(&batch, in, req);
	if (bad)
		batch_add_bad(&batch, hit, known ? &site : NULL);
	else
		rc = batch_add(&batch, hit, 0, known ? &site : NULL, &refused, &ignored);
	if (batch_end(&batch, rc, &hit->client, &ignored))
		return;
	if (bad)
		answer_bad(req, bad, err.msg);
	else
		http_answer_json(req, 200, json_pack("{ss}", "status", "OK"));
}
