#include "lib/journal.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/clock.h"
#include "lib/log.h"

#define FOLDERS_MOST   1000
#define SEGMENT_MAGIC  0x314c4e4a46544f46ULL /* "FOTFJNL1" */
#define FRAME_MAGIC    0x464a                /* lets a reader find its feet behind damage */
#define BATCH_BYTES    (1 << 20)             /* gathered while one flush is under way */
#define READ_BYTES     (256 << 10)           /* more than two of the largest frames */
#define FULL_RETRY_US  (1 * US_PER_SECOND)
#define RECORD_ENTRIES 4000 /* and a record closes at that many, whatever their size */
#define WAIT_GROUPS    4

enum frame_type { FRAME_ENTRY = 1, FRAME_CLOSE = 2 };

struct segment_head {
	uint64_t magic;
	uint64_t number;
	unsigned char producer[16];
	uint32_t crc; /* of the fields above */
	uint32_t unused;
};

struct frame_head {
	uint32_t crc;
	uint32_t len; /* of the entry, without padding */
	uint64_t seq;
	uint16_t magic;
	uint8_t type;
	uint8_t lane;
	uint32_t unused;
};

static_assert(sizeof(struct segment_head) == 40 && sizeof(struct frame_head) == 24,
	"what lies on disk has no padding of the compiler's");

#define CLOSE_RESERVE (JOURNAL_LANES * sizeof(struct frame_head))

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

struct segment {
	uint64_t number;
	uint32_t unacked;
	bool read_to_end;
	struct segment *next;
};

struct reader {
	uint64_t segment; /* being read; 0 before the first */
	int fd;
	uint64_t offset; /* in the segment, of buf[at] */
	char *buf;
	size_t at, len;
	unsigned char producer[16];
	struct {
		uint64_t seq;
		uint32_t count;
		char *bytes;
		size_t len, size;
	} lane[JOURNAL_LANES]; /* records of which the close has not been read */
	int leftover_lane;     /* at a segment's end: next lane to look at */
};

struct journal {
	struct journal_options options;
	char *dir;
	int dir_fd, lock_fd, ready_fd;
	unsigned char producer[16];

	pthread_mutex_t lock;              /* of all below, but the reader's */
	pthread_cond_t work;               /* for the flusher */
	pthread_cond_t room;               /* for appenders that wait for another batch */
	pthread_cond_t group[WAIT_GROUPS]; /* waiters, by flush number: each flush wakes its own */
	pthread_t flusher;
	bool flusher_runs, stopping, close_all;
	struct lane lane[JOURNAL_LANES];
	struct batch gathering, writing;
	uint64_t flush_gathering; /* number of the flush that will write `gathering` */
	uint64_t flush_done;
	int failed;            /* -errno of a failed write or sync */
	bool rolling;          /* between two segments; who appends waits */
	bool full;             /* no segment could be made; nothing is taken */
	uint64_t segment_used; /* bytes of the active segment, gathered ones included */
	uint64_t active;       /* its number; 0: none */
	int active_fd;
	uint64_t synced; /* bytes of the active segment that are on disk */
	struct segment *segments, **segments_end;
	uint64_t segment_count;
	struct journal_stats stats;

	struct reader reader;
};

static uint32_t frame_crc(uint64_t segment, const struct frame_head *head, const char *bytes)
{
	uLong crc = crc32(0, (const Bytef *)&segment, sizeof segment);

	crc = crc32(crc, (const Bytef *)head + sizeof head->crc, sizeof *head - sizeof head->crc);
	return (uint32_t)crc32(crc, (const Bytef *)bytes, head->len);
}

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

static void segment_name(uint64_t number, char name[32])
{
	snprintf(name, 32, "%016" PRIx64 ".seg", number);
}

/* --- writing: under the lock ------------------------------------------------------------------ */

static void batch_frame(
	struct journal *j, enum frame_type type, uint8_t lane, uint64_t seq, struct span entry)
{
	struct batch *b = &j->gathering;
	struct frame_head head = { .len = (uint32_t)entry.len,
		.seq = seq,
		.magic = FRAME_MAGIC,
		.type = (uint8_t)type,
		.lane = lane };
	size_t size = padded(sizeof head + entry.len);

	assert(b->len + size <= BATCH_BYTES + CLOSE_RESERVE);
	head.crc = frame_crc(j->active, &head, entry.ptr);
	memcpy(b->buf + b->len, &head, sizeof head);
	if (entry.len)
		memcpy(b->buf + b->len + sizeof head, entry.ptr, entry.len);
	memset(b->buf + b->len + sizeof head + entry.len, 0, size - sizeof head - entry.len);
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

/* Wait until an entry of size bytes can be gathered. Records never span segments: when the segment
 * has no room, all open ones are closed and the flusher is told to begin another. */
static int room_wait(struct journal *j, size_t size, struct err *err)
{
	for (;;) {
		if (j->failed)
			return err_set(err, -EIO, "journal %s: an earlier write failed: %s", j->dir,
				strerror(-j->failed));
		if (j->full || j->stopping)
			return err_set(err, -ENOSPC, "journal %s is full", j->dir);
		if (!j->rolling && batch_has_room(j, size) && segment_has_room(j, size))
			return 0;
		if (!j->rolling && !j->gathering.last_of_segment && !segment_has_room(j, size)) {
			for (uint8_t i = 0; i < JOURNAL_LANES; i++)
				lane_close(j, i);
			j->gathering.last_of_segment = true;
		}
		pthread_cond_signal(&j->work);
		pthread_cond_wait(&j->room, &j->lock);
	}
}

int journal_append(struct journal *j, uint8_t lane_number, struct span entry,
	struct journal_ticket *ticket, struct err *err)
{
	size_t size = padded(sizeof(struct frame_head) + entry.len);
	struct lane *lane = &j->lane[lane_number];
	int rc;

	assert(lane_number < JOURNAL_LANES);
	if (!entry.len || entry.len > JOURNAL_ENTRY_MOST)
		return err_set(err, -EMSGSIZE, "journal: an entry of %zu bytes", entry.len);
	pthread_mutex_lock(&j->lock);
	rc = room_wait(j, size + sizeof(struct frame_head), err);
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

int journal_wait(struct journal *j, struct journal_ticket ticket, struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&j->lock);
	while (j->flush_done < ticket.flush && !j->failed)
		pthread_cond_wait(&j->group[ticket.flush % WAIT_GROUPS], &j->lock);
	if (j->flush_done < ticket.flush)
		rc = err_set(err, -EIO, "journal %s: %s", j->dir, strerror(-j->failed));
	pthread_mutex_unlock(&j->lock);
	return rc;
}

bool journal_failed(struct journal *j)
{
	bool failed;

	pthread_mutex_lock(&j->lock);
	failed = j->failed != 0;
	pthread_mutex_unlock(&j->lock);
	return failed;
}

/* --- the flusher ------------------------------------------------------------------------------ */

static int write_whole(int fd, const char *buf, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Make segment `number`: its space, its head, and its name durable. -ENOSPC leaves nothing. */
static int segment_make(const struct journal *j, uint64_t number, int *out_fd)
{
	struct segment_head head = { .magic = SEGMENT_MAGIC, .number = number };
	char name[32];
	int fd, rc;

	segment_name(number, name);
	fd = openat(j->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	memcpy(head.producer, j->producer, sizeof head.producer);
	head.crc = (uint32_t)crc32(0, (const Bytef *)&head, offsetof(struct segment_head, crc));
	rc = -posix_fallocate(fd, 0, (off_t)j->options.segment_bytes);
	if (!rc)
		rc = write_whole(fd, (const char *)&head, sizeof head, 0);
	if (!rc && (fdatasync(fd) || fsync(j->dir_fd)))
		rc = -errno;
	if (rc) {
		unlinkat(j->dir_fd, name, 0);
		close(fd);
		return rc;
	}
	*out_fd = fd;
	return 0;
}

static int segment_list_add(struct journal *j, uint64_t number)
{
	struct segment *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	s->number = number;
	*j->segments_end = s;
	j->segments_end = &s->next;
	j->segment_count++;
	return 0;
}

/* Begin the next segment; with the lock held, given up for the disk's time. Without space the
 * journal is full until a later try finds some. */
static void segment_begin(struct journal *j)
{
	static const char *const reasons[] = { "the disk", "its bound" };
	uint64_t number = j->active + 1, one = 1;
	bool bound = (j->segment_count + 1) * j->options.segment_bytes > j->options.most_bytes;
	int fd = -1, rc = -ENOSPC;

	if (!bound) {
		pthread_mutex_unlock(&j->lock);
		rc = segment_make(j, number, &fd);
		pthread_mutex_lock(&j->lock);
	}
	if (!rc)
		rc = segment_list_add(j, number);
	if (rc && fd >= 0) {
		close(fd);
		fd = -1;
	}
	if (rc && !j->full)
		log_warn("journal: full, events are refused dir=%s reason=%s error=%s", j->dir,
			reasons[bound], strerror(-rc));
	if (!rc && j->full)
		log_info("journal: there is space again dir=%s", j->dir);
	if (j->active_fd >= 0)
		close(j->active_fd);
	/* Without a segment there is none of that number; all others are read to their end. */
	j->active_fd = fd;
	j->active = number;
	j->segment_used = j->synced = sizeof(struct segment_head);
	j->full = rc != 0;
	j->rolling = false;
	pthread_cond_broadcast(&j->room);
	if (write(j->ready_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_alarm("journal: eventfd: %s", strerror(errno));
}

/* Write and sync one batch; with the lock held, given up for the disk's time. */
static void flush_one(struct journal *j)
{
	struct batch batch = j->gathering;
	uint64_t flush = j->flush_gathering++, at = j->synced, one = 1;
	int rc;

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
	rc = write_whole(j->active_fd, batch.buf, batch.len, at);
	if (!rc && fdatasync(j->active_fd))
		rc = -errno;
	pthread_mutex_lock(&j->lock);
	if (rc) {
		j->failed = rc;
		log_error("journal: a write failed, nothing is taken any more dir=%s error=%s",
			j->dir, strerror(-rc));
		for (int i = 0; i < WAIT_GROUPS; i++)
			pthread_cond_broadcast(&j->group[i]);
		pthread_cond_broadcast(&j->room);
		return;
	}
	j->synced = at + batch.len;
	j->flush_done = flush;
	j->stats.flushes++;
	pthread_cond_broadcast(&j->group[flush % WAIT_GROUPS]);
	if (batch.closes && write(j->ready_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_alarm("journal: eventfd: %s", strerror(errno));
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

static void *flusher_main(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!j->failed) {
		int64_t next = j->full ? 0 : lanes_close_old(j, clock_mono_us());

		if (j->gathering.len || j->gathering.last_of_segment)
			flush_one(j);
		else if (j->stopping)
			break;
		else if (j->full) {
			wait_until(j, clock_mono_us() + FULL_RETRY_US);
			if (!j->stopping)
				segment_begin(j);
		} else
			wait_until(j, next);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

void journal_flush(struct journal *j)
{
	struct journal_ticket ticket;
	struct err err;

	pthread_mutex_lock(&j->lock);
	j->close_all = true;
	ticket.flush = 0;
	for (uint8_t i = 0; i < JOURNAL_LANES && !j->full && !j->failed; i++)
		lane_close(j, i);
	if (j->gathering.len)
		ticket.flush = j->flush_gathering;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	if (journal_wait(j, ticket, &err))
		log_error("journal: the last flush failed: %s", err.msg);
}

/* --- reading: the reader's thread --------------------------------------------------------------
 */

int journal_readable_fd(struct journal *j)
{
	return j->ready_fd;
}

/* Up to where the reader's segment may be read, and whether it has come to its end for good. */
static uint64_t reader_limit(struct journal *j, bool *sealed)
{
	uint64_t limit = UINT64_MAX;

	pthread_mutex_lock(&j->lock);
	*sealed = j->reader.segment != j->active;
	if (!*sealed)
		limit = j->synced;
	pthread_mutex_unlock(&j->lock);
	return limit;
}

static int reader_open(struct journal *j, uint64_t number, struct err *err)
{
	struct reader *r = &j->reader;
	struct segment_head head;
	char name[32];

	segment_name(number, name);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = openat(j->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return err_set(err, -errno, "journal %s/%s: %s", j->dir, name, strerror(errno));
	r->segment = number;
	r->at = r->len = 0;
	r->offset = sizeof head;
	r->leftover_lane = 0;
	if (pread(r->fd, &head, sizeof head, 0) != sizeof head || head.magic != SEGMENT_MAGIC ||
		head.number != number ||
		head.crc != (uint32_t)crc32(
				    0, (const Bytef *)&head, offsetof(struct segment_head, crc))) {
		log_error(
			"journal: a segment has no readable head, nothing of it is read file=%s/%s",
			j->dir, name);
		pthread_mutex_lock(&j->lock);
		j->stats.damaged++;
		pthread_mutex_unlock(&j->lock);
		r->offset = UINT64_MAX; /* its end */
		return 0;
	}
	memcpy(r->producer, head.producer, sizeof r->producer);
	return 0;
}

/* Have at least `need` bytes at buf[at], if the segment has them below limit. */
static bool reader_fill(struct reader *r, size_t need, uint64_t limit)
{
	if (r->len - r->at >= need)
		return r->offset + need <= limit;
	if (r->offset >= limit)
		return false;
	memmove(r->buf, r->buf + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	/* Never past the limit: what lies there now is not yet what will. */
	while (r->len < READ_BYTES && r->offset + r->len < limit) {
		uint64_t most = limit - r->offset - r->len;
		size_t want = READ_BYTES - r->len < most ? READ_BYTES - r->len : (size_t)most;
		ssize_t n = pread(r->fd, r->buf + r->len, want, (off_t)(r->offset + r->len));

		if (n <= 0)
			break;
		r->len += (size_t)n;
	}
	return r->len >= need && r->offset + need <= limit;
}

static void reader_skip(struct reader *r, size_t n)
{
	r->at += n;
	r->offset += n;
}

/* The frame at the reader's place: its size with padding, 0 when there is none that is whole. */
static size_t frame_at(struct reader *r, struct frame_head *head, uint64_t limit)
{
	size_t size;

	if (!reader_fill(r, sizeof *head, limit))
		return 0;
	memcpy(head, r->buf + r->at, sizeof *head);
	if (head->magic != FRAME_MAGIC || head->lane >= JOURNAL_LANES ||
		head->len > JOURNAL_ENTRY_MOST)
		return 0;
	size = padded(sizeof *head + head->len);
	if (!reader_fill(r, size, limit) ||
		head->crc != frame_crc(r->segment, head, r->buf + r->at + sizeof *head))
		return 0;
	return size;
}

/* Behind a frame that is not whole in a segment nobody writes any more: the next one that is. None:
 * the tail was torn (or is the unused rest), and was never promised. */
static bool reader_resync(struct journal *j, uint64_t limit)
{
	struct reader *r = &j->reader;
	uint64_t from = r->offset;
	struct frame_head head;

	for (; reader_fill(r, sizeof head, limit); reader_skip(r, 8))
		if (frame_at(r, &head, limit)) {
			log_error("journal: damage was passed over dir=%s segment=%016" PRIx64
				  " offset=%" PRIu64 " bytes=%" PRIu64,
				j->dir, r->segment, from, r->offset - from);
			pthread_mutex_lock(&j->lock);
			j->stats.damaged++;
			pthread_mutex_unlock(&j->lock);
			return true;
		}
	return false;
}

static int reader_keep(
	struct reader *r, const struct frame_head *head, const char *bytes, struct err *err)
{
	size_t need = r->lane[head->lane].len + sizeof head->len + head->len;

	if (need > r->lane[head->lane].size) {
		size_t size = need < 8192 ? 8192 : need * 2;
		char *grown = realloc(r->lane[head->lane].bytes, size);

		if (!grown)
			return err_set(err, -ENOMEM, "journal: no memory for a record");
		r->lane[head->lane].bytes = grown;
		r->lane[head->lane].size = size;
	}
	memcpy(r->lane[head->lane].bytes + r->lane[head->lane].len, &head->len, sizeof head->len);
	memcpy(r->lane[head->lane].bytes + r->lane[head->lane].len + sizeof head->len, bytes,
		head->len);
	r->lane[head->lane].len = need;
	r->lane[head->lane].count++;
	r->lane[head->lane].seq = head->seq;
	return 0;
}

/* The lane's gathered record as read, and the lane empty again. */
static int reader_give(struct journal *j, uint8_t lane, struct journal_record *record)
{
	struct reader *r = &j->reader;

	memcpy(record->producer, r->producer, sizeof record->producer);
	record->lane = lane;
	record->seq = r->lane[lane].seq;
	record->segment = r->segment;
	record->count = r->lane[lane].count;
	record->entries = (struct span){ r->lane[lane].bytes, r->lane[lane].len };
	r->lane[lane].count = 0;
	r->lane[lane].len = 0;
	pthread_mutex_lock(&j->lock);
	for (struct segment *s = j->segments; s; s = s->next)
		if (s->number == r->segment)
			s->unacked++;
	pthread_mutex_unlock(&j->lock);
	return 1;
}

/* Delete the segments at the head of the list that are read and done; never the active one. */
static void segments_tidy(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	while (j->segments && j->segments->number != j->active && j->segments->read_to_end &&
		!j->segments->unacked) {
		struct segment *s = j->segments;
		char name[32];

		segment_name(s->number, name);
		if (unlinkat(j->dir_fd, name, 0) && errno != ENOENT)
			log_error(
				"journal: cannot delete %s/%s: %s", j->dir, name, strerror(errno));
		j->segments = s->next;
		if (!j->segments)
			j->segments_end = &j->segments;
		j->segment_count--;
		free(s);
		if (j->full)
			pthread_cond_signal(&j->work);
	}
	pthread_mutex_unlock(&j->lock);
}

/* The segment has come to its end: what a dead owner left unclosed is closed by that. */
static int reader_leftover(struct journal *j, struct journal_record *record)
{
	struct reader *r = &j->reader;

	for (; r->leftover_lane < JOURNAL_LANES; r->leftover_lane++)
		if (r->lane[r->leftover_lane].count)
			return reader_give(j, (uint8_t)r->leftover_lane, record);
	return 0;
}

/* The number of the segment after the reader's, 0 when there is none. */
static uint64_t segment_after(struct journal *j, bool end_of_this)
{
	uint64_t number = 0;

	pthread_mutex_lock(&j->lock);
	for (struct segment *s = j->segments; s && !number; s = s->next) {
		if (s->number == j->reader.segment && end_of_this)
			s->read_to_end = true;
		if (s->number > j->reader.segment)
			number = s->number;
	}
	pthread_mutex_unlock(&j->lock);
	return number;
}

int journal_read(struct journal *j, struct journal_record *record, struct err *err)
{
	struct reader *r = &j->reader;
	struct frame_head head;

	for (;;) {
		bool sealed;
		uint64_t limit = reader_limit(j, &sealed), next;
		size_t size = r->segment ? frame_at(r, &head, limit) : 0;
		int rc;

		if (size) {
			struct span entry = { r->buf + r->at + sizeof head, head.len };
			bool other = r->lane[head.lane].count && r->lane[head.lane].seq != head.seq;

			if (other) /* its close was damaged: give it first, read this frame again */
				return reader_give(j, head.lane, record);
			rc = head.type == FRAME_ENTRY ? reader_keep(r, &head, entry.ptr, err) : 0;
			if (rc)
				return rc;
			reader_skip(r, size);
			if (head.type == FRAME_CLOSE && r->lane[head.lane].count)
				return reader_give(j, head.lane, record);
			continue;
		}
		if (r->segment && !sealed)
			return 0;
		if (r->segment && reader_resync(j, limit))
			continue;
		if (r->segment && reader_leftover(j, record))
			return 1;
		next = segment_after(j, true);
		segments_tidy(j);
		if (!next)
			return 0;
		rc = reader_open(j, next, err);
		if (rc)
			return rc;
	}
}

void journal_done(struct journal *j, uint64_t segment)
{
	pthread_mutex_lock(&j->lock);
	for (struct segment *s = j->segments; s; s = s->next)
		if (s->number == segment && s->unacked)
			s->unacked--;
	pthread_mutex_unlock(&j->lock);
	segments_tidy(j);
}

/* --- open and close ----------------------------------------------------------------------------
 */

static int folder_make(const char *path, struct err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(err, -errno, "journal %s: %s", path, strerror(errno));
	return 0;
}

/* Take the first folder of the parent whose lock is free, making one when all are taken. */
static int folder_take(struct journal *j, struct err *err)
{
	char path[4096];
	int rc = folder_make(j->options.parent, err);

	for (int n = 0; !rc && n < FOLDERS_MOST; n++) {
		snprintf(path, sizeof path, "%s/%d", j->options.parent, n);
		rc = folder_make(path, err);
		if (rc)
			break;
		j->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		j->lock_fd = j->dir_fd < 0 ? -1
					   : openat(j->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC,
						     0600);
		if (j->lock_fd < 0)
			return err_set(err, -errno, "journal %s: %s", path, strerror(errno));
		if (!flock(j->lock_fd, LOCK_EX | LOCK_NB)) {
			j->dir = strdup(path);
			return j->dir ? 0 : err_set(err, -ENOMEM, "journal %s", path);
		}
		close(j->lock_fd);
		close(j->dir_fd);
		j->lock_fd = j->dir_fd = -1;
	}
	return rc ? rc
		  : err_set(err, -EBUSY, "journal %s: all folders are taken", j->options.parent);
}

static int number_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The segments that earlier owners left, in order. */
static int segments_find(struct journal *j, struct err *err)
{
	uint64_t *numbers = NULL;
	size_t count = 0, size = 0;
	struct dirent *entry;
	DIR *dir = fdopendir(dup(j->dir_fd));
	int rc = 0;

	if (!dir)
		return err_set(err, -errno, "journal %s: %s", j->dir, strerror(errno));
	while (!rc && (entry = readdir(dir))) {
		uint64_t number;
		char end;

		if (strlen(entry->d_name) != 20 ||
			sscanf(entry->d_name, "%16" SCNx64 ".se%c", &number, &end) != 2 ||
			end != 'g')
			continue;
		if (count == size) {
			uint64_t *grown =
				realloc(numbers, (size = size ? 2 * size : 64) * sizeof *numbers);

			if (!grown) {
				rc = err_set(err, -ENOMEM, "journal %s", j->dir);
				break;
			}
			numbers = grown;
		}
		numbers[count++] = number;
	}
	closedir(dir);
	if (count)
		qsort(numbers, count, sizeof *numbers, number_order);
	for (size_t i = 0; i < count && !rc; i++) {
		rc = segment_list_add(j, numbers[i]);
		j->active = numbers[i];
	}
	free(numbers);
	return rc;
}

static void conds_init(struct journal *j)
{
	pthread_condattr_t mono;

	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, &mono);
	pthread_cond_init(&j->room, NULL);
	for (int i = 0; i < WAIT_GROUPS; i++)
		pthread_cond_init(&j->group[i], NULL);
	pthread_condattr_destroy(&mono);
}

int journal_open(struct journal **out, const struct journal_options *options, struct err *err)
{
	struct journal *j = calloc(1, sizeof *j);
	int rc;

	if (!j)
		return err_set(err, -ENOMEM, "journal %s", options->parent);
	j->options = *options;
	j->dir_fd = j->lock_fd = j->ready_fd = j->active_fd = j->reader.fd = -1;
	j->segments_end = &j->segments;
	j->flush_gathering = 1;
	conds_init(j);
	randombytes_buf(j->producer, sizeof j->producer);
	j->producer[6] = (unsigned char)(0x40 | (j->producer[6] & 0x0f)); /* RFC 4122, version 4 */
	j->producer[8] = (unsigned char)(0x80 | (j->producer[8] & 0x3f));
	j->gathering.buf = malloc(BATCH_BYTES + CLOSE_RESERVE);
	j->writing.buf = malloc(BATCH_BYTES + CLOSE_RESERVE);
	j->reader.buf = malloc(READ_BYTES);
	j->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = folder_take(j, err);
	if (!rc && (!j->gathering.buf || !j->writing.buf || !j->reader.buf || j->ready_fd < 0))
		rc = err_set(err, -ENOMEM, "journal %s", j->dir);
	if (!rc)
		rc = segments_find(j, err);
	if (!rc) {
		/* Without space for a segment the start still succeeds: what is there is delivered.
		 */
		pthread_mutex_lock(&j->lock);
		segment_begin(j);
		pthread_mutex_unlock(&j->lock);
		rc = -pthread_create(&j->flusher, NULL, flusher_main, j);
		j->flusher_runs = !rc;
		if (rc)
			err_set(err, rc, "journal %s: no thread", j->dir);
	}
	if (rc) {
		journal_close(&j);
		return rc;
	}
	*out = j;
	return 0;
}

void journal_close(struct journal **j_p)
{
	struct journal *j = *j_p;

	if (!j)
		return;
	if (j->flusher_runs) {
		journal_flush(j);
		pthread_mutex_lock(&j->lock);
		j->stopping = true;
		pthread_cond_signal(&j->work);
		pthread_mutex_unlock(&j->lock);
		pthread_join(j->flusher, NULL);
	}
	for (struct segment *s = j->segments, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	for (int i = 0; i < JOURNAL_LANES; i++)
		free(j->reader.lane[i].bytes);
	free(j->gathering.buf);
	free(j->writing.buf);
	free(j->reader.buf);
	free(j->dir);
	for (int i = 0; i < WAIT_GROUPS; i++)
		pthread_cond_destroy(&j->group[i]);
	pthread_cond_destroy(&j->room);
	pthread_cond_destroy(&j->work);
	pthread_mutex_destroy(&j->lock);
	const int fds[] = { j->reader.fd, j->active_fd, j->ready_fd, j->lock_fd, j->dir_fd };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(j);
	*j_p = NULL;
}

void journal_stats(struct journal *j, struct journal_stats *stats)
{
	pthread_mutex_lock(&j->lock);
	*stats = j->stats;
	stats->segments = j->segment_count;
	stats->bytes = j->segment_count * j->options.segment_bytes;
	stats->most_bytes = j->options.most_bytes;
	stats->full = j->full;
	pthread_mutex_unlock(&j->lock);
}
