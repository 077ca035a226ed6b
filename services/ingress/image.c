#include "services/ingress/image.h"

#include "lib/url.h"

/* https://www.w3.org/Graphics/GIF/spec-gif89a.txt: 1x1, two colours, the second transparent; the
 * bytes are those that GoatCounter's server sends. */
static const char gif[] = "GIF89a\1\0\1\0\x80\1\0\0\0\0\xff\xff\xff!\xf9\4\1\n\0\1\0,\0\0\0\0\1\0\1"
			  "\0\0\2\2L\1\0;";
_Static_assert(sizeof gif - 1 == 43, "43 bytes");

bool image_begin(struct intake *in, struct http_request *req)
{
	struct err err = { 0 };

	intake_allow_any_origin(req);
	if (span_equals(http_method(req), SPAN("HEAD"))) {
		image_answer(req, 200);
		return false;
	}
	if (snapshot_ready(in->snapshot, &err)) {
		intake_answer_unavailable(req, &err);
		return false;
	}
	return true;
}

void image_answer(struct http_request *req, int status)
{
	http_add_header(req, "Cache-Control", "no-store");
	http_add_header(req, "Cross-Origin-Resource-Policy", "cross-origin");
	http_answer(req, status, "image/gif", (struct span){ gif, sizeof gif - 1 });
}

struct span image_origin(const struct http_request *req)
{
	struct span origin = http_header(req, "Origin"), referer = http_header(req, "Referer");
	struct url url;

	if (origin.len || url_split(&url, referer) || url.user.len)
		return origin;
	return (struct span){ referer.ptr, (size_t)(url.path.ptr - referer.ptr) };
}
