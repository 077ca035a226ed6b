#include "services/cli/log_rotation.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Years of a log that is rotated daily. */
#define FILES_MOST 4096

struct found {
	struct timespec written;
	char *path;
};

static bool is_rotated(const char *entry, const char *name)
{
	size_t len = strlen(name);
	const char *suffix = entry + len;

	if (strncmp(entry, name, len) != 0 || (*suffix != '.' && *suffix != '-'))
		return false;
	suffix++;
	if (*suffix < '0' || *suffix > '9')
		return false;
	suffix += strspn(suffix, "0123456789.-_");
	/* The span took the dot of ".gz". */
	return !*suffix || (suffix[-1] == '.' && !strcmp(suffix, "gz"));
}

static int by_time(const void *left, const void *right)
{
	const struct found *a = left, *b = right;

	if (a->written.tv_sec != b->written.tv_sec)
		return a->written.tv_sec < b->written.tv_sec ? -1 : 1;
	if (a->written.tv_nsec != b->written.tv_nsec)
		return a->written.tv_nsec < b->written.tv_nsec ? -1 : 1;
	return strcmp(a->path, b->path);
}

/* Put the file down if it is a plain one; one that has gone meanwhile is none. */
static int add(struct found *all, size_t *count, const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return 0;
	if (*count == FILES_MOST)
		return err_set(err, -E2BIG, "%s: beside it are more than %d rotated files", path,
			FILES_MOST);
	all[*count] = (struct found){ st.st_mtim, strdup(path) };
	if (!all[*count].path)
		return err_set(err, -ENOMEM, "no memory to list rotated files");
	++*count;
	return 0;
}

static int list(struct found *all, size_t *count, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int folder_len = slash ? (int)(name - path) : 2;
	char file[PATH_MAX + 1];
	struct dirent *entry;
	int rc = 0;
	DIR *dir;

	snprintf(file, sizeof file, "%.*s", folder_len, slash ? path : "./");
	dir = opendir(file);
	if (!dir)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %m", file);
	while (!rc && (entry = readdir(dir))) {
		if (!is_rotated(entry->d_name, name))
			continue;
		if (snprintf(file, sizeof file, "%.*s%s", folder_len, slash ? path : "./",
			    entry->d_name) < (int)sizeof file)
			rc = add(all, count, file, err);
	}
	closedir(dir);
	return rc;
}

int log_rotation_find(struct log_rotation *rotation, const char *path, struct err *err)
{
	struct found *all = calloc(FILES_MOST, sizeof *all);
	size_t count = 0;
	int rc;

	memset(rotation, 0, sizeof *rotation);
	rotation->path = calloc(FILES_MOST, sizeof *rotation->path);
	if (!all || !rotation->path) {
		free(all);
		return err_set(err, -ENOMEM, "no memory to list rotated files");
	}
	rc = list(all, &count, path, err);
	qsort(all, count, sizeof *all, by_time);
	for (; rotation->count < count; rotation->count++)
		rotation->path[rotation->count] = all[rotation->count].path;
	free(all);
	return rc;
}

void log_rotation_clear(struct log_rotation *rotation)
{
	for (size_t i = 0; i < rotation->count; i++)
		free(rotation->path[i]);
	free(rotation->path);
	memset(rotation, 0, sizeof *rotation);
}
