#include "lib/check.h"
#include "services/worker/app.h"

#include <poll.h>
#include <string.h>

#define ASKS_MOST 3000 /* of 10 ms: 30 s */

/* Whether the database was tried, which nobody is there to be; else it was left alone. */
static bool tries(struct app *app)
{
	const struct app_site *site;
	struct err err;

	assert_int_equal(app_site(app, 7, &site, &err), -EAGAIN);
	return !strstr(err.msg, "a moment ago");
}

static void a_database_that_is_away_is_tried_again_however_often_it_is_asked_for(void **state)
{
	struct app *app;
	struct err err;

	(void)state;
	assert_int_equal(app_open(&app, "host=/nonexistent", &err), 0);
	assert_true(tries(app));
	assert_false(tries(app));
	for (int again = 0; again < 2; again++) {
		int asks = 0;

		while (asks < ASKS_MOST && !tries(app)) {
			poll(NULL, 0, 10);
			asks++;
		}
		assert_in_range(asks, 1, ASKS_MOST - 1);
	}
	app_close(&app);
	assert_null(app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_database_that_is_away_is_tried_again_however_often_it_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
