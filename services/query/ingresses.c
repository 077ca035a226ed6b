#include "services/query/ingresses.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/http_client.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/span.h"

#define ALL_US     (2 * US_PER_SECOND) /* of one question, whatever is behind the names */
#define TIMEOUT_MS 1000                /* of one ingress */
#define ASKED_MOST 64                  /* in one request */
#define NAME_SIZE  256

/* The look-up of a name. Nothing ends one that waits for its server, so it goes on in what it was
 * begun with, and the place is taken as long. */
struct place {
	bool taken;
	struct gaicb lookup;
	char host[NAME_SIZE], service[8];
};

struct ingresses {
	char *list;
	pthread_mutex_t lock; /* of taken */
	struct place place[INGRESSES_AT_ONCE];
};

/* One question. */
struct question {
	struct place *place;
	struct http_client *http;
	int64_t until_mono_us;
	const char *site_id;
	json_t *all;
	unsigned asked, answered;
};

/* The next "host:port" of the list, as a text; false: there is none. */
static bool next_name(struct span *list, char name[NAME_SIZE])
{
	struct span one = { "", 0 };

	while (list->len && !one.len) {
		one = span_trim(span_first(*list, span_find(*list, ',')));
		*list = span_from(*list, span_find(*list, ',') + 1);
	}
	snprintf(name, NAME_SIZE, "%.*s", (int)one.len, one.ptr);
	return one.len > 0;
}

int ingresses_open(struct ingresses **out, const char *list, struct err *err)
{
	struct span rest = span_of(list);
	char name[NAME_SIZE], host[NAME_SIZE];
	struct ingresses *in;
	int port, rc = 0;

	while (!rc && next_name(&rest, name))
		rc = addr_split(name, host, sizeof host, &port, err);
	if (rc)
		return rc;
	in = calloc(1, sizeof *in);
	if (!in)
		return err_set(err, -ENOMEM, "ingresses");
	pthread_mutex_init(&in->lock, NULL);
	in->list = strdup(list ? list : "");
	if (in->list)
		*out = in;
	else
		ingresses_close(&in);
	return in ? 0 : err_set(err, -ENOMEM, "ingresses");
}

/* Whether its last look-up has ended; then nothing of it is left. */
static bool place_is_free(struct place *place)
{
	if (gai_error(&place->lookup) == EAI_INPROGRESS)
		return false;
	if (place->lookup.ar_result)
		freeaddrinfo(place->lookup.ar_result);
	place->lookup.ar_result = NULL;
	return true;
}

void ingresses_close(struct ingresses **ingresses_p)
{
	struct ingresses *in = *ingresses_p;
	bool all_free = true;

	*ingresses_p = NULL;
	if (!in)
		return;
	for (int i = 0; i < INGRESSES_AT_ONCE; i++)
		all_free &= place_is_free(&in->place[i]);
	free(in->list);
	pthread_mutex_destroy(&in->lock);
	if (all_free) /* else a look-up is under way in it, and the process ends */
		free(in);
}

/* NULL: all are taken. */
static struct place *place_take(struct ingresses *in)
{
	struct place *place = NULL;

	pthread_mutex_lock(&in->lock);
	for (int i = 0; i < INGRESSES_AT_ONCE && !place; i++)
		if (!in->place[i].taken && place_is_free(&in->place[i])) {
			place = &in->place[i];
			place->taken = true;
		}
	pthread_mutex_unlock(&in->lock);
	return place;
}

static void place_leave(struct ingresses *in, struct place *place)
{
	pthread_mutex_lock(&in->lock);
	place->taken = false;
	pthread_mutex_unlock(&in->lock);
}

static int64_t left_us(const struct question *q)
{
	int64_t left = q->until_mono_us - clock_mono_us();

	return left > 0 ? left : 0;
}

/* Look the host of its place up; false: it has no address, or none is known in time. */
static bool look_up(struct question *q)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct place *place = q->place;
	struct gaicb *const list[] = { &place->lookup };

	if (!place_is_free(place))
		return false;
	place->lookup = (struct gaicb){
		.ar_name = place->host, .ar_service = place->service, .ar_request = &hints
	};
	if (getaddrinfo_a(GAI_NOWAIT, (struct gaicb **)list, 1, NULL))
		return false;
	while (gai_error(list[0]) == EAI_INPROGRESS && left_us(q)) {
		const int64_t left = left_us(q);
		const struct timespec wait = { left / US_PER_SECOND, left % US_PER_SECOND * 1000 };

		gai_suspend((const struct gaicb *const *)list, 1, &wait);
	}
	return !gai_error(list[0]);
}

/* False: it does not answer, or not as ours do. */
static bool ask(struct question *q, const char *at)
{
	struct http_answer answer = { 0 };
	struct err err = { 0 };
	json_t *told = NULL;
	char url[NAME_SIZE + 64];
	long left_ms = (long)(left_us(q) / 1000);
	bool answered;

	if (!left_ms) /* no time-out, to libcurl */
		return false;
	http_client_limit(q->http, left_ms < TIMEOUT_MS ? left_ms : TIMEOUT_MS);
	snprintf(url, sizeof url, "http://%s/recent?site=%s", at, q->site_id);
	if (!http_client_get(q->http, url, &answer, &err) && answer.status == 200)
		told = json_loadb(answer.body.ptr, answer.body.len, 0, NULL);
	answered = json_is_array(told) && !json_array_extend(q->all, told);
	json_decref(told);
	if (!answered)
		log_warn("ingresses: one does not tell its last requests at=%s error=\"%s\"", at,
			err.msg);
	return answered;
}

/* Every address behind one name: with several ingresses of a service, one for each. */
static void ask_name(struct question *q, const char *name)
{
	struct place *place = q->place;
	char at[NAME_SIZE];
	struct err ignored;
	int port;

	if (!place_is_free(place)) { /* it still looks the one before up, and time is over */
		q->asked++;
		return;
	}
	if (addr_split(name, place->host, sizeof place->host, &port, &ignored))
		return;
	snprintf(place->service, sizeof place->service, "%d", port);
	if (!look_up(q)) {
		log_warn("ingresses: a name cannot be looked up name=%s", name);
		q->asked++;
		return;
	}
	for (const struct addrinfo *one = place->lookup.ar_result; one && q->asked < ASKED_MOST;
		one = one->ai_next) {
		char text[64];

		if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0,
			    NI_NUMERICHOST))
			continue;
		snprintf(at, sizeof at, strchr(text, ':') ? "[%s]:%d" : "%s:%d", text, port);
		q->asked++;
		q->answered += ask(q, at);
	}
}

int ingresses_recent(struct ingresses *in, const char *site_id, json_t *all, unsigned *asked,
	unsigned *answered, struct err *err)
{
	struct question q = { .place = place_take(in), .site_id = site_id, .all = all };
	struct span rest = span_of(in->list);
	char name[NAME_SIZE];
	int rc;

	*asked = *answered = 0;
	if (!q.place)
		return err_set(err, -EBUSY, "ingresses are being asked by others");
	q.until_mono_us = clock_mono_us() + ALL_US;
	rc = http_client_open(&q.http, NULL, TIMEOUT_MS, err);
	if (!rc) {
		http_client_direct(q.http);
		while (next_name(&rest, name))
			ask_name(&q, name);
		http_client_close(&q.http);
	}
	place_leave(in, q.place);
	*asked = q.asked;
	*answered = q.answered;
	return rc;
}
