/* A JSON object as it came from outside, read by yajl: its members lie where they were sent, and no
 * tree is built. What is nested stays text, for jansson: few events hold any. (A tree of every
 * event cost the ingress a fifth of its time.) */
#ifndef FOOTFALL_OBJECT_H
#define FOOTFALL_OBJECT_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/err.h"
#include "lib/span.h"

#define OBJECT_MEMBERS_MOST 64 /* an event has at most 20 that mean anything */

enum field_type {
	FIELD_NONE, /* not there, or null */
	FIELD_TEXT,
	FIELD_NUMBER,
	FIELD_TRUE,
	FIELD_FALSE,
	FIELD_OBJECT,
	FIELD_ARRAY,
};

/* A member's value. text: what a string says (valid UTF-8, no NUL); else the JSON as sent. */
struct field {
	enum field_type type;
	struct span text;
};

struct object {
	struct {
		struct span name;
		struct field value;
	} member[OBJECT_MEMBERS_MOST];
	size_t count;
};

/* Read the JSON value at the start of json and lend its members from there. json is borrowed, but
 * must lie in memory that may be written to: texts with escapes are decoded in place, so it is read
 * only once. *used: the bytes it took; NULL: nothing but blanks may follow it. -EINVAL: it is JSON,
 * but no object or not one to take, with a text that is no UTF-8 or holds NUL, or too many members.
 * -EBADMSG: it is not JSON, or cut short. */
int object_read(struct object *out, struct span json, size_t *used, struct err *err) MUST_CHECK;

/* Look at the JSON value at the start of json, of any type, and leave it as it is. -EBADMSG. */
int object_skip(struct span json, size_t *used, struct err *err) MUST_CHECK;

/* A tree of what is nested, yours, for jansson's functions. -EINVAL: it has more than so many
 * values or JSON_LEVELS_MOST levels (lib/json.h), or is not JSON. */
#define OBJECT_TREE_VALUES 1000
int object_tree(json_t **out, struct span json, struct err *err) MUST_CHECK;

/* A JSON array as it came from outside, of which nothing has been stepped over: { .rest = json }.
 */
struct object_array {
	struct span rest;
	bool begun;
};

/* Step over the next element. 1: *element is what was sent of it, as it was, and may be given to
 * object_read() then; 0: there was none any more, and nothing but blanks follow. -EBADMSG: it is
 * not JSON, or no array; what came before was. */
int object_array_next(struct object_array *array, struct span *element, struct err *err) MUST_CHECK;

/* Read a query string, "a=1&b=2" (also a form's body), of less than OBJECT_QUERY_MOST bytes, as an
 * object of texts: decoded, what is no UTF-8 replaced, control bytes made blanks; a name without
 * "=" has an empty text. They are lent by buf. -EMSGSIZE: too long; -EINVAL: too many members. */
#define OBJECT_QUERY_MOST (16 << 10)
int object_read_query(struct object *out, char buf[OBJECT_QUERY_MOST], struct span query,
	struct err *err) MUST_CHECK;

/* The first of two names (the second may be NULL) that is there; of a repeated one, the last. */
struct field object_field(const struct object *object, const char *name, const char *other_name);

#endif
