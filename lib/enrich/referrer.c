#include "lib/enrich/referrer.h"

#include "lib/addr.h"
#include "lib/url.h"
#include "lib/utf8.h"

#define ANDROID_APP "android-app"

/* Appends to one buffer; what does not fit is left out. */
struct writer {
	char *text;
	size_t used, size;
};

static void put(struct writer *w, struct span s)
{
	s = span_first(s, w->size - w->used);
	memcpy(w->text + w->used, s.ptr, s.len);
	w->used += s.len;
}

static void put_lower(struct writer *w, struct span s)
{
	s = span_first(s, w->size - w->used);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		w->text[w->used++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
}

static struct span without_www(struct span host)
{
	struct span rest = span_from(host, 4);

	return rest.len && span_equals_nocase(span_first(host, 4), SPAN("www.")) ? rest : host;
}

/* "example.org." is example.org, too. */
static struct span without_root(struct span host)
{
	if (host.len > 1 && host.ptr[host.len - 1] == '.')
		host.len--;
	return host;
}

static bool is_local(struct span host)
{
	static const unsigned char v4[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };
	static const unsigned char v6[16] = { [15] = 1 };
	struct addr addr;

	if (span_equals_nocase(host, SPAN("localhost")))
		return true;
	return !addr_parse(&addr, host) &&
	       (!memcmp(addr.bytes, v4, sizeof v4) || !memcmp(addr.bytes, v6, sizeof v6));
}

static bool is_own(struct span host, const struct span *own_hosts, size_t own_count)
{
	for (size_t i = 0; i < own_count; i++)
		if (span_equals_nocase(host, without_www(without_root(own_hosts[i]))))
			return true;
	return false;
}

static bool is_web(struct span scheme)
{
	return span_equals_nocase(scheme, SPAN("http")) ||
	       span_equals_nocase(scheme, SPAN("https"));
}

static void put_rest(struct writer *w, const struct url *url)
{
	bool https = span_equals_nocase(url->scheme, SPAN("https"));

	if (url->port.len && !span_equals(url->port, https ? SPAN("443") : SPAN("80"))) {
		put(w, SPAN(":"));
		put(w, url->port);
	}
	if (url->path.len > 1)
		put(w, url->path);
}

/* The host as in a URL: an IPv6 address is in brackets. */
static void put_host(struct writer *w, struct span host)
{
	bool v6 = span_find(host, ':') < host.len;

	put(w, v6 ? SPAN("[") : SPAN(""));
	put_lower(w, host);
	put(w, v6 ? SPAN("]") : SPAN(""));
}

void referrer_parse(
	struct referrer *out, struct span url, const struct span *own_hosts, size_t own_count)
{
	char raw[REFERRER_MOST + 4]; /* so that no character is cut before utf8_clean() cuts */
	struct writer w = { raw, 0, sizeof raw };
	struct url parts;
	struct span host;
	size_t source_len;

	out->referrer = out->source = (struct span){ out->text, 0 };
	if (url_split(&parts, span_trim(url)))
		return;
	host = without_www(without_root(parts.host));
	if (span_equals_nocase(parts.scheme, SPAN(ANDROID_APP))) {
		put(&w, SPAN(ANDROID_APP "://"));
		put(&w, parts.host);
		source_len = w.used;
	} else if (is_web(parts.scheme)) {
		put_host(&w, host);
		source_len = is_local(host) || is_own(host, own_hosts, own_count) ? 0 : w.used;
		put_rest(&w, &parts);
	} else {
		return;
	}
	/* Cleaning changes bytes, never their number, so what was the host still is. */
	out->referrer = utf8_clean(out->text, sizeof out->text, (struct span){ raw, w.used });
	out->source = span_first(out->referrer, source_len);
}
