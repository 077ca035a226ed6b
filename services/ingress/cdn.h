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

#include "lib/http.h"
#include "proto/event.h"

/* Storage of what is read. */
struct cdn {
	char country[2];
	char region[EVENT_REGION_MOST];
	char city[EVENT_CITY_MOST];
};

/* Set ev's cdn_country, cdn_region and cdn_city, into *cdn, by the first CDN that names a country;
 * all empty when none does, or the request is of no trusted proxy. */
void cdn_read(struct event *ev, struct cdn *cdn, const struct http_request *req);

/* The same of one CDN's headers as they came. false: they name no country ("XX" and Cloudflare's
 * "T1", the Tor network, are none), and all are empty. A region or city that is none is left out.
 */
bool cdn_place(struct event *ev, struct cdn *cdn, struct span country, struct span region,
	struct span city);

#endif
