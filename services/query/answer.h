/* The JSON of an answer, written straight from the database's cells: a tree of 10,000 rows would
 * take many times their size. */
#ifndef FOOTFALL_QUERY_ANSWER_H
#define FOOTFALL_QUERY_ANSWER_H

#include <libpq-fe.h>
#include <stddef.h>

#include "lib/err.h"
#include "services/query/request.h"

struct answer_parts {
	const struct request *req; /* its time dimension has its unit */
	const struct period *period;
	const char *domain;
	const PGresult *rows;   /* as sql.h says */
	const PGresult *labels; /* one column; NULL: not asked for */
};

/* Write the answer. On success *text is yours (free). -ENOMEM. */
int answer_write(
	char **text, size_t *len, const struct answer_parts *parts, struct err *err) MUST_CHECK;

#endif
