/* An archive in a fresh folder, with a segment that is put together here. */
#include "lib/check.h"
#include "lib/journal/archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBER  7
#define ENTRIES 4000
#define NAME    "01010101010101010101010101010101-0000000000000007"

struct fixture {
	char parent[64], stored[200], damaged[200];
	struct archive *archive;
	unsigned asked, kept;
};

static void path_of(const struct fixture *f, const char *name, char path[200])
{
	snprintf(path, 200, "%s/archive/%s", f->parent, name);
}

static int setup(void **state)
{
	static struct fixture f;
	struct err err;

	f = (struct fixture){ 0 };
	snprintf(f.parent, sizeof f.parent, "/tmp/footfall-archive-XXXXXX");
	*state = &f;
	if (!mkdtemp(f.parent) || archive_open(&f.archive, f.parent, 3, &err))
		return -1;
	path_of(&f, NAME ".zst", f.stored);
	path_of(&f, NAME ".damaged", f.damaged);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[200];

	while (archive_give_way(f->archive))
		;
	archive_close(&f->archive);
	path_of(f, "", path);
	return rmdir(path) || rmdir(f->parent); /* nothing else is there */
}

/* A segment of records of one entry, every other of which begins with '-': it must go. */
static void segment_make(FILE *file)
{
	assert_non_null(file);
	assert_int_equal(fseek(file, SEGMENT_FRAMES_AT, SEEK_SET), 0);
	for (uint64_t seq = 1; seq <= ENTRIES; seq++) {
		struct frame_head head = { .seq = seq, .type = FRAME_ENTRY, .lane = 3 };
		char text[64], frame[128];

		head.len = (uint32_t)snprintf(text, sizeof text, "%c%llx %llx", seq % 2 ? '+' : '-',
			(unsigned long long)(seq * 0x9e3779b97f4a7c15U),
			(unsigned long long)(seq * 0xbf58476d1ce4e5b9U));
		frame_seal(frame, head, text, NUMBER);
		assert_int_equal(fwrite(frame, frame_size(head.len), 1, file), 1);
	}
	assert_int_equal(fflush(file), 0);
}

static void store(struct fixture *f)
{
	struct archive_summary summary = { .number = NUMBER };
	FILE *file = tmpfile();
	struct err err;

	memset(summary.producer, 1, sizeof summary.producer);
	segment_make(file);
	assert_int_equal(archive_store(f->archive, &summary, fileno(file), &err), 0);
	fclose(file);
}

/* Overwrite 16 bytes of a file. */
static void damage(const char *path, off_t at)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "ZZZZZZZZZZZZZZZZ", 16, at), 16);
	close(fd);
}

static bool keeps(void *who, struct span entry)
{
	struct fixture *f = who;

	f->asked++;
	f->kept += entry.ptr[0] == '+';
	return entry.ptr[0] == '+';
}

static int sift(struct fixture *f, uint64_t number)
{
	struct err err;

	f->asked = f->kept = 0;
	return archive_sift(f->archive, number, keeps, f, &err);
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

static void a_file_is_sifted_once_for_a_number(void **state)
{
	struct fixture *f = *state;

	store(f);
	assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->asked, ENTRIES);
	assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->asked, 0);
	assert_int_equal(sift(f, 2), 0);
	assert_int_equal(f->asked, ENTRIES / 2);
	assert_true(is_there(f->stored));
}

static void of_a_damaged_file_what_can_be_read_is_set_aside_without_what_must_go(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	unsigned kept;

	store(f);
	assert_int_equal(stat(f->stored, &st), 0);
	damage(f->stored, st.st_size * 9 / 10);
	assert_int_equal(sift(f, 1), 0);
	assert_false(is_there(f->stored));
	assert_true(is_there(f->damaged));
	kept = f->kept;
	assert_true(kept > 0 && kept < ENTRIES / 2);
	assert_int_equal(sift(f, 2), 0);
	assert_int_equal(f->asked, kept);
	assert_int_equal(f->kept, kept);
}

static void a_file_with_a_head_that_is_not_known_is_set_aside_whole(void **state)
{
	const uint32_t longer = 4 + 8 + 16 + 256 + 8 + 8;
	struct fixture *f = *state;
	char *bytes = malloc(1 << 20);
	FILE *file;
	size_t len;

	store(f);
	file = fopen(f->stored, "r+");
	assert_non_null(file);
	len = fread(bytes, 1, 1 << 20, file);
	rewind(file);
	assert_int_equal(fwrite(bytes, 4, 1, file), 1);
	assert_int_equal(fwrite(&longer, 4, 1, file), 1);
	assert_int_equal(fwrite("more", 4, 1, file), 1);
	assert_int_equal(fwrite(bytes + 8, len - 8, 1, file), 1);
	assert_int_equal(fclose(file), 0);
	free(bytes);
	assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->kept, ENTRIES / 2);
	assert_false(is_there(f->stored));
	assert_true(is_there(f->damaged));
}

static void of_a_file_that_cannot_be_read_at_all_nothing_stays(void **state)
{
	struct fixture *f = *state;

	store(f);
	damage(f->stored, 0);
	assert_int_equal(sift(f, 1), 0);
	assert_false(is_there(f->stored));
	assert_false(is_there(f->damaged));
}

/* Set a whole segment aside, as one with damage is. */
static void set_aside(struct fixture *f)
{
	FILE *file = fopen(f->stored, "w");
	struct archive_summary summary = { .number = NUMBER };
	struct err err;
	int dir;

	memset(summary.producer, 1, sizeof summary.producer);
	segment_make(file);
	fclose(file);
	dir = open(f->parent, O_RDONLY | O_DIRECTORY);
	assert_int_equal(
		archive_set_aside(f->archive, &summary, dir, "archive/" NAME ".zst", &err), 0);
	close(dir);
	assert_true(is_there(f->damaged));
}

static void a_damaged_segment_is_not_read_again_for_the_same_number(void **state)
{
	struct fixture *f = *state;

	set_aside(f);
	assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->asked, ENTRIES);
	assert_int_equal(sift(f, 1), 0); /* the file that took its place */
	assert_int_equal(f->asked, ENTRIES / 2);
	assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->asked, 0);
	assert_int_equal(sift(f, 2), 0);
	assert_int_equal(f->asked, ENTRIES / 2);
	assert_int_equal(sift(f, 2), 0);
	assert_int_equal(f->asked, 0);
}

static void a_damaged_segment_that_comes_later_is_sifted_too(void **state)
{
	struct fixture *f = *state;
	int before;

	set_aside(f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sift(f, 1), 0);
	assert_int_equal(f->asked, 0);
	before = open(f->damaged, O_RDONLY); /* another one, surely, while this is open */
	assert_int_equal(unlink(f->damaged), 0);
	set_aside(f);
	assert_int_equal(sift(f, 1), 0);
	close(before);
	assert_int_equal(f->asked, ENTRIES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_sifted_once_for_a_number),
		TEST(of_a_damaged_file_what_can_be_read_is_set_aside_without_what_must_go),
		TEST(a_file_with_a_head_that_is_not_known_is_set_aside_whole),
		TEST(of_a_file_that_cannot_be_read_at_all_nothing_stays),
		TEST(a_damaged_segment_is_not_read_again_for_the_same_number),
		TEST(a_damaged_segment_that_comes_later_is_sifted_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
