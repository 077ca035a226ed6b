#include "lib/check.h"
#include "services/ingress/recents.h"

#include <stdio.h>
#include <string.h>

static struct recents *recents;

static int setup(void **state)
{
	struct err err;

	(void)state;
	return recents_open(&recents, &err);
}

static int teardown(void **state)
{
	(void)state;
	recents_close(&recents);
	return 0;
}

static void add(uint32_t site_id, const char *path)
{
	const struct event ev = {
		.id = 5, .visitor = 4, .kind = EVENT_PAGEVIEW, .path = span_of(path)
	};

	recents_add(recents, site_id, "/api/event", DROPPED_NONE, &ev, SPAN(""));
}

static const char *path_of(const json_t *list, size_t i)
{
	return json_string_value(json_object_get(json_array_get(list, i), "path"));
}

static void the_last_fifty_of_a_site_are_there_the_latest_first(void **state)
{
	char path[16];
	json_t *list;

	(void)state;
	for (int i = 1; i <= 120; i++) {
		snprintf(path, sizeof path, "/%d", i);
		add(7, path);
	}
	add(8, "/other");
	list = recents_json(recents, 7);
	assert_int_equal(json_array_size(list), RECENTS_OF_SITE);
	assert_string_equal(path_of(list, 0), "/120");
	assert_string_equal(path_of(list, 49), "/71");
	json_decref(list);
	list = recents_json(recents, 9);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void the_site_that_was_sent_to_longest_ago_makes_room(void **state)
{
	json_t *list;

	(void)state;
	for (uint32_t id = 1; id <= RECENTS_SITES; id++)
		add(id, "/first");
	add(1, "/again");
	add(1000, "/new");
	list = recents_json(recents, 2);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	list = recents_json(recents, 1);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	list = recents_json(recents, 1000);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
}

static void what_was_refused_has_its_reason_and_no_visitor(void **state)
{
	const struct event ev = { .id = 5,
		.visitor = 4,
		.kind = EVENT_PAGEVIEW,
		.bot = EVENT_BOT_PREFETCH,
		.user_agent = SPAN("Agent") };
	const json_t *one;
	json_t *list;

	(void)state;
	recents_add(recents, 7, "/api/event", DROPPED_PATH, &ev, SPAN("https://o.example"));
	list = recents_json(recents, 7);
	one = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(one, "reason")), "path");
	assert_string_equal(json_string_value(json_object_get(one, "bot")), "prefetch");
	assert_string_equal(json_string_value(json_object_get(one, "origin")), "https://o.example");
	assert_string_equal(json_string_value(json_object_get(one, "agent")), "Agent");
	assert_null(json_object_get(one, "visitor"));
	assert_null(json_object_get(one, "id"));
	json_decref(list);
}

static void of_who_opted_out_or_comes_from_a_refused_address_it_is_not_told_what_they_did(
	void **state)
{
	const struct event ev = { .kind = EVENT_PAGEVIEW,
		.name = SPAN("n"),
		.host = SPAN("h.example"),
		.path = SPAN("/p"),
		.referrer = SPAN("https://r.example/"),
		.user_agent = SPAN("Agent") };
	const char *const texts[] = { "path", "referrer", "agent", "name", "host", "origin" };
	const enum dropped reasons[] = { DROPPED_OPT_OUT, DROPPED_IP };
	const size_t left_out[] = { 6, 3 };
	json_t *list;

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		recents_add(recents, 7, "/api/event", reasons[n], &ev, SPAN("https://o.example"));
		list = recents_json(recents, 7);
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(list, 0), "reason")),
			dropped_word(reasons[n]));
		for (size_t i = 0; i < 6; i++)
			assert_int_equal(!json_object_get(json_array_get(list, 0), texts[i]),
				i < left_out[n]);
		json_decref(list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_last_fifty_of_a_site_are_there_the_latest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_site_that_was_sent_to_longest_ago_makes_room, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_was_refused_has_its_reason_and_no_visitor, setup, teardown),
		cmocka_unit_test_setup_teardown(
			of_who_opted_out_or_comes_from_a_refused_address_it_is_not_told_what_they_did,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
