/* Hold: the records in hand, by lane, until they are applied. A lane that cannot be applied now
 * keeps its records and is tried again later, while the others go on. What waits here is bounded,
 * and so is what waits in the sockets before it: at the bound nothing more is read, and other
 * workers get it. One thread. */
#ifndef FOOTFALL_HOLD_H
#define FOOTFALL_HOLD_H

#include <stdbool.h>
#include <zmq.h>

#include "proto/record.h"

#define HOLD_RECORDS_MOST 512
/* Nearly what an ingress has on its way at once, 4 MiB: the rest is there when these are done. */
#define HOLD_BYTES_MOST (7 << 19)

/* A record in hand; wire is lent by hold until hold_drop(). */
struct held {
	struct record_id id;
	struct span wire;
	unsigned link; /* it came by */
};

struct hold;

struct hold *hold_new(void);
void hold_free(struct hold **hold);

bool hold_is_full(const struct hold *h);

/* Keep a record; *msg is taken (it is the caller's to close still). false: a copy of what is in
 * hand already, by the same link: it was sent again meanwhile. */
bool hold_add(struct hold *h, const struct record_id *id, zmq_msg_t *msg, unsigned link);

/* The records of a lane by producer and number; the first of them only, once it has been put off a
 * few times. The array is lent until the next call. */
const struct held *hold_lane(struct hold *h, uint8_t lane, uint32_t *n);

/* The first n of that array are applied. */
void hold_drop(struct hold *h, uint8_t lane, const struct held *records, uint32_t n);

/* A lane could not be applied: leave it alone for a while, longer each time; for a second at most
 * when others are at its sites (is_busy), who will be done soon. Returns how often it has been
 * tried. hold_drop() begins anew. */
unsigned hold_put_off(struct hold *h, uint8_t lane, bool is_busy);

/* Whether a lane has records and its time has come; and ms until the next one's has, at most
 * `most`.
 */
bool hold_is_due(const struct hold *h, uint8_t lane);
int hold_wait_ms(const struct hold *h, int most);

#endif
