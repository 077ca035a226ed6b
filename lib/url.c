#include "lib/url.h"

static bool is_letter(unsigned char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* Take the first len bytes of *rest, and the mark of mark_len bytes after them. */
static struct span take(struct span *rest, size_t len, size_t mark_len)
{
	struct span part = span_first(*rest, len);

	*rest = span_from(*rest, len + mark_len);
	return part;
}

/* Length of what is before the first of '/', '?' and '#'. */
static size_t authority_len(struct span rest)
{
	size_t len = 0;

	while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?' &&
		rest.ptr[len] != '#')
		len++;
	return len;
}

/* RFC 3986, 3.1: a letter, then letters, digits, '+', '-', '.'. */
static bool scheme_is_good(struct span scheme)
{
	if (!scheme.len || !is_letter((unsigned char)scheme.ptr[0]))
		return false;
	for (size_t i = 1; i < scheme.len; i++) {
		unsigned char c = (unsigned char)scheme.ptr[i];

		if (!is_letter(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
			return false;
	}
	return true;
}

static bool name_is_good(struct span host)
{
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.ptr[i];

		/* Bytes from 0x80 on are UTF-8 of an international name. */
		if (c <= ' ' || c == 0x7f || strchr("\"%:<>@[\\]^`{|}", c))
			return false;
	}
	return host.len > 0;
}

static bool ipv6_is_good(struct span host)
{
	bool colon = false;

	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.ptr[i], lower = c | 0x20;

		if (!is_digit(c) && !(lower >= 'a' && lower <= 'f') && c != ':' && c != '.')
			return false;
		colon |= c == ':';
	}
	return colon;
}

static bool port_is_good(struct span port)
{
	unsigned number = 0;

	if (port.len > 5)
		return false;
	for (size_t i = 0; i < port.len; i++) {
		if (!is_digit((unsigned char)port.ptr[i]))
			return false;
		number = number * 10 + (unsigned)(port.ptr[i] - '0');
	}
	return number <= 65535;
}

static int authority_split(struct url *out, struct span rest)
{
	bool bracketed;
	size_t at = rest.len;

	while (at && rest.ptr[at - 1] != '@')
		at--;
	out->user = span_first(rest, at ? at - 1 : 0);
	rest = span_from(rest, at);
	bracketed = rest.len && rest.ptr[0] == '[';
	if (bracketed) {
		rest = span_from(rest, 1);
		if (span_find(rest, ']') == rest.len)
			return -EINVAL;
		out->host = take(&rest, span_find(rest, ']'), 1);
		if (rest.len && rest.ptr[0] != ':')
			return -EINVAL;
	} else {
		out->host = take(&rest, span_find(rest, ':'), 0);
	}
	out->port = span_from(rest, 1);
	if (!(bracketed ? ipv6_is_good(out->host) : name_is_good(out->host)))
		return -EINVAL;
	return port_is_good(out->port) ? 0 : -EINVAL;
}

int url_split(struct url *out, struct span text)
{
	struct url url;
	struct span rest = text, authority;

	if (!text.len)
		return -EINVAL;
	url.scheme = take(&rest, span_find(rest, ':'), 1);
	if (!scheme_is_good(url.scheme) || !span_starts_with(rest, SPAN("//")))
		return -EINVAL;
	rest = span_from(rest, 2);
	authority = take(&rest, authority_len(rest), 0);
	if (span_find(authority, '\\') < authority.len || authority_split(&url, authority))
		return -EINVAL;
	url.fragment = span_from(rest, span_find(rest, '#') + 1);
	rest = span_first(rest, span_find(rest, '#'));
	url.query = span_from(rest, span_find(rest, '?') + 1);
	url.path = span_first(rest, span_find(rest, '?'));
	*out = url;
	return 0;
}

static int hex_value(unsigned char c)
{
	unsigned char lower = c | 0x20;

	if (is_digit(c))
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

struct span url_decode(char *buf, struct span text, bool plus)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		bool percent = text.ptr[i] == '%' && i + 2 < text.len;
		int high = percent ? hex_value((unsigned char)text.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_value((unsigned char)text.ptr[i + 2]) : -1;

		if (low >= 0) {
			buf[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			buf[len++] = plus && text.ptr[i] == '+' ? ' ' : text.ptr[i];
		}
	}
	return (struct span){ buf, len };
}
