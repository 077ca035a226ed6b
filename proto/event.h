/* The event on the wire and in the journal; event.md has the words. */
#ifndef FOOTFALL_EVENT_H
#define FOOTFALL_EVENT_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/span.h"

#define EVENT_VERSION 1

/* Bounds in bytes. An event is at most EVENT_MOST; the parts below add up to less. */
#define EVENT_MOST          (64 << 10)
#define EVENT_NAME_MOST     480  /* 120 characters, as Plausible's clients may send */
#define EVENT_HOST_MOST     253  /* a DNS name */
#define EVENT_PATH_MOST     2000 /* Plausible's bound for a URL */
#define EVENT_TITLE_MOST    1024 /* GoatCounter's bound for a title */
#define EVENT_REFERRER_MOST 2000
#define EVENT_AGENT_MOST    1024 /* real agents have under 512; the rules look at 512 */
#define EVENT_LANGUAGE_MOST 35   /* RFC 5646, section 4.4.1 */
#define EVENT_JSON_MOST     (24 << 10)
#define EVENT_AMOUNT_MOST   24
#define EVENT_VISITOR_MOST  64  /* of a persistent visitor's own id */
#define EVENT_CAMPAIGN_MOST 255 /* of each campaign parameter */
#define EVENT_CLICK_ID_MOST 16
#define EVENT_BRANDS_MOST   512
#define EVENT_HINT_MOST     128
#define EVENT_REGION_MOST   16
#define EVENT_CITY_MOST     128

/* crypto_aead_xchacha20poly1305_ietf: nonce, 16 bytes of address, tag. */
#define EVENT_SEALED_BYTES (24 + 16 + 16)

/* words.md says which of them make visits, and as what they count. */
enum event_kind {
	EVENT_PAGEVIEW = 1,
	EVENT_CUSTOM,
	EVENT_ENGAGEMENT,
	EVENT_EXIT,   /* a page is left */
	EVENT_PING,   /* a page is still being looked at */
	EVENT_ERROR,  /* of a script */
	EVENT_VITAL,  /* a web vital */
	EVENT_DROPPED /* refused traffic, in sums: dropped.h */
};

/* The kind's word for people and programs: "pageview"; "" for none. */
const char *event_kind_word(uint8_t kind);

/* Why an event is thought to be of no person; it is kept and marked. */
enum event_bot {
	EVENT_BOT_NONE,
	EVENT_BOT_AGENT,       /* its user agent is a known one */
	EVENT_BOT_HINT,        /* the script says so: webdriver, headless */
	EVENT_BOT_SPAM,        /* the referrer is a spammer's */
	EVENT_BOT_DATA_CENTRE, /* the address belongs to one */
	EVENT_BOT_PREFETCH     /* the browser fetched or rendered the page ahead of any visit */
};

/* What Sec-CH-UA-Mobile said. */
enum event_mobile { EVENT_MOBILE_UNSAID, EVENT_MOBILE_NO, EVENT_MOBILE_YES };

#define EVENT_NONE (-1) /* of engaged_ms and scroll_depth */

/* Texts are UTF-8 without NUL; empty means none. */
struct event {
	uint32_t site_id; /* above 0, but for refused traffic of no known site */
	int64_t id;       /* never 0 */
	int64_t ts_us;    /* when it happened; never in the future */
	uint8_t kind;     /* enum event_kind */
	int64_t visitor;  /* never 0; its lowest bit says whether it is persistent */
	bool interactive;
	struct span name; /* of a custom event */
	struct span host, path, title;
	struct span referrer; /* scheme, host and path only */
	struct span user_agent;
	struct span address;   /* sealed, EVENT_SEALED_BYTES; empty when there is none */
	int64_t address_date;  /* day (since 1970-01-01) whose key sealed it */
	struct span language;  /* BCP 47 */
	uint32_t screen_width; /* CSS px, 0 when not known */
	int64_t engaged_ms;    /* or EVENT_NONE */
	int64_t scroll_depth;  /* 0 to 100, or EVENT_NONE */
	struct span revenue;   /* a decimal number as text */
	struct span currency;  /* ISO 4217 */
	struct span props;     /* JSON object of texts */
	struct span metadata;  /* JSON object */
	/* Of the page's query: what tells where a visitor came from. */
	struct span utm_source, utm_medium, utm_campaign, utm_term, utm_content;
	struct span ref;      /* `source`, else `ref` */
	struct span click_id; /* which of them there was ("gclid"), never its value */
	/* User-Agent Client Hints, without their quotes. */
	struct span ch_brands; /* Sec-CH-UA-Full-Version-List, else Sec-CH-UA: a list, as sent */
	struct span ch_platform, ch_platform_version, ch_model;
	uint8_t ch_mobile; /* enum event_mobile */
	/* Where a CDN that is trusted says that the client is. */
	struct span cdn_country; /* ISO 3166-1 alpha-2 */
	struct span cdn_region, cdn_city;
	uint8_t bot; /* enum event_bot, as far as the ingress can tell */
};

/* Append the event's bytes to out. -EMSGSIZE: it has more than EVENT_MOST; -ENOMEM. On error out is
 * as before. */
int event_encode(msgpack_sbuffer *out, const struct event *ev, struct err *err) MUST_CHECK;

/* Decode wire into *ev, whose spans borrow from wire. Errors as mp_reader_end()'s. */
int event_decode(struct event *ev, struct span wire, struct err *err) MUST_CHECK;

/* The site of an event, without reading the rest, which may be damaged. 0: cannot be told so; then
 * event_decode() says why. */
uint32_t event_site(struct span wire);

/* A date's key (32 bytes, from the database) as the two keys derived from it. */
struct event_day_keys {
	unsigned char salt[32]; /* of visitor hashes */
	unsigned char seal[32]; /* of addresses */
};
void event_day_keys_derive(struct event_day_keys *keys, const unsigned char day_key[32]);

/* The visitor of a site on the keys' date (days since 1970-01-01), which it begins with; then a
 * keyed hash of site, address and agent; daily. */
int64_t event_visitor(const struct event_day_keys *keys, int64_t date, uint32_t site_id,
	const struct addr *client, struct span user_agent);

/* The persistent visitor of a site that has this id of its own. */
int64_t event_persistent_visitor(uint32_t site_id, struct span id);

/* Seal an address for the journal, and open it again. -EBADMSG: not sealed by this key for this
 * site. */
void event_seal(unsigned char sealed[EVENT_SEALED_BYTES], const struct event_day_keys *keys,
	uint32_t site_id, const struct addr *client);
int event_unseal(struct addr *client, const struct event_day_keys *keys, uint32_t site_id,
	struct span sealed, struct err *err) MUST_CHECK;

#endif
