/* Account: the handlers by which a person comes in and goes out. */
#ifndef FOOTFALL_ACCOUNT_H
#define FOOTFALL_ACCOUNT_H

#include "lib/http.h"

http_handler account_login;  /* POST /api/login */
http_handler account_logout; /* POST /api/logout */
http_handler account_setup;  /* POST /api/setup: the first account, by the one-time token */
http_handler account_me;     /* GET /api/me */

#endif
