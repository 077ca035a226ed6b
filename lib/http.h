/* HTTP for our services, over civetweb: a table of routes, bounded bodies, JSON answers, and the
 * admin port. civetweb gives each connection a thread, so a handler may block, and handlers of one
 * server run at the same time. Slow and hostile clients are the door's matter. */
#ifndef FOOTFALL_HTTP_H
#define FOOTFALL_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/span.h"

/* A small request body: what a thread keeps a buffer for. Larger ones take one of few buffers. */
#define HTTP_BODY_SMALL (64 << 10)

struct http_server;
struct http_request; /* valid during its handler */

typedef void http_handler(struct http_request *req, void *service);

/* path is exact, or a prefix when it ends in '*'; before its end a '*' stands for what a segment of
 * the path has, which is not nothing. The first row that fits path and method wins; a
 * fitting path with another method is answered 405, none 404. The list ends with a NULL path. */
struct http_route {
	const char *method;
	const char *path;
	http_handler *handler;
};

struct http_options {
	const char *addr;                /* "host:port" to bind */
	int threads;                     /* requests at once */
	const struct http_route *routes; /* borrowed while the server is open */
	void *service;                   /* handed to every handler */
	const struct addr_nets *trusted; /* borrowed; proxies whose headers are believed */
};

/* Bind and serve. Handlers may run before this returns. -EADDRINUSE and others name the address. */
int http_server_open(
	struct http_server **out, const struct http_options *options, struct err *err) MUST_CHECK;
/* Write its answers by class of status, for /metrics. */
void http_metrics(struct http_server *server, FILE *out);
/* Take nothing new, let the requests in hand end, free. Two servers (NULL: none) are closed at the
 * same time. A client that keeps an idle connection may keep them for 2 s. */
void http_servers_close(struct http_server **one, struct http_server **other);
void http_server_close(struct http_server **server);

/* What a request says. Spans and texts are lent for the request's life; "" when absent. */
struct span http_method(const struct http_request *req);
struct span http_path(const struct http_request *req);  /* decoded */
struct span http_query(const struct http_request *req); /* not decoded */
struct span http_header(const struct http_request *req, const char *name);

/* Whether the browser says that it fetches or renders the page before anybody asks for it:
 * Sec-Purpose (https://wicg.github.io/nav-speculation/prefetch.html), or Purpose and X-Moz of older
 * ones. */
bool http_prefetches(const struct http_request *req);
/* Value of a cookie into value (always NUL-terminated); false when absent or too long. */
bool http_cookie(const struct http_request *req, const char *name, char *value, size_t size);
/* Decoded value of a query parameter into value; false when absent or too long. */
bool http_param(const struct http_request *req, const char *name, char *value, size_t size);
/* The client as addr_of_client() sees it; *from_proxy tells whether the peer is trusted. */
struct addr http_client(const struct http_request *req, bool *from_proxy);
/* Who is at the other end of the connection: the client or a proxy. */
struct addr http_peer(const struct http_request *req);
/* Whether its further headers are a trusted proxy's, as addr_is_of_proxies() sees it. */
bool http_is_from_proxies(const struct http_request *req);
/* Token of "Authorization: Bearer TOKEN", or an empty span. */
struct span http_bearer(const struct http_request *req);

/* Read the whole body, of most bytes at most; lent until the handler returns, which may write to
 * it. On error the answer has been sent (411 no length, 413 too large, 400 cut short, 503 too many
 * large ones at once) and the handler just returns. */
int http_body(struct http_request *req, size_t most, struct span *body) MUST_CHECK;

/* The two halves of http_body(), for who has headers to add to the answer: -EINVAL no length,
 * -EMSGSIZE too large, -EPIPE cut short, -ENOBUFS too many at once; then http_answer_no_body(). */
int http_read_body(struct http_request *req, size_t most, struct span *body) MUST_CHECK;
/* The same of a body that may be packed by gzip, as Content-Encoding says; most is for what is sent
 * and for what comes of it. Also -EBADMSG: it cannot be unpacked; -ENOTSUP: another encoding. */
int http_read_packed_body(struct http_request *req, size_t most, struct span *body) MUST_CHECK;
void http_answer_no_body(struct http_request *req, int rc, size_t most);

/* A further header of the answer to come; name and value without line breaks. At most 8. */
void http_add_header(struct http_request *req, const char *name, const char *value);
/* Take back those that were added. */
void http_clear_headers(struct http_request *req);

/* Answers; exactly one per request. type is a Content-Type. */
void http_answer(struct http_request *req, int status, const char *type, struct span body);
/* Takes the reference to body; NULL is answered 500. */
void http_answer_json(struct http_request *req, int status, json_t *body);
/* {"error": "…"} */
/* Close the connection without an answer: whoever asked cannot know, and may ask again. */
void http_drop(struct http_request *req);
void http_answer_error(struct http_request *req, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A server-sent event stream in place of an answer: open it, send until it fails (-EPIPE: the
 * client is gone). text is one line: an event's data, or with comment just a sign of life. */
int http_stream_open(struct http_request *req) MUST_CHECK;
int http_stream_send(struct http_request *req, const char *text, bool comment) MUST_CHECK;

/* The admin port: /healthz (alive), /readyz (ready says 0, else 503 with its sentence), /metrics
 * (Prometheus text: the process, then what `metrics` writes). Callbacks run on its threads. */
struct admin_options {
	const char *addr;
	const char *service_name;
	void *service;
	int (*ready)(void *service, struct err *err);
	void (*metrics)(void *service, FILE *out); /* may be NULL */
	http_handler *other; /* of any other GET, with the same service; NULL: there is nothing */
};
int admin_open(
	struct http_server **out, const struct admin_options *options, struct err *err) MUST_CHECK;

#endif
