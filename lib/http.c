#include "lib/http.h"

#include <assert.h>
#include <civetweb.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/log.h"
#include "lib/settings.h"

#define HEADERS_MOST         8
#define HEADER_TEXT_SIZE     4096 /* a list of 500 numbers is the longest */
#define TYPE_MOST            128  /* bytes of a Content-Type */
#define PACKED_CHUNK         4096
#define GZIP_WINDOW          (16 + MAX_WBITS) /* zlib.h: 16 more for gzip's header alone */
#define LARGE_BODIES_AT_ONCE 2 /* of at most a few MiB each, so that memory stays bounded */
#define LARGE_BODY_WAIT_S    2 /* for one of them to end; then the client is to come again */
#define DISCARD_MOST         (4 << 20) /* bytes of a body that is refused */
#define WAKE_NS              10000000  /* between two looks whether a server has ended */

struct http_server {
	struct mg_context *ctx;
	struct http_options options;
	struct admin_options admin;   /* of an admin port only */
	atomic_llong answered[6];     /* by the status's first digit */
	sem_t large_bodies;           /* how many more may be */
	struct sockaddr_storage addr; /* bound to */
	socklen_t addr_len;
	atomic_bool ended;
};

struct http_request {
	struct mg_connection *conn;
	const struct mg_request_info *info;
	struct http_server *server;
	char *large_body; /* owned */
	char headers[HEADER_TEXT_SIZE];
	size_t headers_len;
	bool answered;
};

static const struct addr_nets trust_nobody;

/* One small body buffer a thread, kept for its life. */
static _Thread_local char *small_body;

struct span http_method(const struct http_request *req)
{
	return span_of(req->info->request_method);
}

struct span http_path(const struct http_request *req)
{
	return span_of(req->info->local_uri);
}

struct span http_query(const struct http_request *req)
{
	return span_of(req->info->query_string ? req->info->query_string : "");
}

/* As mg_get_header(), but most names are told apart by their first letter. */
struct span http_header(const struct http_request *req, const char *name)
{
	for (int i = 0; i < req->info->num_headers; i++) {
		const struct mg_header *h = &req->info->http_headers[i];

		if (!((h->name[0] ^ name[0]) & ~0x20) && !strcasecmp(h->name, name))
			return span_of(h->value);
	}
	return SPAN("");
}

bool http_prefetches(const struct http_request *req)
{
	static const char *const headers[] = { "Sec-Purpose", "Purpose", "X-Moz" };

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct span value = span_trim(http_header(req, headers[i]));

		/* "prefetch;prerender", too */
		if (span_equals_nocase(span_first(value, 8), SPAN("prefetch")))
			return true;
	}
	return false;
}

bool http_cookie(const struct http_request *req, const char *name, char *value, size_t size)
{
	const char *cookies = mg_get_header(req->conn, "Cookie");

	value[0] = '\0';
	return cookies && mg_get_cookie(cookies, name, value, size) > 0;
}

bool http_param(const struct http_request *req, const char *name, char *value, size_t size)
{
	struct span query = http_query(req);

	value[0] = '\0';
	return query.len && mg_get_var(query.ptr, query.len, name, value, size) >= 0;
}

struct addr http_peer(const struct http_request *req)
{
	struct addr peer = { { 0 } };

	if (addr_parse(&peer, span_of(req->info->remote_addr)))
		log_alarm("http: peer address cannot be read");
	return peer;
}

struct addr http_client(const struct http_request *req, bool *from_proxy)
{
	struct addr peer = http_peer(req);

	*from_proxy = addr_nets_hold(req->server->options.trusted, &peer);
	return addr_of_client(
		peer, http_header(req, "X-Forwarded-For"), req->server->options.trusted);
}

bool http_is_from_proxies(const struct http_request *req)
{
	return addr_is_of_proxies(
		http_peer(req), http_header(req, "X-Forwarded-For"), req->server->options.trusted);
}

struct span http_bearer(const struct http_request *req)
{
	struct span header = http_header(req, "Authorization");

	if (!span_equals_nocase(span_first(header, 7), SPAN("Bearer ")))
		return SPAN("");
	return span_trim(span_from(header, 7));
}

static bool large_body_wait(struct http_server *server)
{
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LARGE_BODY_WAIT_S;
	do
		rc = sem_clockwait(&server->large_bodies, CLOCK_MONOTONIC, &until);
	while (rc && errno == EINTR);
	return !rc;
}

static int body_buffer(struct http_request *req, size_t len, char **buffer)
{
	if (len <= HTTP_BODY_SMALL) {
		if (!small_body)
			small_body = malloc(HTTP_BODY_SMALL);
		*buffer = small_body;
	} else if (large_body_wait(req->server)) {
		*buffer = req->large_body = malloc(len);
		if (!*buffer)
			sem_post(&req->server->large_bodies);
	} else {
		*buffer = NULL;
	}
	return *buffer ? 0 : -ENOBUFS;
}

int http_read_body(struct http_request *req, size_t most, struct span *body)
{
	long long len = req->info->content_length;
	size_t have = 0;
	char *buffer;

	if (len < 0)
		return -EINVAL;
	if ((unsigned long long)len > most)
		return -EMSGSIZE;
	if (body_buffer(req, (size_t)len, &buffer))
		return -ENOBUFS;
	while (have < (size_t)len) {
		int n = mg_read(req->conn, buffer + have, (size_t)len - have);

		if (n <= 0)
			return -EPIPE;
		have += (size_t)n;
	}
	*body = (struct span){ buffer, have };
	return 0;
}

/* A packed body on its way. */
struct unpacking {
	z_stream z;
	char *buffer; /* small, until it is known that the body is large */
	size_t size;
};

/* Make room for a byte more than most, which tells that there are too many. */
static int unpacking_grow(struct http_request *req, struct unpacking *u, size_t most)
{
	char *small = u->buffer;
	size_t have = u->size;
	int rc;

	if (have > most)
		return -EMSGSIZE;
	rc = body_buffer(req, most + 1, &u->buffer);
	if (rc)
		return rc;
	memcpy(u->buffer, small, have);
	u->size = most + 1;
	u->z.next_out = (unsigned char *)u->buffer + have;
	u->z.avail_out = (unsigned)(u->size - have);
	return 0;
}

/* Unpack what is in hand. *ended: a gzip member (RFC 1952; a body may be several) ends there. */
static int unpacking_step(struct http_request *req, struct unpacking *u, size_t most, bool *ended)
{
	int rc = 0;

	while (!rc && (u->z.avail_in || (!*ended && !u->z.avail_out))) {
		if (!u->z.avail_out)
			rc = unpacking_grow(req, u, most);
		else if (*ended && inflateReset(&u->z) != Z_OK)
			rc = -EBADMSG;
		if (!rc) {
			int status = inflate(&u->z, Z_NO_FLUSH);

			*ended = status == Z_STREAM_END;
			/* Z_BUF_ERROR: there was room, but nothing more to come yet. */
			if (status != Z_OK && !*ended && (status != Z_BUF_ERROR || u->z.avail_in))
				rc = -EBADMSG;
		}
	}
	return rc;
}

static int unpack(struct http_request *req, size_t most, struct unpacking *u)
{
	unsigned char chunk[PACKED_CHUNK];
	size_t left = (size_t)req->info->content_length;
	bool ended = false;
	int rc = 0;

	while (!rc && left) {
		int n = mg_read(req->conn, chunk, left < sizeof chunk ? left : sizeof chunk);

		if (n <= 0)
			return -EPIPE;
		left -= (size_t)n;
		u->z.next_in = chunk;
		u->z.avail_in = (unsigned)n;
		rc = unpacking_step(req, u, most, &ended);
	}
	if (!rc && u->size - u->z.avail_out > most)
		rc = -EMSGSIZE;
	return rc || ended ? rc : -EBADMSG;
}

int http_read_packed_body(struct http_request *req, size_t most, struct span *body)
{
	struct span encoding = span_trim(http_header(req, "Content-Encoding"));
	struct unpacking u = { .size = most + 1 };
	int rc;

	if (!encoding.len || span_equals_nocase(encoding, SPAN("identity")))
		return http_read_body(req, most, body);
	if (!span_equals_nocase(encoding, SPAN("gzip")) &&
		!span_equals_nocase(encoding, SPAN("x-gzip"))) /* RFC 9110, section 8.4.1.3 */
		return -ENOTSUP;
	if (req->info->content_length < 0)
		return -EINVAL;
	if ((unsigned long long)req->info->content_length > most)
		return -EMSGSIZE;
	/* Else every thread's buffer would come to be used whole, and so much memory be kept. */
	if (req->info->content_length <= PACKED_CHUNK && u.size > HTTP_BODY_SMALL)
		u.size = HTTP_BODY_SMALL;
	rc = body_buffer(req, u.size, &u.buffer);
	if (rc)
		return rc;
	u.z.next_out = (unsigned char *)u.buffer;
	u.z.avail_out = (unsigned)u.size;
	if (inflateInit2(&u.z, GZIP_WINDOW) != Z_OK)
		return -ENOBUFS;
	rc = unpack(req, most, &u);
	*body = (struct span){ u.buffer, u.size - u.z.avail_out };
	inflateEnd(&u.z);
	return rc;
}

/* Who is still sending reads the answer only then: a connection that is closed before is reset. */
static void body_discard(struct http_request *req)
{
	size_t left = DISCARD_MOST;
	char scrap[8192];
	int n;

	while (left &&
		(n = mg_read(req->conn, scrap, left < sizeof scrap ? left : sizeof scrap)) > 0)
		left -= (size_t)n;
}

void http_answer_no_body(struct http_request *req, int rc, size_t most)
{
	bool unread = rc != -EINVAL && rc != -EPIPE;

	if (unread)
		mg_disable_connection_keep_alive(req->conn);
	if (rc == -ENOTSUP) {
		http_add_header(req, "Accept-Encoding", "gzip"); /* RFC 9110, section 15.5.16 */
		http_answer_error(req, 415, "of encodings of the body only gzip is known");
	} else if (rc == -EBADMSG) {
		http_answer_error(req, 400, "the body is not what gzip makes, or is cut short");
	} else if (rc == -EINVAL) {
		http_answer_error(req, 411, "a Content-Length is needed");
	} else if (rc == -EMSGSIZE) {
		http_answer_error(req, 413, "the body has more than %zu bytes", most);
	} else if (rc == -ENOBUFS) {
		http_add_header(req, "Retry-After", "1");
		http_answer_error(req, 503, "too many large bodies at once");
	} else {
		http_answer_error(req, 400, "the body was cut short");
	}
	if (unread)
		body_discard(req);
}

int http_body(struct http_request *req, size_t most, struct span *body)
{
	int rc = http_read_body(req, most, body);

	if (rc)
		http_answer_no_body(req, rc, most);
	return rc;
}

/* Append s to a text of len bytes, for which there is room. */
static size_t put(char *text, size_t len, struct span s)
{
	memcpy(text + len, s.ptr, s.len);
	return len + s.len;
}

static size_t put_number(char *text, size_t len, size_t number)
{
	char digits[20], *first = digits + sizeof digits;

	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	return put(text, len, (struct span){ first, (size_t)(digits + sizeof digits - first) });
}

void http_add_header(struct http_request *req, const char *name, const char *value)
{
	struct span n = span_of(name), v = span_of(value);
	size_t len = req->headers_len;

	if (n.len + v.len + 4 > sizeof req->headers - len)
		return;
	len = put(req->headers, len, n);
	len = put(req->headers, len, SPAN(": "));
	len = put(req->headers, len, v);
	req->headers_len = put(req->headers, len, SPAN("\r\n"));
}

void http_clear_headers(struct http_request *req)
{
	req->headers_len = 0;
}

/* Status line and headers, put together by hand: printf would cost more than the rest of an answer.
 */
static size_t head_put(
	char *head, const struct http_request *req, int status, const char *type, size_t body_len)
{
	size_t len = put(head, 0, SPAN("HTTP/1.1 "));

	len = put_number(head, len, (size_t)status);
	len = put(head, len, SPAN(" "));
	len = put(head, len, span_of(mg_get_response_code_text(req->conn, status)));
	len = put(head, len, SPAN("\r\n"));
	len = put(head, len, (struct span){ req->headers, req->headers_len });
	if (status != 204 && status != 304) { /* RFC 9110, section 8.6: no Content-Length then */
		len = put(head, len, SPAN("Content-Type: "));
		len = put(head, len, span_of(type));
		len = put(head, len, SPAN("\r\nContent-Length: "));
		len = put_number(head, len, body_len);
		len = put(head, len, SPAN("\r\n"));
	}
	return put(head, len, SPAN("\r\n"));
}

void http_answer(struct http_request *req, int status, const char *type, struct span body)
{
	char head[HEADER_TEXT_SIZE + 512];
	size_t len;

	if (req->answered) {
		log_alarm("http: a second answer to one request path=%s", req->info->local_uri);
		return;
	}
	req->answered = true;
	atomic_fetch_add(&req->server->answered[status / 100 % 6], 1);
	assert(strlen(type) <= TYPE_MOST);
	len = head_put(head, req, status, type, body.len);
	if (status == 204 || status == 304 || !strcmp(req->info->request_method, "HEAD"))
		body.len = 0;
	/* Head and body in one write: one packet, one system call. */
	if (body.len < sizeof head - len) {
		len = put(head, len, body);
		body.len = 0;
	}
	mg_write(req->conn, head, len);
	if (body.len)
		mg_write(req->conn, body.ptr, body.len);
}

void http_answer_json(struct http_request *req, int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (text)
		http_answer(req, status, "application/json", span_of(text));
	else
		http_answer(req, 500, "application/json", SPAN("{\"error\":\"no memory\"}"));
	free(text);
}

void http_answer_error(struct http_request *req, int status, const char *fmt, ...)
{
	char msg[600];
	json_t *text;
	va_list args;

	va_start(args, fmt);
	vsnprintf(msg, sizeof msg, fmt, args);
	va_end(args);
	text = json_string(msg); /* NULL when a cut or the input left it no UTF-8 */
	if (!text)
		text = json_string("the request holds bytes that are not UTF-8");
	http_answer_json(req, status, json_pack("{so}", "error", text));
}

int http_stream_open(struct http_request *req)
{
	char head[HEADER_TEXT_SIZE + 256];
	int n = snprintf(head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
		"X-Accel-Buffering: no\r\nConnection: close\r\n%.*s\r\n",
		(int)req->headers_len, req->headers);

	req->answered = true;
	atomic_fetch_add(&req->server->answered[2], 1);
	return mg_write(req->conn, head, (size_t)n) == n ? 0 : -EPIPE;
}

int http_stream_send(struct http_request *req, const char *text, bool comment)
{
	char line[600];
	int n = snprintf(line, sizeof line, "%s%s\n\n", comment ? ": " : "data: ", text);

	if (n < 0 || (size_t)n >= sizeof line)
		return -EMSGSIZE;
	return mg_write(req->conn, line, (size_t)n) == n ? 0 : -EPIPE;
}

static bool path_fits(const char *pattern, const char *path)
{
	for (; *pattern; pattern++) {
		if (*pattern != '*') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		if (!pattern[1])
			return true;
		if (!*path || *path == '/')
			return false;
		path += strcspn(path, "/");
	}
	return !*path;
}

static const struct http_route *route_find(
	const struct http_route *routes, const struct mg_request_info *info, bool *path_known)
{
	*path_known = false;
	for (const struct http_route *r = routes; r->path; r++) {
		if (!path_fits(r->path, info->local_uri))
			continue;
		*path_known = true;
		if (!strcmp(r->method, info->request_method) ||
			(!strcmp(info->request_method, "HEAD") && !strcmp(r->method, "GET")))
			return r;
	}
	return NULL;
}

static int request_begin(struct mg_connection *conn)
{
	const struct mg_request_info *info = mg_get_request_info(conn);
	struct http_request req; /* its text of headers is not made zero */
	const struct http_route *route;
	bool path_known;

	req.conn = conn;
	req.info = info;
	req.server = info->user_data;
	req.large_body = NULL;
	req.headers_len = 0;
	req.answered = false;
	route = route_find(req.server->options.routes, info, &path_known);
	if (route)
		route->handler(&req, req.server->options.service);
	else if (path_known)
		http_answer_error(&req, 405, "%s is not possible here", info->request_method);
	else
		http_answer_error(&req, 404, "there is nothing here");
	if (!req.answered) {
		log_alarm("http: a handler gave no answer path=%s", info->local_uri);
		http_answer_error(&req, 500, "no answer");
	}
	if (req.large_body) {
		free(req.large_body);
		malloc_trim(0); /* a large body's JSON would stay resident otherwise */
		sem_post(&req.server->large_bodies);
	}
	return 1;
}

/* What civetweb refuses by itself (a malformed request, a time-out) gets our shape, too. */
static int request_refused(struct mg_connection *conn, int status, const char *msg)
{
	/* Of what never became a request nothing is known. */
	static const struct mg_request_info nothing = { .request_method = "", .local_uri = "" };
	const struct mg_request_info *info = mg_get_request_info(conn);
	struct http_request req = { .conn = conn, .info = info, .server = info->user_data };

	(void)msg;
	if (!info->request_method || !info->local_uri)
		req.info = &nothing;
	mg_disable_connection_keep_alive(conn);
	http_answer_error(&req, status, "%s", mg_get_response_code_text(conn, status));
	return 0;
}

static void thread_end(const struct mg_context *ctx, int type, void *data)
{
	(void)ctx, (void)type, (void)data;
	free(small_body);
	small_body = NULL;
}

static int civetweb_message(const struct mg_connection *conn, const char *msg)
{
	(void)conn;
	log_debug("civetweb: %s", msg);
	return 1;
}

/* civetweb says only "cannot bind": find out why ourselves, for a sentence worth reading. */
static int bind_possible(
	struct http_server *server, const char *addr, const char *host, int port, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	char service[8];
	int fd, rc = 0, one = 1;

	snprintf(service, sizeof service, "%d", port);
	if (getaddrinfo(host, service, &hints, &list))
		return err_set(err, -EINVAL, "\"%s\" is not an address of this machine", addr);
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
		bind(fd, list->ai_addr, list->ai_addrlen))
		rc = err_set(err, -errno, "cannot listen on %s: %s", addr, strerror(errno));
	if (fd >= 0)
		close(fd);
	memcpy(&server->addr, list->ai_addr, list->ai_addrlen);
	server->addr_len = list->ai_addrlen;
	freeaddrinfo(list);
	return rc;
}

static int server_open(struct http_server **out, const struct http_options *options,
	const struct admin_options *admin, struct err *err)
{
	struct http_server *server = calloc(1, sizeof *server);
	struct mg_callbacks callbacks = { .begin_request = request_begin,
		.http_error = request_refused,
		.exit_thread = thread_end,
		.log_message = civetweb_message };
	char host[128], threads[16];
	int port, rc;

	if (!server)
		return err_set(err, -ENOMEM, "http server");
	rc = addr_split(options->addr, host, sizeof host, &port, err);
	if (!rc)
		rc = bind_possible(server, options->addr, host, port, err);
	if (rc) {
		free(server);
		return rc;
	}
	server->options = *options;
	sem_init(&server->large_bodies, 0, LARGE_BODIES_AT_ONCE);
	if (!options->trusted)
		server->options.trusted = &trust_nobody;
	if (admin) {
		server->admin = *admin;
		server->options.service = &server->admin;
	}
	snprintf(threads, sizeof threads, "%d", options->threads);
	const char *const config[] = { "listening_ports", options->addr, "num_threads", threads,
		"request_timeout_ms", "5000", "keep_alive_timeout_ms", "65000", "enable_keep_alive",
		"yes", "tcp_nodelay", "1", "linger_timeout_ms", "-2", "decode_url", "yes",
		"listen_backlog", "1024", "connection_queue", "256", NULL };
	*out = server; /* before handlers run: they reach their service through it */
	server->ctx = mg_start(&callbacks, server, (const char **)(uintptr_t)config);
	if (!server->ctx) {
		*out = NULL;
		free(server);
		return err_set(err, -EADDRINUSE, "cannot serve on %s", options->addr);
	}
	return 0;
}

int http_server_open(struct http_server **out, const struct http_options *options, struct err *err)
{
	return server_open(out, options, NULL, err);
}

void http_metrics(struct http_server *server, FILE *out)
{
	for (int i = 2; i < 6; i++)
		fprintf(out, "footfall_http_answers_total{status=\"%dxx\"} %lld\n", i,
			atomic_load(&server->answered[i]));
}

void http_drop(struct http_request *req)
{
	req->answered = true;
	mg_disable_connection_keep_alive(req->conn);
}

static void *stop_main(void *server)
{
	mg_stop(((struct http_server *)server)->ctx);
	atomic_store(&((struct http_server *)server)->ended, true);
	return NULL;
}

/* civetweb sees that it is to end when somebody connects, else within 2 s. */
static void wake(const struct http_server *server)
{
	int fd = socket(server->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	(void)!connect(fd, (const struct sockaddr *)&server->addr, server->addr_len);
	close(fd);
}

void http_servers_close(struct http_server **one, struct http_server **other)
{
	struct http_server *servers[] = { *one, *other };
	pthread_t threads[2];
	bool beside[2];

	for (int i = 0; i < 2; i++) {
		beside[i] = servers[i] && !pthread_create(&threads[i], NULL, stop_main, servers[i]);
		if (servers[i] && !beside[i])
			stop_main(servers[i]);
	}
	for (int i = 0; i < 2; i++) {
		if (!beside[i])
			continue;
		while (!atomic_load(&servers[i]->ended)) {
			wake(servers[i]);
			nanosleep(&(struct timespec){ .tv_nsec = WAKE_NS }, NULL);
		}
		pthread_join(threads[i], NULL);
	}
	/* Only now: a request to one may ask about the other. */
	free(*one);
	free(*other);
	*one = *other = NULL;
}

void http_server_close(struct http_server **server)
{
	struct http_server *none = NULL;

	http_servers_close(server, &none);
}

static void healthz(struct http_request *req, void *service)
{
	(void)service;
	http_answer(req, 200, "text/plain", SPAN("ok\n"));
}

static void readyz(struct http_request *req, void *service)
{
	struct admin_options *admin = service;
	struct err err = { 0 };

	if (admin->ready(admin->service, &err))
		http_answer_error(req, 503, "%s", err.msg);
	else
		http_answer(req, 200, "text/plain", SPAN("ready\n"));
}

/* Resident memory in bytes, from /proc/self/status: VmRSS and RssAnon. */
static void memory_metrics(FILE *out)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			fprintf(out, "footfall_memory_resident_bytes %ld\n", kib * 1024);
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			fprintf(out, "footfall_memory_anonymous_bytes %ld\n", kib * 1024);
	}
	if (f)
		fclose(f);
}

static void metrics(struct http_request *req, void *service)
{
	struct admin_options *admin = service;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out) {
		http_answer_error(req, 500, "no memory");
		return;
	}
	fprintf(out, "footfall_up{service=\"%s\"} 1\n", admin->service_name);
	memory_metrics(out);
	if (admin->metrics)
		admin->metrics(admin->service, out);
	fclose(out);
	http_answer(req, 200, "text/plain; version=0.0.4", (struct span){ text, len });
	free(text);
}

static void other(struct http_request *req, void *service)
{
	struct admin_options *admin = service;

	if (admin->other)
		admin->other(req, admin->service);
	else
		http_answer_error(req, 404, "there is nothing here");
}

int admin_open(struct http_server **out, const struct admin_options *options, struct err *err)
{
	static const struct http_route routes[] = { { "GET", "/healthz", healthz },
		{ "GET", "/readyz", readyz }, { "GET", "/metrics", metrics },
		{ "GET", "/*", other }, { 0 } };
	struct http_options http = { .addr = options->addr, .threads = 2, .routes = routes };

	return server_open(out, &http, options, err);
}
