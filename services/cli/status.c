/* footfall status: whether the stack is well, and what it holds. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/http_client.h"
#include "lib/journal/archive.h"
#include "lib/pg.h"
#include "services/cli/command.h"
#include "services/cli/gaps.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define ADMIN_TIMEOUT_MS   2000L
#define INSTANCES_MOST     10 /* admin ports of one kind lie in a row of ten */
#define JOURNAL_DEPTH_MOST 3

/* Everything is gathered as one JSON object, which is printed as such or as tables. */
struct report {
	json_t *root;
	bool well;
};

/* Bytes of the files below a folder. */
static uint64_t folder_bytes(const char *path, int depth)
{
	DIR *d = depth ? opendir(path) : NULL;
	struct dirent *entry;
	uint64_t sum = 0;

	while (d && (entry = readdir(d))) {
		char inner[PATH_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' ||
			snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >=
				(int)sizeof inner ||
			lstat(inner, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			sum += folder_bytes(inner, depth - 1);
		else if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	return sum;
}

/* *migrated: it is there and was migrated, so that its tables can be asked. */
static void add_database(
	struct report *r, const char *name, PGconn *db, const struct err *open_err, bool *migrated)
{
	json_t *databases = json_object_get(r->root, "databases"), *one = json_object();
	PGresult *found = NULL;
	struct err err = *open_err;
	int rc = db ? pg_run(db, &found, "select to_regclass('public.migration') is not null", 0,
			      NULL, &err)
		    : -ECONNRESET;

	if (!rc && PQgetvalue(found, 0, 0)[0] != 't')
		rc = err_set(&err, -ENOENT, "has no tables yet: footfall migrate makes them");
	PQclear(found);
	found = NULL;
	if (!rc)
		rc = pg_run(db, &found,
			"select number, name from migration order by number desc limit 1", 0, NULL,
			&err);
	*migrated = !rc && PQntuples(found);
	json_object_set_new(one, "reachable", json_boolean(db != NULL));
	if (*migrated) {
		json_object_set_new(one, "level", json_integer(pg_int(found, 0, 0)));
		json_object_set_new(one, "migration", json_string(PQgetvalue(found, 0, 1)));
	} else {
		r->well = false;
		json_object_set_new(one, "error", json_string(rc ? err.msg : "is empty"));
	}
	PQclear(found);
	json_object_set_new(databases, name, one);
}

/* Run a query whose rows are objects of the report; its failure is the report's "error". */
static json_t *rows_of(struct report *r, PGconn *db, const char *sql)
{
	json_t *rows = json_array();
	PGresult *found = NULL;
	struct err err = { 0 };

	if (db && pg_run(db, &found, sql, 0, NULL, &err)) {
		r->well = false;
		json_object_set_new(r->root, "error", json_string(err.msg));
	}
	for (int i = 0; found && i < PQntuples(found); i++)
		json_array_append_new(rows, result_row(found, i));
	PQclear(found);
	return rows;
}

/* The sites with what is stored of each, of large tables by a sample; the two databases know each
 * other by site_id only. */
static json_t *sites_of(struct report *r, PGconn *app, PGconn *metrics)
{
	json_t *sites = rows_of(
		r, app, "select id as site_id, domain, property_id from site order by domain");
	json_t *counts = rows_of(r, metrics,
		"select z.*, events = 0 or exists (select from site s where s.site_id = z.site_id "
		"and build > 0) as counted from site_sizes() z");
	/* The same for all: whether any table was sampled. */
	json_t *exact = json_object_get(json_array_get(counts, 0), "exact");
	json_t *site, *count;
	size_t i, j;

	json_array_foreach(sites, i, site)
	{
		json_object_set_new(site, "events", json_integer(0));
		json_object_set_new(site, "bytes", json_integer(0));
		json_object_set(site, "exact", exact ? exact : json_true());
		json_array_foreach(counts, j, count)
		{
			if (json_equal(json_object_get(site, "site_id"),
				    json_object_get(count, "site_id")))
				json_object_update(site, count);
		}
	}
	json_decref(counts);
	return sites;
}

/* at: a port of this machine, or "host:port". */
static void ask_service(
	struct report *r, struct http_client *http, struct span name, struct span at)
{
	const char *host = span_find(at, ':') < at.len ? "" : "127.0.0.1:";
	json_t *services = json_object_get(r->root, "services"), *one;
	struct http_answer answer = { 0 };
	struct err err = { 0 };
	char url[256], says[200];
	bool ready;

	snprintf(url, sizeof url, "http://%s%.*s/readyz", host, (int)at.len, at.ptr);
	ready = !http_client_get(http, url, &answer, &err) && answer.status == 200;
	if (!answer.status)
		snprintf(says, sizeof says, "no answer at %s%.*s", host, (int)at.len, at.ptr);
	else
		snprintf(says, sizeof says, "%.*s", (int)span_trim(answer.body).len,
			span_trim(answer.body).ptr);
	r->well = r->well && ready;
	one = json_pack("{ss%sbss*}", "name", name.ptr, name.len, "ready", ready, "says",
		ready ? NULL : says);
	json_array_append_new(services, one);
}

/* "ingress-0=8130,worker-0=worker:8050,…" */
static void ask_listed(struct report *r, struct http_client *http, const char *list)
{
	struct span rest = span_of(list);

	while (rest.len) {
		struct span word = span_first(rest, span_find(rest, ','));
		size_t equals = span_find(word, '=');

		if (equals < word.len)
			ask_service(r, http, span_first(word, equals), span_from(word, equals + 1));
		rest = span_from(rest, word.len + 1);
	}
}

static int count_of(const char *variable)
{
	const char *text = getenv(variable);
	long count = text ? strtol(text, NULL, 10) : 1;

	return count < 1 ? 1 : count > INSTANCES_MOST ? INSTANCES_MOST : (int)count;
}

/* The admin ports of a stack on this machine: ingress P+50…, worker P+60…, query P+70, console
 * P+71. */
static void list_ports(char *list, size_t size, long port)
{
	int ingresses = count_of("FOOTFALL_INGRESSES"), workers = count_of("FOOTFALL_WORKERS");
	size_t len = 0;

	for (int i = 0; i < ingresses; i++)
		len += (size_t)snprintf(
			list + len, size - len, "ingress-%d=%ld,", i, port + 50 + i);
	for (int i = 0; i < workers; i++)
		len += (size_t)snprintf(list + len, size - len, "worker-%d=%ld,", i, port + 60 + i);
	snprintf(list + len, size - len, "query=%ld,console=%ld", port + 70, port + 71);
}

static void ask_services(struct report *r)
{
	const char *listed = getenv("FOOTFALL_ADMIN_PORTS"), *port = getenv("FOOTFALL_PORT");
	struct http_client *http = NULL;
	struct err err = { 0 };
	char list[1024] = "";

	if (!listed && port && strtol(port, NULL, 10) > 0)
		list_ports(list, sizeof list, strtol(port, NULL, 10));
	if (!listed)
		listed = list;
	if (!*listed)
		return;
	if (http_client_init(&err) || http_client_open(&http, NULL, ADMIN_TIMEOUT_MS, &err)) {
		json_object_set_new(r->root, "error", json_string(err.msg));
		r->well = false;
		return;
	}
	ask_listed(r, http, listed);
	http_client_close(&http);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static unsigned long long number_of(const json_t *object, const char *key)
{
	return (unsigned long long)json_integer_value(json_object_get(object, key));
}

static void print_databases(const json_t *databases)
{
	const char *name;
	json_t *one;

	json_object_foreach((json_t *)(uintptr_t)databases, name, one)
	{
		if (json_object_get(one, "error"))
			printf("database %-10s %s\n", name, text_of(one, "error"));
		else
			printf("database %-10s at %s\n", name, text_of(one, "migration"));
	}
}

static void print_tables(const struct report *r)
{
	char bytes[RESULT_COUNT_SIZE];
	const char *name;
	json_t *one, *index;
	size_t i;

	json_array_foreach(json_object_get(r->root, "tables"), i, one)
	{
		printf("table    %-24s %16s bytes\n", text_of(one, "table"),
			result_count(bytes, number_of(one, "bytes")));
		json_object_foreach(json_object_get(one, "indexes"), name, index)
		{
			printf("  index    %-22s %16s\n", name,
				result_count(bytes, (unsigned long long)json_integer_value(index)));
		}
	}
}

static void print_rest(const struct report *r)
{
	char count[RESULT_COUNT_SIZE], bytes[RESULT_COUNT_SIZE];
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(r->root, "services"), i, one)
	{
		printf("service  %-10s %s%s\n", text_of(one, "name"),
			json_is_true(json_object_get(one, "ready")) ? "ready" : "not ready: ",
			text_of(one, "says"));
	}
	if (json_object_get(r->root, "journal_bytes"))
		printf("journal  %s bytes on disk\n",
			result_count(count, number_of(r->root, "journal_bytes")));
	json_array_foreach(json_object_get(r->root, "sites"), i, one)
	{
		printf("site     %-30s %s%12s events, %s bytes", text_of(one, "domain"),
			json_is_false(json_object_get(one, "exact")) ? "about " : "",
			result_count(count, number_of(one, "events")),
			result_count(bytes, number_of(one, "bytes")));
		if (*text_of(one, "first"))
			printf(", %s to %s", text_of(one, "first"), text_of(one, "last"));
		if (json_is_false(json_object_get(one, "counted"))) /* before it counted */
			printf(", of which reports show none from before the upgrade: footfall "
			       "rebuild --site %s",
				text_of(one, "domain"));
		putchar('\n');
	}
	print_tables(r);
	json_array_foreach(json_object_get(r->root, "gaps"), i, one)
	{
		printf("gap      producer %s lane %llu: %llu records missing after %llu, held up "
		       "to "
		       "%llu\n",
			text_of(one, "producer"), number_of(one, "lane"), number_of(one, "missing"),
			number_of(one, "low"), number_of(one, "highest"));
	}
	if (number_of(r->root, "archived_records_missing"))
		printf("archive  has %llu records that the tables lack: footfall replay\n",
			number_of(r->root, "archived_records_missing"));
	if (json_object_get(r->root, "error"))
		printf("error    %s\n", text_of(r->root, "error"));
}

/* What the archive has and the tables lack, as after a restored dump. */
static void add_archive(struct report *r, PGconn *metrics, const char *parent)
{
	struct archive_summary *list = NULL;
	struct archive *archive = NULL;
	long long missing = 0;
	struct err err;
	size_t count = 0;
	int rc = archive_open(&archive, parent, -1, &err);

	if (!rc)
		rc = archive_list(archive, &list, &count, &err);
	json_object_set_new(r->root, "archived_segments", json_integer((json_int_t)count));
	if (!rc)
		rc = gaps_in_archive(metrics, list, &count, &missing, &err);
	if (rc)
		json_object_set_new(r->root, "error", json_string(err.msg));
	json_object_set_new(r->root, "archived_records_missing", json_integer(missing));
	free(list);
	archive_close(&archive);
}

static void gather(struct report *r, const struct stack *stack)
{
	struct err app_err = { 0 }, metrics_err = { 0 };
	PGconn *app = NULL, *metrics = NULL;
	bool app_asked, metrics_asked;
	char journal[PATH_MAX + 16];

	/* Failures are told by add_database(). */
	(void)!stack_app_db(stack, &app, &app_err);
	(void)!stack_metrics_db(stack, &metrics, &metrics_err);
	add_database(r, "app", app, &app_err, &app_asked);
	add_database(r, "metrics", metrics, &metrics_err, &metrics_asked);
	ask_services(r);
	snprintf(journal, sizeof journal, "%s/journal", stack->home);
	if (*stack->home)
		json_object_set_new(r->root, "journal_bytes",
			json_integer((json_int_t)folder_bytes(journal, JOURNAL_DEPTH_MOST)));
	json_object_set_new(r->root, "sites",
		sites_of(r, app_asked ? app : NULL, metrics_asked ? metrics : NULL));
	json_object_set_new(r->root, "tables",
		rows_of(r, metrics_asked ? metrics : NULL, "select * from table_sizes()"));
	/* Records that came before an earlier one of their lane: for a moment that is usual, for
	 * long it means that the earlier one is lost to this database. */
	json_object_set_new(r->root, "gaps", rows_of(r, metrics_asked ? metrics : NULL, gaps_sql));
	if (metrics_asked && getenv("FOOTFALL_JOURNAL_DIR"))
		add_archive(r, metrics, getenv("FOOTFALL_JOURNAL_DIR"));
	PQfinish(app);
	PQfinish(metrics);
}

static int status(struct call *call, struct err *err)
{
	struct report r = { .root = json_pack("{s{}s[]}", "databases", "services"), .well = true };
	struct stack stack;
	int rc = stack_open(&stack, FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB, err);

	if (!rc) {
		gather(&r, &stack);
		json_object_set_new(r.root, "ok", json_boolean(r.well));
		if (call->json) {
			rc = result_json(json_incref(r.root), err);
		} else {
			print_databases(json_object_get(r.root, "databases"));
			print_rest(&r);
		}
	}
	if (!rc && !r.well) {
		call->quiet = true;
		rc = -EIO;
	}
	json_decref(r.root);
	stack_close(&stack);
	return rc;
}

const struct command status_commands[] = {
	{ "status", NULL, "show whether the stack is well, and what it holds",
		"Exit 1 when a database or a service is not ready. The services' admin ports "
		"follow\n"
		"from FOOTFALL_PORT, FOOTFALL_INGRESSES and FOOTFALL_WORKERS, or are listed in\n"
		"FOOTFALL_ADMIN_PORTS, as in \"ingress-0=8130,worker-0=8140,query=other:8050\".",
		status, { { NULL } } },
	{ NULL },
};
