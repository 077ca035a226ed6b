#include "lib/enrich/cdn.h"

#include <civetweb.h>
#include <ctype.h>

#include "lib/utf8.h"

#define CITY_SENT_MOST (3 * CDN_CITY_MOST) /* percent-encoded */

static const struct {
	const char *cdn, *country, *region, *city;
} headers[] = {
	{ "Cloudflare", "CF-IPCountry", "CF-Region-Code", "CF-IPCity" },
	{ "CloudFront", "CloudFront-Viewer-Country", "CloudFront-Viewer-Country-Region",
		"CloudFront-Viewer-City" },
	{ "Vercel", "x-vercel-ip-country", "x-vercel-ip-country-region", "x-vercel-ip-city" },
};

static struct span upper(char *buf, struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		buf[i] = (char)toupper((unsigned char)text.ptr[i]);
	return (struct span){ buf, text.len };
}

static struct span country_of(struct cdn *cdn, struct span text)
{
	text = span_trim(text);
	if (text.len != 2 || !isalpha((unsigned char)text.ptr[0]) ||
		!isalpha((unsigned char)text.ptr[1]) || span_equals_nocase(text, SPAN("XX")) ||
		span_equals_nocase(text, SPAN("ZZ")))
		return SPAN("");
	return upper(cdn->country, text);
}

static struct span region_of(struct cdn *cdn, struct span text)
{
	text = span_trim(text);
	if (text.len > sizeof cdn->region)
		return SPAN("");
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '-')
			return SPAN("");
	return upper(cdn->region, text);
}

/* Names of cities have no '%', so one rule serves those that are encoded and those that are not. */
static struct span city_of(struct cdn *cdn, struct span text)
{
	char plain[CITY_SENT_MOST + 1];
	int len;

	if (text.len > CITY_SENT_MOST)
		return SPAN("");
	len = mg_url_decode(text.ptr, (int)text.len, plain, sizeof plain, 0);
	if (len < 0)
		return SPAN("");
	for (int i = 0; i < len; i++)
		if (iscntrl((unsigned char)plain[i]))
			return SPAN("");
	return utf8_clean(
		cdn->city, sizeof cdn->city, span_trim((struct span){ plain, (size_t)len }));
}

bool cdn_place(struct cdn *cdn, struct span country, struct span region, struct span city)
{
	cdn->place = (struct place_hint){ .country = country_of(cdn, country) };
	if (!cdn->place.country.len)
		return false;
	cdn->place.region = region_of(cdn, region);
	cdn->place.city = city_of(cdn, city);
	return true;
}

void cdn_read(struct cdn *cdn, const struct http_request *req)
{
	bool believed = http_is_from_proxies(req);

	cdn->name = NULL;
	cdn->place = (struct place_hint){ .country = SPAN("") };
	for (size_t i = 0; believed && !cdn->name && i < sizeof headers / sizeof *headers; i++)
		if (cdn_place(cdn, http_header(req, headers[i].country),
			    http_header(req, headers[i].region), http_header(req, headers[i].city)))
			cdn->name = headers[i].cdn;
}
