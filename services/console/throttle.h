/* Throttle: how often each key (a client, an e-mail address) may try within a window of time. Its
 * memory is fixed: 4,096 keys are remembered, and when a place is needed, the key that has tried
 * least gives way, so that whoever is held back is not forgotten first. Any thread may call. */
#ifndef FOOTFALL_THROTTLE_H
#define FOOTFALL_THROTTLE_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

struct throttle;

/* most tries of a key in window_us, counted from its first. End with throttle_close(). */
int throttle_open(struct throttle **out, int most, int64_t window_us, struct err *err) MUST_CHECK;
void throttle_close(struct throttle **throttle);

/* Count a try of key. 0: go on. Else the try is refused (and not counted), and the answer is after
 * how many seconds to come again. Counted before its outcome is known, so that many tries at the
 * same moment are many tries. */
int throttle_take(struct throttle *throttle, struct span key, int64_t now_mono_us);

/* The try turned out well: it does not count. */
void throttle_give_back(struct throttle *throttle, struct span key);

#endif
