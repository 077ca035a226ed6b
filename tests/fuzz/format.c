/* What formats read their fields with (queries, JSON arrays of objects, pages, names, properties):
 * whatever comes, each field keeps its bounds, so the event can be written and read again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/utf8.h"
#include "services/ingress/hit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that was read of a hit is an event. */
static void is_event(struct hit *hit)
{
	struct event read;
	msgpack_sbuffer wire;
	struct err err;

	hit->ev.site_id = 1;
	hit->ev.id = hit->ev.visitor = 2;
	if (!hit->ev.kind)
		hit->ev.kind = EVENT_PAGEVIEW;
	msgpack_sbuffer_init(&wire);
	assert(!event_encode(&wire, &hit->ev, &err));
	assert(!event_decode(&read, (struct span){ wire.data, wire.size }, &err));
	assert(span_equals(read.path, hit->ev.path) && span_equals(read.name, hit->ev.name));
	assert(span_equals(read.props, hit->ev.props));
	msgpack_sbuffer_destroy(&wire);
}

static struct span text_of(const struct object *object, const char *name)
{
	struct span text;
	struct err ignored;

	return field_text(&text, object_field(object, name, NULL), SIZE_MAX, &ignored) ? SPAN("")
										       : text;
}

/* By names of one letter, which the fuzzer finds. */
static void try_object(const struct object *object)
{
	json_t *props = json_object(), *nested = NULL;
	struct field given = object_field(object, "o", NULL);
	struct span agent = text_of(object, "a");
	struct hit hit;
	struct err err;

	hit_init(&hit, "/fuzz");
	for (size_t i = 0; i < object->count; i++)
		assert(utf8_valid(object->member[i].name));
	if (hit_set_page(&hit, text_of(object, "h"), "site.example", text_of(object, "u"),
		    object_field(object, "f", NULL).type != FIELD_NONE, &err) &&
		hit_set_page(&hit, SPAN(""), "site.example", SPAN(""), false, &err))
		abort();
	if (hit_set_custom(&hit, text_of(object, "n"), &err))
		hit.ev.name = SPAN("");
	hit_set_title(&hit, text_of(object, "t"));
	hit_set_referrer(&hit, text_of(object, "r"));
	hit_set_agent(&hit, agent);
	hit_set_language(&hit, text_of(object, "l"));
	hit_set_screen(&hit, object_field(object, "s", NULL));
	hit_add_prop(props, "text", text_of(object, "p"));
	if (given.type == FIELD_OBJECT)
		nested = json_loadb(given.text.ptr, given.text.len, 0, NULL);
	hit_add_flat(props, nested);
	hit_set_earned(&hit, json_object_get(nested, "e"),
		json_string_value(json_object_get(nested, "c")));
	if (hit_take_props(&hit, props, &err))
		hit.ev.props = SPAN("");
	is_event(&hit);
	json_decref(nested);
	hit_done(&hit);
}

static void try_query(struct span query)
{
	static char buf[OBJECT_QUERY_MOST];
	struct object object;
	struct err err;

	if (!object_read_query(&object, buf, query, &err))
		try_object(&object);
}

/* The bytes are written to. */
static void try_array(struct span json)
{
	struct object_array array = { .rest = json };
	struct object object, nested;
	struct span element;
	struct field field;
	struct err err;

	while (object_array_next(&array, &element, &err) > 0) {
		assert(element.len && element.ptr >= json.ptr &&
			element.ptr + element.len <= json.ptr + json.len);
		if (object_read(&object, element, NULL, &err))
			continue;
		field = object_field(&object, "payload", NULL);
		if (field.type == FIELD_OBJECT && !object_read(&nested, field.text, NULL, &err))
			try_object(&nested);
		try_object(&object);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy =
		malloc(size + 1); /* of exactly its bytes, but for the one that is never read */

	assert(copy);
	memcpy(copy, data, size);
	try_query((struct span){ copy, size });
	try_array((struct span){ copy, size });
	free(copy);
	return 0;
}
