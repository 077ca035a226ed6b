#include "lib/screen.h"

#include "lib/check.h"

static void a_screen_is_of_a_class_by_its_width(void **state)
{
	static const struct {
		uint32_t width;
		const char *name;
	} rows[] = { { 0, "" }, { 1, "phone" }, { 393, "phone" }, { 575, "phone" },
		{ 576, "tablet" }, { 820, "tablet" }, { 991, "tablet" }, { 992, "laptop" },
		{ 1439, "laptop" }, { 1440, "desktop" }, { 3840, "desktop" },
		{ UINT32_MAX, "desktop" } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(screen_class(rows[i].width), rows[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_screen_is_of_a_class_by_its_width) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
