/* What a site takes and what it refuses, for its owners: /api/sites/<property id>/rules. */
#ifndef FOOTFALL_SITE_RULE_H
#define FOOTFALL_SITE_RULE_H

#include "services/console/console.h"

http_handler site_rules_get;    /* all of them, and the site's choices */
http_handler site_rules_choose; /* PUT: the choices that are given */
http_handler site_rules_add;    /* POST: one rule */
http_handler site_rules_remove; /* DELETE: one rule */

#endif
