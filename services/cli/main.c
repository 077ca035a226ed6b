/* footfall: the command line, for people and for scripts. Exit 0: done, 1: failed, 2: wrong use.
 * What failed is one line on stderr. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/secret.h"
#include "lib/settings.h"
#include "lib/span.h"
#include "lib/version.h"
#include "services/cli/command.h"

#define EXIT_WRONG_USE 2

static const struct command *const groups[] = { migrate_commands, user_commands, site_commands,
	site_rule_commands, key_commands, setup_commands, status_commands, log_commands,
	dead_letter_commands, replay_commands, rebuild_commands, keys_commands, NULL };

static void print_usage(const struct command *c)
{
	printf("footfall %s%s%s", c->name, c->argument ? " " : "", c->argument ? c->argument : "");
	puts(" [OPTIONS]");
}

static void print_command_help(const struct command *c)
{
	print_usage(c);
	printf("\n%s\n", c->about);
	if (c->more)
		printf("\n%s\n", c->more);
	puts("\nOptions:");
	for (int i = 0; i < COMMAND_OPTIONS_MOST && c->option[i].name; i++) {
		char left[64];

		snprintf(left, sizeof left, "--%s%s%s", c->option[i].name,
			c->option[i].value ? " " : "",
			c->option[i].value ? c->option[i].value : "");
		printf("  %-22s %s\n", left, c->option[i].help);
	}
	printf("  %-22s %s\n  %-22s %s\n", "--json", "print JSON", "--help", "print this");
}

static void print_help(void)
{
	puts("footfall: the command line of Footfall, self-hosted web analytics.\n\n"
	     "footfall COMMAND [OPTIONS]; every command has --help and --json.\n");
	for (size_t g = 0; groups[g]; g++)
		for (const struct command *c = groups[g]; c->name; c++) {
			char left[64];

			snprintf(left, sizeof left, "%s%s%s", c->name, c->argument ? " " : "",
				c->argument ? c->argument : "");
			printf("  %-22s %s\n", left, c->about);
		}
	puts("\nThe stack is found by FOOTFALL_HOME: by default .run in the current folder, else "
	     ".run "
	     "beside\nthis program's source. Its file \"env\" gives the settings that the "
	     "environment "
	     "does not.\nExit: 0 done, 1 failed, 2 wrong use.\n");
	settings_help(
		FOR_CLI | FOR_CLI_APP_DB | FOR_CLI_METRICS_DB | FOR_CLI_SCHEMA | FOR_CLI_JOURNAL);
}

/* How many words a command's name has, when they are the first of argv; else 0. */
static int words_of(const struct command *c, int argc, char **argv)
{
	struct span rest = span_of(c->name);
	int words = 0;

	for (; rest.len; rest = span_from(rest, span_find(rest, ' ') + 1))
		if (words == argc || !span_equals(span_of(argv[words++]),
					     span_first(rest, span_find(rest, ' '))))
			return 0;
	return words;
}

/* The command whose words are the first of argv; *words is how many they are. */
static const struct command *find_command(int argc, char **argv, int *words)
{
	for (size_t g = 0; groups[g]; g++)
		for (const struct command *c = groups[g]; c->name; c++)
			if ((*words = words_of(c, argc, argv)))
				return c;
	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static int run(struct call *call, int argc, char **argv, struct err *err)
{
	int rc = call_parse(call, argc, argv, err);

	if (!rc)
		rc = secret_init(err);
	if (!rc)
		rc = call->command->run(call, err);
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = err_set(err, -EIO, "the output could not be written");
	return rc;
}

/* "footfall user": the commands that begin so. */
static bool print_group(const char *word)
{
	size_t len = strlen(word);
	bool any = false;

	for (size_t g = 0; groups[g]; g++)
		for (const struct command *c = groups[g]; c->name; c++)
			if (!strncmp(c->name, word, len) && c->name[len] == ' ') {
				print_usage(c);
				any = true;
			}
	return any;
}

int main(int argc, char **argv)
{
	struct call call = { 0 };
	struct err err = { 0 };
	int words = 0, rc;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		fputs("footfall: which command? try --help\n", stderr);
		return EXIT_WRONG_USE;
	}
	call.command = find_command(argc - 1, argv + 1, &words);
	if (call.command && asks_for_help(argc - 1 - words, argv + 1 + words)) {
		print_command_help(call.command);
		return EXIT_SUCCESS;
	}
	if (!call.command && !strcmp(argv[1], "--version")) {
		puts("footfall " VERSION_TEXT);
		return EXIT_SUCCESS;
	}
	if (!call.command && asks_for_help(argc - 1, argv + 1)) {
		if (argv[1][0] == '-' || !print_group(argv[1]))
			print_help();
		return EXIT_SUCCESS;
	}
	if (!call.command) {
		fprintf(stderr, "footfall: there is no command \"%s%s%s\"; try --help\n", argv[1],
			argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
		return EXIT_WRONG_USE;
	}
	rc = run(&call, argc - 1 - words, argv + 1 + words, &err);
	if (rc && !call.quiet)
		fprintf(stderr, "footfall: %s\n", err.msg);
	if (call.ended_by) { /* so that a shell's loop ends as well */
		signal(call.ended_by, SIG_DFL);
		raise(call.ended_by);
	}
	return !rc ? EXIT_SUCCESS : call.wrong_use ? EXIT_WRONG_USE : EXIT_FAILURE;
}
