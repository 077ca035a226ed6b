/* The decoder of one event, as it lies in a journal and comes in a record: its spans stay within
 * the bytes, its bounds hold, and what decodes is the same when it is encoded and decoded again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proto/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct span s, struct span wire, size_t most)
{
	assert(s.len <= most);
	assert(!s.len || (s.ptr >= wire.ptr && s.ptr + s.len <= wire.ptr + wire.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span wire = { (const char *)data, size };
	struct event ev, same;
	msgpack_sbuffer bytes;
	struct err err;

	if (event_decode(&ev, wire, &err))
		return 0;
	within(ev.name, wire, EVENT_NAME_MOST);
	within(ev.host, wire, EVENT_HOST_MOST);
	within(ev.path, wire, EVENT_PATH_MOST);
	within(ev.title, wire, EVENT_TITLE_MOST);
	within(ev.referrer, wire, EVENT_REFERRER_MOST);
	within(ev.user_agent, wire, EVENT_AGENT_MOST);
	within(ev.address, wire, EVENT_SEALED_BYTES);
	within(ev.language, wire, EVENT_LANGUAGE_MOST);
	within(ev.revenue, wire, EVENT_AMOUNT_MOST);
	within(ev.props, wire, EVENT_JSON_MOST);
	within(ev.metadata, wire, EVENT_JSON_MOST);
	within(ev.utm_source, wire, EVENT_CAMPAIGN_MOST);
	within(ev.click_id, wire, EVENT_CLICK_ID_MOST);
	within(ev.ch_brands, wire, EVENT_BRANDS_MOST);
	within(ev.ch_model, wire, EVENT_HINT_MOST);
	within(ev.cdn_city, wire, EVENT_CITY_MOST);
	assert(ev.scroll_depth <= 100);
	msgpack_sbuffer_init(&bytes);
	if (!event_encode(&bytes, &ev, &err)) {
		assert(!event_decode(&same, (struct span){ bytes.data, bytes.size }, &err));
		assert(same.site_id == ev.site_id && same.id == ev.id && same.ts_us == ev.ts_us);
		assert(same.visitor == ev.visitor && same.kind == ev.kind);
		assert(span_equals(same.path, ev.path) && span_equals(same.props, ev.props));
		assert(same.engaged_ms == ev.engaged_ms && same.scroll_depth == ev.scroll_depth);
	}
	msgpack_sbuffer_destroy(&bytes);
	return 0;
}
