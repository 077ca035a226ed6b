#include "services/worker/shield.h"

enum dropped shield_refuses(const struct app_site *site, struct span country, uint8_t bot)
{
	if (app_countries_hold(&site->countries, country))
		return DROPPED_COUNTRY;
	return site->refuses_bots ? dropped_of_bot(bot) : DROPPED_NONE;
}
