/* Client addresses: parsing, lists of networks, and who a request is really from. */
#ifndef FOOTFALL_ADDR_H
#define FOOTFALL_ADDR_H

#include <stdbool.h>

#include "lib/err.h"
#include "lib/span.h"

/* IPv4 is kept as ::ffff:a.b.c.d, so that one comparison serves both. */
struct addr {
	unsigned char bytes[16];
};

#define ADDR_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

/* Parse "1.2.3.4", "1.2.3.4:80", "::1" or "[::1]:80". -EINVAL for anything else. */
int addr_parse(struct addr *out, struct span text) MUST_CHECK;

/* The usual text of an address: dotted where it is IPv4. */
void addr_text(const struct addr *addr, char text[ADDR_TEXT_SIZE]);

/* What stands for a client that is held back: its address, of IPv6 the /64, since one household or
 * server can choose among all addresses of that. Borrows from addr. */
struct span addr_client(const struct addr *addr);

struct addr_net {
	struct addr base;
	int bits; /* 0 to 128; of an IPv4 network 96 + its prefix */
};

/* Parse "192.0.2.0/24", "2001:db8::/32", or one address. -EINVAL for anything else. */
int addr_net_parse(struct addr_net *out, struct span text) MUST_CHECK;
bool addr_net_holds(const struct addr_net *net, const struct addr *addr);

#define ADDR_NETS_MOST 64
struct addr_nets {
	size_t count;
	struct addr_net net[ADDR_NETS_MOST];
};

/* Parse a comma-separated list such as "127.0.0.0/8,::1". Empty: no network. -EINVAL, -E2BIG. */
int addr_nets_parse(struct addr_nets *out, const char *list, struct err *err) MUST_CHECK;
bool addr_nets_hold(const struct addr_nets *nets, const struct addr *addr);

/* Whom a request is from: the peer, or, while the one who speaks is trusted, the next address of
 * X-Forwarded-For read from the right. What cannot be parsed there ends the walk. */
struct addr addr_of_client(
	struct addr peer, struct span forwarded_for, const struct addr_nets *trusted);

/* Whether what a request says of its client (but for X-Forwarded-For) is a trusted proxy's word:
 * the peer is trusted, and so is the last address of X-Forwarded-For, if there is one. The peer is
 * our door as a rule, which adds there whom it took the request from, and hands on any other header
 * of his. */
bool addr_is_of_proxies(
	struct addr peer, struct span forwarded_for, const struct addr_nets *trusted);

#endif
