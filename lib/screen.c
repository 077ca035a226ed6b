#include "lib/screen.h"

const struct screen_bound screen_bounds[SCREEN_CLASSES] = { { "phone", 576 }, { "tablet", 992 },
	{ "laptop", 1440 }, { "desktop", UINT32_MAX } };

const char *screen_class(uint32_t width_px)
{
	const struct screen_bound *bound = screen_bounds;

	if (!width_px)
		return "";
	while (bound < screen_bounds + SCREEN_CLASSES - 1 && width_px >= bound->below_px)
		bound++;
	return bound->name;
}
