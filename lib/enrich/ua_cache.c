#include "lib/enrich/ua_cache.h"

#include <sodium.h>
#include <stdlib.h>

#define SETS (UA_CACHE_ENTRIES / UA_CACHE_WAYS)

struct entry {
	struct ua_key key;
	uint64_t asked; /* the cache's clock when last asked for; 0: empty */
	struct ua ua;
};

struct ua_cache {
	unsigned char secret[crypto_shorthash_siphashx24_KEYBYTES];
	uint64_t clock; /* goes up by one with each look-up */
	struct entry set[SETS][UA_CACHE_WAYS];
};

_Static_assert(sizeof(struct ua_key) == crypto_shorthash_siphashx24_BYTES, "a key is a hash");

struct ua_cache *ua_cache_new(void)
{
	/* calloc() of this size maps pages that cost nothing until they are filled. */
	struct ua_cache *cache = calloc(1, sizeof *cache);

	if (cache)
		randombytes_buf(cache->secret, sizeof cache->secret);
	return cache;
}

void ua_cache_free(struct ua_cache **cache_p)
{
	free(*cache_p);
	*cache_p = NULL;
}

/* The text behind its length, so that no two lists of texts are the same bytes. */
static size_t put(unsigned char *out, struct span text, size_t most)
{
	uint16_t len = (uint16_t)(text.len < most ? text.len : most);

	memcpy(out, &len, sizeof len);
	if (len)
		memcpy(out + sizeof len, text.ptr, len);
	return sizeof len + len;
}

struct ua_key ua_cache_key(
	const struct ua_cache *cache, struct span agent, const struct ua_hints *hints)
{
	unsigned char
		text[UA_AGENT_MOST + UA_BRANDS_MOST + 3 * UA_HINT_MOST + 5 * sizeof(uint16_t) + 1];
	size_t len = put(text, agent, UA_AGENT_MOST);
	struct ua_key key;

	if (hints) {
		len += put(text + len, hints->brands, UA_BRANDS_MOST);
		len += put(text + len, hints->platform, UA_HINT_MOST);
		len += put(text + len, hints->platform_version, UA_HINT_MOST);
		len += put(text + len, hints->model, UA_HINT_MOST);
		text[len++] = hints->mobile;
	}
	crypto_shorthash_siphashx24(key.bytes, text, len, cache->secret);
	return key;
}

void ua_cache_forget(struct ua_cache *cache)
{
	memset(cache->set, 0, sizeof cache->set);
}

struct ua *ua_cache_place(struct ua_cache *cache, const struct ua_key *key, bool *known)
{
	uint32_t number;
	struct entry *set, *oldest;

	memcpy(&number, key->bytes, sizeof number);
	set = oldest = cache->set[number % SETS];
	cache->clock++;
	for (struct entry *e = set; e < set + UA_CACHE_WAYS; e++) {
		*known = e->asked && !memcmp(&e->key, key, sizeof *key);
		if (*known) {
			e->asked = cache->clock;
			return &e->ua;
		}
		if (e->asked < oldest->asked)
			oldest = e;
	}
	oldest->key = *key;
	oldest->asked = cache->clock;
	return &oldest->ua;
}
