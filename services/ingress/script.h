/* Script: what pages load, put together for each site of the pieces in the tracker file, which
 * services/tracker/build.js makes: its core, and those of its parts that the site wants. */
#ifndef FOOTFALL_SCRIPT_H
#define FOOTFALL_SCRIPT_H

#include <stdbool.h>

#include "lib/err.h"
#include "lib/span.h"

/* Parts, as bits. The first are a site's choice (deploy/schema/app/0008_script.sql), under the
 * names that its pieces have. */
enum script_part {
	SCRIPT_EXIT = 1 << 0,
	SCRIPT_OUTBOUND = 1 << 1,
	SCRIPT_DOWNLOADS = 1 << 2,
	SCRIPT_FORMS = 1 << 3,
	SCRIPT_TAGGED = 1 << 4,
	SCRIPT_404 = 1 << 5,
	SCRIPT_METADATA = 1 << 6,
	SCRIPT_HASH = 1 << 7,     /* the pages route by their fragment */
	SCRIPT_MANUAL = 1 << 8,   /* no page views but those that a page asks for */
	SCRIPT_NAMED = 1 << 9,    /* of no site in particular: its tag names one */
	SCRIPT_DNT = 1 << 10,     /* the site honours DNT and GPC */
	SCRIPT_VISITOR = 1 << 11, /* the browser keeps an id of its visitor … */
	SCRIPT_FORGET = 1 << 12,  /* … or lets go of one */
};
#define SCRIPT_DEFAULT                                                                             \
	(SCRIPT_EXIT | SCRIPT_OUTBOUND | SCRIPT_DOWNLOADS | SCRIPT_FORMS | SCRIPT_TAGGED |         \
		SCRIPT_404 | SCRIPT_METADATA)

/* The part of that name, 0: there is none. */
unsigned script_part(struct span name);

/* Read the tracker file into *out, whose text is yours (script_free). -ENOENT and others when it
 * cannot be read, -EINVAL when it is not one of build.js's: err names file and reason. */
int script_load(struct span *out, const char *path, struct err *err) MUST_CHECK;
void script_free(struct span *text);

/* Put a script together of a loaded file: its core, the pieces of the parts, and the site that
 * events name (a property id, or "" with SCRIPT_NAMED), which needs no escape in JavaScript. *out's
 * text is yours (script_free). -ENOMEM. */
int script_make(struct span *out, struct span pieces, unsigned parts, struct span site) MUST_CHECK;

/* Whether a file name is "script.js" or "plausible.js", or one of these with some of Plausible's
 * extensions ("script.hash.outbound-links.js"); then *parts has what such a script has. */
bool script_is_named(struct span file, unsigned *parts);

#endif
