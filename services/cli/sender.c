#include "services/cli/sender.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/http_client.h"

/* Two under way: while the server waits for its disk with one, it reads the other. */
#define SENDERS            2
#define SLOTS              (SENDERS + 1)
#define REQUEST_TIMEOUT_MS 60000L
#define PAUSE_FIRST_MS     100
#define PAUSE_MOST_MS      5000
#define RETRY_AFTER_MOST_S 60
#define NEW_SITE_S         5 /* a site or key made just now takes a moment to be known */
#define REASON_MOST        120
#define HEAR_MS            50 /* how soon a stop is heard */

enum slot_state { SLOT_FREE, SLOT_READY, SLOT_SENDING, SLOT_DONE };

struct slot {
	enum slot_state state;
	struct batch batch;
	struct err err; /* code 0: sent */
};

struct sender {
	struct sender_options options;
	char *url;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot slot[SLOTS];
	unsigned long given, sent, taken_back; /* batches; slot = number % SLOTS */
	atomic_bool closing;
	bool complaining;
	pthread_t thread[SENDERS];
	int threads;
};

/* What an answer means. */
enum verdict { SENT, SEND_REST, TRY_LATER, NOT_KNOWN, REFUSED };

static bool is_over(struct sender *s)
{
	return atomic_load(&s->closing) || atomic_load(s->options.stopping);
}

/* Say once that the server does not take events, and once that it does again. */
static void complain(struct sender *s, bool now, const char *why)
{
	bool changed;

	pthread_mutex_lock(&s->lock);
	changed = s->complaining != now;
	s->complaining = now;
	pthread_mutex_unlock(&s->lock);
	if (changed)
		fprintf(stderr, "%sfootfall: %s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
			now ? "trying again: " : "the server takes events again", now ? why : "");
}

static void count_rejection(struct batch *b, const char *reason)
{
	char text[REASON_MOST + 1];
	json_t *known;

	snprintf(text, sizeof text, "%s", reason ? reason : "no reason was given");
	if (!b->reasons)
		b->reasons = json_object();
	known = json_object_get(b->reasons, text);
	b->rejected++;
	json_object_set_new(b->reasons, text, json_integer(json_integer_value(known) + 1));
}

/* An answer of 200: each event on its own. What is "unavailable" stays in the batch. */
static enum verdict read_results(struct batch *b, const json_t *answer, struct err *err)
{
	const json_t *results = json_object_get(answer, "results"), *one;
	bool keep[BATCH_EVENTS] = { false };
	size_t i, left = 0, refused = 0;

	/* All are of one site: when it is not known, no line is to blame. */
	json_array_foreach(results, i, one)
	{
		const char *reason = json_string_value(json_object_get(one, "error"));

		if (reason && strstr(reason, "property_id")) {
			err_set(err, -ENOENT, "the server says: %s", reason);
			return NOT_KNOWN;
		}
	}
	json_array_foreach(results, i, one)
	{
		json_int_t index = json_integer_value(json_object_get(one, "index"));
		const char *status = json_string_value(json_object_get(one, "status"));

		if (!json_is_integer(json_object_get(one, "index")) || index < 0 ||
			(size_t)index >= b->count || !status || keep[index]) {
			err_set(err, -EPROTO, "the server's answer cannot be understood");
			return REFUSED;
		}
		if (!strcmp(status, "unavailable")) {
			keep[index] = true;
			left++;
		} else if (strcmp(status, "accepted") != 0) {
			count_rejection(b, json_string_value(json_object_get(one, "error")));
			refused++;
		}
	}
	b->accepted += b->count - left - refused;
	batch_keep(b, keep);
	err_set(err, -EAGAIN, "the server cannot take all events now");
	return left ? SEND_REST : SENT;
}

static enum verdict read_answer(struct batch *b, const struct http_answer *answer, struct err *err)
{
	json_t *object = json_loadb(answer->body.ptr, answer->body.len, 0, NULL);
	const char *error = json_string_value(json_object_get(object, "error"));
	enum verdict verdict = REFUSED;

	if (answer->status == 200 && json_is_array(json_object_get(object, "results"))) {
		verdict = read_results(b, object, err);
	} else if (answer->status == 401 || answer->status == 403) {
		err_set(err, -EACCES, "the server refuses the key (%ld%s%s)", answer->status,
			error ? ": " : "", error ? error : "");
		verdict = NOT_KNOWN;
	} else if (answer->status == 404) {
		err_set(err, -ENOENT, "the server does not know this address (404%s%s)",
			error ? ": " : "", error ? error : "");
		verdict = NOT_KNOWN;
	} else if (answer->status == 429 || answer->status >= 500) {
		err_set(err, -EAGAIN, "the server cannot take events now (%ld%s%s)", answer->status,
			error ? ": " : "", error ? error : "");
		verdict = TRY_LATER;
	} else {
		err_set(err, -EPROTO, "the server does not take the events (%ld%s%s)",
			answer->status, error ? ": " : "", error ? error : "");
	}
	json_decref(object);
	return verdict;
}

/* Pause, at most until the sender is stopped. */
static void pause_ms(struct sender *s, long ms)
{
	const struct timespec piece = { 0, HEAR_MS * 1000000L };

	for (; ms > 0 && !is_over(s); ms -= HEAR_MS)
		nanosleep(&piece, NULL);
}

static int send_batch(struct sender *s, struct http_client *http, struct batch *b, struct err *err)
{
	int64_t since_mono_us = clock_mono_us(); /* when the server last took something */
	long wait_ms = PAUSE_FIRST_MS;

	while (b->count) {
		struct http_answer answer = { 0 };
		struct span body = { b->body, b->len };
		enum verdict verdict = TRY_LATER;
		int64_t waited_us;

		if (!http_client_post(http, s->url, "application/x-ndjson", body, &answer, err))
			verdict = read_answer(b, &answer, err);
		if (verdict == SENT)
			break;
		if (verdict == REFUSED)
			return err->code;
		if (verdict == SEND_REST) {
			since_mono_us = clock_mono_us();
			wait_ms = PAUSE_FIRST_MS;
		}
		waited_us = clock_mono_us() - since_mono_us;
		if (verdict == NOT_KNOWN && waited_us > NEW_SITE_S * US_PER_SECOND)
			return err->code;
		if (verdict != NOT_KNOWN && waited_us > s->options.retry_s * US_PER_SECOND) {
			struct err last = *err;

			return err_set(err, -ETIMEDOUT, "gave up after %ld s: %s",
				s->options.retry_s, last.msg);
		}
		if (verdict == TRY_LATER)
			complain(s, true, err->msg);
		if (verdict == TRY_LATER && answer.retry_after_s > 0)
			wait_ms = 1000 * (answer.retry_after_s < RETRY_AFTER_MOST_S
							 ? answer.retry_after_s
							 : RETRY_AFTER_MOST_S);
		pause_ms(s, wait_ms);
		if (is_over(s))
			return err_set(err, -EINTR, "stopped");
		wait_ms = wait_ms * 2 < PAUSE_MOST_MS ? wait_ms * 2 : PAUSE_MOST_MS;
	}
	complain(s, false, "");
	return 0;
}

/* The next batch to send, waited for; NULL when the sender closes. */
static struct slot *next_slot(struct sender *s)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&s->lock);
	while (!s->closing && s->sent == s->given)
		pthread_cond_wait(&s->changed, &s->lock);
	if (!s->closing) {
		slot = &s->slot[s->sent++ % SLOTS];
		slot->state = SLOT_SENDING;
	}
	pthread_mutex_unlock(&s->lock);
	return slot;
}

static void *sender_run(void *arg)
{
	struct sender *s = arg;
	struct http_client *http = NULL;
	struct err open_err = { 0 };
	struct slot *slot;

	while ((slot = next_slot(s))) {
		struct err err = { 0 };
		int rc = http ? 0
			      : http_client_open(
					&http, s->options.key, REQUEST_TIMEOUT_MS, &open_err);

		if (rc)
			err = open_err;
		else
			rc = send_batch(s, http, &slot->batch, &err);
		if (!rc)
			err.code = 0;
		pthread_mutex_lock(&s->lock);
		slot->err = err;
		slot->state = SLOT_DONE;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
	http_client_close(&http);
	return NULL;
}

static int make_url(struct sender *s, struct err *err)
{
	struct span base = span_of(s->options.url);
	static const char path[] = "/api/v1/events";

	while (base.len && base.ptr[base.len - 1] == '/')
		base.len--;
	s->url = malloc(base.len + sizeof path);
	if (!s->url)
		return err_set(err, -ENOMEM, "no memory for sending");
	memcpy(s->url, base.ptr, base.len);
	memcpy(s->url + base.len, path, sizeof path);
	return 0;
}

int sender_open(struct sender **out, const struct sender_options *options, struct err *err)
{
	struct sender *s = calloc(1, sizeof *s);
	int rc = 0;

	if (!s)
		return err_set(err, -ENOMEM, "no memory for sending");
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (int i = 0; i < SLOTS && !rc; i++)
		rc = batch_init(&s->slot[i].batch, err);
	if (!rc)
		rc = make_url(s, err);
	if (!rc)
		rc = http_client_init(err);
	for (int i = 0; i < SENDERS && !rc; i++) {
		if (pthread_create(&s->thread[i], NULL, sender_run, s))
			rc = err_set(err, -EAGAIN, "a thread for sending cannot be made");
		else
			s->threads++;
	}
	if (rc)
		sender_close(&s);
	*out = s;
	return rc;
}

void sender_close(struct sender **sender)
{
	struct sender *s = *sender;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < s->threads; i++)
		pthread_join(s->thread[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		batch_clear(&s->slot[i].batch);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s->url);
	free(s);
	*sender = NULL;
}

struct batch *sender_batch(struct sender *s)
{
	return &s->slot[s->given % SLOTS].batch;
}

void sender_give(struct sender *s)
{
	pthread_mutex_lock(&s->lock);
	s->slot[s->given % SLOTS].state = SLOT_READY;
	s->given++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool sender_is_full(struct sender *s)
{
	return s->given - s->taken_back == SLOTS;
}

int sender_take_back(struct sender *s, bool wait, struct batch **out, struct err *err)
{
	struct slot *slot = &s->slot[s->taken_back % SLOTS];
	bool done;

	if (s->given == s->taken_back)
		return 0;
	pthread_mutex_lock(&s->lock);
	while (wait && slot->state != SLOT_DONE)
		pthread_cond_wait(&s->changed, &s->lock);
	done = slot->state == SLOT_DONE;
	pthread_mutex_unlock(&s->lock);
	if (!done)
		return 0;
	if (slot->err.code) { /* it stays: what comes after it must not look as if it came next */
		*err = slot->err;
		return slot->err.code;
	}
	slot->state = SLOT_FREE;
	s->taken_back++;
	*out = &slot->batch;
	return 1;
}
