#include "lib/check.h"
#include "services/console/throttle.h"

#include <stdio.h>

#include "lib/clock.h"
#include "lib/secret.h"

#define WINDOW (300 * US_PER_SECOND)

static int setup(void **state)
{
	struct err err;

	return throttle_open((struct throttle **)state, 3, WINDOW, &err);
}

static int teardown(void **state)
{
	throttle_close((struct throttle **)state);
	return 0;
}

static int take(struct throttle *t, const char *key, int64_t now_us)
{
	return throttle_take(t, span_of(key), now_us);
}

static void a_key_is_refused_after_its_tries_until_the_window_ends(void **state)
{
	struct throttle *t = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(take(t, "a@example.org", 1000 + i), 0);
	assert_int_equal(take(t, "a@example.org", 1003), 300);
	assert_int_equal(take(t, "a@example.org", 1000 + WINDOW - US_PER_SECOND), 1);
	assert_int_equal(take(t, "a@example.org", 1000 + WINDOW - 1), 1);
	assert_int_equal(take(t, "a@example.org", 1000 + WINDOW), 0);
}

static void keys_are_counted_apart(void **state)
{
	struct throttle *t = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(take(t, "a", 1), 0);
	assert_int_not_equal(take(t, "a", 1), 0);
	assert_int_equal(take(t, "b", 1), 0);
}

static void a_try_given_back_does_not_count(void **state)
{
	struct throttle *t = *state;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(take(t, "a", 1), 0);
		throttle_give_back(t, SPAN("a"));
	}
	throttle_give_back(t, SPAN("a")); /* one too many does no harm */
	throttle_give_back(t, SPAN("never seen"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(t, "a", 1), 0);
	assert_int_not_equal(take(t, "a", 1), 0);
}

static void a_flood_of_other_keys_does_not_free_one_that_is_held_back(void **state)
{
	struct throttle *t = *state;
	char key[32];

	for (int i = 0; i < 3; i++)
		assert_int_equal(take(t, "held", 1), 0);
	for (int i = 0; i < 50000; i++) {
		snprintf(key, sizeof key, "flood %d", i);
		assert_int_equal(take(t, key, 2), 0);
	}
	assert_int_not_equal(take(t, "held", 3), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_is_refused_after_its_tries_until_the_window_ends),
		TEST(keys_are_counted_apart),
		TEST(a_try_given_back_does_not_count),
		TEST(a_flood_of_other_keys_does_not_free_one_that_is_held_back),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
