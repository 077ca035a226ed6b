#include "lib/check.h"
#include "services/ingress/day.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/secret.h"

#define ZONE "Europe/Berlin"
#define HEX  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* No database answers: what is found is found in memory. */
struct fixture {
	struct pg_pool *pool;
	struct days *days;
	int64_t now_us, later_us;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct err err = { 0 };

	fixture.now_us = clock_now_us();
	fixture.later_us = fixture.now_us + 3600 * US_PER_SECOND;
	*state = &fixture;
	return secret_init(&err) ||
	       pg_pool_open(&fixture.pool, "host=127.0.0.1 port=1", "test", 0, 1, &err) ||
	       days_open(&fixture.days, fixture.pool, &err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	days_close(&f->days);
	pg_pool_close(&f->pool);
	return 0;
}

static const struct day *around(int64_t ts_us, int64_t date, int64_t dies_us)
{
	static struct day day;

	day = (struct day){ .date = date,
		.starts_us = ts_us - 3600 * US_PER_SECOND,
		.ends_us = ts_us + 3600 * US_PER_SECOND,
		.dies_us = dies_us };
	return &day;
}

static void hold(struct fixture *f, const struct day *day)
{
	struct err err;

	assert_int_equal(days_hold(f->days, ZONE, day, HEX, &err), 0);
}

static int find(struct fixture *f, int64_t ts_us, struct day *out)
{
	struct err err;

	return days_find(f->days, ZONE, ts_us, out, &err);
}

/* Hold a day that was seen in use and is due a moment later; returns then. */
static void outlive(struct fixture *f, int64_t ts_us, int64_t date)
{
	const struct timespec pause = { 0, 1000000 };
	struct day seen;

	do /* again, when this machine is so slow that it is due before it can be used */
		hold(f, around(ts_us, date, clock_now_us() + 100 * 1000));
	while (find(f, ts_us, &seen));
	assert_int_equal(seen.date, date);
	while (clock_now_us() < seen.dies_us)
		nanosleep(&pause, NULL);
}

static void a_day_that_is_held_is_found_without_a_database(void **state)
{
	struct fixture *f = *state;
	struct event_day_keys keys;
	unsigned char key[32];
	struct day day;

	for (int i = 0; i < 32; i++)
		key[i] = (unsigned char)(0x11 * (i % 16));
	event_day_keys_derive(&keys, key);
	hold(f, around(f->now_us, 20000, f->later_us));
	assert_int_equal(find(f, f->now_us, &day), 0);
	assert_int_equal(day.date, 20000);
	assert_memory_equal(&day.keys, &keys, sizeof keys);
}

static void a_day_whose_key_is_due_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct day day;

	hold(f, around(f->now_us, 20000, f->now_us));
	assert_int_equal(find(f, f->now_us, &day), -ECONNRESET);
}

static void a_key_that_has_become_due_is_not_used_though_no_database_says_so(void **state)
{
	struct fixture *f = *state;
	struct day day;

	outlive(f, f->now_us, 20000);
	assert_int_equal(find(f, f->now_us, &day), -ECONNRESET);
}

static void of_two_days_only_the_one_that_is_due_is_forgotten(void **state)
{
	const int64_t days_us = 3 * 86400 * US_PER_SECOND;
	struct fixture *f = *state;
	struct day day;

	hold(f, around(f->now_us, 20000, f->later_us));
	outlive(f, f->now_us - days_us, 19997);
	days_forget_due(f->days);
	assert_int_equal(find(f, f->now_us, &day), 0);
	assert_int_equal(day.date, 20000);
	assert_int_equal(find(f, f->now_us - days_us, &day), -ECONNRESET);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_day_that_is_held_is_found_without_a_database),
		TEST(a_day_whose_key_is_due_is_not_found),
		TEST(a_key_that_has_become_due_is_not_used_though_no_database_says_so),
		TEST(of_two_days_only_the_one_that_is_due_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
