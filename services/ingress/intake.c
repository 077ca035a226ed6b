#include "services/ingress/intake.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "lib/log.h"
#include "lib/secret.h"
#include "proto/record.h"

int64_t intake_event_id(struct span own, struct span request_id, size_t index)
{
	char text[512];
	int64_t drawn = 0;
	int len;

	if (own.len)
		len = snprintf(text, sizeof text, "c%.*s", (int)own.len, own.ptr);
	else
		len = snprintf(
			text, sizeof text, "r%.*s %zu", (int)request_id.len, request_id.ptr, index);
	if ((own.len || request_id.len) && len > 0 && (size_t)len < sizeof text)
		return id64(text, (size_t)len, NULL, 0);
	while (!drawn)
		randombytes_buf(&drawn, sizeof drawn);
	return drawn;
}

int intake_event(struct intake *in, const struct site *site, struct event *ev,
	const struct client *client, struct journal_ticket *ticket, struct err *err)
{
	static const struct addr unknown;
	unsigned char sealed[EVENT_SEALED_BYTES];
	msgpack_sbuffer wire;
	struct day day;
	int rc = 0;

	if (client->id.len > EVENT_VISITOR_MOST)
		rc = err_set(err, -EINVAL, "the visitor's id has more than %d bytes",
			EVENT_VISITOR_MOST);
	if (!rc)
		rc = days_find(in->days, site->zone, ev->ts_us, &day, err);
	if (rc == -EPROTO || rc == -ENOSYS) /* not the event's fault, and may be mended */
		rc = -EAGAIN;
	if (rc)
		return rc;
	ev->site_id = site->id;
	if (client->id.len && site_is_persistent(site, day.date))
		ev->visitor = event_persistent_visitor(site->id, client->id);
	else
		ev->visitor = event_visitor(&day.keys, site->id,
			client->address ? client->address : &unknown, ev->user_agent);
	ev->address_date = day.date;
	ev->address = SPAN("");
	if (client->address) {
		event_seal(sealed, &day.keys, site->id, client->address);
		ev->address = (struct span){ (const char *)sealed, sizeof sealed };
	}
	sodium_memzero(&day, sizeof day);
	msgpack_sbuffer_init(&wire);
	rc = event_encode(&wire, ev, err);
	if (!rc)
		rc = journal_append(in->journal, (uint8_t)(site->id % RECORD_LANES),
			(struct span){ wire.data, wire.size }, ticket, err);
	msgpack_sbuffer_destroy(&wire);
	return rc;
}

void intake_answer_unavailable(struct http_request *req, const struct err *err)
{
	log_debug("intake: not now: %s", err->msg);
	http_add_header(req, "Retry-After", "5");
	http_answer_error(req, 503, "events cannot be taken now, please try again");
}

void intake_allow_any_origin(struct http_request *req)
{
	http_add_header(req, "Access-Control-Allow-Origin", "*");
	http_add_header(
		req, "Access-Control-Expose-Headers", "x-footfall-dropped, x-plausible-dropped");
}
