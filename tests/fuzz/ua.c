/* User agents and Client Hints, by the real rules and the real list: whatever the bytes, what comes
 * of them is valid UTF-8 within its bounds, and the same when it is asked for again, cached or not.
 * The input is lines: agent, brands, platform, its version, model; what the last one begins with
 * says whether it is mobile. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/enrich/ua.h"
#include "lib/enrich/uap.h"
#include "lib/utf8.h"

#define RULES "node_modules/uap-core/regexes.yaml"
#define BOTS  "node_modules/crawler-user-agents/crawler-user-agents.json"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ua_rules *open_rules(void)
{
	struct ua_rules *rules = NULL;
	struct err err;

	if (ua_rules_open(&rules, RULES, BOTS, &err))
		abort();
	return rules;
}

static struct span take_line(struct span *rest)
{
	struct span line = span_first(*rest, span_find(*rest, '\n'));

	*rest = span_from(*rest, line.len + 1);
	return line;
}

static void sane(const char *text, size_t size)
{
	assert(memchr(text, '\0', size));
	assert(utf8_valid(span_of(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ua_rules *rules, *others;
	struct span rest = { (const char *)data, size };
	const struct span agent = take_line(&rest);
	struct ua_hints hints = { .mobile = 0 };
	struct ua ua, again;

	if (!rules) {
		rules = open_rules();
		others = open_rules();
	}
	hints.brands = take_line(&rest);
	hints.platform = take_line(&rest);
	hints.platform_version = take_line(&rest);
	hints.model = take_line(&rest);
	hints.mobile = rest.len ? (uint8_t)rest.ptr[0] % 3 : 0;
	ua_parse(rules, agent, &hints, &ua);
	sane(ua.browser, sizeof ua.browser);
	sane(ua.browser_version, sizeof ua.browser_version);
	sane(ua.os, sizeof ua.os);
	sane(ua.os_version, sizeof ua.os_version);
	sane(ua.device, sizeof ua.device);
	sane(ua.brand, sizeof ua.brand);
	sane(ua.model, sizeof ua.model);
	assert(ua.is_cut == (agent.len > UAP_AGENT_MOST));
	assert(!ua.is_bot || !strcmp(ua.device, "bot"));
	ua_parse(rules, agent, &hints, &again);
	assert(!memcmp(&ua, &again, sizeof ua));
	ua_parse(others, agent, &hints, &again);
	assert(!memcmp(&ua, &again, sizeof ua));
	ua_parse(rules, agent, NULL, &again);
	return 0;
}
