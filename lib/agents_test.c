/* The list of the npm package crawler-user-agents, against its own instances and against browsers.
 */
#include "lib/agents.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/clock.h"
#include "lib/watch.h"

#define LIST "node_modules/crawler-user-agents/crawler-user-agents.json"

static struct agents *agents;
static char path[64];

static int open_list(void **state)
{
	struct err err = { 0 };

	(void)state;
	if (agents_open(&agents, LIST, &err))
		print_error("%s\n", err.msg);
	return agents ? 0 : -1;
}

static int close_list(void **state)
{
	(void)state;
	agents_close(&agents);
	return agents ? -1 : 0;
}

static void each_agent_that_the_list_names_is_a_bot(void **state)
{
	json_t *list = json_load_file(LIST, 0, NULL), *entry, *instance;
	size_t i, k, count = 0;

	(void)state;
	assert_int_equal(agents_count(agents), json_array_size(list));
	json_array_foreach(list, i, entry)
	{
		json_array_foreach(json_object_get(entry, "instances"), k, instance)
		{
			count++;
			if (!agent_is_bot(agents, span_of(json_string_value(instance))))
				fail_msg("%s", json_string_value(instance));
		}
	}
	assert_true(count >= 2118);
	json_decref(list);
}

/* What of a sample is no ordinary browser, or the list takes for none, and why. */
static const struct {
	const char *text, *why;
} exceptions[] = {
	{ "Google Web Preview", "a program that makes pictures of pages" },
	{ "GoogleImageProxy", "a program that fetches pictures" },
	{ "BingPreview", "a program that makes pictures of pages" },
	{ "PhantomJS", "a browser without a person" },
	{ "PTST/", "WebPageTest, which measures pages" },
	{ "Butterfly", "the list means a crawler by it, HTC a telephone" },
	{ "Sonic", "the list means a crawler by it, Huawei and ViewSonic telephones" },
};

static bool is_exception(const char *agent)
{
	for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
		if (strstr(agent, exceptions[i].text))
			return true;
	return false;
}

/* By its form: that of a browser, which names no address. */
static bool looks_like_a_browser(const char *agent)
{
	static const char *const others[] = { "bot", "Bot", "spider", "Spider", "crawl", "Crawl",
		"http", "@", ".com" };

	if (strncmp(agent, "Mozilla/5.0 (", 13) != 0 && strncmp(agent, "Opera/9.80 (", 12) != 0 &&
		strncmp(agent, "Mozilla/4.0 (compatible; MSIE", 29) != 0)
		return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strstr(agent, others[i]))
			return false;
	return strstr(agent, "Chrome/") || strstr(agent, "Safari/") || strstr(agent, "Firefox/") ||
	       strstr(agent, "Opera/") || strstr(agent, "MSIE") || strstr(agent, "Trident/");
}

/* Each agent of a file that looks like a browser's and has the word is none of the list, but for
 * the exceptions; those are. An agent is in its line between the before-th and the next quote. */
static void check_browsers(const char *file_path, size_t before, const char *word, size_t least)
{
	FILE *file = fopen(file_path, "re");
	char line[4096];
	size_t count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof line, file)) {
		char *at = line, *end;

		for (size_t i = 0; at && i < before; i++) {
			at = strpbrk(at, "\"'");
			at = at ? at + 1 : NULL;
		}
		end = at ? strpbrk(at, "\"'\n") : NULL;
		if (!end)
			continue;
		*end = '\0';
		if (!looks_like_a_browser(at) || !strstr(at, word))
			continue;
		count++;
		if (agent_is_bot(agents, span_of(at)) != is_exception(at))
			fail_msg("%s", at);
	}
	fclose(file);
	assert_true(count >= least);
}

static void no_browser_of_a_real_log_is_a_bot(void **state)
{
	(void)state;
	check_browsers("tests/data/logs/apache_combined_10k.log", 5, "", 5000);
}

static void no_browser_of_thousands_of_telephones_is_a_bot(void **state)
{
	(void)state;
	check_browsers("tests/data/uap-core/test_device.yaml", 1, "Android", 7000);
}

static void no_browser_of_today_is_a_bot(void **state)
{
	static const char *const browsers[] = {
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/131.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
		"Gecko) Version/18.1 Safari/605.1.15",
		"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/131.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
		"(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/131.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
		"SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like "
		"Gecko) Version/13.0 Safari/605.1.15",
		"",
		"-",
	};

	(void)state;
	for (size_t i = 0; i < sizeof browsers / sizeof *browsers; i++)
		if (agent_is_bot(agents, span_of(browsers[i])))
			fail_msg("%s", browsers[i]);
}

static void any_bytes_will_do_and_the_first_512_count(void **state)
{
	char text[600];

	(void)state;
	assert_false(agent_is_bot(agents, (struct span){ NULL, 0 }));
	assert_true(agent_is_bot(agents, (struct span){ "\xff\0 Googlebot/2.1", 16 }));
	memset(text, 'x', sizeof text);
	memcpy(text + 502, "Googlebot/", 10);
	assert_true(agent_is_bot(agents, (struct span){ text, sizeof text }));
	memset(text, 'x', sizeof text);
	memcpy(text + 503, "Googlebot/", 10);
	assert_false(agent_is_bot(agents, (struct span){ text, sizeof text }));
}

static void put_file(const char *text)
{
	char other[sizeof path + 4];
	FILE *file;

	snprintf(other, sizeof other, "%s.new", path);
	file = fopen(other, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(other, path), 0);
}

static int make_file(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof path, "/tmp/footfall-agents-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void what_is_no_list_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "line 1" },
		{ "[", "line 1" },
		{ "{}", "not a list" },
		{ "[]", "not a list" },
		{ "[{\"url\": \"a\"}]", "entry 1 has no pattern" },
		{ "[{\"pattern\": \"a\"}, {\"pattern\": 1}]", "entry 2 has no pattern" },
		{ "[{\"pattern\": \"a\"}, {\"pattern\": \"(\"}]", "entry 2: missing" },
		{ "[{\"pattern\": \"a\"}] x", "line 1" },
	};
	struct agents *none = NULL;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file(bad[i].text);
		assert_int_equal(agents_open(&none, path, &err), -EINVAL);
		assert_null(none);
		assert_non_null(strstr(err.msg, path));
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s", err.msg);
	}
	assert_int_equal(agents_open(&none, "tests/data", &err), -EINVAL);
	assert_int_equal(agents_open(&none, "tests/data/missing", &err), -ENOENT);
}

/* Let the list see what its file is, as if seconds had passed. */
static void pass_time(struct agents *list, int64_t *now)
{
	for (int i = 0; i < 2; i++)
		agents_follow(list, *now += WATCH_EVERY_US);
}

static void a_new_file_is_taken_and_a_broken_one_is_not(void **state)
{
	int64_t now = clock_mono_us() + WATCH_EVERY_US;
	struct agents *list = NULL;
	struct err err = { 0 };

	(void)state;
	put_file("[{\"pattern\": \"one\"}]");
	assert_int_equal(agents_open(&list, path, &err), 0);
	assert_true(agent_is_bot(list, SPAN("one")));
	put_file("[{\"pattern\": \"^two$\"}]");
	pass_time(list, &now);
	assert_false(agent_is_bot(list, SPAN("one")));
	assert_true(agent_is_bot(list, SPAN("two")));
	put_file("[{\"pattern\": \"(\"}]");
	pass_time(list, &now);
	assert_true(agent_is_bot(list, SPAN("two")));
	assert_int_equal(unlink(path), 0);
	pass_time(list, &now);
	assert_true(agent_is_bot(list, SPAN("two")));
	put_file("[{\"pattern\": \"three\"}, {\"pattern\": \"fo+ur\"}]");
	pass_time(list, &now);
	assert_true(agent_is_bot(list, SPAN("fooour")));
	assert_int_equal(agents_count(list), 2);
	agents_close(&list);
	assert_null(list);
	agents_close(&list);
}

struct asking {
	struct agents *list;
	atomic_bool ends;
	atomic_uint wrong;
};

static void *ask(void *arg)
{
	struct asking *asking = arg;

	while (!atomic_load(&asking->ends))
		if (!agent_is_bot(asking->list, SPAN("the one")) ||
			agent_is_bot(asking->list, SPAN("nobody")))
			atomic_fetch_add(&asking->wrong, 1);
	return NULL;
}

static void threads_may_ask_while_the_list_is_read_again(void **state)
{
	int64_t now = clock_mono_us() + 1000 * US_PER_SECOND;
	struct asking asking = { .list = NULL };
	struct err err = { 0 };
	pthread_t thread[3];

	(void)state;
	put_file("[{\"pattern\": \"one\"}]");
	assert_int_equal(agents_open(&asking.list, path, &err), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, ask, &asking), 0);
	for (int i = 0; i < 50; i++) {
		put_file(i % 2 ? "[{\"pattern\": \"one\"}]" : "[{\"pattern\": \"the o\"}]");
		pass_time(asking.list, &now);
	}
	atomic_store(&asking.ends, true);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(asking.wrong, 0);
	agents_close(&asking.list);
}

#define WITH_FILE(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_agent_that_the_list_names_is_a_bot),
		cmocka_unit_test(no_browser_of_a_real_log_is_a_bot),
		cmocka_unit_test(no_browser_of_thousands_of_telephones_is_a_bot),
		cmocka_unit_test(no_browser_of_today_is_a_bot),
		cmocka_unit_test(any_bytes_will_do_and_the_first_512_count),
		WITH_FILE(what_is_no_list_is_refused_with_the_reason),
		WITH_FILE(a_new_file_is_taken_and_a_broken_one_is_not),
		WITH_FILE(threads_may_ask_while_the_list_is_read_again),
	};

	return cmocka_run_group_tests(tests, open_list, close_list);
}
