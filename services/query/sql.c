#include "services/query/sql.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/screen.h"

/* The statement is a chain of named steps:
 *
 *   visits     those that run in the range, for facts to be told by them
 *   bots       those that do not count, for facts that are not told by theirs
 *   part       rows of counts by dimension, a null where a row does not count
 *   everyone   the visitors without dimensions, where shares of them are asked for
 *   merged     part, ids that are shown alike being one text
 *   grouped    the metrics, by the dimensions' ids
 *   named      ids become texts, as late as possible
 *
 * Dimensions are d0, d1 …, metrics m0, m1 … in the request's order. All of them count as
 * proto/words.md says; they differ in how much they can tell. */
enum source {
	FROM_ROLLUPS, /* whole days by one dimension at most: what was added up already */
	FROM_VISITS,  /* whole days by any dimensions of visits and pages: visit and visit_page */
	FROM_EVENTS,  /* what only events know: hours, parts of days, names, hosts */
};

/* The counts of `part`, in its order. */
enum { VISITORS, PAGEVIEWS, EVENTS, VISITS, STARTED, BOUNCES, DURATION, VISIT_VIEWS, COUNTERS };
static const char *const counter_names[COUNTERS] = { "visitors", "pageviews", "events", "visits",
	"started", "bounces", "duration_ms", "visit_views" };

struct builder {
	const struct request *req;
	FILE *out;
	struct sql *sql;
	enum source source;
	const struct facts *facts;
	const char *unit; /* of time, or "" */
	bool by_page, whole_days, some_persistent;
	const char *between; /* what parts it, before the next part */
};

static const struct {
	const char *name, *cast;
} params[SQL_PARAMS_MOST] = {
	[SQL_SITE] = { "site", "integer" },
	[SQL_BUILD] = { "build", "integer" },
	[SQL_ZONE] = { "zone", "text" },
	[SQL_STARTS] = { "starts", "timestamptz" },
	[SQL_ENDS] = { "ends", "timestamptz" },
	[SQL_FIRST_DATE] = { "first_date", "date" },
	[SQL_END_DATE] = { "end_date", "date" },
	[SQL_FIRST_MONTH] = { "first_month", "date" },
	[SQL_END_MONTH] = { "end_month", "date" },
	[SQL_LIMIT] = { "limit", "bigint" },
	[SQL_OFFSET] = { "offset", "bigint" },
	[SQL_COUNTRY_NAMES] = { "country_names", "jsonb" },
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

static bool by_hour(const struct builder *b)
{
	return !strcmp(b->unit, "hour");
}

static bool has_level(const struct builder *b, enum level level)
{
	for (int i = 0; i < b->req->dimension_count; i++)
		if (b->req->dimensions[i]->level == level)
			return true;
	return false;
}

/* A row's local day and, for hours, its instant. */
struct moment {
	const char *day, *ts;
};
static const struct moment of_rollup = { "r.day" };
static const struct moment of_visit = { "(v.start_ts at time zone {zone})::date", "v.start_ts" };

/* Page views and custom events e: by visit, page and day, or one by one. */
struct facts {
	const char *table;
	struct moment moment;
	const char *visit;   /* how they are joined with theirs */
	const char *counted; /* which of the table they are */
	const char *in_range;
	const char *started; /* whose column start_ts their table is read by */
	const char *views, *actions;
};
static const struct facts pages_of_visits = { "visit_page", { "e.day" }, "v.start_ts = e.start_ts",
	"e.build = {build} and e.views + e.events > 0",
	"e.day >= {first_date} and e.day < {end_date}", "e", "e.views", "e.views + e.events" };
static const struct facts single_events = { "event", { "(e.ts at time zone {zone})::date", "e.ts" },
	"e.ts between v.start_ts and v.end_ts", "e.kind in (1, 2)",
	"e.ts >= {starts} and e.ts < {ends}", "v", "(e.kind = 1)::integer", "1" };

/* Whether an earlier dimension tells the same, as a code does of a name. */
static bool is_repeated(const struct request *req, int i)
{
	for (int k = 0; k < i; k++)
		if (req->dimensions[k]->level == req->dimensions[i]->level &&
			!strcmp(req->dimensions[k]->column, req->dimensions[i]->column))
			return true;
	return false;
}

static enum source source_of(const struct request *req, bool whole_days)
{
	int others = 0, rolled = 0;

	for (int i = 0; i < req->dimension_count; i++) {
		const struct dimension *d = req->dimensions[i];

		if (d->level == LEVEL_EVENT || !strcmp(d->column, "hour"))
			return FROM_EVENTS;
		if (is_repeated(req, i))
			continue;
		others += d->level != LEVEL_TIME;
		rolled += d->rollup > 0;
	}
	if (!whole_days)
		return FROM_EVENTS;
	return others <= 1 && rolled == others && !req->bots ? FROM_ROLLUPS : FROM_VISITS;
}

static void builder_look_at(struct builder *b, const struct request *req)
{
	int time = request_time_dimension(req);

	b->req = req;
	b->source = source_of(req, b->whole_days);
	b->unit = time < 0 ? "" : req->dimensions[time]->column;
	b->facts = b->source == FROM_EVENTS ? &single_events : &pages_of_visits;
	b->by_page = has_level(b, LEVEL_PAGE);
}

/* The interval in which it lies, as a local date or, for hours, local time. */
static void put_interval(struct builder *b, const struct moment *at)
{
	if (by_hour(b))
		putf(b, "date_trunc('hour', %s at time zone {zone})", at->ts);
	else if (!strcmp(b->unit, "week")) /* the first may have begun before the range */
		putf(b, "greatest(date_trunc('week', %s::timestamp)::date, {first_date})", at->day);
	else if (!strcmp(b->unit, "month"))
		putf(b, "date_trunc('month', %s::timestamp)::date", at->day);
	else
		put(b, at->day);
}

/* Of a visit v; 0 is none, as in the rollups. */
static void put_of_visit(struct builder *b, const struct dimension *d)
{
	if (!d->is_screen) {
		putf(b, "coalesce(v.%s, 0)", d->column);
		return;
	}
	putf(b, "case when v.%s <= 0 then null", d->column);
	for (int i = 0; i < SCREEN_CLASSES - 1; i++)
		putf(b, " when v.%s < %u then '%s'", d->column, screen_bounds[i].below_px,
			screen_bounds[i].name);
	putf(b, " when v.%s > 0 then '%s' end", d->column, screen_bounds[SCREEN_CLASSES - 1].name);
}

/* "expr as d0, expr as d1, ". Of facts e, whose visits are v; entered: with what the visit began
 * with in place of the fact's own. */
static void put_dimensions(struct builder *b, const struct moment *at, bool entered)
{
	for (int i = 0; i < b->req->dimension_count; i++) {
		const struct dimension *d = b->req->dimensions[i];

		if (d->level == LEVEL_TIME)
			put_interval(b, at);
		else if (at == &of_rollup)
			put(b, "r.value");
		else if (d->level == LEVEL_VISIT)
			put_of_visit(b, d);
		else
			putf(b, "%s.%s", entered ? "v" : "e", entered ? d->entered : d->column);
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

/* The counters of a part: an expression each, or a null. Sums of bigint divide as people do. */
static void put_counters(struct builder *b, const char *const exprs[COUNTERS])
{
	for (int i = 0; i < COUNTERS; i++)
		putf(b, "%s(%s)::bigint as %s", i ? ", " : "", exprs[i] ? exprs[i] : "null",
			counter_names[i]);
}

static void put_select(struct builder *b)
{
	putf(b, "%s  select ", b->between);
	b->between = "\n  union all\n";
}

/* The visits of the days of the range. Those that began before it are of persistent visitors. */
static void put_visits(struct builder *b, const char *name, const char *which)
{
	putf(b,
		"%s as not materialized (\n"
		"  select * from visit where site_id = {site} and build = {build} and %s"
		" and start_ts >= local_midnight({zone}, {first_date}) and start_ts < {ends}\n",
		name, which);
	if (b->some_persistent)
		putf(b,
			"  union all\n"
			"  select * from visit_running({site}, {build}, {first_date},"
			" local_midnight({zone}, {first_date})) where %s\n",
			which);
	put(b, "), ");
}

/* " from …", with a condition that a caller may go on from. Few visits are a bot's: where nothing
 * is asked of the visits, their facts are taken out, instead of all being joined with theirs. */
static void put_facts(struct builder *b, bool with_visit)
{
	static const char not_of_bots[] = "\n    and not exists (select from bots v"
					  " where v.visitor = e.visitor and %s)";
	const struct facts *f = b->facts;

	putf(b, "\n  from %s e", f->table);
	if (with_visit)
		putf(b, " join visits v on v.visitor = e.visitor and %s", f->visit);
	putf(b, "\n  where e.site_id = {site} and %s", f->counted);
	if (!with_visit && !b->req->bots)
		putf(b, not_of_bots, f->visit);
}

/* By visitor first, then over visitors: twice a hash, never a sort. A daily visitor is another one
 * each day. */
static void put_activity(struct builder *b)
{
	const char *const exprs[COUNTERS] = { [VISITORS] = "1",
		[PAGEVIEWS] = "views",
		[EVENTS] = "actions",
		[VISIT_VIEWS] = b->by_page || by_hour(b) ? NULL : "views" };
	const struct facts *f = b->facts;

	put_select(b);
	put_dimension_names(b);
	put_counters(b, exprs);
	put(b, " from (\n  select ");
	put_dimensions(b, &f->moment, false);
	putf(b,
		"e.visitor, case when e.visitor & 1 = 0 then %s end as of_day,"
		" sum(%s) as views, sum(%s) as actions",
		f->moment.day, f->views, f->actions);
	put_facts(b, has_level(b, LEVEL_VISIT));
	putf(b, " and %s%s", f->in_range, b->by_page ? " and e.page <> 0" : "");
	put_group_by(b, 2);
	put(b, ") per_visitor");
}

/* The page views of the visits that entered by a page, whichever pages they saw. */
static void put_views_of_entered(struct builder *b)
{
	const char *const exprs[COUNTERS] = { [VISIT_VIEWS] = b->facts->views };

	put_select(b);
	put_dimensions(b, &b->facts->moment, true);
	put_counters(b, exprs);
	put_facts(b, true);
	putf(b, " and %s and v.entry <> 0", b->facts->in_range);
}

/* Visits by what they saw: by hour, in each hour in which they were active; else by the time of
 * their first event, whenever it was that they saw it. */
static void put_seen(struct builder *b)
{
	static const char *const exprs[COUNTERS] = { [VISITS] = "1" };
	const struct facts *f = b->facts;

	put_select(b);
	put_dimension_names(b);
	put_counters(b, exprs);
	put(b, " from (\n  select distinct ");
	put_dimensions(b, by_hour(b) ? &f->moment : &of_visit, false);
	put(b, "v.visitor, v.start_ts");
	put_facts(b, true);
	if (f == &single_events)
		putf(b, " and %s", f->in_range);
	if (!by_hour(b))
		putf(b, " and %s.start_ts >= {starts} and %s.start_ts < {ends}", f->started,
			f->started);
	put(b, b->by_page ? " and e.page <> 0) seen" : ") seen");
}

/* Visits that began in the range: what they were like, and, with `counted`, how many. */
static void put_started(struct builder *b, bool counted)
{
	const char *const exprs[COUNTERS] = { [VISITS] = counted ? "1" : NULL,
		[STARTED] = "1",
		[BOUNCES] = "(v.views = 1 and v.interactions = 0)::integer",
		[DURATION] = "floor(extract(epoch from v.end_ts - v.start_ts) * 1000)",
		[VISIT_VIEWS] = by_hour(b) ? "v.views" : NULL };

	put_select(b);
	put_dimensions(b, &of_visit, true);
	put_counters(b, exprs);
	put(b, "\n  from visit v\n  where v.site_id = {site} and v.build = {build}"
	       " and v.landing_ts is not null and v.start_ts >= {starts} and v.start_ts < {ends}");
	put(b, b->req->bots ? "" : " and not v.bot");
	put(b, b->by_page ? " and v.entry <> 0" : "");
}

static void put_parts_of_facts(struct builder *b)
{
	int counts = request_counts(b->req);
	bool seen =
		counts & COUNTS_VISITS && (by_hour(b) || b->by_page || has_level(b, LEVEL_EVENT));
	bool views = counts & COUNTS_VIEWS && !by_hour(b);

	if (counts & COUNTS_ACTIVITY || (views && !b->by_page))
		put_activity(b);
	if (views && b->by_page)
		put_views_of_entered(b);
	if (seen)
		put_seen(b);
	if (counts & COUNTS_STARTED || (counts & COUNTS_VISITS && !seen))
		put_started(b, !seen);
}

/* Would months do for days? */
static bool by_months(const struct builder *b)
{
	return !*b->unit || !strcmp(b->unit, "month");
}

/* Rows r of a dimension of the rollups: of days and, where they do, of the whole months between
 * them. */
static void put_rollup(struct builder *b, int dimension)
{
	static const char of_site[] = "site_id = {site} and build = {build}";

	putf(b,
		"\n  from (select * from rollup_day where %s and dimension = %d"
		" and day >= {first_date} and day < %s",
		of_site, dimension, by_months(b) ? "{first_month}" : "{end_date}");
	if (by_months(b))
		putf(b,
			"\n    union all select * from rollup_month where %s and dimension = %d"
			" and month >= {first_month} and month < {end_month}"
			"\n    union all select * from rollup_day where %s and dimension = %d"
			" and day >= {end_month} and day < {end_date}",
			of_site, dimension, of_site, dimension);
	put(b, ") r");
}

static bool has_repeated(const struct builder *b)
{
	return b->some_persistent && request_counts(b->req) & COUNTS_VISITORS &&
	       strcmp(b->unit, "day") != 0;
}

/* A persistent visitor of several rows is one: the others are taken off again. */
static void put_repeated(struct builder *b)
{
	static const char *const exprs[COUNTERS] = { [VISITORS] = "1 - count(*)" };

	put_select(b);
	put_dimension_names(b);
	put_counters(b, exprs);
	put(b, " from (\n  select distinct ");
	put_dimensions(b, &b->facts->moment, false);
	put(b, "e.visitor, ");
	put(b, by_months(b) ? "case when e.day >= {first_month} and e.day < {end_month}"
			      " then date_trunc('month', e.day::timestamp)::date else e.day end"
			    : "e.day");
	put_facts(b, has_level(b, LEVEL_VISIT));
	putf(b, " and %s and e.visitor & 1 = 1%s) repeated", b->facts->in_range,
		b->by_page ? " and e.page <> 0" : "");
	put_group_by(b, 0);
	putf(b, "%s visitor", b->req->dimension_count ? "," : " group by");
}

static void put_parts_of_rollups(struct builder *b)
{
	static const char *const views[COUNTERS] = { [VISIT_VIEWS] = "r.pageviews" };
	const char *const exprs[COUNTERS] = { [VISITORS] = "r.visitors",
		[PAGEVIEWS] = "r.pageviews",
		[EVENTS] = "r.pageviews + r.events",
		[VISITS] = "r.visits",
		[STARTED] = b->by_page ? "r.entries" : "r.visits",
		[BOUNCES] = "r.bounces",
		[DURATION] = "r.duration_ms",
		[VISIT_VIEWS] = b->by_page ? NULL : "r.pageviews" };
	int dimension = 0;

	for (int i = 0; i < b->req->dimension_count; i++)
		if (b->req->dimensions[i]->rollup) /* all that have one have the same */
			dimension = b->req->dimensions[i]->rollup;
	put_select(b);
	put_dimensions(b, &of_rollup, false);
	put_counters(b, exprs);
	put_rollup(b, dimension);
	if (b->by_page && request_counts(b->req) & COUNTS_VIEWS) {
		put_select(b);
		put_dimensions(b, &of_rollup, false);
		put_counters(b, views);
		put_rollup(b, ROLLUP_ENTRY);
		put(b, " where r.value <> 0");
	}
	if (has_repeated(b))
		put_repeated(b);
}

static void put_parts(struct builder *b)
{
	if (b->source != FROM_ROLLUPS || has_repeated(b)) {
		put_visits(b, "visits", b->req->bots ? "true" : "not bot");
		if (!b->req->bots)
			put_visits(b, "bots", "bot");
	}
	put(b, "part as (\n");
	b->between = "";
	if (b->source == FROM_ROLLUPS)
		put_parts_of_rollups(b);
	else
		put_parts_of_facts(b);
	put(b, "\n)");
}

static void put_everyone(struct builder *b)
{
	const struct request plain = { .metrics = { metric_find(SPAN("visitors")) },
		.metric_count = 1,
		.bots = b->req->bots };
	struct builder whole = *b;

	builder_look_at(&whole, &plain);
	put(b, ", everyone as (\nwith ");
	put_parts(&whole);
	put(b, "\nselect sum(visitors) as visitors from part)");
}

/* The text of an id. Texts are looked up row by row: the planner cannot guess how many rows there
 * are at the end of the chain, and a join that it plans for one row takes for ever with ten
 * thousand. */
static void put_text(struct builder *b, const struct dimension *d, const char *row, int i)
{
	putf(b,
		"coalesce((select %s from string s where s.site_id = {site} and s.id = %s.d%d),"
		" '%s')",
		d->text ? d->text : "s.value", row, i, d->unknown);
}

static bool has_merged(const struct builder *b)
{
	for (int i = 0; i < b->req->dimension_count; i++)
		if (b->req->dimensions[i]->is_merged)
			return true;
	return false;
}

/* Counts by id are added up before they are added up by text, so that few texts are looked up. Who
 * was counted under two ids of one text at one time is counted twice: the rollups tell no more. */
static void put_merged(struct builder *b)
{
	put(b, ", merged as (\n  select ");
	for (int i = 0; i < b->req->dimension_count; i++) {
		if (b->req->dimensions[i]->is_merged)
			put_text(b, b->req->dimensions[i], "p", i);
		else
			putf(b, "d%d", i);
		putf(b, " as d%d, ", i);
	}
	for (int i = 0; i < COUNTERS; i++)
		putf(b, "%s%s", i ? ", " : "", counter_names[i]);
	put(b, "\n  from (select ");
	put_dimension_names(b);
	for (int i = 0; i < COUNTERS; i++)
		putf(b, "%ssum(%s) as %s", i ? ", " : "", counter_names[i], counter_names[i]);
	put(b, " from part");
	put_group_by(b, 0);
	put(b, ") p\n)");
}

static void put_grouped(struct builder *b)
{
	static const struct {
		int counts;
		const char *counter;
	} present[] = { { COUNTS_ACTIVITY, "visitors" }, { COUNTS_VISITS, "visits" },
		{ COUNTS_STARTED, "started" } };
	const char *before = " having ";

	put(b, ", grouped as (\n  select ");
	put_dimension_names(b);
	for (int i = 0; i < b->req->metric_count; i++)
		putf(b, "%s%s as m%d", i ? ", " : "", b->req->metrics[i]->expr, i);
	putf(b, "\n  from %s", has_merged(b) ? "merged" : "part");
	put_group_by(b, 0);
	/* Rollups have rows for what no metric tells, as time that was engaged. */
	for (size_t i = 0; i < sizeof present / sizeof *present; i++)
		if (b->req->dimension_count && request_counts(b->req) & present[i].counts) {
			putf(b, "%ssum(%s) > 0", before, present[i].counter);
			before = " or ";
		}
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

static void put_named(struct builder *b)
{
	const struct request *req = b->req;

	put(b, ", named as (\n  select g.*");
	for (int i = 0; i < req->dimension_count; i++) {
		const struct dimension *d = req->dimensions[i];

		put(b, ",\n    ");
		if (d->level == LEVEL_TIME)
			putf(b, "g.d%d::text", i);
		else if (d->is_merged || d->is_screen)
			putf(b, "coalesce(g.d%d, '%s')", i, d->unknown);
		else
			put_text(b, d, "g", i);
		putf(b, " as t%d", i);
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
	put_parts(b);
	if (request_counts(b->req) & COUNTS_SHARE)
		put_everyone(b);
	if (has_merged(b))
		put_merged(b);
	put_grouped(b);
	put_named(b);
	put_page(b);
}

int sql_build(struct sql *out, const struct request *req, bool whole_days, bool some_persistent,
	struct err *err)
{
	struct builder b = {
		.sql = out, .whole_days = whole_days, .some_persistent = some_persistent
	};
	size_t len = 0;

	*out = (struct sql){ 0 };
	builder_look_at(&b, req);
	out->is_of_rollups = b.source == FROM_ROLLUPS && !has_repeated(&b);
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
