#include "services/cli/log_reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define TEXT_SIZE (1 << 20) /* many lines at a read, and room for the longest */
#define RAW_SIZE  (256 << 10)
#define HEAD_SIZE 256 /* of a first line: address and time at least */

struct log_reader {
	int fd;
	bool regular, gzip, ended, following;
	uint64_t taken, size; /* bytes of the file */
	char *text;           /* TEXT_SIZE; what is not yet given out is [start, end) */
	size_t start, end;
	uint64_t base; /* offset of text[0] */
	z_stream z;
	bool z_open, z_between; /* between two members of a gzip file */
	unsigned char *raw;     /* RAW_SIZE */
	char head[HEAD_SIZE];   /* how a file that is followed begins */
	size_t head_len;
};

static int read_fd(struct log_reader *r, void *buf, size_t size, size_t *len, struct err *err)
{
	ssize_t got = read(r->fd, buf, size);

	if (got < 0)
		return err_set(err, -errno, "the log cannot be read: %m");
	*len = (size_t)got;
	r->taken += (uint64_t)got;
	return 0;
}

/* More compressed bytes; *more is false at the end of the file. */
static int gzip_feed(struct log_reader *r, bool *more, struct err *err)
{
	size_t len = 0;
	int rc = r->z.avail_in ? 0 : read_fd(r, r->raw, RAW_SIZE, &len, err);

	if (!rc && len) {
		r->z.next_in = r->raw;
		r->z.avail_in = (unsigned)len;
	}
	*more = r->z.avail_in > 0;
	return rc;
}

/* A file may be several gzip members one after the other; what follows the last and is not one
 * (padding of a tape or a block) is ignored, as gzip does. */
static int gzip_read(struct log_reader *r, char *buf, size_t size, size_t *len, struct err *err)
{
	*len = 0;
	r->z.next_out = (unsigned char *)buf;
	r->z.avail_out = (unsigned)size;
	while (r->z.avail_out == size) {
		bool more;
		int rc = gzip_feed(r, &more, err), z;

		if (rc)
			return rc;
		if (!more && !r->z_between)
			return err_set(err, -EPROTO, "the gzip file is cut short");
		if (!more || (r->z_between && r->z.next_in[0] != 0x1f))
			return 0;
		if (r->z_between)
			inflateReset(&r->z);
		z = inflate(&r->z, Z_NO_FLUSH);
		r->z_between = z == Z_STREAM_END;
		if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
			return err_set(err, -EPROTO, "the gzip file is damaged: %s",
				r->z.msg ? r->z.msg : "it cannot be read");
	}
	*len = size - r->z.avail_out;
	return 0;
}

/* Smaller than what was read of it; or grown again since, and then it begins otherwise. */
static bool is_truncated(const struct log_reader *r)
{
	char head[HEAD_SIZE];
	struct stat now;
	ssize_t got;

	if (fstat(r->fd, &now))
		return false;
	if ((uint64_t)now.st_size < r->taken)
		return true;
	got = pread(r->fd, head, r->head_len, 0);
	return got >= 0 && ((size_t)got < r->head_len || memcmp(head, r->head, r->head_len) != 0);
}

/* Bytes that follow those of the head, as long as there is room for them. */
static void keep_head(struct log_reader *r, struct span bytes)
{
	struct span kept = span_first(bytes, sizeof r->head - r->head_len);

	memcpy(r->head + r->head_len, kept.ptr, kept.len);
	r->head_len += kept.len;
}

/* Move what is left to the front, and read more behind it. */
static int fill(struct log_reader *r, struct err *err)
{
	size_t left = r->end - r->start, len = 0;
	int rc;

	if (r->start) {
		memmove(r->text, r->text + r->start, left);
		r->base += r->start;
		r->start = 0;
		r->end = left;
	}
	if (r->gzip)
		rc = gzip_read(r, r->text + left, TEXT_SIZE - left, &len, err);
	else if (r->following && is_truncated(r))
		rc = 0; /* what lies here now is not what comes next */
	else
		rc = read_fd(r, r->text + left, TEXT_SIZE - left, &len, err);
	if (r->base + r->end == r->head_len)
		keep_head(r, (struct span){ r->text + left, len });
	r->end += len;
	r->ended = !rc && !len;
	return rc;
}

/* The file's first bytes tell whether it is compressed; they are not taken back from a stream, so
 * they become the inflater's first input. */
static int find_kind(struct log_reader *r, struct err *err)
{
	int rc = 0;

	while (!rc && r->end < 2 && !r->ended)
		rc = fill(r, err);
	if (rc || r->end < 2 || (unsigned char)r->text[0] != 0x1f ||
		(unsigned char)r->text[1] != 0x8b)
		return rc;
	/* 15: the largest window; 16: gzip and not zlib's own wrapping */
	r->raw = malloc(TEXT_SIZE);
	if (!r->raw || inflateInit2(&r->z, 15 + 16) != Z_OK)
		return err_set(err, -ENOMEM, "no memory to read a gzip file");
	memcpy(r->raw, r->text, r->end);
	r->z.next_in = r->raw;
	r->z.avail_in = (unsigned)r->end;
	r->z_open = r->gzip = true;
	r->end = 0;
	r->ended = false;
	return 0;
}

int log_reader_open(struct log_reader **out, const char *path, struct err *err)
{
	struct log_reader *r = calloc(1, sizeof *r);
	bool is_stdin = !strcmp(path, "-");
	struct stat st = { 0 };
	int rc = 0;

	if (!r)
		return err_set(err, -ENOMEM, "no memory to read %s", path);
	r->text = malloc(TEXT_SIZE);
	r->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (!r->text)
		rc = err_set(err, -ENOMEM, "no memory to read %s", path);
	else if (r->fd < 0 || fstat(r->fd, &st))
		rc = err_set(err, -errno, "%s: %m", path);
	else if (S_ISDIR(st.st_mode))
		rc = err_set(err, -EISDIR, "%s is a folder", path);
	if (!rc) {
		r->regular = !is_stdin && S_ISREG(st.st_mode);
		r->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
		rc = find_kind(r, err);
	}
	if (rc)
		log_reader_close(&r);
	*out = r;
	return rc;
}

void log_reader_close(struct log_reader **reader)
{
	struct log_reader *r = *reader;

	if (!r)
		return;
	if (r->fd > STDIN_FILENO)
		close(r->fd);
	if (r->z_open)
		inflateEnd(&r->z);
	free(r->raw);
	free(r->text);
	free(r);
	*reader = NULL;
}

static void give(struct log_reader *r, struct log_text *line, size_t len, size_t line_break)
{
	line->text = (struct span){ r->text + r->start, len };
	line->offset = r->base + r->start;
	line->end = line->offset + len + line_break;
	line->unterminated = !line_break;
	r->start += len + line_break;
	if (len > LOG_LINE_MOST) {
		line->text.len = LOG_LINE_MOST;
		line->too_long = true;
	}
	if (line->text.len && line->text.ptr[line->text.len - 1] == '\r')
		line->text.len--;
}

/* A line that fills the buffer: keep its beginning, find its end. */
static int give_endless(struct log_reader *r, struct log_text *line, struct err *err)
{
	char *kept = r->text + r->start;
	const char *hit = NULL;
	int rc = 0;

	line->offset = r->base + r->start;
	memmove(r->text, kept, LOG_LINE_MOST);
	r->base += r->end - LOG_LINE_MOST;
	r->start = 0;
	while (!rc && !hit) {
		size_t len = 0;

		if (r->gzip)
			rc = gzip_read(
				r, r->text + LOG_LINE_MOST, TEXT_SIZE - LOG_LINE_MOST, &len, err);
		else
			rc = read_fd(
				r, r->text + LOG_LINE_MOST, TEXT_SIZE - LOG_LINE_MOST, &len, err);
		r->ended = !rc && !len;
		r->end = LOG_LINE_MOST + len;
		hit = memchr(r->text + LOG_LINE_MOST, '\n', len);
		if (!hit) {
			r->base += len;
			r->end = LOG_LINE_MOST;
		}
		if (r->ended)
			break;
	}
	if (rc)
		return rc;
	r->start = hit ? (size_t)(hit - r->text) + 1 : r->end;
	line->text = (struct span){ r->text, LOG_LINE_MOST };
	line->end = r->base + r->start;
	line->too_long = true;
	line->unterminated = !hit;
	return 1;
}

int log_reader_next(struct log_reader *r, struct log_text *line, struct err *err)
{
	memset(line, 0, sizeof *line);
	for (;;) {
		size_t left = r->end - r->start;
		const char *hit = left ? memchr(r->text + r->start, '\n', left) : NULL;
		int rc;

		if (hit) {
			give(r, line, (size_t)(hit - (r->text + r->start)), 1);
			return 1;
		}
		if (r->ended && r->following) {
			r->ended = false;
			return 0;
		}
		if (r->ended) {
			if (left)
				give(r, line, left, 0);
			return left > 0;
		}
		if (left == TEXT_SIZE)
			return give_endless(r, line, err);
		rc = fill(r, err);
		if (rc)
			return rc;
	}
}

/* Jump in a plain file; elsewhere, do nothing. */
static int jump(struct log_reader *r, uint64_t offset, struct err *err)
{
	struct stat st;

	if (!r->regular || r->gzip)
		return 0;
	if (fstat(r->fd, &st))
		return err_set(err, -errno, "the log cannot be read: %m");
	if ((uint64_t)st.st_size < offset)
		return -ENODATA;
	if (lseek(r->fd, (off_t)offset, SEEK_SET) < 0)
		return 0;
	r->base = r->taken = offset;
	r->start = r->end = 0;
	r->ended = false;
	return 0;
}

static int advance(struct log_reader *r, uint64_t offset, struct err *err)
{
	int rc = offset > r->base + r->end ? jump(r, offset, err) : 0;

	while (!rc && r->base + r->end < offset) {
		r->start = r->end;
		rc = r->ended ? -ENODATA : fill(r, err);
	}
	if (!rc && offset < r->base)
		rc = err_set(err, -EINVAL, "the log cannot be read backwards");
	if (!rc)
		r->start = (size_t)(offset - r->base);
	return rc;
}

int log_reader_skip_to(struct log_reader *r, uint64_t offset, char *before, struct err *err)
{
	int rc;

	*before = '\n';
	rc = advance(r, offset ? offset - 1 : 0, err);
	while (!rc && offset && r->start == r->end)
		rc = r->ended ? -ENODATA : fill(r, err);
	if (!rc && offset)
		*before = r->text[r->start++];
	return rc == -ENODATA ? err_set(err, rc, "the log ends before byte %llu",
					(unsigned long long)offset)
			      : rc;
}

bool log_reader_may_grow(const struct log_reader *r)
{
	return r->regular && !r->gzip;
}

int log_reader_follow(struct log_reader *r, struct err *err)
{
	if (!log_reader_may_grow(r))
		return err_set(err, -EINVAL, "only a plain file can be followed");
	r->following = true;
	return 0;
}

enum log_fate log_reader_fate(const struct log_reader *r, const char *path)
{
	struct stat now, named;

	if (is_truncated(r))
		return LOG_TRUNCATED;
	if (fstat(r->fd, &now) || stat(path, &named) ||
		(named.st_dev == now.st_dev && named.st_ino == now.st_ino))
		return LOG_CURRENT;
	return LOG_REPLACED;
}

uint64_t log_reader_taken(const struct log_reader *r)
{
	/* What lies in the buffer of a plain file is not taken yet; of a gzip file that is little.
	 */
	return r->gzip ? r->taken - r->z.avail_in : r->taken - (r->end - r->start);
}

uint64_t log_reader_size(const struct log_reader *r)
{
	return r->size;
}
