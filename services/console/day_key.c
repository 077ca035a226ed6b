#include "services/console/day_key.h"

#include "lib/clock.h"
#include "lib/log.h"

#define ALARM_US (3600 * US_PER_SECOND)

static int64_t failing_us(struct console *console)
{
	int64_t since = atomic_load(&console->day_keys_failing_mono_us);

	return since ? clock_mono_us() - since : 0;
}

static void note_failure(struct console *console, const struct err *err)
{
	static const char text[] = "day_key: those that are due cannot be destroyed";
	bool alarmed = console->day_keys_alarmed;

	if (!atomic_load(&console->day_keys_failing_mono_us)) {
		atomic_store(&console->day_keys_failing_mono_us, clock_mono_us());
		log_warn("%s: %s", text, err->msg);
	}
	console->day_keys_alarmed = failing_us(console) > ALARM_US;
	if (console->day_keys_alarmed && !alarmed)
		log_alarm("%s for an hour: %s", text, err->msg);
}

void day_key_sweep(struct console *console)
{
	struct err err = { 0 };
	PGresult *row;
	int rc = pg_pool_run(console->app, &row, "select day_key_destroy()", 0, NULL, &err);

	if (rc) {
		note_failure(console, &err);
		return;
	}
	if (pg_int(row, 0, 0))
		log_info("day_key: destroyed keys=%lld", (long long)pg_int(row, 0, 0));
	atomic_fetch_add(&console->day_keys_destroyed, pg_int(row, 0, 0));
	PQclear(row);
	if (atomic_exchange(&console->day_keys_failing_mono_us, 0))
		log_info("day_key: those that are due can be destroyed again");
	console->day_keys_alarmed = false;
}

void day_key_metrics(struct console *console, FILE *out)
{
	fprintf(out, "footfall_day_keys_destroyed_total %lld\n",
		atomic_load(&console->day_keys_destroyed));
	fprintf(out, "footfall_day_keys_failing_seconds %lld\n",
		(long long)(failing_us(console) / US_PER_SECOND));
}
