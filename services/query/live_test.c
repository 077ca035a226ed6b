#include "lib/check.h"
#include "services/query/live.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "lib/clock.h"

struct fixture {
	struct live *live;
	char addr[40];
	void *zmq, *pub;
};

static void free_addr(char *addr, size_t size)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	snprintf(addr, size, "127.0.0.1:%d", ntohs(in.sin_port));
}

static int setup(void **state)
{
	static struct fixture f;
	struct err err;
	char endpoint[60];

	free_addr(f.addr, sizeof f.addr);
	assert_int_equal(
		live_open(&f.live, &(struct live_options){ .addr = f.addr, .most = 2 }, &err), 0);
	f.zmq = zmq_ctx_new();
	f.pub = zmq_socket(f.zmq, ZMQ_PUB);
	snprintf(endpoint, sizeof endpoint, "tcp://%s", f.addr);
	assert_int_equal(zmq_connect(f.pub, endpoint), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int linger = 0;

	zmq_setsockopt(f->pub, ZMQ_LINGER, &linger, sizeof linger);
	zmq_close(f->pub);
	zmq_ctx_term(f->zmq);
	live_close(&f->live);
	return 0;
}

/* A PUB forgets what it says before the SUB is connected: say it until it is heard. */
static int64_t told(struct fixture *f, struct live_stream *stream, const char *message)
{
	int64_t count = 0;

	for (int tries = 0; tries < 500 && !count; tries++) {
		zmq_send(f->pub, message, strlen(message), 0);
		count = live_wait(f->live, stream, 20);
	}
	return count;
}

static void a_stream_hears_of_its_site_only(void **state)
{
	struct fixture *f = *state;
	struct live_stream *seven = live_join(f->live, 7), *eight = live_join(f->live, 8);

	assert_true(told(f, seven, "7 3") >= 3);
	assert_int_equal(live_wait(f->live, eight, 0), 0);
	assert_true(told(f, eight, "8 1") >= 1);
	live_leave(f->live, &seven);
	live_leave(f->live, &eight);
}

static void a_stream_is_told_at_most_three_times_a_second(void **state)
{
	struct fixture *f = *state;
	struct live_stream *stream = live_join(f->live, 7);
	int64_t first;

	assert_true(told(f, stream, "7 1") > 0);
	first = clock_mono_us();
	assert_true(told(f, stream, "7 1") > 0);
	assert_true(clock_mono_us() - first > 300000);
	live_leave(f->live, &stream);
}

static void no_more_streams_than_allowed_are_joined(void **state)
{
	struct fixture *f = *state;
	struct live_stream *one = live_join(f->live, 7), *two = live_join(f->live, 7);

	assert_non_null(one);
	assert_non_null(two);
	assert_null(live_join(f->live, 7));
	live_leave(f->live, &one);
	one = live_join(f->live, 9);
	assert_non_null(one);
	live_leave(f->live, &one);
	live_leave(f->live, &two);
}

static void *stop(void *live)
{
	live_stop(live);
	return NULL;
}

static void a_stop_ends_those_who_wait_and_lets_no_more_in(void **state)
{
	struct fixture *f = *state;
	struct live_stream *stream = live_join(f->live, 7);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop, f->live), 0);
	assert_int_equal(live_wait(f->live, stream, 60000), -ECANCELED);
	pthread_join(thread, NULL);
	live_leave(f->live, &stream);
	assert_null(live_join(f->live, 7));
}

static void a_taken_address_is_an_error_that_names_it(void **state)
{
	struct fixture *f = *state;
	struct live *other = NULL;
	struct err err;

	assert_int_equal(
		live_open(&other, &(struct live_options){ .addr = f->addr, .most = 2 }, &err),
		-EADDRINUSE);
	assert_null(other);
	assert_non_null(strstr(err.msg, f->addr));
}

static void only_two_whole_numbers_are_a_message(void **state)
{
	static const char *const bad[] = { "", " ", "7", "7 ", " 3", "7 x", "x 3", "7 3 ", "7 -3",
		"0 3", "7 0", "7  3", "7 99999999999999999999" };
	int64_t site, count;

	(void)state;
	assert_int_equal(live_message_parse(&site, &count, SPAN("12 345")), 0);
	assert_int_equal(site, 12);
	assert_int_equal(count, 345);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(live_message_parse(&site, &count, span_of(bad[i])), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stream_hears_of_its_site_only, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stream_is_told_at_most_three_times_a_second, setup, teardown),
		cmocka_unit_test_setup_teardown(
			no_more_streams_than_allowed_are_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stop_ends_those_who_wait_and_lets_no_more_in, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_taken_address_is_an_error_that_names_it, setup, teardown),
		cmocka_unit_test(only_two_whole_numbers_are_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
