#include "services/query/live.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "lib/clock.h"
#include "lib/curve.h"
#include "lib/log.h"

#define MESSAGE_MOST 64     /* bytes: two numbers */
#define PAUSE_US     333000 /* between two words to one stream: at most 3 a second */

struct live_stream {
	int64_t site_id; /* 0: the place is free */
	int64_t pending; /* events not yet told */
	int64_t next_mono_us;
	pthread_cond_t told;
};

struct live {
	pthread_mutex_t lock; /* over all below, streams included */
	struct live_stream *streams;
	int most, open;
	bool stopping;
	long long messages, unreadable;
	void *zmq, *sub;
	struct curve_server *curve;
	pthread_t listener;
	bool listening;
};

/* A positive number of at most 18 digits, which fits. */
static bool number_read(int64_t *out, struct span text)
{
	*out = 0;
	if (!text.len || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		*out = *out * 10 + (text.ptr[i] - '0');
	}
	return *out > 0;
}

int live_message_parse(int64_t *site_id, int64_t *count, struct span message)
{
	size_t blank = span_find(message, ' ');

	return message.len <= MESSAGE_MOST && number_read(site_id, span_first(message, blank)) &&
			       number_read(count, span_from(message, blank + 1))
		       ? 0
		       : -EINVAL;
}

static void live_tell(struct live *live, struct span message)
{
	int64_t site_id, count;
	int rc = live_message_parse(&site_id, &count, message);

	pthread_mutex_lock(&live->lock);
	live->messages++;
	if (rc)
		live->unreadable++;
	for (int i = 0; i < live->most && !rc; i++)
		if (live->streams[i].site_id == site_id) {
			live->streams[i].pending += count;
			pthread_cond_signal(&live->streams[i].told);
		}
	pthread_mutex_unlock(&live->lock);
}

/* Owns the socket: ZeroMQ's are not for two threads. live_close() shuts the context down, which
 * ends the receive. */
static void *live_listen(void *arg)
{
	struct live *live = arg;
	char message[MESSAGE_MOST];

	for (;;) {
		int n = zmq_recv(live->sub, message, sizeof message, 0);

		if (n >= 0)
			live_tell(live, (struct span){ message, (size_t)n });
		else if (errno != EINTR && errno != EAGAIN)
			break;
	}
	zmq_close(live->sub);
	return NULL;
}

static int live_bind(struct live *live, const struct live_options *options, struct err *err)
{
	bool has_key = options->link_secret && *options->link_secret;
	int rc = curve_may_bind(options->addr, has_key, options->link_plain, err);
	int64_t message_most = MESSAGE_MOST;
	int linger = 0;
	char endpoint[200];

	if (rc)
		return rc;
	live->zmq = zmq_ctx_new();
	live->sub = live->zmq ? zmq_socket(live->zmq, ZMQ_SUB) : NULL;
	if (!live->sub)
		return err_set(err, -ENOMEM, "live: no socket: %s", zmq_strerror(errno));
	if (has_key)
		rc = curve_server_open(
			&live->curve, live->zmq, options->link_secret, options->link_allow, err);
	if (!rc && live->curve)
		rc = curve_server_guard(live->curve, live->sub, err);
	if (rc)
		return rc;
	snprintf(endpoint, sizeof endpoint, "tcp://%s", options->addr);
	zmq_setsockopt(live->sub, ZMQ_LINGER, &linger, sizeof linger);
	zmq_setsockopt(live->sub, ZMQ_MAXMSGSIZE, &message_most, sizeof message_most);
	zmq_setsockopt(live->sub, ZMQ_SUBSCRIBE, "", 0);
	if (zmq_bind(live->sub, endpoint))
		return err_set(
			err, -errno, "cannot listen on %s: %s", options->addr, zmq_strerror(errno));
	return 0;
}

static int live_streams_init(struct live *live, int most)
{
	pthread_condattr_t monotonic;

	live->streams = calloc((size_t)most + 1, sizeof *live->streams);
	if (!live->streams)
		return -ENOMEM;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	for (int i = 0; i < most; i++)
		pthread_cond_init(&live->streams[i].told, &monotonic);
	pthread_condattr_destroy(&monotonic);
	live->most = most;
	return 0;
}

int live_open(struct live **out, const struct live_options *options, struct err *err)
{
	struct live *live = calloc(1, sizeof *live);
	int rc;

	if (!live || live_streams_init(live, options->most)) {
		free(live);
		return err_set(err, -ENOMEM, "live: no memory");
	}
	pthread_mutex_init(&live->lock, NULL);
	rc = live_bind(live, options, err);
	if (!rc && pthread_create(&live->listener, NULL, live_listen, live))
		rc = err_set(err, -EAGAIN, "live: no thread");
	live->listening = !rc;
	if (rc)
		live_close(&live);
	*out = live;
	return rc;
}

void live_stop(struct live *live)
{
	pthread_mutex_lock(&live->lock);
	live->stopping = true;
	for (int i = 0; i < live->most; i++)
		pthread_cond_signal(&live->streams[i].told);
	pthread_mutex_unlock(&live->lock);
}

void live_close(struct live **live_p)
{
	struct live *live = *live_p;

	if (!live)
		return;
	if (live->zmq)
		zmq_ctx_shutdown(live->zmq);
	if (live->listening)
		pthread_join(live->listener, NULL);
	else if (live->sub)
		zmq_close(live->sub);
	curve_server_close(&live->curve);
	if (live->zmq)
		zmq_ctx_term(live->zmq);
	for (int i = 0; i < live->most; i++)
		pthread_cond_destroy(&live->streams[i].told);
	pthread_mutex_destroy(&live->lock);
	free(live->streams);
	free(live);
	*live_p = NULL;
}

struct live_stream *live_join(struct live *live, int64_t site_id)
{
	struct live_stream *stream = NULL;

	pthread_mutex_lock(&live->lock);
	for (int i = 0; i < live->most && !stream && !live->stopping; i++)
		if (!live->streams[i].site_id)
			stream = &live->streams[i];
	if (stream) {
		stream->site_id = site_id;
		stream->pending = stream->next_mono_us = 0;
		live->open++;
	}
	pthread_mutex_unlock(&live->lock);
	return stream;
}

void live_leave(struct live *live, struct live_stream **stream)
{
	pthread_mutex_lock(&live->lock);
	(*stream)->site_id = 0;
	live->open--;
	pthread_mutex_unlock(&live->lock);
	*stream = NULL;
}

/* Wait under the lock until told or the time; true when the time has come. */
static bool wait_until(struct live *live, struct live_stream *stream, int64_t until_mono_us)
{
	struct timespec until = { .tv_sec = until_mono_us / US_PER_SECOND,
		.tv_nsec = until_mono_us % US_PER_SECOND * 1000 };

	return pthread_cond_timedwait(&stream->told, &live->lock, &until) == ETIMEDOUT;
}

int64_t live_wait(struct live *live, struct live_stream *stream, int timeout_ms)
{
	int64_t until = clock_mono_us() + timeout_ms * 1000LL, count = 0;
	bool over = false;

	pthread_mutex_lock(&live->lock);
	while (!over && !live->stopping) {
		int64_t now = clock_mono_us();

		if (stream->pending && now >= stream->next_mono_us)
			break;
		over = wait_until(live, stream,
			       stream->pending && stream->next_mono_us < until
				       ? stream->next_mono_us
				       : until) &&
		       clock_mono_us() >= until;
	}
	if (live->stopping) {
		count = -ECANCELED;
	} else if (stream->pending && clock_mono_us() >= stream->next_mono_us) {
		count = stream->pending;
		stream->pending = 0;
		stream->next_mono_us = clock_mono_us() + PAUSE_US;
	}
	pthread_mutex_unlock(&live->lock);
	return count;
}

void live_metrics(struct live *live, FILE *out)
{
	pthread_mutex_lock(&live->lock);
	fprintf(out, "footfall_live_streams %d\n", live->open);
	fprintf(out, "footfall_live_messages_total %lld\n", live->messages);
	fprintf(out, "footfall_live_messages_unreadable_total %lld\n", live->unreadable);
	pthread_mutex_unlock(&live->lock);
}
