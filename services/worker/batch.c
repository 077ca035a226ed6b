#include "services/worker/batch.h"

#include <stdbool.h>
#include <stdlib.h>

#include "proto/event.h"

#define SIZE_FIRST 16
#define SHORT_MOST 64 /* events of a record that may be too short to be any */

/* Where events' bytes are: in a record, unpacked or not, or as they are. */
struct content {
	struct span wire; /* of the record, or the event */
	size_t size;      /* unpacked; 0: it is not packed */
	char *bytes;      /* unpacked, now; owned */
	uint32_t left;    /* events that are not let go of yet */
};

struct batch {
	struct record_reader *reader;
	char *scratch;       /* a record, unpacked */
	struct span *events; /* of one */
	struct item *items;
	struct content *contents;
	size_t count, size, content_count, content_size;
	bool in_order;
};

int batch_open(struct batch **out, struct err *err)
{
	struct batch *b = calloc(1, sizeof *b);
	int rc;

	if (!b)
		return err_set(err, -ENOMEM, "batch");
	b->events = calloc(RECORD_EVENTS, sizeof *b->events);
	b->scratch = malloc(RECORD_CONTENT_MOST);
	rc = b->events && b->scratch ? record_reader_open(&b->reader, err)
				     : err_set(err, -ENOMEM, "batch");
	if (rc)
		batch_close(&b);
	else
		*out = b;
	return rc;
}

void batch_close(struct batch **b_p)
{
	struct batch *b = *b_p;

	if (!b)
		return;
	batch_clear(b);
	record_reader_close(&b->reader);
	free(b->events);
	free(b->scratch);
	free(b->items);
	free(b->contents);
	free(b);
	*b_p = NULL;
}

void batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->content_count; i++)
		free(b->contents[i].bytes);
	b->count = b->content_count = 0;
	b->in_order = false;
}

/* Make room for so many elements in all in a growing array. */
static int grow(void **array, size_t *size, size_t count, size_t element, struct err *err)
{
	size_t most = *size ? *size : SIZE_FIRST;
	void *grown;

	if (count <= *size)
		return 0;
	while (most < count)
		most *= 2;
	grown = realloc(*array, most * element);
	if (!grown)
		return err_set(err, -ENOMEM, "batch: no memory");
	*array = grown;
	*size = most;
	return 0;
}

static uint32_t site_of(struct span wire)
{
	uint32_t site_id = event_site(wire);
	struct event ev;
	struct err why;

	if (site_id || event_decode(&ev, wire, &why))
		return site_id;
	return ev.site_id;
}

/* Add the first n of b->events. */
static int events_add(struct batch *b, const struct content *content, const char *base,
	const struct record_id *record, uint32_t n, struct err *err)
{
	int rc = grow((void **)&b->contents, &b->content_size, b->content_count + 1,
		sizeof *b->contents, err);

	if (!rc)
		rc = grow((void **)&b->items, &b->size, b->count + n, sizeof *b->items, err);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < n; i++, b->count++)
		b->items[b->count] = (struct item){ .site_id = site_of(b->events[i]),
			.order = (uint32_t)b->count,
			.place = i,
			.content = (uint32_t)b->content_count,
			.at = (uint32_t)(b->events[i].ptr - base),
			.len = (uint32_t)b->events[i].len,
			.record = record };
	b->contents[b->content_count] = *content;
	b->contents[b->content_count++].left = n;
	b->in_order = false;
	return 0;
}

/* What is no event takes as much memory here as one, and has few bytes or none: many of them in a
 * record that is small when packed would be too many. */
static bool are_too_short(const struct span *events, uint32_t n)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < n; i++)
		bytes += events[i].len;
	return n > SHORT_MOST && bytes / n < RECORD_EVENT_LEAST;
}

int batch_add(struct batch *b, const struct record_id *id, struct span wire, struct err *err)
{
	struct content content = { .wire = wire };
	struct record_id same;
	uint32_t n;
	int rc = record_size(&content.size, wire, err);

	if (!rc)
		rc = record_decode(b->reader, &same, b->scratch, b->events, &n, wire, err);
	if (!rc && are_too_short(b->events, n))
		rc = err_set(err, -EBADMSG, "record: its events are too short");
	if (rc)
		return rc;
	return events_add(b, &content, content.size ? b->scratch : wire.ptr, id, n, err);
}

int batch_add_event(struct batch *b, const struct record_id *id, struct span wire, struct err *err)
{
	b->events[0] = wire;
	return events_add(b, &(struct content){ .wire = wire }, wire.ptr, id, 1, err);
}

static int item_order(const void *x, const void *y)
{
	const struct item *a = x, *b = y;

	if (a->site_id != b->site_id)
		return a->site_id < b->site_id ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

struct item *batch_items(struct batch *b, size_t *count)
{
	*count = b->count;
	if (b->count && !b->in_order)
		qsort(b->items, b->count, sizeof *b->items, item_order);
	b->in_order = true;
	return b->items;
}

/* Unpack what has been unpacked before, when it was added: only memory can be wanting. */
static int content_unpack(struct batch *b, struct content *content, struct err *err)
{
	struct record_id id;
	uint32_t n;

	content->bytes = malloc(content->size);
	if (content->bytes &&
		!record_decode(b->reader, &id, content->bytes, b->events, &n, content->wire, err))
		return 0;
	free(content->bytes);
	content->bytes = NULL;
	return err_set(err, -ENOMEM, "batch: no memory");
}

int batch_wire(struct batch *b, const struct item *item, struct span *wire, struct err *err)
{
	struct content *content = &b->contents[item->content];
	int rc = content->size && !content->bytes ? content_unpack(b, content, err) : 0;

	if (rc)
		return rc;
	*wire = (struct span){ (content->size ? content->bytes : content->wire.ptr) + item->at,
		item->len };
	return 0;
}

void batch_let_go(struct batch *b, const struct item *item)
{
	struct content *content = &b->contents[item->content];

	if (--content->left)
		return;
	free(content->bytes);
	content->bytes = NULL;
}
