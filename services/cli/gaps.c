#include "services/cli/gaps.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/pg.h"

#define SEGMENTS_AT_ONCE 256

const char gaps_sql[] =
	"select a.producer, a.lane, coalesce(p.low, 0) as low, count(*) as held, "
	"max(a.seq) as highest, max(a.seq) - coalesce(p.low, 0) - count(*) as missing "
	"from applied a left join progress p using (producer, lane) "
	"where a.seq > coalesce(p.low, 0) group by a.producer, a.lane, p.low "
	"having max(a.seq) - coalesce(p.low, 0) > count(*) "
	"order by a.producer, a.lane";

/* Of each lane of each segment: its records that are neither below low nor in applied. */
static const char missing_sql[] =
	"select g.n, sum(g.last - g.above - (select count(*) from applied a "
	"where a.producer = g.producer and a.lane = g.lane and a.seq > g.above and a.seq <= "
	"g.last)) "
	"from (select r.*, greatest(coalesce(p.low, 0), r.first - 1) as above "
	"from unnest($1::integer[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[]) "
	"as r(n, producer, lane, first, last) left join progress p using (producer, lane)) g "
	"where g.last > g.above group by g.n";

/* Arrays as PostgreSQL writes them, one text a parameter. */
struct arrays {
	char *text[5];
	size_t len[5], size;
};

static void put(struct arrays *a, int column, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void put(struct arrays *a, int column, const char *format, ...)
{
	va_list args;

	a->text[column][a->len[column]] = a->len[column] ? ',' : '{';
	a->len[column]++;
	va_start(args, format);
	a->len[column] += (size_t)vsnprintf(
		a->text[column] + a->len[column], a->size - a->len[column], format, args);
	va_end(args);
}

static void arrays_fill(struct arrays *a, const struct archive_summary *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (int lane = 0; lane < SEGMENT_LANES; lane++) {
			char uuid[33];

			if (!list[i].last[lane])
				continue;
			sodium_bin2hex(uuid, sizeof uuid, list[i].producer, 16);
			put(a, 0, "%zu", i);
			put(a, 1, "%s", uuid);
			put(a, 2, "%d", lane);
			put(a, 3, "%llu", (unsigned long long)list[i].first[lane]);
			put(a, 4, "%llu", (unsigned long long)list[i].last[lane]);
		}
	for (int column = 0; column < 5; column++)
		snprintf(a->text[column] + a->len[column], a->size - a->len[column], "%s",
			a->len[column] ? "}" : "{}");
}

/* missing[i] of each of at most SEGMENTS_AT_ONCE segments. */
static int ask(PGconn *metrics, const struct archive_summary *list, size_t count,
	long long *missing, struct err *err)
{
	struct arrays a = { .size = count * SEGMENT_LANES * 36 + 8 };
	PGresult *found = NULL;
	char *memory = malloc(5 * a.size);
	int rc;

	if (!memory)
		return err_set(err, -ENOMEM, "no memory for %zu segments", count);
	for (int column = 0; column < 5; column++)
		a.text[column] = memory + (size_t)column * a.size;
	arrays_fill(&a, list, count);
	rc = pg_run(metrics, &found, missing_sql, 5, (const char *const *)a.text, err);
	for (int row = 0; !rc && row < PQntuples(found); row++)
		missing[pg_int(found, row, 0)] = pg_int(found, row, 1);
	PQclear(found);
	free(memory);
	return rc;
}

int gaps_in_archive(PGconn *metrics, struct archive_summary *list, size_t *count,
	long long *missing, struct err *err)
{
	size_t kept = 0;
	int rc = 0;

	*missing = 0;
	for (size_t at = 0; !rc && at < *count; at += SEGMENTS_AT_ONCE) {
		size_t n = *count - at < SEGMENTS_AT_ONCE ? *count - at : SEGMENTS_AT_ONCE;
		long long each[SEGMENTS_AT_ONCE] = { 0 };

		rc = ask(metrics, list + at, n, each, err);
		for (size_t i = 0; !rc && i < n; i++)
			if (each[i] > 0) {
				list[kept++] = list[at + i];
				*missing += each[i];
			}
	}
	if (!rc)
		*count = kept;
	return rc;
}
