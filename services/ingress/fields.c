#include "services/ingress/fields.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PROPS_MOST        30
#define PROP_KEY_MOST     300
#define TOPICS_MOST       30  /* categories, or tags, of a page */
#define TOPIC_MOST        200 /* bytes of each, and of a type or an author */
#define NAME_CHARS_MOST   120
#define NUMBER_CHARS_MOST 63
#define AMOUNT_MOST       1e11 /* numeric(15,3) holds it with room */

int field_text(struct span *out, struct field field, size_t most, struct err *err)
{
	*out = SPAN("");
	if (field.type == FIELD_NONE)
		return 0;
	if (field.type != FIELD_TEXT)
		return err_set(err, -EINVAL, "is not a text");
	*out = field.text;
	if (out->len > most)
		return err_set(err, -EMSGSIZE, "has more than %zu bytes", most);
	return 0;
}

/* A number or the text of one, wholly; what is longer than any that makes sense is none. */
static bool text_number(double *out, struct span text)
{
	char digits[NUMBER_CHARS_MOST + 1], *end;

	if (!text.len || text.len > NUMBER_CHARS_MOST)
		return false;
	memcpy(digits, text.ptr, text.len);
	digits[text.len] = '\0';
	*out = strtod(digits, &end);
	return end == digits + text.len;
}

int64_t field_number(struct field field)
{
	double number;

	if ((field.type != FIELD_TEXT && field.type != FIELD_NUMBER) ||
		!text_number(&number, field.text))
		return EVENT_NONE;
	return number >= 0 && number < 9e15 ? (int64_t)number : EVENT_NONE;
}

/* A plain value as the text that reports group by; NULL for what is ignored. Owned. */
static json_t *prop_text(const json_t *value)
{
	char text[64];

	switch (json_typeof(value)) {
	case JSON_STRING:
		return span_trim(span_of(json_string_value(value))).len
			       ? json_copy((json_t *)(uintptr_t)value)
			       : NULL;
	case JSON_INTEGER:
		snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
		return json_string(text);
	case JSON_REAL:
		snprintf(text, sizeof text, "%.15g", json_real_value(value));
		return json_string(text);
	case JSON_TRUE:
		return json_string("true");
	case JSON_FALSE:
		return json_string("false");
	default:
		return NULL;
	}
}

static int props_add(json_t *props, const char *key, const json_t *value, struct err *err)
{
	json_t *text = span_trim(span_of(key)).len ? prop_text(value) : NULL;

	if (!text || json_object_size(props) == PROPS_MOST) {
		json_decref(text);
		return 0;
	}
	if (strlen(key) > PROP_KEY_MOST || json_string_length(text) > FIELD_PROP_MOST) {
		json_decref(text);
		return err_set(err, -EINVAL,
			"has a key of more than %d or a value of more than %d bytes", PROP_KEY_MOST,
			FIELD_PROP_MOST);
	}
	return json_object_set_new(props, key, text) ? err_set(err, -ENOMEM, "no memory") : 0;
}

static int json_text(char **out, const json_t *object, struct err *err)
{
	char *text =
		json_object_size(object) ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (text && strlen(text) > EVENT_JSON_MOST) {
		free(text);
		return err_set(err, -EMSGSIZE, "has more than %d bytes", EVENT_JSON_MOST);
	}
	*out = text;
	return 0;
}

/* The object that a field is, owned; NULL when it is none. -EINVAL: as object_tree(). */
static int nested(json_t **out, struct field field, struct err *err)
{
	*out = NULL;
	if (field.type != FIELD_OBJECT)
		return 0;
	return object_tree(out, field.text, err);
}

/* nested(), also of an object's JSON text, as some clients send; NULL when it is none's. */
static int nested_or_text(json_t **out, struct field field, struct err *err)
{
	struct err ignored;

	if (field.type != FIELD_TEXT)
		return nested(out, field, err);
	if (object_tree(out, field.text, &ignored))
		*out = NULL;
	return 0;
}

int field_props(char **out, struct field field, struct err *err)
{
	json_t *given, *props, *each;
	const char *key;
	int rc = nested_or_text(&given, field, err);

	*out = NULL;
	if (rc || !json_is_object(given)) {
		json_decref(given);
		return rc;
	}
	props = json_object();
	json_object_foreach(given, key, each)
	{
		rc = props_add(props, key, each, err);
		if (rc)
			break;
	}
	if (!rc)
		rc = json_text(out, props, err);
	json_decref(given);
	json_decref(props);
	return rc;
}

/* The text of a topic, owned, NULL when it is blank. */
static int topic_text(json_t **out, const char *key, const json_t *value, struct err *err)
{
	struct span text = span_trim(span_of(json_string_value(value)));

	*out = NULL;
	if (!json_is_string(value))
		return err_set(err, -EINVAL, "has a value of %s that is not a text", key);
	if (text.len > TOPIC_MOST)
		return err_set(
			err, -EINVAL, "has a value of %s of more than %d bytes", key, TOPIC_MOST);
	if (text.len)
		*out = json_stringn(text.ptr, text.len);
	return 0;
}

static int topic_add(json_t *metadata, const char *key, const json_t *value, struct err *err)
{
	json_t *text;
	int rc = topic_text(&text, key, value, err);

	if (text)
		json_object_set_new(metadata, key, text);
	return rc;
}

static int topics_add(json_t *metadata, const char *key, const json_t *value, struct err *err)
{
	size_t count = json_is_array(value) ? json_array_size(value) : 1;
	json_t *list, *text;
	int rc = 0;

	if (count > TOPICS_MOST)
		return err_set(err, -EINVAL, "has more than %d %s", TOPICS_MOST, key);
	list = json_array();
	for (size_t i = 0; !rc && i < count; i++) {
		rc = topic_text(
			&text, key, json_is_array(value) ? json_array_get(value, i) : value, err);
		if (text)
			json_array_append_new(list, text);
	}
	if (!rc && json_array_size(list))
		json_object_set(metadata, key, list);
	json_decref(list);
	return rc;
}

int field_metadata(char **out, struct field field, struct err *err)
{
	static const struct {
		const char *key;
		int (*add)(json_t *, const char *, const json_t *, struct err *);
	} keys[] = { { "type", topic_add }, { "author", topic_add }, { "categories", topics_add },
		{ "tags", topics_add } };
	json_t *object, *metadata;
	int rc = nested(&object, field, err);

	*out = NULL;
	if (!rc && field.type != FIELD_NONE && !object)
		rc = err_set(err, -EINVAL, "is not an object");
	if (!object)
		return rc;
	metadata = json_object();
	for (size_t i = 0; !rc && i < sizeof keys / sizeof *keys; i++) {
		const json_t *value = json_object_get(object, keys[i].key);

		if (value && !json_is_null(value))
			rc = keys[i].add(metadata, keys[i].key, value, err);
	}
	if (!rc)
		rc = json_text(out, metadata, err);
	json_decref(object);
	json_decref(metadata);
	return rc;
}

/* -EINVAL: it is none of a currency. */
static int amount_read(double *out, const json_t *amount, struct err *err)
{
	*out = json_number_value(amount);
	if (json_is_string(amount) && !text_number(out, span_of(json_string_value(amount))))
		return err_set(err, -EINVAL, "has an amount that is no number");
	if (!json_is_string(amount) && !json_is_number(amount))
		return err_set(err, -EINVAL, "has no amount");
	if (!isfinite(*out) || fabs(*out) > AMOUNT_MOST)
		return err_set(err, -EINVAL, "has an amount beyond all bounds");
	return 0;
}

int field_revenue(struct field_revenue *out, struct field field, struct err *err)
{
	json_t *object;
	const char *currency;
	double number;
	int rc = nested_or_text(&object, field, err);

	memset(out, 0, sizeof *out);
	if (rc || field.type == FIELD_NONE)
		return rc;
	rc = amount_read(&number, json_object_get(object, "amount"), err);
	currency = json_string_value(json_object_get(object, "currency"));
	if (!rc && (!currency || strlen(currency) != 3 || !isalpha((unsigned char)currency[0]) ||
			   !isalpha((unsigned char)currency[1]) ||
			   !isalpha((unsigned char)currency[2])))
		rc = err_set(err, -EINVAL, "has no currency of three letters");
	if (!rc) {
		snprintf(out->amount, sizeof out->amount, "%.3f", number);
		for (int i = 0; i < 3; i++)
			out->currency[i] = (char)toupper((unsigned char)currency[i]);
	}
	json_decref(object);
	return rc;
}

int field_name(struct event *ev, struct span name, struct err *err)
{
	static const struct {
		const char *name;
		enum event_kind kind;
	} kinds[] = { { "pageview", EVENT_PAGEVIEW }, { "engagement", EVENT_ENGAGEMENT },
		{ "footfall:exit", EVENT_EXIT }, { "footfall:ping", EVENT_PING },
		{ "footfall:error", EVENT_ERROR }, { "footfall:vital", EVENT_VITAL } };
	size_t chars = 0;

	name = span_trim(name);
	for (size_t i = 0; i < name.len; i++)
		chars += ((unsigned char)name.ptr[i] & 0xc0) != 0x80;
	if (!chars)
		return err_set(err, -EINVAL, "can't be blank");
	if (chars > NAME_CHARS_MOST)
		return err_set(err, -EINVAL, "has more than %d characters", NAME_CHARS_MOST);
	ev->kind = EVENT_CUSTOM;
	ev->name = name;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (span_equals(name, span_of(kinds[i].name))) {
			ev->kind = kinds[i].kind;
			ev->name = SPAN("");
		}
	if (ev->kind == EVENT_CUSTOM && span_starts_with(name, SPAN("footfall:")))
		return err_set(err, -EINVAL, "is none that begins with footfall:");
	return 0;
}
