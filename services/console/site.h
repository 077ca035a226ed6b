/* Site: what a person has access to. */
#ifndef FOOTFALL_SITE_H
#define FOOTFALL_SITE_H

#include <jansson.h>

#include "services/console/console.h"

/* The sites of an account as GET /api/me shows them; *out is yours. */
int site_list(
	struct console *console, const char *account_id, json_t **out, struct err *err) MUST_CHECK;

http_handler site_add;   /* POST /api/sites */
http_handler site_zones; /* GET /api/timezones */

#endif
