/* Image: what requests for a picture, which browsers send without a script, have in common: the
 * picture, and that they name their page by Referer only. */
#ifndef FOOTFALL_IMAGE_H
#define FOOTFALL_IMAGE_H

#include "services/ingress/intake.h"

/* Begin a request for one, whose answer any page may read. False: it is answered, for HEAD, by
 * which nobody shows a page, or because nothing can be taken now. */
bool image_begin(struct intake *in, struct http_request *req) MUST_CHECK;

/* Answer with the smallest GIF there is, 43 bytes and transparent, which nobody may keep. */
void image_answer(struct http_request *req, int status);

/* Where the request is from: Origin, else the origin of the page in Referer; "" without either.
 * Lent by req. */
struct span image_origin(const struct http_request *req);

#endif
