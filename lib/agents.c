#define PCRE2_CODE_UNIT_WIDTH 8
#include "lib/agents.h"

#include <jansson.h>
#include <malloc.h>
#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/needles.h"
#include "lib/watch.h"

#define FILE_MOST  (16 << 20) /* the list has 0.5 MB */
#define STEPS_MOST 20000      /* of PCRE2, for one pattern: as uap.c's */

struct pattern {
	pcre2_code *code;
};

struct list {
	size_t count;
	struct pattern *pattern;
	struct needles *needles; /* of each pattern */
	struct needles_index *index;
	pcre2_match_context *context;
};

struct agents {
	char *path;
	pthread_rwlock_t lock; /* of the pointer to the list, and its life */
	struct list *list;
	pthread_mutex_t watching; /* of the watch: who has it, looks; others go on */
	struct watch watch;
	_Atomic int64_t look_mono_us; /* when to look again */
	atomic_uint edition;          /* of the list */
};

static void list_free(struct list **list_p)
{
	struct list *list = *list_p;

	*list_p = NULL;
	if (!list)
		return;
	needles_index_free(&list->index);
	for (size_t i = 0; i < list->count; i++) {
		pcre2_code_free(list->pattern[i].code);
		needles_clear(&list->needles[i]);
	}
	free(list->pattern);
	free(list->needles);
	pcre2_match_context_free(list->context);
	free(list);
}

/* Without JIT: nearly all patterns are plain words, and of them only those are tried that are
 * almost surely there. */
static int pattern_add(struct list *list, const json_t *entry, const char *path, struct err *err)
{
	const char *pattern = json_string_value(json_object_get(entry, "pattern"));
	size_t n = list->count;
	unsigned char why[160];
	PCRE2_SIZE where;
	int code;

	if (!pattern)
		return err_set(
			err, -EINVAL, "crawlers' agents %s: entry %zu has no pattern", path, n + 1);
	list->pattern[n].code =
		pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &where, NULL);
	if (!list->pattern[n].code) {
		pcre2_get_error_message(code, why, sizeof why);
		return err_set(err, -EINVAL, "crawlers' agents %s: entry %zu: %s", path, n + 1,
			(const char *)why);
	}
	list->count++;
	return needles_init(&list->needles[n], pattern)
		       ? err_set(err, -ENOMEM, "crawlers' agents %s", path)
		       : 0;
}

static int list_fill(struct list *list, const json_t *json, const char *path, struct err *err)
{
	size_t count = json_array_size(json);
	int rc = 0;

	if (!count || count > NEEDLES_INDEX_MOST)
		return err_set(err, -EINVAL, "crawlers' agents %s: not a list of 1 to %d patterns",
			path, NEEDLES_INDEX_MOST);
	list->pattern = calloc(count, sizeof *list->pattern);
	list->needles = calloc(count, sizeof *list->needles);
	list->context = pcre2_match_context_create(NULL);
	if (!list->pattern || !list->needles || !list->context)
		return err_set(err, -ENOMEM, "crawlers' agents %s", path);
	pcre2_set_match_limit(list->context, STEPS_MOST);
	pcre2_set_depth_limit(list->context, STEPS_MOST);
	for (size_t i = 0; !rc && i < count; i++)
		rc = pattern_add(list, json_array_get(json, i), path, err);
	if (rc)
		return rc;
	list->index = needles_index_new(list->needles, count);
	return list->index ? 0 : err_set(err, -ENOMEM, "crawlers' agents %s", path);
}

static int json_read(json_t **out, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");
	json_error_t what;
	struct stat st;
	int rc = 0;

	*out = NULL;
	if (!file || fstat(fileno(file), &st))
		rc = err_set(err, -errno, "crawlers' agents %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, -EINVAL, "crawlers' agents %s: not a file", path);
	else if (st.st_size > FILE_MOST)
		rc = err_set(
			err, -EFBIG, "crawlers' agents %s: more than %d bytes", path, FILE_MOST);
	else if (!(*out = json_loadf(file, 0, &what)))
		rc = err_set(err, -EINVAL, "crawlers' agents %s, line %d: %s", path, what.line,
			what.text);
	if (file)
		fclose(file);
	return rc;
}

static int list_load(struct list **out, const char *path, struct err *err)
{
	struct list *list = calloc(1, sizeof *list);
	json_t *json = NULL;
	int rc;

	if (!list)
		return err_set(err, -ENOMEM, "crawlers' agents %s", path);
	rc = json_read(&json, path, err);
	if (!rc)
		rc = list_fill(list, json, path, err);
	json_decref(json);
	malloc_trim(0); /* the JSON, with all its instances, would stay resident otherwise */
	if (rc)
		list_free(&list);
	else
		*out = list;
	return rc;
}

int agents_open(struct agents **out, const char *path, struct err *err)
{
	struct agents *agents = calloc(1, sizeof *agents);
	pthread_rwlockattr_t attr;
	int rc;

	if (!agents)
		return err_set(err, -ENOMEM, "crawlers' agents");
	/* The default lets those who ask keep a new list out for as long as they overlap. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&agents->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&agents->watching, NULL);
	agents->path = strdup(path);
	rc = agents->path ? 0 : err_set(err, -ENOMEM, "crawlers' agents");
	if (!rc) {
		watch_init(&agents->watch, agents->path, clock_mono_us());
		atomic_store(&agents->look_mono_us, agents->watch.looked_mono_us + WATCH_EVERY_US);
		rc = list_load(&agents->list, path, err);
	}
	if (rc)
		agents_close(&agents);
	else
		*out = agents;
	return rc;
}

void agents_close(struct agents **agents_p)
{
	struct agents *agents = *agents_p;

	*agents_p = NULL;
	if (!agents)
		return;
	list_free(&agents->list);
	pthread_rwlock_destroy(&agents->lock);
	pthread_mutex_destroy(&agents->watching);
	free(agents->path);
	free(agents);
}

size_t agents_count(struct agents *agents)
{
	size_t count;

	pthread_rwlock_rdlock(&agents->lock);
	count = agents->list->count;
	pthread_rwlock_unlock(&agents->lock);
	return count;
}

unsigned agents_edition(struct agents *agents)
{
	return atomic_load(&agents->edition);
}

static void list_replace(struct agents *agents)
{
	struct list *list = NULL, *old;
	struct err err;

	if (list_load(&list, agents->path, &err)) {
		log_error("agents: the last good list stays: %s", err.msg);
		return;
	}
	log_info("agents: read again patterns=%zu", list->count);
	pthread_rwlock_wrlock(&agents->lock);
	old = agents->list;
	agents->list = list;
	atomic_fetch_add(&agents->edition, 1);
	pthread_rwlock_unlock(&agents->lock);
	list_free(&old);
}

void agents_follow(struct agents *agents, int64_t now_mono_us)
{
	if (now_mono_us < atomic_load_explicit(&agents->look_mono_us, memory_order_relaxed) ||
		pthread_mutex_trylock(&agents->watching))
		return;
	if (watch_has_changed(&agents->watch, now_mono_us))
		list_replace(agents);
	atomic_store(&agents->look_mono_us, agents->watch.looked_mono_us + WATCH_EVERY_US);
	pthread_mutex_unlock(&agents->watching);
}

static bool list_has(const struct list *list, struct span agent)
{
	pcre2_match_data *match = NULL; /* nearly no person's agent needs one */
	struct needles_found found;
	struct trigrams trigrams;
	bool has = false;

	trigrams_of(&trigrams, agent);
	needles_index_find(&found, list->index, &trigrams);
	for (size_t i = 0; !has && (i = needles_index_next(&found, list->index, i)) != NEEDLES_NONE;
		i++) {
		if (!match)
			match = pcre2_match_data_create(1, NULL);
		has = match && pcre2_match(list->pattern[i].code, (PCRE2_SPTR)agent.ptr, agent.len,
				       0, 0, match, list->context) >= 0;
	}
	pcre2_match_data_free(match);
	return has;
}

bool agent_is_bot(struct agents *agents, struct span agent)
{
	bool is;

	agents_follow(agents, clock_mono_us());
	agent = agent.len ? span_first(agent, AGENTS_LOOK_MOST) : SPAN("");
	pthread_rwlock_rdlock(&agents->lock);
	is = list_has(agents->list, agent);
	pthread_rwlock_unlock(&agents->lock);
	return is;
}
