#include "services/worker/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/secret.h"

#define KEEP_BYTES (256 << 10) /* of a column's buffer, between two uses */
#define SEEN_FIRST 1024

/* A PostgreSQL array as text, "{1,2,…": the closing brace comes when it is used. */
struct column {
	char *text;
	size_t len, size;
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
	COLUMNS
};

_Static_assert(COLUMNS + 2 == ROWS_PARAMS, "the site, its zone, then the columns");

struct rows {
	char site[16], zone[64];
	uint32_t count;
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
		free((*rows)->column[i].text);
	free((*rows)->seen);
	free(*rows);
	*rows = NULL;
}

void rows_begin(struct rows *rows, uint32_t site_id)
{
	snprintf(rows->site, sizeof rows->site, "%u", site_id);
	rows->count = 0;
	rows->no_memory = false;
	for (int i = 0; i < COLUMNS; i++) {
		struct column *c = &rows->column[i];

		if (c->size > KEEP_BYTES) {
			free(c->text);
			c->text = NULL;
			c->size = 0;
		}
		c->len = 0;
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

/* Room for n more bytes in a column; NULL when memory is out. */
static char *column_room(struct rows *rows, enum column_name name, size_t n)
{
	struct column *c = &rows->column[name];

	if (c->len + n > c->size) {
		size_t size = (c->len + n) * 2 < 4096 ? 4096 : (c->len + n) * 2;
		char *grown = realloc(c->text, size);

		if (!grown) {
			rows->no_memory = true;
			return NULL;
		}
		c->text = grown;
		c->size = size;
	}
	return c->text + c->len;
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

static void put_int(struct rows *rows, enum column_name name, int64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof text, "%lld", (long long)value);

	put_raw(rows, name, (struct span){ text, (size_t)len });
}

static void put_int_or_null(struct rows *rows, enum column_name name, int64_t value, bool known)
{
	if (known)
		put_int(rows, name, value);
	else
		put_raw(rows, name, SPAN("NULL"));
}

/* A text as an array's element: quoted, with \ before \ and ". */
static void put_text(struct rows *rows, enum column_name name, struct span text)
{
	char *at = column_room(rows, name, 2 * text.len + 3), *p = at;

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
		put_raw(rows, name, SPAN("NULL"));
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

/* A text interned: its id in the column, and once a batch the text itself. Empty is 0. */
static void put_string(struct rows *rows, enum column_name name, struct span text)
{
	int64_t id = text.len ? id64(text.ptr, text.len, NULL, 0) : 0;

	put_int(rows, name, id);
	if (id && seen_add(rows, id)) {
		put_int(rows, STRING_ID, id);
		put_text(rows, STRING_VALUE, text);
	}
}

int rows_add(
	struct rows *rows, const struct event *ev, const struct enriched *more, struct err *err)
{
	snprintf(rows->zone, sizeof rows->zone, "%s", more->site->zone);
	put_int(rows, TS_US, ev->ts_us);
	put_int(rows, VISITOR, ev->visitor);
	put_int(rows, ID, ev->id);
	put_int(rows, KIND, ev->kind);
	put_raw(rows, INTERACTIVE, ev->interactive ? SPAN("t") : SPAN("f"));
	put_string(rows, NAME, ev->name);
	put_string(rows, HOST, ev->host);
	put_string(rows, PAGE, ev->path);
	put_string(rows, TITLE, ev->title);
	put_string(rows, REFERRER, more->source.referrer);
	put_string(rows, SOURCE, more->source.name);
	put_string(rows, COUNTRY, span_of(more->geo.country));
	put_string(rows, BROWSER, span_of(more->ua.browser));
	put_string(rows, BROWSER_VERSION, span_of(more->ua.browser_version));
	put_string(rows, OS, span_of(more->ua.os));
	put_string(rows, OS_VERSION, span_of(more->ua.os_version));
	put_string(rows, DEVICE, span_of(more->ua.device));
	put_string(rows, LANGUAGE, ev->language);
	put_int_or_null(rows, SCREEN_WIDTH, ev->screen_width, ev->screen_width != 0);
	put_int_or_null(rows, ENGAGED_MS, ev->engaged_ms < INT32_MAX ? ev->engaged_ms : INT32_MAX,
		ev->engaged_ms >= 0);
	put_int_or_null(rows, SCROLL_DEPTH, ev->scroll_depth, ev->scroll_depth >= 0);
	put_text_or_null(rows, REVENUE, ev->revenue);
	put_text_or_null(rows, CURRENCY, ev->currency);
	put_text_or_null(rows, PROPS, ev->props);
	put_text_or_null(rows, METADATA, ev->metadata);
	rows->count++;
	return rows->no_memory ? err_set(err, -ENOMEM, "rows: no memory for a batch") : 0;
}

uint32_t rows_count(const struct rows *rows)
{
	return rows->count;
}

int rows_params(struct rows *rows, const char *params[ROWS_PARAMS], struct err *err)
{
	params[0] = rows->site;
	params[1] = rows->zone;
	for (int i = 0; i < COLUMNS; i++) {
		char *at = column_room(rows, (enum column_name)i, 3);

		if (!at)
			return err_set(err, -ENOMEM, "rows: no memory for a batch");
		/* Without an element ("{" was never put) the array is empty. */
		memcpy(at, rows->column[i].len ? "}" : "{}", rows->column[i].len ? 2 : 3);
		params[i + 2] = rows->column[i].text;
	}
	return 0;
}
