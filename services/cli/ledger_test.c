#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/secret.h"
#include "services/cli/ledger.h"
#include "services/cli/safe_file.h"

#define SITE  "00000000-0000-4000-8000-000000000001"
#define OTHER "00000000-0000-4000-8000-000000000002"

struct fixture {
	char dir[64], path[96];
	struct ledger *ledger;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/footfall-ledger_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/a/ledger.json", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "/a/ledger.json", "/a/ledger.json.lock",
		"/a/ledger.json.new", "/a", "" };
	struct fixture *f = *state;

	ledger_close(&f->ledger);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];

		snprintf(path, sizeof path, "%s%s", f->dir, names[i]);
		remove(path);
	}
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	ledger_close(&f->ledger);
	assert_int_equal(ledger_open(&f->ledger, f->path, SITE, &f->err), 0);
}

static void what_was_saved_is_found_again(void **state)
{
	struct fixture *f = *state;
	struct ledger_file file;

	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	assert_false(file.known);
	file.entry.offset = 1ULL << 40;
	file.entry.lines = 123456;
	file.entry.partial = true;
	snprintf(file.entry.name, sizeof file.entry.name, "access.log");
	assert_int_equal(ledger_save(f->ledger, &file, &f->err), 0);
	assert_true(file.known);
	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	assert_true(file.known);
	assert_int_equal(file.entry.offset, 1ULL << 40);
	assert_int_equal(file.entry.lines, 123456);
	assert_true(file.entry.partial);
	assert_string_equal(file.entry.name, "access.log");
	assert_int_equal(strlen(file.entry.time), 20);
	ledger_find(f->ledger, SPAN("second"), &file);
	assert_false(file.known);
}

static void ids_stay_the_same_and_differ_by_file_offset_and_ledger(void **state)
{
	struct fixture *f = *state;
	char a[LEDGER_ID_SIZE], b[LEDGER_ID_SIZE];
	struct ledger_file one, two;

	reopen(f);
	ledger_find(f->ledger, SPAN("one"), &one);
	ledger_find(f->ledger, SPAN("two"), &two);
	assert_int_equal(ledger_save(f->ledger, &one, &f->err), 0);
	ledger_event_id(f->ledger, &one, 7, a);
	assert_int_equal(strlen(a), LEDGER_ID_SIZE - 1);
	ledger_event_id(f->ledger, &one, 8, b);
	assert_string_not_equal(a, b);
	ledger_event_id(f->ledger, &two, 7, b);
	assert_string_not_equal(a, b);
	reopen(f);
	ledger_find(f->ledger, SPAN("one"), &one);
	ledger_event_id(f->ledger, &one, 7, b);
	assert_string_equal(a, b);
	ledger_close(&f->ledger);
	assert_int_equal(unlink(f->path), 0);
	reopen(f);
	ledger_find(f->ledger, SPAN("one"), &one);
	ledger_event_id(f->ledger, &one, 7, b);
	assert_string_not_equal(a, b);
}

static void a_second_import_into_a_site_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ledger *second = NULL;

	reopen(f);
	assert_int_equal(ledger_open(&second, f->path, SITE, &f->err), -EBUSY);
	assert_null(second);
	ledger_close(&f->ledger);
	assert_int_equal(ledger_open(&second, f->path, SITE, &f->err), 0);
	ledger_close(&second);
}

static void the_ledger_of_another_site_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ledger_file file;

	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	assert_int_equal(ledger_save(f->ledger, &file, &f->err), 0);
	ledger_close(&f->ledger);
	assert_int_equal(ledger_open(&f->ledger, f->path, OTHER, &f->err), -EINVAL);
}

static void a_damaged_ledger_is_refused_and_left_as_it_is(void **state)
{
	static const char short_key[] =
		"{\"version\":1,\"property_id\":\"" SITE "\",\"key\":\"ab\",\"files\":{}}";
	static const char *const damaged[] = { "", "{", "{\"version\":1}", "[]", short_key };
	struct fixture *f = *state;

	assert_int_equal(safe_file_folders(f->path, &f->err), 0);
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		char *text = NULL;
		size_t len;

		assert_int_equal(safe_file_write(f->path, span_of(damaged[i]), &f->err), 0);
		assert_int_equal(ledger_open(&f->ledger, f->path, SITE, &f->err), -EINVAL);
		assert_int_equal(safe_file_read(&text, &len, f->path, 1000, &f->err), 0);
		assert_string_equal(text, damaged[i]);
		free(text);
	}
}

static void a_ledger_that_cannot_be_written_keeps_what_it_was(void **state)
{
	struct fixture *f = *state;
	struct ledger_file file;
	char blocker[128];

	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	file.entry.offset = 10;
	assert_int_equal(ledger_save(f->ledger, &file, &f->err), 0);
	/* A folder where the new file would be made: the write fails before the old one is touched.
	 */
	snprintf(blocker, sizeof blocker, "%s.new", f->path);
	assert_int_equal(mkdir(blocker, 0700), 0);
	file.entry.offset = 20;
	assert_int_not_equal(ledger_save(f->ledger, &file, &f->err), 0);
	assert_int_equal(rmdir(blocker), 0);
	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	assert_int_equal(file.entry.offset, 10);
}

static void a_ledger_is_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	struct ledger_file file;
	struct stat st;

	reopen(f);
	ledger_find(f->ledger, SPAN("first"), &file);
	assert_int_equal(ledger_save(f->ledger, &file, &f->err), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_saved_is_found_again),
		TEST(ids_stay_the_same_and_differ_by_file_offset_and_ledger),
		TEST(a_second_import_into_a_site_is_refused),
		TEST(the_ledger_of_another_site_is_refused),
		TEST(a_damaged_ledger_is_refused_and_left_as_it_is),
		TEST(a_ledger_that_cannot_be_written_keeps_what_it_was),
		TEST(a_ledger_is_for_its_owner_only),
	};
	struct err err;

	return secret_init(&err) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
