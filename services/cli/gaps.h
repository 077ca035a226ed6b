/* Gaps: which records the tables lack, as far as their own numbers and the archive tell. */
#ifndef FOOTFALL_GAPS_H
#define FOOTFALL_GAPS_H

#include <jansson.h>
#include <libpq-fe.h>

#include "lib/err.h"
#include "lib/journal/archive.h"

/* Keep of list the segments with a record that the tables lack, in their order; *missing is how
 * many such records there are. */
int gaps_in_archive(PGconn *metrics, struct archive_summary *list, size_t *count,
	long long *missing, struct err *err) MUST_CHECK;

/* The numbers that are missing below ones that are there, as an array of objects (producer, lane,
 * low, held, highest, missing). For a moment that is usual: a later record was applied first. */
extern const char gaps_sql[];

#endif
