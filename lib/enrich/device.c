#include "lib/enrich/device.h"

#include <string.h>

enum what {
	OS,     /* uap's system family is value */
	DEVICE, /* uap's device family is value */
	TEXT,   /* the agent holds value, in any case */
	BRAND   /* uap knows the brand, and it is not value */
};

/* The first row that holds decides. So what looks like something else comes first: bots,
 * televisions, consoles and watches borrow the agents of phones and desktops; tablets those of
 * phones. */
static const struct {
	enum what what;
	const char *value;   /* of TEXT in lower case */
	const char *without; /* a text, lower case, with which the row does not hold; or NULL */
	const char *type;
} rules[] = {
	/* A browser's agent names no address to complain to. CUBOT makes telephones. */
	{ DEVICE, "Spider", NULL, "bot" },
	{ TEXT, "bot", "cubot", "bot" },
	{ TEXT, "crawl", NULL, "bot" },
	{ TEXT, "spider", NULL, "bot" },
	{ TEXT, "+http", NULL, "bot" },

	{ OS, "tvOS", NULL, "tv" },
	{ OS, "ATV OS X", NULL, "tv" },
	{ OS, "GoogleTV", NULL, "tv" },
	{ OS, "Chromecast", NULL, "tv" },
	{ OS, "Roku", NULL, "tv" },
	{ OS, "WebTV", NULL, "tv" },
	{ OS, "Web0S", NULL, "tv" },
	{ OS, "FireHbbTV", NULL, "tv" },
	{ TEXT, "hbbtv", NULL, "tv" },
	{ TEXT, "smart-tv", NULL, "tv" },
	{ TEXT, "smarttv", NULL, "tv" },
	{ TEXT, "smart tv", NULL, "tv" },
	{ TEXT, "appletv", NULL, "tv" },
	{ TEXT, "apple tv", NULL, "tv" },
	{ TEXT, "googletv", NULL, "tv" },
	{ TEXT, "google tv", NULL, "tv" },
	{ TEXT, "android tv", NULL, "tv" },
	{ TEXT, "netcast", NULL, "tv" },
	{ TEXT, "web0s", NULL, "tv" },
	{ TEXT, "bravia", NULL, "tv" },
	{ TEXT, "viera", NULL, "tv" },
	{ TEXT, "aquosbrowser", NULL, "tv" },
	{ TEXT, "inettvbrowser", NULL, "tv" },
	{ TEXT, "crkey", NULL, "tv" },
	{ TEXT, "dtv;", NULL, "tv" },
	{ TEXT, "; aft", NULL, "tv" }, /* Amazon's Fire TV: AFTB, AFTS, AFTMM, … */
	{ TEXT, "tizen", "mobile", "tv" },

	{ TEXT, "playstation", NULL, "console" },
	{ TEXT, "xbox", NULL, "console" },
	{ TEXT, "nintendo", NULL, "console" },
	{ TEXT, "psp (", NULL, "console" },

	{ OS, "WatchOS", NULL, "wearable" },
	{ DEVICE, "Apple Watch", NULL, "wearable" },
	{ TEXT, "wear os", NULL, "wearable" },
	{ TEXT, "; sm-r", NULL, "wearable" }, /* Samsung's Gear and Galaxy Watch */

	{ TEXT, "ipad", NULL, "tablet" },
	{ TEXT, "tablet", "tablet pc",
		"tablet" }, /* "Tablet PC 2.0" is a service of desktop Windows */
	{ TEXT, "playbook", NULL, "tablet" },
	{ TEXT, "kindle", NULL, "tablet" },
	{ TEXT, "; kf", "x11", "tablet" },  /* Amazon's Fire: KFTT, KFAPWI, … */
	{ TEXT, "; sm-t", NULL, "tablet" }, /* Samsung's Galaxy Tab, which may say Mobile */
	{ TEXT, "; gt-p", NULL, "tablet" },
	{ TEXT, "; sm-x", NULL, "tablet" },
	{ DEVICE, "Generic Tablet", NULL, "tablet" },

	/* Of browsers on Android, those on telephones say Mobile; apps do not say "Mozilla". */
	{ OS, "Android", "mozilla/", "mobile" },
	{ OS, "Android", "mobi", "tablet" },
	{ OS, "Android", NULL, "mobile" },

	{ TEXT, "mobi", NULL, "mobile" },
	{ OS, "iOS", NULL, "mobile" },
	{ OS, "Windows Phone", NULL, "mobile" },
	{ OS, "Windows Mobile", NULL, "mobile" },
	{ TEXT, "windows ce", NULL, "mobile" },
	{ OS, "BlackBerry OS", NULL, "mobile" },
	{ OS, "Symbian OS", NULL, "mobile" },
	{ OS, "KaiOS", NULL, "mobile" },
	{ OS, "Firefox OS", NULL, "mobile" },
	{ TEXT, "opera mini", NULL, "mobile" },
	{ TEXT, "midp", NULL, "mobile" },
	{ DEVICE, "Generic Smartphone", NULL, "mobile" },
	{ DEVICE, "Generic Feature Phone", NULL, "mobile" },

	{ OS, "Windows", NULL, "desktop" },
	{ OS, "Mac OS X", NULL, "desktop" },
	{ OS, "Mac OS", NULL, "desktop" },
	{ OS, "Chrome OS", NULL, "desktop" },
	{ TEXT, "x11", NULL, "desktop" },
	{ TEXT, "macintosh", NULL, "desktop" },

	/* uap-core's brands are makers of telephones. */
	{ BRAND, "Generic", NULL, "mobile" },

	{ TEXT, "linux", NULL, "desktop" },
	{ OS, "FreeBSD", NULL, "desktop" },
	{ OS, "NetBSD", NULL, "desktop" },
	{ OS, "OpenBSD", NULL, "desktop" },
};

struct lowered {
	char text[UAP_AGENT_MOST];
	size_t len;
};

static bool holds(const struct lowered *agent, const char *text)
{
	return memmem(agent->text, agent->len, text, strlen(text)) != NULL;
}

static bool rule_holds(const struct uap *uap, const struct lowered *agent, size_t i)
{
	const char *value = rules[i].value;

	if (rules[i].without && holds(agent, rules[i].without))
		return false;
	switch (rules[i].what) {
	case OS:
		return !strcmp(uap->os.family, value);
	case DEVICE:
		return !strcmp(uap->device.family, value);
	case TEXT:
		return holds(agent, value);
	case BRAND:
		return uap->device.brand[0] &&
		       strncmp(uap->device.brand, value, strlen(value)) != 0;
	}
	return false;
}

const char *device_type(const struct uap *uap, struct span agent)
{
	struct lowered low = { .len = span_first(agent, UAP_AGENT_MOST).len };

	for (size_t i = 0; i < low.len; i++) {
		char c = agent.ptr[i];

		low.text[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rule_holds(uap, &low, i))
			return rules[i].type;
	return "";
}
