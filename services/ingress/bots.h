/* Bots: whether what sent an event is no person, as far as a request tells. Any thread may ask. */
#ifndef FOOTFALL_BOTS_H
#define FOOTFALL_BOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

struct bots;

/* Read the lists of crawlers' agents (lib/agents.h) and of domains that send referrer spam
 * (lib/spam.h). On success *out is yours. Errors as theirs. */
int bots_open(struct bots **out, const char *agents, const char *spam, struct err *err) MUST_CHECK;
void bots_close(struct bots **bots);

/* Read lists again that have changed. Now and then, from one thread. */
void bots_follow(struct bots *bots);

/* Whether an agent is a crawler's: microseconds, so only where the answer is needed at once; else
 * workers look. */
bool bots_know_agent(struct bots *bots, struct span user_agent);

/* Whether a referrer (a URL) is a spammer's. */
bool bots_know_referrer(struct bots *bots, struct span referrer);

#endif
