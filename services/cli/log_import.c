/* footfall log import: page views from a web server's access log. Every line counts once, whatever
 * is killed and however often the log is imported: see ledger.h. */
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/pg.h"
#include "services/cli/batch.h"
#include "services/cli/command.h"
#include "services/cli/ledger.h"
#include "services/cli/log_reader.h"
#include "services/cli/log_rotation.h"
#include "services/cli/result.h"
#include "services/cli/safe_file.h"
#include "services/cli/sender.h"
#include "services/cli/stack.h"
#include "services/cli/stack_key.h"

#define KEY_FILE_MOST      4096
#define RETRY_S            300
#define PROGRESS_TTY_US    (US_PER_SECOND / 5)
#define PROGRESS_QUIET_US  (10 * US_PER_SECOND)
#define PROGRESS_LINES     1024 /* the clock is looked at so often */
#define PROGRESS_FOLLOW_US (60 * US_PER_SECOND)
#define PROPERTY_ID_SIZE   37

/* Following. */
#define LOOK_S 1
#define ROTATED_LOOKS                                                                              \
	5 /* so often nothing new, and who wrote to a file before it was rotated is done */
#define NO_LOG_LINES 10 /* all wrong, and it is no log; a log may well begin with a few */
#define RETRY_EVER_S (100L * 365 * 86400)

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

	bool follow;
	bool at_live_end;  /* the file that is read now is being written to */
	int rotated_looks; /* without anything new since it was rotated */
	uint64_t lines_past, verdict_past[LOG_VERDICTS]; /* of logs that are finished */
	bool sender_failed;
	uint64_t lines_shown;
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

	im->follow = call_has(im->call, "follow");
	if (!rc && im->follow && !strcmp(im->path, "-"))
		rc = call_wrong(im->call, err,
			"--follow needs a file; standard input is read until it ends without it");
	if (!rc)
		rc = call_number(im->call, "retry-for", 0, 86400,
			im->follow ? RETRY_EVER_S : RETRY_S, &im->retry_s, err);
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

/* Of this run, in all logs. */
static uint64_t lines_of(const struct import *im, const struct batch_mark *mark)
{
	return im->lines_past + mark->lines - im->lines_before;
}

static uint64_t verdict_of(const struct import *im, enum log_verdict verdict)
{
	return im->verdict_past[verdict] + im->done.verdict[verdict];
}

/* Following, how far a file is says nothing; a minute without a new line is not worth one of ours.
 */
static void show_followed(struct import *im)
{
	bool tty = isatty(STDERR_FILENO);
	uint64_t lines = lines_of(im, &im->read);
	int64_t now = clock_mono_us();
	char count[RESULT_COUNT_SIZE], views[RESULT_COUNT_SIZE];

	if (lines == im->lines_shown ||
		now - im->shown_mono_us < (tty ? PROGRESS_TTY_US : PROGRESS_FOLLOW_US))
		return;
	im->shown_mono_us = now;
	im->lines_shown = lines;
	fprintf(stderr, "%s%s lines, %s page views imported%s", tty ? "\r" : "",
		result_count(count, lines), result_count(views, im->accepted),
		tty ? "\033[K" : "\n");
	fflush(stderr);
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

/* One line of what a log that is followed comes to; its run goes on. */
static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%sfootfall: ", isatty(STDERR_FILENO) ? "\r\033[K" : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int count_batch(struct import *im, struct batch *b, struct err *err)
{
	const char *reason;
	json_t *count;

	/* Not the lines are wrong then, but what they are sent as, or where to. */
	if (b->rejected && !b->accepted && !im->accepted && !im->lines_before && !im->follow)
		return err_set(err, -EPROTO,
			"the server rejects every event: %s: nothing was imported",
			json_object_iter_key(json_object_iter(b->reasons)));
	im->accepted += b->accepted;
	im->rejected += b->rejected;
	json_object_foreach(b->reasons, reason, count)
	{
		json_int_t known = json_integer_value(json_object_get(im->reasons, reason));

		if (im->follow && !known)
			say("the server rejects events: %s", reason);
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
	im->rotated_looks = 0;
	if (im->read.lines % PROGRESS_LINES == 0)
		im->follow ? show_followed(im) : show_progress(im);
	return batch_is_full(b) ? give_batch(im, err) : 0;
}

/* What was read is wrong from its first line to its last: a file of another kind. */
static bool is_no_log(const struct import *im)
{
	uint64_t wrong = im->read.verdict[LOG_MALFORMED] + im->read.verdict[LOG_TOO_LONG];

	return !im->lines_before && wrong >= (im->follow ? NO_LOG_LINES : 1) &&
	       wrong == im->read.lines;
}

/* Send what was read, and put down that it is done. */
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

static void pause_follow(void)
{
	const struct timespec pause = { LOOK_S, 0 };

	if (!atomic_load(&stopping))
		nanosleep(&pause, NULL); /* a signal ends it */
}

/* At the end of a file that is being written to: 1 when there may be more by now, 0 when it is
 * finished, since another has its place. */
static int wait_for_more(struct import *im, struct err *err)
{
	enum log_fate fate;
	int rc = finish_lines(im, err);

	if (rc)
		return rc;
	show_followed(im);
	/* Asked after reading: what was emptied since has the rest in its copy, and of a file that
	 * was renamed, who writes to it may need a moment to open the new one. */
	fate = log_reader_fate(im->reader, im->path);
	if (fate == LOG_TRUNCATED || (fate == LOG_REPLACED && im->rotated_looks == ROTATED_LOOKS))
		return 0;
	im->rotated_looks = fate == LOG_REPLACED ? im->rotated_looks + 1 : 0;
	pause_follow();
	return atomic_load(&stopping) ? -EINTR : 1;
}

static int next_line(struct import *im, struct log_text *text, struct err *err)
{
	int rc = 0;

	for (bool more = true; more;) {
		rc = log_reader_next(im->reader, text, err);
		more = rc == -EINTR && !atomic_load(&stopping);
		if (!rc && im->at_live_end) {
			rc = wait_for_more(im, err);
			more = rc == 1;
		}
	}
	if (rc == 1 && !im->at_live_end && text->unterminated && log_reader_may_grow(im->reader)) {
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

/* The file that im->reader has, to its end. */
static int import_file(struct import *im, struct err *err)
{
	struct err sender_err = { 0 };
	int rc = import_lines(im, err);

	if (!rc)
		rc = finish_lines(im, err);
	if (rc) /* what is under way still counts, whatever ended the reading */
		im->sender_failed = take_back(im, true, &sender_err) != 0;
	return rc;
}

/* Put a file away, and what it came to with that of those before. */
static void end_file(struct import *im)
{
	im->lines_past += im->done.lines - im->lines_before;
	for (int v = 0; v < LOG_VERDICTS; v++)
		im->verdict_past[v] += im->done.verdict[v];
	memset(&im->file, 0, sizeof im->file);
	memset(&im->read, 0, sizeof im->read);
	memset(&im->done, 0, sizeof im->done);
	im->lines_before = 0;
	im->half_line = im->at_live_end = false;
	im->rotated_looks = 0;
	log_reader_close(&im->reader);
	batch_reset(sender_batch(im->sender)); /* of a file that ended in an error */
}

/* Find the log at path in the ledger; one that cannot be read is not known. */
static void find_known(struct import *im, const char *path, struct ledger_file *file)
{
	struct log_reader *reader = NULL;
	struct err ignored = { 0 };
	struct log_text first;

	memset(file, 0, sizeof *file);
	if (!log_reader_open(&reader, path, &ignored) &&
		log_reader_next(reader, &first, &ignored) == 1)
		ledger_find(im->ledger, first.text, file);
	log_reader_close(&reader);
}

/* Where to go on: the last log that is known, in the first file that has it. A file that is being
 * compressed lies there twice, and the new one looks as if it were the last. */
static size_t last_known(struct import *im, const struct log_rotation *rotation)
{
	size_t at = rotation->count;
	struct ledger_file last = { 0 }, file;

	for (size_t i = rotation->count; i-- > 0;) {
		find_known(im, rotation->path[i], &file);
		if (!file.known || (last.known && memcmp(file.hash, last.hash, sizeof file.hash)))
			continue;
		last = file;
		at = i;
	}
	return at;
}

/* A rotated file that cannot be read must not hold up the log of now. */
static int import_rotated(struct import *im, const char *path, struct err *err)
{
	const char *followed = im->path;
	int rc;

	im->path = path;
	rc = log_reader_open(&im->reader, path, err);
	if (!rc)
		rc = import_file(im, err);
	im->path = followed;
	if (rc && !im->sender_failed && !atomic_load(&stopping)) {
		say("%s is left: %s", path, err->msg);
		rc = 0;
	}
	end_file(im);
	return rc;
}

/* What was rotated away while nobody looked: the rest of the last log that was followed, and those
 * that came after it. Of a log that is followed for the first time, what was before stays. */
static int import_all_rotated(struct import *im, struct err *err)
{
	struct log_rotation rotation;
	int rc = log_rotation_find(&rotation, im->path, err);

	if (!rc)
		for (size_t i = last_known(im, &rotation); !rc && i < rotation.count; i++)
			rc = import_rotated(im, rotation.path[i], err);
	log_rotation_clear(&rotation);
	return rc;
}

/* Open the log; while it is not there, wait for it. */
static int open_followed(struct import *im, struct err *err)
{
	bool said = false;
	int rc;

	while ((rc = log_reader_open(&im->reader, im->path, err)) == -ENOENT) {
		if (!said)
			say("%s is not there yet; waiting for it", im->path);
		said = true;
		pause_follow();
		if (atomic_load(&stopping))
			return -EINTR;
	}
	if (!rc && log_reader_follow(im->reader, err))
		return call_wrong(im->call, err,
			"%s: --follow needs a plain file, not a compressed one or a device; "
			"import it without",
			im->path);
	im->at_live_end = !rc;
	return rc;
}

/* Until it is stopped. */
static int follow(struct import *im, struct err *err)
{
	int rc = 0;

	while (!rc) {
		rc = import_all_rotated(im, err);
		if (!rc)
			rc = open_followed(im, err);
		if (!rc)
			rc = import_file(im, err);
		end_file(im);
	}
	return rc;
}

static void print_reasons(const struct import *im)
{
	char count[RESULT_COUNT_SIZE];
	const char *reason;
	json_t *rejected;

	for (int v = LOG_PAGE + 1; v < LOG_VERDICTS; v++)
		if (verdict_of(im, v))
			printf("%12s  skipped: %s\n", result_count(count, verdict_of(im, v)),
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
	uint64_t new_lines = lines_of(im, &im->done);
	double seconds = seconds_of(im);

	printf("%s: ", im->path);
	if (im->follow) {
		printf("%s lines, %s page views imported\n", result_count(lines, new_lines),
			result_count(views, im->accepted));
		print_reasons(im);
		puts("Stopped. The same command goes on from here.");
		return;
	}
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
	static const char *const of_one_log[] = { "lines_before", "half_line_left",
		"lines_per_second", NULL };
	uint64_t new_lines = lines_of(im, &im->done);
	json_t *skipped = json_object(), *report;
	double seconds = seconds_of(im);

	for (int v = LOG_PAGE + 1; v < LOG_VERDICTS; v++)
		json_object_set_new(
			skipped, verdict_texts[v].key, json_integer((json_int_t)verdict_of(im, v)));
	report = json_pack("{sssssssIsIsIsosIsOsbsfsI}", "site", im->property_id, "file", im->path,
		"state",
		im->stopped ? "stopped"
		: new_lines ? "imported"
			    : "nothing new",
		"lines_before", (json_int_t)im->lines_before, "lines", (json_int_t)new_lines,
		"imported", (json_int_t)im->accepted, "skipped", skipped, "rejected",
		(json_int_t)im->rejected, "rejected_reasons", im->reasons, "half_line_left",
		im->half_line, "seconds", seconds, "lines_per_second",
		(json_int_t)((double)new_lines / seconds));
	/* They are of one log; here are several, and an end that is for now. */
	if (im->follow)
		for (const char *const *name = of_one_log; *name; name++)
			json_object_del(report, *name);
	return result_json(report, err);
}

static int import_run(struct import *im, struct err *err)
{
	const struct sender_options options = { im->url, im->key, im->retry_s, &stopping };
	int rc = im->follow ? 0 : log_reader_open(&im->reader, im->path, err);

	if (!rc)
		rc = ledger_open(&im->ledger, im->ledger_path, im->property_id, err);
	if (!rc)
		rc = sender_open(&im->sender, &options, err);
	im->start_mono_us = im->shown_mono_us = clock_mono_us();
	if (!rc) {
		hear_stop();
		rc = im->follow ? follow(im, err) : import_file(im, err);
		if (rc == -EINTR && atomic_load(&stopping)) {
			im->stopped = true;
			im->call->ended_by = im->follow ? 0 : stop_signal; /* its proper end */
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
		"Without --url, events go to the stack on this machine, with a key of its own.\n"
		"With --follow it goes on with what is appended, and with the next file when the "
		"log "
		"is\n"
		"rotated, until SIGINT or SIGTERM ends it (exit 0); the next start goes on there. "
		"FILE "
		"need\n"
		"not be there yet. It looks once a second, says on stderr once a minute what has "
		"come,\n"
		"and prints its report, or the one object of --json, at the end.",
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
				"give up when the server took nothing for so long (300; with "
				"--follow never)" },
			{ "follow", NULL, "go on with what is appended to FILE" } } },
	{ NULL },
};
