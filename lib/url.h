/* URLs: one split, without copying, for pages, referrers and origins alike. It decodes, lower-cases
 * and resolves nothing; what it accepts is safe to compare host by host. */
#ifndef FOOTFALL_URL_H
#define FOOTFALL_URL_H

#include "lib/err.h"
#include "lib/span.h"

/* Parts of a URL, borrowed from its text and without the marks between them; a part that is not
 * there is empty (and points into the text all the same, so ptr is never NULL). */
struct url {
	struct span scheme; /* as written: compare with span_equals_nocase() */
	struct span user;   /* "name:password" before the last '@' of the authority */
	struct span host;   /* never empty; of "[::1]" without the brackets */
	struct span port;   /* one to five digits, at most 65535 */
	struct span path;   /* empty, or with its leading '/' */
	struct span query;
	struct span fragment;
};

/* Split text. -EINVAL, *out being untouched: no "scheme://host" at its start ("data:…", "about:…",
 * "file:///…", "/path"), a port that is no port, a host with bytes that a browser refuses in one
 * (blanks, control bytes, '%', brackets), or a '\' before the path: a browser would read it as '/',
 * so that we would see another host than it. Any byte may stand in path, query and fragment. */
int url_split(struct url *out, struct span text) MUST_CHECK;

/* Percent-decode text into buf, of at least text.len bytes; with plus, "+" is a blank as well, as
 * in a query. A '%' without two hex digits behind it stays. Any byte may come out. */
struct span url_decode(char *buf, struct span text, bool plus);

#endif
