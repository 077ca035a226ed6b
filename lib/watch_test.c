#include "lib/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"

#define SECOND WATCH_EVERY_US

static char folder[64], path[96], other[96];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/footfall-watch-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/file", folder);
	snprintf(other, sizeof other, "%s/other", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(folder);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Give the file a time of its own: two writes may meet in one tick of the file system's clock. */
static void set_modified(const char *name, long at)
{
	const struct timespec times[2] = { { at, 0 }, { at, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static void a_file_that_stays_is_not_told_of(void **state)
{
	struct watch watch;

	(void)state;
	write_file(path, "one");
	watch_init(&watch, path, 0);
	for (int64_t s = 1; s < 10; s++)
		assert_false(watch_has_changed(&watch, s * SECOND));
}

static void a_change_is_told_once_when_it_has_settled(void **state)
{
	struct watch watch;

	(void)state;
	write_file(path, "one");
	set_modified(path, 1000);
	watch_init(&watch, path, 0);
	write_file(path, "two");
	set_modified(path, 2000);
	assert_false(watch_has_changed(&watch, 1 * SECOND));
	write_file(path, "two, longer"); /* still being written */
	set_modified(path, 2000);
	assert_false(watch_has_changed(&watch, 2 * SECOND));
	assert_true(watch_has_changed(&watch, 3 * SECOND));
	assert_false(watch_has_changed(&watch, 4 * SECOND));
}

static void it_looks_at_most_once_a_second(void **state)
{
	struct watch watch;

	(void)state;
	write_file(path, "one");
	watch_init(&watch, path, 0);
	write_file(path, "two, longer");
	assert_false(watch_has_changed(&watch, SECOND));
	assert_false(watch_has_changed(&watch, 2 * SECOND - 1));
	assert_true(watch_has_changed(&watch, 2 * SECOND));
}

static void a_file_renamed_over_it_is_a_change(void **state)
{
	struct watch watch;

	(void)state;
	write_file(path, "one");
	write_file(other, "one");
	set_modified(path, 1000);
	set_modified(other, 1000);
	watch_init(&watch, path, 0);
	assert_int_equal(rename(other, path), 0);
	watch_has_changed(&watch, 1 * SECOND);
	assert_true(watch_has_changed(&watch, 2 * SECOND));
}

static void going_and_coming_again_are_changes(void **state)
{
	struct watch watch;

	(void)state;
	write_file(path, "one");
	watch_init(&watch, path, 0);
	assert_int_equal(unlink(path), 0);
	watch_has_changed(&watch, 1 * SECOND);
	assert_true(watch_has_changed(&watch, 2 * SECOND));
	assert_false(watch_has_changed(&watch, 3 * SECOND));
	write_file(path, "two");
	watch_has_changed(&watch, 4 * SECOND);
	assert_true(watch_has_changed(&watch, 5 * SECOND));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_stays_is_not_told_of),
		TEST(a_change_is_told_once_when_it_has_settled),
		TEST(it_looks_at_most_once_a_second),
		TEST(a_file_renamed_over_it_is_a_change),
		TEST(going_and_coming_again_are_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
