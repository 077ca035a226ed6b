#include "lib/enrich/ua.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/agents.h"
#include "lib/clock.h"
#include "lib/enrich/device.h"
#include "lib/enrich/ua_cache.h"
#include "lib/enrich/ua_hints.h"
#include "lib/enrich/uap.h"
#include "lib/log.h"
#include "lib/utf8.h"
#include "lib/watch.h"

struct ua_rules {
	char *path;
	struct watch watch;
	struct uap_rules *uap;
	struct agents *bots;
	struct ua_cache *cache;
	unsigned bots_edition; /* by which the cache's answers are */
};

/* uap-core's words and those of reports. A kind of device in a browser's name is dropped, so that
 * "Safari" is one row; a browser that is another program (Opera Mini, Samsung Internet, an app's
 * web view) keeps its own name. */
static const char *const browser_names[][2] = {
	{ "Other", "" },
	{ "Chrome Mobile", "Chrome" },
	{ "Chrome Mobile iOS", "Chrome" },
	{ "Mobile Safari", "Safari" },
	{ "Firefox Mobile", "Firefox" },
	{ "Firefox iOS", "Firefox" },
	{ "Edge Mobile", "Edge" },
	{ "Opera Mobile", "Opera" },
	{ "IE Mobile", "IE" },
};

static const char *const os_names[][2] = {
	{ "Other", "" },
	{ "Mac OS X", "macOS" },
};

int ua_rules_open(struct ua_rules **out, const char *path, const char *bots, struct err *err)
{
	struct ua_rules *rules = calloc(1, sizeof *rules);
	int rc = 0;

	if (!rules)
		return err_set(err, -ENOMEM, "user agent rules");
	rules->path = strdup(path);
	rules->cache = ua_cache_new();
	if (!rules->path || !rules->cache)
		rc = err_set(err, -ENOMEM, "user agent rules");
	if (!rc) {
		watch_init(&rules->watch, rules->path, clock_mono_us());
		rc = uap_open(&rules->uap, path, err);
	}
	if (!rc)
		rc = agents_open(&rules->bots, bots, err);
	if (rc)
		ua_rules_close(&rules);
	else
		*out = rules;
	return rc;
}

void ua_rules_close(struct ua_rules **rules_p)
{
	struct ua_rules *rules = *rules_p;

	*rules_p = NULL;
	if (!rules)
		return;
	uap_close(&rules->uap);
	agents_close(&rules->bots);
	ua_cache_free(&rules->cache);
	free(rules->path);
	free(rules);
}

void ua_rules_follow(struct ua_rules *rules, int64_t now_mono_us)
{
	struct uap_rules *uap = NULL;
	struct err err;

	agents_follow(rules->bots, now_mono_us);
	if (agents_edition(rules->bots) != rules->bots_edition) {
		rules->bots_edition = agents_edition(rules->bots);
		ua_cache_forget(rules->cache);
	}
	if (!watch_has_changed(&rules->watch, now_mono_us))
		return;
	if (uap_open(&uap, rules->path, &err)) {
		log_error("ua: the last good rules stay: %s", err.msg);
		return;
	}
	uap_close(&rules->uap);
	rules->uap = uap;
	ua_cache_forget(rules->cache);
	malloc_trim(0); /* the old ones lay among the new */
	log_info("ua: read the rules again rules=%zu", uap_count(uap));
}

static void set(char *out, size_t size, const char *text)
{
	out[utf8_first(span_of(text), size - 1).len] = '\0';
	memcpy(out, text, utf8_first(span_of(text), size - 1).len);
}

static const char *renamed(const char *name, const char *const (*names)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(name, names[i][0]))
			return names[i][1];
	return name;
}

static void set_version(char *out, size_t size, const char *major, const char *minor)
{
	char text[2 * UAP_VERSION_SIZE];
	bool bare = !major[0] || strspn(minor, "0") == strlen(minor);

	snprintf(text, sizeof text, "%s%s%s", major, bare ? "" : ".", bare ? "" : minor);
	set(out, size, text);
}

/* "Generic", "Generic_Android", "Spider": not a maker, and the model beside them not a model. */
static bool is_maker(const char *brand)
{
	return brand[0] && strncmp(brand, "Generic", 7) != 0 && strcmp(brand, "Spider") != 0;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void describe(
	struct uap_rules *rules, struct span agent, const struct ua_hints *hints, struct ua *out)
{
	char room[UA_HINTS_AGENT_MOST];
	struct uap uap;

	memset(out, 0, sizeof *out);
	out->is_cut = agent.len > UAP_AGENT_MOST;
	agent = agent.len ? span_first(agent, UAP_AGENT_MOST) : SPAN("");
	if (hints)
		agent = ua_hints_agent(hints, agent, room);
	uap_match(rules, agent, &uap);
	set(out->browser, sizeof out->browser,
		renamed(uap.browser.family, browser_names, COUNT(browser_names)));
	set(out->os, sizeof out->os, renamed(uap.os.family, os_names, COUNT(os_names)));
	set_version(out->browser_version, sizeof out->browser_version, uap.browser.major,
		uap.browser.minor);
	set_version(out->os_version, sizeof out->os_version, uap.os.major, uap.os.minor);
	set(out->device, sizeof out->device, device_type(&uap, agent));
	if (is_maker(uap.device.brand)) {
		set(out->brand, sizeof out->brand, uap.device.brand);
		set(out->model, sizeof out->model, uap.device.model);
	}
	if (hints)
		ua_hints_apply(hints, out);
}

/* By the list, or by what its browser calls itself. */
static void tell_bot(struct agents *bots, struct span agent, struct ua *ua)
{
	ua->is_bot = !strcmp(ua->browser, "HeadlessChrome") || agent_is_bot(bots, agent);
	if (ua->is_bot)
		set(ua->device, sizeof ua->device, "bot");
}

void ua_parse(
	struct ua_rules *rules, struct span agent, const struct ua_hints *hints, struct ua *out)
{
	struct ua_key key;
	struct ua *place;
	bool known;

	ua_rules_follow(rules, clock_mono_us());
	key = ua_cache_key(rules->cache, agent, hints);
	place = ua_cache_place(rules->cache, &key, &known);
	if (!known) {
		describe(rules->uap, agent, hints, place);
		tell_bot(rules->bots, agent, place);
	}
	*out = *place;
}
