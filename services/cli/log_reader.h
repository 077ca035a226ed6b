/* Lines of an access log with their byte offsets: of a plain file, a gzip file (found by its first
 * bytes) or a stream. Offsets are those of the uncompressed text, so a log keeps its offsets when
 * it is rotated and compressed. */
#ifndef FOOTFALL_LOG_READER_H
#define FOOTFALL_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

/* Web servers bound a request line and a header at 8 KiB each by default; a longer line is none of
 * theirs. */
#define LOG_LINE_MOST (64 << 10)

struct log_reader;

struct log_text {
	struct span text;  /* without its line break (LF or CR LF); lent until the next call */
	uint64_t offset;   /* of its first byte */
	uint64_t end;      /* offset of the byte after its line break */
	bool too_long;     /* text is its first LOG_LINE_MOST bytes only */
	bool unterminated; /* the last line, and it has no line break */
};

/* Open a file, or "-" for stdin. *out is yours, end it with log_reader_close(). */
int log_reader_open(struct log_reader **out, const char *path, struct err *err) MUST_CHECK;
void log_reader_close(struct log_reader **reader);

/* The next line: 1, and *line is filled; 0 at the end; or an error: -EINTR (a signal came while
 * waiting; call again or not), -EPROTO (a gzip file that is damaged or cut short), that of read().
 */
int log_reader_next(struct log_reader *r, struct log_text *line, struct err *err) MUST_CHECK;

/* Go on at an offset, ahead of what was read: only after the first line was read, or at once.
 * *before is the byte before it. -ENODATA: the text ends before the offset. */
int log_reader_skip_to(
	struct log_reader *r, uint64_t offset, char *before, struct err *err) MUST_CHECK;

/* Whether more may be written to it: then an unterminated last line may be half a line. A gzip
 * file and a stream are complete when they end. */
bool log_reader_may_grow(const struct log_reader *r);

/* From now on an end is one for now only: the next call looks again, and a last line is not given
 * before its line break is there (but one longer than 1 MiB, whose rest comes as a line of its
 * own). -EINVAL: not a plain file. */
int log_reader_follow(struct log_reader *r, struct err *err) MUST_CHECK;

/* What became of a plain file that is being written to. */
enum log_fate {
	LOG_CURRENT,   /* path still leads to it, or, for now, nowhere */
	LOG_REPLACED,  /* path leads to another file; who writes may be slow to notice */
	LOG_TRUNCATED, /* it was emptied, and may have new lines already */
};
enum log_fate log_reader_fate(const struct log_reader *r, const char *path);

/* How far it is: bytes taken of the file as it lies there, and its size; 0 when that is not known.
 */
uint64_t log_reader_taken(const struct log_reader *r);
uint64_t log_reader_size(const struct log_reader *r);

#endif
