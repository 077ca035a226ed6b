/* Power cuts. The journal runs over a file layer that, at a cut, keeps of what no completed sync
 * covers whatever chance says: each sector of a write may be there, not there, or half; a file or a
 * deletion whose folder was not synced may have happened or not. Round after round the journal is
 * cut at a random call, opened again, and read to its end. */
#include "lib/check.h"
#include "lib/journal/journal.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

#ifdef __SANITIZE_ADDRESS__
#define CUTS_MOST 1000 /* they take ten times as long there */
#else
#define CUTS_MOST 10000
#endif
#define SECTOR       512
#define SEGMENT      (32 << 10)
#define SECTORS_MOST 8192
#define FILES_MOST   512
#define ENTRIES_MOST (CUTS_MOST * 64)

/* --- the file layer --------------------------------------------------------------------------- */

struct sector {
	int fd;
	uint64_t offset;
	size_t from; /* bytes before this are synced, and stay whatever becomes of the rest */
	char was[SECTOR];
};

struct file {
	int fd, own_fd; /* the journal's, and ours: its number may be another file's later */
	char name[SEGMENT_NAME_SIZE];
	bool synced, named, removed;
};

static struct {
	unsigned left; /* calls until the cut */
	int dir_fd;
	struct sector sectors[SECTORS_MOST]; /* written and not synced */
	size_t sector_count;
	struct file files[FILES_MOST]; /* made or removed since the power came back */
	size_t file_count;
} power;

static uint32_t chance(uint32_t below)
{
	return randombytes_uniform(below);
}

/* Whether the power is still on for one more call. */
static bool is_on(void)
{
	if (!power.left)
		return false;
	return --power.left > 0;
}

static struct file *file_of(int fd)
{
	for (size_t i = power.file_count; i-- > 0;) /* numbers come again: the newest */
		if (power.files[i].fd == fd && !power.files[i].removed)
			return &power.files[i];
	return NULL;
}

static int power_create(int dir_fd, const char *name)
{
	int fd;

	if (!power.left)
		return -EIO;
	for (size_t i = 0; i < power.file_count; i++) /* a folder's changes keep their order */
		if (power.files[i].removed && !strcmp(power.files[i].name, name))
			power.files[i].name[0] = '\0';
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && power.file_count < FILES_MOST);
	power.dir_fd = dir_fd;
	power.files[power.file_count] = (struct file){ .fd = fd, .own_fd = dup(fd) };
	snprintf(power.files[power.file_count++].name, SEGMENT_NAME_SIZE, "%s", name);
	is_on();
	return fd;
}

static int power_allocate(int fd, uint64_t bytes)
{
	return is_on() ? disk_of_system.allocate(fd, bytes) : -EIO;
}

static void sector_keep(int fd, uint64_t offset, uint64_t written_from)
{
	struct sector *s;

	for (size_t i = 0; i < power.sector_count; i++)
		if (power.sectors[i].fd == fd && power.sectors[i].offset == offset)
			return;
	assert_true(power.sector_count < SECTORS_MOST);
	s = &power.sectors[power.sector_count++];
	s->fd = fd;
	s->offset = offset;
	s->from = written_from > offset ? written_from - offset : 0;
	memset(s->was, 0, SECTOR);
	assert_true(pread(fd, s->was, SECTOR, (off_t)offset) >= 0);
}

static int power_write(int fd, const char *buf, size_t len, uint64_t offset)
{
	if (!power.left)
		return -EIO;
	for (uint64_t at = offset / SECTOR * SECTOR; at < offset + len; at += SECTOR)
		sector_keep(file_of(fd)->own_fd, at, offset);
	disk_of_system.write(fd, buf, len, offset);
	return is_on() ? 0 : -EIO;
}

static int power_sync(int fd)
{
	struct file *file = file_of(fd);
	size_t left = 0;

	if (!is_on())
		return -EIO;
	if (!file) /* one that was read, and was made before the last cut */
		return 0;
	for (size_t i = 0; i < power.sector_count; i++)
		if (power.sectors[i].fd != file->own_fd)
			power.sectors[left++] = power.sectors[i];
	power.sector_count = left;
	file->synced = true;
	return 0;
}

static int power_sync_dir(int fd)
{
	(void)fd;
	if (!is_on())
		return -EIO;
	for (size_t i = 0; i < power.file_count; i++)
		power.files[i].named = true;
	return 0;
}

static int power_truncate(int fd, uint64_t bytes)
{
	return is_on() ? disk_of_system.truncate(fd, bytes) : -EIO;
}

/* What was removed may be there again after the cut: it is only put out of sight. */
static int power_remove(int dir_fd, const char *name)
{
	struct file *file;
	char hidden[SEGMENT_NAME_SIZE + 8];

	if (!is_on())
		return -EIO;
	snprintf(hidden, sizeof hidden, "gone-%s", name);
	assert_int_equal(renameat(dir_fd, name, dir_fd, hidden), 0);
	assert_true(power.file_count < FILES_MOST);
	file = &power.files[power.file_count++];
	*file = (struct file){ .fd = -1, .own_fd = -1, .removed = true };
	snprintf(file->name, sizeof file->name, "%s", name);
	return 0;
}

/* The flusher's calls and the reader's: one at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define LOCKED(call)                                                                               \
	({                                                                                         \
		int locked_rc;                                                                     \
		pthread_mutex_lock(&lock);                                                         \
		locked_rc = call;                                                                  \
		pthread_mutex_unlock(&lock);                                                       \
		locked_rc;                                                                         \
	})

static int locked_create(int dir_fd, const char *name)
{
	return LOCKED(power_create(dir_fd, name));
}

static int locked_allocate(int fd, uint64_t bytes)
{
	return LOCKED(power_allocate(fd, bytes));
}

static int locked_write(int fd, const char *buf, size_t len, uint64_t offset)
{
	return LOCKED(power_write(fd, buf, len, offset));
}

static int locked_sync(int fd)
{
	return LOCKED(power_sync(fd));
}

static int locked_sync_dir(int fd)
{
	return LOCKED(power_sync_dir(fd));
}

static int locked_truncate(int fd, uint64_t bytes)
{
	return LOCKED(power_truncate(fd, bytes));
}

static int locked_remove(int dir_fd, const char *name)
{
	return LOCKED(power_remove(dir_fd, name));
}

static const struct disk power_disk = {
	.create = locked_create,
	.allocate = locked_allocate,
	.write = locked_write,
	.sync = locked_sync,
	.sync_dir = locked_sync_dir,
	.truncate = locked_truncate,
	.remove = locked_remove,
};

/* Before the files are closed: of each unsynced sector something or nothing is on disk. */
static void cut_sectors(void)
{
	pthread_mutex_lock(&lock);
	power.left = 0;
	for (size_t i = 0; i < power.sector_count; i++) {
		struct sector *s = &power.sectors[i];
		size_t len = (size_t[]){ 0, SECTOR, chance(SECTOR) }[chance(3)];

		if (!chance(3)) /* neither what was there nor what was written */
			randombytes_buf(s->was + s->from, SECTOR - s->from);
		disk_of_system.write(s->fd, s->was, len, s->offset);
	}
	for (size_t i = 0; i < power.file_count; i++)
		if (!power.files[i].removed && !power.files[i].synced && chance(2))
			disk_of_system.truncate(power.files[i].own_fd, chance(SEGMENT));
	power.sector_count = 0;
	pthread_mutex_unlock(&lock);
}

/* With the files closed: a name that was not synced is there, or is not. Deletions come to be in
 * their order, as on any file system with a journal of its own. */
static void cut_names(const char *folder)
{
	char path[128], hidden[128];
	size_t durable = chance((uint32_t)power.file_count + 1);

	for (size_t i = 0; i < power.file_count; i++) {
		struct file *f = &power.files[i];

		snprintf(path, sizeof path, "%s/%s", folder, f->name);
		snprintf(hidden, sizeof hidden, "%s/gone-%s", folder, f->name);
		if (f->own_fd >= 0)
			close(f->own_fd);
		if (f->removed && f->name[0] && !f->named && i >= durable)
			rename(hidden, path);
		else if (f->removed)
			unlink(hidden);
		else if (!f->named && chance(2))
			unlink(path);
	}
	power.file_count = 0;
}

/* --- the test --------------------------------------------------------------------------------- */

enum fate { UNKNOWN, PROMISED, DONE };

struct seen {
	unsigned char producer[16], entries[16]; /* hash of them */
	uint64_t seq;
	uint8_t lane;
};

static struct {
	char parent[64], folder[80];
	struct journal_options options;
	unsigned char *fate; /* of each entry, by its number */
	unsigned char *read; /* since the last cut */
	uint32_t entries;
	struct seen *seen; /* records that were read, in the order of their reading */
	size_t seen_count, seen_size;
} run;

static void remember(const struct journal_record *record)
{
	struct seen now = { .seq = record->seq, .lane = record->lane };

	memcpy(now.producer, record->producer, sizeof now.producer);
	crypto_generichash(now.entries, sizeof now.entries,
		(const unsigned char *)record->entries.ptr, record->entries.len, NULL, 0);
	/* The last few are enough: older ones are done. */
	for (size_t i = run.seen_count > 400 ? run.seen_count - 400 : 0; i < run.seen_count; i++) {
		const struct seen *was = &run.seen[i];

		if (was->seq != now.seq || was->lane != now.lane ||
			memcmp(was->producer, now.producer, sizeof now.producer) != 0)
			continue;
		assert_memory_equal(was->entries, now.entries, sizeof now.entries);
		return;
	}
	if (run.seen_count == run.seen_size) {
		run.seen_size = run.seen_size ? 2 * run.seen_size : 4096;
		run.seen = realloc(run.seen, run.seen_size * sizeof *run.seen);
		assert_non_null(run.seen);
	}
	run.seen[run.seen_count++] = now;
}

/* Read what there is. Some of it is done; the rest must come again. */
static void read_all(struct journal *j, bool finish)
{
	struct journal_record record;
	struct err err;
	int rc;

	while ((rc = journal_read(j, &record, &err)) == 1) {
		const char *at = record.entries.ptr;
		bool done = finish || chance(3);

		remember(&record);
		for (uint32_t i = 0, len; i < record.count; i++, at += sizeof len + len) {
			uint32_t n;

			memcpy(&len, at, sizeof len);
			memcpy(&n, at + sizeof len, sizeof n);
			assert_true(n < run.entries);
			run.read[n] = 1;
			if (done)
				run.fate[n] = DONE;
		}
		if (done)
			journal_done(j, record.segment);
	}
	assert_int_equal(rc, 0);
}

/* Append until the power fails. */
static void append_until_cut(struct journal *j)
{
	char entry[3000];
	struct journal_ticket ticket = { 0 };
	struct err err;

	while (run.entries < ENTRIES_MOST) {
		uint32_t first = run.entries, n = 1 + chance(6);
		int rc = 0;

		for (uint32_t i = 0; i < n && !rc && run.entries < ENTRIES_MOST; i++) {
			size_t len = sizeof first + chance(chance(10) ? 300 : sizeof entry - 4);

			memset(entry, (int)chance(256), sizeof entry);
			memcpy(entry, &run.entries, sizeof run.entries);
			run.fate[run.entries++] = UNKNOWN;
			rc = journal_append(j, (uint8_t)chance(JOURNAL_LANES),
				(struct span){ entry, len }, &ticket, &err);
		}
		if (rc || journal_wait(j, ticket, &err))
			return;
		memset(run.fate + first, PROMISED, run.entries - first);
		if (!chance(8))
			journal_roll(j);
		if (!chance(4))
			read_all(j, false);
	}
}

static void assert_promises_kept(void)
{
	for (uint32_t i = 0; i < run.entries; i++)
		if (run.fate[i] == PROMISED && !run.read[i])
			fail_msg("entry %u was promised and is gone", i);
}

static int seen_order(const void *x, const void *y)
{
	const struct seen *a = x, *b = y;
	int producer = memcmp(a->producer, b->producer, sizeof a->producer);

	if (producer)
		return producer;
	if (a->lane != b->lane)
		return a->lane < b->lane ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void assert_numbers_have_no_gaps(void)
{
	qsort(run.seen, run.seen_count, sizeof *run.seen, seen_order);
	for (size_t i = 0; i < run.seen_count; i++) {
		const struct seen *s = &run.seen[i];
		bool first = !i || s[-1].lane != s->lane ||
			     memcmp(s[-1].producer, s->producer, sizeof s->producer) != 0;

		if (first)
			assert_int_equal(s->seq, 1);
		else if (s->seq != s[-1].seq)
			assert_int_equal(s->seq, s[-1].seq + 1);
	}
}

static void no_power_cut_loses_a_promised_entry(void **state)
{
	int cuts = getenv("FOOTFALL_LONG") ? CUTS_MOST : CUTS_MOST / 4;
	struct journal *j;
	struct err err;

	(void)state;
	for (int cut = 0; cut < cuts; cut++) {
		power.left = UINT32_MAX;
		memset(run.read, 0, run.entries);
		assert_int_equal(journal_open(&j, &run.options, &err), 0);
		read_all(j, cut % 8 == 7);
		assert_promises_kept();
		power.left = 1 + chance(40);
		append_until_cut(j);
		cut_sectors();
		journal_close(&j);
		cut_names(run.folder);
	}
	power.left = UINT32_MAX;
	memset(run.read, 0, run.entries);
	assert_int_equal(journal_open(&j, &run.options, &err), 0);
	read_all(j, true);
	assert_promises_kept();
	assert_numbers_have_no_gaps();
	journal_close(&j);
	printf("# %d cuts, %u entries, %zu records\n", cuts, run.entries, run.seen_count);
}

static int setup(void **state)
{
	(void)state;
	snprintf(run.parent, sizeof run.parent, "/tmp/footfall-power-XXXXXX");
	assert_non_null(mkdtemp(run.parent));
	snprintf(run.folder, sizeof run.folder, "%s/0", run.parent);
	run.fate = calloc(2, ENTRIES_MOST);
	assert_non_null(run.fate);
	run.read = run.fate + ENTRIES_MOST;
	run.options = (struct journal_options){ .parent = run.parent,
		.most_bytes = 1 << 30,
		.segment_bytes = SEGMENT,
		.close_bytes = 4000,
		.close_us = 500,
		.disk = &power_disk };
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	nftw(run.parent, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(run.fate);
	free(run.seen);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		no_power_cut_loses_a_promised_entry, setup, teardown) };

	log_open("power_test", LOG_ALARM);
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
