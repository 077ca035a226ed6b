#include "services/query/sql.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The statement is a chain of named steps:
 *
 *   timeline, piece, visit   only where visits must be told apart: a visitor's events in order, cut
 *                            into visits (design, "Words and formulas")
 *   per_visitor              events of one visitor with the same dimensions, counted
 *   part                     rows of counts by dimension, a null where a part does not count
 *   grouped                  the metrics, by the dimensions' ids
 *   named                    ids become texts, as late as possible
 *
 * Dimensions are d0, d1 …, metrics m0, m1 … in the request's order. */

/* A visit may begin before the range and end after it: so much is read on either side. With daily
 * identity no visit is longer; with persistent identity a longer one is a machine's. */
#define VISIT_REACH "interval '1 day'"

/* The counts of `part`, in its order. */
enum { VISITORS, PAGEVIEWS, EVENTS, VISITS, STARTED, BOUNCES, SECONDS, VISIT_VIEWS, COUNTERS };
static const char *const counter_names[COUNTERS] = { "visitors", "pageviews", "events", "visits",
	"started", "bounces", "seconds", "visit_views" };

struct builder {
	const struct request *req;
	FILE *out;
	struct sql *sql;
	bool by_visit, by_hour;
};

static const struct {
	const char *name, *cast;
} params[SQL_PARAMS_MOST] = {
	[SQL_SITE] = { "site", "integer" },
	[SQL_ZONE] = { "zone", "text" },
	[SQL_STARTS] = { "starts", "timestamptz" },
	[SQL_ENDS] = { "ends", "timestamptz" },
	[SQL_FIRST_DATE] = { "first_date", "date" },
	[SQL_LIMIT] = { "limit", "bigint" },
	[SQL_OFFSET] = { "offset", "bigint" },
};

/* The number of a parameter in this statement; it gets one when it is first used, since PostgreSQL
 * refuses parameters that a statement does not use. */
static int param_number(struct sql *sql, enum sql_param param)
{
	for (int i = 0; i < sql->param_count; i++)
		if (sql->params[i] == param)
			return i + 1;
	sql->params[sql->param_count++] = param;
	return sql->param_count;
}

/* Write a fragment; {name} becomes $n::type. */
static void put(struct builder *b, const char *text)
{
	while (*text) {
		size_t plain = strcspn(text, "{"), name;
		int i = 0;

		fwrite(text, 1, plain, b->out);
		text += plain;
		if (!*text)
			return;
		name = strcspn(++text, "}");
		while (i < SQL_PARAMS_MOST &&
			(strlen(params[i].name) != name || strncmp(params[i].name, text, name)))
			i++;
		assert(i < SQL_PARAMS_MOST);
		fprintf(b->out, "$%d::%s", param_number(b->sql, (enum sql_param)i), params[i].cast);
		text += name + 1;
	}
}

__attribute__((format(printf, 2, 3))) static void putf(struct builder *b, const char *fmt, ...)
{
	char text[600];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof text);
	put(b, text);
}

/* The interval in which an instant lies, as a local date or, for hours, local time. */
static void put_bucket(struct builder *b, const char *unit, const char *instant)
{
	if (!strcmp(unit, "hour"))
		putf(b, "date_trunc('hour', %s at time zone {zone})", instant);
	else if (!strcmp(unit, "week")) /* the first may have begun before the range */
		putf(b, "greatest(date_trunc('week', %s at time zone {zone})::date, {first_date})",
			instant);
	else if (!strcmp(unit, "day"))
		putf(b, "(%s at time zone {zone})::date", instant);
	else
		putf(b, "date_trunc('%s', %s at time zone {zone})::date", unit, instant);
}

/* "expr as d0, expr as d1, " of event rows e, whose visit is v; time tells which time counts. */
static void put_event_dimensions(struct builder *b, const char *time)
{
	for (int i = 0; i < b->req->dimension_count; i++) {
		const struct dimension *d = b->req->dimensions[i];

		if (d->level == LEVEL_TIME)
			put_bucket(b, d->column, time);
		else if (d->level == LEVEL_VISIT && b->by_visit)
			putf(b, "v.d%d", i);
		else
			putf(b, "e.%s", d->column);
		putf(b, " as d%d, ", i);
	}
}

/* "d0, d1, " */
static void put_dimension_names(struct builder *b)
{
	for (int i = 0; i < b->req->dimension_count; i++)
		putf(b, "d%d, ", i);
}

/* " group by 1, 2", the dimensions being the first columns, and `more` columns after them. */
static void put_group_by(struct builder *b, int more)
{
	int count = b->req->dimension_count + more;

	for (int i = 0; i < count; i++)
		putf(b, "%s%d", i ? ", " : " group by ", i + 1);
}

static bool has_level(const struct builder *b, enum level level)
{
	for (int i = 0; i < b->req->dimension_count; i++)
		if (b->req->dimensions[i]->level == level)
			return true;
	return false;
}

/* ", e.page, e.source": what of an event the dimensions need, each once. */
static void put_columns(struct builder *b)
{
	for (int i = 0; i < b->req->dimension_count; i++) {
		const struct dimension *d = b->req->dimensions[i];
		bool repeated = d->level == LEVEL_TIME;

		for (int k = 0; k < i && !repeated; k++)
			repeated = !strcmp(b->req->dimensions[k]->column, d->column);
		if (!repeated)
			putf(b, ", e.%s", d->column);
	}
}

/* What makes a dimension of a visit; an event's own only where visits are told by it, too. */
static bool is_of_visit(const struct builder *b, const struct dimension *d)
{
	return d->level == LEVEL_VISIT ||
	       (d->level == LEVEL_EVENT && request_counts(b->req) & COUNTS_STARTED);
}

/* The landing event's dimensions, and the leaving page, as least and greatest arrays: an array is
 * ordered by its first elements, and no event is in two places of the numbering. That spares a sort
 * in each visit, or joining the events to themselves. */
static void put_landing(struct builder *b)
{
	bool landing = false, leaving = false;

	for (int i = 0; i < b->req->dimension_count; i++)
		if (is_of_visit(b, b->req->dimensions[i])) {
			leaving |= b->req->dimensions[i]->leaving;
			landing |= !b->req->dimensions[i]->leaving;
		}
	if (leaving)
		put(b, ",\n      max(array[n, page]) filter (where kind = 1) as leaving");
	if (!landing)
		return;
	put(b, ",\n      min(array[kind, n");
	for (int i = 0; i < b->req->dimension_count; i++) {
		const struct dimension *d = b->req->dimensions[i];

		if (is_of_visit(b, d) && !d->leaving)
			putf(b, ", %s", d->landing ? d->landing : d->column);
	}
	put(b, "]) filter (where kind in (1, 2)) as landing");
}

/* ", m.landing[3] as d0": the dimensions of visits, in put_landing()'s order. */
static void put_visit_dimensions(struct builder *b)
{
	int place = 3;

	for (int i = 0; i < b->req->dimension_count; i++) {
		const struct dimension *d = b->req->dimensions[i];

		if (is_of_visit(b, d) && d->leaving)
			putf(b, ", coalesce(m.leaving[2], 0) as d%d", i);
		else if (is_of_visit(b, d))
			putf(b, ", m.landing[%d] as d%d", place++, i);
	}
}

/* `counted` is a column, because the planner takes several conditions on such a step for rarely
 * met, and then joins by nested loops. A gap of exactly 30:00 does not cut. Events are numbered
 * through in (visitor, ts, id), so that a visit's first page view is a least number and found again
 * by it. A visit without a page view or custom event is not counted. */
static void put_visits(struct builder *b)
{
	put(b, "timeline as (\n"
	       "  select e.ts, e.visitor, e.id, e.kind, e.interactive");
	put_columns(b);
	put(b, ",\n"
	       "    e.ts - lag(e.ts) over (partition by e.visitor order by e.ts, e.id)\n"
	       "      > interval '30 minutes' is not false as opens\n"
	       "  from event e\n"
	       "  where e.site_id = {site} and e.kind <= 5 and e.ts >= {starts} - " VISIT_REACH
	       " and e.ts < {ends} + " VISIT_REACH "\n"
	       "), piece as materialized (\n"
	       "  select *, row_number() over numbering as n,\n"
	       "    count(*) filter (where opens) over numbering as visit,\n"
	       "    kind in (1, 2) and ts >= {starts} and ts < {ends} as counted\n"
	       "  from timeline window numbering as (order by visitor, ts, id rows unbounded"
	       " preceding)\n"
	       "), visit as (\n"
	       "  select m.*");
	put_visit_dimensions(b);
	put(b, "\n  from (\n"
	       "    select visit, min(ts) as starts, max(ts) as ends,\n"
	       "      count(*) filter (where kind = 1) as views,\n"
	       "      bool_or(kind = 2 and interactive) as acted");
	put_landing(b);
	put(b, "\n    from piece group by visit\n"
	       "    having bool_or(kind in (1, 2)) and max(ts) >= {starts} and min(ts) < {ends}\n"
	       "  ) m\n), ");
}

static void put_counted_events(struct builder *b, bool with_visit)
{
	if (!b->by_visit)
		put(b, "  from event e\n  where e.site_id = {site} and e.kind in (1, 2)"
		       " and e.ts >= {starts} and e.ts < {ends}");
	else if (with_visit)
		put(b, "  from piece e join visit v on v.visit = e.visit\n  where e.counted");
	else
		put(b, "  from piece e\n  where e.counted");
}

/* Events are counted by visitor first, then over visitors: twice a hash, never a sort. */
static void put_per_visitor(struct builder *b)
{
	put(b, "per_visitor as (\n  select ");
	put_event_dimensions(b, "e.ts");
	put(b, "e.visitor, count(*) filter (where e.kind = 1) as views, count(*) as events\n");
	put_counted_events(b, has_level(b, LEVEL_VISIT));
	put_group_by(b, 1);
	put(b, "\n), ");
}

/* The counters of a part: an expression each, or a null. */
static void put_counters(struct builder *b, const char *const exprs[COUNTERS])
{
	for (int i = 0; i < COUNTERS; i++)
		putf(b, "%s%s as %s", i ? ", " : "", exprs[i] ? exprs[i] : "null::numeric",
			counter_names[i]);
}

static void put_part_of_events(struct builder *b)
{
	static const char *const exprs[COUNTERS] = {
		[VISITORS] = "count(*)", [PAGEVIEWS] = "sum(views)", [EVENTS] = "sum(events)"
	};

	put(b, "  select ");
	put_dimension_names(b);
	put_counters(b, exprs);
	put(b, " from per_visitor");
	put_group_by(b, 0);
}

/* Visits seen in the dimensions of their events. By hour, a visit counts in each hour in which it
 * was active; else it belongs to its first event's time. */
static void put_part_of_seen(struct builder *b)
{
	static const char *const exprs[COUNTERS] = { [VISITS] = "count(*)" };

	put(b, "  select ");
	put_dimension_names(b);
	put_counters(b, exprs);
	put(b, " from (\n  select distinct ");
	put_event_dimensions(b, b->by_hour ? "e.ts" : "v.starts");
	put(b, "e.visit\n");
	/* A counted event's visit is counted: only what is told by visits needs them. */
	put_counted_events(b, !b->by_hour || has_level(b, LEVEL_VISIT));
	if (!b->by_hour)
		put(b, " and v.starts >= {starts} and v.starts < {ends}");
	put(b, "\n  ) seen");
	put_group_by(b, 0);
}

/* Visits that began in the range: what they were like, and, with `counted`, how many. */
static void put_part_of_started(struct builder *b, bool counted)
{
	const char *const exprs[COUNTERS] = { [VISITS] = counted ? "count(*)" : NULL,
		[STARTED] = "count(*)",
		[BOUNCES] = "count(*) filter (where v.views = 1 and not v.acted)",
		[SECONDS] = "extract(epoch from sum(v.ends - v.starts))",
		[VISIT_VIEWS] = "sum(v.views)" };

	put(b, "  select ");
	for (int i = 0; i < b->req->dimension_count; i++) {
		if (b->req->dimensions[i]->level == LEVEL_TIME)
			put_bucket(b, b->req->dimensions[i]->column, "v.starts");
		else
			putf(b, "v.d%d", i);
		putf(b, " as d%d, ", i);
	}
	put_counters(b, exprs);
	put(b, "\n  from visit v where v.starts >= {starts} and v.starts < {ends}");
	for (int i = 0; i < b->req->dimension_count; i++)
		if (b->req->dimensions[i]->level == LEVEL_EVENT && b->req->dimensions[i]->landing)
			putf(b, " and v.d%d <> 0", i); /* entered by no page */
	put_group_by(b, 0);
}

static void put_parts(struct builder *b)
{
	int counts = request_counts(b->req);
	bool seen = counts & COUNTS_VISITS && (b->by_hour || has_level(b, LEVEL_EVENT));
	bool started = counts & COUNTS_STARTED || (counts & COUNTS_VISITS && !seen);

	put(b, "part as (\n");
	if (counts & COUNTS_EVENTS)
		put_part_of_events(b);
	if (seen) {
		put(b, counts & COUNTS_EVENTS ? "\n  union all\n" : "");
		put_part_of_seen(b);
	}
	if (started) {
		put(b, counts & COUNTS_EVENTS || seen ? "\n  union all\n" : "");
		put_part_of_started(b, counts & COUNTS_VISITS && !seen);
	}
	put(b, "\n), grouped as (\n  select ");
	put_dimension_names(b);
	for (int i = 0; i < b->req->metric_count; i++)
		putf(b, "%s%s as m%d", i ? ", " : "", b->req->metrics[i]->expr, i);
	put(b, "\n  from part");
	put_group_by(b, 0);
	put(b, "\n)");
}

static bool is_text(const struct builder *b, const struct order *order)
{
	return order->by_dimension && b->req->dimensions[order->index]->level != LEVEL_TIME;
}

static void put_order(struct builder *b, const struct order *order, const char *before)
{
	if (!order->by_dimension)
		putf(b, "%sm%d", before, order->index);
	else if (is_text(b, order))
		putf(b, "%st%d collate \"C\"", before, order->index);
	else
		putf(b, "%sd%d", before, order->index);
	put(b, order->descending ? " desc nulls last" : " asc nulls last");
}

/* All of the request's order, then the dimensions, so that equals stand in one order always. */
static void put_order_by(struct builder *b)
{
	const struct request *req = b->req;
	const char *before = " order by ";

	for (int i = 0; i < req->order_count; i++, before = ", ")
		put_order(b, &req->order[i], before);
	for (int i = 0; i < req->dimension_count; i++, before = ", ")
		put_order(b, &(struct order){ true, i, false }, before);
}

/* Where the order begins with numbers, only the rows that it can bring to the page, with those
 * that are equal in them, need texts. */
static void put_candidates(struct builder *b)
{
	const struct request *req = b->req;
	int numbers = 0;

	while (numbers < req->order_count && !is_text(b, &req->order[numbers]))
		numbers++;
	if (!numbers) {
		put(b, "grouped g");
		return;
	}
	put(b, "(select * from grouped");
	for (int i = 0; i < numbers; i++)
		put_order(b, &req->order[i], i ? ", " : " order by ");
	put(b, " fetch first ({limit} + {offset}) rows with ties) g");
}

/* Texts are looked up row by row: the planner cannot guess how many rows there are at the end of
 * the chain, and a join that it plans for one row takes for ever with ten thousand. */
static void put_named(struct builder *b)
{
	const struct request *req = b->req;

	put(b, ", named as (\n  select g.*");
	for (int i = 0; i < req->dimension_count; i++) {
		const struct dimension *d = req->dimensions[i];

		if (d->level == LEVEL_TIME)
			putf(b, ", g.d%d::text as t%d", i, i);
		else
			putf(b,
				",\n    coalesce((select s.value from string s where s.site_id ="
				" {site} and s.id = g.d%d), '%s') as t%d",
				i, d->unknown, i);
	}
	put(b, "\n  from ");
	put_candidates(b);
	put(b, "\n)\n");
}

static void put_page(struct builder *b)
{
	const struct request *req = b->req;

	put(b, "select ");
	for (int i = 0; i < req->dimension_count; i++)
		putf(b, "t%d, ", i);
	for (int i = 0; i < req->metric_count; i++)
		putf(b, "%sm%d", i ? ", " : "", i);
	if (!req->total_rows) {
		put(b, " from named");
		put_order_by(b);
		put(b, " limit {limit} offset {offset}");
		return;
	}
	put(b, ", here, total\nfrom (select count(*) as total from grouped) counted\n"
	       "left join (select *, true as here from named");
	put_order_by(b);
	put(b, " limit {limit} offset {offset}) page on true");
	put_order_by(b);
}

static void builder_run(struct builder *b)
{
	put(b, "with ");
	if (b->by_visit)
		put_visits(b);
	if (request_counts(b->req) & COUNTS_EVENTS)
		put_per_visitor(b);
	put_parts(b);
	put_named(b);
	put_page(b);
}

int sql_build(struct sql *out, const struct request *req, struct err *err)
{
	int time = request_time_dimension(req);
	struct builder b = { .req = req, .sql = out, .by_visit = request_needs_visits(req) };
	size_t len = 0;

	*out = (struct sql){ 0 };
	b.by_hour = time >= 0 && !strcmp(req->dimensions[time]->column, "hour");
	b.out = open_memstream(&out->text, &len);
	if (!b.out)
		return err_set(err, -ENOMEM, "no memory for a statement");
	builder_run(&b);
	if (fclose(b.out))
		return err_set(err, -ENOMEM, "no memory for a statement");
	return 0;
}

void sql_clear(struct sql *sql)
{
	free(sql->text);
	sql->text = NULL;
}
