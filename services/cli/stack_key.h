/* The command line's own key, for importing into the stack on this machine. */
#ifndef FOOTFALL_STACK_KEY_H
#define FOOTFALL_STACK_KEY_H

#include "lib/secret.h"
#include "services/cli/stack.h"

/* The operator's key, of scope ingest and for every site, from the stack's folder
 * (secrets/cli.key); made and entered in the app database at first need, or when it was revoked.
 * db is borrowed. */
int stack_key(const struct stack *s, PGconn *db, char token[SECRET_TOKEN_SIZE],
	struct err *err) MUST_CHECK;

#endif
