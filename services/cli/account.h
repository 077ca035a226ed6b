/* People, as the command line names them: by e-mail address. */
#ifndef FOOTFALL_ACCOUNT_H
#define FOOTFALL_ACCOUNT_H

#include <libpq-fe.h>

#include "lib/err.h"
#include "services/cli/command.h"

/* The id, as text, of the account with that address. -ENOENT: there is none. */
int account_find(PGconn *db, const char *email, char id[24], struct err *err) MUST_CHECK;

#endif
