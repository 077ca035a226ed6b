/* A hit: one event as it was sent, in whatever format, until it is in the journal; and the hits of
 * one request together. Each format (collect.c, …) reads its own fields into a hit, which keeps
 * what they point to. */
#ifndef FOOTFALL_HIT_H
#define FOOTFALL_HIT_H

#include <jansson.h>

#include "lib/enrich/cdn.h"
#include "services/ingress/fields.h"
#include "services/ingress/intake.h"
#include "services/ingress/page.h"

/* The event's spans point into it: do not copy it. Its buffers are large, so only what counts is
 * made zero. */
struct hit {
	struct event ev;
	struct client client;
	struct span own_id; /* the client's own id of the event; empty: none */
	struct addr address;
	struct page page;
	char referrer[EVENT_REFERRER_MOST];
	char agent[EVENT_AGENT_MOST];
	struct cdn cdn;
	struct field_revenue revenue;
	char *props, *metadata; /* owned */
};

/* A hit of now, of which nothing else is known; way: the path that it was sent to. hit_done()
 * frees. */
void hit_init(struct hit *hit, const char *way);
void hit_done(struct hit *hit);

/* What the headers of a request from a browser say: address, agent, Client Hints, language,
 * opt-out, origin, a CDN's place. Lent by req. */
void hit_read_headers(struct hit *hit, const struct http_request *req);

/* Set the event's kind and name by the name it was sent with: field_name(). */
int hit_set_name(struct hit *hit, struct field name, struct err *err) MUST_CHECK;

/* Set when it happened, in µs of Unix time, as a caller with a key may. Clocks differ: what is
 * ahead of now by at most ahead_us is of now. -EINVAL: it is further ahead, or before the year
 * 2000. */
int hit_set_time(struct hit *hit, int64_t ts_us, int64_t ahead_us, struct err *err) MUST_CHECK;

/* Set page and campaign by the page's URL, which is cleaned: page_clean(). */
int hit_set_url(struct hit *hit, struct span url, bool by_hash, struct err *err) MUST_CHECK;

/* Set page and campaign by what peers send of an address: a URL, or what stands behind a host
 * ("/path?query", "path", "#fragment", ""). host: of the page, whatever the URL says; "" for the
 * URL's own, and site_host where it has none. It is cut at PAGE_URL_MOST bytes. -EINVAL. */
int hit_set_page(struct hit *hit, struct span host, const char *site_host, struct span url,
	bool by_hash, struct err *err) MUST_CHECK;

/* Make it a custom event of that name, which may be a word for another kind, as "pageview".
 * -EINVAL: as field_name(), and any that begins with "footfall:". */
int hit_set_custom(struct hit *hit, struct span name, struct err *err) MUST_CHECK;

/* These take what they can use of a text and leave out what is wrong: cut and trimmed. */
void hit_set_referrer(struct hit *hit, struct span url);
void hit_set_title(struct hit *hit, struct span title);
void hit_set_agent(struct hit *hit, struct span user_agent);
void hit_set_language(struct hit *hit, struct span language); /* none: what was known stays */

/* Of the screen, in CSS px: a number, its text, or "1920x1080". */
void hit_set_screen(struct hit *hit, struct field screen);

/* field_props(), field_metadata() and field_revenue(), for the event. */
int hit_set_props(struct hit *hit, struct field props, struct err *err) MUST_CHECK;
int hit_set_metadata(struct hit *hit, struct field metadata, struct err *err) MUST_CHECK;
int hit_set_revenue(struct hit *hit, struct field revenue, struct err *err) MUST_CHECK;

/* For formats whose properties are no plain object as they come: add a text to props, cut at what
 * field_props() takes; add what an object (NULL: none) holds, the names of nested ones joined by
 * dots, and arrays as their JSON; set props, which is freed (NULL is none); set a revenue, where
 * amount (a number, or its text) is one above 0. */
void hit_add_prop(json_t *props, const char *name, struct span text);
void hit_add_flat(json_t *props, json_t *object);
int hit_take_props(struct hit *hit, json_t *props, struct err *err) MUST_CHECK;
void hit_set_earned(struct hit *hit, const json_t *amount, const char *currency);

/* The hits of one request. */
struct batch {
	struct intake *in;
	struct http_request *req;
	struct span request_id; /* of the door, "" where it is not to be believed */
	struct journal_ticket ticket;
	struct tally tally;
	size_t taken; /* hits, times the sites that took them */
	struct addr address;
	bool admitted; /* its address had a token for it */
	int wait_s;    /* there are none of its address or site: to be answered 429 */
};

void batch_begin(struct batch *batch, struct intake *in, struct http_request *req);

/* Give a hit, the n-th of the request from 0 on, to a site; NULL: to none that is known. 0: it is
 * taken (*refused is DROPPED_NONE), but safe only after batch_end(); or it is not, and *refused
 * tells why, for DROPPED_INVALID with the sentence in err. -EDQUOT (its address or site sends too
 * many), -ENOSPC, -EIO, -EAGAIN, -ECONNRESET: nothing of this request can be taken now: give
 * batch_end() that. */
int batch_add(struct batch *batch, struct hit *hit, size_t n, const struct site *site,
	enum dropped *refused, struct err *err) MUST_CHECK;

/* Note one that could not be read, of a site or of none that is known (NULL). The site may refuse
 * it anyway, by what of it is known; that reason is returned. */
enum dropped batch_add_bad(struct batch *batch, struct hit *hit, const struct site *site);

/* Once all hits are added, rc being batch_add()'s last: wait until what was taken is on disk, count
 * what became of all, and put x-footfall-dropped into the answer to come; where a site refused the
 * origin, take the headers that let its script read the answer out again. 0: answer now. Else the
 * answer has been given (429, 503, or none, where it is open whether something is kept). client
 * tells of who was not taken. */
int batch_end(struct batch *batch, int rc, const struct client *client, struct err *err) MUST_CHECK;

#endif
