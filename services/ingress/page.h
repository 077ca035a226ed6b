/* The address of a page as the reports name it, cleaned before anything is stored: host without
 * "www.", path decoded, without query, fragment and trailing slash, and with "*" for segments that
 * would tell who somebody is. */
#ifndef FOOTFALL_PAGE_H
#define FOOTFALL_PAGE_H

#include "lib/err.h"
#include "lib/span.h"
#include "proto/event.h"

#define PAGE_URL_MOST 2000 /* bytes, Plausible's bound */

struct page {
	char host_buf[EVENT_HOST_MOST];
	char path_buf[EVENT_PATH_MOST];
	struct span host, path; /* into the buffers; path is never empty */
};

/* Clean a page's URL into *page. -EINVAL with a sentence for whoever sent it: no http or https URL,
 * too long, a host that is none. */
int page_clean(struct page *page, struct span url, struct err *err) MUST_CHECK;

/* Reduce a referrer to scheme, host and path in buf (its query and user may be private); what is no
 * URL, or does not fit, becomes empty. */
struct span referrer_strip(char buf[EVENT_REFERRER_MOST], struct span url);

#endif
