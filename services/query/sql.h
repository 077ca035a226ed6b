/* One SQL statement from a checked request. Text comes from constant tables only; every value is a
 * parameter. Columns of the result: its dimensions' texts, its metrics, and, when total_rows is
 * asked for, a last column with their number, on at least one row (then a row without `here`, the
 * column before it, is no row of the report). */
#ifndef FOOTFALL_QUERY_SQL_H
#define FOOTFALL_QUERY_SQL_H

#include "lib/err.h"
#include "services/query/request.h"

enum sql_param {
	SQL_SITE,
	SQL_BUILD,
	SQL_ZONE,
	SQL_STARTS,
	SQL_ENDS,
	SQL_FIRST_DATE,
	SQL_END_DATE,
	SQL_FIRST_MONTH,
	SQL_END_MONTH,
	SQL_LIMIT,
	SQL_OFFSET,
	SQL_COUNTRY_NAMES, /* a JSON object by code */
	SQL_PARAMS_MOST
};

struct sql {
	char *text;                             /* owned */
	enum sql_param params[SQL_PARAMS_MOST]; /* what $1, $2 … stand for */
	int param_count;
	bool is_of_rollups; /* alone: any plan does, whatever the range. Else a range's own is
			       needed */
};

/* Build the statement of a request whose time dimension has its unit, for a range that is whole
 * local days or not, of a site that has persistent visitors or none. sql_clear() is fine either
 * way. -ENOMEM. */
int sql_build(struct sql *out, const struct request *req, bool whole_days, bool some_persistent,
	struct err *err) MUST_CHECK;
void sql_clear(struct sql *sql);

#endif
