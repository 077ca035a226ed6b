/* The body of POST /api/v2/query, read and checked. The schema is closed: what is not known is
 * refused by name, never passed over, so that a misspelt filter cannot give a wrong number. */
#ifndef FOOTFALL_QUERY_REQUEST_H
#define FOOTFALL_QUERY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"
#include "services/query/catalog.h"
#include "services/query/range.h"

#define REQUEST_BODY_MOST       (64 << 10)
#define REQUEST_SITE_SIZE       256 /* a domain has at most 253 bytes */
#define REQUEST_DIMENSIONS_MOST 8   /* a table of more is nobody's report */
#define REQUEST_ORDER_MOST      (METRICS_MOST + REQUEST_DIMENSIONS_MOST)
#define REQUEST_LIMIT_MOST      10000 /* rows of one answer: the peers' bound */
#define REQUEST_OFFSET_MOST     100000000

/* By the index'th metric, or, when by_dimension, the index'th dimension. */
struct order {
	bool by_dimension;
	int index;
	bool descending;
};

struct request {
	char site[REQUEST_SITE_SIZE]; /* domain or property id, as it was given */
	const struct metric *metrics[METRICS_MOST];
	int metric_count;
	const struct dimension *dimensions[REQUEST_DIMENSIONS_MOST];
	int dimension_count;
	struct order order[REQUEST_ORDER_MOST];
	int order_count;
	struct range range;
	int64_t limit, offset;
	bool time_labels, total_rows, imports, trim, bots;
};

/* Read the body. -EINVAL: the sentence names what is wrong. */
int request_parse(struct request *out, struct span body, struct err *err) MUST_CHECK;

/* The time dimension's index, or -1. */
int request_time_dimension(const struct request *req);
/* Replace "time" by the dimension of this unit. */
void request_set_time_unit(struct request *req, const char *unit);
/* All enum counts that its metrics are made of. */
int request_counts(const struct request *req);

#endif
