#include "lib/journal/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/journal/segment.h"

#define FOLDERS_MOST 1000

static int folder_make(const char *path, struct err *err)
{
	char above[4096];
	int fd, rc = 0;

	if (mkdir(path, 0700))
		return errno == EEXIST
			       ? 0
			       : err_set(err, -errno, "journal %s: %s", path, strerror(errno));
	/* Its name must be as durable as what will lie in it. */
	snprintf(above, sizeof above, "%s/..", path);
	fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		rc = err_set(err, -errno, "journal %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Lock the n-th folder: 1, or 0 when another has it. -ENOENT: there is none of that number. */
static int folder_try(struct folder *f, const char *parent, int n, struct err *err)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%d", parent, n);
	f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->lock_fd = f->fd < 0 ? -1 : openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock_fd < 0) {
		err_set(err, -errno, "journal %s: %s", path, strerror(errno));
	} else if (!flock(f->lock_fd, LOCK_EX | LOCK_NB)) {
		f->path = strdup(path);
		if (f->path)
			return 1;
		err_set(err, -ENOMEM, "journal %s", path);
	} else {
		folder_release(f);
		return 0;
	}
	folder_release(f);
	return err->code;
}

/* Whether the folder holds segments, or -errno. */
static int has_segments(const struct folder *f, struct err *err)
{
	uint64_t *numbers;
	size_t count;
	int rc = folder_segments(f, &numbers, &count, err);

	if (rc)
		return rc;
	free(numbers);
	return count > 0;
}

static int lacks_segments(const struct folder *f, struct err *err)
{
	int rc = has_segments(f, err);

	return rc < 0 ? rc : !rc;
}

/* Take the first free folder, or the first free one without segments, making one if need be. */
static int take(struct folder *f, const char *parent, bool empty, struct err *err)
{
	char path[4096];
	int rc = folder_make(parent, err);

	*f = FOLDER_NONE;
	for (int n = 0; !rc && n < FOLDERS_MOST; n++) {
		snprintf(path, sizeof path, "%s/%d", parent, n);
		rc = folder_make(path, err);
		if (!rc)
			rc = folder_try(f, parent, n, err);
		if (rc == 1 && empty)
			rc = lacks_segments(f, err);
		if (rc == 1)
			return 0;
		folder_release(f);
	}
	return rc ? rc : err_set(err, -EBUSY, "journal %s: all folders are taken", parent);
}

int folder_take(struct folder *f, const char *parent, struct err *err)
{
	return take(f, parent, false, err);
}

int folder_take_empty(struct folder *f, const char *parent, struct err *err)
{
	return take(f, parent, true, err);
}

int folder_take_orphan(struct folder *f, const char *parent, struct err *err)
{
	struct err trouble = { 0 };

	*f = FOLDER_NONE;
	for (int n = 0; n < FOLDERS_MOST; n++) { /* one in trouble, or gone, hides none behind it */
		int rc = folder_try(f, parent, n, err);

		if (rc == 1)
			rc = has_segments(f, err);
		if (rc == 1)
			return 1;
		folder_release(f);
		if (rc < 0 && rc != -ENOENT)
			trouble = *err;
	}
	if (trouble.code)
		*err = trouble;
	return trouble.code;
}

void folder_release(struct folder *f)
{
	free(f->path);
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	if (f->fd >= 0)
		close(f->fd);
	*f = FOLDER_NONE;
}

static int number_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int folder_segments(const struct folder *f, uint64_t **numbers, size_t *count, struct err *err)
{
	int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t size = 0;

	*numbers = NULL;
	*count = 0;
	if (!dir) {
		int rc = err_set(err, -errno, "journal %s: %s", f->path, strerror(errno));

		if (fd >= 0)
			close(fd);
		return rc;
	}
	while ((entry = readdir(dir))) {
		uint64_t number;

		if (!segment_number(entry->d_name, &number))
			continue;
		if (*count == size) {
			uint64_t *grown =
				realloc(*numbers, (size = size ? 2 * size : 64) * sizeof *grown);

			if (!grown) {
				free(*numbers);
				closedir(dir);
				return err_set(err, -ENOMEM, "journal %s", f->path);
			}
			*numbers = grown;
		}
		(*numbers)[(*count)++] = number;
	}
	closedir(dir);
	if (*count)
		qsort(*numbers, *count, sizeof **numbers, number_order);
	return 0;
}
