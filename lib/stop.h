/* The end of a service: SIGTERM and SIGINT are blocked in every thread, and whoever waits for
 * something waits for them, too. */
#ifndef FOOTFALL_STOP_H
#define FOOTFALL_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* Block the signals, and ignore SIGPIPE. Before any thread is made. */
void stop_block(void);

/* Wait at most timeout_ms for one of them; true when it came, from then on at once. */
bool stop_wait(int timeout_ms);

/* When it came, by the monotonic clock, or when that was first looked at; 0: it has not. Any
 * thread. Who is given a time to end in counts from here, so that times do not add up. */
int64_t stop_asked_mono_us(void);

/* Readable from the signal on, for ever; lent, never to be read. -1 without stop_block(). */
int stop_fd(void);

#endif
