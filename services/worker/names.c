#include "services/worker/names.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

#define ASK_EVERY_MS 2000
#define MISSED_MOST                                                                                \
	3 /* a resolver that answers with some of many addresses is no reason to let go */

struct known {
	struct address address;
	unsigned missed;
};

struct names {
	char hosts[NAMES_MOST][256];
	unsigned host_count;
	bool silent[NAMES_MOST]; /* could not be resolved, as was said in the log */
	pthread_t thread;
	bool thread_runs;
	int end_fd;
	pthread_mutex_t lock; /* of all below */
	struct known known[ADDRESSES_MOST];
	unsigned count;
	bool changed;
};

static struct known *find(struct names *n, unsigned name, const char *text)
{
	for (unsigned i = 0; i < n->count; i++)
		if (n->known[i].address.name == name && !strcmp(n->known[i].address.text, text))
			return &n->known[i];
	return NULL;
}

static void seen(struct names *n, unsigned name, const char *text)
{
	struct known *k = find(n, name, text);

	if (!k && n->count < ADDRESSES_MOST) {
		k = &n->known[n->count++];
		k->address.name = name;
		snprintf(k->address.text, sizeof k->address.text, "%s", text);
		n->changed = true;
	}
	if (k)
		k->missed = 0;
}

static void let_go(struct names *n, unsigned name)
{
	for (unsigned i = 0; i < n->count;) {
		if (n->known[i].address.name == name && ++n->known[i].missed > MISSED_MOST) {
			n->known[i] = n->known[--n->count];
			n->changed = true;
		} else {
			i++;
		}
	}
}

static void resolve(struct names *n, unsigned name)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(n->hosts[name], NULL, &hints, &list);

	if (rc && !n->silent[name])
		log_warn("names: cannot be resolved host=%s: %s", n->hosts[name], gai_strerror(rc));
	n->silent[name] = rc != 0;
	if (rc)
		return;
	pthread_mutex_lock(&n->lock);
	let_go(n, name); /* counts every one as missed; those that are there are not */
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		char host[NI_MAXHOST], text[ADDRESS_SIZE];

		if (getnameinfo(
			    i->ai_addr, i->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST))
			continue;
		if ((size_t)snprintf(text, sizeof text, strchr(host, ':') ? "[%s]" : "%s", host) <
			sizeof text)
			seen(n, name, text);
	}
	pthread_mutex_unlock(&n->lock);
	freeaddrinfo(list);
}

static void *names_main(void *arg)
{
	struct names *n = arg;
	struct pollfd end = { n->end_fd, POLLIN, 0 };

	do
		for (unsigned i = 0; i < n->host_count; i++)
			resolve(n, i);
	while (!poll(&end, 1, ASK_EVERY_MS));
	return NULL;
}

int names_open(struct names **out, const char *const *hosts, unsigned count, struct err *err)
{
	struct names *n = calloc(1, sizeof *n);

	if (!n)
		return err_set(err, -ENOMEM, "names");
	pthread_mutex_init(&n->lock, NULL);
	for (; n->host_count < count; n->host_count++)
		snprintf(n->hosts[n->host_count], sizeof *n->hosts, "%s", hosts[n->host_count]);
	n->end_fd = eventfd(0, EFD_CLOEXEC);
	n->thread_runs = n->end_fd >= 0 && !pthread_create(&n->thread, NULL, names_main, n);
	if (!n->thread_runs) {
		names_close(&n);
		return err_set(err, -EAGAIN, "names: no thread");
	}
	*out = n;
	return 0;
}

void names_close(struct names **n_p)
{
	struct names *n = *n_p;
	uint64_t one = 1;
	struct timespec until;

	if (!n)
		return;
	*n_p = NULL;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	/* Asking may take longer than our end may: then the thread ends with the process. */
	if (n->thread_runs && (write(n->end_fd, &one, sizeof one) != sizeof one ||
				      pthread_timedjoin_np(n->thread, NULL, &until)))
		return;
	if (n->end_fd >= 0)
		close(n->end_fd);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

bool names_changed(struct names *n, struct address addresses[ADDRESSES_MOST], unsigned *count)
{
	bool changed;

	pthread_mutex_lock(&n->lock);
	changed = n->changed;
	n->changed = false;
	*count = n->count;
	for (unsigned i = 0; i < n->count; i++)
		addresses[i] = n->known[i].address;
	pthread_mutex_unlock(&n->lock);
	return changed;
}
