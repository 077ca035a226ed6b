/* Print how fast agents are told (unseen, random, cached, hostile), what they leave in memory, how
 * fast the list of crawlers answers, how fast places are found, and how many whole events a second
 * one core enriches. The app database is stood in for, all else is the worker's own. Where there is
 * a bound, the figure is put beside it. Nothing is asserted. Run from the repository's root. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/agents.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "services/worker/enrich.h"
#include "tests/bench/sources.h"

#define RULES "node_modules/uap-core/regexes.yaml"
#define BOTS  "node_modules/crawler-user-agents/crawler-user-agents.json"
#define GEO   "node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
#define CITY  "tests/data/geoip/GeoIP2-City-Test.mmdb"
#define NAMES "/usr/share/iso-codes/json"

#define ROUNDS       5
#define RANDOM_MANY  100000
#define HOSTILE_LONG 65536
#define PLACES_MANY  1000000
#define ADDRS_MANY   65536
#define LINE_MOST    4096
#define LINES_MOST   20000

struct lines {
	char *line[LINES_MOST];
	size_t count;
};

static const struct app_site the_site = { .domain = "bench.example", .zone = "UTC" };
static struct event_day_keys the_keys;

/* In place of app.c, whose answers are kept in memory, too. */
int app_site(struct app *app, uint32_t site_id, const struct app_site **site, struct err *err)
{
	(void)app, (void)site_id, (void)err;
	*site = &the_site;
	return 0;
}

int app_day_keys(struct app *app, int64_t date, const struct event_day_keys **keys, struct err *err)
{
	(void)app, (void)date, (void)err;
	*keys = &the_keys;
	return 0;
}

size_t app_own_hosts(const struct app_site *site, struct span *own)
{
	(void)site, (void)own;
	return 0;
}

static void must(int rc, const struct err *err)
{
	if (!rc)
		return;
	fprintf(stderr, "bench: %s\n", err->msg);
	exit(1);
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* bound: what the figure is to be at least (or, is_most, at most); 0: there is none. */
static void show(const char *what, double figure, const char *unit, double bound, bool is_most)
{
	printf("%-44s %12.2f %-10s", what, figure, unit);
	if (bound > 0)
		printf(" %s %g (%.2f of it)%s", is_most ? "at most" : "at least", bound,
			figure / bound,
			is_most          ? figure > bound ? "  MISSED" : ""
			: figure < bound ? "  MISSED"
					 : "");
	putchar('\n');
}

static long memory_kib(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, key, strlen(key)))
			kib = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* Read the lines of a file that begin with prefix, without it. */
static void read_lines(struct lines *out, const char *path, const char *prefix)
{
	FILE *file = fopen(path, "re");
	char line[LINE_MOST];

	if (!file) {
		perror(path);
		exit(1);
	}
	out->count = 0;
	while (out->count < LINES_MOST && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, prefix, strlen(prefix)))
			out->line[out->count++] = strdup(line + strlen(prefix));
	}
	fclose(file);
}

/* The agents of uap-core's cases of browsers. */
static void read_agents(struct lines *out)
{
	read_lines(out, "tests/data/uap-core/test_ua.yaml", "  - user_agent_string: ");
	for (size_t i = 0; i < out->count; i++) {
		char *text = out->line[i];
		size_t len = strlen(text);

		if (len >= 2 && (text[0] == '\'' || text[0] == '"')) {
			memmove(text, text + 1, len - 2);
			text[len - 2] = '\0';
		}
	}
}

static unsigned seed = 1;

static unsigned next_random(void)
{
	seed = seed * 1103515245u + 12345u;
	return seed >> 16 & 0x7fff;
}

static struct span random_agent(char text[512])
{
	size_t len = 20 + next_random() % 490;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(' ' + next_random() % 95);
	return (struct span){ text, len };
}

static struct ua_rules *rules_open(void)
{
	struct ua_rules *rules = NULL;
	struct err err = { 0 };

	must(ua_rules_open(&rules, RULES, BOTS, &err), &err);
	return rules;
}

static double parse_all(struct ua_rules *rules, const struct lines *agents)
{
	double start = cpu_us();
	struct ua ua;

	for (size_t i = 0; i < agents->count; i++)
		ua_parse(rules, span_of(agents->line[i]), NULL, &ua);
	return cpu_us() - start;
}

static void bench_agents(const struct lines *agents)
{
	double unseen = 0, cached = 0, random = 0;
	struct ua_rules *rules;
	char text[512];
	struct ua ua;

	for (int i = 0; i < ROUNDS; i++) {
		rules = rules_open();
		unseen += parse_all(rules, agents);
		for (int k = 0; k < 100; k++)
			cached += parse_all(rules, agents);
		ua_rules_close(&rules);
	}
	rules = rules_open();
	for (int i = 0; i < 10000; i++) {
		struct span agent = random_agent(text);
		double start = cpu_us();

		ua_parse(rules, agent, NULL, &ua);
		random += cpu_us() - start;
	}
	ua_rules_close(&rules);
	show("unseen agents of test_ua.yaml", (double)agents->count * ROUNDS * 1e6 / unseen, "/s",
		8000, false);
	show("random agents, 20 to 509 bytes", 10000 * 1e6 / random, "/s", 800, false);
	show("cached agents", (double)agents->count * ROUNDS * 100 * 1e6 / cached, "/s", 0, false);
}

static void bench_bots(const struct lines *agents)
{
	struct agents *bots = NULL;
	struct err err = { 0 };
	size_t count = 0;
	double start;

	must(agents_open(&bots, BOTS, &err), &err);
	start = cpu_us();
	for (int i = 0; i < 20; i++)
		for (size_t k = 0; k < agents->count; k++)
			count += agent_is_bot(bots, span_of(agents->line[k]));
	show("is it a crawler, by the list", (cpu_us() - start) / 20 / (double)agents->count, "us",
		0, false);
	printf("  %zu of %zu are, by %zu patterns\n", count / 20, agents->count,
		agents_count(bots));
	agents_close(&bots);
}

static void bench_memory(void)
{
	struct ua_rules *rules = rules_open();
	char text[512];
	struct ua ua;
	long before = 0;

	for (int i = 0; i < RANDOM_MANY; i++) {
		ua_parse(rules, random_agent(text), NULL, &ua);
		if (i == 10000) /* the cache is full */
			before = memory_kib("VmRSS:");
	}
	show("resident, the cache full", (double)before / 1024, "MiB", 0, false);
	show("more after 100,000 random agents", (double)(memory_kib("VmRSS:") - before) / 1024,
		"MiB", 0, false);
	ua_rules_close(&rules);
}

/* The worst of many hostile agents; each is tried three times, since others use the machine, too.
 */
struct worst {
	struct ua_rules *rules;
	double us;
	char text[61];
	size_t tried;
};

static void attack(struct worst *worst, struct span agent, const struct ua_hints *hints)
{
	static uint32_t number;
	double best = 1e9;

	for (int i = 0; i < 3; i++) {
		/* A model nobody has: the agent is not in the cache. */
		char model[16];
		struct ua_hints own = hints ? *hints : (struct ua_hints){ .mobile = 0 };
		double start;
		struct ua ua;

		snprintf(model, sizeof model, "%u", number++);
		own.model = hints ? hints->model : span_of(model);
		own.platform_version = hints ? span_of(model) : own.platform_version;
		start = cpu_us();
		ua_parse(worst->rules, agent, &own, &ua);
		if (cpu_us() - start < best)
			best = cpu_us() - start;
	}
	worst->tried++;
	if (best < worst->us)
		return;
	worst->us = best;
	for (size_t i = 0; i < sizeof worst->text - 1; i++)
		worst->text[i] = i < agent.len && agent.ptr[i] >= ' ' && agent.ptr[i] < 127
					 ? agent.ptr[i]
					 : '.';
}

static struct span repeated(char *text, size_t size, struct span piece)
{
	for (size_t i = 0; i < size; i++)
		text[i] = piece.ptr[i % piece.len];
	return (struct span){ text, size };
}

static void bench_hostile(const struct lines *agents)
{
	static const char *const pieces[] = { "a", " ", ";", "(", ")", "/", "0", ".", "\xff",
		"\xc3", "; ", "a ", "/a", "0.", "()", "(((", ")))", "[[", "{{", "..", "1.1", "-",
		"_", "; ;", "a;", "Android", "Android;", "Android 1.1; ", "iPhone", "Mozilla/5.0 (",
		"bot", "bot ", "spider", "crawl ", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bot",
		"; NT-55555", "Mozilla Mobile ", "AppleWebKit/1.1 Safari ", "; Build", " Build/",
		"; ImPAD 5", "(Mobile; LYF/a/;rv:) Gecko/ Firefox/", "HbbTV/0.0.0 (;",
		"Windows Phone ", "Opera Mini/", "CFNetwork Darwin/", "KHTML, like Gecko",
		"NetCast.TV", "$1$2$3", "\r\n", "\xf0\x9f\x98\x80", "Chrome/1", "Version/1.1 ",
		"Googlebot/", "https://", "www.a.b" };
	static char text[HOSTILE_LONG];
	struct worst worst = { .rules = rules_open() };
	const size_t count = sizeof pieces / sizeof *pieces;

	for (size_t i = 0; i < count; i++) {
		attack(&worst, repeated(text, 512, span_of(pieces[i])), NULL);
		attack(&worst, repeated(text, sizeof text, span_of(pieces[i])), NULL);
	}
	attack(&worst, repeated(text, sizeof text, (struct span){ "Mozilla\0bot/1", 13 }), NULL);
	for (size_t i = 0; i + 1 < 512; i++) { /* nested */
		text[i] = i < 256 ? '(' : ')';
	}
	attack(&worst, (struct span){ text, 511 }, NULL);
	for (int i = 0; i < 2000; i++) { /* bytes at random */
		for (size_t k = 0; k < 512; k++)
			text[k] = (char)next_random();
		attack(&worst, (struct span){ text, 512 }, NULL);
	}
	for (int i = 0; i < 5000; i++) { /* pieces at random */
		size_t len = 0;

		while (len < 512) {
			struct span piece = span_of(pieces[next_random() % count]);

			memcpy(text + len, piece.ptr, piece.len);
			len += piece.len;
		}
		attack(&worst, (struct span){ text, len }, NULL);
	}
	for (int i = 0; i < 5000; i++) { /* what many rules know, side by side */
		size_t len = 0;

		while (len < 512) {
			struct span agent = span_of(agents->line[next_random() % agents->count]);
			size_t at = next_random() % (agent.len + 1);
			struct span piece =
				span_first(span_from(agent, at), 8 + next_random() % 40);

			memcpy(text + len, piece.ptr, piece.len);
			len += piece.len;
		}
		attack(&worst, (struct span){ text, len }, NULL);
	}
	for (size_t i = 0; i < count; i++) { /* hints, too */
		const struct ua_hints hints = { repeated(text, 512, span_of(pieces[i])),
			SPAN("Android"), SPAN(""), { text, 128 }, 2 };

		attack(&worst, SPAN("Mozilla/5.0 (Linux; Android 10; K)"), &hints);
	}
	show("the worst hostile agent", worst.us / 1000, "ms", 3, true);
	printf("  of %zu: %s\n", worst.tried, worst.text);
	ua_rules_close(&worst.rules);
}

/* Any IPv4 address, or any of 2000::/3, in which addresses are given out. */
static struct addr random_addr(bool v6)
{
	struct addr addr = { { [10] = 0xff, [11] = 0xff } };

	for (size_t i = v6 ? 0 : 12; i < sizeof addr.bytes; i++)
		addr.bytes[i] = (unsigned char)next_random();
	if (v6)
		addr.bytes[0] = 0x20 | (addr.bytes[0] & 0x1f);
	return addr;
}

static void look_up(const char *what, const struct places *places, const struct addr *addrs)
{
	static const struct place_hint nothing;
	size_t known = 0;
	double start = cpu_us();

	for (size_t i = 0; i < PLACES_MANY; i++) {
		struct place place;

		places_find(places, &addrs[i % ADDRS_MANY], &nothing, &place);
		known += place.geo.country[0] != '\0';
	}
	show(what, PLACES_MANY * 1e6 / (cpu_us() - start), "/s", 0, false);
	printf("  %.0f %% of them have a country\n", 100.0 * (double)known / PLACES_MANY);
}

static void bench_places(void)
{
	static struct addr addrs[ADDRS_MANY];
	struct place_files files = { GEO, "", "", NAMES };
	struct places *places = NULL;
	struct err err = { 0 };
	double start = cpu_us();

	must(places_open(&places, &files, &err), &err);
	show("countries of the registries, read and checked", (cpu_us() - start) / 1000, "ms", 0,
		true);
	for (int v6 = 0; v6 <= 1; v6++) {
		for (size_t i = 0; i < ADDRS_MANY; i++)
			addrs[i] = random_addr(v6);
		look_up(v6 ? "places of random IPv6" : "places of random IPv4", places, addrs);
	}
	places_close(&places);
	files.geoip_db = CITY;
	must(places_open(&places, &files, &err), &err);
	for (size_t i = 0; i < ADDRS_MANY; i++)
		must(addr_parse(&addrs[i], SPAN("81.2.69.160")), &err);
	look_up("places with a city, in MaxMind's layout", places, addrs);
	places_close(&places);
}

/* One line of the log as an event: its spans point into the line, the address is sealed into
 * room. False: not a whole line. */
static bool event_of(struct event *ev, char *line, unsigned char room[EVENT_SEALED_BYTES])
{
	static const char brands[] = "\"Not_A Brand\";v=\"8.0.0.0\", "
				     "\"Chromium\";v=\"120.0.6099.129\", "
				     "\"Google Chrome\";v=\"120.0.6099.129\"";
	struct addr client;
	char *part[7] = { line };
	size_t parts = 1;

	for (char *at = line; *at && parts < 7; at++)
		if (*at == '"') {
			*at = '\0';
			part[parts++] = at + 1;
		}
	line[strcspn(line, " ")] = '\0';
	if (parts < 7 || addr_parse(&client, span_of(line)))
		return false;
	event_seal(room, &the_keys, 1, &client);
	*ev = (struct event){ .site_id = 1,
		.id = 1,
		.kind = EVENT_PAGEVIEW,
		.visitor = 2,
		.host = SPAN("bench.example"),
		.path = SPAN("/a/page"),
		.referrer = span_of(strcmp(part[3], "-") ? part[3] : ""),
		.user_agent = span_of(part[5]),
		.address = { (char *)room, EVENT_SEALED_BYTES },
		.language = SPAN("en-GB"),
		.screen_width = 1920 };
	if (strstr(part[5], "Chrome/")) {
		ev->ch_brands = SPAN(brands);
		ev->ch_platform = SPAN("Windows");
		ev->ch_platform_version = SPAN("15.0.0");
		ev->ch_mobile = EVENT_MOBILE_NO;
	}
	return true;
}

static void bench_events(void)
{
	static unsigned char sealed[LINES_MOST][EVENT_SEALED_BYTES];
	static struct event events[LINES_MOST];
	static struct enriched more;
	static struct lines log;
	const struct enrich_files files = { RULES, BOTS, { GEO, "", "", NAMES },
		bench_source_files };
	struct enrich *enrich = NULL;
	struct err err = { 0 };
	size_t count = 0;
	double first = 0, again = 0;

	read_lines(&log, "tests/data/logs/apache_combined_10k.log", "");
	for (size_t i = 0; i < log.count; i++)
		count += event_of(&events[count], log.line[i], sealed[count]);
	must(enrich_open(&enrich, &files, NULL, &err), &err);
	for (int round = 0; round <= ROUNDS; round++) {
		double start = cpu_us();

		for (size_t i = 0; i < count; i++)
			must(enrich_event(enrich, &events[i], &more, &err), &err);
		*(round ? &again : &first) += cpu_us() - start;
	}
	enrich_close(&enrich);
	show("whole events of a real log, at first", (double)count * 1e6 / first, "/s", 0, false);
	show("whole events, again", (double)count * ROUNDS * 1e6 / again, "/s", 0, false);
}

int main(void)
{
	static struct lines agents;

	log_open("bench", LOG_ERROR);
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	randombytes_buf(&the_keys, sizeof the_keys);
	read_agents(&agents);
	printf("one core; agents: %zu\n", agents.count);
	bench_agents(&agents);
	bench_bots(&agents);
	bench_sources();
	bench_hostile(&agents);
	bench_memory();
	bench_places();
	bench_events();
	show("memory at most", (double)memory_kib("VmHWM:") / 1024, "MiB", 0, false);
	return EXIT_SUCCESS;
}
