#include "lib/check.h"
#include "services/ingress/limits.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/secret.h"

#define RATE   10
#define BURST  20
#define SECOND US_PER_SECOND

static struct addr_nets trusted;
static struct limits *limits;

static int open_with(struct limit address, struct limit site)
{
	const struct limits_options options = { address, site, &trusted };
	struct err err;

	return limits_open(&limits, &options, &err);
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	return addr_nets_parse(&trusted, "127.0.0.0/8,::1", &err) ||
	       open_with((struct limit){ RATE, BURST }, (struct limit){ RATE, BURST });
}

static int teardown(void **state)
{
	(void)state;
	limits_close(&limits);
	return 0;
}

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, span_of(text)), 0);
	return addr;
}

/* Of 10.0.0.0/8. */
static struct addr numbered(uint32_t n)
{
	char text[ADDR_TEXT_SIZE];

	snprintf(text, sizeof text, "10.%u.%u.%u", n >> 16, n >> 8 & 255, n & 255);
	return address(text);
}

static int take(const char *text, int64_t now_us)
{
	struct addr addr = address(text);

	return limits_take_address(limits, &addr, now_us);
}

static int taken_at_once(const char *text, int64_t now_us)
{
	int n = 0;

	while (n < 2 * BURST && !take(text, now_us))
		n++;
	return n;
}

static void a_burst_is_taken_and_then_as_many_as_the_rate_says(void **state)
{
	(void)state;
	assert_int_equal(taken_at_once("192.0.2.1", 0), BURST);
	assert_int_equal(taken_at_once("192.0.2.1", SECOND / 2), RATE / 2);
	assert_int_equal(taken_at_once("192.0.2.1", SECOND), RATE / 2);
	assert_int_equal(taken_at_once("192.0.2.1", 3600 * SECOND), BURST);
}

static void one_address_does_not_use_up_what_is_anothers(void **state)
{
	(void)state;
	assert_int_equal(taken_at_once("192.0.2.1", 0), BURST);
	assert_int_equal(taken_at_once("192.0.2.2", 0), BURST);
	assert_int_equal(limits_take_site(limits, 1, 0), 0);
}

static void an_ipv6_network_of_64_bits_is_one(void **state)
{
	(void)state;
	assert_int_equal(taken_at_once("2001:db8::1", 0), BURST);
	assert_int_not_equal(take("2001:db8::ffff:ffff:ffff:ffff", 0), 0);
	assert_int_equal(take("2001:db8:0:1::1", 0), 0);
}

static void after_the_seconds_said_there_is_a_token_and_before_there_is_none(void **state)
{
	int wait_s;

	(void)state;
	limits_close(&limits);
	assert_int_equal(open_with((struct limit){ 1, 1 }, (struct limit){ 0, 1 }), 0);
	assert_int_equal(take("192.0.2.1", 0), 0);
	wait_s = take("192.0.2.1", SECOND / 4);
	assert_int_equal(wait_s, 1);
	assert_int_equal(take("192.0.2.1", SECOND - 1), 1);
	assert_int_equal(take("192.0.2.1", SECOND / 4 + wait_s * SECOND), 0);
}

static void a_large_request_is_taken_whole_and_what_it_owes_is_waited_for(void **state)
{
	struct addr addr = address("192.0.2.1");

	(void)state;
	assert_int_equal(limits_take_address(limits, &addr, 0), 0);
	for (int i = 1; i < 10 * BURST; i++)
		limits_owe_address(limits, &addr, 0);
	/* 180 are owed, and one more is to be had. */
	assert_int_equal(limits_take_address(limits, &addr, 0), 19);
	assert_int_equal(limits_take_address(limits, &addr, 18 * SECOND), 1);
	assert_int_equal(limits_take_address(limits, &addr, 19 * SECOND), 0);
}

static void a_trusted_proxy_is_not_limited(void **state)
{
	struct addr addr = address("127.0.0.9");

	(void)state;
	assert_int_equal(taken_at_once("127.0.0.9", 0), 2 * BURST);
	limits_owe_address(limits, &addr, 0);
	assert_int_equal(taken_at_once("::1", 0), 2 * BURST);
}

static void a_site_has_a_limit_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(limits_take_site(limits, 7, 0), 0);
	assert_int_equal(limits_take_site(limits, 7, 0), 1);
	assert_int_equal(limits_take_site(limits, 8, 0), 0);
}

static void a_limit_of_0_is_none(void **state)
{
	(void)state;
	limits_close(&limits);
	assert_int_equal(open_with((struct limit){ 0, 1 }, (struct limit){ 0, 1 }), 0);
	assert_int_equal(taken_at_once("192.0.2.1", 0), 2 * BURST);
	for (int i = 0; i < 100; i++)
		assert_int_equal(limits_take_site(limits, 7, 0), 0);
}

static void a_hundred_thousand_addresses_take_no_memory_and_make_nobody_forgotten(void **state)
{
	struct mallinfo2 before = mallinfo2(), after;

	(void)state;
	assert_int_equal(taken_at_once("192.0.2.1", 0), BURST);
	for (uint32_t i = 0; i < 100000; i++) {
		struct addr addr = numbered(i);

		assert_int_equal(limits_take_address(limits, &addr, 0), 0);
	}
	assert_int_not_equal(take("192.0.2.1", 0), 0);
	after = mallinfo2();
	assert_true(after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd);
	assert_true(before.uordblks + before.hblkhd < 2 << 20);
}

static void *take_many(void *taken)
{
	int n = 0;

	for (int i = 0; i < 100000; i++)
		n += !take("192.0.2.1", 0);
	*(int *)taken = n;
	return NULL;
}

static void threads_together_get_no_more_than_one(void **state)
{
	pthread_t thread[4];
	int taken[4], sum = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_many, &taken[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		sum += taken[i];
	}
	assert_int_equal(sum, BURST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_burst_is_taken_and_then_as_many_as_the_rate_says),
		TEST(one_address_does_not_use_up_what_is_anothers),
		TEST(an_ipv6_network_of_64_bits_is_one),
		TEST(after_the_seconds_said_there_is_a_token_and_before_there_is_none),
		TEST(a_large_request_is_taken_whole_and_what_it_owes_is_waited_for),
		TEST(a_trusted_proxy_is_not_limited),
		TEST(a_site_has_a_limit_of_its_own),
		TEST(a_limit_of_0_is_none),
		TEST(a_hundred_thousand_addresses_take_no_memory_and_make_nobody_forgotten),
		TEST(threads_together_get_no_more_than_one),
	};
	struct err err;

	return secret_init(&err) || cmocka_run_group_tests(tests, NULL, NULL);
}
