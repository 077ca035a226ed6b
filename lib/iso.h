/* Names by the codes of ISO 3166, from the JSON files of Debian's package iso-codes: countries in
 * English (iso_3166-1.json; the common name where there is one: "Bolivia"), their regions mostly as
 * they call themselves (iso_3166-2.json: "Bayern"). */
#ifndef FOOTFALL_ISO_H
#define FOOTFALL_ISO_H

#include "lib/err.h"
#include "lib/span.h"

enum iso_part { ISO_COUNTRIES, ISO_REGIONS };

struct iso; /* opaque */

/* Read the names of one part from its file in `folder`. On success *out is yours, end it with
 * iso_close(). -ENOENT and others of opening; -EINVAL: not a file of iso-codes; -ENOMEM. */
int iso_open(struct iso **out, const char *folder, enum iso_part part, struct err *err) MUST_CHECK;
void iso_close(struct iso **iso_p); /* takes *iso_p, leaves NULL; NULL is fine */

/* The name of a code ("DE", "DE-BY"), lent; "" when there is none. */
const char *iso_name(const struct iso *iso, const char *code);

/* The code of the region of a country (alpha-2) that has this name, ASCII letters of either case
 * being the same, lent; "" when there is none. */
const char *iso_region(const struct iso *regions, const char *country, struct span name);

/* All names as a JSON object by code, owned (free). NULL: no memory. */
char *iso_json(const struct iso *iso);

#endif
