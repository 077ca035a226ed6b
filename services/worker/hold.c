#include "services/worker/hold.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define PUT_OFF_FIRST_US (100 * 1000LL)
#define PUT_OFF_MOST_US  US_PER_SECOND /* more is felt when a database is back */
#define WHOLE_TRIES      2 /* of all a lane has; then of ever less: all of it may take too long */

struct slot {
	struct held held;
	zmq_msg_t msg;
	bool is_begun;
	struct slot *next; /* of the lane, or free */
};

struct lane {
	struct slot *first;
	uint32_t count, begun; /* begun: of them */
	size_t waiting_bytes;  /* of the others, unpacked */
	unsigned tries;
	int64_t due_mono_us;
};

struct hold {
	struct slot slots[HOLD_RECORDS_MOST], *free;
	struct lane lane[RECORD_LANES];
	size_t bytes;
};

struct hold *hold_new(void)
{
	struct hold *h = calloc(1, sizeof *h);

	for (size_t i = 0; h && i < HOLD_RECORDS_MOST; i++) {
		h->slots[i].next = h->free;
		h->free = &h->slots[i];
	}
	return h;
}

void hold_free(struct hold **h_p)
{
	if (!*h_p)
		return;
	for (uint8_t lane = 0; lane < RECORD_LANES; lane++)
		hold_drop(*h_p, lane, NULL, (*h_p)->lane[lane].count);
	free(*h_p);
	*h_p = NULL;
}

bool hold_is_full(const struct hold *h)
{
	return !h->free || h->bytes >= HOLD_BYTES_MOST;
}

bool hold_has(const struct hold *h, size_t bytes)
{
	for (uint8_t i = 0; i < RECORD_LANES; i++)
		if (h->lane[i].waiting_bytes >= bytes && hold_is_due(h, i))
			return true;
	return hold_is_full(h);
}

bool hold_add(
	struct hold *h, const struct record_id *id, uint32_t size, zmq_msg_t *msg, unsigned link)
{
	struct lane *lane = &h->lane[id->lane];
	struct slot *slot = h->free;

	for (const struct slot *s = lane->first; s; s = s->next)
		if (s->held.link == link && !record_id_order(&s->held.id, id))
			return false;
	h->free = slot->next;
	zmq_msg_init(&slot->msg);
	zmq_msg_move(&slot->msg, msg);
	slot->held = (struct held){ *id, { zmq_msg_data(&slot->msg), zmq_msg_size(&slot->msg) },
		link, size };
	slot->is_begun = false;
	slot->next = lane->first;
	lane->first = slot;
	lane->count++;
	lane->waiting_bytes += size;
	h->bytes += slot->held.wire.len;
	return true;
}

static int held_order(const void *x, const void *y)
{
	return record_id_order(&((const struct held *)x)->id, &((const struct held *)y)->id);
}

uint32_t hold_lane(struct hold *h, uint8_t number, struct held records[HOLD_RECORDS_MOST])
{
	const struct lane *lane = &h->lane[number];
	size_t bytes = 0;
	uint32_t n = lane->count - lane->begun, most = 0;

	/* The list has the last one first. */
	for (const struct slot *s = lane->first; s; s = s->next)
		if (!s->is_begun)
			records[--n] = s->held;
	for (n = lane->count - lane->begun; most < n && bytes < HOLD_BATCH_BYTES; most++)
		bytes += records[most].size;
	qsort(records, most, sizeof *records, held_order);
	if (lane->tries > WHOLE_TRIES) {
		unsigned halvings = lane->tries - WHOLE_TRIES;

		most = halvings < 9 && most >> halvings ? most >> halvings : 1;
	}
	return most;
}

static bool is_among(const struct held *records, uint32_t n, const struct held *held)
{
	for (uint32_t i = 0; i < n; i++)
		if (records[i].wire.ptr == held->wire.ptr)
			return true;
	return false;
}

void hold_begin(struct hold *h, uint8_t number, const struct held *records, uint32_t n)
{
	struct lane *lane = &h->lane[number];

	for (struct slot *s = lane->first; s; s = s->next) {
		if (s->is_begun || !is_among(records, n, &s->held))
			continue;
		s->is_begun = true;
		lane->begun++;
		lane->waiting_bytes -= s->held.size;
	}
}

/* What was begun and is not done waits again. */
static void begun_wait(struct lane *lane)
{
	for (struct slot *s = lane->first; s; s = s->next)
		if (s->is_begun) {
			s->is_begun = false;
			lane->waiting_bytes += s->held.size;
		}
	lane->begun = 0;
}

void hold_drop(struct hold *h, uint8_t number, const struct held *records, uint32_t n)
{
	struct lane *lane = &h->lane[number];
	bool all = n == lane->count;

	begun_wait(lane);
	for (struct slot **at = &lane->first, *s; (s = *at);) {
		if (!all && !is_among(records, n, &s->held)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		lane->count--;
		lane->waiting_bytes -= s->held.size;
		h->bytes -= s->held.wire.len;
		zmq_msg_close(&s->msg);
		s->next = h->free;
		h->free = s;
	}
	lane->tries = 0;
	lane->due_mono_us = 0;
}

unsigned hold_put_off(struct hold *h, uint8_t number)
{
	struct lane *lane = &h->lane[number];
	int64_t wait = PUT_OFF_FIRST_US << (lane->tries > 4 ? 4 : lane->tries);

	begun_wait(lane);
	lane->due_mono_us = clock_mono_us() + (wait > PUT_OFF_MOST_US ? PUT_OFF_MOST_US : wait);
	return ++lane->tries;
}

static bool has_waiting(const struct lane *lane)
{
	return lane->count > lane->begun;
}

bool hold_is_due(const struct hold *h, uint8_t lane)
{
	return has_waiting(&h->lane[lane]) && h->lane[lane].due_mono_us <= clock_mono_us();
}

int hold_wait_ms(const struct hold *h, int most)
{
	int64_t now = clock_mono_us(), wait_us = most * 1000LL;

	for (int i = 0; i < RECORD_LANES; i++)
		if (has_waiting(&h->lane[i]) && h->lane[i].due_mono_us - now < wait_us)
			wait_us = h->lane[i].due_mono_us - now;
	return wait_us <= 0 ? 0 : (int)((wait_us + 999) / 1000);
}
