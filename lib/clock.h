/* The two clocks. A name tells which: *_us is Unix time in microseconds, *_mono_us the monotonic
 * clock, for waiting and for measuring only. */
#ifndef FOOTFALL_CLOCK_H
#define FOOTFALL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define US_PER_SECOND 1000000LL

static inline int64_t clock_read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}

static inline int64_t clock_now_us(void)
{
	return clock_read_us(CLOCK_REALTIME);
}

static inline int64_t clock_mono_us(void)
{
	return clock_read_us(CLOCK_MONOTONIC);
}

#endif
