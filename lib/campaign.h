/* Campaign: what the query of a page's URL says of where the visitor came from. */
#ifndef FOOTFALL_CAMPAIGN_H
#define FOOTFALL_CAMPAIGN_H

#include "lib/span.h"

#define CAMPAIGN_MOST 255 /* bytes of a value; the rest of a longer one is cut */

enum campaign_field {
	UTM_SOURCE,
	UTM_MEDIUM,
	UTM_CAMPAIGN,
	UTM_TERM,
	UTM_CONTENT,
	CAMPAIGN_REF,
	CAMPAIGN_FIELDS
};

/* Values are decoded, trimmed, valid UTF-8 without control bytes; empty: not there, or blank. They
 * lie in the struct: do not copy it. */
struct campaign {
	struct span field[CAMPAIGN_FIELDS]; /* CAMPAIGN_REF: of "source", else of "ref" */
	struct span click_id; /* which id of a click there is, of several the first of "gclid",
			       * "gbraid", "wbraid", "msclkid", "fbclid", "ttclid", "twclid",
			       * "li_fat_id"; static */
	char text[CAMPAIGN_FIELDS][CAMPAIGN_MOST];
};

/* Read query (without its '?'), "a=1&b=2", names in any case. Of a repeated one the first that is
 * not blank counts. */
void campaign_read(struct campaign *out, struct span query);

/* The click id of that name, static; empty when there is none. */
struct span campaign_click_id(struct span name);

#endif
