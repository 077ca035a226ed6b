#include "services/worker/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/secret.h"

#define KEEP_BYTES (32 << 10) /* of a column's buffer, between two uses */
#define SEEN_FIRST 1024

/* The types of PostgreSQL's catalog that columns have (pg_type.dat). Numbers go in the binary form
 * of an array (array_recv() in its arrayfuncs.c), big-endian: how many dimensions, whether there
 * are nulls, the type; of the dimension its length and first subscript; then each element behind
 * its length, which is -1 for null. It is half as long as text, and neither side prints or parses.
 * TEXT: an array as text, "{1,2,…", of any type. */
enum type { TEXT = 0, BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23 };
#define ARRAY_HEAD  20
#define EMPTY_ARRAY 12 /* of no dimension */
#define PARAM_END   3  /* "{}" and its 0 */

/* An array: its head or closing brace is put when it is used. Where nothing but nulls has come it
 * stays empty, and reads as null at every subscript: most events have few of the columns. */
struct column {
	char *bytes;
	size_t len, size;
	uint32_t count, nulls; /* elements, of which the first `nulls` are not put yet */
};

/* In the order of events_apply()'s parameters behind the site and its zone. */
enum column_name {
	STRING_ID,
	STRING_VALUE,
	TS_US,
	VISITOR,
	ID,
	KIND,
	INTERACTIVE,
	NAME,
	HOST,
	PAGE,
	TITLE,
	REFERRER,
	SOURCE,
	COUNTRY,
	BROWSER,
	BROWSER_VERSION,
	OS,
	OS_VERSION,
	DEVICE,
	LANGUAGE,
	SCREEN_WIDTH,
	ENGAGED_MS,
	SCROLL_DEPTH,
	REVENUE,
	CURRENCY,
	PROPS,
	METADATA,
	REGION,
	CITY,
	LOCALE,
	CHANNEL,
	UTM_SOURCE,
	UTM_MEDIUM,
	UTM_CAMPAIGN,
	UTM_TERM,
	UTM_CONTENT,
	CLICK_ID,
	BRAND,
	MODEL,
	BOT,
	COLUMNS
};

static enum type type_of(enum column_name name)
{
	switch (name) {
	case STRING_VALUE:
	case REVENUE:
	case CURRENCY:
	case PROPS:
	case METADATA:
		return TEXT;
	case INTERACTIVE:
		return BOOL;
	case KIND:
	case SCROLL_DEPTH:
	case BOT:
		return INT2;
	case SCREEN_WIDTH:
	case ENGAGED_MS:
		return INT4;
	default:
		return INT8;
	}
}

_Static_assert(COLUMNS + 2 == ROWS_PARAMS, "the site, its zone, then the columns");

struct rows {
	char site[16], zone[64];
	uint32_t count, most;
	bool no_memory;
	struct column column[COLUMNS];
	int64_t *seen; /* ids of strings that are in STRING_ID already; 0 is a free place */
	size_t seen_size, seen_count;
};

int rows_open(struct rows **out, struct err *err)
{
	struct rows *rows = calloc(1, sizeof *rows);

	*out = rows;
	return rows ? 0 : err_set(err, -ENOMEM, "rows");
}

void rows_close(struct rows **rows)
{
	if (!*rows)
		return;
	for (int i = 0; i < COLUMNS; i++)
		free((*rows)->column[i].bytes);
	free((*rows)->seen);
	free(*rows);
	*rows = NULL;
}

void rows_clear(struct rows *rows)
{
	rows->count = 0;
	rows->no_memory = false;
	for (int i = 0; i < COLUMNS; i++) {
		struct column *c = &rows->column[i];

		if (c->size > KEEP_BYTES) {
			free(c->bytes);
			c->bytes = NULL;
			c->size = 0;
		}
		c->len = 0;
		c->count = c->nulls = 0;
	}
	if (rows->seen_size > SEEN_FIRST) {
		free(rows->seen);
		rows->seen = NULL;
		rows->seen_size = 0;
	}
	rows->seen_count = 0;
	if (rows->seen)
		memset(rows->seen, 0, rows->seen_size * sizeof *rows->seen);
}

void rows_begin(struct rows *rows, uint32_t site_id, uint32_t most)
{
	rows_clear(rows);
	snprintf(rows->site, sizeof rows->site, "%u", site_id);
	rows->most = most;
}

/* Bytes of a number in its column. */
static size_t number_bytes(enum type type)
{
	return type == INT8 ? 8 : type == INT4 ? 4 : type == INT2 ? 2 : 1;
}

/* How large a column's buffer is made that is to hold `len`: numbers all fit in then. */
static size_t column_size(const struct rows *rows, enum column_name name, size_t len)
{
	size_t all = ARRAY_HEAD + rows->most * (4 + number_bytes(type_of(name))) + PARAM_END;

	if (type_of(name) != TEXT && name != STRING_ID && len <= all)
		return all;
	return len * 2 < 4096 ? 4096 : len * 2;
}

/* Room for an element of n bytes at a column's end; NULL when memory is out. */
static char *column_room(struct rows *rows, enum column_name name, size_t n)
{
	struct column *c = &rows->column[name];
	size_t head = c->len || type_of(name) == TEXT ? 0 : ARRAY_HEAD;

	if (c->len + head + n > c->size) {
		size_t size = column_size(rows, name, c->len + head + n);
		char *grown = realloc(c->bytes, size);

		if (!grown) {
			rows->no_memory = true;
			return NULL;
		}
		c->bytes = grown;
		c->size = size;
	}
	c->len += head;
	return c->bytes + c->len;
}

static void put_be(char *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (char)(value >> 8 * (bytes - 1 - i));
}

static void put_raw(struct rows *rows, enum column_name name, struct span text)
{
	char *at = column_room(rows, name, text.len + 1);

	if (!at)
		return;
	at[0] = rows->column[name].len ? ',' : '{';
	memcpy(at + 1, text.ptr, text.len);
	rows->column[name].len += text.len + 1;
}

static void put_null_now(struct rows *rows, enum column_name name)
{
	char *at;

	if (type_of(name) == TEXT) {
		put_raw(rows, name, SPAN("NULL"));
		return;
	}
	at = column_room(rows, name, 4);
	if (!at)
		return;
	put_be(at, UINT32_MAX, 4);
	rows->column[name].len += 4;
}

static void put_null(struct rows *rows, enum column_name name)
{
	struct column *c = &rows->column[name];

	if (c->nulls == c->count)
		c->nulls++;
	else
		put_null_now(rows, name);
	c->count++;
}

/* One more element is to come, and is no null. */
static void put_begin(struct rows *rows, enum column_name name)
{
	struct column *c = &rows->column[name];

	if (c->nulls == c->count)
		for (; c->nulls; c->nulls--)
			put_null_now(rows, name);
	c->count++;
}

/* A number as its column's type has it; false as 0. */
static void put_int(struct rows *rows, enum column_name name, int64_t value)
{
	enum type type = type_of(name);
	size_t bytes = number_bytes(type);
	char *at;

	put_begin(rows, name);
	at = column_room(rows, name, 4 + bytes);
	if (!at)
		return;
	put_be(at, bytes, 4);
	put_be(at + 4, (uint64_t)value, bytes);
	rows->column[name].len += 4 + bytes;
}

static void put_int_or_null(struct rows *rows, enum column_name name, int64_t value, bool known)
{
	if (known)
		put_int(rows, name, value);
	else
		put_null(rows, name);
}

/* A text as an array's element: quoted, with \ before \ and ". */
static void put_text(struct rows *rows, enum column_name name, struct span text)
{
	char *at, *p;

	put_begin(rows, name);
	p = at = column_room(rows, name, 2 * text.len + 3);
	if (!at)
		return;
	*p++ = rows->column[name].len ? ',' : '{';
	*p++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			*p++ = '\\';
		*p++ = text.ptr[i];
	}
	*p++ = '"';
	rows->column[name].len += (size_t)(p - at);
}

static void put_text_or_null(struct rows *rows, enum column_name name, struct span text)
{
	if (text.len)
		put_text(rows, name, text);
	else
		put_null(rows, name);
}

static int64_t *seen_place(int64_t *seen, size_t size, int64_t id)
{
	size_t at = (uint64_t)id * 0x9e3779b97f4a7c15ULL % size;

	while (seen[at] && seen[at] != id)
		at = (at + 1) % size;
	return &seen[at];
}

/* Remember an id; true when it is new. */
static bool seen_add(struct rows *rows, int64_t id)
{
	int64_t *place;

	if (rows->seen_count * 2 >= rows->seen_size) {
		size_t size = rows->seen_size ? rows->seen_size * 2 : SEEN_FIRST;
		int64_t *grown = calloc(size, sizeof *grown);

		if (!grown) {
			rows->no_memory = true;
			return false;
		}
		for (size_t i = 0; i < rows->seen_size; i++)
			if (rows->seen[i])
				*seen_place(grown, size, rows->seen[i]) = rows->seen[i];
		free(rows->seen);
		rows->seen = grown;
		rows->seen_size = size;
	}
	place = seen_place(rows->seen, rows->seen_size, id);
	if (*place)
		return false;
	*place = id;
	rows->seen_count++;
	return true;
}

/* A text's id, and once a batch the text itself. */
static int64_t string_id(struct rows *rows, struct span text)
{
	int64_t id = id64(text.ptr, text.len, NULL, 0);

	if (seen_add(rows, id)) {
		put_int(rows, STRING_ID, id);
		put_text(rows, STRING_VALUE, text);
	}
	return id;
}

/* A text interned; empty is 0. */
static void put_string(struct rows *rows, enum column_name name, struct span text)
{
	put_int(rows, name, text.len ? string_id(rows, text) : 0);
}

/* The same where most have none: empty is null. */
static void put_string_or_null(struct rows *rows, enum column_name name, struct span text)
{
	if (text.len)
		put_int(rows, name, string_id(rows, text));
	else
		put_null(rows, name);
}

/* A place that has an id and a name, "CH-ZH Zurich": the id, which has no space, a space, the name.
 * Either may be empty; without both it is null. */
static void put_place(
	struct rows *rows, enum column_name name, const char *id, const char *place_name)
{
	char text[GEO_REGION_SIZE + GEO_NAME_SIZE + 16];

	snprintf(text, sizeof text, "%s %s", id, place_name);
	put_string_or_null(rows, name, *id || *place_name ? span_of(text) : SPAN(""));
}

enum event_bot rows_bot(const struct event *ev, const struct enriched *more)
{
	if (ev->bot)
		return ev->bot;
	if (more->ua.is_bot)
		return EVENT_BOT_AGENT;
	return more->place.is_data_centre ? EVENT_BOT_DATA_CENTRE : EVENT_BOT_NONE;
}

int rows_add(
	struct rows *rows, const struct event *ev, const struct enriched *more, struct err *err)
{
	const struct geo *geo = &more->place.geo;
	char city_id[16] = "";

	if (geo->city_id)
		snprintf(city_id, sizeof city_id, "%u", geo->city_id);
	snprintf(rows->zone, sizeof rows->zone, "%s", more->site->zone);
	put_int(rows, TS_US, ev->ts_us);
	put_int(rows, VISITOR, ev->visitor);
	put_int(rows, ID, ev->id);
	put_int(rows, KIND, ev->kind);
	put_int(rows, INTERACTIVE, ev->interactive);
	put_string(rows, NAME, ev->name);
	put_string(rows, HOST, ev->host);
	put_string(rows, PAGE, ev->path);
	put_string(rows, TITLE, ev->title);
	put_string(rows, REFERRER, more->source.referrer);
	put_string(rows, SOURCE, more->source.name);
	put_string(rows, COUNTRY, span_of(geo->country));
	put_string(rows, BROWSER, span_of(more->ua.browser));
	put_string(rows, BROWSER_VERSION, span_of(more->ua.browser_version));
	put_string(rows, OS, span_of(more->ua.os));
	put_string(rows, OS_VERSION, span_of(more->ua.os_version));
	put_string(rows, DEVICE, span_of(more->ua.device));
	put_string(rows, LANGUAGE, span_of(more->locale.language));
	put_int_or_null(rows, SCREEN_WIDTH, ev->screen_width, ev->screen_width != 0);
	put_int_or_null(rows, ENGAGED_MS, ev->engaged_ms < INT32_MAX ? ev->engaged_ms : INT32_MAX,
		ev->engaged_ms >= 0);
	put_int_or_null(rows, SCROLL_DEPTH, ev->scroll_depth, ev->scroll_depth >= 0);
	put_text_or_null(rows, REVENUE, ev->revenue);
	put_text_or_null(rows, CURRENCY, ev->currency);
	put_text_or_null(rows, PROPS, ev->props);
	put_text_or_null(rows, METADATA, ev->metadata);
	put_place(rows, REGION, geo->region, geo->region_name);
	put_place(rows, CITY, city_id, geo->city);
	put_string_or_null(rows, LOCALE, span_of(more->locale.locale));
	put_string_or_null(rows, CHANNEL, channel_name(more->source.channel));
	put_string_or_null(rows, UTM_SOURCE, ev->utm_source);
	put_string_or_null(rows, UTM_MEDIUM, ev->utm_medium);
	put_string_or_null(rows, UTM_CAMPAIGN, ev->utm_campaign);
	put_string_or_null(rows, UTM_TERM, ev->utm_term);
	put_string_or_null(rows, UTM_CONTENT, ev->utm_content);
	put_string_or_null(rows, CLICK_ID, ev->click_id);
	put_string_or_null(rows, BRAND, span_of(more->ua.brand));
	put_string_or_null(rows, MODEL, span_of(more->ua.model));
	put_int(rows, BOT, rows_bot(ev, more));
	rows->count++;
	return rows->no_memory ? err_set(err, -ENOMEM, "rows: no memory for a batch") : 0;
}

uint32_t rows_count(const struct rows *rows)
{
	return rows->count;
}

/* The head of a binary array; without an element it has no dimension. Nulls are said to be
 * possible: what is said of them is not looked at. */
static void array_head(char head[ARRAY_HEAD], enum type type, uint32_t count)
{
	const uint32_t words[] = { count ? 1 : 0, 1, type, count, 1 };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		put_be(head + 4 * i, words[i], 4);
}

int rows_params(struct rows *rows, struct pg_param params[ROWS_PARAMS], struct err *err)
{
	params[0] = (struct pg_param){ .value = rows->site };
	params[1] = (struct pg_param){ .value = rows->zone };
	for (int i = 0; i < COLUMNS; i++) {
		struct column *c = &rows->column[i];
		enum type type = type_of((enum column_name)i);
		char *at = column_room(rows, (enum column_name)i, PARAM_END);

		if (!at)
			return err_set(err, -ENOMEM, "rows: no memory for a batch");
		params[i + 2] = (struct pg_param){ .value = c->bytes, .is_binary = type != TEXT };
		if (type == TEXT) { /* without an element ("{" was never put) it is empty */
			memcpy(at, c->len ? "}" : "{}", c->len ? 2 : 3);
		} else {
			bool is_empty = c->len == ARRAY_HEAD;

			array_head(c->bytes, type, is_empty ? 0 : c->count);
			params[i + 2].len = is_empty ? EMPTY_ARRAY : c->len;
		}
	}
	return 0;
}
