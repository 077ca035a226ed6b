/* console: owns people, their logins and their sites; the dashboard in web/ talks to it and to
 * query. It starts and stays with the database down (503 until it answers again). SIGTERM: take
 * nothing new, answer what is in hand, exit 0. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/schema.h"
#include "lib/secret.h"
#include "lib/stop.h"
#include "services/console/account.h"
#include "services/console/console.h"
#include "services/console/day_key.h"
#include "services/console/keep.h"
#include "services/console/session.h"
#include "services/console/site.h"
#include "services/console/site_rule.h"

#define APP_CONNECTIONS  4
#define LOGINS_MOST      10 /* failures of a client, or for an account, in … */
#define LOGINS_WINDOW_US (300 * US_PER_SECOND)
#define SWEEP_S          30

static const struct http_route routes[] = {
	{ "GET", "/api/me", account_me },
	{ "POST", "/api/login", account_login },
	{ "POST", "/api/logout", account_logout },
	{ "POST", "/api/setup", account_setup },
	{ "POST", "/api/sites", site_add },
	{ "GET", "/api/sites/*", site_rules_get },
	{ "PUT", "/api/sites/*", site_rules_choose },
	{ "POST", "/api/sites/*", site_rules_add },
	{ "DELETE", "/api/sites/*", site_rules_remove },
	{ "GET", "/api/timezones", site_zones },
	{ 0 },
};

static int console_ready(void *service, struct err *err)
{
	return console_run(service, NULL, "select from login_session limit 1", 0, NULL, err);
}

static void console_metrics(void *service, FILE *out)
{
	struct console *console = service;

	http_metrics(console->http, out);
	fprintf(out, "footfall_logins_total{result=\"done\"} %lld\n",
		atomic_load(&console->logins));
	fprintf(out, "footfall_logins_total{result=\"refused\"} %lld\n",
		atomic_load(&console->logins_refused));
	fprintf(out, "footfall_logins_total{result=\"throttled\"} %lld\n",
		atomic_load(&console->logins_throttled));
	day_key_metrics(console, out);
}

static int console_open(struct console *console, struct err *err)
{
	const struct settings *s = &console->settings;
	const struct http_options http = { .addr = s->console_addr,
		.threads = (int)s->http_threads,
		.routes = routes,
		.service = console,
		.trusted = &console->trusted };
	const struct admin_options admin = { .addr = s->admin_addr,
		.service_name = "console",
		.service = console,
		.ready = console_ready,
		.metrics = console_metrics };
	int rc = secret_init(err);

	if (!rc)
		rc = addr_nets_parse(&console->trusted, s->trusted_proxies, err);
	if (!rc)
		rc = throttle_open(&console->by_client, LOGINS_MOST, LOGINS_WINDOW_US, err);
	if (!rc)
		rc = throttle_open(&console->by_email, LOGINS_MOST, LOGINS_WINDOW_US, err);
	if (!rc)
		rc = pg_pool_open(
			&console->app, s->app_db, "console", schema_app, APP_CONNECTIONS, err);
	if (!rc)
		rc = http_server_open(&console->http, &http, err);
	if (!rc)
		rc = admin_open(&console->admin, &admin, err);
	if (!rc) /* last: its thread ends with the signal only */
		rc = keep_open(&console->keep, console, err);
	return rc;
}

static void console_close(struct console *console)
{
	keep_close(&console->keep);
	http_servers_close(&console->http, &console->admin);
	pg_pool_close(&console->app);
	throttle_close(&console->by_email);
	throttle_close(&console->by_client);
	settings_clear(&console->settings);
}

/* Sweep now and then until a signal asks to stop. */
static void console_wait(struct console *console)
{
	do {
		session_sweep(console);
		day_key_sweep(console);
	} while (!stop_wait(SWEEP_S * 1000));
}

int main(int argc, char **argv)
{
	static struct console console;
	struct err err = { 0 };
	int rc;

	stop_block();
	rc = settings_start(&console.settings, FOR_CONSOLE, "console",
		"accounts, logins and sites, for the dashboard", argc, argv, &err);
	if (!rc)
		rc = console_open(&console, &err);
	if (!rc) {
		log_info("console: serving addr=%s", console.settings.console_addr);
		console_wait(&console);
		log_info("console: stopping");
	} else if (rc != -ECANCELED) {
		log_error("console: %s", err.msg);
	}
	console_close(&console);
	return !rc || rc == -ECANCELED ? EXIT_SUCCESS : EXIT_FAILURE;
}
