/* Device: the kind of device behind a User-Agent, by one table of rules over uap-core's words and
 * the agent's own text. uap-core says brand and model, not the kind. */
#ifndef FOOTFALL_DEVICE_H
#define FOOTFALL_DEVICE_H

#include "lib/enrich/uap.h"

/* "desktop", "mobile", "tablet", "tv", "console", "wearable" or "bot"; "" when nothing says which.
 * uap is what the rules say of agent. The string is a constant. */
const char *device_type(const struct uap *uap, struct span agent);

#endif
