/* Refused traffic: why it was not taken, in words, and how its sums cross the wire as events of
 * kind EVENT_DROPPED; event.md has the words. */
#ifndef FOOTFALL_DROPPED_H
#define FOOTFALL_DROPPED_H

#include "proto/event.h"

enum dropped {
	DROPPED_NONE,
	DROPPED_UNKNOWN_SITE,   /* no site has that name, or not for this key */
	DROPPED_INVALID,        /* it cannot be read: answered 400, or "rejected" */
	DROPPED_KEY,            /* the key is not one that may send events */
	DROPPED_TOO_MANY_SITES, /* beyond what one event may name */
	DROPPED_UNAVAILABLE,    /* it could not be stored, while another of the request could */
	DROPPED_ORIGIN,         /* the site lists origins, and not this one */
	DROPPED_NO_ORIGIN,      /* the site requires one */
	DROPPED_OPT_OUT,        /* DNT or Sec-GPC, which the site honours */
	DROPPED_IP,             /* rules of the site, from here on … */
	DROPPED_COUNTRY,
	DROPPED_HOST,
	DROPPED_PATH,
	DROPPED_AGENT, /* … to here */
	DROPPED_BOT,   /* as enum event_bot, for sites that refuse bots, from here on */
	DROPPED_BOT_HINT,
	DROPPED_SPAM_REFERRER,
	DROPPED_DATA_CENTRE,
	DROPPED_PREFETCH,
	DROPPED_RATE, /* its address, or its site, has sent too many: answered 429 */
	DROPPED_REASONS
};

/* The reason's word: "ip". */
const char *dropped_word(enum dropped reason);

/* The reason for which a site that refuses bots refuses one. */
enum dropped dropped_of_bot(uint8_t event_bot);

#define DROPPED_WORD_MOST   24 /* bytes of a word, also of a newer writer's */
#define DROPPED_ORIGIN_MOST 255

/* So many requests, or events of one, of a site in the hour of ts_us. A sample is one of them as it
 * came, without its address; its texts are "" in a sum. */
struct dropped_sum {
	uint32_t site_id; /* 0: of no site that is known */
	int64_t ts_us;
	struct span reason; /* a word; that of a newer writer may be new */
	uint64_t count;     /* at least 1 */
	bool is_sample;
	struct span host, path, agent, referrer, origin;
};

/* Append the event's bytes to out. Texts that are too long are cut. -ENOMEM. */
int dropped_encode(msgpack_sbuffer *out, const struct dropped_sum *sum, struct err *err) MUST_CHECK;

/* What an event of kind EVENT_DROPPED says. *sum borrows from the event, and from *kept, which is
 * the caller's to free with dropped_done(), after an error, too. -EINVAL: it says nothing of the
 * kind. */
struct json_t;
int dropped_read(struct dropped_sum *sum, const struct event *ev, struct json_t **kept,
	struct err *err) MUST_CHECK;
void dropped_done(struct json_t **kept);

#endif
