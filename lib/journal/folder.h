/* Folder: where one journal's segments lie, parent/<n>/, locked by the process that owns it.
 * Folders of all ingresses lie side by side, so that who is alive finds what the dead have left. */
#ifndef FOOTFALL_FOLDER_H
#define FOOTFALL_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct folder {
	char *path;
	int fd, lock_fd; /* -1: none */
};

#define FOLDER_NONE ((struct folder){ .fd = -1, .lock_fd = -1 })

/* Take the first free folder of parent, making one (and parent) when all are taken. Taken ones are
 * left alone. End it with folder_release(). */
int folder_take(struct folder *f, const char *parent, struct err *err) MUST_CHECK;

/* Take a free folder that holds no segments, making one when there is none. */
int folder_take_empty(struct folder *f, const char *parent, struct err *err) MUST_CHECK;

/* Take the first free folder that holds segments: 1; there is none: 0. */
int folder_take_orphan(struct folder *f, const char *parent, struct err *err) MUST_CHECK;

void folder_release(struct folder *f);

/* The numbers of the segments in it, ascending; *numbers is yours (free). */
int folder_segments(
	const struct folder *f, uint64_t **numbers, size_t *count, struct err *err) MUST_CHECK;

#endif
