/* Sends batches with a few threads while the next is being made, and hands them back in the order
 * in which they were given. One thread uses it. A batch is tried until the server has answered for
 * all of it: its events have ids, so to send one again is safe. */
#ifndef FOOTFALL_SENDER_H
#define FOOTFALL_SENDER_H

#include <stdatomic.h>

#include "lib/err.h"
#include "services/cli/batch.h"

struct sender_options {
	const char *url; /* of the server; borrowed for the sender's life, as are all */
	const char *key;
	long retry_s;                /* give up when the server took nothing for so long */
	const atomic_bool *stopping; /* then nothing is tried again */
};

struct sender;

int sender_open(
	struct sender **out, const struct sender_options *options, struct err *err) MUST_CHECK;
/* Ends what is under way, without trying again. */
void sender_close(struct sender **sender);

/* The batch to fill now; lent until sender_give(). There must be room. */
struct batch *sender_batch(struct sender *s);
void sender_give(struct sender *s);

/* No room for another batch before one is taken back. */
bool sender_is_full(struct sender *s);

/* Take back the batch that was given longest ago, waiting for it if `wait`: 1, and *out is lent
 * until the next call; 0 when there is none (or it is not done, without `wait`). When it could not
 * be sent: -EINTR (stopping), -EACCES (the key), -ENOENT (no such site there), -EPROTO (the server
 * does not understand), -ETIMEDOUT (gave up); and so at every further call. */
int sender_take_back(struct sender *s, bool wait, struct batch **out, struct err *err) MUST_CHECK;

#endif
