#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/check.h"
#include "services/cli/log_reader.h"

struct fixture {
	char path[64];
	struct log_reader *reader;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->path, sizeof f->path, "/tmp/footfall-log_reader_test.XXXXXX");
	close(mkstemp(f->path));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_reader_close(&f->reader);
	unlink(f->path);
	free(f);
	return 0;
}

static void write_plain(struct fixture *f, const char *mode, struct span text)
{
	FILE *out = fopen(f->path, mode);

	assert_non_null(out);
	assert_int_equal(fwrite(text.ptr, 1, text.len, out), text.len);
	assert_int_equal(fclose(out), 0);
}

/* gzip's "a" appends a member of its own. */
static void write_gzip(struct fixture *f, const char *mode, struct span text)
{
	gzFile out = gzopen(f->path, mode);

	assert_non_null(out);
	assert_int_equal(gzwrite(out, text.ptr, (unsigned)text.len), (int)text.len);
	assert_int_equal(gzclose(out), Z_OK);
}

static void open_reader(struct fixture *f)
{
	log_reader_close(&f->reader);
	assert_int_equal(log_reader_open(&f->reader, f->path, &f->err), 0);
}

static void assert_line(struct fixture *f, const char *text, uint64_t offset)
{
	struct log_text line;

	assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
	if (!span_equals(line.text, span_of(text)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)line.text.len, line.text.ptr, text);
	assert_int_equal(line.offset, offset);
	assert_false(line.unterminated);
}

static void assert_end(struct fixture *f)
{
	struct log_text line;

	assert_int_equal(log_reader_next(f->reader, &line, &f->err), 0);
}

static void lines_come_with_their_offsets(void **state)
{
	struct fixture *f = *state;

	write_plain(f, "w", SPAN("one\n\ntwo\r\nthree\n"));
	open_reader(f);
	assert_line(f, "one", 0);
	assert_line(f, "", 4);
	assert_line(f, "two", 5);
	assert_line(f, "three", 10);
	assert_end(f);
	assert_true(log_reader_may_grow(f->reader));
}

static void a_gzip_file_gives_the_same_lines(void **state)
{
	struct fixture *f = *state;

	write_gzip(f, "w", SPAN("one\ntwo\n"));
	write_gzip(f, "a", SPAN("three\n"));
	open_reader(f);
	assert_line(f, "one", 0);
	assert_line(f, "two", 4);
	assert_line(f, "three", 8);
	assert_end(f);
	assert_false(log_reader_may_grow(f->reader));
}

static void a_gzip_file_with_padding_ends_where_its_members_end(void **state)
{
	struct fixture *f = *state;

	write_gzip(f, "w", SPAN("one\n"));
	write_plain(f, "a", (struct span){ "\0\0\0\0", 4 });
	open_reader(f);
	assert_line(f, "one", 0);
	assert_end(f);
}

static void a_gzip_file_that_is_cut_short_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct log_text line;
	int rc;

	write_gzip(f, "w", SPAN("one\ntwo\nthree\n"));
	assert_int_equal(truncate(f->path, 20), 0);
	open_reader(f);
	while ((rc = log_reader_next(f->reader, &line, &f->err)) == 1)
		continue;
	assert_int_equal(rc, -EPROTO);
}

static void an_empty_file_has_no_lines(void **state)
{
	struct fixture *f = *state;

	open_reader(f);
	assert_end(f);
}

static void a_last_line_without_its_break_is_marked(void **state)
{
	struct fixture *f = *state;
	struct log_text line;

	write_plain(f, "w", SPAN("one\nhal"));
	open_reader(f);
	assert_line(f, "one", 0);
	assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
	assert_true(line.unterminated);
	assert_int_equal(line.end, 7);
	assert_end(f);
}

/* Longer than any buffer inside. */
static struct span many_bytes(size_t len)
{
	char *bytes = malloc(len);

	assert_non_null(bytes);
	memset(bytes, 'x', len);
	return (struct span){ bytes, len };
}

static void a_line_too_long_is_marked_and_the_next_is_whole(void **state)
{
	static const size_t lengths[] = { LOG_LINE_MOST, LOG_LINE_MOST + 1, (1 << 20) - 1, 1 << 20,
		(1 << 20) + 1, 5 << 20 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct span bytes = many_bytes(lengths[i]);
		struct log_text line;

		for (int gzip = 0; gzip < 2; gzip++) {
			if (gzip) {
				write_gzip(f, "w", SPAN("first\n"));
				write_gzip(f, "a", bytes);
				write_gzip(f, "a", SPAN("\nnext\n"));
			} else {
				write_plain(f, "w", SPAN("first\n"));
				write_plain(f, "a", bytes);
				write_plain(f, "a", SPAN("\nnext\n"));
			}
			open_reader(f);
			assert_line(f, "first", 0);
			assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
			assert_int_equal(line.offset, 6);
			assert_int_equal(line.text.len, LOG_LINE_MOST);
			assert_int_equal(line.too_long, lengths[i] > LOG_LINE_MOST);
			assert_int_equal(line.end, 6 + lengths[i] + 1);
			assert_line(f, "next", 6 + lengths[i] + 1);
			assert_end(f);
		}
		free((char *)(uintptr_t)bytes.ptr);
	}
}

static void reading_goes_on_at_an_offset(void **state)
{
	struct fixture *f = *state;
	struct span bytes = many_bytes(3 << 20); /* beyond the first read */
	char before;

	for (size_t i = 100; i < bytes.len; i += 100)
		((char *)(uintptr_t)bytes.ptr)[i - 1] = '\n';
	((char *)(uintptr_t)bytes.ptr)[bytes.len - 1] = '\n';
	for (int gzip = 0; gzip < 2; gzip++) {
		struct log_text line;

		if (gzip)
			write_gzip(f, "w", bytes);
		else
			write_plain(f, "w", bytes);
		open_reader(f);
		assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
		assert_int_equal(log_reader_skip_to(f->reader, 2000000, &before, &f->err), 0);
		assert_int_equal(before, '\n');
		assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
		assert_int_equal(line.offset, 2000000);
		assert_int_equal(line.text.len, 99);

		open_reader(f);
		assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
		assert_int_equal(log_reader_skip_to(f->reader, 100, &before, &f->err), 0);
		assert_int_equal(log_reader_next(f->reader, &line, &f->err), 1);
		assert_int_equal(line.offset, 100);

		open_reader(f);
		assert_int_equal(log_reader_skip_to(f->reader, 150, &before, &f->err), 0);
		assert_int_equal(before, 'x');

		open_reader(f);
		assert_int_equal(log_reader_skip_to(f->reader, bytes.len, &before, &f->err), 0);
		assert_end(f);
		open_reader(f);
		assert_int_equal(
			log_reader_skip_to(f->reader, bytes.len + 1, &before, &f->err), -ENODATA);
	}
	free((char *)(uintptr_t)bytes.ptr);
}

static void follow(struct fixture *f)
{
	open_reader(f);
	assert_int_equal(log_reader_follow(f->reader, &f->err), 0);
}

static void a_file_that_is_followed_gives_lines_when_their_breaks_come(void **state)
{
	struct fixture *f = *state;

	follow(f);
	assert_end(f);
	write_plain(f, "a", SPAN("one\ntw"));
	assert_line(f, "one", 0);
	assert_end(f);
	assert_end(f);
	write_plain(f, "a", SPAN("o\n"));
	assert_line(f, "two", 4);
	assert_end(f);
	assert_int_equal(log_reader_fate(f->reader, f->path), LOG_CURRENT);
}

static void a_file_that_was_emptied_gives_nothing_of_what_came_then(void **state)
{
	struct fixture *f = *state;

	write_plain(f, "w", SPAN("one\n"));
	follow(f);
	assert_line(f, "one", 0);
	assert_end(f);
	write_plain(f, "w", SPAN("new\nlines\n")); /* longer than before */
	assert_end(f);
	assert_int_equal(log_reader_fate(f->reader, f->path), LOG_TRUNCATED);
	write_plain(f, "w", SPAN(""));
	assert_int_equal(log_reader_fate(f->reader, f->path), LOG_TRUNCATED);
}

static void a_file_whose_name_is_another_s_is_read_to_its_end(void **state)
{
	struct fixture *f = *state;
	char moved[80];
	FILE *late;

	snprintf(moved, sizeof moved, "%s.moved", f->path);
	write_plain(f, "w", SPAN("one\n"));
	follow(f);
	assert_line(f, "one", 0);
	assert_int_equal(rename(f->path, moved), 0);
	assert_int_equal(log_reader_fate(f->reader, f->path), LOG_CURRENT);
	write_plain(f, "w", SPAN("another\n"));
	assert_int_equal(log_reader_fate(f->reader, f->path), LOG_REPLACED);
	late = fopen(moved, "a");
	assert_non_null(late);
	fputs("two\n", late);
	fclose(late);
	assert_line(f, "two", 4);
	assert_end(f);
	unlink(moved);
}

static void only_a_plain_file_is_followed(void **state)
{
	struct fixture *f = *state;

	write_gzip(f, "w", SPAN("one\n"));
	open_reader(f);
	assert_int_equal(log_reader_follow(f->reader, &f->err), -EINVAL);
}

static void a_file_that_is_not_there_is_named(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_reader_open(&f->reader, "/nowhere/access.log", &f->err), -ENOENT);
	assert_non_null(strstr(f->err.msg, "/nowhere/access.log"));
	assert_int_equal(log_reader_open(&f->reader, "/", &f->err), -EISDIR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lines_come_with_their_offsets),
		TEST(a_gzip_file_gives_the_same_lines),
		TEST(a_gzip_file_with_padding_ends_where_its_members_end),
		TEST(a_gzip_file_that_is_cut_short_is_an_error),
		TEST(an_empty_file_has_no_lines),
		TEST(a_last_line_without_its_break_is_marked),
		TEST(a_line_too_long_is_marked_and_the_next_is_whole),
		TEST(reading_goes_on_at_an_offset),
		TEST(a_file_that_is_followed_gives_lines_when_their_breaks_come),
		TEST(a_file_that_was_emptied_gives_nothing_of_what_came_then),
		TEST(a_file_whose_name_is_another_s_is_read_to_its_end),
		TEST(only_a_plain_file_is_followed),
		TEST(a_file_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
