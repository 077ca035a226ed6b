#include "lib/check.h"
#include "lib/rfc3339.h"

static void times_are_read_to_the_microsecond_and_in_any_offset(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2015-05-17T10:05:03+00:00", 1431857103000000 },
		{ "2015-05-17T12:05:03.5+02:00", 1431857103500000 },
		{ "2015-05-17 04:35:03.1234567-05:30", 1431857103123456 },
		{ "2016-12-31T23:59:60Z", 1483228799000000 },
		{ "2024-02-29t00:00:00z", 1709164800000000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t us;

		assert_int_equal(rfc3339_parse(&us, span_of(cases[i].text)), 0);
		assert_int_equal(us, cases[i].us);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = { "", "2015-05-17", "2015-05-17T10:05:03",
		"2015-13-01T00:00:00Z", "2015-02-29T00:00:00Z", "2015-05-17T24:00:00Z",
		"2015-05-17T10:05:03.Z", "2015-05-17T10:05:03+0100", "2015-05-17T10:05:03Zx",
		"15-05-17T10:05:03Z" };
	int64_t us;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(rfc3339_parse(&us, span_of(bad[i])), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_to_the_microsecond_and_in_any_offset),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
