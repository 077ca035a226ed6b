/* CDN: where the client is, as a content delivery network in front of us says in headers:
 *
 *   Cloudflare  CF-IPCountry, CF-Region-Code, CF-IPCity ("Add visitor location headers")
 *   CloudFront  CloudFront-Viewer-Country, -Country-Region, -City
 *   Vercel      x-vercel-ip-country, -country-region, -city (percent-encoded)
 *
 * Anybody can send such headers: only those of trusted proxies are to be read
 * (http_is_from_proxies()). */
#ifndef FOOTFALL_CDN_H
#define FOOTFALL_CDN_H

#include "lib/enrich/place.h"
#include "lib/http.h"

/* Bounds in bytes: beyond them a region or a city is none. */
#define CDN_REGION_MOST 16
#define CDN_CITY_MOST   128

/* What was read. The spans lie in the struct: do not copy it. */
struct cdn {
	const char *name;        /* "Cloudflare", constant; NULL: no CDN spoke */
	struct place_hint place; /* all empty then */
	char country[2];
	char region[CDN_REGION_MOST];
	char city[CDN_CITY_MOST];
};

/* Fill *cdn by the first CDN that names a country; it is empty when none does, or the request is of
 * no trusted proxy. */
void cdn_read(struct cdn *cdn, const struct http_request *req);

/* Fill the place by one CDN's headers as they came. false: they name no country ("XX" and
 * Cloudflare's "T1", the Tor network, are none), and all are empty. A region or city that is none
 * is left out. */
bool cdn_place(struct cdn *cdn, struct span country, struct span region, struct span city);

#endif
