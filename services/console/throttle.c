#include "services/console/throttle.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/secret.h"

#define SETS 512
#define WAYS 8

struct slot {
	int64_t key; /* 0: free */
	int64_t since_mono_us;
	int tries;
};

struct throttle {
	pthread_mutex_t lock;
	int most;
	int64_t window_us;
	unsigned char secret[32]; /* nobody can choose keys that fall into one set */
	struct slot slot[SETS][WAYS];
};

int throttle_open(struct throttle **out, int most, int64_t window_us, struct err *err)
{
	struct throttle *t = calloc(1, sizeof *t);

	if (!t)
		return err_set(err, -ENOMEM, "no memory for the login throttle");
	pthread_mutex_init(&t->lock, NULL);
	t->most = most;
	t->window_us = window_us;
	randombytes_buf(t->secret, sizeof t->secret);
	*out = t;
	return 0;
}

void throttle_close(struct throttle **throttle)
{
	struct throttle *t = *throttle;

	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
	*throttle = NULL;
}

static struct slot *throttle_set(struct throttle *t, struct span key, int64_t *id)
{
	*id = id64(key.ptr, key.len, t->secret, sizeof t->secret);
	return t->slot[(uint64_t)*id % SETS];
}

static struct slot *slot_find(struct slot *set, int64_t id)
{
	for (int i = 0; i < WAYS; i++)
		if (set[i].key == id)
			return &set[i];
	return NULL;
}

/* The place to give to a new key: a free or outlived one, else the least tried, of these the
 * oldest. */
static struct slot *slot_to_reuse(const struct throttle *t, struct slot *set, int64_t now_mono_us)
{
	struct slot *least = set;

	for (int i = 0; i < WAYS; i++) {
		struct slot *s = &set[i];

		if (!s->key || now_mono_us - s->since_mono_us >= t->window_us)
			return s;
		if (s->tries < least->tries ||
			(s->tries == least->tries && s->since_mono_us < least->since_mono_us))
			least = s;
	}
	return least;
}

int throttle_take(struct throttle *t, struct span key, int64_t now_mono_us)
{
	int64_t id, left_us = 0;
	struct slot *set = throttle_set(t, key, &id), *s;

	pthread_mutex_lock(&t->lock);
	s = slot_find(set, id);
	if (!s || now_mono_us - s->since_mono_us >= t->window_us) {
		if (!s)
			s = slot_to_reuse(t, set, now_mono_us);
		*s = (struct slot){ .key = id, .since_mono_us = now_mono_us };
	}
	if (s->tries < t->most)
		s->tries++;
	else
		left_us = s->since_mono_us + t->window_us - now_mono_us;
	pthread_mutex_unlock(&t->lock);
	return (int)((left_us + US_PER_SECOND - 1) / US_PER_SECOND);
}

void throttle_give_back(struct throttle *t, struct span key)
{
	int64_t id;
	struct slot *set = throttle_set(t, key, &id), *s;

	pthread_mutex_lock(&t->lock);
	s = slot_find(set, id);
	if (s && s->tries > 0)
		s->tries--;
	pthread_mutex_unlock(&t->lock);
}
