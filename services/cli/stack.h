/* The stack that the command line speaks to: its folder, its settings, its databases. */
#ifndef FOOTFALL_STACK_H
#define FOOTFALL_STACK_H

#include <libpq-fe.h>
#include <limits.h>
#include <stdbool.h>

#include "lib/err.h"
#include "lib/settings.h"

struct stack {
	char home[PATH_MAX]; /* FOOTFALL_HOME, or where it was found; "" when there is none */
	bool home_is_given;  /* by FOOTFALL_HOME */
	struct settings settings;
};

/* Find the folder (FOOTFALL_HOME; .run in the current folder; .run in the folder of the source that
 * this program was built in), take from its file "env" what the environment does not set, and load
 * the settings that `who` names (FOR_CLI and its bits). stack_close() is fine either way. */
int stack_open(struct stack *s, int who, struct err *err) MUST_CHECK;
void stack_close(struct stack *s);

/* Connect; *out is yours (PQfinish), NULL on error. */
int stack_app_db(const struct stack *s, PGconn **out, struct err *err) MUST_CHECK;
int stack_metrics_db(const struct stack *s, PGconn **out, struct err *err) MUST_CHECK;

/* Open a stack and its app database in one; most subcommands need just that. */
int stack_open_app(struct stack *s, PGconn **out, struct err *err) MUST_CHECK;

/* Take NAME=value lines into the environment without overriding what is set there, NAME and
 * NAME_FILE being one. Empty lines and lines with # are skipped. */
int stack_env_load(const char *path, struct err *err) MUST_CHECK;

#endif
