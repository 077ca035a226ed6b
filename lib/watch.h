/* Watch: has the file at a path become another since it was last read? Asked with each piece of
 * work, it costs a look at the clock, and one stat() a second. A file that is being written is
 * told of only when it has been the same for a second, so that it is not read half. One thread at
 * a time. */
#ifndef FOOTFALL_WATCH_H
#define FOOTFALL_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define WATCH_EVERY_US 1000000

/* What tells one state of a file from another; all zeros: there is none. */
struct watch_state {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

struct watch {
	const char *path;         /* borrowed for the life of the watch */
	struct watch_state known; /* as of watch_init(), or of the last change told */
	struct watch_state seen;  /* at the last look */
	int64_t looked_mono_us;
};

/* Take the file as it is now for known. Call it before reading the file: what changes meanwhile is
 * then a change. */
void watch_init(struct watch *watch, const char *path, int64_t now_mono_us);

/* Whether path now leads to something else (another file, other contents, nothing) than what is
 * known; told once for each change, whatever the caller makes of it. A path that leads nowhere is
 * a state as any other: opening it says what is wrong. */
bool watch_has_changed(struct watch *watch, int64_t now_mono_us);

#endif
