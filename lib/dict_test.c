#include "lib/dict.h"

#include <stdio.h>

#include "lib/check.h"

static void a_key_keeps_the_number_it_had_first(void **state)
{
	struct dict dict = { 0 };
	uint32_t value;
	struct err err;

	(void)state;
	assert_int_equal(dict_find(&dict, SPAN("a")), DICT_NONE);
	assert_int_equal(dict_add(&dict, SPAN("a"), 1, NULL, &err), 0);
	assert_int_equal(dict_add(&dict, SPAN("a"), 2, &value, &err), 0);
	assert_int_equal(value, 1);
	assert_int_equal(dict_find(&dict, SPAN("a")), 1);
	assert_int_equal(dict_find(&dict, SPAN("A")), DICT_NONE);
	assert_int_equal(dict_find(&dict, SPAN("ab")), DICT_NONE);
	assert_int_equal(dict_find(&dict, SPAN("")), DICT_NONE);
	dict_clear(&dict);
	assert_int_equal(dict_find(&dict, SPAN("a")), DICT_NONE);
}

static void keys_are_any_bytes_and_may_be_empty(void **state)
{
	struct dict dict = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(dict_add(&dict, SPAN("a\0b"), 1, NULL, &err), 0);
	assert_int_equal(dict_add(&dict, SPAN(""), 2, NULL, &err), 0);
	assert_int_equal(dict_find(&dict, SPAN("a\0b")), 1);
	assert_int_equal(dict_find(&dict, SPAN("a\0c")), DICT_NONE);
	assert_int_equal(dict_find(&dict, SPAN("")), 2);
	dict_clear(&dict);
}

static void all_of_many_keys_are_found_and_no_others(void **state)
{
	struct dict dict = { 0 };
	struct err err;
	char key[16];

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		struct span text = { key, (size_t)snprintf(key, sizeof key, "%u", i) };

		assert_int_equal(dict_add(&dict, text, i, NULL, &err), 0);
	}
	for (uint32_t i = 0; i < 40000; i++) {
		struct span text = { key, (size_t)snprintf(key, sizeof key, "%u", i) };

		assert_int_equal(dict_find(&dict, text), i < 20000 ? i : DICT_NONE);
	}
	assert_int_equal(dict.count, 20000);
	dict_clear(&dict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_keeps_the_number_it_had_first),
		cmocka_unit_test(keys_are_any_bytes_and_may_be_empty),
		cmocka_unit_test(all_of_many_keys_are_found_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
