/* The end of a service: SIGTERM and SIGINT are blocked in every thread, and main waits for them. */
#ifndef FOOTFALL_STOP_H
#define FOOTFALL_STOP_H

#include <stdbool.h>

/* Block the signals, and ignore SIGPIPE. Before any thread is made. */
void stop_block(void);

/* Wait at most timeout_ms for one of them; true when it came. */
bool stop_wait(int timeout_ms);

#endif
