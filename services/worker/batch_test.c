#include "lib/check.h"
#include "services/worker/batch.h"

#include <stdlib.h>

#include "proto/event.h"
#include "proto/sample.h"

struct made {
	struct record_id id;
	struct span wire;
};

struct fixture {
	struct record_packer *packer;
	struct batch *batch;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	*state = f;
	return !f || record_packer_open(&f->packer, &f->err) || batch_open(&f->batch, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	record_packer_close(&f->packer);
	batch_close(&f->batch);
	free(f);
	return 0;
}

/* A record of page views of these sites; its bytes are the caller's to free. */
static struct made record_of(struct fixture *f, uint64_t seq, const uint32_t *sites, uint32_t n)
{
	struct made made = { .id = { .lane = 1, .seq = seq } };
	msgpack_sbuffer bytes;
	struct span wire;
	char *copy;

	msgpack_sbuffer_init(&bytes);
	record_begin(f->packer, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct event ev = { .site_id = sites[i],
			.id = (int64_t)(seq * 100 + i),
			.ts_us = 1,
			.visitor = 2,
			.kind = EVENT_PAGEVIEW };

		msgpack_sbuffer_clear(&bytes);
		assert_int_equal(event_encode(&bytes, &ev, &f->err), 0);
		record_add(f->packer, (struct span){ bytes.data, bytes.size });
	}
	wire = record_end(f->packer, &made.id);
	copy = malloc(wire.len);
	memcpy(copy, wire.ptr, wire.len);
	made.wire = (struct span){ copy, wire.len };
	msgpack_sbuffer_destroy(&bytes);
	return made;
}

static int add(struct fixture *f, const struct made *made)
{
	return batch_add(f->batch, &made->id, made->wire, &f->err);
}

static int64_t id_of(struct fixture *f, const struct item *item)
{
	struct span wire;
	struct event ev = { .id = 0 };

	assert_int_equal(batch_wire(f->batch, item, &wire, &f->err), 0);
	assert_int_equal(event_decode(&ev, wire, &f->err), 0);
	return ev.id;
}

static void events_of_several_records_come_by_site_and_as_they_arrived(void **state)
{
	struct fixture *f = *state;
	const struct made one = record_of(f, 1, (const uint32_t[]){ 33, 17, 33 }, 3);
	const struct made two = record_of(f, 2, (const uint32_t[]){ 17, 33 }, 2);
	const int64_t expected[] = { 101, 200, 100, 102, 201 };
	const struct item *items;
	size_t count;

	assert_int_equal(add(f, &one), 0);
	assert_int_equal(add(f, &two), 0);
	items = batch_items(f->batch, &count);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(items[i].site_id, i < 2 ? 17 : 33);
		assert_int_equal(id_of(f, &items[i]), expected[i]);
		assert_ptr_equal(items[i].record, expected[i] < 200 ? &one.id : &two.id);
		assert_int_equal(items[i].place, expected[i] % 100);
	}
	for (size_t i = 0; i < count; i++) /* a sanitizer sees what is let go of too soon */
		batch_let_go(f->batch, &items[i]);
	batch_clear(f->batch);
	batch_items(f->batch, &count);
	assert_int_equal(count, 0);
	free((void *)one.wire.ptr);
	free((void *)two.wire.ptr);
}

static void a_record_that_cannot_be_read_adds_nothing(void **state)
{
	struct fixture *f = *state;
	const struct made whole = record_of(f, 1, (const uint32_t[]){ 17, 17 }, 2);
	struct made half = whole;
	const struct item *items;
	size_t count;

	half.wire.len -= 3;
	assert_int_equal(add(f, &whole), 0);
	assert_int_not_equal(add(f, &half), 0);
	items = batch_items(f->batch, &count);
	assert_int_equal(count, 2);
	assert_int_equal(id_of(f, &items[1]), 101);
	batch_clear(f->batch);
	free((void *)whole.wire.ptr);
}

static void a_record_of_version_1_lies_as_it_came(void **state)
{
	struct fixture *f = *state;
	const struct sample sample = sample_read("record-1");
	const struct record_id id = { .seq = 1 };
	const struct item *items;
	struct span wire;
	size_t count;

	assert_int_equal(batch_add(f->batch, &id, span_of_sample(&sample), &f->err), 0);
	items = batch_items(f->batch, &count);
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(batch_wire(f->batch, &items[i], &wire, &f->err), 0);
		assert_true(wire.ptr > (const char *)sample.bytes &&
			    wire.ptr + wire.len <= (const char *)sample.bytes + sample.len);
		batch_let_go(f->batch, &items[i]);
	}
	batch_clear(f->batch);
}

static void of_what_is_too_short_to_be_an_event_a_record_may_not_have_many(void **state)
{
	struct fixture *f = *state;
	const struct record_id id = { .lane = 1, .seq = 1 };
	size_t count;

	record_begin(f->packer, RECORD_EVENTS);
	for (int i = 0; i < RECORD_EVENTS; i++)
		record_add(f->packer, SPAN(""));
	assert_int_equal(batch_add(f->batch, &id, record_end(f->packer, &id), &f->err), -EBADMSG);
	batch_items(f->batch, &count);
	assert_int_equal(count, 0);
}

static void an_event_that_cannot_be_read_is_of_no_site(void **state)
{
	const struct record_id id = { .seq = 1 };
	struct fixture *f = *state;
	const struct item *items;
	size_t count;

	assert_int_equal(batch_add_event(f->batch, &id, SPAN("rubbish"), &f->err), 0);
	items = batch_items(f->batch, &count);
	assert_int_equal(count, 1);
	assert_int_equal(items->site_id, 0);
	batch_let_go(f->batch, items);
	batch_clear(f->batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_of_several_records_come_by_site_and_as_they_arrived),
		cmocka_unit_test(a_record_that_cannot_be_read_adds_nothing),
		cmocka_unit_test(a_record_of_version_1_lies_as_it_came),
		cmocka_unit_test(of_what_is_too_short_to_be_an_event_a_record_may_not_have_many),
		cmocka_unit_test(an_event_that_cannot_be_read_is_of_no_site),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
