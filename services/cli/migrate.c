/* footfall migrate: bring both databases to the schema of this version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/pg.h"
#include "services/cli/command.h"
#include "services/cli/migration.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define WAIT_PAUSE_MS 200
#define WAIT_MOST_S   3600

struct target {
	const char *name;
	int (*open)(const struct stack *stack, PGconn **out, struct err *err);
	PGconn *db;
	struct migrations files;
	size_t done; /* applied before this run */
};

static void no_notices(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result; /* "already exists, skipping": what is done is printed by us */
}

/* Connect, again and again until the deadline while the database is not there. */
static int target_connect(
	struct target *t, const struct stack *stack, int64_t deadline_mono_us, struct err *err)
{
	const struct timespec pause = { 0, WAIT_PAUSE_MS * 1000000L };
	int rc = t->open(stack, &t->db, err);

	while (rc == -ECONNRESET && clock_mono_us() < deadline_mono_us) {
		nanosleep(&pause, NULL);
		rc = t->open(stack, &t->db, err);
	}
	if (!rc)
		PQsetNoticeReceiver(t->db, no_notices, NULL);
	return rc;
}

static int target_open(
	struct target *t, const struct stack *stack, int64_t deadline_mono_us, struct err *err)
{
	struct err inner = { 0 };
	char dir[PATH_MAX];
	int rc;

	snprintf(dir, sizeof dir, "%s/%s", stack->settings.schema_dir, t->name);
	rc = migrations_read(&t->files, dir, err);
	if (!rc)
		rc = target_connect(t, stack, deadline_mono_us, err);
	if (rc)
		return rc;
	rc = migrations_begin(t->db, &inner);
	if (!rc)
		rc = migrations_done(&t->files, t->db, &t->done, &inner);
	return rc ? err_set(err, rc, "%s: %s", t->name, inner.msg) : 0;
}

static int target_migrate(struct target *t, bool say, struct err *err)
{
	const struct migration *last = &t->files.list[t->files.count - 1];
	struct err inner = { 0 };

	for (size_t i = t->done; i < t->files.count; i++) {
		int64_t start = clock_mono_us();
		int rc = migration_apply(&t->files.list[i], t->db, &inner);

		if (rc)
			return err_set(err, rc, "%s/%s", t->name, inner.msg);
		if (say) {
			printf("%-8s %s applied (%lld ms)\n", t->name, t->files.list[i].name,
				(long long)(clock_mono_us() - start) / 1000);
			fflush(stdout);
		}
	}
	if (say && t->done == t->files.count)
		printf("%-8s nothing to do: %s is the newest\n", t->name, last->name);
	return 0;
}

static json_t *target_json(const struct target *t)
{
	json_t *applied = json_array();

	for (size_t i = t->done; i < t->files.count; i++)
		json_array_append_new(applied, json_string(t->files.list[i].name));
	return json_pack(
		"{siso}", "level", t->files.list[t->files.count - 1].number, "applied", applied);
}

static int migrate(struct call *call, struct err *err)
{
	struct target app = { .name = "app", .open = stack_app_db };
	struct target metrics = { .name = "metrics", .open = stack_metrics_db };
	int64_t deadline_mono_us = clock_mono_us();
	struct stack stack = { 0 };
	long wait_s;
	int rc = call_number(call, "wait", 0, WAIT_MOST_S, 0, &wait_s, err);

	deadline_mono_us += wait_s * US_PER_SECOND;
	if (!rc)
		rc = stack_open(&stack,
			FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB | FOR_CLI_SCHEMA, err);
	/* Both are looked at before either is touched; all hosts lock them in this order. */
	if (!rc)
		rc = target_open(&app, &stack, deadline_mono_us, err);
	if (!rc)
		rc = target_open(&metrics, &stack, deadline_mono_us, err);
	if (!rc)
		rc = target_migrate(&app, !call->json, err);
	if (!rc)
		rc = target_migrate(&metrics, !call->json, err);
	if (!rc && call->json)
		rc = result_json(json_pack("{soso}", "app", target_json(&app), "metrics",
					 target_json(&metrics)),
			err);
	PQfinish(app.db);
	PQfinish(metrics.db);
	migrations_clear(&app.files);
	migrations_clear(&metrics.files);
	stack_close(&stack);
	return rc;
}

const struct command migrate_commands[] = {
	{ "migrate", NULL, "bring both databases to the schema of this version",
		"Each migration is a transaction of its own. Safe to run twice, and from two hosts "
		"at\n"
		"once. A migration that was changed after it was applied, and a database that is "
		"newer\n"
		"than this version, are refused and left as they are.",
		migrate,
		{ { "wait", "SECONDS", "wait so long for the databases (0 by default)" } } },
	{ NULL },
};
