/* What the ingress knows of sites, keys and the days to come: a copy of the app database in memory,
 * taken anew when the database says that something changed (LISTEN), and every few seconds to be
 * sure. Look-ups never touch the database, so collection goes on without it; the last copy is kept
 * on disk, so that it can begin without it, too. Any thread may look up. */
#ifndef FOOTFALL_SNAPSHOT_H
#define FOOTFALL_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"
#include "services/ingress/day.h"
#include "services/ingress/rules.h"

#define PROPERTY_ID_SIZE 37 /* a UUID and NUL */

#define SITE_IDENTITIES 8 /* changes of identity that are known of a site */

struct site {
	uint32_t id;
	char property_id[PROPERTY_ID_SIZE];
	char domain[254];
	char zone[64]; /* IANA name */
	struct {
		int32_t from; /* date, days since 1970-01-01 */
		bool persistent;
	} identity[SITE_IDENTITIES]; /* the latest first; the last counts for all before, too */
	uint8_t identity_count;      /* at least 1 */
	bool has_rules;              /* anything that it may refuse */
	bool refuses_bots, honours_dnt;
	unsigned script; /* parts of its script that it chose (script.h) */
};

/* Whether visitors with an id of their own are known by it on a date. */
bool site_is_persistent(const struct site *site, int64_t date);

struct snapshot;

/* Start taking snapshots from the app database in a thread of its own; the first may be a while in
 * coming, and until then the one that lies in folder/snapshot.json serves. days (borrowed until
 * snapshot_close()) is told of the days in it. A day whose key is due is taken out of all three,
 * file, memory and days, at once at the start and then within seconds, also while the database is
 * away. */
int snapshot_open(struct snapshot **out, const char *conninfo, const char *folder,
	struct days *days, struct err *err) MUST_CHECK;

/* Take no more; look-ups go on. */
void snapshot_stop(struct snapshot *s);
void snapshot_close(struct snapshot **snapshot);

/* 0 once there is a first snapshot; -EAGAIN with the reason before. */
int snapshot_ready(struct snapshot *s, struct err *err) MUST_CHECK;

/* The site of a property id (a UUID in any case), or of a domain or a further host of it (with or
 * without "www."); false when there is none. *out is a copy. */
bool snapshot_site(struct snapshot *s, struct span name, struct site *out);

/* rules_refuse() by the rules of a site as of now; DROPPED_UNKNOWN_SITE: it is gone. */
enum dropped snapshot_refuse(
	struct snapshot *s, const struct site *site, const struct asked *asked);

/* Whether a key (the token itself) may send events of any site (site_id 0) or of that site. Looked
 * up by the token's hash, so nothing secret is compared byte by byte. */
bool snapshot_key_allows(struct snapshot *s, struct span token, uint32_t site_id);

/* The one site whose events a key (the token itself) may send; false: none, or several. *out is a
 * copy. */
bool snapshot_key_site(struct snapshot *s, struct span token, struct site *out);

/* The sites that were removed, ascending, and the number of the last removal, which rises with
 * each; 0: none. *ids is yours (free). -ENOMEM. */
int snapshot_removed(struct snapshot *s, uint32_t **ids, size_t *count, uint64_t *number,
	struct err *err) MUST_CHECK;

#endif
