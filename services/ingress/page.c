#include "services/ingress/page.h"

#include <ctype.h>

#include "lib/url.h"
#include "lib/utf8.h"

#define HEX_SEGMENT_LEAST 64 /* a SHA-256 in hex: a token, not a page */

static bool is_private(struct span segment)
{
	size_t at = span_find(segment, '@'), hex = 0;

	/* name@host.tld, by and large: RFC 5322 allows more, a path of a page does not need it */
	if (at && at + 3 < segment.len &&
		span_find(span_from(segment, at + 1), '.') < segment.len - at - 2)
		return true;
	while (hex < segment.len && isxdigit((unsigned char)segment.ptr[hex]))
		hex++;
	return segment.len >= HEX_SEGMENT_LEAST && hex == segment.len;
}

/* As it is, or once it is decoded: of referrers. */
static bool segment_is_private(struct span segment)
{
	char buf[EVENT_PATH_MOST];

	if (span_find(segment, '%') == segment.len)
		return is_private(segment);
	return is_private(url_decode(buf, span_first(segment, sizeof buf), false));
}

/* Replace private segments of path, in place: "*" is shorter than any of them. */
static struct span segments_hide(char *path, size_t len)
{
	size_t out = 0, i = 0;

	while (i < len) {
		struct span rest = { path + i, len - i };
		struct span segment = span_first(rest, span_find(rest, '/'));

		if (segment_is_private(segment))
			path[out++] = '*';
		else {
			memmove(path + out, segment.ptr, segment.len);
			out += segment.len;
		}
		i += segment.len;
		if (i < len) {
			path[out++] = '/';
			i++;
		}
	}
	return (struct span){ path, out };
}

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return true;
	return false;
}

static struct span path_clean(char buf[EVENT_PATH_MOST], struct span path)
{
	struct span clean = url_decode(buf, path, false);

	/* What does not decode to text stays as it was sent, which is printable. */
	if (!utf8_valid(clean) || has_control(clean)) {
		clean = utf8_clean(buf, EVENT_PATH_MOST, path);
		for (size_t i = 0; i < clean.len; i++)
			if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
				buf[i] = '?';
	}
	clean = segments_hide(buf, clean.len);
	while (clean.len > 1 && clean.ptr[clean.len - 1] == '/')
		clean.len--;
	if (!clean.len) {
		buf[0] = '/';
		clean.len = 1;
	}
	return clean;
}

static struct span host_clean(char *buf, size_t size, struct span host)
{
	size_t len = 0;

	if (span_equals_nocase(span_first(host, 4), SPAN("www.")) && host.len > 4)
		host = span_from(host, 4);
	if (host.len > 1 && host.ptr[host.len - 1] == '.') /* the root's: the same host */
		host.len--;
	for (; len < host.len && len < size; len++)
		buf[len] = (char)tolower((unsigned char)host.ptr[len]);
	return (struct span){ buf, len };
}

/* The path that a page routes by when it routes by its fragment: "/app/#/users". A fragment may
 * have a query of its own, which is dropped as any (and read when the URL has none). */
static struct span routed_path(char buf[PAGE_URL_MOST], struct url *url)
{
	struct span route = url->fragment;
	size_t mark = span_find(route, '?'), len = url->path.len;

	if (!url->query.len)
		url->query = span_from(route, mark + 1);
	route = span_first(route, mark);
	if (!route.len || span_equals(route, SPAN("/")))
		return url->path;
	memcpy(buf, len ? url->path.ptr : "/", len ? len : 1);
	len += !len;
	buf[len++] = '#';
	memcpy(buf + len, route.ptr, route.len);
	return (struct span){ buf, len + route.len };
}

/* given has at most PAGE_URL_MOST bytes of path, query and fragment. */
static int url_clean(struct page *page, const struct url *given, bool by_hash, struct err *err)
{
	char routed[PAGE_URL_MOST];
	struct url url = *given;

	if (url.host.len > EVENT_HOST_MOST || !utf8_valid(url.host))
		return err_set(err, -EINVAL, "has no valid host");
	page->host = host_clean(page->host_buf, sizeof page->host_buf, url.host);
	if (by_hash && url.fragment.len)
		url.path = routed_path(routed, &url);
	page->path = path_clean(page->path_buf, url.path);
	campaign_read(&page->campaign, url.query);
	return 0;
}

int page_clean(struct page *page, struct span text, bool by_hash, struct err *err)
{
	struct url url;

	if (text.len > PAGE_URL_MOST)
		return err_set(err, -EINVAL, "has more than %d bytes", PAGE_URL_MOST);
	if (url_split(&url, text) || (!span_equals_nocase(url.scheme, SPAN("http")) &&
					     !span_equals_nocase(url.scheme, SPAN("https"))))
		return err_set(err, -EINVAL, "is not an http or https URL");
	return url_clean(page, &url, by_hash, err);
}

/* What is behind the place of a host that is not there: "/about", also of "file:///about". Empty:
 * there is a host, or no path that begins. */
static struct span path_alone(struct span text)
{
	struct span rest = span_from(text, span_find(text, ':'));

	if (span_starts_with(text, SPAN("/")))
		return span_starts_with(text, SPAN("//")) ? SPAN("") : text;
	return span_starts_with(rest, SPAN(":///")) ? span_from(rest, 3) : SPAN("");
}

int page_clean_app(struct page *page, struct span text, bool by_hash, struct err *err)
{
	static const char no_host[] = "app://none";
	char whole[sizeof no_host + PAGE_URL_MOST];
	struct span path;
	struct url url;
	int rc;

	if (text.len > PAGE_URL_MOST)
		return err_set(err, -EINVAL, "has more than %d bytes", PAGE_URL_MOST);
	if (span_equals_nocase(span_first(text, 5), SPAN("data:")))
		return err_set(err, -EINVAL, "has a scheme that is not allowed");
	path = path_alone(text);
	if (path.len) {
		memcpy(whole, no_host, sizeof no_host - 1);
		memcpy(whole + sizeof no_host - 1, path.ptr, path.len);
		text = (struct span){ whole, sizeof no_host - 1 + path.len };
	}
	if (url_split(&url, text))
		return err_set(err, -EINVAL, "is not a valid URL");
	rc = url_clean(page, &url, by_hash, err);
	if (path.len)
		page->host = SPAN("");
	return rc;
}

void page_tell(const struct page *page, struct event *ev)
{
	const struct span *campaign = page->campaign.field;

	_Static_assert(CAMPAIGN_MOST == EVENT_CAMPAIGN_MOST, "a value fits its field");
	ev->host = page->host;
	ev->path = page->path;
	ev->utm_source = campaign[UTM_SOURCE];
	ev->utm_medium = campaign[UTM_MEDIUM];
	ev->utm_campaign = campaign[UTM_CAMPAIGN];
	ev->utm_term = campaign[UTM_TERM];
	ev->utm_content = campaign[UTM_CONTENT];
	ev->ref = campaign[CAMPAIGN_REF];
	ev->click_id = page->campaign.click_id;
}

struct span referrer_strip(char buf[EVENT_REFERRER_MOST], struct span text)
{
	struct url url;
	struct span authority, clean;
	size_t len;

	text = span_first(span_trim(text), EVENT_REFERRER_MOST);
	if (url_split(&url, text) || !utf8_valid(url.host))
		return SPAN("");
	len = url.scheme.len + 3;
	memcpy(buf, text.ptr, url.scheme.len);
	memcpy(buf + url.scheme.len, "://", 3);
	/* Host and port lie side by side, without the user before them. */
	authority = (struct span){ url.host.ptr, (size_t)(url.path.ptr - url.host.ptr) };
	if (url.host.ptr > text.ptr && url.host.ptr[-1] == '[')
		authority = (struct span){ authority.ptr - 1, authority.len + 1 };
	clean = utf8_clean(buf + len, EVENT_REFERRER_MOST - len, authority);
	len += clean.len;
	clean = utf8_clean(buf + len, EVENT_REFERRER_MOST - len, url.path);
	clean = segments_hide(buf + len, clean.len);
	return (struct span){ buf, len + clean.len };
}
