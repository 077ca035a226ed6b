/* Agents: the User-Agents of crawlers and other programs, by the list of npm crawler-user-agents: a
 * JSON array of objects, of which "pattern" is a regular expression that such an agent matches
 * somewhere, capitals and small letters being different. Any thread may ask. The list is read again
 * when its file changes; one that cannot be read is told of once in the log, and the last good one
 * stays. */
#ifndef FOOTFALL_AGENTS_H
#define FOOTFALL_AGENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

/* Only this much of an agent is looked at: of 2,118 crawlers' agents the longest has 285 bytes. */
#define AGENTS_LOOK_MOST 512

struct agents; /* opaque: 1.3 MB with 1,500 patterns */

/* Read the list at path. On success *out is yours, end it with agents_close(). -EINVAL: not such a
 * list, or a pattern that does not compile, and which; -EFBIG; -errno of opening the file; -ENOMEM.
 */
int agents_open(struct agents **out, const char *path, struct err *err) MUST_CHECK;
void agents_close(struct agents **agents_p); /* takes *agents_p, leaves NULL; NULL is fine */

/* How many patterns there are. */
size_t agents_count(struct agents *agents);

/* Whether agent is one of the list's; any bytes will do. Two to three microseconds. */
bool agent_is_bot(struct agents *agents, struct span agent);

/* A number that changes when the list has been read again: an answer kept from before may be
 * another now. */
unsigned agents_edition(struct agents *agents);

/* Read the list again if its file has changed; agent_is_bot() does so by itself. */
void agents_follow(struct agents *agents, int64_t now_mono_us);

#endif
