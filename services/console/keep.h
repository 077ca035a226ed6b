/* Keep: what the console does to the metrics database by itself, in a thread of its own: makes the
 * months ahead, lets go of what is too old, and ends removals of sites that were interrupted. The
 * steps are functions of deploy/schema/metrics/0008_retention.sql; each is a short transaction. Of
 * several consoles one does it. */
#ifndef FOOTFALL_KEEP_H
#define FOOTFALL_KEEP_H

#include "services/console/console.h"

struct keep;

/* Start, at once and then every few minutes, or when somebody says "notify footfall_keep" in the
 * metrics database. The console is borrowed until keep_close(), which ends the thread: it waits for
 * the signal that ends the service. */
int keep_open(struct keep **out, struct console *console, struct err *err) MUST_CHECK;
void keep_close(struct keep **keep);

#endif
