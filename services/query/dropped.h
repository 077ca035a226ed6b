/* GET /api/reports/dropped?site=: what was refused of a site, and why. */
#ifndef FOOTFALL_QUERY_DROPPED_H
#define FOOTFALL_QUERY_DROPPED_H

#include "services/query/report.h"

void dropped_report(struct http_request *req, void *query);

#endif
