/* Arena: where the JSON of one small request lives. A tree of an event is some fifty allocations,
 * and what malloc() and free() cost is most of what reading it costs; here they are an addition and
 * nothing. What does not fit is malloc()'s. */
#ifndef FOOTFALL_ARENA_H
#define FOOTFALL_ARENA_H

/* Let jansson allocate by this. Before any thread is made. */
void arena_use_for_json(void);

/* From here to arena_end(), what jansson allocates in this thread is the arena's; it may be read
 * and freed until the thread's next arena_begin(). */
void arena_begin(void);
void arena_end(void);

#endif
