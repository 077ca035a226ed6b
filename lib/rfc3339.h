/* Times as RFC 3339 writes them. */
#ifndef FOOTFALL_RFC3339_H
#define FOOTFALL_RFC3339_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

/* Parse "2026-03-29T02:30:00.25+01:00" (T or a blank; Z or an offset, which must be there) into
 * Unix microseconds; further digits are cut. A leap second is the second before. -EINVAL. */
int rfc3339_parse(int64_t *out_us, struct span text) MUST_CHECK;

#endif
