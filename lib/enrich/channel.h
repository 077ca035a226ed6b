/* Channels: the kinds of ways to a site, as Plausible groups them: by its rules, in its order
 * (which are Google Analytics 4's, and some of its own). */
#ifndef FOOTFALL_CHANNEL_H
#define FOOTFALL_CHANNEL_H

#include <stdbool.h>

#include "lib/span.h"

enum channel {
	CHANNEL_DIRECT,
	CHANNEL_CROSS_NETWORK,
	CHANNEL_PAID_SHOPPING,
	CHANNEL_PAID_SEARCH,
	CHANNEL_PAID_SOCIAL,
	CHANNEL_PAID_VIDEO,
	CHANNEL_DISPLAY,
	CHANNEL_PAID_OTHER,
	CHANNEL_ORGANIC_SHOPPING,
	CHANNEL_ORGANIC_SOCIAL,
	CHANNEL_ORGANIC_VIDEO,
	CHANNEL_AI_ASSISTANTS,
	CHANNEL_ORGANIC_SEARCH,
	CHANNEL_EMAIL,
	CHANNEL_AFFILIATES,
	CHANNEL_AUDIO,
	CHANNEL_SMS,
	CHANNEL_MOBILE_PUSH,
	CHANNEL_REFERRAL,
	CHANNELS
};

/* What a source is by the lists. */
enum source_kind {
	SOURCE_OTHER,
	SOURCE_SEARCH,
	SOURCE_SOCIAL,
	SOURCE_VIDEO,
	SOURCE_SHOPPING,
	SOURCE_EMAIL,
	SOURCE_AI,
	SOURCE_KINDS
};

/* What a channel is found by. Texts in any case. */
struct channel_clues {
	struct span source; /* the name; empty: direct */
	enum source_kind kind;
	bool paid; /* by its utm_source alone: "adwords", "fb-ads" */
	struct span utm_source, utm_medium, utm_campaign, click_id;
};

enum channel channel_of(const struct channel_clues *clues);

/* As Plausible spells it: "Organic Search". Static. */
struct span channel_name(enum channel channel);

#endif
