#include "services/ingress/recents.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/utf8.h"

struct recent {
	int64_t ts_us, id, visitor; /* id 0: it was not accepted */
	const char *way;
	uint8_t kind, bot, reason;
	char name[32], host[64], path[128], referrer[64], agent[160], origin[64];
};

struct ring {
	uint32_t site_id;      /* 0: free */
	uint32_t next;         /* how many it has had */
	uint64_t used;         /* when it was used last, by count */
	struct recent *recent; /* RECENTS_OF_SITE */
};

struct recents {
	pthread_mutex_t lock;
	uint64_t uses;
	struct ring ring[RECENTS_SITES];
};

int recents_open(struct recents **out, struct err *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return err_set(err, -ENOMEM, "recents");
	pthread_mutex_init(&(*out)->lock, NULL);
	return 0;
}

void recents_close(struct recents **recents)
{
	if (!*recents)
		return;
	for (int i = 0; i < RECENTS_SITES; i++)
		free((*recents)->ring[i].recent);
	pthread_mutex_destroy(&(*recents)->lock);
	free(*recents);
	*recents = NULL;
}

static struct ring *ring_find(struct recents *r, uint32_t site_id)
{
	for (int i = 0; i < RECENTS_SITES; i++)
		if (r->ring[i].site_id == site_id)
			return &r->ring[i];
	return NULL;
}

/* The site's ring, or that of the site for which nothing has come for longest; NULL: no memory. */
static struct ring *ring_take(struct recents *r, uint32_t site_id)
{
	struct ring *ring = ring_find(r, site_id), *oldest = &r->ring[0];

	if (ring)
		return ring;
	for (int i = 1; i < RECENTS_SITES; i++)
		if (r->ring[i].used < oldest->used)
			oldest = &r->ring[i];
	if (!oldest->recent)
		oldest->recent = calloc(RECENTS_OF_SITE, sizeof *oldest->recent);
	oldest->site_id = oldest->recent ? site_id : 0;
	oldest->next = 0;
	return oldest->recent ? oldest : NULL;
}

static void keep_text(char *to, size_t size, struct span text)
{
	text = utf8_first(text, size - 1);
	if (text.len)
		memcpy(to, text.ptr, text.len);
	to[text.len] = '\0';
}

/* Who opted out is only counted, and of an address that is refused it is not told what it did. */
static void keep_texts(struct recent *one, const struct event *ev, struct span origin)
{
	const struct span none = SPAN("");
	bool some = one->reason != DROPPED_OPT_OUT, all = some && one->reason != DROPPED_IP;

	keep_text(one->name, sizeof one->name, some ? ev->name : none);
	keep_text(one->host, sizeof one->host, some ? ev->host : none);
	keep_text(one->path, sizeof one->path, all ? ev->path : none);
	keep_text(one->referrer, sizeof one->referrer, all ? ev->referrer : none);
	keep_text(one->agent, sizeof one->agent, all ? ev->user_agent : none);
	keep_text(one->origin, sizeof one->origin, some ? origin : none);
}

void recents_add(struct recents *r, uint32_t site_id, const char *way, enum dropped reason,
	const struct event *ev, struct span origin)
{
	struct recent *one;
	struct ring *ring;

	pthread_mutex_lock(&r->lock);
	ring = ring_take(r, site_id);
	if (ring) {
		ring->used = ++r->uses;
		one = &ring->recent[ring->next++ % RECENTS_OF_SITE];
		one->ts_us = clock_now_us();
		one->id = reason ? 0 : ev->id;
		one->visitor = reason ? 0 : ev->visitor;
		one->way = way;
		one->kind = ev->kind;
		one->bot = ev->bot;
		one->reason = (uint8_t)reason;
		keep_texts(one, ev, origin);
	}
	pthread_mutex_unlock(&r->lock);
}

static void set_text(json_t *object, const char *name, const char *text)
{
	if (*text)
		json_object_set_new(object, name, json_string(text));
}

static void set_number(json_t *object, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, number);
	if (number)
		json_object_set_new(object, name, json_string(text));
}

static json_t *recent_json(const struct recent *one)
{
	json_t *object = json_pack("{sI ss}", "time_us", (json_int_t)one->ts_us, "way", one->way);

	set_text(object, "kind", event_kind_word(one->kind));
	if (one->reason)
		set_text(object, "reason", dropped_word((enum dropped)one->reason));
	set_text(object, "bot", dropped_word(dropped_of_bot(one->bot)));
	set_number(object, "id", one->id);
	set_number(object, "visitor", one->visitor);
	set_text(object, "name", one->name);
	set_text(object, "host", one->host);
	set_text(object, "path", one->path);
	set_text(object, "referrer", one->referrer);
	set_text(object, "agent", one->agent);
	set_text(object, "origin", one->origin);
	return object;
}

json_t *recents_json(struct recents *r, uint32_t site_id)
{
	json_t *list = json_array();
	const struct ring *ring;

	pthread_mutex_lock(&r->lock);
	ring = site_id ? ring_find(r, site_id) : NULL;
	for (uint32_t i = 1; ring && i <= RECENTS_OF_SITE && i <= ring->next; i++)
		json_array_append_new(
			list, recent_json(&ring->recent[(ring->next - i) % RECENTS_OF_SITE]));
	pthread_mutex_unlock(&r->lock);
	return list;
}
