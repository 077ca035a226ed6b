/* Names: what host names mean now, asked again every two seconds by a thread of its own, since
 * asking may block for long. */
#ifndef FOOTFALL_NAMES_H
#define FOOTFALL_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

#define NAMES_MOST     32
#define ADDRESSES_MOST 64 /* of all names together */
#define ADDRESS_SIZE   64 /* numeric, with brackets where it is IPv6 */

struct address {
	unsigned name; /* which of the names it is behind */
	char text[ADDRESS_SIZE];
};

struct names;

int names_open(
	struct names **out, const char *const *hosts, unsigned count, struct err *err) MUST_CHECK;
void names_close(struct names **names);

/* The addresses as of now, if they are others than at the last call. An address is gone once its
 * name has been resolved without it three times; a name that cannot be resolved keeps what it had.
 */
bool names_changed(struct names *n, struct address addresses[ADDRESSES_MOST], unsigned *count);

#endif
