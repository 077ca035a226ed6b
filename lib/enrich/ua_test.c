#include "lib/enrich/ua.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/clock.h"
#include "lib/enrich/ua_cache.h"
#include "lib/enrich/ua_hints.h"
#include "lib/utf8.h"
#include "lib/watch.h"

#define RULES "node_modules/uap-core/regexes.yaml"
#define BOTS  "node_modules/crawler-user-agents/crawler-user-agents.json"

#define WEBKIT "AppleWebKit/537.36 (KHTML, like Gecko) "
#define IOS    "AppleWebKit/605.1.15 (KHTML, like Gecko) "

static struct ua_rules *rules;

static int open_rules(void **state)
{
	struct err err = { 0 };

	(void)state;
	if (ua_rules_open(&rules, RULES, BOTS, &err))
		print_error("%s\n", err.msg);
	return rules ? 0 : -1;
}

static int close_rules(void **state)
{
	(void)state;
	ua_rules_close(&rules);
	return rules ? -1 : 0;
}

static bool differ(const char *got, const char *want)
{
	return strcmp(got, want) != 0;
}

static size_t put(char *text, size_t at, struct span piece)
{
	memcpy(text + at, piece.ptr, piece.len);
	return at + piece.len;
}

static void browser_system_and_versions_are_those_of_a_report(void **state)
{
	static const struct {
		const char *agent, *browser, *browser_version, *os, *os_version, *device;
	} cases[] = {
		{ "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36",
			"Chrome", "120", "Windows", "10", "desktop" },
		{ "Mozilla/5.0 (Windows NT 6.3; Win64; x64) " WEBKIT
		  "Chrome/109.0.0.0 Safari/537.36",
			"Chrome", "109", "Windows", "8.1", "desktop" },
		{ "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
			"Edge", "120", "Windows", "10", "desktop" },
		{ "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 "
		  "Firefox/121.0",
			"Firefox", "121", "Windows", "10", "desktop" },
		{ "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " IOS
		  "Version/17.4.1 Safari/605.1.15",
			"Safari", "17.4", "macOS", "10.15", "desktop" },
		{ "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " IOS
		  "Version/17.0 Safari/605.1.15",
			"Safari", "17", "macOS", "10.15", "desktop" },
		{ "Mozilla/5.0 (X11; Linux x86_64) " WEBKIT "Chrome/120.0.0.0 Safari/537.36",
			"Chrome", "120", "Linux", "", "desktop" },
		{ "Mozilla/5.0 (X11; Linux x86_64) " WEBKIT
		  "HeadlessChrome/120.0.0.0 Safari/537.36",
			"HeadlessChrome", "120", "Linux", "", "bot" },
		{ "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
			"Firefox", "115", "Ubuntu", "", "desktop" },
		{ "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36",
			"Chrome", "120", "Chrome OS", "14541", "desktop" },
		{ "Mozilla/5.0 (X11; OpenBSD amd64; rv:109.0) Gecko/20100101 Firefox/115.0",
			"Firefox", "115", "OpenBSD", "", "desktop" },
		{ "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2_1 like Mac OS X) " IOS
		  "Version/17.2 Mobile/15E148 Safari/604.1",
			"Safari", "17.2", "iOS", "17.2", "mobile" },
		{ "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) " IOS
		  "CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1",
			"Chrome", "120", "iOS", "17.2", "mobile" },
		{ "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) " IOS
		  "FxiOS/121.0 Mobile/15E148 Safari/605.1.15",
			"Firefox", "121", "iOS", "16.6", "tablet" },
		{ "Mozilla/5.0 (Linux; Android 10; K) " WEBKIT
		  "Chrome/120.0.0.0 Mobile Safari/537.36",
			"Chrome", "120", "Android", "10", "mobile" },
		{ "Mozilla/5.0 (Linux; Android 10; K) " WEBKIT "Chrome/120.0.0.0 Safari/537.36",
			"Chrome", "120", "Android", "10", "tablet" },
		{ "Mozilla/5.0 (Android 13; Mobile; rv:121.0) Gecko/121.0 Firefox/121.0", "Firefox",
			"121", "Android", "13", "mobile" },
		{ "Mozilla/5.0 (Linux; Android 13; SM-S908B) " WEBKIT
		  "SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
			"Samsung Internet", "23", "Android", "13", "mobile" },
		{ "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 "
		  "Version/12.16",
			"Opera Mini", "36.2", "Android", "", "mobile" },
		{ "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "IE",
			"11", "Windows", "7", "desktop" },
		{ "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)",
			"IE", "8", "Windows", "7", "desktop" },
		{ "", "", "", "", "", "" },
		{ "-", "", "", "", "", "" },
		{ "Mozilla/5.0", "", "", "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ua ua;

		ua_parse(rules, span_of(cases[i].agent), NULL, &ua);
		if (differ(ua.browser, cases[i].browser) ||
			differ(ua.browser_version, cases[i].browser_version) ||
			differ(ua.os, cases[i].os) || differ(ua.os_version, cases[i].os_version) ||
			differ(ua.device, cases[i].device))
			fail_msg("%s: %s %s, %s %s, %s", cases[i].agent, ua.browser,
				ua.browser_version, ua.os, ua.os_version, ua.device);
	}
}

static void the_kind_of_device_is_told(void **state)
{
	static const char *const cases[][2] = {
		{ "bot", "Mozilla/5.0 (compatible; Googlebot/2.1; "
			 "+http://www.google.com/bot.html)" },
		{ "bot", "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) " WEBKIT
			 "Chrome/120.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; "
			 "+http://www.google.com/bot.html)" },
		{ "bot", "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)" },
		{ "bot", "Some-Crawler/1.0" },
		{ "mobile", "Mozilla/5.0 (Linux; Android 9; CUBOT_P20) " WEBKIT
			    "Chrome/120.0.0.0 Mobile Safari/537.36" },
		{ "mobile", "Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F Build/PPR1.180610.011)" },
		{ "mobile", "Nokia6230/2.0 (04.44) Profile/MIDP-2.0 Configuration/CLDC-1.1" },
		{ "mobile", "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 "
			    "KAIOS/2.5" },
		{ "mobile", "Mozilla/5.0 (BB10; Touch) AppleWebKit/537.10+ (KHTML, like Gecko) "
			    "Version/10.0.9.2372 Mobile Safari/537.10+" },
		{ "mobile", "Mozilla/4.0 (compatible; MSIE 7.0; Windows Phone OS 7.0; Trident/3.1; "
			    "IEMobile/7.0; HTC; 7 Mozart)" },
		{ "mobile", "Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) " IOS
			    "Version/12.1 Mobile/15E148 Safari/604.1" },
		{ "tablet", "Mozilla/5.0 (Linux; Android 12; SM-X906C) " WEBKIT
			    "Chrome/120.0.0.0 Mobile Safari/537.36" },
		{ "tablet", "Mozilla/5.0 (Linux; Android 9; KFTRWI) " WEBKIT
			    "Silk/108.4 like Chrome/108.0 Safari/537.36" },
		{ "tablet",
			"Mozilla/5.0 (PlayBook; U; RIM Tablet OS 2.1.0; en-US) AppleWebKit/536.2+ "
			"(KHTML, like Gecko) Version/7.2.1.0 Safari/536.2+" },
		{ "tv", "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) " WEBKIT
			"76.0.3809.146/6.0 TV Safari/537.36" },
		{ "tv", "Mozilla/5.0 (Web0S; Linux/SmartTV) " WEBKIT
			"Chrome/94.0.4606.128 Safari/537.36" },
		{ "tv", "Mozilla/5.0 (Linux; Android 9; AFTMM) " WEBKIT
			"Silk/108.4 like Chrome/108.0 Safari/537.36" },
		{ "tv", "Mozilla/5.0 (X11; Linux armv7l) " WEBKIT
			"Chrome/109.0 Safari/537.36 CrKey/1.56.500000" },
		{ "tv", "AppleTV11,1/11.1" },
		{ "tv", "Roku/DVP-9.10 (519.10E04111A)" },
		{ "console", "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) " IOS
			     "Version/13.0 Safari/605.1.15" },
		{ "console",
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) " WEBKIT
			"Chrome/120.0.0.0 Safari/537.36 Edge/44.18363.8131" },
		{ "console", "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 "
			     "(KHTML, "
			     "like Gecko) NF/6.0.1.15.4 NintendoBrowser/5.1.0.20393" },
		{ "wearable",
			"atc/1.0 watchOS/5.2 model/Watch4,4 hwp/t8006 build/16T225 (6; dt:193)" },
		{ "wearable", "Mozilla/5.0 (Linux; Android 11; SM-R870) " WEBKIT
			      "Chrome/100.0.0.0 Mobile Safari/537.36" },
		{ "", "SomethingNobodyKnows/1.0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ua ua;

		ua_parse(rules, span_of(cases[i][1]), NULL, &ua);
		if (differ(ua.device, cases[i][0]))
			fail_msg("%s: %s", cases[i][1], ua.device);
	}
}

static void a_brand_is_a_maker_and_has_a_model(void **state)
{
	static const char *const cases[][3] = {
		{ "Mozilla/5.0 (Linux; Android 13; SM-S908B) " WEBKIT
		  "Chrome/120.0.0.0 Mobile Safari/537.36",
			"Samsung", "SM-S908B" },
		{ "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) " IOS
		  "Version/17.2 Mobile/15E148 Safari/604.1",
			"Apple", "iPhone" },
		{ "Mozilla/5.0 (Linux; Android 10; K) " WEBKIT
		  "Chrome/120.0.0.0 Mobile Safari/537.36",
			"", "" },
		{ "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "",
			"" },
		{ "Mozilla/5.0 (Windows NT 10.0) " WEBKIT "Chrome/120.0.0.0 Safari/537.36", "",
			"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ua ua;

		ua_parse(rules, span_of(cases[i][0]), NULL, &ua);
		if (differ(ua.brand, cases[i][1]) || differ(ua.model, cases[i][2]))
			fail_msg("%s: %s, %s", cases[i][0], ua.brand, ua.model);
	}
}

static void a_cached_answer_is_the_first_one(void **state)
{
	static const char agent[] = "Mozilla/5.0 (Linux; Android 13; SM-S908B) " WEBKIT
				    "Chrome/120.0.0.0 Mobile Safari/537.36";
	struct ua first, again;
	char other[32];

	(void)state;
	ua_parse(rules, SPAN(agent), NULL, &first);
	ua_parse(rules, SPAN(agent), NULL, &again);
	assert_memory_equal(&first, &again, sizeof first);
	for (int i = 0; i < 3 * UA_CACHE_ENTRIES; i++) { /* push it out */
		snprintf(other, sizeof other, "curl/7.%d", i);
		ua_parse(rules, span_of(other), NULL, &again);
	}
	ua_parse(rules, SPAN(agent), NULL, &again);
	assert_memory_equal(&first, &again, sizeof first);
}

static void names_are_valid_utf8_whatever_the_agent(void **state)
{
	static const char *const hostile[] = { "\xff\xfe bot\xff/1.\xff", "Opera\xc3 \xe2\x82/9.9",
		"; \xf0\x9f Build/\xc0\xaf) Android \xed\xa0\x80",
		"\xc3\xa4\xc3\xa4"
		"bot/1" };
	char text[700];
	size_t at;
	struct ua ua;

	(void)state;
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		ua_parse(rules, span_of(hostile[i]), NULL, &ua);
		assert_true(utf8_valid(span_of(ua.browser)));
		assert_true(utf8_valid(span_of(ua.model)));
	}
	/* A name longer than its field is cut after a whole character. */
	at = put(text, 0, SPAN("Mozilla/5.0 (Linux; Android 9; "));
	while (at < 400)
		at = put(text, at, SPAN("\xe2\x82\xac"));
	put(text, at, (struct span){ " Build/A) Mobile", 17 });
	ua_parse(rules, span_of(text), NULL, &ua);
	assert_true(utf8_valid(span_of(ua.model)));
	ua_parse(rules, (struct span){ "Mozilla\0bot", 11 }, NULL, &ua);
	assert_string_equal(ua.device, "bot");
	ua_parse(rules, (struct span){ NULL, 0 }, NULL, &ua);
	assert_string_equal(ua.browser, "");
}

static struct ua *place_of(struct ua_cache *cache, const char *agent, bool *known)
{
	struct ua_key key = ua_cache_key(cache, span_of(agent), NULL);

	return ua_cache_place(cache, &key, known);
}

static void the_cache_keeps_what_is_asked_for(void **state)
{
	struct ua_cache *cache = ua_cache_new();
	char agent[32];
	bool known;

	(void)state;
	assert_non_null(cache);
	memcpy(place_of(cache, "kept", &known)->browser, "it", 3);
	assert_false(known);
	for (int i = 0; i < 10 * UA_CACHE_ENTRIES; i++) {
		snprintf(agent, sizeof agent, "%d", i);
		snprintf(place_of(cache, agent, &known)->browser, 64, "%d", i);
		assert_false(known);
		assert_string_equal(place_of(cache, "kept", &known)->browser, "it");
		assert_true(known);
		assert_string_equal(place_of(cache, agent, &known)->browser, agent);
		assert_true(known);
	}
	place_of(cache, "0", &known);
	assert_false(known);
	ua_cache_free(&cache);
	assert_null(cache);
}

static void rules_that_cannot_be_read_are_refused(void **state)
{
	struct ua_rules *none = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ua_rules_open(&none, "tests/data/README.md", BOTS, &err), -EINVAL);
	assert_int_equal(ua_rules_open(&none, "tests/data/missing.yaml", BOTS, &err), -ENOENT);
	assert_int_equal(ua_rules_open(&none, RULES, "tests/data/missing.json", &err), -ENOENT);
	assert_null(none);
}

#define CHROMIUM "\"Chromium\";v=\"120.0.6099.129\", "
#define MADE_UP  "\"Not_A Brand\";v=\"8.0.0.0\", "
#define WINDOWS  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " WEBKIT "Chrome/120.0.0.0 Safari/537.36"
#define REDUCED  "Mozilla/5.0 (Linux; Android 10; K) " WEBKIT "Chrome/120.0.0.0 Mobile Safari/537.36"

/* What hints add, each row an agent, its hints, and what comes of both. */
static void hints_say_what_agents_no_longer_do(void **state)
{
	static const struct {
		const char *agent, *brands, *platform, *platform_version, *model;
		uint8_t mobile;
		const char *browser, *browser_version, *os, *os_version, *device, *brand, *of_model;
	} cases[] = {
		{ WINDOWS, MADE_UP CHROMIUM "\"Google Chrome\";v=\"120.0.6099.129\"", "Windows",
			"15.0.0", "", 1, "Chrome", "120", "Windows", "11", "desktop", "", "" },
		{ WINDOWS, MADE_UP CHROMIUM "\"Google Chrome\";v=\"120.0.6099.129\"", "Windows",
			"10.0.0", "", 1, "Chrome", "120", "Windows", "10", "desktop", "", "" },
		{ WINDOWS, "", "Windows", "12.0.0", "", 1, "Chrome", "120", "Windows", "10",
			"desktop", "", "" },
		{ WINDOWS, "", "Windows", "0.3.0", "", 1, "Chrome", "120", "Windows", "8.1",
			"desktop", "", "" },
		{ WINDOWS, "", "Windows", "", "", 1, "Chrome", "120", "Windows", "10", "desktop",
			"", "" },
		{ WINDOWS, "", "Windows", "new", "", 1, "Chrome", "120", "Windows", "10", "desktop",
			"", "" },
		/* Browsers that call themselves Chrome in their agents. */
		{ WINDOWS, MADE_UP CHROMIUM "\"Brave\";v=\"120.0.0.0\"", "Windows", "13.0.0", "", 1,
			"Brave", "120", "Windows", "11", "desktop", "", "" },
		{ WINDOWS, "\"Vivaldi\";v=\"6.5\", " MADE_UP CHROMIUM, "Windows", "14.0.0", "", 1,
			"Vivaldi", "6.5", "Windows", "11", "desktop", "", "" },
		{ WINDOWS " OPR/106.0.0.0", MADE_UP CHROMIUM "\"Opera\";v=\"106.0.4998.52\"",
			"Windows", "", "", 1, "Opera", "106", "Windows", "10", "desktop", "", "" },
		{ WINDOWS " Edg/120.0.0.0",
			MADE_UP CHROMIUM "\"Microsoft Edge\";v=\"120.0.2210.91\"", "Windows", "",
			"", 1, "Edge", "120", "Windows", "10", "desktop", "", "" },
		{ WINDOWS, "\"Microsoft Edge\";v=\"120\",\"Microsoft Edge WebView2\";v=\"120\"",
			"Windows", "", "", 1, "Edge", "120", "Windows", "10", "desktop", "", "" },
		{ WINDOWS, MADE_UP CHROMIUM "\"YaBrowser\";v=\"24.1.0.2570\", \"Yowser\";v=\"2.5\"",
			"Windows", "", "", 1, "Yandex Browser", "24.1", "Windows", "10", "desktop",
			"", "" },
		{ WINDOWS, MADE_UP CHROMIUM "\"A New One\";v=\"3.4\"", "Windows", "", "", 1,
			"A New One", "3.4", "Windows", "10", "desktop", "", "" },
		{ WINDOWS, MADE_UP "\"Chromium\";v=\"121\"", "Windows", "", "", 1, "Chromium",
			"121", "Windows", "10", "desktop", "", "" },
		/* Nothing but what is made up says nothing. */
		{ WINDOWS,
			"\" Not A;Brand\";v=\"99\", \"(Not(A:Brand\";v=\"8\", "
			"\"Not/A)Brand\";v=\"8\", \"\\\\Not\\\"A;Brand\";v=\"99\", "
			"\"Not?A_Brand\";v=\"24\", \"Not.A/Brand\";v=\"8\", "
			"\"Not-A.Brand\";v=\"99\", \"NotABrand\"",
			"Unknown", "", "", 0, "Chrome", "120", "Windows", "10", "desktop", "", "" },
		/* Chrome's frozen agents of macOS and Android. */
		{ "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36",
			CHROMIUM, "macOS", "14.2.1", "", 1, "Chromium", "120", "macOS", "14.2",
			"desktop", "Apple", "Mac" },
		{ REDUCED, CHROMIUM "\"Google Chrome\";v=\"120.0.6099.144\"", "Android", "14.0.0",
			"Pixel 7", 2, "Chrome", "120", "Android", "14", "mobile", "Google",
			"Pixel 7" },
		{ REDUCED, "", "Android", "13.0.0", "SM-S908B", 2, "Chrome", "120", "Android", "13",
			"mobile", "Samsung", "SM-S908B" },
		{ REDUCED, "", "Android", "13.0.0", "", 2, "Chrome", "120", "Android", "13",
			"mobile", "", "" },
		{ REDUCED, "", "Android", "", "SM-X906C", 1, "Chrome", "120", "Android", "10",
			"tablet", "Samsung", "SM-X906C" },
		{ "Mozilla/5.0 (X11; Linux x86_64) " WEBKIT "Chrome/120.0.0.0 Safari/537.36", "",
			"Android", "13.0.0", "Pixel Tablet", 1, "Chrome", "120", "Android", "13",
			"tablet", "", "Pixel Tablet" },
		{ REDUCED, "", "Android", "13.0.0", "a) (b; \"c", 2, "Chrome", "120", "Android",
			"13", "mobile", "", "a) (b; \"c" },
		/* What the agent knows better. */
		{ "Mozilla/5.0 (X11; Ubuntu; Linux x86_64) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36",
			"", "Linux", "6.5.0", "", 1, "Chrome", "120", "Ubuntu", "", "desktop", "",
			"" },
		{ "Mozilla/5.0 (X11; Linux x86_64) " WEBKIT "Chrome/120.0.0.0 Safari/537.36", "",
			"Linux", "6.5.0", "", 1, "Chrome", "120", "Linux", "", "desktop", "", "" },
		{ "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " WEBKIT
		  "Chrome/120.0.0.0 Safari/537.36",
			"", "Chrome OS", "15633.69.0", "", 1, "Chrome", "120", "Chrome OS",
			"15633.69", "desktop", "", "" },
		{ "Mozilla/5.0 (Linux; Android 13; SM-S908B Build/TP1A.220624.014; wv) " WEBKIT
		  "Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36",
			CHROMIUM "\"Android WebView\";v=\"120.0.6099.144\"", "Android", "13.0.0",
			"SM-S908B", 2, "Chrome Mobile WebView", "120", "Android", "13", "mobile",
			"Samsung", "SM-S908B" },
		{ "Mozilla/5.0 (Linux; Android 9; AFTMM) " WEBKIT
		  "Silk/108.4 like Chrome/108.0 Safari/537.36",
			"", "Android", "9.0.0", "AFTMM", 1, "Amazon Silk", "108.4", "Android", "9",
			"tv", "Amazon", "Kindle" },
		{ "", "\"Brave\";v=\"120\"", "Windows", "13.0.0", "", 1, "Brave", "120", "Windows",
			"11", "desktop", "", "" },
		/* A list that is none. */
		{ WINDOWS, "\"Brave", "Windows", "", "", 1, "Chrome", "120", "Windows", "10",
			"desktop", "", "" },
		{ WINDOWS, ";;;,,,\"\"", "Windows", "", "", 1, "Chrome", "120", "Windows", "10",
			"desktop", "", "" },
		{ WINDOWS, "\"Brave\";v=\"x\"", "Windows", "", "", 1, "Brave", "", "Windows", "10",
			"desktop", "", "" },
		{ WINDOWS, "\"Brave\";a=b;v=\"121\";c", "Windows", "", "", 1, "Brave", "121",
			"Windows", "10", "desktop", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct ua_hints hints = { span_of(cases[i].brands),
			span_of(cases[i].platform), span_of(cases[i].platform_version),
			span_of(cases[i].model), cases[i].mobile };
		struct ua ua;

		ua_parse(rules, span_of(cases[i].agent), &hints, &ua);
		if (differ(ua.browser, cases[i].browser) ||
			differ(ua.browser_version, cases[i].browser_version) ||
			differ(ua.os, cases[i].os) || differ(ua.os_version, cases[i].os_version) ||
			differ(ua.device, cases[i].device) || differ(ua.brand, cases[i].brand) ||
			differ(ua.model, cases[i].of_model))
			fail_msg("%zu, %s, %s: %s %s, %s %s, %s, %s %s", i, cases[i].agent,
				cases[i].brands, ua.browser, ua.browser_version, ua.os,
				ua.os_version, ua.device, ua.brand, ua.model);
	}
}

static void a_hint_is_one_quoted_text(void **state)
{
	static const char *const rows[][2] = {
		{ "\"Windows\"", "Windows" },
		{ " \"15.0.0\" ", "15.0.0" },
		{ "\"\"", "" },
		{ "Windows", "" },
		{ "\"", "" },
		{ "", "" },
		{ "\"a\", \"b\"", "" },
		{ "\"a\\\"b\"", "" },
		{ "\"a\nb\"", "" },
		{ "\"M\xc3\xbcller\"", "" },
	};
	char longest[UA_HINT_MOST + 4];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!span_equals(ua_hints_text(span_of(rows[i][0])), span_of(rows[i][1])))
			fail_msg("%s", rows[i][0]);
	memset(longest, 'x', sizeof longest);
	longest[0] = longest[UA_HINT_MOST + 1] = longest[UA_HINT_MOST + 2] = '"';
	assert_int_equal(
		ua_hints_text((struct span){ longest, UA_HINT_MOST + 2 }).len, UA_HINT_MOST);
	longest[UA_HINT_MOST + 1] = 'x';
	assert_int_equal(ua_hints_text((struct span){ longest, UA_HINT_MOST + 3 }).len, 0);
}

static void crawlers_and_browsers_without_a_window_are_bots(void **state)
{
	static const struct ua_hints headless = { .brands = {
							  "\"HeadlessChrome\";v=\"120\"", 24 } };
	struct ua ua;

	(void)state;
	ua_parse(rules, SPAN("facebookexternalhit/1.1"), NULL, &ua);
	assert_true(ua.is_bot);
	assert_string_equal(ua.device, "bot");
	ua_parse(rules, SPAN(WINDOWS), &headless, &ua);
	assert_true(ua.is_bot);
	assert_string_equal(ua.device, "bot");
	ua_parse(rules, SPAN(WINDOWS), NULL, &ua);
	assert_false(ua.is_bot);
	assert_string_equal(ua.device, "desktop");
}

static void an_agent_that_is_cut_is_marked(void **state)
{
	static char text[513];
	struct ua ua;

	(void)state;
	memset(text, 'x', sizeof text);
	ua_parse(rules, (struct span){ text, 512 }, NULL, &ua);
	assert_false(ua.is_cut);
	ua_parse(rules, (struct span){ text, 513 }, NULL, &ua);
	assert_true(ua.is_cut);
}

/* A rules' file whose one rule of browsers is name. */
static void put_rules(const char *path, const char *name)
{
	char other[80];
	FILE *file;

	snprintf(other, sizeof other, "%s.new", path);
	file = fopen(other, "w");
	assert_non_null(file);
	fprintf(file,
		"user_agent_parsers:\n  - regex: '(%s)'\n"
		"os_parsers:\n  - regex: '(x)'\ndevice_parsers:\n  - regex: '(x)'\n",
		name);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(other, path), 0);
}

static const char *browser_of(struct ua_rules *from, const char *agent)
{
	static struct ua ua;

	ua_parse(from, span_of(agent), NULL, &ua);
	return ua.browser;
}

static void new_rules_are_taken_and_broken_ones_are_not(void **state)
{
	char path[] = "/tmp/footfall-ua-XXXXXX";
	int64_t now = clock_mono_us() + WATCH_EVERY_US;
	struct ua_rules *own = NULL;
	struct err err = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && !close(fd));
	put_rules(path, "One");
	assert_int_equal(ua_rules_open(&own, path, BOTS, &err), 0);
	assert_string_equal(browser_of(own, "One Two"), "One");
	put_rules(path, "Two");
	for (int i = 0; i < 2; i++)
		ua_rules_follow(own, now += WATCH_EVERY_US);
	assert_string_equal(browser_of(own, "One Two"), "Two");
	put_rules(path, "(broken");
	for (int i = 0; i < 2; i++)
		ua_rules_follow(own, now += WATCH_EVERY_US);
	assert_string_equal(browser_of(own, "One Two"), "Two");
	put_rules(path, "One");
	for (int i = 0; i < 2; i++)
		ua_rules_follow(own, now += WATCH_EVERY_US);
	assert_string_equal(browser_of(own, "One Two"), "One");
	ua_rules_close(&own);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(browser_system_and_versions_are_those_of_a_report),
		cmocka_unit_test(the_kind_of_device_is_told),
		cmocka_unit_test(a_brand_is_a_maker_and_has_a_model),
		cmocka_unit_test(a_cached_answer_is_the_first_one),
		cmocka_unit_test(names_are_valid_utf8_whatever_the_agent),
		cmocka_unit_test(the_cache_keeps_what_is_asked_for),
		cmocka_unit_test(rules_that_cannot_be_read_are_refused),
		cmocka_unit_test(hints_say_what_agents_no_longer_do),
		cmocka_unit_test(a_hint_is_one_quoted_text),
		cmocka_unit_test(crawlers_and_browsers_without_a_window_are_bots),
		cmocka_unit_test(an_agent_that_is_cut_is_marked),
		cmocka_unit_test(new_rules_are_taken_and_broken_ones_are_not),
	};

	return cmocka_run_group_tests(tests, open_rules, close_rules);
}
