#include "lib/stop.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "lib/clock.h"

static int signal_fd = -1;
static atomic_llong asked_mono_us;

void stop_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool stop_wait(int timeout_ms)
{
	struct pollfd fd = { signal_fd, POLLIN, 0 };
	long long never = 0;

	if (poll(&fd, 1, timeout_ms) <= 0)
		return false;
	atomic_compare_exchange_strong(&asked_mono_us, &never, clock_mono_us());
	return true;
}

int64_t stop_asked_mono_us(void)
{
	if (!atomic_load(&asked_mono_us))
		stop_wait(0);
	return atomic_load(&asked_mono_us);
}

int stop_fd(void)
{
	return signal_fd;
}
