/* Databases of MaxMind's format (https://maxmind.github.io/MaxMind-DB/, version 2.0), whatever
 * their records hold: opened, checked whole, and asked for the record of an address.
 *
 * What is mapped is a copy of ours, without a name: the file itself may be written over or cut
 * while we read, and a new one is picked up by opening it beside the old. The copy's pages are the
 * kernel's to drop and to read again, like the file's own. One handle may serve several threads. */
#ifndef FOOTFALL_MMDB_H
#define FOOTFALL_MMDB_H

#include <maxminddb.h>
#include <stdbool.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/span.h"

/* The largest known (GeoIP2 Enterprise) has a third of it. */
#define MMDB_BYTES_MOST (2LL << 30)

struct mmdb; /* opaque */

/* Read what is wanted of a record into *out, all of which it sets. Returns MMDB_SUCCESS, also when
 * the record holds nothing of it, or the error of the bytes that cannot be read. */
typedef int mmdb_reader(MMDB_entry_s *record, void *out);

/* Open the database at path and read each of its records once, into scratch, so that a damaged one
 * is refused here. `what` ("GeoIP database") stands in messages. On success *out is yours, end it
 * with mmdb_close(). -EINVAL: not a whole database; -EISDIR; -errno of opening or copying; -ENOMEM.
 */
int mmdb_open(struct mmdb **out, const char *what, const char *path, mmdb_reader *reader,
	void *scratch, struct err *err) MUST_CHECK;
void mmdb_close(struct mmdb **db_p); /* takes *db_p, leaves NULL; NULL is fine */

/* Read the record of addr into *out, an address written as ::ffff:a.b.c.d being IPv4. false: there
 * is none (or the database knows IPv4 only), and *out is untouched. */
bool mmdb_find(const struct mmdb *db, const struct addr *addr, mmdb_reader *reader, void *out);

/* The value at a path of keys (and indexes), ended by NULL. What is not there, or of another type,
 * is an empty text or 0, and no error; *status keeps its first error, and then nothing is read. */
struct span mmdb_text(MMDB_entry_s *record, const char *const *path, int *status);
uint32_t mmdb_number(MMDB_entry_s *record, const char *const *path, int *status);

#endif
