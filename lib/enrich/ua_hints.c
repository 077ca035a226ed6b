#include "lib/enrich/ua_hints.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/utf8.h"

#define BRANDS_MOST 16 /* a browser has three or four */

/* How much a brand tells: a Chrome is a Chromium, too, and Brave may call itself a Chrome. */
enum worth { NOTHING, ENGINE, CHROME, OWN };

struct brand {
	struct span name; /* as written, with its backslashes */
	struct span version;
	enum worth worth;
};

/* Brands and the names that uap-core has for the same browser. What is not here keeps its name. */
static const char *const brand_names[][2] = {
	{ "Google Chrome", "Chrome" },
	{ "Microsoft Edge", "Edge" },
	{ "Microsoft Edge WebView2", "Edge" },
	{ "Android WebView", "Chrome Mobile WebView" },
	{ "CocCoc", "Coc Coc" },
	{ "Yandex", "Yandex Browser" },
	{ "YaBrowser", "Yandex Browser" },
	{ "Silk", "Amazon Silk" },
	{ "DuckDuckGo", "DuckDuckGo Mobile" },
};

static const char *const platform_names[][2] = {
	{ "Windows", "Windows" },
	{ "macOS", "macOS" },
	{ "Mac OS X", "macOS" },
	{ "Android", "Android" },
	{ "iOS", "iOS" },
	{ "Linux", "Linux" },
	{ "Chrome OS", "Chrome OS" },
	{ "Chromium OS", "Chrome OS" },
	{ "ChromeOS", "Chrome OS" },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *name_of(struct span word, const char *const (*names)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equals_nocase(word, span_of(names[i][0])))
			return names[i][1];
	return NULL;
}

static void set(char *out, size_t size, struct span text)
{
	out[utf8_clean(out, size - 1, span_trim(text)).len] = '\0';
}

/* Whether nobody has this brand: browsers put in one that is made up, so that nobody relies on the
 * list ("Not A;Brand", "(Not(A:Brand", "Not_A Brand"). */
static bool is_made_up(struct span name)
{
	static const char letters[] = "notabrand";
	size_t known = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (memchr("()/:;?=\\\"", name.ptr[i], 9))
			return true;
		if (!isalnum((unsigned char)name.ptr[i]))
			continue;
		if ((name.ptr[i] | 0x20) != letters[known])
			return false;
		known++;
	}
	return known == sizeof letters - 1;
}

static enum worth worth_of(struct span name)
{
	if (!name.len || is_made_up(name))
		return NOTHING;
	if (span_equals(name, SPAN("Chromium")))
		return ENGINE;
	if (span_equals(name, SPAN("Google Chrome")) || span_equals(name, SPAN("Android WebView")))
		return CHROME;
	return OWN;
}

/* Take a quoted string (RFC 8941, section 3.3.3) off the front of *list. */
static bool take_string(struct span *list, struct span *out)
{
	size_t end = 1;

	if (!list->len || list->ptr[0] != '"')
		return false;
	while (end < list->len && list->ptr[end] != '"')
		end += list->ptr[end] == '\\' ? 2 : 1;
	if (end >= list->len)
		return false;
	*out = (struct span){ list->ptr + 1, end - 1 };
	*list = span_from(*list, end + 1);
	return true;
}

/* Take one member, as `"Chromium";v="120.0.6099.129"`, and the comma behind it. */
static bool take_brand(struct span *list, struct brand *out)
{
	*out = (struct brand){ .worth = NOTHING };
	*list = span_trim(*list);
	if (!take_string(list, &out->name))
		return false;
	while (list->len && list->ptr[0] != ',') {
		struct span value;

		*list = span_trim(span_from(*list, 1)); /* a semicolon */
		if (!span_starts_with(*list, SPAN("v=\"")))
			continue;
		*list = span_from(*list, 2);
		if (!take_string(list, &value))
			return false;
		out->version = value;
	}
	*list = span_from(*list, 1);
	out->worth = worth_of(out->name);
	return true;
}

/* The brand that tells most, the first of several; its worth is NOTHING where there is none. */
static struct brand best_brand(struct span list)
{
	struct brand best = { .worth = NOTHING }, brand;

	for (int i = 0; i < BRANDS_MOST && take_brand(&list, &brand); i++)
		if (brand.worth > best.worth)
			best = brand;
	return best;
}

/* The number at the front of *version, up to 9 digits, and the point behind it; -1: none. */
static int take_number(struct span *version)
{
	int number = 0;
	size_t i = 0;

	for (; i < version->len && i < 9 && isdigit((unsigned char)version->ptr[i]); i++)
		number = number * 10 + (version->ptr[i] - '0');
	if (!i || (i < version->len && version->ptr[i] != '.'))
		return -1;
	*version = span_from(*version, i + 1);
	return number;
}

/* A version as reports have it (ua.h); false, and out is as before: it is none. */
static bool set_version(char *out, size_t size, struct span version)
{
	int major = take_number(&version), minor = take_number(&version);

	if (major < 0)
		return false;
	if (minor > 0)
		snprintf(out, size, "%d.%d", major, minor);
	else
		snprintf(out, size, "%d", major);
	return true;
}

/* Windows tells the version of its UniversalApiContract: 0.1 to 0.3 are 7, 8 and 8.1, those below
 * 13 are 10 (https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11). */
static void set_windows_version(char *out, size_t size, struct span version)
{
	static const char *const old[] = { "", "7", "8", "8.1" };
	int major = take_number(&version), minor = take_number(&version);

	if (major >= 13)
		snprintf(out, size, "11");
	else if (major >= 1)
		snprintf(out, size, "10");
	else if (major == 0 && minor >= 1 && minor <= 3)
		snprintf(out, size, "%s", old[minor]);
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* A brand of one's own decides. Chrome, and Chromium for a Chrome without Google, only where the
 * agent says no more: apps' web views, and browsers that keep their brand for the agent, call
 * themselves so, too. */
static void apply_brand(const struct ua_hints *hints, struct ua *ua)
{
	static const char *const plain[] = { "", "Chrome", "Chromium" };
	const struct brand brand = best_brand(hints->brands);
	const char *known = name_of(brand.name, brand_names, COUNT(brand_names));
	char name[sizeof ua->browser];

	if (brand.worth == NOTHING)
		return;
	set(name, sizeof name, known ? span_of(known) : brand.name);
	if (strcmp(name, ua->browser) != 0) {
		if (brand.worth != OWN && !is_one_of(ua->browser, plain, COUNT(plain)))
			return;
		memcpy(ua->browser, name, sizeof name);
		ua->browser_version[0] = '\0'; /* which was another's */
	}
	set_version(ua->browser_version, sizeof ua->browser_version, brand.version);
}

/* The platform decides over what agents say of all, right or wrong; a distribution of Linux and a
 * system made of Android are more than it knows. */
static void apply_platform(const struct ua_hints *hints, struct ua *ua)
{
	static const char *const plain[] = { "", "Windows", "macOS", "Android", "iOS", "Linux",
		"Chrome OS" };
	const char *platform = name_of(hints->platform, platform_names, COUNT(platform_names));

	if (!platform)
		return;
	if (strcmp(platform, ua->os) != 0) {
		if (!is_one_of(ua->os, plain, COUNT(plain)) &&
			(!strcmp(platform, "Linux") || !strcmp(platform, "Android")))
			return;
		set(ua->os, sizeof ua->os, span_of(platform));
		ua->os_version[0] = '\0';
	}
	if (!strcmp(platform, "Windows"))
		set_windows_version(ua->os_version, sizeof ua->os_version, hints->platform_version);
	else if (strcmp(platform, "Linux") != 0) /* its kernel's, if any */
		set_version(ua->os_version, sizeof ua->os_version, hints->platform_version);
}

/* Of telephones, tablets and desktops; the other kinds are known by their agents. */
static void apply_device(const struct ua_hints *hints, struct ua *ua)
{
	static const char *const desktops[] = { "Windows", "macOS", "Linux", "Chrome OS" };
	static const char *const unsure[] = { "", "desktop", "mobile" };
	const char *kind = ua->device;

	if (!is_one_of(ua->device, unsure, COUNT(unsure)))
		return;
	if (hints->mobile == UA_MOBILE_YES)
		kind = "mobile";
	else if (hints->mobile == UA_MOBILE_NO && !strcmp(ua->os, "Android"))
		kind = "tablet";
	else if ((hints->mobile == UA_MOBILE_NO || !ua->device[0]) &&
		 is_one_of(ua->os, desktops, COUNT(desktops)))
		kind = "desktop";
	if (kind != ua->device)
		set(ua->device, sizeof ua->device, span_of(kind));
}

void ua_hints_apply(const struct ua_hints *hints, struct ua *ua)
{
	apply_brand(hints, ua);
	apply_platform(hints, ua);
	apply_device(hints, ua);
	if (!ua->model[0] && hints->model.len > 1) /* "K" stands for one that is not told */
		set(ua->model, sizeof ua->model, hints->model);
}

/* What may stand where an agent has a model or a version, without ending it. */
static bool is_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (memchr(";()\"", text.ptr[i], 4) || (unsigned char)text.ptr[i] < ' ')
			return false;
	return text.len <= UA_HINT_MOST;
}

struct span ua_hints_agent(
	const struct ua_hints *hints, struct span agent, char room[UA_HINTS_AGENT_MOST])
{
	static const char placeholder[] = "Android 10; K)";
	struct span version = hints->platform_version, rest = version, model = hints->model;
	const char *at = NULL;
	size_t before;
	int len;

	if (span_equals(hints->platform, SPAN("Android")) && agent.len &&
		agent.len <= UA_AGENT_MOST)
		at = memmem(agent.ptr, agent.len, placeholder, sizeof placeholder - 1);
	if (!at || !is_plain(version) || !is_plain(model))
		return agent;
	if (take_number(&rest) < 0)
		version = SPAN("10");
	if (!model.len)
		model = SPAN("K");
	before = (size_t)(at - agent.ptr) + sizeof "Android " - 1;
	rest = span_from(
		agent, (size_t)(at - agent.ptr) + sizeof placeholder - 2); /* from ')' on */
	len = snprintf(room, UA_HINTS_AGENT_MOST, "%.*s%.*s; %.*s%.*s", (int)before, agent.ptr,
		(int)version.len, version.ptr, (int)model.len, model.ptr, (int)rest.len, rest.ptr);
	return (struct span){ room, (size_t)len };
}

static bool is_printable(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < ' ' || text.ptr[i] > '~')
			return false;
	return true;
}

struct span ua_hints_text(struct span header)
{
	struct span text = span_trim(header);

	if (text.len < 2 || text.ptr[0] != '"' || text.ptr[text.len - 1] != '"')
		return SPAN("");
	text = (struct span){ text.ptr + 1, text.len - 2 };
	if (text.len > UA_HINT_MOST || !is_printable(text) || span_find(text, '"') < text.len ||
		span_find(text, '\\') < text.len)
		return SPAN("");
	return text;
}

static struct span brands_of(struct span header)
{
	header = span_trim(header);
	return header.len <= UA_BRANDS_MOST && is_printable(header) ? header : SPAN("");
}

void ua_hints_read(struct ua_hints *out, const struct http_request *req)
{
	struct span mobile = span_trim(http_header(req, "Sec-CH-UA-Mobile"));

	out->brands = brands_of(http_header(req, "Sec-CH-UA-Full-Version-List"));
	if (!out->brands.len)
		out->brands = brands_of(http_header(req, "Sec-CH-UA"));
	out->platform = ua_hints_text(http_header(req, "Sec-CH-UA-Platform"));
	out->platform_version = ua_hints_text(http_header(req, "Sec-CH-UA-Platform-Version"));
	out->model = ua_hints_text(http_header(req, "Sec-CH-UA-Model"));
	out->mobile = span_equals(mobile, SPAN("?1"))   ? UA_MOBILE_YES
		      : span_equals(mobile, SPAN("?0")) ? UA_MOBILE_NO
							: UA_MOBILE_UNSAID;
}
