#include "lib/addr.h"

#include <arpa/inet.h>
#include <stdlib.h>

static const unsigned char v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* The host part of "host:port" and "[host]:port"; a bare IPv6 address has more than one colon. */
static struct span host_part(struct span text)
{
	size_t colon = span_find(text, ':');

	if (text.len && text.ptr[0] == '[')
		return span_first(span_from(text, 1), span_find(span_from(text, 1), ']'));
	if (colon < text.len && span_find(span_from(text, colon + 1), ':') + colon + 1 == text.len)
		return span_first(text, colon);
	return text;
}

int addr_parse(struct addr *out, struct span text)
{
	struct span host = host_part(span_trim(text));
	char copy[ADDR_TEXT_SIZE];

	if (!host.len || host.len >= sizeof copy || memchr(host.ptr, '\0', host.len))
		return -EINVAL;
	memcpy(copy, host.ptr, host.len);
	copy[host.len] = '\0';
	if (inet_pton(AF_INET6, copy, out->bytes) == 1)
		return 0;
	memcpy(out->bytes, v4_prefix, sizeof v4_prefix);
	return inet_pton(AF_INET, copy, out->bytes + 12) == 1 ? 0 : -EINVAL;
}

void addr_text(const struct addr *addr, char text[ADDR_TEXT_SIZE])
{
	bool v4 = !memcmp(addr->bytes, v4_prefix, sizeof v4_prefix);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, addr->bytes + (v4 ? 12 : 0), text, ADDR_TEXT_SIZE))
		text[0] = '\0';
}

struct span addr_client(const struct addr *addr)
{
	bool v4 = !memcmp(addr->bytes, v4_prefix, sizeof v4_prefix);

	return (struct span){ (const char *)addr->bytes, v4 ? 16 : 8 };
}

int addr_net_parse(struct addr_net *out, struct span text)
{
	size_t slash = span_find(text, '/');
	struct span host = span_first(text, slash);
	bool v4 = span_find(host, ':') == host.len;
	char digits[4] = "";
	char *end;
	long bits = v4 ? 32 : 128;

	if (addr_parse(&out->base, host))
		return -EINVAL;
	if (slash < text.len) {
		struct span rest = span_from(text, slash + 1);
		long most = bits;

		if (!rest.len || rest.len >= sizeof digits)
			return -EINVAL;
		memcpy(digits, rest.ptr, rest.len);
		bits = strtol(digits, &end, 10);
		if (*end || bits < 0 || bits > most)
			return -EINVAL;
	}
	out->bits = (int)bits + (v4 ? 96 : 0);
	return 0;
}

int addr_nets_parse(struct addr_nets *out, const char *list, struct err *err)
{
	struct span rest = span_of(list);

	out->count = 0;
	while (rest.len) {
		size_t comma = span_find(rest, ',');
		struct span item = span_trim(span_first(rest, comma));

		if (item.len && out->count == ADDR_NETS_MOST)
			return err_set(err, -E2BIG, "more than %d networks", ADDR_NETS_MOST);
		if (item.len && addr_net_parse(&out->net[out->count], item))
			return err_set(err, -EINVAL, "\"%.*s\" is not an address or network",
				(int)item.len, item.ptr);
		out->count += item.len > 0;
		rest = span_from(rest, comma + 1);
	}
	return 0;
}

bool addr_net_holds(const struct addr_net *net, const struct addr *addr)
{
	int whole = net->bits / 8, rest = net->bits % 8;
	unsigned char mask = (unsigned char)(0xff00 >> rest);

	if (memcmp(net->base.bytes, addr->bytes, (size_t)whole))
		return false;
	return !rest || (net->base.bytes[whole] & mask) == (addr->bytes[whole] & mask);
}

bool addr_nets_hold(const struct addr_nets *nets, const struct addr *addr)
{
	for (size_t i = 0; i < nets->count; i++)
		if (addr_net_holds(&nets->net[i], addr))
			return true;
	return false;
}

struct addr addr_of_client(
	struct addr peer, struct span forwarded_for, const struct addr_nets *trusted)
{
	struct addr client = peer;
	struct span left = forwarded_for;

	while (left.len && addr_nets_hold(trusted, &client)) {
		size_t start = left.len;
		struct addr next;

		while (start && left.ptr[start - 1] != ',')
			start--;
		if (addr_parse(&next, span_from(left, start)))
			break;
		client = next;
		left.len = start ? start - 1 : 0;
	}
	return client;
}

bool addr_is_of_proxies(
	struct addr peer, struct span forwarded_for, const struct addr_nets *trusted)
{
	size_t start = forwarded_for.len;
	struct addr last;

	if (!addr_nets_hold(trusted, &peer))
		return false;
	while (start && forwarded_for.ptr[start - 1] != ',')
		start--;
	return !forwarded_for.len || (!addr_parse(&last, span_from(forwarded_for, start)) &&
					     addr_nets_hold(trusted, &last));
}
