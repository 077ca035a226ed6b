/* Shield: what a site refuses by what only a look-up tells: where the address lies, and whose
 * network it is. The rest of its rules is the ingress's (services/ingress/rules.h). */
#ifndef FOOTFALL_SHIELD_H
#define FOOTFALL_SHIELD_H

#include "lib/span.h"
#include "proto/dropped.h"
#include "services/worker/app.h"

/* Why the site refuses an event from that country (ISO 3166-1 alpha-2, "" when it is not known),
 * which is a bot's or not (enum event_bot, whoever found out). DROPPED_NONE: it does not. */
enum dropped shield_refuses(const struct app_site *site, struct span country, uint8_t bot);

#endif
