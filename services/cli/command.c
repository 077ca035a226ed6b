#include "services/cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "lib/span.h"

const char *call_option(const struct call *call, const char *name)
{
	for (int i = 0; i < COMMAND_OPTIONS_MOST && call->command->option[i].name; i++)
		if (!strcmp(call->command->option[i].name, name))
			return call->value[i];
	return NULL;
}

int call_number(struct call *call, const char *name, long least, long most, long fallback,
	long *out, struct err *err)
{
	const char *text = call_option(call, name);
	char *end;

	*out = fallback;
	if (!text)
		return 0;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || end == text || *end || *out < least || *out > most)
		return call_wrong(
			call, err, "--%s is \"%s\", must be %ld to %ld", name, text, least, most);
	return 0;
}

static int take_option(struct call *call, char **argv, int *i, int argc, struct err *err)
{
	const struct command *c = call->command;
	struct span text = span_of(argv[*i] + 2);
	size_t equals = span_find(text, '=');
	struct span name = span_first(text, equals);

	if (span_equals(text, SPAN("json"))) {
		call->json = true;
		return 0;
	}
	for (int n = 0; n < COMMAND_OPTIONS_MOST && c->option[n].name; n++) {
		if (!span_equals(name, span_of(c->option[n].name)))
			continue;
		if (!c->option[n].value && equals < text.len)
			return call_wrong(call, err, "--%s takes no value", c->option[n].name);
		if (!c->option[n].value)
			call->value[n] = "";
		else if (equals < text.len)
			call->value[n] = text.ptr + equals + 1;
		else if (*i + 1 < argc)
			call->value[n] = argv[++*i];
		else
			return call_wrong(call, err, "--%s takes a value: %s", c->option[n].name,
				c->option[n].value);
		return 0;
	}
	return call_wrong(call, err, "%s has no option \"%s\"; try --help", c->name, argv[*i]);
}

/* How many arguments a command takes, and in *missing the first one's word from the given-th on. */
static int count_arguments(const struct command *c, int given, struct span *missing)
{
	struct span rest = span_of(c->argument);
	int count = 0;

	for (; rest.len; rest = span_from(rest, span_find(rest, ' ') + 1))
		if (count++ == given)
			*missing = span_first(rest, span_find(rest, ' '));
	return count;
}

int call_parse(struct call *call, int argc, char **argv, struct err *err)
{
	const struct command *c = call->command;
	struct span missing = SPAN("");
	int given = 0, wanted = count_arguments(c, 0, &missing), rc = 0;
	bool only_arguments = false;

	for (int i = 0; i < argc && !rc; i++) {
		if (!only_arguments && !strcmp(argv[i], "--"))
			only_arguments = true;
		else if (!only_arguments && !strncmp(argv[i], "--", 2))
			rc = take_option(call, argv, &i, argc, err);
		else if (given < wanted)
			call->arg[given++] = argv[i];
		else
			rc = call_wrong(call, err,
				"%s: \"%s\" is one argument too many; try --help", c->name,
				argv[i]);
	}
	if (!rc && given < count_arguments(c, given, &missing) && *c->argument != '[')
		rc = call_wrong(call, err, "%s: %.*s is missing; try --help", c->name,
			(int)missing.len, missing.ptr);
	return rc;
}
