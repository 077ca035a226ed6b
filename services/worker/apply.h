/* Apply: records into the metrics database, each exactly once. One transaction per lane: the
 * records are claimed, their events go in by one call per site in ascending order, progress is
 * raised. */
#ifndef FOOTFALL_APPLY_H
#define FOOTFALL_APPLY_H

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

/* Apply n records of one lane. 0: they are in the tables for good, by this call or an earlier one.
 * Any error: nothing has changed, try again later (connection lost, database full, …). */
int apply_lane(struct apply *a, const struct held *records, uint32_t n, apply_told *told, void *who,
	struct err *err) MUST_CHECK;

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
