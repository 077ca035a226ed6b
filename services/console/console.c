#include "services/console/console.h"

#include "lib/log.h"

int console_run(struct console *console, PGresult **out, const char *sql, int n,
	const char *const *params, struct err *err)
{
	int rc = pg_pool_run(console->app, out, sql, n, params, err);

	if (rc == -ECONNRESET || rc == -EAGAIN) {
		if (!atomic_fetch_add(&console->db_failures, 1))
			log_error("console: the app database does not answer: %s", err->msg);
	} else {
		long long failures = atomic_exchange(&console->db_failures, 0);

		if (failures)
			log_info("console: the app database answers again failures=%lld", failures);
	}
	return rc;
}

void console_answer_failure(struct http_request *req, const struct err *err)
{
	switch (err->code) {
	case -EINVAL:
		http_answer_error(req, 400, "%s", err->msg);
		break;
	case -EEXIST:
		http_answer_error(req, 409, "%s", err->msg);
		break;
	case -ECONNRESET:
	case -EAGAIN:
		http_add_header(req, "Retry-After", "2");
		http_answer_error(
			req, 503, "the database cannot be reached now; try again in a moment");
		break;
	default:
		log_error("console: a request failed: %s", err->msg);
		http_answer_error(req, 500, "something went wrong here; the log says what");
	}
}
