/* footfall dead-letter …: events that could not be applied and were set aside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/pg.h"
#include "lib/rfc3339.h"
#include "proto/event.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define ID        "producer || '/' || lane || '/' || seq || '/' || place"
#define WAIT_US   (15 * US_PER_SECOND)
#define LOOK_EACH (100 * 1000) /* us */
#define TIME_SIZE 40

static int open_metrics(struct stack *stack, PGconn **db, struct err *err)
{
	int rc = stack_open(stack, FOR_CLI | FOR_CLI_METRICS_DB, err);

	*db = NULL;
	return rc ? rc : stack_metrics_db(stack, db, err);
}

static int dead_letter_list(struct call *call, struct err *err)
{
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = open_metrics(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found,
			"select " ID " as id, to_char(set_aside at time zone 'UTC', "
			"'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as set_aside, length(bytes) as bytes, "
			"wanted, reason from dead_letter order by dead_letter.set_aside, producer, "
			"lane, seq, place",
			0, NULL, err);
	if (!rc && !call->json && !PQntuples(found))
		puts("nothing is set aside");
	else if (!rc)
		rc = result_print(found, call->json, err);
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static void set_text(json_t *object, const char *name, struct span text)
{
	if (text.len)
		json_object_set_new(object, name, json_stringn(text.ptr, text.len));
}

/* What can be read of the event; its address stays sealed. NULL: nothing. */
static json_t *event_object(struct span wire)
{
	struct event ev;
	struct err ignored;
	char time[TIME_SIZE];
	json_t *object;

	if (event_decode(&ev, wire, &ignored))
		return NULL;
	snprintf(time, sizeof time, "%lld", (long long)ev.ts_us);
	object = json_pack("{sIsIsssI}", "site_id", (json_int_t)ev.site_id, "id", (json_int_t)ev.id,
		"kind", event_kind_word(ev.kind), "time_us", (json_int_t)ev.ts_us);
	set_text(object, "name", ev.name);
	set_text(object, "host", ev.host);
	set_text(object, "path", ev.path);
	set_text(object, "title", ev.title);
	set_text(object, "referrer", ev.referrer);
	set_text(object, "user_agent", ev.user_agent);
	set_text(object, "language", ev.language);
	set_text(object, "revenue", ev.revenue);
	set_text(object, "currency", ev.currency);
	set_text(object, "props", ev.props);
	set_text(object, "metadata", ev.metadata);
	return object;
}

static int dead_letter_show(struct call *call, struct err *err)
{
	unsigned char *bytes = NULL;
	PGresult *found = NULL;
	PGconn *db = NULL;
	struct stack stack;
	size_t len = 0;
	int rc = open_metrics(&stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found,
			"select " ID
			" as id, set_aside, wanted, reason, encode(bytes, 'hex') as bytes, "
			"bytes as raw from dead_letter where " ID " = $1",
			1, call->arg, err);
	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT, "nothing with the id \"%s\" is set aside", call->arg[0]);
	if (!rc) {
		json_t *object = result_row(found, 0), *event;

		bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(found, 0, 5), &len);
		json_object_del(object, "raw");
		event = bytes ? event_object((struct span){ (const char *)bytes, len }) : NULL;
		if (event) {
			json_object_set_new(object, "event", event);
			json_object_del(object, "bytes");
		}
		rc = result_json(object, err);
		PQfreemem(bytes);
	}
	PQclear(found);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

/* One by its id, or with --all every one: exactly one of both. */
static int which(struct call *call, const char **id, struct err *err)
{
	bool all = call_has(call, "all");

	if (all == (call->arg[0] && *call->arg[0]))
		return call_wrong(call, err, "%s needs an ID or --all", call->command->name);
	*id = all ? NULL : call->arg[0];
	return 0;
}

static int count_of(PGconn *db, const char *sql, const char *id, long long *count, struct err *err)
{
	PGresult *found = NULL;
	int rc = pg_run(db, &found, sql, 1, &id, err);

	if (!rc)
		*count = pg_int(found, 0, 0);
	PQclear(found);
	return rc;
}

/* Wait until workers have tried those that are wanted. */
static int wait_tried(PGconn *db, const char *id, long long *left, struct err *err)
{
	int64_t until = clock_mono_us() + WAIT_US;
	int rc;

	do {
		rc = count_of(db,
			"select count(*) from dead_letter where wanted and ($1::text is null or " ID
			" = $1)",
			id, left, err);
	} while (!rc && *left && clock_mono_us() < until && !usleep(LOOK_EACH));
	return rc;
}

static int dead_letter_retry(struct call *call, struct err *err)
{
	long long wanted = 0, untried = 0, failed = 0;
	const char *id = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = which(call, &id, err);

	if (rc)
		return rc;
	rc = open_metrics(&stack, &db, err);
	if (!rc)
		rc = count_of(db,
			"with w as (update dead_letter set wanted = true where $1::text is null "
			"or " ID " = $1 returning 1) select count(*) from w",
			id, &wanted, err);
	if (!rc && id && !wanted)
		rc = err_set(err, -ENOENT, "nothing with the id \"%s\" is set aside", id);
	if (!rc)
		rc = wait_tried(db, id, &untried, err);
	if (!rc)
		rc = count_of(db,
			"select count(*) from dead_letter where not wanted and ($1::text is null "
			"or " ID " = $1)",
			id, &failed, err);
	if (!rc && call->json)
		rc = result_json(
			json_pack("{sIsIsI}", "applied", (json_int_t)(wanted - untried - failed),
				"failed", (json_int_t)failed, "untried", (json_int_t)untried),
			err);
	else if (!rc)
		printf("%lld applied, %lld failed again, %lld not tried yet\n",
			wanted - untried - failed, failed, untried);
	if (!rc && (failed || untried))
		rc = err_set(err, -EAGAIN, "%s",
			untried ? "no worker has got to it: it is tried when one does"
				: "footfall dead-letter list has the reasons");
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

static int dead_letter_drop(struct call *call, struct err *err)
{
	long long dropped = 0;
	const char *id = NULL;
	PGconn *db = NULL;
	struct stack stack;
	int rc = which(call, &id, err);

	if (rc)
		return rc;
	rc = open_metrics(&stack, &db, err);
	if (!rc)
		rc = count_of(db,
			"with d as (delete from dead_letter where $1::text is null or " ID
			" = $1 returning 1) select count(*) from d",
			id, &dropped, err);
	if (!rc && id && !dropped)
		rc = err_set(err, -ENOENT, "nothing with the id \"%s\" is set aside", id);
	if (!rc && call->json)
		rc = result_json(json_pack("{sI}", "dropped", (json_int_t)dropped), err);
	else if (!rc)
		printf("%lld dropped for good\n", dropped);
	PQfinish(db);
	stack_close(&stack);
	return rc;
}

const struct command dead_letter_commands[] = {
	{ "dead-letter list", NULL, "list the events that could not be applied",
		"One event that the database refuses is set aside alone, with the reason; it "
		"blocks\n"
		"nothing. A place of -1 is a whole record that could not be read.",
		dead_letter_list, { { NULL } } },
	{ "dead-letter show", "ID", "show one of them, and what can be read of it", NULL,
		dead_letter_show, { { NULL } } },
	{ "dead-letter retry", "[ID]", "let a worker try it again, under the number it has",
		"Exit 1 when it fails again; it stays then, with its new reason.",
		dead_letter_retry, { { "all", NULL, "every one" } } },
	{ "dead-letter drop", "[ID]", "delete it for good", NULL, dead_letter_drop,
		{ { "all", NULL, "every one" } } },
	{ NULL },
};
