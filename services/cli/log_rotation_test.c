#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"
#include "services/cli/log_rotation.h"

struct fixture {
	char folder[64], log[128];
	struct log_rotation rotation;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->folder, sizeof f->folder, "/tmp/footfall-log_rotation_test.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->log, sizeof f->log, "%s/a.log", f->folder);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_rotation_clear(&f->rotation);
	nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void make(struct fixture *f, const char *name, time_t written)
{
	struct timespec times[2] = { { written, 0 }, { written, 0 } };
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", f->folder, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void assert_found(struct fixture *f, const char *names)
{
	char found[PATH_MAX] = "";
	size_t len = 0;

	log_rotation_clear(&f->rotation);
	assert_int_equal(log_rotation_find(&f->rotation, f->log, &f->err), 0);
	for (size_t i = 0; i < f->rotation.count; i++)
		len += (size_t)snprintf(found + len, sizeof found - len, "%s%s", i ? " " : "",
			strrchr(f->rotation.path[i], '/') + 1);
	assert_string_equal(found, names);
}

static void rotated_files_come_least_recently_written_first(void **state)
{
	struct fixture *f = *state;

	make(f, "a.log.1", 400);
	make(f, "a.log.10.gz", 100);
	make(f, "a.log-20261121", 300);
	make(f, "a.log-2026-11-20_1.gz", 200);
	assert_found(f, "a.log.10.gz a.log-2026-11-20_1.gz a.log-20261121 a.log.1");
}

static void other_files_are_none(void **state)
{
	static const char *const others[] = { "a.log", "b.log.1", "a.log.txt", "a.log1", "a.log.",
		"a.log.1.bak", "a.log.gz", "a.log.1gz", "a.log.1.bz2", "aXlog.1" };
	struct fixture *f = *state;
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		make(f, others[i], 100);
	snprintf(path, sizeof path, "%s/a.log.2", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_found(f, "");
}

static void a_name_without_a_folder_is_of_the_current_one(void **state)
{
	struct fixture *f = *state;
	char before[PATH_MAX];

	make(f, "a.log.1", 100);
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(f->folder), 0);
	snprintf(f->log, sizeof f->log, "a.log");
	assert_found(f, "a.log.1");
	assert_int_equal(chdir(before), 0);
}

static void a_folder_that_is_not_there_has_none(void **state)
{
	struct fixture *f = *state;

	snprintf(f->log, sizeof f->log, "%s/nowhere/a.log", f->folder);
	assert_found(f, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(rotated_files_come_least_recently_written_first),
		TEST(other_files_are_none),
		TEST(a_name_without_a_folder_is_of_the_current_one),
		TEST(a_folder_that_is_not_there_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
