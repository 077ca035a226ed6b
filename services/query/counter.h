/* The visitor counter that a site may show on its pages, as GoatCounter's (its help page "visitor
 * counter"): GET /counter/PATH.json, .html or .svg of the site whose domain or further host is
 * asked, and GET /PROPERTY_ID/counter/PATH.… of any. Everybody may ask; a site has to allow it. */
#ifndef FOOTFALL_QUERY_COUNTER_H
#define FOOTFALL_QUERY_COUNTER_H

#include "lib/err.h"
#include "lib/http.h"

/* The last numbers, kept for a minute: so many pages can show them that asking the databases each
 * time would take the connections of the reports. 64 KiB. Any thread may ask. */
struct counter;

/* On success *out is yours, end it with counter_close(). -ENOMEM. */
int counter_open(struct counter **out, struct err *err) MUST_CHECK;
void counter_close(struct counter **counter);

void counter_get(struct http_request *req, void *query);

#endif
