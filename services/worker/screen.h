/* Screen: the class of a screen by its width. The bounds are those by which Plausible told screens
 * (calculate_screen_size() of its ingestion, until it asked the agent instead): phone below 576,
 * tablet below 992, laptop below 1440, desktop from there on. */
#ifndef FOOTFALL_WORKER_SCREEN_H
#define FOOTFALL_WORKER_SCREEN_H

#include <stdint.h>

/* "phone", "tablet", "laptop" or "desktop", constant; "" for 0, which is not known. CSS px. */
const char *screen_class(uint32_t width_px);

#endif
