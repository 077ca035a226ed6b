/* The words of the query language that exist so far: metrics and dimensions, each with the SQL
 * fragments that make it. Adding a row adds the word everywhere; sql.c puts the fragments together
 * and says what they may refer to. In fragments {name} stands for a parameter. */
#ifndef FOOTFALL_QUERY_CATALOG_H
#define FOOTFALL_QUERY_CATALOG_H

#include <stdbool.h>

#include "lib/span.h"

/* Which counts a metric is made of. */
enum counts {
	COUNTS_EVENTS = 1,  /* of page views and custom events, by their own time */
	COUNTS_VISITS = 2,  /* how many visits */
	COUNTS_STARTED = 4, /* what visits were like, by the time of their first event */
};

struct metric {
	const char *name;
	int counts;       /* enum counts, or-ed */
	const char *expr; /* aggregate over the columns of `part`; NULL: known, not built yet */
};

enum level {
	LEVEL_EVENT, /* each event has its own */
	LEVEL_VISIT, /* one per visit: that of its landing (first page view, else custom event) */
	LEVEL_TIME,
};

struct dimension {
	const char *name;
	enum level level;
	const char *column;  /* of event, or the unit of a time; NULL: known, not built yet */
	const char *landing; /* of a visit: over its landing event; NULL: the column */
	bool leaving;        /* of a visit: the column of its last page view instead */
	const char *unknown; /* what a 0 is shown as */
	bool needs_visit;    /* not the same for all events of a visitor */
};

#define METRICS_MOST 8 /* all that are built */

/* The row of a word, or NULL. A row without expr or column is one that comes later. */
const struct metric *metric_find(struct span name);
const struct dimension *dimension_find(struct span name);

/* "time" means the unit that suits the range: the row whose unit is to be found out. */
bool dimension_is_auto_time(const struct dimension *dimension);
const struct dimension *dimension_of_unit(const char *unit);

#endif
