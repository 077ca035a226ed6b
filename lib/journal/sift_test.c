/* Sifting a segment that is put together here, frame by frame. */
#include "lib/check.h"
#include "lib/journal/sift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/journal/segment.h"

#define NUMBER 7
#define BYTES  (64 << 10)

struct fixture {
	FILE *from, *to;
	struct sifted sifted;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .from = tmpfile(), .to = tmpfile() };
	assert_non_null(f.from);
	assert_non_null(f.to);
	assert_int_equal(ftruncate(fileno(f.from), BYTES), 0);
	assert_int_equal(fseek(f.from, SEGMENT_FRAMES_AT, SEEK_SET), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fclose(f->from);
	fclose(f->to);
	return 0;
}

/* An entry of a record, or, without text, the record's close. */
static void put(struct fixture *f, uint8_t lane, uint64_t seq, const char *text)
{
	const struct frame_head head = { .len = (uint32_t)(text ? strlen(text) : 0),
		.seq = seq,
		.type = text ? FRAME_ENTRY : FRAME_CLOSE,
		.lane = lane };
	char frame[256];

	assert_true(frame_size(head.len) <= sizeof frame);
	frame_seal(frame, head, text ? text : "", NUMBER);
	assert_int_equal(fwrite(frame, 1, frame_size(head.len), f->from), frame_size(head.len));
}

static bool keeps(void *who, struct span entry)
{
	(void)who;
	return entry.ptr[0] != '-';
}

/* Sift, and what is in the copy: "lane/seq=text" or "lane/seq." for a close. */
static void assert_sifts_to(struct fixture *f, const char *wanted)
{
	char said[1024] = "", *bytes = malloc(BYTES);
	size_t at = SEGMENT_FRAMES_AT, len = 0;
	struct frame_head head;
	struct stat st;

	fflush(f->from);
	assert_int_equal(
		segment_sift(fileno(f->from), fileno(f->to), NUMBER, keeps, NULL, &f->sifted), 0);
	assert_int_equal(fstat(fileno(f->to), &st), 0);
	assert_int_equal(st.st_size, BYTES);
	assert_int_equal(pread(fileno(f->to), bytes, BYTES, 0), BYTES);
	for (memcpy(&head, bytes + at, sizeof head); frame_head_fits(&head);
		memcpy(&head, bytes + at, sizeof head)) {
		const char *entry = bytes + at + sizeof head;

		assert_true(frame_holds(&head, entry, NUMBER));
		len += (size_t)snprintf(said + len, sizeof said - len,
			head.type == FRAME_CLOSE ? "%u/%u. " : "%u/%u=%.*s ", head.lane,
			(unsigned)head.seq, (int)head.len, entry);
		at += frame_size(head.len);
	}
	for (; at < BYTES; at++)
		assert_int_equal(bytes[at], 0);
	assert_string_equal(said, wanted);
	free(bytes);
}

static void what_is_kept_stays_as_it_is(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 5, "a");
	put(f, 2, 1, "b");
	put(f, 1, 5, "c");
	put(f, 1, 5, NULL);
	put(f, 2, 1, NULL);
	assert_sifts_to(f, "1/5=a 2/1=b 1/5=c 1/5. 2/1. ");
	assert_int_equal(f->sifted.entries, 0);
	assert_int_equal(f->sifted.unreadable, 0);
}

static void a_record_that_loses_all_its_entries_stays_as_an_empty_one(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 5, "-a");
	put(f, 1, 5, "-b");
	put(f, 1, 5, NULL);
	put(f, 1, 6, "c");
	put(f, 1, 6, "-d");
	put(f, 1, 6, NULL);
	assert_sifts_to(f, "1/5. 1/6=c 1/6. ");
	assert_int_equal(f->sifted.entries, 3);
}

static void a_record_that_nobody_closed_keeps_its_number(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 5, "-a"); /* its close was damaged */
	put(f, 1, 6, "b");
	put(f, 1, 6, NULL);
	put(f, 2, 9, "-c"); /* of an owner that was killed */
	assert_sifts_to(f, "1/5. 1/6=b 1/6. 2/9. ");
}

static void what_cannot_be_read_is_left_out(void **state)
{
	static const char rubbish[64] = "a piece of what must go, perhaps";
	struct fixture *f = *state;

	put(f, 1, 5, "a");
	assert_int_equal(fwrite(rubbish, 1, sizeof rubbish, f->from), sizeof rubbish);
	put(f, 1, 5, "b");
	put(f, 1, 5, NULL);
	assert_sifts_to(f, "1/5=a 1/5=b 1/5. ");
	assert_true(f->sifted.unreadable >= 32);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_kept_stays_as_it_is),
		TEST(a_record_that_loses_all_its_entries_stays_as_an_empty_one),
		TEST(a_record_that_nobody_closed_keeps_its_number),
		TEST(what_cannot_be_read_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
