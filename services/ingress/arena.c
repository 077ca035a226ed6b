#include "services/ingress/arena.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#define ARENA_BYTES (32 << 10) /* a usual event takes a tenth of it */
#define ALIGNMENT   16

static _Thread_local struct {
	_Alignas(ALIGNMENT) char bytes[ARENA_BYTES];
	size_t used;
	bool on;
} arena;

static void *arena_alloc(size_t size)
{
	size_t whole = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	char *at = arena.bytes + arena.used;

	if (!arena.on || whole < size || whole > ARENA_BYTES - arena.used)
		return malloc(size);
	arena.used += whole;
	return at;
}

static void arena_free(void *ptr)
{
	char *at = ptr;

	if (at < arena.bytes || at >= arena.bytes + ARENA_BYTES)
		free(ptr);
}

void arena_use_for_json(void)
{
	json_set_alloc_funcs(arena_alloc, arena_free);
}

void arena_begin(void)
{
	arena.used = 0;
	arena.on = true;
}

void arena_end(void)
{
	arena.on = false;
}
