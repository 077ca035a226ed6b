/* A subcommand: what it is called with, and the row that describes it. One file per group of
 * subcommands exports its rows; main.c lists the groups, parses and prints. */
#ifndef FOOTFALL_COMMAND_H
#define FOOTFALL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

#define COMMAND_OPTIONS_MOST   12
#define COMMAND_ARGUMENTS_MOST 3

struct command;

/* One run of a subcommand. Texts are lent by the process. */
struct call {
	const struct command *command;
	const char *arg[COMMAND_ARGUMENTS_MOST];
	const char
		*value[COMMAND_OPTIONS_MOST]; /* of the option of the same index; NULL: not given */
	bool json;
	bool wrong_use; /* exit with 2 instead of 1 */
	bool quiet;     /* exit with 1 and say nothing more: the output says it */
	int ended_by;   /* a signal that ended the run cleanly; 0: none */
};

/* value says what the option takes; NULL: it is a switch. Every subcommand has --json and --help
 * besides. */
struct command_option {
	const char *name;
	const char *value;
	const char *help;
};

struct command {
	const char *name;     /* "user add", one to three words; NULL ends a list */
	const char *argument; /* "EMAIL"; several with a blank between; "[ID]": may be left out;
				 NULL: none */
	const char *about;    /* one line */
	const char *more;     /* paragraphs for --help, or NULL */
	int (*run)(struct call *call, struct err *err);
	struct command_option option[COMMAND_OPTIONS_MOST];
};

extern const struct command dead_letter_commands[], key_commands[], keys_commands[], log_commands[],
	migrate_commands[], rebuild_commands[], replay_commands[], setup_commands[],
	site_commands[], site_rule_commands[], status_commands[], user_commands[];

/* Take what follows a command's words: its argument and options. call->command is set. */
int call_parse(struct call *call, int argc, char **argv, struct err *err) MUST_CHECK;

/* What was given for an option: its value, "" for a switch, NULL when it was not given. */
const char *call_option(const struct call *call, const char *name);
static inline bool call_has(const struct call *call, const char *name)
{
	return call_option(call, name) != NULL;
}

/* Fail with exit 2. */
#define call_wrong(call, err, ...) ((call)->wrong_use = true, err_set((err), -EINVAL, __VA_ARGS__))

/* A whole number given for an option, or fallback. */
int call_number(struct call *call, const char *name, long least, long most, long fallback,
	long *out, struct err *err) MUST_CHECK;

#endif
