/* The files that a log was rotated into. */
#ifndef FOOTFALL_LOG_ROTATION_H
#define FOOTFALL_LOG_ROTATION_H

#include <stddef.h>

#include "lib/err.h"

struct log_rotation {
	char **path; /* least recently written first */
	size_t count;
};

/* Find the plain files beside path whose names are its name and what rotating adds: '.' or '-',
 * digits with further '.', '-' and '_' between, and perhaps ".gz" (FILE.1, FILE.2.gz,
 * FILE-20261121). A folder that is not there has none. -errno: it cannot be read; -E2BIG: more than
 * 4,096; -ENOMEM. End it with log_rotation_clear(), also after an error. */
int log_rotation_find(struct log_rotation *rotation, const char *path, struct err *err) MUST_CHECK;
void log_rotation_clear(struct log_rotation *rotation);

#endif
