/* Screen: the class of a screen by its width. The bounds are those by which Plausible told screens
 * (calculate_screen_size() of its ingestion, until it asked the agent instead): phone below 576,
 * tablet below 992, laptop below 1440, desktop from there on. */
#ifndef FOOTFALL_LIB_SCREEN_H
#define FOOTFALL_LIB_SCREEN_H

#include <stdint.h>

#define SCREEN_CLASSES 4

struct screen_bound {
	const char *name;
	uint32_t below_px; /* CSS px; UINT32_MAX: no bound */
};
extern const struct screen_bound screen_bounds[SCREEN_CLASSES]; /* the narrowest first */

/* The name of the class, constant; "" for 0, which is not known. CSS px. */
const char *screen_class(uint32_t width_px);

#endif
