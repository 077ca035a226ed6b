#include "lib/enrich/channel.h"

#define TEXT_MOST                                                                                  \
	255 /* as of an event's campaign parameters; of a longer text the rest is not looked at */

/* The clues in lower case. */
struct lowered {
	char buf[5][TEXT_MOST];
	struct span source, utm_source, utm_medium, utm_campaign, click_id;
};

static struct span lower(char buf[TEXT_MOST], struct span text)
{
	text = span_first(text, TEXT_MOST);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return (struct span){ buf, text.len };
}

static bool contains(struct span text, struct span part)
{
	return text.len && memmem(text.ptr, text.len, part.ptr, part.len);
}

static bool is_one_of(struct span text, const char *const *list)
{
	for (; *list; list++)
		if (span_equals(text, span_of(*list)))
			return true;
	return false;
}

static bool contains_one_of(struct span text, const char *const *list)
{
	for (; *list; list++)
		if (contains(text, span_of(*list)))
			return true;
	return false;
}

/* ^(.*cp.*|ppc|retargeting|paid.*)$ */
static bool medium_is_paid(struct span medium)
{
	static const char *const paid[] = { "ppc", "retargeting", NULL };

	return contains(medium, SPAN("cp")) || is_one_of(medium, paid) ||
	       span_starts_with(medium, SPAN("paid"));
}

/* ^(.*(([^a-df-z]|^)shop|shopping).*)$: "shop", but not in "workshop" or "bishop". */
static bool campaign_is_shopping(struct span campaign)
{
	if (contains(campaign, SPAN("shopping")))
		return true;
	for (size_t i = 0; i + 4 <= campaign.len; i++) {
		char before = i ? campaign.ptr[i - 1] : ' ';

		if (!memcmp(campaign.ptr + i, "shop", 4) &&
			(before < 'a' || before > 'z' || before == 'e'))
			return true;
	}
	return false;
}

static bool is_display(struct span medium)
{
	static const char *const display[] = { "display", "banner", "expandable", "interstitial",
		"cpm", NULL };

	return is_one_of(medium, display);
}

static bool medium_is_social(struct span medium)
{
	static const char *const social[] = { "social", "social-network", "social-media", "sm",
		"social network", "social media", NULL };

	return is_one_of(medium, social);
}

static bool is_email(struct span text)
{
	static const char *const tags[] = { "email", "e-mail", "e_mail", "e mail", "newsletter",
		NULL };

	return contains_one_of(text, tags);
}

static bool is_mobile_push(const struct lowered *l)
{
	static const char *const tags[] = { "mobile", "notification", NULL };

	return span_ends_with(l->utm_medium, SPAN("push")) ||
	       contains_one_of(l->utm_medium, tags) || span_equals(l->source, SPAN("firebase"));
}

static bool is_referral(const struct lowered *l)
{
	static const char *const mediums[] = { "referral", "app", "link", NULL };

	return l->source.len || is_one_of(l->utm_medium, mediums);
}

/* Ads that tag themselves with the id of a click only. */
static bool is_auto_tagged(const struct lowered *l)
{
	return (span_equals(l->source, SPAN("google")) &&
		       span_equals(l->click_id, SPAN("gclid"))) ||
	       (span_equals(l->source, SPAN("bing")) && span_equals(l->click_id, SPAN("msclkid")));
}

enum channel channel_of(const struct channel_clues *clues)
{
	struct lowered l;
	enum source_kind kind = clues->kind;
	bool medium_paid, paid, shopping;

	l.source = lower(l.buf[0], clues->source);
	l.utm_source = lower(l.buf[1], clues->utm_source);
	l.utm_medium = lower(l.buf[2], clues->utm_medium);
	l.utm_campaign = lower(l.buf[3], clues->utm_campaign);
	l.click_id = lower(l.buf[4], clues->click_id);
	medium_paid = medium_is_paid(l.utm_medium);
	paid = medium_paid || clues->paid;
	shopping = kind == SOURCE_SHOPPING || campaign_is_shopping(l.utm_campaign);

	if (contains(l.utm_campaign, SPAN("cross-network")))
		return CHANNEL_CROSS_NETWORK;
	if (shopping && medium_paid)
		return CHANNEL_PAID_SHOPPING;
	if ((kind == SOURCE_SEARCH && paid) || is_auto_tagged(&l))
		return CHANNEL_PAID_SEARCH;
	if (kind == SOURCE_SOCIAL && paid)
		return CHANNEL_PAID_SOCIAL;
	if (kind == SOURCE_VIDEO && paid)
		return CHANNEL_PAID_VIDEO;
	if (is_display(l.utm_medium))
		return CHANNEL_DISPLAY;
	if (medium_paid)
		return CHANNEL_PAID_OTHER;
	if (shopping)
		return CHANNEL_ORGANIC_SHOPPING;
	if (kind == SOURCE_SOCIAL || medium_is_social(l.utm_medium))
		return CHANNEL_ORGANIC_SOCIAL;
	if (kind == SOURCE_VIDEO || contains(l.utm_medium, SPAN("video")))
		return CHANNEL_ORGANIC_VIDEO;
	if (kind == SOURCE_AI)
		return CHANNEL_AI_ASSISTANTS;
	if (kind == SOURCE_SEARCH)
		return CHANNEL_ORGANIC_SEARCH;
	if (kind == SOURCE_EMAIL || is_email(l.utm_source) || is_email(l.utm_medium))
		return CHANNEL_EMAIL;
	if (span_equals(l.utm_medium, SPAN("affiliate")))
		return CHANNEL_AFFILIATES;
	if (span_equals(l.utm_medium, SPAN("audio")))
		return CHANNEL_AUDIO;
	if (span_equals(l.utm_source, SPAN("sms")) || span_equals(l.utm_medium, SPAN("sms")))
		return CHANNEL_SMS;
	if (is_mobile_push(&l))
		return CHANNEL_MOBILE_PUSH;
	return is_referral(&l) ? CHANNEL_REFERRAL : CHANNEL_DIRECT;
}

struct span channel_name(enum channel channel)
{
	static const char *const names[CHANNELS] = {
		[CHANNEL_DIRECT] = "Direct",
		[CHANNEL_CROSS_NETWORK] = "Cross-network",
		[CHANNEL_PAID_SHOPPING] = "Paid Shopping",
		[CHANNEL_PAID_SEARCH] = "Paid Search",
		[CHANNEL_PAID_SOCIAL] = "Paid Social",
		[CHANNEL_PAID_VIDEO] = "Paid Video",
		[CHANNEL_DISPLAY] = "Display",
		[CHANNEL_PAID_OTHER] = "Paid Other",
		[CHANNEL_ORGANIC_SHOPPING] = "Organic Shopping",
		[CHANNEL_ORGANIC_SOCIAL] = "Organic Social",
		[CHANNEL_ORGANIC_VIDEO] = "Organic Video",
		[CHANNEL_AI_ASSISTANTS] = "AI Assistants",
		[CHANNEL_ORGANIC_SEARCH] = "Organic Search",
		[CHANNEL_EMAIL] = "Email",
		[CHANNEL_AFFILIATES] = "Affiliates",
		[CHANNEL_AUDIO] = "Audio",
		[CHANNEL_SMS] = "SMS",
		[CHANNEL_MOBILE_PUSH] = "Mobile Push Notifications",
		[CHANNEL_REFERRAL] = "Referral",
	};

	return span_of(channel < CHANNELS ? names[channel] : "");
}
