/* GET /js/<property_id>.js: the tracker with the site's id in it, made from the snapshot. */
#include <stdlib.h>

#include "services/ingress/intake.h"

#define PLACE      "{{PROPERTY_ID}}"
#define PREFIX     "/js/"
#define SUFFIX     ".js"
#define CACHE_TEXT "public, max-age=300"

/* text with every PLACE replaced; *out is owned. */
static int script_make(struct span *out, struct span text, struct span property_id)
{
	const size_t place = sizeof PLACE - 1;
	char *buf = malloc(text.len + property_id.len * (text.len / place + 1) + 1);
	size_t len = 0;

	if (!buf)
		return -ENOMEM;
	while (text.len) {
		const char *hit = memmem(text.ptr, text.len, PLACE, place);
		size_t before = hit ? (size_t)(hit - text.ptr) : text.len;

		memcpy(buf + len, text.ptr, before);
		len += before;
		if (hit) {
			memcpy(buf + len, property_id.ptr, property_id.len);
			len += property_id.len;
		}
		text = span_from(text, before + (hit ? place : 0));
	}
	*out = (struct span){ buf, len };
	return 0;
}

void script_get(struct http_request *req, void *service)
{
	struct intake *in = service;
	struct span name = span_from(http_path(req), sizeof PREFIX - 1), script;
	struct err err = { 0 };
	struct site site;

	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return;
	}
	if (!span_ends_with(name, SPAN(SUFFIX))) {
		http_answer_error(req, 404, "there is no such script");
		return;
	}
	name.len -= sizeof SUFFIX - 1;
	/* By its id only: a domain here would let anyone ask which sites there are. */
	if (name.len != PROPERTY_ID_SIZE - 1 || !snapshot_site(in->snapshot, name, &site)) {
		http_answer_error(req, 404, "there is no site with that property id");
		return;
	}
	if (script_make(&script, in->tracker, span_of(site.property_id))) {
		http_answer_error(req, 500, "no memory");
		return;
	}
	http_add_header(req, "Cache-Control", CACHE_TEXT);
	http_add_header(req, "Cross-Origin-Resource-Policy", "cross-origin");
	http_add_header(req, "X-Content-Type-Options", "nosniff");
	http_answer(req, 200, "text/javascript; charset=utf-8", script);
	free((char *)(uintptr_t)script.ptr);
}
