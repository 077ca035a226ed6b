/* Intake: what both HTTP interfaces do with an event once they have read it in their own format.
 * Finds the day and its keys, makes the visitor, seals the address, and appends to the journal.
 * Any thread may call. */
#ifndef FOOTFALL_INTAKE_H
#define FOOTFALL_INTAKE_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/http.h"
#include "lib/journal/journal.h"
#include "proto/dropped.h"
#include "proto/event.h"
#include "services/ingress/bots.h"
#include "services/ingress/day.h"
#include "services/ingress/limits.h"
#include "services/ingress/recents.h"
#include "services/ingress/refusals.h"
#include "services/ingress/snapshot.h"

/* What an ingress is made of; the handlers' service. All borrowed but the counters. */
struct intake {
	struct snapshot *snapshot;
	struct days *days;
	struct journal *journal;
	struct refusals *refusals;
	struct recents *recents;
	struct bots *bots;
	struct limits *limits;
	struct span tracker; /* source of the script for pages */
	atomic_llong accepted, rejected;
};

#define CLIENT_EVENT_ID_MOST 200 /* bytes of a client's own id */
#define CLIENT_SESSION_MOST  200 /* bytes of a caller's name of a session */

/* The id of an event: of the client's own id, or of the door's request id and the index in the
 * request, or drawn. Empty spans are absent. */
int64_t intake_event_id(struct span own, struct span request_id, size_t index);

/* Who sent an event, and how. Texts are "" where there is none. */
struct client {
	const struct addr *address; /* NULL: not known */
	struct span id;             /* what a browser or caller knows its visitor by */
	struct span session;        /* what a caller tells visitors of a day apart by; empty: by
				     * address and agent */
	bool alone;                 /* each of its events is of a visitor of its own */
	const char *way;            /* the path that it was sent to */
	bool from_page;             /* by a browser, or who passes for one: limits hold */
	bool opts_out;              /* with DNT: 1 or Sec-GPC: 1 */
	struct span origin;         /* UTF-8 or not */
	uint8_t bot;                /* enum event_bot, as its request tells */
};

/* What a request from a page says of its sender, but for address and id. */
struct client intake_client(const struct http_request *req, const char *way);

/* Whether the site refuses it, by what is known of ev, whose bot is set. What it does not refuse
 * may be given to intake_event(). */
enum dropped intake_refuse(
	struct intake *in, const struct site *site, struct event *ev, const struct client *client);

/* Complete ev (site_id, visitor, address, address_date are set here) for `site` and append it. The
 * event is safe only after journal_wait(). The client's id counts on dates of a persistent
 * identity. -EINVAL, -EMSGSIZE: this event cannot be taken, with the reason; -ENOSPC, -EIO,
 * -EAGAIN, -ECONNRESET: none can be taken now. */
int intake_event(struct intake *in, const struct site *site, struct event *ev,
	const struct client *client, struct journal_ticket *ticket, struct err *err) MUST_CHECK;

/* What became of the events of a request. It counts with the answer, and not at all when that is
 * 503 or none: then the request is sent again, and would count twice. */
struct tally {
	size_t dropped;
	unsigned reasons; /* bits */
	struct tallied *outcomes;
	size_t count, size;
	size_t told[2]; /* of those taken and dropped so many have their texts */
};

/* Note an event that was appended for a site, or that was not taken, whoever decided that. site
 * NULL: none that is known; ev NULL: nothing of it could be read. Of the first RECENTS_OF_SITE of a
 * request the texts are kept until it is answered, to serve as samples and recents: so many of a
 * thousand tell as much, and memory stays bounded. */
void intake_take(struct tally *tally, const struct site *site, const struct event *ev);
void intake_drop(struct intake *in, struct tally *tally, enum dropped reason,
	const struct site *site, const struct event *ev, const struct client *client);

/* Count what was noted, and say what was dropped in the answer to come. x-footfall-dropped: the
 * reasons' words, separated by commas. Nothing when all was taken. Frees the tally. */
void intake_end(struct intake *in, struct http_request *req, struct tally *tally,
	const struct client *client);

/* Free the tally of a request that will be sent again. */
void intake_forget(struct tally *tally);

/* Whether rc of the above is about the one event, and not about us. */
static inline bool intake_event_is_bad(int rc)
{
	return rc == -EINVAL || rc == -EMSGSIZE;
}

/* http_body(); a body that cannot be taken counts as invalid, but for one that may be sent again.
 */
int intake_body(struct intake *in, struct http_request *req, size_t most, struct span *body,
	const struct client *client) MUST_CHECK;
/* The same with http_read_packed_body(). */
int intake_packed_body(struct intake *in, struct http_request *req, size_t most, struct span *body,
	const struct client *client) MUST_CHECK;

/* Answer 503: nothing of this request was kept, try again. */
void intake_answer_unavailable(struct http_request *req, const struct err *err);

/* Headers that let any page's script read the answer. Never with credentials. */
void intake_allow_any_origin(struct http_request *req);
/* Answer a preflight: a day long any page's script may send by these methods, with any header. */
void intake_answer_preflight(struct http_request *req, const char *methods);

/* POST /api/event and its preflight. */
void collect_event(struct http_request *req, void *intake);
void collect_preflight(struct http_request *req, void *intake);
/* GET and POST /count, /<property_id>/count; POST /api/v0/count */
void goatcounter_count(struct http_request *req, void *intake);
void goatcounter_api(struct http_request *req, void *intake);
/* GET /pixel/<property_id>.gif */
void pixel_get(struct http_request *req, void *intake);
/* POST /api/send and /api/batch, and their preflight. */
void umami_send(struct http_request *req, void *intake);
void umami_batch(struct http_request *req, void *intake);
void umami_preflight(struct http_request *req, void *intake);
/* GET and POST /matomo.php */
void matomo_track(struct http_request *req, void *intake);
/* POST /api/v1/events */
void server_api_events(struct http_request *req, void *intake);
/* GET /js/<property_id>.js */
void script_get(struct http_request *req, void *intake);

#endif
