/* Hold: the records in hand, by lane, until they are applied: some are being applied, and meanwhile
 * the next ones gather. A lane that cannot be applied now keeps its records and is tried again
 * later, while the others go on. What waits here is bounded, and so is what waits in the sockets
 * before it: at the bound nothing more is read, and other workers get it. One thread. */
#ifndef FOOTFALL_HOLD_H
#define FOOTFALL_HOLD_H

#include <stdbool.h>
#include <zmq.h>

#include "proto/record.h"

#define HOLD_RECORDS_MOST 512
#define HOLD_BYTES_MOST   (3 << 20) /* packed */
/* What one transaction takes, as it is unpacked: some 10,000 events. An ingress has twice as much
 * on its way. */
#define HOLD_BATCH_BYTES (7 << 19)

/* A record in hand; wire is lent by hold until hold_drop(). */
struct held {
	struct record_id id;
	struct span wire;
	unsigned link; /* it came by */
	uint32_t size; /* unpacked */
};

struct hold;

struct hold *hold_new(void);
void hold_free(struct hold **hold);

bool hold_is_full(const struct hold *h);

/* Whether a lane that is due has so many bytes waiting, or the hold is full. */
bool hold_has(const struct hold *h, size_t bytes);

/* Keep a record of so many bytes unpacked; *msg is taken (it is the caller's to close still).
 * false: a copy of what is in hand already, by the same link: it was sent again meanwhile. */
bool hold_add(
	struct hold *h, const struct record_id *id, uint32_t size, zmq_msg_t *msg, unsigned link);

/* Those of a lane's waiting records that one transaction takes, which came first, into records, by
 * producer and number; the first of these only, once it has been put off a few times. Returns how
 * many. */
uint32_t hold_lane(struct hold *h, uint8_t lane, struct held records[HOLD_RECORDS_MOST]);

/* These are being applied, until hold_drop() or hold_put_off(). */
void hold_begin(struct hold *h, uint8_t lane, const struct held *records, uint32_t n);

/* These are applied. */
void hold_drop(struct hold *h, uint8_t lane, const struct held *records, uint32_t n);

/* A lane could not be applied: all of it waits again. Leave it alone for a while, longer each time,
 * for a second at most. Returns how often it has been tried. hold_drop() begins anew. */
unsigned hold_put_off(struct hold *h, uint8_t lane);

/* Whether a lane has records waiting and its time has come; and ms until the next one's has, at
 * most `most`. */
bool hold_is_due(const struct hold *h, uint8_t lane);
int hold_wait_ms(const struct hold *h, int most);

#endif
