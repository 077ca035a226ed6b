/* footfall replay: give the tables again what they lack, from the archive. Segments with such
 * records are laid into a free journal folder, where a running ingress finds and delivers them like
 * those of a dead one. A record keeps its number, so what the tables hold already is refused as a
 * repeat. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/journal/archive.h"
#include "lib/journal/folder.h"
#include "lib/pg.h"
#include "services/cli/command.h"
#include "services/cli/gaps.h"
#include "services/cli/result.h"
#include "services/cli/stack.h"

#define AT_ONCE   8                    /* segments, of 8 MiB: the space that it needs besides */
#define ROLL_US   (15 * US_PER_SECOND) /* ingresses look every second */
#define IDLE_US   (60 * US_PER_SECOND) /* without progress: nobody delivers */
#define GAP_US    (10 * US_PER_SECOND) /* a gap that is older is none of the moment */
#define LOOK_EACH (200 * 1000)         /* us */
#define TEMPORARY "replay.new"

struct replay {
	struct stack stack;
	PGconn *metrics;
	struct archive *archive;
	struct stat parent; /* of the journals: what is made there belongs to whose it is */
	char laid[AT_ONCE][PATH_MAX]; /* segments that are on their way */
	size_t laid_count;
	long long missing; /* records, at the beginning */
	size_t segments;
	bool quiet;
};

static void say(const struct replay *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct replay *r, const char *format, ...)
{
	va_list args;

	if (r->quiet)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static const char *parent_of(const struct replay *r)
{
	return r->stack.settings.journal_dir;
}

/* As root: what is made belongs to who runs the ingresses. */
static int give_away(const struct replay *r, int fd, const char *what, struct err *err)
{
	if (geteuid() == 0 && fchown(fd, r->parent.st_uid, r->parent.st_gid))
		return err_set(err, -errno, "%s: %s", what, strerror(errno));
	return 0;
}

/* --- what is delivered and not yet archived -----------------------------------------------------
 */

/* How many segments hold frames, of those that were there before the time. */
static size_t segments_from_before(const struct replay *r, int64_t before_us)
{
	char path[PATH_MAX + 64];
	size_t found = 0;

	for (int n = 0; n < 1000; n++) {
		struct dirent *entry;
		DIR *dir;

		snprintf(path, sizeof path, "%s/%d", parent_of(r), n);
		dir = opendir(path);
		if (!dir)
			break;
		while ((entry = readdir(dir))) {
			struct frame_head head = { .len = 0 };
			struct statx st;
			uint64_t number;
			int fd;

			if (!segment_number(entry->d_name, &number) ||
				statx(dirfd(dir), entry->d_name, 0, STATX_BTIME, &st) ||
				((st.stx_mask & STATX_BTIME) &&
					st.stx_btime.tv_sec * US_PER_SECOND +
							st.stx_btime.tv_nsec / 1000 >
						before_us))
				continue;
			fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && pread(fd, &head, sizeof head, SEGMENT_FRAMES_AT) > 0)
				found += head.len || head.seq;
			if (fd >= 0)
				close(fd);
		}
		closedir(dir);
	}
	return found;
}

/* Ask the ingresses to end the segments in use, so that what was delivered lies in the archive.
 * What is still to be delivered is not missing: it comes by itself. */
static int roll(const struct replay *r, struct err *err)
{
	int64_t now = clock_now_us(), until = clock_mono_us() + ROLL_US;
	char path[PATH_MAX + 8];
	size_t left;
	int fd, rc;

	snprintf(path, sizeof path, "%s/roll", parent_of(r));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || futimens(fd, NULL))
		rc = err_set(err, -errno, "%s: %s", path, strerror(errno));
	else
		rc = give_away(r, fd, path, err);
	if (fd >= 0)
		close(fd);
	while (!rc && (left = segments_from_before(r, now)) && clock_mono_us() < until)
		usleep(LOOK_EACH);
	if (!rc && left)
		say(r, "%zu segments are still in journals, which ingresses deliver when they run",
			left);
	return rc;
}

/* --- from the archive into a folder -------------------------------------------------------------
 */

static int lay(struct replay *r, const struct folder *folder, const struct archive_summary *segment,
	struct err *err)
{
	char name[SEGMENT_NAME_SIZE];
	int fd, rc;

	segment_name(segment->number, name);
	unlinkat(folder->fd, TEMPORARY, 0);
	fd = openat(folder->fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? err_set(err, -errno, "%s: %s", folder->path, strerror(errno))
		    : archive_extract(r->archive, segment, fd, err);
	if (!rc)
		rc = give_away(r, fd, folder->path, err);
	if (!rc && (renameat(folder->fd, TEMPORARY, folder->fd, name) || fsync(folder->fd)))
		rc = err_set(err, -errno, "%s/%s: %s", folder->path, name, strerror(errno));
	if (rc)
		unlinkat(folder->fd, TEMPORARY, 0);
	else
		snprintf(r->laid[r->laid_count++], PATH_MAX, "%s/%s", folder->path, name);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Whether those are delivered, and their space is free again. */
static bool laid_are_gone(const struct replay *r)
{
	for (size_t i = 0; i < r->laid_count; i++)
		if (!access(r->laid[i], F_OK))
			return false;
	return true;
}

/* Lay the first of the list, and those of the same producer behind it: numbers are one producer's.
 */
static int lay_some(
	struct replay *r, const struct archive_summary *list, size_t count, struct err *err)
{
	struct folder folder;
	int rc = folder_take_empty(&folder, parent_of(r), err);

	if (rc)
		return rc;
	rc = give_away(r, folder.fd, folder.path, err);
	if (!rc)
		rc = give_away(r, folder.lock_fd, folder.path, err);
	r->laid_count = 0;
	for (size_t i = 0; !rc && i < count && r->laid_count < AT_ONCE; i++)
		if (!memcmp(list[i].producer, list[0].producer, sizeof list[0].producer))
			rc = lay(r, &folder, &list[i], err);
	folder_release(&folder);
	return rc;
}

/* What is missing now, of all that is in the archive. *list is yours. */
static int look(struct replay *r, struct archive_summary **list, size_t *count, long long *missing,
	struct err *err)
{
	int rc = archive_list(r->archive, list, count, err);

	if (!rc)
		rc = gaps_in_archive(r->metrics, *list, count, missing, err);
	return rc;
}

/* Lay and wait, until nothing is missing any more. */
static int give_again(struct replay *r, struct err *err)
{
	int64_t until = clock_mono_us() + IDLE_US;
	long long missing = r->missing, now = r->missing;
	int rc = 0;

	while (!rc && now) {
		struct archive_summary *list = NULL;
		size_t count;

		rc = look(r, &list, &count, &now, err);
		if (!rc && now < missing) {
			say(r, "%lld of %lld records are there again", r->missing - now,
				r->missing);
			missing = now;
			until = clock_mono_us() + IDLE_US;
		}
		/* The next few when these are through: they take space until then. */
		if (!rc && now && laid_are_gone(r))
			rc = lay_some(r, list, count, err);
		if (!rc && now && clock_mono_us() > until)
			rc = err_set(err, -ETIMEDOUT,
				"%lld records are not applied within %d s: does an ingress run "
				"here, "
				"and a worker?",
				now, (int)(IDLE_US / US_PER_SECOND));
		free(list);
		if (!rc && now)
			usleep(LOOK_EACH);
	}
	return rc;
}

/* Numbers that stay missing, and that the archive does not have. */
static int gaps_left(struct replay *r, long long *left, struct err *err)
{
	int64_t until = clock_mono_us() + GAP_US;
	int rc;

	do {
		PGresult *found = NULL;

		rc = pg_run(r->metrics, &found, gaps_sql, 0, NULL, err);
		*left = 0;
		for (int i = 0; !rc && i < PQntuples(found); i++)
			*left += pg_int(found, i, 5);
		PQclear(found);
	} while (!rc && *left && clock_mono_us() < until && !usleep(LOOK_EACH));
	return rc;
}

static int replay_open(struct replay *r, struct err *err)
{
	int rc = stack_open(&r->stack, FOR_CLI | FOR_CLI_METRICS_DB | FOR_CLI_JOURNAL, err);

	if (!rc && stat(parent_of(r), &r->parent))
		rc = err_set(
			err, -errno, "FOOTFALL_JOURNAL_DIR %s: %s", parent_of(r), strerror(errno));
	if (!rc)
		rc = stack_metrics_db(&r->stack, &r->metrics, err);
	if (!rc)
		rc = archive_open(&r->archive, parent_of(r), -1, err);
	return rc;
}

static int replay_run(struct call *call, struct replay *r, struct err *err)
{
	struct archive_summary *list = NULL;
	long long left = 0;
	bool dry = call_has(call, "dry-run");
	int rc = roll(r, err);

	if (!rc)
		rc = look(r, &list, &r->segments, &r->missing, err);
	free(list);
	if (!rc && r->missing)
		say(r, "the tables lack %lld records that the archive has, in %zu segments",
			r->missing, r->segments);
	if (!rc && !dry)
		rc = give_again(r, err);
	if (!rc && !dry)
		rc = gaps_left(r, &left, err);
	if (rc)
		return rc;
	if (call->json)
		rc = result_json(
			json_pack("{sIsIsI}", dry ? "missing" : "replayed", (json_int_t)r->missing,
				"segments", (json_int_t)r->segments, "gaps", (json_int_t)left),
			err);
	else
		printf(dry ? "%lld records would be replayed\n" : "%lld records replayed\n",
			r->missing);
	if (!rc && left)
		rc = err_set(err, -ENODATA,
			"%lld records are missing still, and the archive does not have them: "
			"footfall status names them",
			left);
	return rc;
}

static int replay(struct call *call, struct err *err)
{
	struct replay r = { .quiet = call->json };
	int rc = replay_open(&r, err);

	if (!rc)
		rc = replay_run(call, &r, err);
	archive_close(&r.archive);
	PQfinish(r.metrics);
	stack_close(&r.stack);
	return rc;
}

const struct command replay_commands[] = {
	{ "replay", NULL, "give the tables again what they lack, from the archive",
		"After a database was restored from an older dump: every record that came in "
		"since\n"
		"lies in the archive (FOOTFALL_ARCHIVE_DAYS) and is applied again, each once, "
		"while\n"
		"new events come in. Events of deleted sites, and older than a site keeps them, "
		"are\n"
		"skipped. Running it twice is harmless. Exit 1 when something stays missing.",
		replay, { { "dry-run", NULL, "only say how much is missing" } } },
	{ NULL },
};
