#include "services/worker/link.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/curve.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/stop.h"
#include "services/worker/names.h"

#define UNLINKED_MS 20 /* between two looks for an ingress, while there is none */

/* A name from the lists: of an ingress, with both its ports, or of a query service, with one. */
struct target {
	char host[256];
	int port, ack_port; /* ack_port 0: a query service */
};

/* To one address behind a name. An ingress's has sockets of its own; live ones share the PUB. */
struct link {
	unsigned number; /* 0: the place is free; never given twice */
	struct address address;
	void *records, *acks;
};

struct links {
	struct links_options options;
	struct target targets[NAMES_MOST];
	const char *hosts[NAMES_MOST];
	unsigned target_count, next_number;
	struct names *names;
	void *zmq, *live;
	struct link link[ADDRESSES_MOST];
	bool incomplete; /* an address has no link yet */
	unsigned turn;   /* whose it is to be read: no ingress may starve another */
	atomic_uint ingresses;
};

/* --- the lists -------------------------------------------------------------------------------- */

static int port_of(const char *text)
{
	char *end;
	long port = strtol(text, &end, 10);

	return end == text || *end || port < 1 || port > 65535 ? 0 : (int)port;
}

static int target_add(struct links *l, struct span item, bool live, struct err *err)
{
	const char *setting = live ? "FOOTFALL_LIVE_LINKS" : "FOOTFALL_INGRESS_LINKS";
	const char *shape = live ? "host:port" : "host:push:ack";
	struct target *t = &l->targets[l->target_count];
	char text[300], *colon;

	if (l->target_count == NAMES_MOST)
		return err_set(err, -E2BIG, "%s: more than %d names", setting, NAMES_MOST);
	if (item.len >= sizeof text)
		return err_set(err, -EINVAL, "%s: \"%.60s…\" is too long", setting, item.ptr);
	memcpy(text, item.ptr, item.len);
	text[item.len] = '\0';
	memset(t, 0, sizeof *t);
	if (!live) {
		colon = strrchr(text, ':');
		t->ack_port = colon ? port_of(colon + 1) : 0;
		if (!t->ack_port)
			return err_set(err, -EINVAL, "%s: \"%s\" is not %s", setting, text, shape);
		*colon = '\0';
	}
	if (addr_split(text, t->host, sizeof t->host, &t->port, err))
		return err_set(err, -EINVAL, "%s: \"%.*s\" is not %s", setting, (int)item.len,
			item.ptr, shape);
	l->hosts[l->target_count++] = t->host;
	return 0;
}

static int targets_read(struct links *l, const char *text, bool live, struct err *err)
{
	struct span list = span_of(text);
	int rc = 0;

	while (list.len && !rc) {
		size_t comma = span_find(list, ',');
		struct span item = span_trim(span_first(list, comma));

		list = span_from(list, comma + 1);
		if (item.len)
			rc = target_add(l, item, live, err);
	}
	return rc;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int socket_make(struct links *l, void **out, int type, struct err *err)
{
	/* Few records wait in sockets: what waits there is in no other worker's reach. No
	 * heartbeats: see socket_bind() in services/ingress/sender.c. */
	const struct {
		int option, value;
	} options[] = { { ZMQ_RCVHWM, 2 }, { ZMQ_SNDHWM, type == ZMQ_PULL ? 2 : 1000 },
		{ ZMQ_RCVBUF, 64 << 10 }, { ZMQ_SNDBUF, 64 << 10 }, { ZMQ_LINGER, 1000 },
		{ ZMQ_RECONNECT_IVL, 100 }, { ZMQ_RECONNECT_IVL_MAX, 2000 }, { ZMQ_IPV6, 1 },
		{ ZMQ_TCP_KEEPALIVE, 1 }, { ZMQ_TCP_KEEPALIVE_IDLE, 5 },
		{ ZMQ_TCP_KEEPALIVE_INTVL, 2 }, { ZMQ_TCP_KEEPALIVE_CNT, 3 },
		{ ZMQ_TCP_MAXRT, 10000 } };
	const int64_t most = RECORD_MOST;
	void *socket = zmq_socket(l->zmq, type);
	int rc = socket ? 0 : -1;

	for (size_t i = 0; !rc && i < sizeof options / sizeof *options; i++)
		rc = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
	if (!rc)
		rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
	*out = socket;
	if (!rc && *l->options.own_secret)
		return curve_client_use(socket, l->options.server_key, l->options.own_secret, err);
	return rc ? err_set(err, -errno, "link: %s", zmq_strerror(errno)) : 0;
}

static void endpoint_of(const struct link *link, int port, char endpoint[ADDRESS_SIZE + 16])
{
	snprintf(endpoint, ADDRESS_SIZE + 16, "tcp://%s:%d", link->address.text, port);
}

static int socket_connect(const struct link *link, void *socket, int port, struct err *err)
{
	char endpoint[ADDRESS_SIZE + 16];

	endpoint_of(link, port, endpoint);
	if (zmq_connect(socket, endpoint))
		return err_set(err, -errno, "link %s: %s", endpoint, zmq_strerror(errno));
	return 0;
}

static void link_end(struct links *l, struct link *link)
{
	const struct target *target = &l->targets[link->address.name];
	char endpoint[ADDRESS_SIZE + 16];

	endpoint_of(link, target->port, endpoint);
	log_info("link: ended %s", endpoint);
	if (!target->ack_port)
		zmq_disconnect(l->live, endpoint);
	if (link->records)
		zmq_close(link->records);
	if (link->acks)
		zmq_close(link->acks);
	memset(link, 0, sizeof *link);
}

static int link_begin(
	struct links *l, struct link *link, const struct address *address, struct err *err)
{
	const struct target *target = &l->targets[address->name];
	int rc;

	link->number = ++l->next_number;
	link->address = *address;
	if (!target->ack_port)
		return socket_connect(link, l->live, target->port, err);
	rc = socket_make(l, &link->records, ZMQ_PULL, err);
	if (!rc)
		rc = socket_make(l, &link->acks, ZMQ_PUSH, err);
	if (!rc)
		rc = socket_connect(link, link->records, target->port, err);
	if (!rc)
		rc = socket_connect(link, link->acks, target->ack_port, err);
	return rc;
}

/* --- what the names mean now -------------------------------------------------------------------
 */

static bool same(const struct address *a, const struct address *b)
{
	return a->name == b->name && !strcmp(a->text, b->text);
}

static struct link *link_of(struct links *l, const struct address *address)
{
	for (unsigned i = 0; i < ADDRESSES_MOST; i++)
		if (l->link[i].number && same(&l->link[i].address, address))
			return &l->link[i];
	return NULL;
}

static struct link *free_place(struct links *l)
{
	struct link *link = l->link;

	while (link->number)
		link++; /* there are as many places as addresses */
	return link;
}

static void links_follow(struct links *l)
{
	struct address now[ADDRESSES_MOST];
	unsigned count, ingresses = 0;
	struct err err;

	if (!names_changed(l->names, now, &count) && !l->incomplete)
		return;
	l->incomplete = false;
	for (unsigned i = 0; i < ADDRESSES_MOST; i++) {
		bool stays = false;

		for (unsigned k = 0; k < count && !stays; k++)
			stays = same(&l->link[i].address, &now[k]);
		if (l->link[i].number && !stays)
			link_end(l, &l->link[i]);
	}
	for (unsigned k = 0; k < count; k++) {
		struct link *link = link_of(l, &now[k]);

		if (!link) {
			link = free_place(l);
			if (link_begin(l, link, &now[k], &err)) {
				log_error("%s", err.msg);
				link_end(l, link);
				l->incomplete = true; /* again at the next look */
				continue;
			}
			log_info("link: begun host=%s address=%s", l->hosts[now[k].name],
				now[k].text);
		}
		ingresses += link->records != NULL;
	}
	atomic_store(&l->ingresses, ingresses);
}

int links_open(struct links **out, const struct links_options *options, struct err *err)
{
	struct links *l = calloc(1, sizeof *l);
	int rc;

	if (!l)
		return err_set(err, -ENOMEM, "links");
	l->options = *options;
	l->zmq = zmq_ctx_new();
	rc = l->zmq ? targets_read(l, options->ingresses, false, err)
		    : err_set(err, -ENOMEM, "links");
	if (!rc && !l->target_count)
		rc = err_set(err, -EINVAL, "FOOTFALL_INGRESS_LINKS names no ingress");
	if (!rc)
		rc = targets_read(l, options->live, true, err);
	if (!rc)
		rc = socket_make(l, &l->live, ZMQ_PUB, err);
	if (!rc)
		rc = names_open(&l->names, l->hosts, l->target_count, err);
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
	names_close(&l->names);
	for (unsigned i = 0; i < ADDRESSES_MOST; i++) {
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

unsigned links_count(struct links *l)
{
	return atomic_load(&l->ingresses);
}

/* --- records ---------------------------------------------------------------------------------- */

int links_receive(struct links *l, zmq_msg_t *msg, unsigned *number, int fd, int timeout_ms)
{
	zmq_pollitem_t items[ADDRESSES_MOST + 2];
	struct link *links[ADDRESSES_MOST];
	int count = 0, all;

	links_follow(l);
	for (unsigned n = 0; n < ADDRESSES_MOST; n++) {
		struct link *link = &l->link[(l->turn + n) % ADDRESSES_MOST];

		if (!link->records)
			continue;
		links[count] = link;
		items[count++] = (zmq_pollitem_t){ link->records, 0, ZMQ_POLLIN, 0 };
	}
	all = count;
	if (stop_fd() >= 0)
		items[all++] = (zmq_pollitem_t){ NULL, stop_fd(), ZMQ_POLLIN, 0 };
	if (fd >= 0)
		items[all++] = (zmq_pollitem_t){ NULL, fd, ZMQ_POLLIN, 0 };
	if (!count && timeout_ms > UNLINKED_MS) /* the names' answers wake nobody */
		timeout_ms = UNLINKED_MS;
	if (zmq_poll(items, all, timeout_ms) <= 0)
		return 0;
	for (int i = 0; i < count; i++)
		if ((items[i].revents & ZMQ_POLLIN) &&
			zmq_msg_recv(msg, links[i]->records, ZMQ_DONTWAIT) >= 0) {
			l->turn = (unsigned)(links[i] - l->link) + 1;
			*number = links[i]->number;
			return 1;
		}
	return 0;
}

void links_acknowledge(struct links *l, unsigned number, const struct record_id *ids, uint32_t n)
{
	msgpack_sbuffer bytes;

	for (unsigned i = 0; i < ADDRESSES_MOST; i++) {
		if (l->link[i].number != number)
			continue;
		msgpack_sbuffer_init(&bytes);
		ack_encode(&bytes, ids, n);
		zmq_send(l->link[i].acks, bytes.data, bytes.size, ZMQ_DONTWAIT);
		msgpack_sbuffer_destroy(&bytes);
	}
}

void links_tell_live(struct links *l, uint32_t site_id, uint32_t count)
{
	char text[32];
	int len = snprintf(text, sizeof text, "%u %u", site_id, count);

	zmq_send(l->live, text, (size_t)len, ZMQ_DONTWAIT);
}
