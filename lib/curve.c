#include "lib/curve.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/span.h"

#define ZAP_ENDPOINT   "inproc://zeromq.zap.01"
#define END_ENDPOINT   "inproc://footfall.curve.end"
#define ZAP_FRAMES     12 /* a request has 7 of CURVE; more is nobody's */
#define ZAP_FRAME_MOST 256
#define KEY_BYTES      32
#define HANDSHAKE_MS   3000 /* who is refused is let go after it, and comes again */

struct frame {
	char bytes[ZAP_FRAME_MOST];
	int len;
};

struct curve_server {
	const char *secret_key, *allow_file;
	void *zap, *end, *end_told;
	pthread_t thread;
	bool thread_runs;
	struct frame refused; /* the address of the last peer that was */
};

/* --- who is let in ---------------------------------------------------------------------------- */

static bool is_listed(const struct curve_server *server, const char *key)
{
	FILE *f = fopen(server->allow_file, "re");
	char line[256];
	bool listed = false;

	if (!f) {
		log_error("curve: nobody is let in: %s: %s", server->allow_file, strerror(errno));
		return false;
	}
	while (!listed && fgets(line, sizeof line, f)) {
		struct span text = span_trim(span_of(line));

		/* A public key is no secret: how long the comparison takes tells nothing. */
		listed = span_equals(span_first(text, CURVE_KEY_SIZE - 1), span_of(key)) &&
			 (text.len == CURVE_KEY_SIZE - 1 || text.ptr[CURVE_KEY_SIZE - 1] == ' ' ||
				 text.ptr[CURVE_KEY_SIZE - 1] == '\t');
	}
	fclose(f);
	return listed;
}

static int request_take(void *zap, struct frame frames[ZAP_FRAMES])
{
	int count = 0, more = 1;
	size_t size = sizeof more;

	while (more) {
		struct frame ignored, *f = count < ZAP_FRAMES ? &frames[count] : &ignored;

		f->len = zmq_recv(zap, f->bytes, sizeof f->bytes, 0);
		if (f->len < 0)
			return 0;
		if (f->len > ZAP_FRAME_MOST)
			f->len = ZAP_FRAME_MOST;
		count++;
		if (zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &size))
			return 0;
	}
	return count;
}

static void answer(struct curve_server *server, const struct frame *frames, int count)
{
	const struct frame *mechanism = &frames[5], *key = &frames[6];
	char text[CURVE_KEY_SIZE];
	bool allowed = count == 7 && mechanism->len == 5 && !memcmp(mechanism->bytes, "CURVE", 5) &&
		       key->len == KEY_BYTES &&
		       zmq_z85_encode(text, (const uint8_t *)key->bytes, KEY_BYTES) &&
		       is_listed(server, text);
	/* 300, "try again later": after a 400 a peer would never come again, also when it is
	 * listed. */
	const char *status = allowed ? "200" : "300";

	if (!allowed && memcmp(server->refused.bytes, frames[3].bytes, ZAP_FRAME_MOST)) {
		server->refused = frames[3]; /* it will try on: that is said once */
		log_warn("curve: a peer was refused address=%.*s", frames[3].len, frames[3].bytes);
	}
	zmq_send(server->zap, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(server->zap, frames[1].bytes, count > 1 ? (size_t)frames[1].len : 0, ZMQ_SNDMORE);
	zmq_send(server->zap, status, 3, ZMQ_SNDMORE);
	zmq_send(server->zap, allowed ? "OK" : "not listed", allowed ? 2 : 10, ZMQ_SNDMORE);
	zmq_send(server->zap, "", 0, ZMQ_SNDMORE);
	zmq_send(server->zap, "", 0, 0);
}

static void *server_main(void *arg)
{
	struct curve_server *server = arg;
	zmq_pollitem_t items[] = { { server->zap, 0, ZMQ_POLLIN, 0 },
		{ server->end, 0, ZMQ_POLLIN, 0 } };
	struct frame frames[ZAP_FRAMES];

	for (;;) {
		int count;

		if (zmq_poll(items, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			if (errno != ETERM)
				log_alarm("curve: nobody is let in any more: %s",
					zmq_strerror(errno));
			return NULL;
		}
		if (items[1].revents)
			return NULL;
		memset(frames, 0, sizeof frames);
		count = items[0].revents ? request_take(server->zap, frames) : 0;
		if (count)
			answer(server, frames, count);
	}
}

/* --- open and close --------------------------------------------------------------------------- */

static int key_check(const char *key, const char *whose, struct err *err)
{
	uint8_t bytes[KEY_BYTES];

	if (strlen(key) != CURVE_KEY_SIZE - 1 || !zmq_z85_decode(bytes, key))
		return err_set(err, -EINVAL, "%s is not a key of 40 characters: footfall keys make",
			whose);
	return 0;
}

int curve_server_open(struct curve_server **out, void *zmq, const char *secret_key,
	const char *allow_file, struct err *err)
{
	struct curve_server *server = calloc(1, sizeof *server);
	FILE *f;
	int rc;

	if (!server)
		return err_set(err, -ENOMEM, "curve");
	server->secret_key = secret_key;
	server->allow_file = allow_file;
	rc = key_check(secret_key, "FOOTFALL_LINK_SECRET", err);
	f = rc ? NULL : fopen(allow_file, "re");
	if (!rc && !f)
		rc = err_set(
			err, -errno, "FOOTFALL_LINK_ALLOW %s: %s", allow_file, strerror(errno));
	if (f)
		fclose(f);
	if (!rc) {
		server->zap = zmq_socket(zmq, ZMQ_REP);
		server->end = zmq_socket(zmq, ZMQ_PAIR);
		server->end_told = zmq_socket(zmq, ZMQ_PAIR);
		if (!server->zap || !server->end || !server->end_told ||
			zmq_bind(server->zap, ZAP_ENDPOINT) ||
			zmq_bind(server->end, END_ENDPOINT) ||
			zmq_connect(server->end_told, END_ENDPOINT))
			rc = err_set(err, -errno, "curve: %s", zmq_strerror(errno));
	}
	if (!rc && pthread_create(&server->thread, NULL, server_main, server))
		rc = err_set(err, -EAGAIN, "curve: no thread");
	server->thread_runs = !rc;
	if (rc)
		curve_server_close(&server);
	else
		*out = server;
	return rc;
}

void curve_server_close(struct curve_server **server_p)
{
	struct curve_server *server = *server_p;

	if (!server)
		return;
	if (server->thread_runs) {
		zmq_send(server->end_told, "", 0, 0);
		pthread_join(server->thread, NULL);
	}
	if (server->zap)
		zmq_close(server->zap);
	if (server->end)
		zmq_close(server->end);
	if (server->end_told)
		zmq_close(server->end_told);
	free(server);
	*server_p = NULL;
}

int curve_server_guard(const struct curve_server *server, void *socket, struct err *err)
{
	const int yes = 1, handshake_ms = HANDSHAKE_MS;

	if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) ||
		zmq_setsockopt(socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms) ||
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server->secret_key, CURVE_KEY_SIZE) ||
		zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "footfall", 8))
		return err_set(err, -errno, "curve: %s", zmq_strerror(errno));
	return 0;
}

int curve_client_use(void *socket, const char *server_key, const char *own_secret, struct err *err)
{
	char own_public[CURVE_KEY_SIZE];
	int rc = key_check(server_key, "FOOTFALL_LINK_SERVER_KEY", err);

	if (!rc)
		rc = key_check(own_secret, "FOOTFALL_LINK_SECRET", err);
	if (rc)
		return rc;
	if (zmq_curve_public(own_public, own_secret) ||
		zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, CURVE_KEY_SIZE) ||
		zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own_public, CURVE_KEY_SIZE) ||
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own_secret, CURVE_KEY_SIZE))
		return err_set(err, -errno, "curve: %s", zmq_strerror(errno));
	return 0;
}

int curve_may_bind(const char *addr, bool has_key, bool plain, struct err *err)
{
	char host[256];
	struct addr_nets loopback;
	struct addr address;
	int port, rc = addr_split(addr, host, sizeof host, &port, err);

	if (rc || has_key || plain || !strcmp(host, "localhost"))
		return rc;
	rc = addr_nets_parse(&loopback, "127.0.0.0/8,::1/128", err);
	if (!rc && (addr_parse(&address, span_of(host)) || !addr_nets_hold(&loopback, &address)))
		rc = err_set(err, -EINVAL,
			"%s is not loopback and there is no link key: set FOOTFALL_LINK_SECRET and "
			"FOOTFALL_LINK_ALLOW (footfall keys make), or FOOTFALL_LINK_PLAIN=1 in a "
			"network that nobody else can reach",
			addr);
	return rc;
}
