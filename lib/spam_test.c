#include "lib/spam.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/clock.h"
#include "lib/log.h"

struct fixture {
	char dir[64], path[80];
};

static void write_list(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	log_open("spam_test", LOG_ALARM);
	snprintf(f.dir, sizeof f.dir, "/tmp/footfall-spam-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.path, sizeof f.path, "%s/spammers.txt", f.dir);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;

	unlink(f->path);
	return rmdir(f->dir);
}

static void a_domain_of_the_list_and_what_is_below_it_is_spam(void **state)
{
	static const char *const spam_hosts[] = { "semalt.com", "www.semalt.com", "SEMALT.com",
		"a.b.semalt.com", "semalt.com.", "qiwi.xyz", "buttons.for.example" };
	static const char *const others[] = { "", "com", "semalt", "notsemalt.com", "semalt.com.de",
		"semalt.org", "for.example", ".", ".com", "semalt.com/x" };
	struct fixture *f = *state;
	struct spam *spam;
	struct err err;

	write_list(f, "# a comment\nsemalt.com\n\nQIWI.xyz\r\n  buttons.for.example\n");
	assert_int_equal(spam_open(&spam, f->path, &err), 0);
	for (size_t i = 0; i < sizeof spam_hosts / sizeof *spam_hosts; i++)
		if (!spam_is_referrer(spam, span_of(spam_hosts[i])))
			fail_msg("%s is spam", spam_hosts[i]);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (spam_is_referrer(spam, span_of(others[i])))
			fail_msg("%s is no spam", others[i]);
	spam_close(&spam);
}

static void a_host_longer_than_any_name_is_none_of_the_list(void **state)
{
	struct fixture *f = *state;
	struct spam *spam;
	char host[2000];
	struct err err;

	write_list(f, "semalt.com\n");
	assert_int_equal(spam_open(&spam, f->path, &err), 0);
	memset(host, '.', sizeof host);
	memcpy(host + sizeof host - 11, ".semalt.com", 11);
	assert_false(spam_is_referrer(spam, (struct span){ host, sizeof host }));
	assert_true(spam_is_referrer(spam, (struct span){ host + sizeof host - 253, 253 }));
	spam_close(&spam);
}

static void a_list_that_is_none_is_refused_with_its_path(void **state)
{
	static const char *const bad[] = { "", "\n# nothing\n", "semalt.com\nsome words\n",
		"https://semalt.com/\n", "localhost\n" };
	struct fixture *f = *state;
	struct spam *spam = NULL;
	struct err err;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_list(f, bad[i]);
		assert_int_equal(spam_open(&spam, f->path, &err), -EINVAL);
		assert_non_null(strstr(err.msg, f->path));
	}
	assert_int_equal(spam_open(&spam, "/nowhere/spammers.txt", &err), -ENOENT);
	assert_int_equal(spam_open(&spam, f->dir, &err), -EISDIR);
	assert_null(spam);
}

static void follow(struct spam *spam)
{
	int64_t end_us = clock_mono_us() + 20 * US_PER_SECOND;

	while (!spam_follow(spam)) {
		assert_true(clock_mono_us() < end_us);
		usleep(20000);
	}
}

static void a_list_that_has_changed_is_read_again_and_a_bad_one_is_not(void **state)
{
	struct fixture *f = *state;
	struct spam *spam;
	struct err err;

	write_list(f, "semalt.com\n");
	assert_int_equal(spam_open(&spam, f->path, &err), 0);
	write_list(f, "no domain here\nsemalt.com\n");
	follow(spam);
	assert_true(spam_is_referrer(spam, SPAN("semalt.com")));
	write_list(f, "later.example\n");
	follow(spam);
	assert_true(spam_is_referrer(spam, SPAN("later.example")));
	assert_false(spam_is_referrer(spam, SPAN("semalt.com")));
	spam_close(&spam);
}

static void the_list_that_comes_with_the_product_is_read_whole(void **state)
{
	struct spam *spam;
	struct err err;

	(void)state;
	assert_int_equal(spam_open(&spam, "deploy/lists/spammers.txt", &err), 0);
	assert_true(spam_is_referrer(spam, SPAN("www.0-0.fr")));
	assert_true(spam_is_referrer(spam, SPAN("semalt.com")));
	assert_false(spam_is_referrer(spam, SPAN("google.com")));
	spam_close(&spam);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_domain_of_the_list_and_what_is_below_it_is_spam),
		TEST(a_host_longer_than_any_name_is_none_of_the_list),
		TEST(a_list_that_is_none_is_refused_with_its_path),
		TEST(a_list_that_has_changed_is_read_again_and_a_bad_one_is_not),
		TEST(the_list_that_comes_with_the_product_is_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
