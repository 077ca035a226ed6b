/* Small files that must not be lost: written whole, or not at all. */
#ifndef FOOTFALL_SAFE_FILE_H
#define FOOTFALL_SAFE_FILE_H

#include "lib/err.h"
#include "lib/span.h"

/* Replace path by bytes, readable by its owner only. On return it is on disk; after a crash at any
 * moment path holds either what it held before, or bytes. */
int safe_file_write(const char *path, struct span bytes, struct err *err) MUST_CHECK;

/* Read all of path, of `most` bytes at most. *out is owned (free) and ended by a NUL that does not
 * count. -ENOENT as such; -EFBIG. */
int safe_file_read(
	char **out, size_t *len, const char *path, size_t most, struct err *err) MUST_CHECK;

/* Make the folders above path that are not there, for their owner only. */
int safe_file_folders(const char *path, struct err *err) MUST_CHECK;

#endif
