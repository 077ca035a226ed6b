#include "lib/check.h"
#include "services/worker/hold.h"

#define LANE 3

static struct held records[HOLD_RECORDS_MOST];

static bool add(struct hold *h, uint64_t seq, uint32_t size, unsigned link)
{
	const struct record_id id = { .lane = LANE, .seq = seq };
	zmq_msg_t msg;
	bool added;

	zmq_msg_init_size(&msg, 100);
	added = hold_add(h, &id, size, &msg, link);
	zmq_msg_close(&msg);
	return added;
}

static void one_transaction_takes_as_much_as_it_should_in_order(void **state)
{
	struct hold *h = hold_new();

	(void)state;
	assert_non_null(h);
	for (uint64_t seq = 6; seq > 2; seq--) {
		assert_false(hold_has(h, HOLD_BATCH_BYTES));
		assert_true(add(h, seq, HOLD_BATCH_BYTES / 4, 1));
	}
	assert_true(hold_has(h, HOLD_BATCH_BYTES));
	assert_true(add(h, 2, 100, 1)); /* is for the next */
	assert_int_equal(hold_lane(h, LANE, records), 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(records[i].id.seq, 3 + i);
	hold_begin(h, LANE, records, 4);
	assert_int_equal(hold_lane(h, LANE, records), 1);
	hold_free(&h);
}

static void what_came_first_goes_first_whoever_numbered_it(void **state)
{
	struct hold *h = hold_new();

	(void)state;
	add(h, 9, 100, 1);
	for (uint64_t seq = 1; seq <= 3; seq++)
		add(h, seq, HOLD_BATCH_BYTES / 2, 1);
	assert_int_equal(hold_lane(h, LANE, records), 3);
	assert_int_equal(records[0].id.seq, 1); /* by number among them */
	assert_int_equal(records[2].id.seq, 9);
	hold_free(&h);
}

static void what_is_being_applied_is_not_given_again_and_neither_is_a_copy_kept(void **state)
{
	struct held next[HOLD_RECORDS_MOST];
	struct hold *h = hold_new();

	(void)state;
	add(h, 1, HOLD_BATCH_BYTES, 1);
	hold_begin(h, LANE, records, hold_lane(h, LANE, records));
	assert_false(hold_is_due(h, LANE));
	assert_false(hold_has(h, HOLD_BATCH_BYTES));
	assert_int_equal(hold_lane(h, LANE, next), 0);
	assert_false(add(h, 1, 100, 1)); /* it came by this link already */
	assert_true(add(h, 2, 100, 1));
	assert_true(hold_is_due(h, LANE));
	assert_int_equal(hold_lane(h, LANE, next), 1);
	assert_int_equal(next[0].id.seq, 2);
	hold_drop(h, LANE, records, 1);
	assert_int_equal(hold_lane(h, LANE, next), 1);
	assert_int_equal(next[0].id.seq, 2);
	hold_free(&h);
}

static void what_could_not_be_applied_waits_again_and_comes_later_in_smaller_parts(void **state)
{
	struct hold *h = hold_new();

	(void)state;
	for (uint64_t seq = 1; seq <= 8; seq++)
		add(h, seq, 100, 1);
	for (unsigned tries = 1; tries <= 4; tries++) {
		uint32_t n = hold_lane(h, LANE, records);

		assert_int_equal(n, tries <= 3 ? 8 : 4);
		hold_begin(h, LANE, records, n);
		assert_int_equal(hold_put_off(h, LANE), tries);
		assert_false(hold_is_due(h, LANE));
		assert_true(hold_wait_ms(h, 60000) > 0);
	}
	assert_int_equal(hold_lane(h, LANE, records), 2);
	hold_drop(h, LANE, records, 2);
	assert_true(hold_is_due(h, LANE));
	assert_int_equal(hold_lane(h, LANE, records), 6);
	assert_int_equal(records[0].id.seq, 3);
	hold_free(&h);
}

static void what_cannot_be_applied_is_tried_again_after_a_second_at_most(void **state)
{
	struct hold *h = hold_new();

	(void)state;
	add(h, 1, 100, 1);
	for (unsigned tries = 1; tries <= 100; tries++) {
		assert_int_equal(hold_put_off(h, LANE), tries);
		assert_in_range(hold_wait_ms(h, 60000), 1, 1000);
	}
	hold_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_transaction_takes_as_much_as_it_should_in_order),
		cmocka_unit_test(what_came_first_goes_first_whoever_numbered_it),
		cmocka_unit_test(
			what_is_being_applied_is_not_given_again_and_neither_is_a_copy_kept),
		cmocka_unit_test(
			what_could_not_be_applied_waits_again_and_comes_later_in_smaller_parts),
		cmocka_unit_test(what_cannot_be_applied_is_tried_again_after_a_second_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
