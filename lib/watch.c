#include "lib/watch.h"

#include <string.h>
#include <sys/stat.h>

static struct watch_state look(const char *path)
{
	struct watch_state state;
	struct stat st;

	memset(&state, 0, sizeof state);
	if (stat(path, &st))
		return state;
	state.device = st.st_dev;
	state.inode = st.st_ino;
	state.size = st.st_size;
	state.modified = st.st_mtim;
	return state;
}

static bool equal(const struct watch_state *a, const struct watch_state *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

void watch_init(struct watch *watch, const char *path, int64_t now_mono_us)
{
	watch->path = path;
	watch->known = watch->seen = look(path);
	watch->looked_mono_us = now_mono_us;
}

bool watch_has_changed(struct watch *watch, int64_t now_mono_us)
{
	struct watch_state now;
	bool settled;

	if (now_mono_us - watch->looked_mono_us < WATCH_EVERY_US)
		return false;
	watch->looked_mono_us = now_mono_us;
	now = look(watch->path);
	settled = equal(&now, &watch->seen);
	watch->seen = now;
	if (!settled || equal(&now, &watch->known))
		return false;
	watch->known = now;
	return true;
}
