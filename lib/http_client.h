/* Asking others by HTTP, over libcurl: one connection kept alive, one request at a time,
 * bounded answers. Not for two threads at once. */
#ifndef FOOTFALL_HTTP_CLIENT_H
#define FOOTFALL_HTTP_CLIENT_H

#include "lib/err.h"
#include "lib/span.h"

struct http_client;

struct http_answer {
	long status;
	long retry_after_s; /* -1: not said */
	struct span body;   /* lent until the next request; cut at 4 MiB */
};

/* Once per process, before threads. */
int http_client_init(struct err *err) MUST_CHECK;

/* bearer may be NULL. timeout_ms is that of a whole request. */
int http_client_open(
	struct http_client **out, const char *bearer, long timeout_ms, struct err *err) MUST_CHECK;
/* Never by a proxy, whatever the environment says: for what is our own. */
void http_client_direct(struct http_client *client);
/* Another timeout_ms, of at least 1, from the next request on. */
void http_client_limit(struct http_client *client, long timeout_ms);
void http_client_close(struct http_client **client);

/* -ECONNREFUSED: no answer came; whether the request was taken is open. */
int http_client_get(struct http_client *client, const char *url, struct http_answer *answer,
	struct err *err) MUST_CHECK;
int http_client_post(struct http_client *client, const char *url, const char *type,
	struct span body, struct http_answer *answer, struct err *err) MUST_CHECK;

#endif
