/* The time a query asks about: the words of date_range, and what they come to now. All arithmetic
 * of zones is PostgreSQL's (deploy/schema/metrics, report_range). */
#ifndef FOOTFALL_QUERY_RANGE_H
#define FOOTFALL_QUERY_RANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/pg.h"

#define RANGE_DAYS_MOST   5000 /* of "Nd", the peers' bound */
#define RANGE_MONTHS_MOST 100  /* of "Nmo" */
#define RANGE_TEXT_SIZE   48
#define PERIOD_TEXT_SIZE  64 /* a zone is the longest */

struct range {
	const char *kind;                                /* a word of report_range() */
	int n;                                           /* of "days" and "months" */
	char from[RANGE_TEXT_SIZE], to[RANGE_TEXT_SIZE]; /* of "dates" and "times", else "" */
};

/* Whether it is a date, "2026-01-31", from 1970 on. */
bool range_is_date(const char *text);

/* Read the value of date_range. -EINVAL: the sentence says what it may be. */
int range_parse(struct range *out, const json_t *value, struct err *err) MUST_CHECK;

/* A range as it is now, and what to read for it, in texts that PostgreSQL reads: report_range() in
 * deploy/schema/metrics says what each is. */
struct period {
	char build[PERIOD_TEXT_SIZE], zone[PERIOD_TEXT_SIZE];
	char starts[PERIOD_TEXT_SIZE], ends[PERIOD_TEXT_SIZE];
	char first_date[PERIOD_TEXT_SIZE], end_date[PERIOD_TEXT_SIZE];
	char first_month[PERIOD_TEXT_SIZE], end_month[PERIOD_TEXT_SIZE];
	char starts_iso[PERIOD_TEXT_SIZE], last_iso[PERIOD_TEXT_SIZE]; /* local, with offset */
	bool whole_days;
	bool some_persistent; /* whether the site has visitors of more than a day */
	int64_t seconds;
};

/* What the range is now, for this site; with trim, without what is still to come. The zone is that
 * by which the site was counted, the given one before its first event. */
int period_resolve(struct period *out, PGconn *conn, const struct range *range, int64_t site_id,
	const char *zone, bool trim, struct err *err) MUST_CHECK;

/* The unit that suits a period: hour up to 48 hours, day up to 40 days, week up to 52 weeks, else
 * month. */
const char *period_unit(const struct period *period);

/* How many intervals of the unit it has, about. */
int64_t period_intervals(const struct period *period, const char *unit);

#endif
