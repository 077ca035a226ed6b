/* Fields of events as they come in JSON, whichever interface they came by: types bent as the peers
 * bend them, bounds kept. */
#ifndef FOOTFALL_FIELDS_H
#define FOOTFALL_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"
#include "proto/event.h"
#include "services/ingress/object.h"

/* Text of a string (lent by it); an empty span when there is none. -EINVAL: not a string.
 * -EMSGSIZE: more than most bytes. */
int field_text(struct span *out, struct field field, size_t most, struct err *err) MUST_CHECK;

/* A whole number or the text of one; EVENT_NONE for what is neither or negative. */
int64_t field_number(struct field field);

/* Custom properties: an object (or the JSON text of one) with at most 30 plain values of which
 * neither name nor value is blank, each made a text. *out is the JSON text, owned (free), NULL when
 * there is none. -EINVAL: a key beyond 300 bytes or a value beyond 2,000, as Plausible says, or no
 * valid JSON. */
int field_props(char **out, struct field field, struct err *err) MUST_CHECK;

/* What a page is about, for reports by topic: an object of which "type" and "author" (texts) and
 * "categories" and "tags" (lists of texts, or one) are kept, trimmed; other keys, and what is
 * blank, are left out. *out is JSON, {"author": "Ada", "categories": ["A", "B"], …}, owned (free),
 * NULL when nothing is left. -EINVAL, with the key: it is no object, a value is of another type,
 * has more than 200 bytes, or a list more than 30 elements. */
int field_metadata(char **out, struct field field, struct err *err) MUST_CHECK;

/* {currency, amount}, or the JSON text of it: amount a number or its text, currency three letters.
 */
struct field_revenue {
	char amount[EVENT_AMOUNT_MOST + 1];
	char currency[4];
};
int field_revenue(struct field_revenue *out, struct field field, struct err *err) MUST_CHECK;

/* What an event is by its name: "pageview", "engagement", "footfall:exit", "footfall:ping",
 * "footfall:error", "footfall:vital", or a custom event of that name. -EINVAL: empty, more than 120
 * characters, or another that begins with "footfall:". */
int field_name(struct event *ev, struct span name, struct err *err) MUST_CHECK;

#endif
