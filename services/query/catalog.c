#include "services/query/catalog.h"

#define DIRECT  "Direct / None"
#define NOT_SET "(not set)"
#define AUTO    "auto"

/* The page a visit entered by: a visit of custom events only has none. */
#define ENTRY_PAGE "case when kind = 1 then page else 0 end"

/* Over `part`: visitors, pageviews, events, visits, started, bounces, seconds, visit_views. */
static const struct metric metrics[] = {
	{ "visitors", COUNTS_EVENTS, "coalesce(sum(visitors), 0)" },
	{ "visits", COUNTS_VISITS, "coalesce(sum(visits), 0)" },
	{ "pageviews", COUNTS_EVENTS, "coalesce(sum(pageviews), 0)" },
	{ "events", COUNTS_EVENTS, "coalesce(sum(events), 0)" },
	{ "views_per_visit", COUNTS_STARTED,
		"coalesce(round(sum(visit_views) / nullif(sum(started), 0), 2), 0)" },
	{ "bounce_rate", COUNTS_STARTED,
		"coalesce(round(100 * sum(bounces) / nullif(sum(started), 0)), 0)" },
	{ "visit_duration", COUNTS_STARTED, "round(sum(seconds) / nullif(sum(started), 0))" },
	{ "percentage", COUNTS_EVENTS,
		"coalesce(round(100 * sum(visitors) / nullif((select count(distinct visitor)"
		" from per_visitor), 0), 1), 0)" },
	{ "scroll_depth" },
	{ "time_on_page" },
	{ "conversion_rate" },
	{ "group_conversion_rate" },
	{ "average_revenue" },
	{ "total_revenue" },
	{ "exit_rate" },
};

static const struct dimension dimensions[] = {
	{ "event:page", LEVEL_EVENT, "page", ENTRY_PAGE, .unknown = NOT_SET },
	{ "event:hostname", LEVEL_EVENT, "host", NULL, .unknown = NOT_SET },
	{ "event:name", LEVEL_EVENT, "name", NULL,
		.unknown = "pageview" }, /* a custom event has a name */
	{ "visit:source", LEVEL_VISIT, "source", NULL, .unknown = DIRECT, .needs_visit = true },
	{ "visit:referrer", LEVEL_VISIT, "referrer", NULL, .unknown = DIRECT, .needs_visit = true },
	{ "visit:entry_page", LEVEL_VISIT, "page", ENTRY_PAGE, .unknown = NOT_SET,
		.needs_visit = true },
	{ "visit:exit_page", LEVEL_VISIT, "page", NULL, .unknown = NOT_SET, .leaving = true,
		.needs_visit = true },
	{ "visit:country", LEVEL_VISIT, "country", NULL, .unknown = NOT_SET },
	{ "visit:browser", LEVEL_VISIT, "browser", NULL, .unknown = NOT_SET },
	{ "visit:browser_version", LEVEL_VISIT, "browser_version", NULL, .unknown = NOT_SET },
	{ "visit:os", LEVEL_VISIT, "os", NULL, .unknown = NOT_SET },
	{ "visit:os_version", LEVEL_VISIT, "os_version", NULL, .unknown = NOT_SET },
	{ "visit:device", LEVEL_VISIT, "device", NULL, .unknown = NOT_SET },
	{ "time", LEVEL_TIME, AUTO },
	{ "time:hour", LEVEL_TIME, "hour" },
	{ "time:day", LEVEL_TIME, "day" },
	{ "time:week", LEVEL_TIME, "week" },
	{ "time:month", LEVEL_TIME, "month" },
	{ "time:minute", LEVEL_TIME },
	{ "event:goal" },
	{ "event:props:*" },
	{ "visit:entry_page_hostname" },
	{ "visit:exit_page_hostname" },
	{ "visit:channel" },
	{ "visit:utm_medium" },
	{ "visit:utm_source" },
	{ "visit:utm_campaign" },
	{ "visit:utm_content" },
	{ "visit:utm_term" },
	{ "visit:region" },
	{ "visit:city" },
	{ "visit:country_name" },
	{ "visit:region_name" },
	{ "visit:city_name" },
};

const struct metric *metric_find(struct span name)
{
	for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
		if (span_equals(name, span_of(metrics[i].name)))
			return &metrics[i];
	return NULL;
}

/* A row "x:*" stands for every word that begins with "x:" and goes on. */
static bool word_fits(struct span row, struct span name)
{
	if (!span_ends_with(row, SPAN("*")))
		return span_equals(row, name);
	row.len--;
	return name.len > row.len && span_starts_with(name, row);
}

const struct dimension *dimension_find(struct span name)
{
	for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++)
		if (word_fits(span_of(dimensions[i].name), name))
			return &dimensions[i];
	return NULL;
}

bool dimension_is_auto_time(const struct dimension *dimension)
{
	return dimension->level == LEVEL_TIME && dimension->column &&
	       !strcmp(dimension->column, AUTO);
}

const struct dimension *dimension_of_unit(const char *unit)
{
	for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++)
		if (dimensions[i].level == LEVEL_TIME && dimensions[i].column &&
			!strcmp(dimensions[i].column, unit))
			return &dimensions[i];
	return NULL;
}
