#include "lib/journal/reader.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

#define BUFFER_BYTES (256 << 10) /* more than two of the largest frames */

struct lane {
	/* The number that comes next, and below which number records are missing on disk: those
	 * are given empty. 0: not known. */
	uint64_t next, missing_below;
	uint64_t seq; /* of the record that gathers */
	uint32_t count;
	bool gathering, closed;
	char *bytes;
	size_t len, size;
};

struct reader {
	struct store *store;
	uint64_t segment; /* being read */
	int fd;
	bool readable;
	uint64_t before; /* the last segment that was read, 0: none */
	uint64_t hole;   /* the last one, if it could not be read */
	/* From this one on segments wait for what the next head tells of them: records that they
	 * lack are given as theirs, so that none leaves while it may have to tell again. 0: none.
	 */
	uint64_t held;
	int trouble;     /* -errno of a read that failed for another reason than a bad block */
	uint64_t offset; /* in the segment, of buf[at] */
	char *buf;
	size_t at, len;
	unsigned char producer[16];
	struct lane lane[SEGMENT_LANES];
	atomic_ullong damaged;
};

int reader_open(struct reader **out, struct store *store, struct err *err)
{
	struct reader *r = calloc(1, sizeof *r);

	if (!r)
		return err_set(err, -ENOMEM, "journal: no memory for a reader");
	r->store = store;
	r->fd = -1;
	r->buf = malloc(BUFFER_BYTES);
	if (!r->buf) {
		reader_close(&r);
		return err_set(err, -ENOMEM, "journal: no memory for a reader");
	}
	*out = r;
	return 0;
}

void reader_close(struct reader **r_p)
{
	struct reader *r = *r_p;

	if (!r)
		return;
	for (int i = 0; i < SEGMENT_LANES; i++)
		free(r->lane[i].bytes);
	if (r->fd >= 0)
		close(r->fd);
	free(r->buf);
	free(r);
	*r_p = NULL;
}

uint64_t reader_segment(const struct reader *r)
{
	return r->segment;
}

uint64_t reader_damaged(const struct reader *r)
{
	return atomic_load(&((struct reader *)(uintptr_t)r)->damaged);
}

static void note_damage(struct reader *r)
{
	atomic_fetch_add(&r->damaged, 1);
	store_damaged(r->store, r->segment);
}

/* --- segments --------------------------------------------------------------------------------- */

/* The lanes' numbers, as the head of the segment that begins tells them. Records are missing behind
 * a segment that was read and when the one before could not be; a segment that is not there had
 * been done, and its numbers are no gap. */
static void lanes_expect(struct reader *r, const struct segment_head *head)
{
	bool follows = r->before && r->before == head->before;
	bool behind_hole = r->hole && r->hole == head->before;
	bool same = r->before && !memcmp(r->producer, head->producer, sizeof r->producer);

	for (int i = 0; i < SEGMENT_LANES; i++) {
		struct lane *lane = &r->lane[i];

		lane->missing_below = head->first[i];
		if (behind_hole && !same)
			lane->next = head->first_before[i];
		else if (!behind_hole && !follows)
			lane->next = head->first[i];
	}
	memcpy(r->producer, head->producer, sizeof r->producer);
	r->before = head->number;
	r->hole = 0;
}

/* Begin to read a segment; one that cannot be read is a hole. -EMFILE and the like: later. */
static int segment_begin(struct reader *r, uint64_t number, struct err *err)
{
	struct segment_head head;
	char name[SEGMENT_NAME_SIZE];
	int fd, rc;

	segment_name(number, name);
	fd = openat(r->store->folder.fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT && errno != EIO)
		return err_set(err, -errno, "journal %s/%s: %s", r->store->folder.path, name,
			strerror(errno));
	/* What a killed owner had written and not synced may be read here, and sent: then it must
	 * stay, or the record would be another after a power cut. */
	rc = fd < 0 ? -errno : number != store_active(r->store) ? r->store->disk->sync(fd) : 0;
	if (fd >= 0 && rc && rc != -EIO) {
		close(fd);
		return err_set(
			err, rc, "journal %s/%s: %s", r->store->folder.path, name, strerror(-rc));
	}
	rc = fd < 0 ? -EBADMSG : segment_head_read(&head, fd, number);
	if (rc && rc != -EBADMSG) {
		close(fd);
		return err_set(
			err, rc, "journal %s/%s: %s", r->store->folder.path, name, strerror(-rc));
	}
	if (r->fd >= 0)
		close(r->fd);
	if (!r->held)
		r->held = r->segment;
	r->fd = fd;
	r->segment = number;
	r->at = r->len = 0;
	r->offset = SEGMENT_FRAMES_AT;
	r->readable = !rc;
	if (r->readable) {
		lanes_expect(r, &head);
	} else {
		log_error("journal: a segment has no readable head, nothing of it is read "
			  "file=%s/%s",
			r->store->folder.path, name);
		note_damage(r);
		r->hole = number;
	}
	return 0;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Have at least `need` bytes at buf[at], if the segment has them below limit. */
static bool fill(struct reader *r, size_t need, uint64_t limit)
{
	if (r->len - r->at >= need)
		return r->offset + need <= limit;
	if (r->offset >= limit)
		return false;
	memmove(r->buf, r->buf + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	/* Never past the limit: what lies there now is not yet what will. */
	while (r->len < BUFFER_BYTES && r->offset + r->len < limit) {
		uint64_t from = r->offset + r->len, most = limit - from;
		size_t want = BUFFER_BYTES - r->len < most ? BUFFER_BYTES - r->len : (size_t)most;
		ssize_t n = pread(r->fd, r->buf + r->len, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EIO) { /* says nothing about what lies there */
			r->trouble = -errno;
			return false;
		}
		if (n < 0) { /* a bad block takes nothing else along */
			size_t rest = SEGMENT_BLOCK - from % SEGMENT_BLOCK;

			n = (ssize_t)(want < rest ? want : rest);
			memset(r->buf + r->len, 0, (size_t)n);
		}
		if (!n)
			break;
		r->len += (size_t)n;
	}
	return r->len >= need && r->offset + need <= limit;
}

static void skip(struct reader *r, size_t n)
{
	r->at += n;
	r->offset += n;
}

/* The frame at the reader's place: its size with padding, 0 when there is none that is whole. */
static size_t frame_here(struct reader *r, struct frame_head *head, uint64_t limit)
{
	size_t size;

	if (!r->readable || !fill(r, sizeof *head, limit))
		return 0;
	memcpy(head, r->buf + r->at, sizeof *head);
	if (!frame_head_fits(head))
		return 0;
	size = frame_size(head->len);
	if (!fill(r, size, limit) || !frame_holds(head, r->buf + r->at + sizeof *head, r->segment))
		return 0;
	return size;
}

/* Where no whole frame is and one must be, or the file ends: go to the next one that is whole.
 * None: the tail was torn (or is the unused rest), and was never promised. */
static bool resync(struct reader *r, uint64_t limit)
{
	uint64_t from = r->offset;
	struct frame_head head;

	for (; r->readable && fill(r, sizeof head, limit); skip(r, 8))
		if (frame_here(r, &head, limit)) {
			log_error("journal: damage was passed over dir=%s segment=%016" PRIx64
				  " offset=%" PRIu64 " bytes=%" PRIu64,
				r->store->folder.path, r->segment, from, r->offset - from);
			note_damage(r);
			return true;
		}
	return false;
}

/* --- records ---------------------------------------------------------------------------------- */

static void lane_close(struct lane *lane)
{
	lane->closed = true;
	if (!lane->next)
		lane->next = lane->seq;
	if (lane->seq > lane->next)
		lane->missing_below = lane->seq;
}

static void lane_open(struct lane *lane, uint64_t seq)
{
	lane->gathering = true;
	lane->closed = false;
	lane->seq = seq;
	lane->count = 0;
	lane->len = 0;
}

static int lane_keep(struct lane *lane, const struct frame_head *head, const char *entry)
{
	size_t need = (lane->gathering ? lane->len : 0) + sizeof head->len + head->len;

	if (need > lane->size) {
		size_t size = need < 8192 ? 8192 : need * 2;
		char *grown = realloc(lane->bytes, size);

		if (!grown)
			return -ENOMEM;
		lane->bytes = grown;
		lane->size = size;
	}
	if (!lane->gathering)
		lane_open(lane, head->seq);
	memcpy(lane->bytes + lane->len, &head->len, sizeof head->len);
	memcpy(lane->bytes + lane->len + sizeof head->len, entry, head->len);
	lane->len = need;
	lane->count++;
	return 0;
}

/* Take in the frame at the reader's place, or close its lane's record and leave it for later. */
static int frame_take(struct reader *r, const struct frame_head *head, size_t size, struct err *err)
{
	struct lane *lane = &r->lane[head->lane];

	if (lane->gathering && lane->seq != head->seq) { /* its close was damaged */
		lane_close(lane);
		return 0;
	}
	if (head->type == FRAME_ENTRY && lane_keep(lane, head, r->buf + r->at + sizeof *head))
		return err_set(err, -ENOMEM, "journal: no memory for a record");
	if (head->type == FRAME_CLOSE) {
		if (!lane->gathering)
			lane_open(lane, head->seq);
		lane_close(lane);
	}
	skip(r, size);
	return 0;
}

static int give(
	struct reader *r, int number, uint64_t seq, bool empty, struct journal_record *record)
{
	struct lane *lane = &r->lane[number];

	memcpy(record->producer, r->producer, sizeof record->producer);
	record->lane = (uint8_t)number;
	record->seq = seq;
	record->segment = r->held ? r->held : r->segment;
	record->count = empty ? 0 : lane->count;
	record->entries = (struct span){ lane->bytes, empty ? 0 : lane->len };
	if (seq >= lane->next)
		lane->next = seq + 1;
	store_read(r->store, record->segment, r->producer, record->lane, seq);
	return 1;
}

/* What is ready: first the numbers that are missing, then the record behind them. */
static int give_ready(struct reader *r, struct journal_record *record)
{
	for (int i = 0; i < SEGMENT_LANES; i++) {
		struct lane *lane = &r->lane[i];

		if (lane->next && lane->next < lane->missing_below)
			return give(r, i, lane->next, true, record);
		if (lane->closed) {
			lane->closed = lane->gathering = false;
			return give(r, i, lane->seq, false, record);
		}
	}
	return 0;
}

/* The segment has come to its end: what a dead owner left unclosed is closed by that. */
static bool close_left(struct reader *r)
{
	bool any = false;

	for (int i = 0; i < SEGMENT_LANES; i++)
		if (r->lane[i].gathering) {
			lane_close(&r->lane[i]);
			any = true;
		}
	return any;
}

int reader_next(struct reader *r, uint64_t limit, bool sealed, struct journal_record *record,
	struct err *err)
{
	struct frame_head head;
	size_t size;
	uint64_t next;

	if (give_ready(r, record))
		return 1;
	if (r->held && r->readable) {
		store_read_to_end(r->store, r->segment - 1);
		r->held = 0;
	}
	while (r->segment) {
		r->trouble = 0;
		size = frame_here(r, &head, limit);
		if (r->trouble)
			return err_set(err, r->trouble, "journal %s: segment %016" PRIx64 ": %s",
				r->store->folder.path, r->segment, strerror(-r->trouble));
		if (size) {
			int rc = frame_take(r, &head, size, err);

			if (rc)
				return rc;
			if (give_ready(r, record))
				return 1;
		} else if (!sealed && r->offset >= limit) {
			return 0;
		} else if (!resync(r, limit)) {
			if (!r->trouble)
				break;
		}
	}
	if (r->segment && !sealed)
		return 0;
	if (r->segment && close_left(r))
		return give_ready(r, record);
	next = store_after(r->store, r->segment);
	if (!next) {
		store_read_to_end(r->store, r->segment);
		r->held = 0;
		return 0;
	}
	return segment_begin(r, next, err);
}
