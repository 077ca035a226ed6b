/* Networks: whose an address is (the autonomous system that announces it), by a database of
 * MaxMind's format such as GeoLite2 ASN, and whether that one rents out machines: people sit
 * elsewhere. */
#ifndef FOOTFALL_NETWORKS_H
#define FOOTFALL_NETWORKS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/err.h"

#define NETWORK_NAME_SIZE 128

struct network {
	uint32_t as_number;                   /* 0: not known */
	char organization[NETWORK_NAME_SIZE]; /* UTF-8, as the database says */
};

struct networks; /* opaque */

/* Open the database at asn_db, and the list of data centres: lines of an AS number, a blank and a
 * name for people; what follows # is a comment. On success *out is yours, end it with
 * networks_close(). Errors as mmdb_open()'s; -EINVAL also when the database knows no AS number, or
 * a line of the list has none (it is named); -errno of reading the list. */
int networks_open(struct networks **out, const char *asn_db, const char *data_centres,
	struct err *err) MUST_CHECK;
void networks_close(struct networks **networks_p); /* takes it, leaves NULL; NULL is fine */

/* Find whose addr is; all zeros when that is not known. */
void networks_find(const struct networks *networks, const struct addr *addr, struct network *out);

/* Whether addr is one of a network in the list. */
bool networks_is_data_centre(const struct networks *networks, const struct addr *addr);

#endif
