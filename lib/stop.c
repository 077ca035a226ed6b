#include "lib/stop.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

static int signal_fd = -1;

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

	return poll(&fd, 1, timeout_ms) > 0;
}

int stop_fd(void)
{
	return signal_fd;
}
