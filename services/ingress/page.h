/* The address of a page as the reports name it, cleaned before anything is stored: host without
 * "www.", path decoded, without query, fragment and trailing slash, and with "*" for segments that
 * would tell who somebody is. */
#ifndef FOOTFALL_PAGE_H
#define FOOTFALL_PAGE_H

#include "lib/campaign.h"
#include "lib/err.h"
#include "lib/span.h"
#include "proto/event.h"

#define PAGE_URL_MOST 2000 /* bytes, Plausible's bound */

struct page {
	char host_buf[EVENT_HOST_MOST];
	char path_buf[EVENT_PATH_MOST];
	struct span host, path;   /* into the buffers; path is never empty */
	struct campaign campaign; /* of the query, which is dropped */
};

/* Clean a page's URL into *page. by_hash: the page routes by its fragment, which is then kept as
 * part of the path ("/app#/users"). -EINVAL with a sentence for whoever sent it: no http or https
 * URL, too long, a host that is none. */
int page_clean(struct page *page, struct span url, bool by_hash, struct err *err) MUST_CHECK;

/* page_clean() of what apps send for a URL as well: any scheme but data: ("app://localhost/about"),
 * or none and no host ("/about", "file:///about"), and then the page's host is empty. */
int page_clean_app(struct page *page, struct span url, bool by_hash, struct err *err) MUST_CHECK;

/* Set ev's host, path and campaign fields, lent by *page. */
void page_tell(const struct page *page, struct event *ev);

/* Reduce a referrer to scheme, host and path in buf (its query and user may be private, and so may
 * segments of its path, which become "*" as a page's do); what is no URL becomes empty. */
struct span referrer_strip(char buf[EVENT_REFERRER_MOST], struct span url);

#endif
