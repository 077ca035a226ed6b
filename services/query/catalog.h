/* The words of the query language that exist so far: metrics and dimensions, each with the SQL
 * fragments that make it. Adding a row adds the word everywhere; sql.c puts the fragments together
 * and says what they may refer to. In fragments {name} stands for a parameter. */
#ifndef FOOTFALL_QUERY_CATALOG_H
#define FOOTFALL_QUERY_CATALOG_H

#include <stdbool.h>

#include "lib/span.h"

/* Which counts a metric is made of. */
enum counts {
	COUNTS_ACTIVITY = 1,  /* of page views and custom events, by their own time */
	COUNTS_VISITS = 2,    /* how many visits */
	COUNTS_STARTED = 4,   /* what visits were like, by the time of their first event */
	COUNTS_VIEWS = 8,     /* how many page views they had */
	COUNTS_VISITORS = 16, /* each visitor once */
	COUNTS_SHARE = 32,    /* all visitors, whatever the dimensions */
};

struct metric {
	const char *name;
	int counts;       /* enum counts, or-ed */
	const char *expr; /* aggregate over the columns of `part`; NULL: known, not built yet */
};

enum level {
	LEVEL_EVENT, /* each event has its own; only events know it */
	LEVEL_PAGE,  /* that of events which visit_page knows, too */
	LEVEL_VISIT, /* one per visit (proto/words.md) */
	LEVEL_TIME,
};

struct dimension {
	const char *name;
	enum level level;
	const char *column;  /* of event (and visit_page), or of visit, or the unit of a time; NULL:
				known, not built yet */
	const char *unknown; /* what a 0 is shown as */
	int rollup;          /* its number in the rollups; 0: it has none */
	const char *entered; /* of events: the column of visit with what it began with, or NULL */
	const char
		*text;  /* what a value is shown as, of the row s of its string; NULL: all of it */
	bool is_merged; /* several values are shown as one, and counted as one */
	bool is_screen; /* no string, but a width, which is told by its class (lib/screen.h) */
};

#define ROLLUP_ENTRY 2 /* the rollup of entry pages */

#define METRICS_MOST 8 /* all that are built */

/* The row of a word, or NULL. A row without expr or column is one that comes later. */
const struct metric *metric_find(struct span name);
const struct dimension *dimension_find(struct span name);

/* "time" means the unit that suits the range: the row whose unit is to be found out. */
bool dimension_is_auto_time(const struct dimension *dimension);
const struct dimension *dimension_of_unit(const char *unit);

#endif
