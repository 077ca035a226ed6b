/* Rules: what a site refuses by what its request shows, without a look-up (what needs one is the
 * worker's: services/worker/shield.h). Made of a snapshot, then only read; any thread may. */
#ifndef FOOTFALL_RULES_H
#define FOOTFALL_RULES_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/span.h"
#include "proto/dropped.h"

struct rules;

/* The rules of a site as the snapshot's text has them: [origin_required, refuses_bots, honours_dnt,
 * [[kind, value], …]], see deploy/schema/app/0007_rules.sql. NULL: of an ingress that knew of none,
 * and nothing is refused. Kinds that are not known (aliases, countries, of a newer one) are passed
 * over. On success *out is yours, NULL when there is nothing to refuse. -EBADMSG: it is not that.
 * -ENOMEM. */
int rules_read(struct rules **out, const json_t *text, struct err *err) MUST_CHECK;
void rules_free(struct rules **rules);

/* What a request shows. Texts are "" where there is none. */
struct asked {
	bool from_page;             /* a browser sent it; rules about origins are for those */
	bool opts_out;              /* DNT: 1 or Sec-GPC: 1 */
	const struct addr *address; /* of the visitor; NULL: not known */
	struct span origin;
	struct span host, path, agent; /* of the event */
	uint8_t bot;                   /* enum event_bot */
};

/* Why it is refused: the first reason in the order of enum dropped. DROPPED_NONE: it is not. rules
 * may be NULL. */
enum dropped rules_refuse(const struct rules *rules, const struct asked *asked);

bool rules_refuse_bots(const struct rules *rules);
bool rules_honour_dnt(const struct rules *rules);

#endif
