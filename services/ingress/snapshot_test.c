#include "lib/check.h"
#include "services/ingress/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/secret.h"
#include "services/ingress/script.h"

#define NOWHERE  "host=127.0.0.1 port=1" /* no database answers there */
#define ZONE     "UTC"
#define DUE_HEX  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LIVE_HEX "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define DAY_US   (86400 * US_PER_SECOND)
#define WAIT_MS  20000

struct fixture {
	char folder[64], *path;
	struct pg_pool *pool;
	struct days *days;
	struct snapshot *snapshot;
	int64_t now_us;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *f = &fixture;
	struct err err = { 0 };

	snprintf(f->folder, sizeof f->folder, "/tmp/footfall-snapshot-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	if (asprintf(&f->path, "%s/snapshot.json", f->folder) < 0)
		return -1;
	*state = f;
	return secret_init(&err) || pg_pool_open(&f->pool, NOWHERE, "test", 0, 1, &err) ||
	       days_open(&f->days, f->pool, &err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	snapshot_close(&f->snapshot);
	days_close(&f->days);
	pg_pool_close(&f->pool);
	unlink(f->path);
	free(f->path);
	return rmdir(f->folder);
}

/* Rows of keys: "one" may send events of site 7, "two" of 3 and 9, "all" of any, and "gone" of one
 * that is not there. */
static void keys_text(char *text, size_t size)
{
	static const struct {
		const char *token;
		int site;
	} rows[] = { { "one", 7 }, { "two", 3 }, { "two", 9 }, { "all", 0 }, { "gone", 8 } };
	char hash[SECRET_HASH_HEX_SIZE];
	size_t len = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		secret_hash_hex(span_of(rows[i].token), hash);
		len += (size_t)snprintf(text + len, size - len, "%s[\"%s\", %d]", i ? ", " : "",
			hash, rows[i].site);
	}
}

/* A snapshot on disk: yesterday's key is due so many seconds from now, today's in days. */
static void lay_down(struct fixture *f, int64_t due_s)
{
	FILE *file = fopen(f->path, "w");
	char keys[600];

	keys_text(keys, sizeof keys);
	f->now_us = clock_now_us();
	assert_non_null(file);
	fprintf(file,
		"{\"sites\": [[3, \"5f6a3c1e-7d0b-4c57-8f1a-2b9d0e4c6a11\", "
		"\"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d\", \"" ZONE
		"\", [[0, false]]], [7, \"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d\", \"example.org\", "
		"\"" ZONE "\", [[0, false]]], "
		"[9, \"0c9d9c94-9a3c-4d2b-a2a4-7a4a0e6a0f10\", \"ruled.example\", \"" ZONE "\", "
		"[[0, false]], [false, true, true, [[\"alias\", \"further.example\"], "
		"[\"alias\", \"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d\"], "
		"[\"ip\", \"192.0.2.0/24\"], [\"path\", \"/admin/*\"]]], [\"hash\", \"later\", "
		"\"exit\"]]], \"keys\": [%s], \"days\": "
		"["
		"[\"" ZONE "\", 19999, %lld, %lld, \"" DUE_HEX "\", %lld], "
		"[\"" ZONE "\", 20000, %lld, %lld, \"" LIVE_HEX "\", %lld]]}",
		keys, (long long)(f->now_us - DAY_US), (long long)f->now_us,
		(long long)(f->now_us + due_s * US_PER_SECOND), (long long)f->now_us,
		(long long)(f->now_us + DAY_US), (long long)(f->now_us + 4 * DAY_US));
	assert_int_equal(fclose(file), 0);
}

static void open_it(struct fixture *f)
{
	struct err err = { 0 };

	assert_int_equal(snapshot_open(&f->snapshot, NOWHERE, f->folder, f->days, &err), 0);
}

static bool file_has(const struct fixture *f, const char *text)
{
	char all[4096] = "";
	FILE *file = fopen(f->path, "r");

	if (!file)
		return false;
	assert_true(fread(all, 1, sizeof all - 1, file) > 0);
	fclose(file);
	return strstr(all, text) != NULL;
}

static int find(struct fixture *f, int64_t ts_us)
{
	struct day day;
	struct err err;

	return days_find(f->days, ZONE, ts_us, &day, &err);
}

static int find_due(struct fixture *f)
{
	return find(f, f->now_us - US_PER_SECOND);
}

static int find_live(struct fixture *f)
{
	return find(f, f->now_us + US_PER_SECOND);
}

/* Of an ingress that was killed long ago. */
static void leave_half_made(const char *path)
{
	const struct timespec long_ago[2] = { { 1, 0 }, { 1, 0 } };
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fclose(file);
	assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
}

static void an_ingress_that_was_down_for_long_neither_uses_nor_keeps_a_key_that_is_due(void **state)
{
	struct fixture *f = *state;
	struct site site;
	struct err err;

	lay_down(f, -1);
	open_it(f);
	assert_int_equal(snapshot_ready(f->snapshot, &err), 0);
	assert_true(snapshot_site(f->snapshot, SPAN("example.org"), &site));
	assert_false(file_has(f, DUE_HEX));
	assert_true(file_has(f, LIVE_HEX));
	assert_int_equal(find_live(f), 0);
	assert_true(find_due(f) != 0);
}

static void a_key_that_becomes_due_while_the_database_is_away_is_let_go_of(void **state)
{
	const struct timespec pause = { 0, 20 * 1000000L };
	struct fixture *f = *state;
	struct site site;

	for (int tries = 0; tries < 10;
		tries++) { /* this machine may be slow, and it due by then */
		lay_down(f, 2);
		open_it(f);
		if (file_has(f, DUE_HEX) && !find_due(f))
			break;
		snapshot_close(&f->snapshot);
	}
	assert_non_null(f->snapshot);
	for (int ms = 0; file_has(f, DUE_HEX) && ms < WAIT_MS; ms += 20)
		nanosleep(&pause, NULL);
	assert_false(file_has(f, DUE_HEX));
	assert_true(file_has(f, LIVE_HEX));
	assert_int_equal(find_live(f), 0);
	assert_true(find_due(f) != 0);
	assert_true(snapshot_site(f->snapshot, SPAN("example.org"), &site));
}

/* Meanwhile the file has another name, and a folder that cannot be removed has its. */
static void a_file_whose_keys_are_due_goes_though_it_could_not_be_replaced_for_long(void **state)
{
	const struct timespec pause = { 0, 20 * 1000000L }, a_while = { 0, 300 * 1000000L };
	char making[600], away[600], inside[600], left[600];
	struct fixture *f = *state;

	snprintf(making, sizeof making, "%s.%ld", f->path, (long)getpid());
	snprintf(away, sizeof away, "%s/away", f->folder);
	snprintf(inside, sizeof inside, "%s/inside", f->path);
	snprintf(left, sizeof left, "%s.4711", f->path);
	assert_int_equal(mkdir(making, 0700), 0); /* so that no other is made */
	lay_down(f, 1);
	open_it(f);
	assert_int_equal(rename(f->path, away), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(mkdir(inside, 0700), 0);
	leave_half_made(left);
	for (int ms = 0; !access(left, F_OK) && ms < WAIT_MS; ms += 20)
		nanosleep(&pause, NULL);
	assert_int_equal(access(left, F_OK), -1); /* saving begins with this */
	nanosleep(&a_while, NULL);                /* and has failed, most likely */
	assert_int_equal(rmdir(inside), 0);
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(rename(away, f->path), 0);
	for (int ms = 0; file_has(f, DUE_HEX) && ms < WAIT_MS; ms += 20)
		nanosleep(&pause, NULL);
	assert_false(file_has(f, DUE_HEX));
	assert_int_equal(find_live(f), 0);
	assert_int_equal(rmdir(making), 0);
}

static void a_file_that_is_of_no_use_is_not_kept(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen(f->path, "w");
	struct err err;

	assert_non_null(file);
	fputs("{\"days\": [[\"" ZONE "\", 19999, 0, 1, \"" DUE_HEX "\"]]", file);
	fclose(file);
	open_it(f);
	assert_int_equal(snapshot_ready(f->snapshot, &err), -EAGAIN);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void what_a_killed_ingress_left_half_made_goes(void **state)
{
	struct fixture *f = *state;
	char left[600];

	snprintf(left, sizeof left, "%s.4711", f->path);
	leave_half_made(left);
	open_it(f);
	assert_int_equal(access(left, F_OK), -1);
}

static void the_rules_of_a_site_and_its_further_hosts_are_in_the_file_too(void **state)
{
	struct fixture *f = *state;
	struct asked asked = {
		.from_page = true, .host = SPAN("ruled.example"), .path = SPAN("/admin/x")
	};
	struct site ruled, free_one;
	struct addr address;

	lay_down(f, 60);
	open_it(f);
	assert_true(snapshot_site(f->snapshot, SPAN("www.Further.example"), &ruled));
	assert_int_equal(ruled.id, 9);
	assert_true(ruled.has_rules && ruled.refuses_bots && ruled.honours_dnt);
	assert_int_equal(snapshot_refuse(f->snapshot, &ruled, &asked), DROPPED_PATH);
	asked.path = SPAN("/");
	assert_int_equal(snapshot_refuse(f->snapshot, &ruled, &asked), DROPPED_NONE);
	assert_int_equal(addr_parse(&address, SPAN("192.0.2.7")), 0);
	asked.address = &address;
	assert_int_equal(snapshot_refuse(f->snapshot, &ruled, &asked), DROPPED_IP);
	/* Of an ingress that knew of no rules. */
	assert_true(snapshot_site(f->snapshot, SPAN("example.org"), &free_one));
	assert_false(free_one.has_rules);
	assert_int_equal(snapshot_refuse(f->snapshot, &free_one, &asked), DROPPED_NONE);
	ruled.id = 8;
	assert_int_equal(snapshot_refuse(f->snapshot, &ruled, &asked), DROPPED_UNKNOWN_SITE);
}

static void what_a_site_chose_of_its_script_is_in_the_file_and_the_default_where_that_is_older(
	void **state)
{
	struct fixture *f = *state;
	struct site chosen, older;

	lay_down(f, 60);
	open_it(f);
	assert_true(snapshot_site(f->snapshot, SPAN("ruled.example"), &chosen));
	assert_int_equal(chosen.script, SCRIPT_HASH | SCRIPT_EXIT);
	assert_true(snapshot_site(f->snapshot, SPAN("example.org"), &older));
	assert_int_equal(older.script, SCRIPT_DEFAULT);
	assert_false(older.honours_dnt);
}

/* Of a database that took such names; on either side of the site, whatever the order. */
static void a_property_id_names_its_own_site_though_others_have_it_as_domain_and_alias(void **state)
{
	struct fixture *f = *state;
	struct site site;

	lay_down(f, 60);
	open_it(f);
	assert_true(
		snapshot_site(f->snapshot, SPAN("9B1DEB4D-3b7d-4bad-9bdd-2b0d7b3dcb6d"), &site));
	assert_int_equal(site.id, 7);
	assert_true(
		snapshot_site(f->snapshot, SPAN("5f6a3c1e-7d0b-4c57-8f1a-2b9d0e4c6a11"), &site));
	assert_int_equal(site.id, 3);
	assert_true(snapshot_site(f->snapshot, SPAN("further.example"), &site));
	assert_int_equal(site.id, 9);
	assert_true(snapshot_site_of_id(f->snapshot, 7, &site));
	assert_string_equal(site.domain, "example.org");
	assert_false(snapshot_site_of_id(f->snapshot, 8, &site));
	assert_false(snapshot_site_of_id(f->snapshot, 0, &site));
}

static void a_key_has_a_site_when_it_may_send_events_of_no_other(void **state)
{
	static const char *const tokens[] = { "two", "all", "gone", "none", "" };
	struct fixture *f = *state;
	struct site site = { .id = 1 };

	lay_down(f, 60);
	open_it(f);
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
		assert_false(snapshot_key_site(f->snapshot, span_of(tokens[i]), &site));
	assert_int_equal(site.id, 1);
	assert_true(snapshot_key_site(f->snapshot, SPAN("one"), &site));
	assert_int_equal(site.id, 7);
	assert_true(snapshot_key_allows(f->snapshot, SPAN("one"), 7));
	assert_true(snapshot_key_allows(f->snapshot, SPAN("one"), 0));
	assert_false(snapshot_key_allows(f->snapshot, SPAN("one"), 3));
	assert_true(snapshot_key_allows(f->snapshot, SPAN("two"), 9));
	assert_true(snapshot_key_allows(f->snapshot, SPAN("all"), 9));
	assert_false(snapshot_key_allows(f->snapshot, SPAN("none"), 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_ingress_that_was_down_for_long_neither_uses_nor_keeps_a_key_that_is_due),
		TEST(a_key_that_becomes_due_while_the_database_is_away_is_let_go_of),
		TEST(a_file_whose_keys_are_due_goes_though_it_could_not_be_replaced_for_long),
		TEST(a_file_that_is_of_no_use_is_not_kept),
		TEST(what_a_killed_ingress_left_half_made_goes),
		TEST(the_rules_of_a_site_and_its_further_hosts_are_in_the_file_too),
		TEST(what_a_site_chose_of_its_script_is_in_the_file_and_the_default_where_that_is_older),
		TEST(a_property_id_names_its_own_site_though_others_have_it_as_domain_and_alias),
		TEST(a_key_has_a_site_when_it_may_send_events_of_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
