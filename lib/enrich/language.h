/* Language: what a browser says that its person reads, as a tag. What the tag means is locale.h's
 * matter. */
#ifndef FOOTFALL_LANGUAGE_H
#define FOOTFALL_LANGUAGE_H

#include "lib/span.h"

#define LANGUAGE_MOST 35 /* bytes: RFC 5646, section 4.4.1 */

/* A language tag as somebody sent it (locale.h reads it by BCP 47): letters, digits, "-" and "_",
 * at most LANGUAGE_MOST bytes; "" for what is none. */
struct span language_tag(struct span text);

/* The language that an Accept-Language header likes best (RFC 9110, section 12.5.4: the highest q,
 * of equal ones the first), "" when there is none. "*" is none. */
struct span language_accepted(struct span header);

#endif
