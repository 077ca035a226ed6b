/* Session: a login, kept on the server. The browser has a random token in an HttpOnly cookie, the
 * database its hash and the day it ends. */
#ifndef FOOTFALL_SESSION_H
#define FOOTFALL_SESSION_H

#include "services/console/console.h"

#define EMAIL_MOST 254 /* bytes, RFC 5321 */

struct session {
	char account_id[24]; /* decimal, as SQL wants it */
	char email[4 * EMAIL_MOST + 1];
};

/* Log the account in: a row, and the cookie as a header of the answer to come. */
int session_open(struct console *console, struct http_request *req, const char *account_id,
	struct err *err) MUST_CHECK;

/* Who sends this request. -EACCES: nobody we know. */
int session_find(struct console *console, struct http_request *req, struct session *out,
	struct err *err) MUST_CHECK;

/* session_find() for handlers that need somebody; on error the answer has been sent. */
int session_need(struct console *console, struct http_request *req, struct session *out) MUST_CHECK;

/* Log out: forget the row, take back the cookie. Without a session nothing happens. */
int session_end(struct console *console, struct http_request *req, struct err *err) MUST_CHECK;

/* Delete sessions and set-up links whose time is over; nobody could use them any more. */
void session_sweep(struct console *console);

#endif
