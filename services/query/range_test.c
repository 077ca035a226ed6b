#include "lib/check.h"
#include "services/query/range.h"

#include <string.h>

static struct range parsed;
static struct err failure;

static int parse(const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	int rc;

	assert_non_null(value);
	rc = range_parse(&parsed, value, &failure);
	json_decref(value);
	return rc;
}

static void words_are_read(void **state)
{
	static const char *const words[] = { "\"day\"", "\"24h\"", "\"month\"", "\"year\"",
		"\"all\"" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		assert_int_equal(parse(words[i]), 0);
		assert_memory_equal(parsed.kind, words[i] + 1, strlen(parsed.kind));
	}
}

static void days_and_months_have_a_number_within_bounds(void **state)
{
	(void)state;
	assert_int_equal(parse("\"91d\""), 0);
	assert_string_equal(parsed.kind, "days");
	assert_int_equal(parsed.n, 91);
	assert_int_equal(parse("\"6mo\""), 0);
	assert_string_equal(parsed.kind, "months");
	assert_int_equal(parsed.n, 6);
	assert_int_equal(parse("\"5000d\""), 0);
	assert_int_equal(parse("\"100mo\""), 0);
	assert_int_equal(parse("\"5001d\""), -EINVAL);
	assert_int_equal(parse("\"101mo\""), -EINVAL);
	assert_int_equal(parse("\"0d\""), -EINVAL);
	assert_int_equal(parse("\"-7d\""), -EINVAL);
	assert_int_equal(parse("\"7 d\""), -EINVAL);
	assert_int_equal(parse("\"7days\""), -EINVAL);
	assert_int_equal(parse("\"99999999999999999999d\""), -EINVAL);
	assert_int_equal(parse("\"\""), -EINVAL);
	assert_int_equal(parse("7"), -EINVAL);
}

static void dates_must_exist_and_be_in_order(void **state)
{
	(void)state;
	assert_int_equal(parse("[\"2024-02-29\",\"2024-03-01\"]"), 0);
	assert_string_equal(parsed.kind, "dates");
	assert_string_equal(parsed.from, "2024-02-29");
	assert_int_equal(parse("[\"2023-02-29\",\"2023-03-01\"]"), -EINVAL);
	assert_int_equal(parse("[\"2100-02-29\",\"2100-03-01\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-13-01\",\"2024-13-02\"]"), -EINVAL);
	assert_int_equal(parse("[\"1969-12-31\",\"2024-01-01\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-02\",\"2024-01-01\"]"), -EINVAL);
	assert_string_equal(failure.msg, "date_range ends before it begins");
	assert_int_equal(parse("[\"2024-01-01\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-01\",\"2024-01-02\",\"2024-01-03\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-1-1\",\"2024-01-02\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-01 \",\"2024-01-02\"]"), -EINVAL);
}

static void times_need_an_offset(void **state)
{
	(void)state;
	assert_int_equal(parse("[\"2024-01-01T12:00:00Z\",\"2024-01-01T15:30:00+05:30\"]"), 0);
	assert_string_equal(parsed.kind, "times");
	assert_int_equal(parse("[\"2024-01-01T12:00:00.123Z\",\"2024-01-01T13:00:00-04:00\"]"), 0);
	assert_int_equal(parse("[\"2024-01-01T12:00:00\",\"2024-01-01T13:00:00\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-01T25:00:00Z\",\"2024-01-02T13:00:00Z\"]"), -EINVAL);
	assert_int_equal(
		parse("[\"2024-01-01T12:00:00+99:00\",\"2024-01-02T13:00:00Z\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-01\",\"2024-01-02T13:00:00Z\"]"), -EINVAL);
	assert_int_equal(parse("[\"2024-01-01T12:00:00.00000000000000000000000000000000Z\","
			       "\"2024-01-02T13:00:00Z\"]"),
		-EINVAL);
}

static void the_unit_of_time_grows_with_the_period(void **state)
{
	const int64_t hour = 3600, day = 24 * hour;
	struct period period = { .seconds = day };

	(void)state;
	assert_string_equal(period_unit(&period), "hour");
	period.seconds = 2 * day;
	assert_string_equal(period_unit(&period), "hour");
	period.seconds = 3 * day;
	assert_string_equal(period_unit(&period), "day");
	period.seconds = 31 * day;
	assert_string_equal(period_unit(&period), "day");
	period.seconds = 91 * day;
	assert_string_equal(period_unit(&period), "week");
	period.seconds = 2 * 366 * day;
	assert_string_equal(period_unit(&period), "month");
	assert_int_equal(period_intervals(&period, "day"), 732);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_read),
		cmocka_unit_test(days_and_months_have_a_number_within_bounds),
		cmocka_unit_test(dates_must_exist_and_be_in_order),
		cmocka_unit_test(times_need_an_offset),
		cmocka_unit_test(the_unit_of_time_grows_with_the_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
