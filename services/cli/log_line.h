/* One line of an access log, as Apache's and nginx's "common" and "combined" formats write it:
 *
 *   [VHOST] CLIENT IDENT USER [10/Oct/2000:13:55:36 -0700] "GET /path HTTP/1.1" 200 2326
 *   and, combined: "REFERRER" "USER AGENT"; further fields are ignored.
 *
 * Formats: Apache 2.4 mod_log_config, nginx ngx_http_log_module. */
#ifndef FOOTFALL_LOG_LINE_H
#define FOOTFALL_LOG_LINE_H

#include <stdbool.h>

#include "lib/err.h"
#include "lib/span.h"

#define LOG_TIME_LENGTH 25 /* 2000-10-10T13:55:36-07:00 */

/* Spans are borrowed from the line and still escaped (log_text_plain()); empty when the line has no
 * such field, or "-" for it. */
struct log_line {
	struct span client; /* an address, or a host name where the server looks names up */
	bool client_is_address;
	char time[LOG_TIME_LENGTH + 1]; /* RFC 3339, with the line's own offset */
	struct span method;
	struct span target; /* as requested; of an absolute URL only path and query */
	int status;
	struct span referrer;
	struct span agent;
};

/* -EINVAL: not such a line. */
int log_line_parse(struct log_line *out, struct span line) MUST_CHECK;

/* Whether a line counts as a page view, or why not. LOG_TOO_LONG is for the reader's caller. */
enum log_verdict {
	LOG_PAGE,
	LOG_NOT_GET,
	LOG_STATUS,
	LOG_ASSET,
	LOG_MALFORMED,
	LOG_TOO_LONG,
	LOG_VERDICTS
};
enum log_verdict log_line_verdict(const struct log_line *line);

/* Whether a request target names a file that is no page, by its extension. */
bool log_target_is_asset(struct span target);

/* The extensions that make an asset, sorted, ended by NULL. */
extern const char *const log_asset_extensions[];

/* Undo the escapes of both servers (\" \\ \n \t \xHH …) into buf, of at least text.len bytes.
 * Returns text itself where there is nothing to undo. The result may be any bytes. */
struct span log_text_plain(char *buf, struct span text);

#endif
