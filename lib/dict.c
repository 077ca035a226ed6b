#include "lib/dict.h"

#include <stdlib.h>

#define ROOM_FIRST 64
#define KEYS_FIRST 1024

struct dict_slot {
	uint32_t hash;
	uint32_t at;     /* of the key, in keys */
	uint32_t len;    /* of the key */
	uint32_t number; /* DICT_NONE: the slot is free */
};

/* FNV-1a, 32 bits (Fowler, Noll, Vo). Who asks cannot choose the keys that are in here, so nothing
 * is won by keys of the same hash. */
static uint32_t hash_of(struct span key)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.ptr[i]) * 16777619U;
	return hash;
}

/* Where key is, or the free slot where it would be. */
static struct dict_slot *slot_of(const struct dict *dict, struct span key, uint32_t hash)
{
	for (uint32_t i = hash & (dict->room - 1);; i = (i + 1) & (dict->room - 1)) {
		struct dict_slot *slot = &dict->slot[i];

		if (slot->number == DICT_NONE ||
			(slot->hash == hash &&
				span_equals(
					key, (struct span){ dict->keys + slot->at, slot->len })))
			return slot;
	}
}

static int grow(struct dict *dict)
{
	struct dict grown = { .room = dict->room ? dict->room * 2 : ROOM_FIRST };

	grown.slot = malloc(grown.room * sizeof *grown.slot);
	if (!grown.slot)
		return -ENOMEM;
	memset(grown.slot, 0xff, grown.room * sizeof *grown.slot); /* all free */
	for (uint32_t i = 0; i < dict->room; i++) {
		uint32_t to = dict->slot[i].hash & (grown.room - 1);

		if (dict->slot[i].number == DICT_NONE)
			continue;
		while (grown.slot[to].number != DICT_NONE)
			to = (to + 1) & (grown.room - 1);
		grown.slot[to] = dict->slot[i];
	}
	free(dict->slot);
	dict->slot = grown.slot;
	dict->room = grown.room;
	return 0;
}

static int keys_make_room(struct dict *dict, size_t len)
{
	uint64_t room = dict->keys_room ? dict->keys_room : KEYS_FIRST;
	char *grown;

	while (room < (uint64_t)dict->keys_len + len)
		room *= 2;
	if (room == dict->keys_room)
		return 0;
	grown = room <= UINT32_MAX ? realloc(dict->keys, room) : NULL;
	if (!grown)
		return -ENOMEM;
	dict->keys = grown;
	dict->keys_room = (uint32_t)room;
	return 0;
}

int dict_add(struct dict *dict, struct span key, uint32_t number, uint32_t *value, struct err *err)
{
	uint32_t hash = hash_of(key);
	struct dict_slot *slot;

	/* At most half full, so that a search is short. */
	if ((dict->count + 1 > dict->room / 2 && grow(dict)) || keys_make_room(dict, key.len))
		return err_set(err, -ENOMEM, "a list of %u texts", dict->count);
	slot = slot_of(dict, key, hash);
	if (slot->number == DICT_NONE) {
		*slot = (struct dict_slot){ hash, dict->keys_len, (uint32_t)key.len, number };
		if (key.len)
			memcpy(dict->keys + dict->keys_len, key.ptr, key.len);
		dict->keys_len += (uint32_t)key.len;
		dict->count++;
	}
	if (value)
		*value = slot->number;
	return 0;
}

uint32_t dict_find(const struct dict *dict, struct span key)
{
	return dict->count ? slot_of(dict, key, hash_of(key))->number : DICT_NONE;
}

void dict_clear(struct dict *dict)
{
	free(dict->slot);
	free(dict->keys);
	memset(dict, 0, sizeof *dict);
}
