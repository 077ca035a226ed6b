/* Form: what a person's browser sends to change something: a small JSON object from a page of our
 * own origin. */
#ifndef FOOTFALL_FORM_H
#define FOOTFALL_FORM_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"
#include "lib/http.h"
#include "lib/span.h"

#define FORM_MOST (16 << 10) /* bytes; the largest form has an address and a password */

/* Whether a request with these Origin and Host headers comes from our own pages. Browsers send
 * Origin with every POST; without one it is a program, which no foreign page can drive. */
bool form_is_same_origin(struct span origin, struct span host);

/* Whether a Content-Type is application/json. A foreign page cannot send that without asking
 * first (CORS), and we never allow it. */
bool form_is_json(struct span content_type);

/* The object in body (borrowed); on success *out is yours (json_decref). -EINVAL. */
int form_parse(json_t **out, struct span body, struct err *err) MUST_CHECK;

/* Text of a member, of 1 to most bytes: lent while form lives. With fallback (may be NULL: the
 * member is needed) an absent one is that. -EINVAL: absent, no text, empty or longer. */
int form_text(const char **out, const json_t *form, const char *name, size_t most,
	const char *fallback, struct err *err) MUST_CHECK;

/* Refuse what is not from our own origin (403) or not JSON (415). */
int form_admit(struct http_request *req) MUST_CHECK;

/* form_admit(), then the request's object in *out, yours. On error the answer has been sent. */
int form_read(struct http_request *req, json_t **out) MUST_CHECK;

#endif
