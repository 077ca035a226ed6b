/* The journal on a real folder: setup() opens one in a fresh place, teardown() removes it. */
#include "lib/check.h"
#include "lib/journal/archive.h"
#include "lib/journal/journal.h"
#include "lib/journal/segment.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

#define SEGMENT (1 << 20)

struct fixture {
	char parent[64];
	struct journal_options options;
	struct journal *journal;
};

static void reopen(struct fixture *f)
{
	struct err err;

	journal_close(&f->journal);
	assert_int_equal(journal_open(&f->journal, &f->options, &err), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	snprintf(f->parent, sizeof f->parent, "/tmp/footfall-journal-XXXXXX");
	assert_non_null(mkdtemp(f->parent));
	f->options = (struct journal_options){ .parent = f->parent,
		.most_bytes = 4 * SEGMENT,
		.segment_bytes = SEGMENT,
		.close_bytes = 64 << 10,
		.close_us = 1000 };
	*state = f;
	reopen(f);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_close(&f->journal);
	nftw(f->parent, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void append(struct fixture *f, uint8_t lane, const char *text)
{
	struct journal_ticket ticket;
	struct err err;

	assert_int_equal(journal_append(f->journal, lane, span_of(text), &ticket, &err), 0);
	assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
}

/* The next record, waited for. */
static struct journal_record next_record(struct fixture *f)
{
	struct journal_record record;
	struct err err;
	int rc;

	while (!(rc = journal_read(f->journal, &record, &err))) {
		struct pollfd readable = { journal_readable_fd(f->journal), POLLIN, 0 };
		uint64_t n;

		assert_int_equal(poll(&readable, 1, 10000), 1);
		assert_int_equal(read(readable.fd, &n, sizeof n), sizeof n);
	}
	assert_int_equal(rc, 1);
	return record;
}

static struct span entry_of(const struct journal_record *record, uint32_t n)
{
	const char *at = record->entries.ptr;
	uint32_t len;

	for (;; n--, at += sizeof len + len) {
		memcpy(&len, at, sizeof len);
		if (!n)
			return (struct span){ at + sizeof len, len };
	}
}

static void assert_holds(const struct journal_record *record, uint32_t n, const char *text)
{
	struct span entry = entry_of(record, n);

	assert_true(n < record->count);
	assert_int_equal(entry.len, strlen(text));
	assert_memory_equal(entry.ptr, text, entry.len);
}

static void assert_nothing_to_read(struct fixture *f)
{
	struct journal_record record;
	struct err err;

	assert_int_equal(journal_read(f->journal, &record, &err), 0);
}

static off_t last_segment(struct fixture *f, char path[256], uint64_t number)
{
	struct stat st;

	snprintf(path, 256, "%s/0/%016" PRIx64 ".seg", f->parent, number);
	return stat(path, &st) ? -1 : st.st_size;
}

static void what_was_waited_for_is_read_by_the_next_owner(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	unsigned char first[16];

	append(f, 3, "one");
	append(f, 3, "two");
	reopen(f);
	record = next_record(f);
	assert_int_equal(record.lane, 3);
	assert_int_equal(record.seq, 1);
	assert_holds(&record, 0, "one");
	memcpy(first, record.producer, sizeof first);
	journal_done(f->journal, record.segment);
	if (record.count == 1) { /* the second came after the first was closed by its age */
		record = next_record(f);
		assert_int_equal(record.seq, 2);
		assert_holds(&record, 0, "two");
	} else {
		assert_holds(&record, 1, "two");
	}
	append(f, 3, "three");
	record = next_record(f);
	assert_int_equal(record.seq, 1);
	assert_holds(&record, 0, "three");
	assert_memory_not_equal(record.producer, first, sizeof first);
}

static void lanes_are_numbered_without_gaps_each(void **state)
{
	struct fixture *f = *state;
	uint64_t last[JOURNAL_LANES] = { 0 };
	int seen = 0;

	for (int i = 0; i < 60; i++)
		append(f, (uint8_t)(i % 3), "x");
	while (seen < 60) {
		struct journal_record record = next_record(f);

		assert_int_equal(record.seq, ++last[record.lane]);
		seen += (int)record.count;
	}
}

static void a_record_closes_at_its_size(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	char big[30001];

	f->options.close_us = 3600 * 1000000LL;
	reopen(f);
	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	append(f, 1, big);
	append(f, 1, big);
	assert_nothing_to_read(f);
	append(f, 1, big);
	record = next_record(f);
	assert_int_equal(record.count, 2);
	assert_nothing_to_read(f);
	journal_flush(f->journal);
	record = next_record(f);
	assert_int_equal(record.count, 1);
	assert_int_equal(record.seq, 2);
}

/* Overwrite bytes of a file. */
static void damage(const char *path, off_t from, size_t len)
{
	char rubbish[64] = { 0 };
	int fd = open(path, O_RDWR);

	memset(rubbish, 0x5a, sizeof rubbish);
	assert_true(fd >= 0 && len <= sizeof rubbish);
	assert_int_equal(pwrite(fd, rubbish, len, from), len);
	close(fd);
}

static void a_torn_tail_is_dropped_on_open(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	struct journal_stats stats;
	char path[256];

	f->options.close_us = 3600 * 1000000LL;
	reopen(f);
	append(f, 0, "kept");
	append(f, 0, "torn");
	journal_close(&f->journal);
	/* A frame of 24 and 8 bytes, then the second. */
	assert_true(last_segment(f, path, 2) > 0);
	damage(path, SEGMENT_FRAMES_AT + 32 + 24, 60);
	reopen(f);
	record = next_record(f);
	assert_int_equal(record.count, 1);
	assert_holds(&record, 0, "kept");
	assert_nothing_to_read(f);
	journal_stats(f->journal, &stats);
	assert_int_equal(stats.damaged, 0);
}

static void damage_in_the_middle_is_passed_over_and_counted(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	struct journal_stats stats;
	char path[256];

	f->options.close_us = 3600 * 1000000LL;
	reopen(f);
	append(f, 0, "first");
	append(f, 0, "second");
	append(f, 0, "third");
	journal_close(&f->journal);
	assert_true(last_segment(f, path, 2) > 0);
	damage(path, SEGMENT_FRAMES_AT + 32 + 24, 4);
	reopen(f);
	record = next_record(f);
	assert_int_equal(record.count, 2);
	assert_holds(&record, 0, "first");
	assert_holds(&record, 1, "third");
	journal_stats(f->journal, &stats);
	assert_int_equal(stats.damaged, 1);
}

static void a_segment_is_deleted_when_all_its_records_are_done(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	char path[256];

	append(f, 0, "one");
	reopen(f); /* the first segment has an end now */
	record = next_record(f);
	assert_nothing_to_read(f);
	assert_true(last_segment(f, path, record.segment) > 0);
	journal_done(f->journal, record.segment);
	assert_nothing_to_read(f);
	assert_int_equal(last_segment(f, path, record.segment), -1);
}

static void a_full_journal_refuses_and_recovers_when_records_are_done(void **state)
{
	struct fixture *f = *state;
	struct journal_ticket ticket;
	struct journal_stats stats;
	struct err err;
	char big[60001];
	int taken = 0, read = 0, rc;

	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	while (!(rc = journal_append(f->journal, 0, span_of(big), &ticket, &err))) {
		assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
		assert_true(++taken < 80);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_true(taken > 60); /* 4 MiB of 60 kB */
	journal_stats(f->journal, &stats);
	assert_true(stats.full);
	assert_true(stats.bytes <= f->options.most_bytes);
	while (read < taken) {
		struct journal_record record = next_record(f);

		read += (int)record.count;
		journal_done(f->journal, record.segment);
	}
	assert_nothing_to_read(f);
	/* The flusher was woken by the deleted segment; appending is how to see it. */
	for (int tries = 0;
		(rc = journal_append(f->journal, 0, SPAN("again"), &ticket, &err)) && tries < 1000;
		tries++)
		assert_int_equal(poll(NULL, 0, 5), 0);
	assert_int_equal(rc, 0);
	assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
}

static void two_owners_take_two_folders(void **state)
{
	struct fixture *f = *state;
	struct journal *other = NULL;
	struct err err;
	char path[256];
	struct stat st;

	assert_int_equal(journal_open(&other, &f->options, &err), 0);
	snprintf(path, sizeof path, "%s/1", f->parent);
	assert_int_equal(stat(path, &st), 0);
	journal_close(&other);
}

static void a_damaged_record_is_read_as_an_empty_one_of_its_number(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	char path[256];

	for (uint64_t seq = 1; seq <= 3; seq++) {
		append(f, 5, "entry");
		record = next_record(f); /* closed, each a record of its own */
		assert_int_equal(record.seq, seq);
	}
	journal_close(&f->journal);
	/* Of each record a frame of 24 and 8 bytes and a close of 24. */
	assert_true(last_segment(f, path, 1) > 0);
	damage(path, SEGMENT_FRAMES_AT + 56, 56);
	reopen(f);
	for (uint64_t seq = 1; seq <= 3; seq++) {
		record = next_record(f);
		assert_int_equal(record.lane, 5);
		assert_int_equal(record.seq, seq);
		assert_int_equal(record.count, seq == 2 ? 0 : 1);
	}
	assert_nothing_to_read(f);
}

/* Three segments of one owner with a record each. */
static void three_segments(struct fixture *f)
{
	for (uint64_t number = 1; number <= 3; number++) {
		struct journal_record record;

		append(f, 7, "entry");
		record = next_record(f);
		assert_int_equal(record.segment, number);
		assert_int_equal(record.seq, number);
		journal_roll(f->journal);
		append(f, 8, "waits for the next segment, or is in this one");
		(void)next_record(f);
	}
	journal_close(&f->journal);
}

static uint32_t count_of(struct fixture *f, uint64_t seq)
{
	struct journal_record record;

	do {
		record = next_record(f);
		journal_done(f->journal, record.segment);
	} while (record.lane != 7);
	assert_int_equal(record.seq, seq);
	return record.count;
}

static void one_damaged_block_does_not_take_a_segment_along(void **state)
{
	struct fixture *f = *state;
	char path[256];

	three_segments(f);
	assert_true(last_segment(f, path, 2) > 0);
	damage(path, 0, 64);
	reopen(f);
	for (uint64_t seq = 1; seq <= 3; seq++)
		assert_int_equal(count_of(f, seq), 1);
}

static void the_records_of_an_unreadable_segment_are_read_as_empty_ones(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;
	struct journal_stats stats;
	char path[256], damaged[300];
	struct stat st;
	glob_t found;

	f->options.most_bytes = 64 * SEGMENT;
	three_segments(f);
	assert_true(last_segment(f, path, 1) > 0);
	damage(path, 0, 64);
	damage(path, SEGMENT_BLOCK, 64);
	reopen(f);
	assert_int_equal(count_of(f, 1), 0);
	assert_int_equal(count_of(f, 2), 1);
	assert_int_equal(count_of(f, 3), 1);
	journal_stats(f->journal, &stats);
	assert_int_equal(stats.damaged, 1);
	while (journal_read(f->journal, &record, &(struct err){ 0 }) == 1)
		journal_done(f->journal, record.segment);
	assert_int_equal(stat(path, &st), -1); /* set aside, for a person to look at */
	snprintf(damaged, sizeof damaged, "%s/archive/*.damaged", f->parent);
	assert_int_equal(glob(damaged, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	globfree(&found);
}

static void what_a_dead_owner_left_is_adopted_by_one(void **state)
{
	struct fixture *f = *state;
	struct journal *dead = NULL, *adopted = NULL, *again = NULL;
	struct journal_ticket ticket;
	struct journal_record record;
	struct err err;

	assert_int_equal(journal_open(&dead, &f->options, &err), 0);
	assert_int_equal(journal_append(dead, 2, SPAN("left"), &ticket, &err), 0);
	assert_int_equal(journal_adopt(&adopted, &f->options, &err), 0); /* it is not dead yet */
	journal_close(&dead);
	assert_int_equal(journal_adopt(&adopted, &f->options, &err), 1);
	assert_int_equal(journal_adopt(&again, &f->options, &err), 0);
	assert_int_equal(journal_read(adopted, &record, &err), 1);
	assert_holds(&record, 0, "left");
	assert_int_equal(journal_read(adopted, &record, &err), 0);
	assert_false(journal_is_drained(adopted));
	journal_done(adopted, record.segment);
	assert_true(journal_is_drained(adopted));
	journal_close(&adopted);
	assert_int_equal(journal_adopt(&adopted, &f->options, &err), 0); /* nothing is left */
}

static void a_delivered_segment_is_archived_and_comes_back_the_same(void **state)
{
	struct fixture *f = *state;
	struct archive *archive = NULL;
	struct archive_summary *list;
	struct journal_record record;
	struct err err;
	size_t count;
	char path[256];
	char *before, *after;
	int fd;

	f->options.archive_days = 3;
	reopen(f);
	append(f, 4, "one");
	record = next_record(f);
	assert_true(last_segment(f, path, record.segment) == SEGMENT);
	before = malloc(2 * SEGMENT);
	after = before + SEGMENT;
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, before, SEGMENT), SEGMENT);
	close(fd);
	journal_roll(f->journal);
	journal_done(f->journal, record.segment);
	while (last_segment(f, path, record.segment) >= 0)
		assert_nothing_to_read(f);

	assert_int_equal(archive_open(&archive, f->parent, -1, &err), 0);
	assert_int_equal(archive_list(archive, &list, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_memory_equal(list[0].producer, record.producer, 16);
	assert_int_equal(list[0].number, record.segment);
	assert_int_equal(list[0].first[4], 1);
	assert_int_equal(list[0].last[4], 1);
	assert_int_equal(list[0].last[5], 0);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_int_equal(archive_extract(archive, &list[0], fd, &err), 0);
	assert_int_equal(pread(fd, after, SEGMENT, 0), SEGMENT);
	assert_memory_equal(before, after, SEGMENT);
	assert_true(archive_give_way(archive));
	assert_false(archive_give_way(archive));
	close(fd);
	free(before);
	free(list);
	archive_close(&archive);
}

static void the_archive_gives_way_to_new_events(void **state)
{
	struct fixture *f = *state;
	struct journal_stats stats;
	char big[60001];

	f->options.archive_days = 3;
	reopen(f);
	for (int i = 0; i < 200; i++) { /* 12 MB of what cannot be compressed */
		struct journal_ticket ticket;
		struct journal_record record;
		struct err err;

		randombytes_buf(big, sizeof big);
		assert_int_equal(journal_append(f->journal, 0, (struct span){ big, sizeof big },
					 &ticket, &err),
			0);
		assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
		while (journal_read(f->journal, &record, &err) == 1)
			journal_done(f->journal, record.segment);
	}
	journal_stats(f->journal, &stats);
	assert_false(stats.full);
	assert_true(stats.archive_bytes > SEGMENT);
	assert_true(stats.archive_bytes <= f->options.most_bytes);
}

/* A disk that fails when told to. */
static int sync_error, allocate_error;

static int failing_sync(int fd)
{
	return sync_error ? sync_error : disk_of_system.sync(fd);
}

static int failing_allocate(int fd, uint64_t bytes)
{
	return allocate_error ? allocate_error : disk_of_system.allocate(fd, bytes);
}

static void after_a_failed_sync_nothing_is_taken_and_nothing_of_it_is_kept(void **state)
{
	struct fixture *f = *state;
	struct disk disk = disk_of_system;
	struct journal_ticket ticket;
	struct journal_record record;
	struct err err;

	disk.sync = failing_sync;
	f->options.disk = &disk;
	reopen(f);
	append(f, 0, "kept");
	record = next_record(f);
	sync_error = -EIO;
	assert_int_equal(journal_append(f->journal, 0, SPAN("refused"), &ticket, &err), 0);
	assert_int_equal(journal_wait(f->journal, ticket, &err), -EIO);
	sync_error = 0;
	assert_int_equal(journal_append(f->journal, 0, SPAN("later"), &ticket, &err), -EIO);
	assert_true(journal_failed(f->journal));
	reopen(f);
	record = next_record(f);
	assert_int_equal(record.count, 1);
	assert_holds(&record, 0, "kept");
	assert_nothing_to_read(f);
}

static void a_full_disk_shows_when_a_segment_is_made_and_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct disk disk = disk_of_system;
	struct journal_ticket ticket;
	struct err err;
	char big[60001];
	int taken = 0, rc;

	disk.allocate = failing_allocate;
	f->options.disk = &disk;
	reopen(f);
	allocate_error = -ENOSPC;
	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	while (!(rc = journal_append(f->journal, 0, span_of(big), &ticket, &err))) {
		assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
		taken++;
	}
	assert_int_equal(rc, -ENOSPC);
	assert_in_range(taken, 16, 17); /* of the segment that had its space */
	allocate_error = 0;
	while ((rc = journal_append(f->journal, 0, SPAN("again"), &ticket, &err)) == -ENOSPC)
		poll(NULL, 0, 5);
	assert_int_equal(rc, 0);
	assert_int_equal(journal_wait(f->journal, ticket, &err), 0);
	for (int seen = 0; seen < taken + 1;)
		seen += (int)next_record(f).count;
}

static void a_segment_ends_by_its_age(void **state)
{
	struct fixture *f = *state;
	struct journal_record record;

	f->options.roll_us = 20 * 1000;
	reopen(f);
	append(f, 0, "old");
	record = next_record(f);
	journal_done(f->journal, record.segment);
	while (!journal_is_drained(f->journal))
		assert_nothing_to_read(f);
	for (char path[256]; last_segment(f, path, record.segment) >= 0;)
		assert_nothing_to_read(f);
}

#define APPENDERS 8

/* Appends until told to stop; what is refused is tried again. */
struct appender {
	struct fixture *f;
	atomic_bool *stop;
	unsigned accepted;
};

static void *append_until_stopped(void *arg)
{
	struct appender *a = arg;
	char big[4000] = "x";
	struct err err;

	while (!atomic_load(a->stop)) {
		struct journal_ticket ticket;

		if (!journal_append(
			    a->f->journal, 1, (struct span){ big, sizeof big }, &ticket, &err) &&
			!journal_wait(a->f->journal, ticket, &err))
			a->accepted++;
	}
	return NULL;
}

static void nothing_is_lost_while_it_is_full_and_finds_space_again(void **state)
{
	struct fixture *f = *state;
	struct appender appenders[APPENDERS];
	pthread_t threads[APPENDERS];
	atomic_bool stop = false;
	unsigned accepted = 0, read = 0, undone = 0, full = 0;
	uint64_t segments[4096];

	f->options.most_bytes = 2 * SEGMENT;
	reopen(f);
	for (int i = 0; i < APPENDERS; i++) {
		appenders[i] = (struct appender){ .f = f, .stop = &stop };
		assert_int_equal(
			pthread_create(&threads[i], NULL, append_until_stopped, &appenders[i]), 0);
	}
	/* Withhold what is done until it is full, then be done with it all, and read on and on: the
	 * reader stands before the new segment when it is made. */
	for (bool ending = false; !ending || !journal_is_drained(f->journal);) {
		struct journal_record record;
		struct journal_stats stats;
		struct err err;

		journal_stats(f->journal, &stats);
		full += stats.full;
		if (full > 120 && !ending) {
			ending = true;
			atomic_store(&stop, true);
			for (int i = 0; i < APPENDERS; i++) {
				pthread_join(threads[i], NULL);
				accepted += appenders[i].accepted;
			}
			journal_flush(f->journal);
		}
		while ((stats.full || ending) && undone)
			journal_done(f->journal, segments[--undone]);
		for (int n = 0; n < 3000; n++)
			if (journal_read(f->journal, &record, &err) == 1) {
				read += record.count;
				segments[undone++] = record.segment;
			}
	}
	assert_int_equal(read, accepted);
}

#define THREADS 8
#define EACH    2000

static void *append_many(void *arg)
{
	struct fixture *f = arg;
	char text[64];

	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof text, "%p %d", (void *)pthread_self(), i);
		append(f, (uint8_t)(i % JOURNAL_LANES), text);
	}
	return NULL;
}

static void what_many_threads_append_is_read_once_each(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	int seen = 0;

	f->options.most_bytes = 64 * SEGMENT;
	reopen(f);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, f), 0);
	while (seen < THREADS * EACH) {
		struct journal_record record = next_record(f);

		seen += (int)record.count;
		journal_done(f->journal, record.segment);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(seen, THREADS * EACH);
	assert_nothing_to_read(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_was_waited_for_is_read_by_the_next_owner),
		test(lanes_are_numbered_without_gaps_each),
		test(a_record_closes_at_its_size),
		test(a_torn_tail_is_dropped_on_open),
		test(damage_in_the_middle_is_passed_over_and_counted),
		test(a_segment_is_deleted_when_all_its_records_are_done),
		test(a_full_journal_refuses_and_recovers_when_records_are_done),
		test(two_owners_take_two_folders),
		test(what_many_threads_append_is_read_once_each),
		test(a_damaged_record_is_read_as_an_empty_one_of_its_number),
		test(one_damaged_block_does_not_take_a_segment_along),
		test(the_records_of_an_unreadable_segment_are_read_as_empty_ones),
		test(what_a_dead_owner_left_is_adopted_by_one),
		test(a_delivered_segment_is_archived_and_comes_back_the_same),
		test(the_archive_gives_way_to_new_events),
		test(after_a_failed_sync_nothing_is_taken_and_nothing_of_it_is_kept),
		test(a_full_disk_shows_when_a_segment_is_made_and_is_tried_again),
		test(a_segment_ends_by_its_age),
		test(nothing_is_lost_while_it_is_full_and_finds_space_again),
	};

	log_open("journal_test", LOG_ALARM);
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
