#include "services/worker/screen.h"

const char *screen_class(uint32_t width_px)
{
	if (!width_px)
		return "";
	if (width_px < 576)
		return "phone";
	if (width_px < 992)
		return "tablet";
	return width_px < 1440 ? "laptop" : "desktop";
}
