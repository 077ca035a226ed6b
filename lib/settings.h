/* Settings: environment variables FOOTFALL_*, one table for all processes with name, unit, range,
 * default and help. NAME_FILE, a path, may stand for NAME and is how secrets are given. */
#ifndef FOOTFALL_SETTINGS_H
#define FOOTFALL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* Who reads a setting; a process's --help shows its own. */
enum settings_for {
	FOR_INGRESS = 1,
	FOR_WORKER = 2,
	FOR_QUERY = 4,
	FOR_CONSOLE = 8,
	FOR_CLI = 16,
	FOR_CLI_APP_DB = 32, /* the command line, where a subcommand needs it */
	FOR_CLI_METRICS_DB = 64,
	FOR_CLI_SCHEMA = 128,
	FOR_CLI_JOURNAL = 256,
	FOR_SERVICES = FOR_INGRESS | FOR_WORKER | FOR_QUERY | FOR_CONSOLE,
};

/* Texts are owned by the struct, never NULL; those of other processes are "". */
struct settings {
	char *log_level;
	char *admin_addr;
	char *app_url;
	char *app_db;
	char *metrics_db;
	char *trusted_proxies;
	int64_t http_threads;
	char *ingress_addr;
	char *push_addr;
	char *ack_addr;
	char *journal_dir;
	int64_t journal_max_mib;
	int64_t archive_days;
	int64_t retention_months;
	int64_t limit_address, limit_address_burst;
	int64_t limit_site, limit_site_burst;
	char *drain;
	int64_t send_window;
	char *link_secret;
	char *link_allow;
	char *link_server_key;
	bool link_plain;
	char *tracker_file;
	char *ingress_links;
	char *live_links;
	char *geoip_db;
	char *asn_db;
	char *data_centres;
	char *iso_codes;
	char *ua_rules;
	char *sources;
	char *ai_assistants;
	char *referrers;
	char *socials;
	char *search_engines;
	char *spam_referrers;
	char *bot_agents;
	char *query_addr;
	char *live_addr;
	int64_t live_max;
	char *ingress_admins;
	char *console_addr;
	char *ingress_url;
	char *schema_dir;
	bool cookie_secure;
};

/* Fill *s from the environment for process `who` (one, or several FOR_CLI bits). On error (-EINVAL,
 * -ENOENT …) one sentence says which variable is wrong and what it may be; settings_clear() is fine
 * either way. */
int settings_load(struct settings *s, enum settings_for who, struct err *err) MUST_CHECK;
void settings_clear(struct settings *s);

/* Print the table's rows for `who` on stdout. */
void settings_help(enum settings_for who);

/* The start of every service: answer --help (then -ECANCELED: leave with success), refuse other
 * arguments, load the settings and open the log under `name`. */
int settings_start(struct settings *s, enum settings_for who, const char *name, const char *about,
	int argc, char **argv, struct err *err) MUST_CHECK;

/* Split "host:port" (or "[v6]:port") into host (a NUL-terminated copy) and port. -EINVAL. */
int addr_split(
	const char *addr, char *host, size_t host_size, int *port, struct err *err) MUST_CHECK;

#endif
