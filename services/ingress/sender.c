#include "services/ingress/sender.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

#include "lib/clock.h"
#include "lib/curve.h"
#include "lib/log.h"
#include "proto/record.h"

#define OVERDUE_LEAST_US (5 * US_PER_SECOND) /* doubles with each try */
#define OVERDUE_MOST_US  (60 * US_PER_SECOND)
#define IDLE_MS          500
#define ADOPT_EVERY_US   (5 * US_PER_SECOND)
#define JOURNALS_MOST    8 /* ours, and adopted ones; more orphans wait for their turn */
/* Packed bytes of records that are on their way: a service may have 30 MB, and each is in memory
 * until it is acknowledged. A full record packs to some 23 KB, so these are 130: two of the largest
 * batches that a worker applies at once. */
#define FLIGHTS_BYTES_MOST (3 << 20)

/* A record that was read and not yet acknowledged. */
struct flight {
	struct record_id id;
	struct journal *journal;
	uint64_t segment;
	char *slot; /* its bytes, and how many */
	size_t len;
	int64_t due_mono_us; /* when it is to be sent, or sent again */
	uint32_t sends;
};

struct sender {
	struct journal *journals[JOURNALS_MOST]; /* the first is ours, and borrowed */
	uint32_t journal_count, next;            /* whose turn it is to be read */
	const struct journal_options *orphans;
	int64_t adopt_mono_us; /* when to look for orphans again */
	void *zmq, *push, *acks;
	struct curve_server *curve;
	pthread_t thread;
	bool thread_runs;
	atomic_bool stopping;
	atomic_llong stop_mono_us; /* with stopping: until when to go on delivering */
	struct record_packer *packer;
	uint32_t window, count;
	size_t bytes;            /* of all flights */
	struct flight *flights;  /* the first `count`, in no order; each has its slot for good */
	char *slots;             /* one mapping of them all */
	size_t page, slot_size;  /* a slot: pages for the largest record */
	struct record_id *acked; /* of one message */
	bool unreadable;         /* the journal, as was said in the log */
	atomic_ullong sent, resent, acknowledged;
	atomic_uint in_flight, adopted;
};

static int socket_bind(void **out, void *zmq, int type, const char *addr,
	const struct curve_server *curve, struct err *err)
{
	/* Small buffers, so that a stalled worker holds few records. A peer whose host is gone is
	 * found by TCP: ZeroMQ's own heartbeats, with a low mark and a peer that does not read for
	 * longer than their time-out, abort the process (libzmq issue 3937). */
	const int hwm = 2, buffer = 64 << 10, zero = 0, one = 1;
	const struct {
		int option, value;
	} options[] = { { ZMQ_SNDHWM, hwm }, { ZMQ_RCVHWM, type == ZMQ_PULL ? 1000 : hwm },
		{ ZMQ_SNDBUF, buffer }, { ZMQ_RCVBUF, buffer }, { ZMQ_LINGER, zero },
		{ ZMQ_IMMEDIATE, one }, { ZMQ_IPV6, one }, { ZMQ_TCP_KEEPALIVE, one },
		{ ZMQ_TCP_KEEPALIVE_IDLE, 5 }, { ZMQ_TCP_KEEPALIVE_INTVL, 2 },
		{ ZMQ_TCP_KEEPALIVE_CNT, 3 }, { ZMQ_TCP_MAXRT, 10000 } };
	const int64_t most = RECORD_MOST;
	char endpoint[280];
	void *socket = zmq_socket(zmq, type);
	int rc = socket ? 0 : -1;

	for (size_t i = 0; !rc && i < sizeof options / sizeof *options; i++)
		rc = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
	if (!rc)
		rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
	*out = socket;
	if (!rc && curve && curve_server_guard(curve, socket, err))
		return err->code;
	snprintf(endpoint, sizeof endpoint, "tcp://%s", addr);
	if (!rc)
		rc = zmq_bind(socket, endpoint);
	return rc ? err_set(err, -errno, "cannot listen on %s: %s", addr, zmq_strerror(errno)) : 0;
}

/* --- journals --------------------------------------------------------------------------------- */

/* Take a journal that a dead ingress left, if there is one. */
static void adopt(struct sender *s)
{
	struct journal *orphan;
	struct err err;
	int rc;

	s->adopt_mono_us = clock_mono_us() + ADOPT_EVERY_US;
	if (s->journal_count == JOURNALS_MOST)
		return;
	rc = journal_adopt(&orphan, s->orphans, &err);
	if (rc < 0)
		log_error("sender: no journal can be adopted: %s", err.msg);
	if (rc != 1)
		return;
	log_info("sender: a journal that nobody owns is adopted");
	s->journals[s->journal_count++] = orphan;
	s->adopt_mono_us = 0; /* there may be another */
}

static void let_go_of_drained(struct sender *s)
{
	for (uint32_t i = 1; i < s->journal_count;) {
		if (journal_is_drained(s->journals[i])) {
			log_info("sender: an adopted journal is delivered");
			journal_close(&s->journals[i]);
			s->journals[i] = s->journals[--s->journal_count];
		} else {
			i++;
		}
	}
	atomic_store(&s->adopted, s->journal_count - 1);
}

static bool window_is_open(const struct sender *s)
{
	return s->count < s->window && s->bytes + RECORD_MOST <= FLIGHTS_BYTES_MOST;
}

static void flight_begin(
	struct sender *s, struct journal *journal, const struct journal_record *record)
{
	struct flight *f = &s->flights[s->count++];
	struct span rest = record->entries, packed;

	*f = (struct flight){ .slot = f->slot };
	memcpy(f->id.producer, record->producer, sizeof f->id.producer);
	f->id.lane = record->lane;
	f->id.seq = record->seq;
	f->journal = journal;
	f->segment = record->segment;
	record_begin(s->packer, record->count);
	while (rest.len) {
		uint32_t len;

		memcpy(&len, rest.ptr, sizeof len);
		record_add(s->packer, span_first(span_from(rest, sizeof len), len));
		rest = span_from(rest, sizeof len + len);
	}
	packed = record_end(s->packer, &f->id);
	memcpy(f->slot, packed.ptr, packed.len);
	f->len = packed.len;
	s->bytes += f->len;
}

/* Fill the window with records, a journal after the other. */
static void window_fill(struct sender *s)
{
	struct journal_record record;
	struct err err = { 0 };
	bool unreadable = false;

	for (uint32_t empty = 0; window_is_open(s) && empty < s->journal_count;) {
		struct journal *journal = s->journals[s->next++ % s->journal_count];
		int rc = journal_read(journal, &record, &err);

		empty = rc > 0 ? 0 : empty + 1;
		unreadable |= rc < 0;
		if (rc > 0)
			flight_begin(s, journal, &record);
	}
	if (unreadable && !s->unreadable)
		log_error("sender: a journal cannot be read: %s", err.msg);
	s->unreadable = unreadable;
}

/* --- records ---------------------------------------------------------------------------------- */

static int64_t overdue_after(uint32_t sends)
{
	int64_t after = OVERDUE_LEAST_US << (sends > 4 ? 4 : sends - 1);

	return after > OVERDUE_MOST_US ? OVERDUE_MOST_US : after;
}

/* Send what is due; true: more is due, but no worker can take it now. */
static bool window_send(struct sender *s)
{
	int64_t now = clock_mono_us();

	for (uint32_t i = 0; i < s->count; i++) {
		struct flight *f = &s->flights[i];

		if (f->due_mono_us > now)
			continue;
		if (zmq_send(s->push, f->slot, f->len, ZMQ_DONTWAIT) < 0) {
			if (errno != EAGAIN && errno != EINTR)
				log_error("sender: %s", zmq_strerror(errno));
			return true;
		}
		atomic_fetch_add(f->sends ? &s->resent : &s->sent, 1);
		f->sends++;
		f->due_mono_us = now + overdue_after(f->sends);
	}
	return false;
}

/* Give back the memory of a flight that has ended, but its slot's first page: that is all there is
 * to a small record. */
static void slot_empty(struct sender *s, const struct flight *f)
{
	s->bytes -= f->len;
	if (f->len > s->page)
		madvise(f->slot + s->page, f->len - s->page, MADV_DONTNEED);
}

static void flight_end(struct sender *s, const struct record_id *id)
{
	struct flight swap;

	for (uint32_t i = 0; i < s->count; i++) {
		struct flight *f = &s->flights[i];

		if (f->id.seq != id->seq || f->id.lane != id->lane ||
			memcmp(f->id.producer, id->producer, sizeof id->producer) != 0)
			continue;
		journal_done(f->journal, f->segment);
		slot_empty(s, f);
		swap = s->flights[i];
		s->flights[i] = s->flights[--s->count];
		s->flights[s->count] = swap; /* its slot is the next to be used */
		atomic_fetch_add(&s->acknowledged, 1);
		return;
	}
}

static void acks_take(struct sender *s)
{
	zmq_msg_t msg;

	zmq_msg_init(&msg);
	while (zmq_msg_recv(&msg, s->acks, ZMQ_DONTWAIT) >= 0) {
		struct span wire = { zmq_msg_data(&msg), zmq_msg_size(&msg) };
		struct err err;
		uint32_t n;

		if (ack_decode(s->acked, &n, wire, &err)) {
			log_warn("sender: an acknowledgement cannot be read: %s", err.msg);
			continue;
		}
		for (uint32_t i = 0; i < n; i++)
			flight_end(s, &s->acked[i]);
	}
	zmq_msg_close(&msg);
}

/* Wait until there is something to do: an acknowledgement, a record in the journal, a worker that
 * can take what is due, or the next record that is overdue. */
static void sender_wait(struct sender *s, bool blocked)
{
	zmq_pollitem_t items[] = { { s->acks, 0, ZMQ_POLLIN, 0 },
		{ NULL, journal_readable_fd(s->journals[0]), ZMQ_POLLIN, 0 },
		{ s->push, 0, ZMQ_POLLOUT, 0 } };
	bool window_open = window_is_open(s);
	uint64_t n;

	/* A full window is not interested in the journal, nor an unblocked one in POLLOUT. */
	if (!window_open)
		items[1] = items[2];
	zmq_poll(items, 1 + window_open + blocked,
		s->count || atomic_load(&s->stopping) ? 20 : IDLE_MS);
	if (window_open && items[1].revents &&
		read(journal_readable_fd(s->journals[0]), &n, sizeof n) < 0 && errno != EAGAIN)
		log_alarm("sender: eventfd: %s", strerror(errno));
}

/* All is delivered, or there is no time left. */
static bool is_over(struct sender *s)
{
	if (clock_mono_us() >= atomic_load(&s->stop_mono_us))
		return true;
	if (s->count || s->unreadable)
		return false;
	for (uint32_t i = 0; i < s->journal_count; i++)
		if (!journal_is_drained(s->journals[i]))
			return false;
	/* Where the folder goes with this host, so does what nobody owns in it. */
	if (atomic_load(&s->stop_mono_us) == INT64_MAX)
		adopt(s);
	return s->journal_count == 1;
}

static void *sender_main(void *arg)
{
	struct sender *s = arg;

	for (;;) {
		bool blocked;

		if (clock_mono_us() >= s->adopt_mono_us)
			adopt(s);
		window_fill(s);
		blocked = window_send(s);
		let_go_of_drained(s);
		atomic_store(&s->in_flight, s->count);
		if (atomic_load(&s->stopping) && is_over(s))
			break;
		sender_wait(s, blocked);
		acks_take(s);
	}
	return NULL;
}

/* A slot for each record of the window, which has room for any, so that a record that was read can
 * always be put together. Only pages that are in use take memory; a huge one would be of a dozen
 * slots. */
static int slots_make(struct sender *s)
{
	s->page = (size_t)sysconf(_SC_PAGESIZE);
	s->slot_size = (RECORD_MOST + s->page - 1) / s->page * s->page;
	s->slots = mmap(NULL, s->window * s->slot_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->slots == MAP_FAILED) {
		s->slots = NULL;
		return -ENOMEM;
	}
	madvise(s->slots, s->window * s->slot_size, MADV_NOHUGEPAGE);
	for (uint32_t i = 0; i < s->window; i++)
		s->flights[i].slot = s->slots + i * s->slot_size;
	return 0;
}

/* Who may link: by key, or anybody on this host, or in a network that is trusted. */
static int guard(struct sender *s, const struct sender_options *options, struct err *err)
{
	bool has_key = *options->link_secret;
	int rc = curve_may_bind(options->push_addr, has_key, options->link_plain, err);

	if (!rc)
		rc = curve_may_bind(options->ack_addr, has_key, options->link_plain, err);
	if (!rc && has_key)
		rc = curve_server_open(
			&s->curve, s->zmq, options->link_secret, options->link_allow, err);
	return rc;
}

int sender_open(struct sender **out, struct journal *journal, const struct sender_options *options,
	struct err *err)
{
	struct sender *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return err_set(err, -ENOMEM, "sender");
	s->journals[s->journal_count++] = journal;
	s->orphans = options->orphans;
	s->window = options->window;
	s->flights = calloc(options->window, sizeof *s->flights);
	s->acked = calloc(ACKS_MOST, sizeof *s->acked);
	s->zmq = zmq_ctx_new();
	rc = s->flights && s->acked && s->zmq ? slots_make(s) : -ENOMEM;
	if (rc)
		err_set(err, rc, "sender: no memory");
	if (!rc)
		rc = record_packer_open(&s->packer, err);
	if (!rc)
		rc = guard(s, options, err);
	if (!rc)
		rc = socket_bind(&s->push, s->zmq, ZMQ_PUSH, options->push_addr, s->curve, err);
	if (!rc)
		rc = socket_bind(&s->acks, s->zmq, ZMQ_PULL, options->ack_addr, s->curve, err);
	if (!rc && pthread_create(&s->thread, NULL, sender_main, s))
		rc = err_set(err, -EAGAIN, "sender: no thread");
	s->thread_runs = !rc;
	if (rc)
		sender_close(&s, 0);
	else
		*out = s;
	return rc;
}

void sender_close(struct sender **s_p, int drain_ms)
{
	struct sender *s = *s_p;

	if (!s)
		return;
	if (s->thread_runs) {
		atomic_store(&s->stop_mono_us,
			drain_ms < 0 ? INT64_MAX : clock_mono_us() + drain_ms * 1000LL);
		atomic_store(&s->stopping, true);
		pthread_join(s->thread, NULL);
	}
	if (s->push)
		zmq_close(s->push);
	if (s->acks)
		zmq_close(s->acks);
	curve_server_close(&s->curve);
	if (s->zmq)
		zmq_ctx_term(s->zmq);
	if (s->slots)
		munmap(s->slots, s->window * s->slot_size);
	for (uint32_t i = 1; i < s->journal_count; i++)
		journal_close(&s->journals[i]);
	record_packer_close(&s->packer);
	free(s->flights);
	free(s->acked);
	free(s);
	*s_p = NULL;
}

void sender_stats(struct sender *s, struct sender_stats *stats)
{
	stats->sent = atomic_load(&s->sent);
	stats->resent = atomic_load(&s->resent);
	stats->acknowledged = atomic_load(&s->acknowledged);
	stats->in_flight = atomic_load(&s->in_flight);
	stats->adopted = atomic_load(&s->adopted);
}
