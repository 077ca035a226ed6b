#include "services/query/catalog.h"

#define DIRECT  "Direct / None"
#define NOT_SET "(not set)"
#define AUTO    "auto"

/* The country whose code it is. */
#define COUNTRY_NAME "coalesce({country_names} ->> s.value, s.value)"
/* Of an id and a name, either of which may be empty (proto/words.md): the other stands in for it.
 */
#define ID         "split_part(s.value, ' ', 1)"
#define NAME       "substr(s.value, strpos(s.value, ' ') + 1)"
#define PLACE_ID   "coalesce(nullif(" ID ", ''), " NAME ")"
#define PLACE_NAME "coalesce(nullif(" NAME ", ''), " ID ")"

/* Over `part` (sql.c). */
static const struct metric metrics[] = {
	{ "visitors", COUNTS_ACTIVITY | COUNTS_VISITORS, "coalesce(sum(visitors), 0)" },
	{ "visits", COUNTS_VISITS, "coalesce(sum(visits), 0)" },
	{ "pageviews", COUNTS_ACTIVITY, "coalesce(sum(pageviews), 0)" },
	{ "events", COUNTS_ACTIVITY, "coalesce(sum(events), 0)" },
	{ "views_per_visit", COUNTS_STARTED | COUNTS_VIEWS,
		"coalesce(round(sum(visit_views) / nullif(sum(started), 0), 2), 0)" },
	{ "bounce_rate", COUNTS_STARTED,
		"coalesce(round(100 * sum(bounces) / nullif(sum(started), 0)), 0)" },
	{ "visit_duration", COUNTS_STARTED,
		"round(sum(duration_ms) / 1000 / nullif(sum(started), 0))" },
	{ "percentage", COUNTS_ACTIVITY | COUNTS_VISITORS | COUNTS_SHARE,
		"coalesce(round(100 * sum(visitors) / nullif((select visitors from everyone), 0),"
		" 1), 0)" },
	{ "scroll_depth" },
	{ "time_on_page" },
	{ "conversion_rate" },
	{ "group_conversion_rate" },
	{ "average_revenue" },
	{ "total_revenue" },
	{ "exit_rate" },
};

static const struct dimension dimensions[] = {
	{ "event:page", LEVEL_PAGE, "page", NOT_SET, 1, "entry" },
	{ "event:hostname", LEVEL_EVENT, "host", NOT_SET, 0, "host" },
	{ "event:name", LEVEL_EVENT, "name", "pageview" }, /* a custom event has a name */
	{ "visit:source", LEVEL_VISIT, "source", DIRECT, 4 },
	{ "visit:referrer", LEVEL_VISIT, "referrer", DIRECT, 5 },
	/* The unknown is also the name of one that is known. */
	{ "visit:channel", LEVEL_VISIT, "channel", "Direct", 12, .is_merged = true },
	{ "visit:utm_source", LEVEL_VISIT, "utm_source", NOT_SET },
	{ "visit:utm_medium", LEVEL_VISIT, "utm_medium", NOT_SET },
	{ "visit:utm_campaign", LEVEL_VISIT, "utm_campaign", NOT_SET },
	{ "visit:utm_term", LEVEL_VISIT, "utm_term", NOT_SET },
	{ "visit:utm_content", LEVEL_VISIT, "utm_content", NOT_SET },
	{ "visit:entry_page", LEVEL_VISIT, "entry", NOT_SET, 2 },
	{ "visit:exit_page", LEVEL_VISIT, "exit", NOT_SET, 3 },
	{ "visit:country", LEVEL_VISIT, "country", NOT_SET, 7 },
	{ "visit:country_name", LEVEL_VISIT, "country", NOT_SET, 7, .text = COUNTRY_NAME },
	{ "visit:region", LEVEL_VISIT, "region", NOT_SET, 13, .text = PLACE_ID, .is_merged = true },
	{ "visit:region_name", LEVEL_VISIT, "region", NOT_SET, 13, .text = PLACE_NAME,
		.is_merged = true },
	{ "visit:city", LEVEL_VISIT, "city", NOT_SET, 14, .text = PLACE_ID, .is_merged = true },
	{ "visit:city_name", LEVEL_VISIT, "city", NOT_SET, 14, .text = PLACE_NAME,
		.is_merged = true },
	{ "visit:browser", LEVEL_VISIT, "browser", NOT_SET, 8 },
	{ "visit:browser_version", LEVEL_VISIT, "browser_version", NOT_SET },
	{ "visit:os", LEVEL_VISIT, "os", NOT_SET, 9 },
	{ "visit:os_version", LEVEL_VISIT, "os_version", NOT_SET },
	{ "visit:device", LEVEL_VISIT, "device", NOT_SET, 10 },
	{ "visit:brand", LEVEL_VISIT, "brand", NOT_SET },
	{ "visit:model", LEVEL_VISIT, "model", NOT_SET },
	{ "visit:screen", LEVEL_VISIT, "screen_width", NOT_SET, .is_screen = true },
	{ "visit:language", LEVEL_VISIT, "language", NOT_SET, 11 },
	{ "visit:locale", LEVEL_VISIT, "locale", NOT_SET },
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
