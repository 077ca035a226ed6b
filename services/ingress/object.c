#include "services/ingress/object.h"

#include <stdint.h>
#include <yajl/yajl_parse.h>

#include "lib/json.h"
#include "lib/url.h"
#include "lib/utf8.h"

struct reading {
	struct object *object; /* NULL: it is only looked at */
	struct span json;
	yajl_handle parser;
	unsigned depth;
	size_t nested_at; /* where the member's object or array begins */
	struct span name; /* of the member whose value comes next */
	const char *problem;
};

/* Bytes up to and with the token that is being told. */
static size_t consumed(const struct reading *r)
{
	return yajl_get_bytes_consumed(r->parser);
}

static int member(struct reading *r, enum field_type type, struct span text)
{
	struct object *o = r->object;

	if (r->depth == 0)
		r->problem = "is not an object";
	if (r->depth != 1 || !r->object)
		return 1;
	if (o->count == OBJECT_MEMBERS_MOST) {
		r->problem = "has too many members";
		return 1;
	}
	o->member[o->count].name = r->name;
	o->member[o->count++].value = (struct field){ type, text };
	return 1;
}

/* A string as yajl tells it lies in the JSON itself, or, had it escapes, in a buffer of yajl's;
 * then it is put where it came from, being shorter than that: before the quote that ended it. */
static struct span string_keep(struct reading *r, const unsigned char *text, size_t len)
{
	const char *at = (const char *)text;

	if (at < r->json.ptr || at >= r->json.ptr + r->json.len) {
		char *kept = (char *)(uintptr_t)(r->json.ptr + consumed(r) - 1 - len);

		memcpy(kept, at, len);
		at = kept;
	}
	if (!utf8_valid((struct span){ at, len }))
		r->problem = "holds bytes that are not UTF-8, or NUL";
	return (struct span){ at, len };
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct reading *r = ctx;

	return member(
		r, FIELD_TEXT, r->object && r->depth == 1 ? string_keep(r, text, len) : SPAN(""));
}

static int on_name(void *ctx, const unsigned char *text, size_t len)
{
	struct reading *r = ctx;

	if (r->object && r->depth == 1)
		r->name = string_keep(r, text, len);
	return 1;
}

static int on_null(void *ctx)
{
	return member(ctx, FIELD_NONE, SPAN(""));
}

static int on_boolean(void *ctx, int value)
{
	return member(ctx, value ? FIELD_TRUE : FIELD_FALSE, SPAN(""));
}

static int on_number(void *ctx, const char *digits, size_t len)
{
	return member(ctx, FIELD_NUMBER, (struct span){ digits, len });
}

static int nested_begin(struct reading *r, bool array)
{
	if (r->depth == 0 && array)
		r->problem = "is not an object";
	if (r->depth++ == 1)
		r->nested_at = consumed(r) - 1;
	return 1;
}

static int nested_end(struct reading *r, enum field_type type)
{
	if (--r->depth != 1)
		return 1;
	return member(
		r, type, (struct span){ r->json.ptr + r->nested_at, consumed(r) - r->nested_at });
}

static int on_object_begin(void *ctx)
{
	return nested_begin(ctx, false);
}

static int on_object_end(void *ctx)
{
	return nested_end(ctx, FIELD_OBJECT);
}

static int on_array_begin(void *ctx)
{
	return nested_begin(ctx, true);
}

static int on_array_end(void *ctx)
{
	return nested_end(ctx, FIELD_ARRAY);
}

static int read_value(struct reading *r, size_t *used, struct err *err)
{
	static const yajl_callbacks callbacks = { .yajl_null = on_null,
		.yajl_boolean = on_boolean,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_object_begin,
		.yajl_map_key = on_name,
		.yajl_end_map = on_object_end,
		.yajl_start_array = on_array_begin,
		.yajl_end_array = on_array_end };
	bool good;

	r->parser = yajl_alloc(&callbacks, NULL, r);
	if (!r->parser)
		return err_set(err, -ENOMEM, "no memory");
	yajl_config(r->parser, yajl_dont_validate_strings, 1); /* string_keep() does */
	yajl_config(r->parser, yajl_allow_trailing_garbage, used != NULL);
	good = yajl_parse(r->parser, (const unsigned char *)r->json.ptr, r->json.len) ==
	       yajl_status_ok;
	if (used)
		*used = consumed(r);
	good = good && yajl_complete_parse(r->parser) == yajl_status_ok;
	yajl_free(r->parser);
	if (!good)
		return err_set(err, -EBADMSG, "is not JSON");
	return 0;
}

int object_read(struct object *out, struct span json, size_t *used, struct err *err)
{
	struct reading r = { .object = out, .json = json };
	int rc;

	out->count = 0;
	rc = read_value(&r, used, err);
	return !rc && r.problem ? err_set(err, -EINVAL, "%s", r.problem) : rc;
}

int object_skip(struct span json, size_t *used, struct err *err)
{
	struct reading r = { .json = json };

	return read_value(&r, used, err);
}

int object_tree(json_t **out, struct span json, struct err *err)
{
	*out = NULL;
	if (!json_fits(json, OBJECT_TREE_VALUES))
		return err_set(err, -EINVAL, "has more than %d levels or %d values",
			JSON_LEVELS_MOST, OBJECT_TREE_VALUES);
	*out = json_loadb(json.ptr, json.len, 0, NULL);
	return *out ? 0 : err_set(err, -EINVAL, "is not valid JSON");
}

static struct span skip_blanks(struct span text)
{
	while (text.len && text.ptr[0] && strchr(" \t\r\n", text.ptr[0]))
		text = span_from(text, 1);
	return text;
}

int object_array_next(struct object_array *array, struct span *element, struct err *err)
{
	struct span rest = skip_blanks(array->rest);
	bool ends = array->begun && span_starts_with(rest, SPAN("]"));
	size_t used;

	if (!ends && !span_starts_with(rest, array->begun ? SPAN(",") : SPAN("[")))
		return err_set(err, -EBADMSG, "is not a JSON array");
	rest = skip_blanks(span_from(rest, 1));
	if (!array->begun && span_starts_with(rest, SPAN("]"))) {
		ends = true;
		rest = skip_blanks(span_from(rest, 1));
	}
	if (ends)
		return rest.len ? err_set(err, -EBADMSG, "is not a JSON array alone") : 0;
	if (object_skip(rest, &used, err))
		return err->code;
	array->begun = true;
	array->rest = span_from(rest, used);
	*element = span_first(rest, used);
	return 1;
}

/* Decode part to the end of the *len bytes of buf, where there is room: it never becomes longer. */
static struct span part_decode(char *buf, size_t *len, struct span part)
{
	char *at = buf + *len;
	struct span text = url_decode(at, part, true);
	size_t i = 0, n;

	for (; i < text.len; i += n) {
		n = utf8_char_len(span_from(text, i));
		if ((unsigned char)at[i] < ' ' || at[i] == 0x7f)
			at[i] = ' ';
		else if (!n)
			at[i] = '?';
		n = n ? n : 1;
	}
	*len += text.len;
	return text;
}

int object_read_query(
	struct object *out, char buf[OBJECT_QUERY_MOST], struct span query, struct err *err)
{
	size_t len = 0;

	out->count = 0;
	if (query.len >= OBJECT_QUERY_MOST)
		return err_set(err, -EMSGSIZE, "has more than %d bytes", OBJECT_QUERY_MOST);
	for (; query.len; query = span_from(query, span_find(query, '&') + 1)) {
		struct span part = span_first(query, span_find(query, '&'));
		struct span name = span_first(part, span_find(part, '='));

		if (!part.len)
			continue;
		if (out->count == OBJECT_MEMBERS_MOST)
			return err_set(err, -EINVAL, "has too many members");
		out->member[out->count].name = part_decode(buf, &len, name);
		out->member[out->count++].value = (struct field){ FIELD_TEXT,
			part_decode(buf, &len, span_from(part, name.len + 1)) };
	}
	return 0;
}

struct field object_field(const struct object *object, const char *name, const char *other_name)
{
	size_t len = strlen(name);

	for (size_t i = object->count; i--;)
		if (object->member[i].name.len == len &&
			!memcmp(object->member[i].name.ptr, name, len) &&
			object->member[i].value.type != FIELD_NONE)
			return object->member[i].value;
	return other_name ? object_field(object, other_name, NULL)
			  : (struct field){ FIELD_NONE, SPAN("") };
}
