/* What an owner wonders about: which address was believed (GET /api/debug/request), and what became
 * of the last requests (GET /api/debug/recent?site=). */
#ifndef FOOTFALL_QUERY_DEBUG_H
#define FOOTFALL_QUERY_DEBUG_H

#include "services/query/report.h"

void debug_request(struct http_request *req, void *query);
void debug_recent(struct http_request *req, void *query);

#endif
