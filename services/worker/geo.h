/* Geo: where an address is, from any database of MaxMind's format. MaxMind's own layout
 * (country.iso_code) and the flat one of @ip-location-db (country_code) are told apart by record.
 * So far the country only; region and city get fields of struct geo beside it.
 *
 * The file is mapped, so its pages are the kernel's and shared by all workers. To replace it,
 * rename a new one over it: a file that is cut while it is mapped ends the process. One handle may
 * serve several threads. */
#ifndef FOOTFALL_WORKER_GEO_H
#define FOOTFALL_WORKER_GEO_H

#include "lib/addr.h"
#include "lib/err.h"

#define GEO_COUNTRY_SIZE 3

struct geo {
	char country[GEO_COUNTRY_SIZE]; /* ISO 3166-1 alpha-2; empty: not known */
};

struct geo_db; /* opaque */

/* Map the database at path. On success *out is yours, end it with geo_close(). -EINVAL: not a whole
 * database of MaxMind's format; -errno of opening the file; -ENOMEM. */
int geo_open(struct geo_db **out, const char *path, struct err *err) MUST_CHECK;
void geo_close(struct geo_db **db_p); /* takes *db_p, leaves NULL; NULL is fine */

/* Find addr; an address written as ::ffff:a.b.c.d is looked up as IPv4. 0 also when the database
 * does not know it (or knows IPv4 only): *out is then empty. -EBADMSG: the database is damaged
 * where this address leads; *out is empty, other addresses may be fine. */
int geo_find(const struct geo_db *db, const struct addr *addr, struct geo *out,
	struct err *err) MUST_CHECK;

#endif
