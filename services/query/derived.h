/* Derived: what a request says of its visitor, as ingress and worker would derive it of a page view
 * that came by it: by their modules (lib/enrich) and their files. The files are read when
 * somebody asks, and let go when nobody has for a minute: they take 8 MB beside the reports. Any
 * thread may ask. */
#ifndef FOOTFALL_QUERY_DERIVED_H
#define FOOTFALL_QUERY_DERIVED_H

#include <jansson.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/http.h"
#include "lib/settings.h"

struct derived; /* opaque */

/* The settings are borrowed until derived_free(). NULL: no memory. */
struct derived *derived_new(const struct settings *settings);
void derived_free(struct derived **derived_p); /* takes *derived_p, leaves NULL; NULL is fine */

/* Let the files go if nobody has asked for a minute; call it now and then. */
void derived_rest(struct derived *derived);

/* Tell in *out, which is then yours, what is derived of the request of that client. Its parameters
 * url, referrer and screen_width say what else a page view would; what is not given is the page at
 * its Host, its Referer header, and not known. -EINVAL: a parameter is wrong, and which. Where the
 * files cannot be read, the log says why and *out that, besides what needs none of them. */
int derived_tell(struct derived *derived, const struct http_request *req, const struct addr *client,
	json_t **out, struct err *err) MUST_CHECK;

#endif
