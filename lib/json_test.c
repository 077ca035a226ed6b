#include "lib/check.h"
#include "lib/json.h"

#define LEVELS "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
_Static_assert(sizeof LEVELS - 1 == JSON_LEVELS_MOST, "as many as may be");

static void levels_are_bounded_wherever_they_are(void **state)
{
	(void)state;
	assert_true(json_fits(SPAN(LEVELS), 1000));
	assert_false(json_fits(SPAN(LEVELS "["), 1000));
	assert_false(json_fits(SPAN("{\"a\":" LEVELS), 1000));
	assert_true(json_fits(SPAN("[[],[[]],{}]" LEVELS), 1000));
	assert_false(json_fits(SPAN("\"\\\\\"" LEVELS "["), 1000));
}

static void values_are_bounded(void **state)
{
	(void)state;
	assert_true(json_fits(SPAN("[1,2,3]"), 4));
	assert_false(json_fits(SPAN("[1,2,3]"), 3));
	assert_true(json_fits(SPAN("[[],{}]"), 5));
	assert_false(json_fits(SPAN("[[],{}]"), 4));
}

static void what_stands_in_a_text_is_none_of_them(void **state)
{
	(void)state;
	assert_true(json_fits(SPAN("\"" LEVELS "[,,,\""), 1));
	assert_true(json_fits(SPAN("\"\\\"" LEVELS "[,,,\""), 1));
	assert_true(json_fits(SPAN(""), 1));
	assert_true(json_fits(SPAN("\"\\"), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_bounded_wherever_they_are),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(what_stands_in_a_text_is_none_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
