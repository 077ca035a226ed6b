#include "services/ingress/page.h"

#include <ctype.h>

#include "lib/url.h"
#include "lib/utf8.h"

#define HEX_SEGMENT_LEAST 64 /* a SHA-256 in hex: a token, not a page */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode into buf (of at least in.len bytes). */
static struct span decode(char *buf, struct span in)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		int high = in.ptr[i] == '%' && i + 2 < in.len ? hex_value(in.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_value(in.ptr[i + 2]) : -1;

		if (low >= 0) {
			buf[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			buf[len++] = in.ptr[i];
		}
	}
	return (struct span){ buf, len };
}

static bool segment_is_private(struct span segment)
{
	size_t at = span_find(segment, '@'), hex = 0;

	/* name@host.tld, by and large: RFC 5322 allows more, a path of a page does not need it */
	if (at && at + 3 < segment.len &&
		span_find(span_from(segment, at + 1), '.') < segment.len - at - 2)
		return true;
	while (hex < segment.len && hex_value(segment.ptr[hex]) >= 0)
		hex++;
	return segment.len >= HEX_SEGMENT_LEAST && hex == segment.len;
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
	struct span clean = decode(buf, path);

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
	for (; len < host.len && len < size; len++)
		buf[len] = (char)tolower((unsigned char)host.ptr[len]);
	return (struct span){ buf, len };
}

int page_clean(struct page *page, struct span text, struct err *err)
{
	struct url url;

	if (text.len > PAGE_URL_MOST)
		return err_set(err, -EINVAL, "has more than %d bytes", PAGE_URL_MOST);
	if (url_split(&url, text) || (!span_equals_nocase(url.scheme, SPAN("http")) &&
					     !span_equals_nocase(url.scheme, SPAN("https"))))
		return err_set(err, -EINVAL, "is not an http or https URL");
	if (url.host.len > EVENT_HOST_MOST || !utf8_valid(url.host))
		return err_set(err, -EINVAL, "has no valid host");
	page->host = host_clean(page->host_buf, sizeof page->host_buf, url.host);
	page->path = path_clean(page->path_buf, url.path);
	return 0;
}

struct span referrer_strip(char buf[EVENT_REFERRER_MOST], struct span text)
{
	struct url url;
	struct span from_host, clean;
	size_t len;

	text = span_first(text, EVENT_REFERRER_MOST);
	if (url_split(&url, text))
		return SPAN("");
	len = url.scheme.len + 3;
	memcpy(buf, text.ptr, url.scheme.len);
	memcpy(buf + url.scheme.len, "://", 3);
	/* Host, port and path lie side by side, without the user before them. */
	from_host =
		(struct span){ url.host.ptr, (size_t)(url.path.ptr + url.path.len - url.host.ptr) };
	if (url.host.ptr > text.ptr && url.host.ptr[-1] == '[')
		from_host = (struct span){ from_host.ptr - 1, from_host.len + 1 };
	clean = utf8_clean(buf + len, EVENT_REFERRER_MOST - len, from_host);
	return (struct span){ buf, len + clean.len };
}
