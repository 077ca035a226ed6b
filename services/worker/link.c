#include "services/worker/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/settings.h"

struct link {
	void *records, *acks;
};

struct links {
	void *zmq, *live;
	int count, next; /* whose turn it is to be read: no ingress may starve another */
	struct link link[LINKS_MOST];
	zmq_pollitem_t poll[LINKS_MOST];
};

static int socket_make(void **out, void *zmq, int type, struct err *err)
{
	/* Few records wait in sockets: what waits there is in no other worker's reach. */
	const struct {
		int option, value;
	} options[] = { { ZMQ_RCVHWM, 2 }, { ZMQ_SNDHWM, type == ZMQ_PULL ? 2 : 1000 },
		{ ZMQ_RCVBUF, 64 << 10 }, { ZMQ_SNDBUF, 64 << 10 }, { ZMQ_LINGER, 1000 },
		{ ZMQ_RECONNECT_IVL, 100 }, { ZMQ_RECONNECT_IVL_MAX, 2000 }, { ZMQ_IPV6, 1 },
		{ ZMQ_HEARTBEAT_IVL, 1000 }, { ZMQ_HEARTBEAT_TIMEOUT, 3000 },
		{ ZMQ_HEARTBEAT_TTL, 3000 } };
	const int64_t most = RECORD_MOST;
	void *socket = zmq_socket(zmq, type);
	int rc = socket ? 0 : -1;

	for (size_t i = 0; !rc && i < sizeof options / sizeof *options; i++)
		rc = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
	if (!rc)
		rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
	*out = socket;
	return rc ? err_set(err, -errno, "link: %s", zmq_strerror(errno)) : 0;
}

static int socket_connect(void *socket, const char *host, int port, struct err *err)
{
	char endpoint[300];

	snprintf(endpoint, sizeof endpoint, strchr(host, ':') ? "tcp://[%s]:%d" : "tcp://%s:%d",
		host, port);
	if (zmq_connect(socket, endpoint))
		return err_set(err, -errno, "link %s: %s", endpoint, zmq_strerror(errno));
	return 0;
}

/* One item of a list, NUL-terminated in buf; 0 at the list's end. */
static int item_take(struct span *list, char *buf, size_t size, struct err *err)
{
	while (list->len) {
		size_t comma = span_find(*list, ',');
		struct span item = span_trim(span_first(*list, comma));

		*list = span_from(*list, comma + 1);
		if (item.len >= size)
			return err_set(err, -EINVAL, "link: \"%.60s…\" is too long", item.ptr);
		if (!item.len)
			continue;
		memcpy(buf, item.ptr, item.len);
		buf[item.len] = '\0';
		return 1;
	}
	return 0;
}

static int link_add(struct links *l, char *item, struct err *err)
{
	struct link *link = &l->link[l->count];
	char *colon = strrchr(item, ':'), host[256], *end = NULL;
	long ack_port = colon ? strtol(colon + 1, &end, 10) : 0;
	int port, rc = 0;

	if (l->count == LINKS_MOST)
		return err_set(err, -E2BIG, "FOOTFALL_INGRESS_LINKS: more than %d", LINKS_MOST);
	if (!colon || end == colon + 1 || *end || ack_port < 1 || ack_port > 65535)
		return err_set(
			err, -EINVAL, "FOOTFALL_INGRESS_LINKS: \"%s\" is not host:push:ack", item);
	*colon = '\0';
	l->count++;
	rc = addr_split(item, host, sizeof host, &port, err);
	if (!rc)
		rc = socket_make(&link->records, l->zmq, ZMQ_PULL, err);
	if (!rc)
		rc = socket_make(&link->acks, l->zmq, ZMQ_PUSH, err);
	if (!rc)
		rc = socket_connect(link->records, host, port, err);
	if (!rc)
		rc = socket_connect(link->acks, host, (int)ack_port, err);
	l->poll[l->count - 1] = (zmq_pollitem_t){ link->records, 0, ZMQ_POLLIN, 0 };
	return rc;
}

static int live_add(struct links *l, const char *item, struct err *err)
{
	char host[256];
	int port, rc = addr_split(item, host, sizeof host, &port, err);

	return rc ? rc : socket_connect(l->live, host, port, err);
}

int links_open(struct links **out, const char *ingresses, const char *live, struct err *err)
{
	struct links *l = calloc(1, sizeof *l);
	struct span list = span_of(ingresses);
	char item[300];
	int rc;

	if (!l)
		return err_set(err, -ENOMEM, "links");
	l->zmq = zmq_ctx_new();
	rc = l->zmq ? socket_make(&l->live, l->zmq, ZMQ_PUB, err) : err_set(err, -ENOMEM, "links");
	while (!rc && (rc = item_take(&list, item, sizeof item, err)) == 1)
		rc = link_add(l, item, err);
	list = span_of(live);
	while (!rc && (rc = item_take(&list, item, sizeof item, err)) == 1)
		rc = live_add(l, item, err);
	if (!rc && !l->count)
		rc = err_set(err, -EINVAL, "FOOTFALL_INGRESS_LINKS names no ingress");
	if (rc)
		links_close(&l);
	else
		*out = l;
	return rc;
}

void links_close(struct links **l_p)
{
	struct links *l = *l_p;

	if (!l)
		return;
	for (int i = 0; i < l->count; i++) {
		if (l->link[i].records)
			zmq_close(l->link[i].records);
		if (l->link[i].acks)
			zmq_close(l->link[i].acks);
	}
	if (l->live)
		zmq_close(l->live);
	if (l->zmq)
		zmq_ctx_term(l->zmq);
	free(l);
	*l_p = NULL;
}

int links_receive(struct links *l, zmq_msg_t *msg, int *link, int timeout_ms)
{
	if (zmq_poll(l->poll, l->count, timeout_ms) <= 0)
		return 0;
	for (int n = 0; n < l->count; n++) {
		int i = (l->next + n) % l->count;

		if ((l->poll[i].revents & ZMQ_POLLIN) &&
			zmq_msg_recv(msg, l->link[i].records, ZMQ_DONTWAIT) >= 0) {
			l->next = (i + 1) % l->count;
			*link = i;
			return 1;
		}
	}
	return 0;
}

void links_acknowledge(struct links *l, int link, const struct record_id *ids, uint32_t n)
{
	msgpack_sbuffer bytes;

	msgpack_sbuffer_init(&bytes);
	ack_encode(&bytes, ids, n);
	zmq_send(l->link[link].acks, bytes.data, bytes.size, ZMQ_DONTWAIT);
	msgpack_sbuffer_destroy(&bytes);
}

void links_tell_live(struct links *l, uint32_t site_id, uint32_t count)
{
	char text[32];
	int len = snprintf(text, sizeof text, "%u %u", site_id, count);

	zmq_send(l->live, text, (size_t)len, ZMQ_DONTWAIT);
}
