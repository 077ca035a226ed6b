/* Dictionary: texts, each with a number, made once and asked often. Keys are bytes and are compared
 * as they are. It only grows; when made, any number of threads may ask at once. */
#ifndef FOOTFALL_DICT_H
#define FOOTFALL_DICT_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/span.h"

struct dict_slot;

/* Begins as all zeros; ends with dict_clear(). */
struct dict {
	struct dict_slot *slot;
	uint32_t count, room; /* room: of slot, a power of two */
	char *keys;           /* all of them, one behind the other */
	uint32_t keys_len, keys_room;
};

/* Add key (copied) with its number, unless it is there: then the number it has stays, and counts.
 * *value: the number that it has now (may be NULL). -ENOMEM: the dictionary is as before. */
int dict_add(struct dict *dict, struct span key, uint32_t number, uint32_t *value,
	struct err *err) MUST_CHECK;

/* The number of key, or none when it is not there. */
#define DICT_NONE UINT32_MAX
uint32_t dict_find(const struct dict *dict, struct span key);

void dict_clear(struct dict *dict);

#endif
