/* Which migration is the newest that this version knows, of each database: the highest number in
 * deploy/schema/app and deploy/schema/metrics when it was compiled. Services ask for connections to
 * a database that has had it (lib/pg.h), so that in an upgrade, whichever comes first, nothing of
 * this version is written to tables of an earlier one. */
#ifndef FOOTFALL_SCHEMA_H
#define FOOTFALL_SCHEMA_H

/* Held by who migrates, as long as that takes; shared by each transaction that applies events, so
 * that none sees half of it. Any number of our own; these are the letters of the name. */
#define SCHEMA_LOCK "x'666f6f7466616c6c'::bigint"

extern const int schema_app, schema_metrics;

#endif
