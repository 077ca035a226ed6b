/* GET /pixel/<property_id>.gif: a page view of a browser that runs no script, in <noscript>. The
 * page is that of ?p=/path or ?u=URL, else of Referer; ?r= is the referrer, ?t= the title. */
#include <stdio.h>

#include "services/ingress/hit.h"
#include "services/ingress/image.h"

#define PREFIX "/pixel/"
#define SUFFIX ".gif"

/* The page, as one of the site where only its path is known. */
static int read_page(struct hit *hit, const struct site *site, const struct object *params,
	const struct http_request *req, struct err *err)
{
	struct span path = object_field(params, "p", NULL).text;
	struct span url = object_field(params, "u", NULL).text;
	char text[PAGE_URL_MOST + 300];

	if (!url.len)
		url = http_header(req, "Referer");
	if (!path.len)
		return url.len ? hit_set_url(hit, url, false, err)
			       : err_set(err, -EINVAL, "no page: give p, u or Referer");
	if (path.len > PAGE_URL_MOST)
		return err_set(err, -EINVAL, "p has more than %d bytes", PAGE_URL_MOST);
	snprintf(text, sizeof text, "https://%s%s%.*s", site->domain, path.ptr[0] == '/' ? "" : "/",
		(int)path.len, path.ptr);
	return hit_set_url(hit, span_of(text), false, err);
}

static int pixel_read(struct hit *hit, const struct site *site, struct http_request *req,
	char buf[OBJECT_QUERY_MOST], struct err *err)
{
	struct object params;
	int rc = object_read_query(&params, buf, http_query(req), err);

	if (!rc)
		rc = hit_set_name(hit, (struct field){ FIELD_TEXT, SPAN("pageview") }, err);
	if (!rc)
		rc = read_page(hit, site, &params, req, err);
	if (rc)
		return rc;
	hit_set_referrer(hit, object_field(&params, "r", NULL).text);
	hit_set_title(hit, object_field(&params, "t", NULL).text);
	return 0;
}

static void pixel_take(struct intake *in, struct http_request *req, const struct site *site)
{
	enum dropped refused = DROPPED_NONE;
	char buf[OBJECT_QUERY_MOST];
	struct batch batch;
	struct hit hit;
	struct err err = { 0 }, why = { 0 };
	int rc = 0;

	hit_init(&hit, PREFIX);
	hit_read_headers(&hit, req);
	hit.client.origin = image_origin(req);
	batch_begin(&batch, in, req);
	if (pixel_read(&hit, site, req, buf, &why)) {
		batch_add_bad(&batch, &hit, site);
		refused = DROPPED_INVALID;
	} else {
		rc = batch_add(&batch, &hit, 0, site, &refused, &why);
	}
	if (!batch_end(&batch, rc, &hit.client, &err)) {
		if (refused == DROPPED_INVALID)
			http_answer_error(req, 400, "%s", why.msg);
		else
			image_answer(req, refused ? 202 : 200);
	}
	hit_done(&hit);
}

void pixel_get(struct http_request *req, void *service)
{
	struct span name = span_from(http_path(req), sizeof PREFIX - 1);
	struct intake *in = service;
	struct site site;

	if (!image_begin(in, req))
		return;
	/* By its id only, as the script. */
	if (name.len != PROPERTY_ID_SIZE - 1 + sizeof SUFFIX - 1 ||
		!span_ends_with(name, SPAN(SUFFIX)) ||
		!snapshot_site(in->snapshot, span_first(name, PROPERTY_ID_SIZE - 1), &site)) {
		http_answer_error(req, 404, "there is no site with that property id");
		return;
	}
	pixel_take(in, req, &site);
}
