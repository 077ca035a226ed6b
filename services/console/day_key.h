/* The end of day keys (deploy/schema/app/0005_day_keys.sql): a job of the console. Several consoles
 * do not get in each other's way. */
#ifndef FOOTFALL_DAY_KEY_H
#define FOOTFALL_DAY_KEY_H

#include "services/console/console.h"

/* Destroy the day keys that are due. What cannot be done now is done by a later sweep; it is logged
 * when that begins and ends, and is an alarm when it has gone on for an hour. */
void day_key_sweep(struct console *console);

void day_key_metrics(struct console *console, FILE *out);

#endif
