/* footfall log import: page views from a web server's access log. Every line counts once, whatever
 * is killed and however often the log is imported: see ledger.h. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/pg.h"
#include "services/cli/batch.h"
#include "services/cli/command.h"
#include "services/cli/ledger.h"
#include "services/cli/log_reader.h"
#include "services/cli/result.h"
#include "services/cli/safe_file.h"
#include "services/cli/sender.h"
#include "services/cli/stack.h"
#include "services/cli/stack_key.h"

#define KEY_FILE_MOST     4096
#define RETRY_S           300
#define PROGRESS_TTY_US   (US_PER_SECOND / 5)
#define PROGRESS_QUIET_US (10 * US_PER_SECOND)
#define PROGRESS_LINES    1024 /* the clock is looked at so often */
#define PROPERTY_ID_SIZE  37

static atomic_bool stopping; /* set by on_stop() only */
static volatile sig_atomic_t stop_signal;

struct import {
	struct call *call;
	const char *path;
	struct stack stack;
	char property_id[PROPERTY_ID_SIZE];
	char origin[300]; /* "https://DOMAIN", or "" */
	char *key;
	const char *url;
	char ledger_path[PATH_MAX + 64];
	long retry_s;

	struct ledger *ledger;
	struct ledger_file file;
	struct log_reader *reader;
	struct sender *sender;
	struct batch_mark read; /* up to the last line that was read */
	struct batch_mark done; /* up to the last line whose event is in */
	uint64_t lines_before;  /* known when this run began */
	char time_before[32];
	uint64_t accepted, rejected;
	json_t *reasons;
	bool half_line; /* the last line was left for the next time */
	bool stopped;
	int64_t start_mono_us, shown_mono_us;
};

struct verdict_text {
	const char *key, *text;
};
static const struct verdict_text verdict_texts[LOG_VERDICTS] = {
	[LOG_PAGE] = { "page", "page view" },
	[LOG_NOT_GET] = { "not_get", "not GET" },
	[LOG_STATUS] = { "status", "status neither 2xx nor 304" },
	[LOG_ASSET] = { "asset", "asset or download, by its extension" },
	[LOG_MALFORMED] = { "malformed", "not a line of the common or combined format" },
	[LOG_TOO_LONG] = { "too_long", "longer than 64 KiB" },
};

static void on_stop(int number)
{
	stop_signal = number;
	atomic_store(&stopping, true);
}

/* The first Ctrl-C ends the import after the batches under way; a second ends the process. */
static void hear_stop(void)
{
	struct sigaction action = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* A UUID, in lower case: it becomes the name of a file. */
static int take_property_id(struct import *im, struct err *err)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char *given = call_option(im->call, "site");
	bool right = given && strlen(given) == sizeof shape - 1;

	if (!given)
		return call_wrong(im->call, err, "log import needs --site PROPERTY_ID");
	for (size_t i = 0; right && i < sizeof shape - 1; i++) {
		char c = given[i] >= 'A' && given[i] <= 'Z' ? (char)(given[i] + 32) : given[i];

		right = shape[i] == '-' ? c == '-'
					: (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
		im->property_id[i] = c;
	}
	return right ? 0
		     : call_wrong(im->call, err,
			       "--site is \"%s\", must be a property id; footfall site list has "
			       "them",
			       given);
}

static int take_key(struct import *im, struct err *err)
{
	const char *key = call_option(im->call, "key");
	const char *file = call_option(im->call, "key-file");
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (key && file)
		return call_wrong(im->call, err, "--key and --key-file are both given");
	if (key) {
		im->key = strdup(key);
		return im->key ? 0 : err_set(err, -ENOMEM, "no memory");
	}
	if (!file)
		return 0;
	rc = safe_file_read(&text, &len, file, KEY_FILE_MOST, err);
	if (!rc) {
		struct span trimmed = span_trim((struct span){ text, len });

		im->key = strndup(trimmed.ptr, trimmed.len);
		free(text);
	}
	return rc;
}

static int take_domain(struct import *im, struct err *err)
{
	const char *domain = call_option(im->call, "domain");

	if (domain && (!*domain || strlen(domain) > 253 || strpbrk(domain, "/\"\\ ")))
		return call_wrong(
			im->call, err, "--domain is \"%s\", must be as in example.org", domain);
	if (domain)
		snprintf(im->origin, sizeof im->origin, "https://%s", domain);
	return 0;
}

/* The stack on this machine: its site's domain, its address, and our own key. */
static int prepare_local(struct import *im, struct err *err)
{
	const char *params[] = { im->property_id };
	char token[SECRET_TOKEN_SIZE];
	PGresult *found = NULL;
	PGconn *db = NULL;
	int rc = stack_open_app(&im->stack, &db, err);

	if (!rc)
		rc = pg_run(db, &found, "select domain from site where property_id::text = $1", 1,
			params, err);
	if (!rc && !PQntuples(found))
		rc = err_set(err, -ENOENT,
			"there is no site with the property id %s; footfall site list has them",
			im->property_id);
	if (!rc && !*im->origin)
		snprintf(im->origin, sizeof im->origin, "https://%s", PQgetvalue(found, 0, 0));
	if (!rc && !im->key) {
		rc = stack_key(&im->stack, db, token, err);
		im->key = rc ? NULL : strdup(token);
	}
	im->url = im->stack.settings.ingress_url;
	PQclear(found);
	PQfinish(db);
	return rc;
}

/* A server elsewhere: nothing of a stack is needed here. */
static int prepare_remote(struct import *im, struct err *err)
{
	if (strncmp(im->url, "http://", 7) != 0 && strncmp(im->url, "https://", 8) != 0)
		return call_wrong(im->call, err,
			"--url is \"%s\", must be as in https://example.org", im->url);
	if (!im->key)
		return call_wrong(im->call, err, "--url needs --key or --key-file");
	return stack_open(&im->stack, FOR_CLI, err);
}

/* A ledger must be found again: that of a remote site does not depend on the current folder. */
static int find_ledger(struct import *im, struct err *err)
{
	const char *given = call_option(im->call, "ledger"), *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	bool local = !call_option(im->call, "url");
	size_t size = sizeof im->ledger_path;

	if (given)
		snprintf(im->ledger_path, size, "%s", given);
	else if (im->stack.home_is_given || (local && *im->stack.home))
		snprintf(im->ledger_path, size, "%s/ledger/%s.json", im->stack.home,
			im->property_id);
	else if (state && *state)
		snprintf(im->ledger_path, size, "%s/footfall/%s.json", state, im->property_id);
	else if (home && *home)
		snprintf(im->ledger_path, size, "%s/.local/state/footfall/%s.json", home,
			im->property_id);
	else
		return err_set(
			err, -ENOENT, "there is no place for the ledger: --ledger FILE, please");
	return 0;
}

static int prepare(struct import *im, struct err *err)
{
	int rc = take_property_id(im, err);

	if (!rc)
		rc = call_number(im->call, "retry-for", 0, 86400, RETRY_S, &im->retry_s, err);
	if (!rc)
		rc = take_domain(im, err);
	if (!rc)
		rc = take_key(im, err);
	im->url = call_option(im->call, "url");
	if (!rc)
		rc = im->url ? prepare_remote(im, err) : prepare_local(im, err);
	return rc ? rc : find_ledger(im, err);
}

static double seconds_of(const struct import *im)
{
	double s = (double)(clock_mono_us() - im->start_mono_us) / US_PER_SECOND;

	return s > 1e-6 ? s : 1e-6;
}

static void show_progress(struct import *im)
{
	bool tty = isatty(STDERR_FILENO);
	int64_t now = clock_mono_us();
	uint64_t taken = log_reader_taken(im->reader), size = log_reader_size(im->reader);
	uint64_t lines = im->read.lines - im->lines_before;
	double share = size ? (double)taken / (double)size : 0, seconds = seconds_of(im);
	char count[RESULT_COUNT_SIZE], speed[RESULT_COUNT_SIZE], rest[64] = "";

	if (now - im->shown_mono_us < (tty ? PROGRESS_TTY_US : PROGRESS_QUIET_US))
		return;
	im->shown_mono_us = now;
	if (share > 0.001 && share <= 1) {
		long left_s = (long)(seconds * (1 - share) / share);

		snprintf(rest, sizeof rest, ", %.0f %%, %ld:%02ld left", 100 * share, left_s / 60,
			left_s % 60);
	}
	fprintf(stderr, "%s%s lines, %s lines/s%s%s", tty ? "\r" : "", result_count(count, lines),
		result_count(speed, (unsigned long long)((double)lines / seconds)), rest,
		tty ? "\033[K" : "\n");
	fflush(stderr);
}

static void hide_progress(const struct import *im)
{
	if (im->shown_mono_us != im->start_mono_us && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* Put down that everything up to mark is in. */
static int mark_done(struct import *im, const struct batch_mark *mark, struct err *err)
{
	const char *slash = strrchr(im->path, '/');

	im->done = *mark;
	im->file.entry.offset = mark->offset;
	im->file.entry.lines = mark->lines;
	im->file.entry.partial = mark->partial;
	snprintf(im->file.entry.name, sizeof im->file.entry.name, "%s",
		slash ? slash + 1 : im->path);
	return ledger_save(im->ledger, &im->file, err);
}

static int count_batch(struct import *im, struct batch *b, struct err *err)
{
	const char *reason;
	json_t *count;

	/* Not the lines are wrong then, but what they are sent as, or where to. */
	if (b->rejected && !b->accepted && !im->accepted && !im->lines_before)
		return err_set(err, -EPROTO,
			"the server rejects every event: %s: nothing was imported",
			json_object_iter_key(json_object_iter(b->reasons)));
	im->accepted += b->accepted;
	im->rejected += b->rejected;
	json_object_foreach(b->reasons, reason, count)
	{
		json_int_t known = json_integer_value(json_object_get(im->reasons, reason));

		json_object_set_new(
			im->reasons, reason, json_integer(known + json_integer_value(count)));
	}
	return mark_done(im, &b->mark, err);
}

/* Take back what is done, and, without room for another batch or with `all`, what is not yet. */
static int take_back(struct import *im, bool all, struct err *err)
{
	struct batch *b;
	int rc;

	while ((rc = sender_take_back(im->sender, all || sender_is_full(im->sender), &b, err)) >
		0) {
		rc = count_batch(im, b, err);
		if (rc)
			return rc;
	}
	return rc;
}

static int give_batch(struct import *im, struct err *err)
{
	struct batch *b = sender_batch(im->sender);
	int rc = 0;

	if (!b->count)
		return 0;
	b->mark = im->read;
	/* The key of the ids is on disk before the first id is out. */
	if (!im->file.known)
		rc = mark_done(im, &im->done, err);
	if (rc)
		return rc;
	sender_give(im->sender);
	rc = take_back(im, false, err);
	if (!rc)
		batch_reset(sender_batch(im->sender));
	return rc;
}

static enum log_verdict judge(struct log_line *line, const struct log_text *text)
{
	if (text->too_long)
		return LOG_TOO_LONG;
	return log_line_parse(line, text->text) ? LOG_MALFORMED : log_line_verdict(line);
}

static int take_line(struct import *im, const struct log_text *text, struct err *err)
{
	const struct batch_site site = { span_of(im->property_id), span_of(im->origin) };
	struct batch *b = sender_batch(im->sender);
	char id[LEDGER_ID_SIZE];
	struct log_line line;
	enum log_verdict verdict = judge(&line, text);

	if (verdict == LOG_PAGE) {
		ledger_event_id(im->ledger, &im->file, text->offset, id);
		batch_add(b, &site, id, &line);
	}
	im->read.verdict[verdict]++;
	im->read.lines++;
	im->read.offset = text->end;
	im->read.partial = text->unterminated;
	if (im->read.lines % PROGRESS_LINES == 0)
		show_progress(im);
	return batch_is_full(b) ? give_batch(im, err) : 0;
}

static int next_line(struct import *im, struct log_text *text, struct err *err)
{
	int rc;

	do
		rc = log_reader_next(im->reader, text, err);
	while (rc == -EINTR && !atomic_load(&stopping));
	if (rc == 1 && text->unterminated && log_reader_may_grow(im->reader)) {
		im->half_line = true;
		return 0;
	}
	return rc;
}

/* Go to where the last import of this file ended. */
static int resume(struct import *im, struct err *err)
{
	const struct ledger_entry *entry = &im->file.entry;
	char lines[RESULT_COUNT_SIZE], before;
	struct log_text rest;
	int rc = log_reader_skip_to(im->reader, entry->offset, &before, err);

	result_count(lines, entry->lines);
	if (rc == -ENODATA)
		return err_set(err, -EINVAL,
			"%s is shorter than what was imported earlier (lines 1 to %s, on %s): "
			"nothing was imported",
			im->path, lines, entry->time);
	if (!rc && before != '\n' && !entry->partial)
		return err_set(err, -EINVAL,
			"%s begins as a log that was imported earlier (lines 1 to %s, on %s) but "
			"goes on otherwise: nothing was imported",
			im->path, lines, entry->time);
	if (rc || !entry->partial)
		return rc;
	/* The last line was counted without its end. */
	rc = next_line(im, &rest, err);
	if (rc == 1) {
		im->read.offset = rest.end;
		im->read.partial = rest.unterminated;
	}
	return rc == 1 ? 0 : rc;
}

static int import_lines(struct import *im, struct err *err)
{
	struct log_text text;
	int rc = next_line(im, &text, err);

	if (rc != 1)
		return rc;
	ledger_find(im->ledger, text.text, &im->file);
	im->read.offset = im->file.entry.offset;
	im->read.lines = im->lines_before = im->file.entry.lines;
	im->read.partial = im->file.entry.partial;
	im->done = im->read;
	memcpy(im->time_before, im->file.entry.time, sizeof im->time_before);
	if (im->read.offset) {
		rc = resume(im, err);
		if (!rc)
			rc = next_line(im, &text, err);
	}
	while (rc == 1 && !atomic_load(&stopping)) {
		rc = take_line(im, &text, err);
		if (!rc)
			rc = next_line(im, &text, err);
	}
	return rc > 0 ? -EINTR : rc;
}

/* What was read is wrong from its first line to its last: a file of another kind. */
static bool is_no_log(const struct import *im)
{
	uint64_t wrong = im->read.verdict[LOG_MALFORMED] + im->read.verdict[LOG_TOO_LONG];

	return !im->lines_before && wrong && wrong == im->read.lines;
}

static int finish_lines(struct import *im, struct err *err)
{
	int rc;

	if (is_no_log(im))
		return err_set(err, -EINVAL,
			"%s: no line is of Apache's or nginx's common or combined format: "
			"nothing was imported",
			im->path);
	rc = give_batch(im, err);
	if (!rc)
		rc = take_back(im, true, err);
	if (!rc && im->done.offset != im->read.offset)
		rc = mark_done(im, &im->read, err);
	return rc;
}

/* What is under way still counts, whatever ended the reading. */
static void finish_stopped(struct import *im)
{
	struct err ignored = { 0 };

	(void)!take_back(im, true, &ignored);
	im->stopped = true;
	im->call->ended_by = stop_signal;
}

static void print_reasons(const struct import *im)
{
	char count[RESULT_COUNT_SIZE];
	const char *reason;
	json_t *rejected;

	for (int v = LOG_PAGE + 1; v < LOG_VERDICTS; v++)
		if (im->done.verdict[v])
			printf("%12s  skipped: %s\n", result_count(count, im->done.verdict[v]),
				verdict_texts[v].text);
	json_object_foreach(im->reasons, reason, rejected)
	{
		printf("%12s  rejected by the server: %s\n",
			result_count(count, (unsigned long long)json_integer_value(rejected)),
			reason);
	}
}

static void print_report(const struct import *im)
{
	char before[RESULT_COUNT_SIZE], lines[RESULT_COUNT_SIZE], views[RESULT_COUNT_SIZE];
	char speed[RESULT_COUNT_SIZE];
	uint64_t new_lines = im->done.lines - im->lines_before;
	double seconds = seconds_of(im);

	printf("%s: ", im->path);
	if (im->lines_before)
		printf("lines 1 to %s were imported on %s: ",
			result_count(before, im->lines_before), im->time_before);
	if (!new_lines)
		puts(im->lines_before ? "nothing new" : "nothing to import");
	else
		printf("%s %slines, %s page views imported (%.1f s, %s lines/s)\n",
			result_count(lines, new_lines), im->lines_before ? "new " : "",
			result_count(views, im->accepted), seconds,
			result_count(speed, (unsigned long long)((double)new_lines / seconds)));
	print_reasons(im);
	if (im->half_line)
		puts("The last line has no line break yet; it is left for the next time.");
	if (im->stopped)
		puts("Stopped. The same command goes on from here.");
}

static int print_json(const struct import *im, struct err *err)
{
	uint64_t new_lines = im->done.lines - im->lines_before;
	json_t *skipped = json_object();
	double seconds = seconds_of(im);

	for (int v = LOG_PAGE + 1; v < LOG_VERDICTS; v++)
		json_object_set_new(skipped, verdict_texts[v].key,
			json_integer((json_int_t)im->done.verdict[v]));
	return result_json(
		json_pack("{sssssssIsIsIsosIsOsbsfsI}", "site", im->property_id, "file", im->path,
			"state",
			im->stopped ? "stopped"
			: new_lines ? "imported"
				    : "nothing new",
			"lines_before", (json_int_t)im->lines_before, "lines",
			(json_int_t)new_lines, "imported", (json_int_t)im->accepted, "skipped",
			skipped, "rejected", (json_int_t)im->rejected, "rejected_reasons",
			im->reasons, "half_line_left", im->half_line, "seconds", seconds,
			"lines_per_second", (json_int_t)((double)new_lines / seconds)),
		err);
}

static int import_run(struct import *im, struct err *err)
{
	const struct sender_options options = { im->url, im->key, im->retry_s, &stopping };
	int rc = log_reader_open(&im->reader, im->path, err);

	if (!rc)
		rc = ledger_open(&im->ledger, im->ledger_path, im->property_id, err);
	if (!rc)
		rc = sender_open(&im->sender, &options, err);
	im->start_mono_us = im->shown_mono_us = clock_mono_us();
	if (!rc) {
		hear_stop();
		rc = import_lines(im, err);
		if (!rc)
			rc = finish_lines(im, err);
		if (rc == -EINTR && atomic_load(&stopping)) {
			finish_stopped(im);
			rc = 0;
		}
		hide_progress(im);
	}
	if (rc)
		return rc;
	if (im->call->json)
		return print_json(im, err);
	print_report(im);
	return 0;
}

static int log_import(struct call *call, struct err *err)
{
	struct import im = { .call = call, .path = call->arg[0], .reasons = json_object() };
	int rc = prepare(&im, err);

	if (!rc)
		rc = import_run(&im, err);
	sender_close(&im.sender);
	ledger_close(&im.ledger);
	log_reader_close(&im.reader);
	stack_close(&im.stack);
	json_decref(im.reasons);
	free(im.key);
	return rc;
}

const struct command log_commands[] = {
	{ "log import", "FILE", "import page views from an access log of Apache or nginx",
		"FILE is in the common or the combined format, with or without a virtual host "
		"before\n"
		"it and further fields behind it; plain, compressed by gzip, or \"-\" for stdin.\n"
		"A line is a page view when it is GET, answered 2xx or 304, and its path has no\n"
		"extension of an asset, a feed or a download (services/cli/README.md has the "
		"list).\n"
		"It keeps its own time. A range that was imported is skipped, a log that has grown "
		"is\n"
		"continued, whatever its name is now: a ledger knows each log by its first line.\n"
		"Without --url, events go to the stack on this machine, with a key of its own.",
		log_import,
		{ { "site", "PROPERTY_ID", "the site that the log is of" },
			{ "url", "URL", "a server elsewhere, as in https://stats.example.org" },
			{ "key", "KEY", "its key, of scope ingest" },
			{ "key-file", "FILE", "a file with the key: others do not see it" },
			{ "domain", "DOMAIN", "host of the pages (by default the site's domain)" },
			{ "ledger", "FILE",
				"instead of the one in the stack's folder, or, with "
				"--url, in ~/.local/state/footfall" },
			{ "retry-for", "SECONDS",
				"give up when the server took nothing for so long (300)" } } },
	{ NULL },
};
