#include "lib/journal/sift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/journal/segment.h"

#define BUFFER_BYTES (256 << 10) /* more than two of the largest frames */

struct sift {
	int from;
	FILE *to;
	uint64_t number, offset; /* of what is read next */
	char *buf;
	size_t at, len;
	int trouble; /* -errno of a read */
	struct {
		uint64_t seq; /* of the record that was read last */
		bool lacks;   /* an entry, and has not been closed */
	} lane[SEGMENT_LANES];
	struct sifted sifted;
};

/* Have at least `need` bytes at buf[at], if the file has them. */
static bool fill(struct sift *s, size_t need)
{
	if (s->len - s->at >= need)
		return true;
	memmove(s->buf, s->buf + s->at, s->len - s->at);
	s->len -= s->at;
	s->at = 0;
	while (s->len < BUFFER_BYTES) {
		ssize_t n =
			pread(s->from, s->buf + s->len, BUFFER_BYTES - s->len, (off_t)s->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			s->trouble = -errno;
		if (n <= 0)
			break;
		s->len += (size_t)n;
		s->offset += (uint64_t)n;
	}
	return !s->trouble && s->len >= need;
}

/* The size of the frame at the place, 0 when there is none that is whole. */
static size_t frame_here(struct sift *s, struct frame_head *head)
{
	size_t size;

	memcpy(head, s->buf + s->at, sizeof *head);
	if (!frame_head_fits(head))
		return 0;
	size = frame_size(head->len);
	return fill(s, size) && frame_holds(head, s->buf + s->at + sizeof *head, s->number) ? size
											    : 0;
}

/* A record that lacks an entry ends by itself: without its last ones nothing else might say that it
 * was there. */
static void record_close(struct sift *s, int lane)
{
	const struct frame_head head = {
		.seq = s->lane[lane].seq, .type = FRAME_CLOSE, .lane = (uint8_t)lane
	};
	char frame[sizeof head + 8];

	if (s->lane[lane].lacks) {
		frame_seal(frame, head, "", s->number);
		fwrite(frame, 1, frame_size(0), s->to);
	}
	s->lane[lane].lacks = false;
}

static void frame_take(
	struct sift *s, const struct frame_head *head, size_t size, sift_keeps *keeps, void *who)
{
	const char *frame = s->buf + s->at;

	if (s->lane[head->lane].seq != head->seq)
		record_close(s, head->lane);
	s->lane[head->lane].seq = head->seq;
	if (head->type == FRAME_ENTRY &&
		!keeps(who, (struct span){ frame + sizeof *head, head->len })) {
		s->lane[head->lane].lacks = true;
		s->sifted.entries++;
		return;
	}
	if (head->type == FRAME_CLOSE)
		s->lane[head->lane].lacks = false;
	fwrite(frame, 1, size, s->to);
}

static void frames_take(struct sift *s, sift_keeps *keeps, void *who)
{
	struct frame_head head;

	while (fill(s, sizeof head)) {
		size_t size = frame_here(s, &head);

		if (size)
			frame_take(s, &head, size, keeps, who);
		else if (memcmp(s->buf + s->at, (const char[8]){ 0 }, 8) != 0)
			s->sifted.unreadable += 8;
		s->at += size ? size : 8;
	}
	for (int lane = 0; lane < SEGMENT_LANES; lane++)
		record_close(s, lane);
}

int segment_sift(int from_fd, int to_fd, uint64_t number, sift_keeps *keeps, void *who,
	struct sifted *sifted)
{
	struct sift s = { .from = from_fd, .number = number, .buf = malloc(BUFFER_BYTES) };
	int fd = dup(to_fd), rc = 0;

	s.to = fd < 0 ? NULL : fdopen(fd, "we");
	if (!s.buf || !s.to)
		rc = -ENOMEM;
	if (!rc && fill(&s, SEGMENT_FRAMES_AT)) {
		fwrite(s.buf, 1, SEGMENT_FRAMES_AT, s.to);
		s.at = SEGMENT_FRAMES_AT;
		frames_take(&s, keeps, who);
	}
	if (!rc)
		rc = s.trouble;
	if (!rc && (fflush(s.to) || ferror(s.to) || ftruncate(to_fd, (off_t)s.offset)))
		rc = errno ? -errno : -EIO;
	if (s.to)
		fclose(s.to);
	else if (fd >= 0)
		close(fd);
	free(s.buf);
	*sifted = s.sifted;
	return rc;
}
