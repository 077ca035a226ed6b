#include "services/cli/safe_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE   0600
#define FOLDER_MODE 0700

/* The folder of path; "." when it names none. */
static void folder_of(char folder[PATH_MAX], const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash)
		snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	else
		snprintf(folder, PATH_MAX, ".");
}

static int write_and_sync(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t done = write(fd, bytes.ptr, bytes.len);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			bytes = span_from(bytes, (size_t)done);
	}
	return fsync(fd) ? -errno : 0;
}

/* The rename itself is on disk only when its folder is. */
static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd, rc;

	folder_of(folder, path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) ? -errno : 0;
	close(fd);
	return rc;
}

int safe_file_write(const char *path, struct span bytes, struct err *err)
{
	char temporary[PATH_MAX];
	int fd, rc;

	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
		return err_set(err, -ENAMETOOLONG, "%s: the name is too long", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return err_set(err, -errno, "%s: %m", temporary);
	rc = write_and_sync(fd, bytes);
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (!rc)
		rc = sync_folder(path);
	else
		unlink(temporary);
	return rc ? err_set(err, rc, "%s: %s", path, strerror(-rc)) : 0;
}

int safe_file_read(char **out, size_t *len, const char *path, size_t most, struct err *err)
{
	FILE *f = fopen(path, "re");
	char *text;
	int rc = 0;

	if (!f)
		return err_set(err, -errno, "%s: %m", path);
	text = malloc(most + 2);
	if (!text)
		rc = -ENOMEM;
	else {
		*len = fread(text, 1, most + 1, f);
		rc = ferror(f) ? -EIO : *len > most ? -EFBIG : 0;
	}
	fclose(f);
	if (rc) {
		free(text);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	text[*len] = '\0';
	*out = text;
	return 0;
}

int safe_file_folders(const char *path, struct err *err)
{
	char folder[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		if (snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path) >=
			(int)sizeof folder)
			return err_set(err, -ENAMETOOLONG, "%s: the name is too long", path);
		if (mkdir(folder, FOLDER_MODE) && errno != EEXIST)
			return err_set(err, -errno, "%s: %m", folder);
	}
	return 0;
}
