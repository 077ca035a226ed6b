#include "lib/journal/journal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/journal/archive.h"
#include "lib/journal/segment.h"
#include "lib/journal/store.h"
#include "lib/log.h"

#define BATCH_BYTES    (1 << 20) /* gathered while one flush is under way */
#define FULL_RETRY_US  (1 * US_PER_SECOND)
#define RECORD_ENTRIES 4000 /* and a record closes at that many, whatever their size */
#define WAIT_GROUPS    4 /* of waiters, by flush number: those of two flushes are never the same */
#define CLOSE_RESERVE  (JOURNAL_LANES * sizeof(struct frame_head))

struct lane {
	uint64_t seq; /* of the open record; the last closed one when entries is 0 */
	uint32_t bytes, entries;
	int64_t opened_mono_us;
};

/* What is being gathered for one flush. All of it goes into one segment. */
struct batch {
	char *buf;
	size_t len;
	bool closes;          /* it closes a record: there will be something to read */
	bool last_of_segment; /* the flusher then begins a new segment */
};

struct journal {
	struct journal_options options;
	struct archive *archive;
	struct store store;
	struct reader *reader; /* the reader's thread only */
	int ready_fd;
	unsigned char producer[16];

	pthread_mutex_t lock; /* of all below, but the atomics */
	pthread_cond_t work;  /* for the flusher */
	pthread_cond_t room;  /* for appenders that wait for another batch */
	pthread_t flusher;
	bool writes; /* not adopted: there is a flusher */
	bool stopping, close_all, roll;
	struct lane lane[JOURNAL_LANES];
	struct batch gathering, writing;
	uint64_t flush_gathering; /* number of the flush that will write `gathering` */
	bool rolling;             /* between two segments; who appends waits */
	bool full;                /* no segment could be made; nothing is taken */
	uint64_t segment_used;    /* bytes of the active segment, gathered ones included */
	uint64_t active;          /* its number, or that of the one that could not be made */
	int active_fd;
	uint64_t last_made;            /* the last of ours that could be made */
	uint64_t first[JOURNAL_LANES]; /* each lane's first record in it, if it gets one */
	int64_t began_us, began_mono_us;
	uint64_t synced; /* bytes of the active segment that are on disk */
	struct journal_stats stats;

	atomic_ullong flush_done;
	atomic_int failed;             /* -errno of a failed write or sync */
	atomic_bool cut_off;           /* what it was to make durable is gone again */
	atomic_uint wake[WAIT_GROUPS]; /* futexes: a flush adds one to its own, and wakes */
};

/* --- waiting: no lock, so that those who are woken do not queue for one ------------------------
 */

static void futex_wait(atomic_uint *word, unsigned seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static int failed_err(struct journal *j, struct err *err)
{
	return err_set(err, atomic_load(&j->cut_off) ? -EIO : -EREMOTEIO,
		"journal %s: a write failed: %s", j->store.folder.path,
		strerror(-atomic_load(&j->failed)));
}

int journal_wait(struct journal *j, struct journal_ticket ticket, struct err *err)
{
	atomic_uint *word = &j->wake[ticket.flush % WAIT_GROUPS];

	for (;;) {
		unsigned seen = atomic_load(word);

		if (atomic_load(&j->flush_done) >= ticket.flush)
			return 0;
		if (atomic_load(&j->failed))
			return failed_err(j, err);
		futex_wait(word, seen);
	}
}

bool journal_failed(struct journal *j)
{
	return atomic_load(&j->failed) != 0;
}

static void tell_reader(struct journal *j)
{
	uint64_t one = 1;

	if (write(j->ready_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_alarm("journal: eventfd: %s", strerror(errno));
}

/* --- gathering: under the lock ---------------------------------------------------------------- */

static void batch_frame(
	struct journal *j, enum frame_type type, uint8_t lane, uint64_t seq, struct span entry)
{
	struct batch *b = &j->gathering;
	const struct frame_head head = {
		.len = (uint32_t)entry.len, .seq = seq, .type = (uint8_t)type, .lane = lane
	};
	size_t size = frame_size(entry.len);

	assert(b->len + size <= BATCH_BYTES + CLOSE_RESERVE);
	frame_seal(b->buf + b->len, head, entry.ptr, j->active);
	b->len += size;
	j->segment_used += size;
}

static void lane_close(struct journal *j, uint8_t number)
{
	struct lane *lane = &j->lane[number];

	if (!lane->entries)
		return;
	batch_frame(j, FRAME_CLOSE, number, lane->seq, SPAN(""));
	j->gathering.closes = true;
	lane->entries = lane->bytes = 0;
}

/* Close the records that are old enough, and tell when the next one will be (0: none is open). */
static int64_t lanes_close_old(struct journal *j, int64_t now_mono_us)
{
	int64_t next = 0;

	for (uint8_t i = 0; i < JOURNAL_LANES; i++) {
		int64_t due = j->lane[i].opened_mono_us + j->options.close_us;

		if (!j->lane[i].entries)
			continue;
		if (j->close_all || due <= now_mono_us)
			lane_close(j, i);
		else if (!next || due < next)
			next = due;
	}
	return next;
}

static bool batch_has_room(const struct journal *j, size_t size)
{
	return !j->gathering.last_of_segment &&
	       j->gathering.len + size + CLOSE_RESERVE <= BATCH_BYTES;
}

static bool segment_has_room(const struct journal *j, size_t size)
{
	return j->segment_used + size + CLOSE_RESERVE <= j->options.segment_bytes;
}

/* Records never span segments: all open ones are closed, and the flusher begins another. */
static void segment_end(struct journal *j)
{
	for (uint8_t i = 0; i < JOURNAL_LANES; i++)
		lane_close(j, i);
	j->gathering.last_of_segment = true;
}

/* Wait until an entry of size bytes can be gathered. */
static int room_wait(struct journal *j, size_t size, struct err *err)
{
	for (;;) {
		if (atomic_load(&j->failed))
			return failed_err(j, err);
		if (j->full || j->stopping)
			return err_set(err, -ENOSPC, "journal %s is full", j->store.folder.path);
		if (!j->rolling && batch_has_room(j, size) && segment_has_room(j, size))
			return 0;
		if (!j->rolling && !j->gathering.last_of_segment && !segment_has_room(j, size))
			segment_end(j);
		pthread_cond_signal(&j->work);
		pthread_cond_wait(&j->room, &j->lock);
	}
}

int journal_append(struct journal *j, uint8_t lane_number, struct span entry,
	struct journal_ticket *ticket, struct err *err)
{
	struct lane *lane = &j->lane[lane_number];
	int rc;

	assert(lane_number < JOURNAL_LANES && j->writes);
	if (!entry.len || entry.len > JOURNAL_ENTRY_MOST)
		return err_set(err, -EMSGSIZE, "journal: an entry of %zu bytes", entry.len);
	pthread_mutex_lock(&j->lock);
	rc = room_wait(j, frame_size(entry.len) + frame_size(0), err);
	if (!rc) {
		if (lane->entries && (lane->bytes + entry.len > j->options.close_bytes ||
					     lane->entries >= RECORD_ENTRIES))
			lane_close(j, lane_number);
		if (!lane->entries) {
			lane->seq++;
			lane->opened_mono_us = clock_mono_us();
		}
		batch_frame(j, FRAME_ENTRY, lane_number, lane->seq, entry);
		lane->entries++;
		lane->bytes += (uint32_t)entry.len;
		j->stats.entries++;
		ticket->flush = j->flush_gathering;
		pthread_cond_signal(&j->work);
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

/* --- the flusher ------------------------------------------------------------------------------ */

/* Make segment `number`: its space, its heads, and its name durable. On error nothing is left. */
static int segment_make(
	const struct journal *j, uint64_t number, const struct segment_head *head, int *out_fd)
{
	const struct disk *disk = j->options.disk;
	struct segment_head sealed = *head;
	char name[SEGMENT_NAME_SIZE], block[SEGMENT_BLOCK];
	int fd, rc;

	segment_name(number, name);
	segment_head_seal(&sealed, block);
	fd = disk->create(j->store.folder.fd, name);
	if (fd < 0)
		return fd;
	rc = disk->allocate(fd, j->options.segment_bytes);
	for (int copy = 0; !rc && copy < 2; copy++)
		rc = disk->write(fd, block, sizeof block, (uint64_t)copy * SEGMENT_BLOCK);
	if (!rc)
		rc = disk->sync(fd);
	if (!rc)
		rc = disk->sync_dir(j->store.folder.fd);
	if (rc) {
		disk->remove(j->store.folder.fd, name);
		close(fd);
		return rc;
	}
	*out_fd = fd;
	return 0;
}

/* Whether one more segment is within the bound, once the archive has given way. */
static bool bound_allows(struct journal *j)
{
	uint64_t bytes = (store_count(&j->store) + 1) * j->options.segment_bytes;

	while (bytes <= j->options.most_bytes &&
		bytes + archive_bytes(j->archive) > j->options.most_bytes)
		if (!archive_give_way(j->archive))
			break;
	return bytes <= j->options.most_bytes;
}

static int segment_make_with_room(
	struct journal *j, uint64_t number, const struct segment_head *head, int *fd)
{
	int rc = -ENOSPC;

	if (!bound_allows(j))
		return -EDQUOT;
	while ((rc = segment_make(j, number, head, fd)) == -ENOSPC)
		if (!archive_give_way(j->archive))
			break;
	return rc;
}

static void segment_head_fill(struct journal *j, struct segment_head *head, uint64_t number)
{
	*head = (struct segment_head){ .number = number, .before = j->last_made };
	memcpy(head->producer, j->producer, sizeof head->producer);
	for (int i = 0; i < JOURNAL_LANES; i++) {
		head->first[i] = j->lane[i].seq + 1;
		head->first_before[i] = j->first[i];
	}
}

/* Begin the next segment; with the lock held, given up for the disk's time (nobody appends
 * meanwhile). Without space the journal is full until a later try finds some. */
static void segment_begin(struct journal *j)
{
	uint64_t number = j->active + 1;
	struct segment_head head;
	int fd = -1, rc;

	segment_head_fill(j, &head, number);
	pthread_mutex_unlock(&j->lock);
	rc = segment_make_with_room(j, number, &head, &fd);
	/* Without a segment there is none of that number; all others are read to their end. */
	if (store_add(&j->store, rc ? 0 : number)) {
		char name[SEGMENT_NAME_SIZE];

		segment_name(number, name);
		j->options.disk->remove(j->store.folder.fd, name);
		close(fd);
		fd = -1;
		rc = -ENOMEM;
	}
	pthread_mutex_lock(&j->lock);
	if (rc && !j->full)
		log_warn("journal: full, events are refused dir=%s reason=%s", j->store.folder.path,
			rc == -EDQUOT ? "its bound is reached" : strerror(-rc));
	if (!rc && j->full)
		log_info("journal: there is space again dir=%s", j->store.folder.path);
	if (j->active_fd >= 0)
		close(j->active_fd);
	if (!rc) {
		memcpy(j->first, head.first, sizeof j->first);
		j->last_made = number;
	}
	j->active_fd = fd;
	j->active = number;
	j->segment_used = j->synced = SEGMENT_FRAMES_AT;
	j->began_us = clock_now_us();
	j->began_mono_us = clock_mono_us();
	j->full = rc != 0;
	j->rolling = j->roll = false;
	pthread_cond_broadcast(&j->room);
	tell_reader(j);
}

/* The last write or sync has failed: what it was to make durable is cut off, since its events are
 * answered as not taken, and the journal takes no more. */
static void fail(struct journal *j, int rc, uint64_t at)
{
	int cut = j->options.disk->truncate(j->active_fd, at);

	atomic_store(&j->cut_off, !cut);
	log_error("journal: a write failed, nothing is taken any more dir=%s error=%s%s",
		j->store.folder.path, strerror(-rc),
		cut ? " (and what was written could not be cut off)" : "");
	atomic_store(&j->failed, rc);
	for (int i = 0; i < WAIT_GROUPS; i++)
		futex_wake(&j->wake[i]);
	pthread_cond_broadcast(&j->room);
}

/* Write and sync one batch; with the lock held, given up for the disk's time. */
static void flush_one(struct journal *j)
{
	struct batch batch;
	uint64_t flush, at = j->synced;
	int rc = 0;

	/* Who can append now goes first: under load a sync then serves three times as many;
	 * without, the processor comes straight back. */
	pthread_mutex_unlock(&j->lock);
	sched_yield();
	pthread_mutex_lock(&j->lock);
	batch = j->gathering;
	flush = j->flush_gathering++;
	j->gathering = j->writing;
	j->gathering.len = 0;
	j->gathering.last_of_segment = false;
	j->gathering.closes = false;
	/* The new batch belongs to the next segment: nothing may be gathered before that exists. */
	j->rolling = batch.last_of_segment;
	j->writing = batch;
	if (!j->rolling)
		pthread_cond_broadcast(&j->room);
	pthread_mutex_unlock(&j->lock);
	if (batch.len)
		rc = j->options.disk->write(j->active_fd, batch.buf, batch.len, at);
	if (!rc && batch.len)
		rc = j->options.disk->sync(j->active_fd);
	if (!rc) {
		atomic_store(&j->flush_done, flush);
		futex_wake(&j->wake[flush % WAIT_GROUPS]);
	}
	pthread_mutex_lock(&j->lock);
	if (rc) {
		fail(j, rc, at);
		return;
	}
	j->synced = at + batch.len;
	j->stats.flushes++;
	if (batch.closes)
		tell_reader(j);
	if (batch.last_of_segment)
		segment_begin(j);
}

static void wait_until(struct journal *j, int64_t until_mono_us)
{
	struct timespec t = { .tv_sec = until_mono_us / US_PER_SECOND,
		.tv_nsec = until_mono_us % US_PER_SECOND * 1000 };

	if (until_mono_us)
		pthread_cond_timedwait(&j->work, &j->lock, &t);
	else
		pthread_cond_wait(&j->work, &j->lock);
}

/* When the segment in use is to end by its age, 0: not by that. */
static int64_t roll_at(const struct journal *j)
{
	return j->options.roll_us && j->segment_used > SEGMENT_FRAMES_AT
		       ? j->began_mono_us + j->options.roll_us
		       : 0;
}

static void *flusher_main(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!atomic_load(&j->failed)) {
		int64_t now = clock_mono_us(), next = j->full ? 0 : lanes_close_old(j, now);
		int64_t roll = roll_at(j);

		if (!j->full && !j->stopping && !j->gathering.last_of_segment &&
			j->segment_used > SEGMENT_FRAMES_AT && (j->roll || (roll && roll <= now)))
			segment_end(j);
		if (j->gathering.len || j->gathering.last_of_segment)
			flush_one(j);
		else if (j->stopping)
			break;
		else if (j->full) {
			wait_until(j, clock_mono_us() + FULL_RETRY_US);
			if (!j->stopping)
				segment_begin(j);
		} else {
			wait_until(j, next && (!roll || next < roll) ? next : roll);
		}
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

void journal_flush(struct journal *j)
{
	struct journal_ticket ticket = { 0 };
	struct err err;

	pthread_mutex_lock(&j->lock);
	j->close_all = true;
	for (uint8_t i = 0; i < JOURNAL_LANES && !j->full && !atomic_load(&j->failed); i++)
		lane_close(j, i);
	ticket.flush = j->flush_gathering - (j->gathering.len ? 0 : 1);
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	if (journal_wait(j, ticket, &err))
		log_error("journal: the last flush failed: %s", err.msg);
}

void journal_roll(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->roll = j->segment_used > SEGMENT_FRAMES_AT;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
}

/* --- the reader's side ------------------------------------------------------------------------ */

int journal_readable_fd(struct journal *j)
{
	return j->ready_fd;
}

/* Up to where the reader's segment may be read, and whether it has come to its end for good. */
static uint64_t read_limit(struct journal *j, bool *sealed)
{
	uint64_t limit = UINT64_MAX;

	pthread_mutex_lock(&j->lock);
	/* A segment above the active one has just been made, and is about to be it: it is not at
	 * its end, but has nothing yet. */
	*sealed = !j->writes || reader_segment(j->reader) < j->active;
	if (!*sealed)
		limit = reader_segment(j->reader) == j->active ? j->synced : 0;
	pthread_mutex_unlock(&j->lock);
	return limit;
}

static void tidy(struct journal *j)
{
	if (!store_tidy(&j->store))
		return;
	pthread_mutex_lock(&j->lock);
	if (j->full)
		pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
}

int journal_read(struct journal *j, struct journal_record *record, struct err *err)
{
	uint64_t segment;
	int rc;

	do {
		bool sealed;
		uint64_t limit = read_limit(j, &sealed);

		segment = reader_segment(j->reader);
		rc = reader_next(j->reader, limit, sealed, record, err);
	} while (!rc && reader_segment(j->reader) != segment);
	if (!rc)
		tidy(j);
	return rc;
}

void journal_done(struct journal *j, uint64_t segment)
{
	store_acknowledged(&j->store, segment);
	tidy(j);
}

bool journal_is_drained(struct journal *j)
{
	struct store_segment *only;
	bool drained;

	pthread_mutex_lock(&j->store.lock);
	only = j->store.first;
	drained = !only || (only->summary.number == j->store.active && !only->unacknowledged);
	pthread_mutex_unlock(&j->store.lock);
	return drained;
}

void journal_expire(struct journal *j)
{
	archive_expire(j->archive);
}

int journal_sift(struct journal *j, uint64_t number, sift_keeps *keeps, void *who, struct err *err)
{
	return archive_sift(j->archive, number, keeps, who, err);
}

/* --- open and close --------------------------------------------------------------------------- */

static void conds_init(struct journal *j)
{
	pthread_condattr_t mono;

	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, &mono);
	pthread_cond_init(&j->room, NULL);
	pthread_condattr_destroy(&mono);
}

/* A journal on a folder that was taken, to be read only so far. Takes the folder. */
static int journal_make(struct journal **out, struct folder *folder,
	const struct journal_options *options, struct err *err)
{
	struct journal *j = calloc(1, sizeof *j);
	int rc;

	if (!j) {
		folder_release(folder);
		return err_set(err, -ENOMEM, "journal %s", options->parent);
	}
	j->options = *options;
	if (!j->options.disk)
		j->options.disk = &disk_of_system;
	j->ready_fd = j->active_fd = -1;
	conds_init(j);
	rc = store_open(&j->store, folder, j->options.disk, NULL, j->options.segment_bytes, err);
	if (!rc)
		rc = archive_open(&j->archive, options->parent, options->archive_days, err);
	j->store.archive = j->archive;
	if (!rc)
		rc = reader_open(&j->reader, &j->store, err);
	if (!rc && (j->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		rc = err_set(err, -errno, "journal %s: %s", options->parent, strerror(errno));
	if (rc)
		journal_close(&j);
	else
		*out = j;
	return rc;
}

static void producer_draw(unsigned char producer[16])
{
	randombytes_buf(producer, 16);
	producer[6] = (unsigned char)(0x40 | (producer[6] & 0x0f)); /* RFC 4122, version 4 */
	producer[8] = (unsigned char)(0x80 | (producer[8] & 0x3f));
}

/* Become the writer: behind what is there, under a name of its own. */
static int writer_start(struct journal *j, struct err *err)
{
	int rc;

	producer_draw(j->producer);
	j->gathering.buf = malloc(BATCH_BYTES + CLOSE_RESERVE);
	j->writing.buf = malloc(BATCH_BYTES + CLOSE_RESERVE);
	if (!j->gathering.buf || !j->writing.buf)
		return err_set(err, -ENOMEM, "journal %s", j->store.folder.path);
	for (struct store_segment *s = j->store.first; s; s = s->next)
		j->active = s->summary.number;
	j->flush_gathering = 1;
	j->writes = true;
	/* Without space for a segment the start still succeeds: what is there is delivered. */
	pthread_mutex_lock(&j->lock);
	segment_begin(j);
	pthread_mutex_unlock(&j->lock);
	rc = -pthread_create(&j->flusher, NULL, flusher_main, j);
	j->writes = !rc;
	return rc ? err_set(err, rc, "journal %s: no thread", j->store.folder.path) : 0;
}

int journal_open(struct journal **out, const struct journal_options *options, struct err *err)
{
	struct folder folder;
	struct journal *j = NULL;
	int rc = folder_take(&folder, options->parent, err);

	if (!rc)
		rc = journal_make(&j, &folder, options, err);
	if (!rc)
		rc = writer_start(j, err);
	if (rc)
		journal_close(&j);
	else
		*out = j;
	return rc;
}

int journal_adopt(struct journal **out, const struct journal_options *options, struct err *err)
{
	struct folder folder;
	int rc = folder_take_orphan(&folder, options->parent, err);

	if (rc != 1)
		return rc;
	rc = journal_make(out, &folder, options, err);
	return rc ? rc : 1;
}

void journal_close(struct journal **j_p)
{
	struct journal *j = *j_p;

	if (!j)
		return;
	if (j->writes) {
		journal_flush(j);
		pthread_mutex_lock(&j->lock);
		j->stopping = true;
		pthread_cond_signal(&j->work);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->flusher, NULL);
	}
	reader_close(&j->reader);
	store_clear(&j->store);
	archive_close(&j->archive);
	free(j->gathering.buf);
	free(j->writing.buf);
	pthread_cond_destroy(&j->room);
	pthread_cond_destroy(&j->work);
	pthread_mutex_destroy(&j->lock);
	if (j->active_fd >= 0)
		close(j->active_fd);
	if (j->ready_fd >= 0)
		close(j->ready_fd);
	free(j);
	*j_p = NULL;
}

void journal_stats(struct journal *j, struct journal_stats *stats)
{
	pthread_mutex_lock(&j->lock);
	*stats = j->stats;
	stats->full = j->full;
	stats->began_us = j->began_us;
	pthread_mutex_unlock(&j->lock);
	stats->segments = store_count(&j->store);
	stats->bytes = stats->segments * j->options.segment_bytes;
	stats->most_bytes = j->options.most_bytes;
	stats->archive_bytes = archive_bytes(j->archive);
	stats->damaged = reader_damaged(j->reader);
}
