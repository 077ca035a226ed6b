#include "services/ingress/limits.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define WAYS    8 /* two lines of cache */
#define LOCKS   64
#define NS_A_US 1000

#define ADDRESS_SETS 8192
#define SITE_SETS    512

/* Its only state is when it will be full again if nothing is taken (the "theoretical arrival time"
 * of GCRA, ITU-T I.371, annex A): each token that is missing is one interval. A time that is past
 * is a full bucket, so an empty place is one, too, whosever. */
struct bucket {
	uint64_t key;
	int64_t full_mono_ns;
};

struct lock {
	_Alignas(64) pthread_mutex_t mutex;
};

struct table {
	int64_t token_ns; /* between two tokens; 0: no limit */
	int64_t burst_ns; /* of an empty bucket until it is full */
	size_t sets;
	struct bucket (*set)[WAYS];
	struct lock lock[LOCKS]; /* of a set: its number's remainder */
};

struct limits {
	unsigned char secret[crypto_shorthash_KEYBYTES]; /* nobody can choose keys that fall into
							    one set, nor tell whose a key is */
	const struct addr_nets *trusted;
	struct table addresses, sites;
};

static int table_open(struct table *t, size_t sets, const struct limit *limit)
{
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&t->lock[i].mutex, NULL);
	t->sets = sets;
	if (!limit->rate)
		return 0;
	t->token_ns = NS_A_US * US_PER_SECOND / limit->rate;
	t->burst_ns = t->token_ns * limit->burst;
	t->set = calloc(sets, sizeof *t->set);
	return t->set ? 0 : -ENOMEM;
}

static void table_close(struct table *t)
{
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&t->lock[i].mutex);
	free(t->set);
}

int limits_open(struct limits **out, const struct limits_options *options, struct err *err)
{
	struct limits *l = aligned_alloc(_Alignof(struct limits), sizeof *l);
	int rc;

	*out = l;
	if (!l)
		return err_set(err, -ENOMEM, "limits");
	memset(l, 0, sizeof *l);
	randombytes_buf(l->secret, sizeof l->secret);
	l->trusted = options->trusted;
	rc = table_open(&l->addresses, ADDRESS_SETS, &options->address);
	if (!rc)
		rc = table_open(&l->sites, SITE_SETS, &options->site);
	return rc ? err_set(err, rc, "no memory for limits") : 0;
}

void limits_close(struct limits **limits)
{
	if (!*limits)
		return;
	table_close(&(*limits)->addresses);
	table_close(&(*limits)->sites);
	free(*limits);
	*limits = NULL;
}

/* The key's bucket, which is put in the fullest one's place where it has none. */
static struct bucket *bucket_of(struct bucket set[WAYS], uint64_t key)
{
	struct bucket *fullest = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_mono_ns < fullest->full_mono_ns)
			fullest = &set[i];
	}
	*fullest = (struct bucket){ .key = key };
	return fullest;
}

/* As limits_take_…(). owe: take it in any case. */
static int table_take(
	struct limits *l, struct table *t, struct span name, int64_t now_mono_us, bool owe)
{
	int64_t now = now_mono_us * NS_A_US, full, wait;
	pthread_mutex_t *lock;
	struct bucket *b;
	uint64_t key;

	crypto_shorthash(
		(unsigned char *)&key, (const unsigned char *)name.ptr, name.len, l->secret);
	lock = &t->lock[key % t->sets % LOCKS].mutex;
	pthread_mutex_lock(lock);
	b = bucket_of(t->set[key % t->sets], key);
	full = (b->full_mono_ns > now ? b->full_mono_ns : now) + t->token_ns;
	wait = full - t->burst_ns - now;
	if (wait <= 0 || owe)
		b->full_mono_ns = full;
	pthread_mutex_unlock(lock);
	if (wait <= 0)
		return 0;
	return (int)((wait + NS_A_US * US_PER_SECOND - 1) / (NS_A_US * US_PER_SECOND));
}

static bool is_limited(const struct limits *l, const struct addr *addr)
{
	return l->addresses.token_ns && !addr_nets_hold(l->trusted, addr);
}

int limits_take_address(struct limits *l, const struct addr *addr, int64_t now_mono_us)
{
	return is_limited(l, addr)
		       ? table_take(l, &l->addresses, addr_client(addr), now_mono_us, false)
		       : 0;
}

void limits_owe_address(struct limits *l, const struct addr *addr, int64_t now_mono_us)
{
	if (is_limited(l, addr))
		table_take(l, &l->addresses, addr_client(addr), now_mono_us, true);
}

int limits_take_site(struct limits *l, uint32_t site_id, int64_t now_mono_us)
{
	const struct span name = { (const char *)&site_id, sizeof site_id };

	return l->sites.token_ns ? table_take(l, &l->sites, name, now_mono_us, false) : 0;
}
