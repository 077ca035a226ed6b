#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/check.h"
#include "services/cli/migration.h"
#include "services/cli/safe_file.h"

struct fixture {
	char dir[64];
	struct migrations m;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/footfall-migration_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static void path_of(struct fixture *f, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", f->dir, name);
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	char path[128];

	path_of(f, name, path);
	assert_int_equal(safe_file_write(path, span_of(text), &f->err), 0);
}

static void remove_file(struct fixture *f, const char *name)
{
	char path[128];

	path_of(f, name, path);
	unlink(path);
}

static int teardown(void **state)
{
	static const char *const names[] = { "0001_a.sql", "0002_b.sql", "0010_c.sql", "0002_d.sql",
		"README.md", "1_x.sql", "0003-x.sql", "0003_X.sql", "x.sql" };
	struct fixture *f = *state;

	migrations_clear(&f->m);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		remove_file(f, names[i]);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void files_come_in_the_order_of_their_numbers(void **state)
{
	struct fixture *f = *state;

	write_file(f, "0010_c.sql", "select 10;");
	write_file(f, "0001_a.sql", "select 1;");
	write_file(f, "0002_b.sql", "select 2;");
	write_file(f, "README.md", "no migration");
	assert_int_equal(migrations_read(&f->m, f->dir, &f->err), 0);
	assert_int_equal(f->m.count, 3);
	assert_string_equal(f->m.list[0].name, "0001_a");
	assert_string_equal(f->m.list[1].name, "0002_b");
	assert_string_equal(f->m.list[2].name, "0010_c");
	assert_int_equal(f->m.list[2].number, 10);
	assert_string_equal(f->m.list[2].sql, "select 10;");
}

static void the_hash_is_of_the_content(void **state)
{
	struct fixture *f = *state;
	char before[SECRET_HASH_HEX_SIZE];

	write_file(f, "0001_a.sql", "select 1;");
	assert_int_equal(migrations_read(&f->m, f->dir, &f->err), 0);
	memcpy(before, f->m.list[0].hash, sizeof before);
	migrations_clear(&f->m);
	write_file(f, "0001_a.sql", "select 2;");
	assert_int_equal(migrations_read(&f->m, f->dir, &f->err), 0);
	assert_string_not_equal(before, f->m.list[0].hash);
}

static void two_files_with_one_number_are_refused(void **state)
{
	struct fixture *f = *state;

	write_file(f, "0001_a.sql", "");
	write_file(f, "0002_b.sql", "");
	write_file(f, "0002_d.sql", "");
	assert_int_equal(migrations_read(&f->m, f->dir, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.msg, "same number"));
}

static void a_file_with_another_name_is_refused(void **state)
{
	static const char *const names[] = { "1_x.sql", "0003-x.sql", "0003_X.sql", "x.sql" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		write_file(f, names[i], "");
		assert_int_equal(migrations_read(&f->m, f->dir, &f->err), -EINVAL);
		assert_non_null(strstr(f->err.msg, names[i]));
		migrations_clear(&f->m);
		remove_file(f, names[i]);
	}
}

static void a_folder_that_is_empty_or_not_there_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(migrations_read(&f->m, f->dir, &f->err), -ENOENT);
	migrations_clear(&f->m);
	assert_int_equal(migrations_read(&f->m, "/nowhere", &f->err), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(files_come_in_the_order_of_their_numbers),
		TEST(the_hash_is_of_the_content),
		TEST(two_files_with_one_number_are_refused),
		TEST(a_file_with_another_name_is_refused),
		TEST(a_folder_that_is_empty_or_not_there_is_an_error),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
