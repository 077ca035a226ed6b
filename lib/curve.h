/* CURVE (ZeroMQ's encryption, RFC 26/CurveZMQ) for links between hosts: who binds has a secret key
 * and a list of public keys that may connect; who connects has a secret key of its own and knows
 * the public key of who binds. A peer that is not listed gets nothing and can send nothing. Keys
 * are text of 40 characters (Z85). */
#ifndef FOOTFALL_CURVE_H
#define FOOTFALL_CURVE_H

#include <stdbool.h>

#include "lib/err.h"

#define CURVE_KEY_SIZE 41 /* with its NUL */

/* Who is let in (ZeroMQ's ZAP, RFC 27): one a context, a thread of its own. */
struct curve_server;

/* secret_key and allow_file are borrowed until curve_server_close(), which comes before the
 * context's end. The file (a public key a line, # comments) is read anew at every connection, so
 * that keys can be added and withdrawn without a restart. -EINVAL: the key is not one, -ENOENT…:
 * the file. */
int curve_server_open(struct curve_server **out, void *zmq, const char *secret_key,
	const char *allow_file, struct err *err) MUST_CHECK;
void curve_server_close(struct curve_server **server);

/* Before zmq_bind(): only who is listed may connect. */
int curve_server_guard(const struct curve_server *server, void *socket, struct err *err) MUST_CHECK;

/* Before zmq_connect(). */
int curve_client_use(
	void *socket, const char *server_key, const char *own_secret, struct err *err) MUST_CHECK;

/* Without keys only loopback may be bound, unless `plain` says that the network is trusted. addr is
 * host:port. -EINVAL names what is missing. */
int curve_may_bind(const char *addr, bool has_key, bool plain, struct err *err) MUST_CHECK;

#endif
