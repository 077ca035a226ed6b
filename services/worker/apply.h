/* Apply: records into the metrics database, each exactly once. One transaction per lane: the
 * records are claimed, their events go in by one call per site in ascending order, progress is
 * raised. One thread. */
#ifndef FOOTFALL_APPLY_H
#define FOOTFALL_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"
#include "proto/record.h"
#include "services/worker/enrich.h"
#include "services/worker/hold.h"

/* Told for each site that got new events, after the commit. */
typedef void apply_told(void *who, uint32_t site_id, uint32_t count);

struct apply;

int apply_open(struct apply **out, const char *conninfo, struct enrich *enrich,
	struct err *err) MUST_CHECK;
void apply_close(struct apply **apply);

/* Apply n records of one lane in two steps: begin, after which the database is at them, and end,
 * which waits for it and commits. Between them nothing else is begun, and the records are lent. 0
 * of the second: they are in the tables for good, by this call or an earlier one. Any error, of
 * either: nothing has changed and nothing is begun, try again later (connection lost, database
 * full, …). */
int apply_begin(
	struct apply *a, const struct held *records, uint32_t n, struct err *err) MUST_CHECK;
int apply_end(struct apply *a, apply_told *told, void *who, struct err *err) MUST_CHECK;

/* What is readable when apply_end() will not have to wait; -1: it will not now. And whether it
 * will. */
int apply_fd(const struct apply *a);
bool apply_is_busy(const struct apply *a);

/* While the database is at others, put together what apply_begin() of these records tells it, which
 * is to come next; their bytes are lent until then, or until either of the two fails. Nothing comes
 * of it where that needs the database, takes more than a second, or the worker is to end. */
void apply_prepare(struct apply *a, const struct held *records, uint32_t n);

/* Apply what was set aside and is wanted again (footfall dead-letter retry), each event with the
 * number it had. What fails again stays, with its new reason. */
int apply_wanted(struct apply *a, apply_told *told, void *who, struct err *err) MUST_CHECK;

struct apply_stats {
	uint64_t records, repeats, events, known_events;
	uint64_t skipped; /* of sites that are deleted */
	uint64_t refused; /* by a rule of their site */
	uint64_t set_aside;
};
const struct apply_stats *apply_stats(const struct apply *a);

#endif
