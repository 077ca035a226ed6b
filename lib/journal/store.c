#include "lib/journal/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

static int list_add(struct store *s, uint64_t number)
{
	struct store_segment *segment = calloc(1, sizeof *segment);

	if (!segment)
		return -ENOMEM;
	segment->summary.number = number;
	segment->summary.bytes = s->segment_bytes;
	*s->end = segment;
	s->end = &segment->next;
	s->count++;
	return 0;
}

int store_open(struct store *s, struct folder *folder, const struct disk *disk,
	struct archive *archive, uint64_t segment_bytes, struct err *err)
{
	uint64_t *numbers;
	size_t count;
	int rc;

	*s = (struct store){
		.disk = disk, .folder = *folder, .archive = archive, .segment_bytes = segment_bytes
	};
	*folder = FOLDER_NONE;
	s->end = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	rc = folder_segments(&s->folder, &numbers, &count, err);
	for (size_t i = 0; !rc && i < count; i++)
		if (list_add(s, numbers[i]))
			rc = err_set(err, -ENOMEM, "journal %s", s->folder.path);
	if (!rc)
		free(numbers);
	return rc;
}

void store_clear(struct store *s)
{
	for (struct store_segment *segment = s->first, *next; segment; segment = next) {
		next = segment->next;
		free(segment);
	}
	folder_release(&s->folder);
	pthread_mutex_destroy(&s->lock);
}

int store_add(struct store *s, uint64_t made)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (made)
		rc = list_add(s, made);
	if (!rc)
		s->active = made;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

uint64_t store_after(struct store *s, uint64_t number)
{
	uint64_t after = 0;

	pthread_mutex_lock(&s->lock);
	for (struct store_segment *i = s->first; i && !after; i = i->next)
		if (i->summary.number > number)
			after = i->summary.number;
	pthread_mutex_unlock(&s->lock);
	return after;
}

/* With the lock held. */
static struct store_segment *find(struct store *s, uint64_t number)
{
	struct store_segment *i = s->first;

	while (i && i->summary.number != number)
		i = i->next;
	return i;
}

void store_read(struct store *s, uint64_t segment, const unsigned char producer[16], uint8_t lane,
	uint64_t seq)
{
	struct store_segment *i;

	pthread_mutex_lock(&s->lock);
	i = find(s, segment);
	if (i) {
		struct archive_summary *summary = &i->summary;

		i->unacknowledged++;
		memcpy(summary->producer, producer, sizeof summary->producer);
		if (!summary->first[lane])
			summary->first[lane] = seq;
		summary->last[lane] = seq;
	}
	pthread_mutex_unlock(&s->lock);
}

void store_acknowledged(struct store *s, uint64_t segment)
{
	struct store_segment *i;

	pthread_mutex_lock(&s->lock);
	i = find(s, segment);
	if (i && i->unacknowledged)
		i->unacknowledged--;
	pthread_mutex_unlock(&s->lock);
}

void store_read_to_end(struct store *s, uint64_t segment)
{
	pthread_mutex_lock(&s->lock);
	for (struct store_segment *i = s->first; i && i->summary.number <= segment; i = i->next)
		i->read_to_end = true;
	pthread_mutex_unlock(&s->lock);
}

void store_damaged(struct store *s, uint64_t segment)
{
	struct store_segment *i;

	pthread_mutex_lock(&s->lock);
	i = find(s, segment);
	if (i)
		i->damaged = true;
	pthread_mutex_unlock(&s->lock);
}

static bool has_records(const struct archive_summary *summary)
{
	for (int lane = 0; lane < SEGMENT_LANES; lane++)
		if (summary->last[lane])
			return true;
	return false;
}

static void archive_copy(struct store *s, const struct store_segment *segment, const char *name)
{
	int fd = openat(s->folder.fd, name, O_RDONLY | O_CLOEXEC), rc;
	struct err err;

	if (fd < 0)
		return; /* somebody has deleted it; nothing can be kept */
	rc = archive_store(s->archive, &segment->summary, fd, &err);
	if (rc == -ENOSPC && archive_give_way(s->archive))
		rc = archive_store(s->archive, &segment->summary, fd, &err);
	if (rc)
		log_warn("journal: a delivered segment is not archived: %s", err.msg);
	close(fd);
}

/* Copy to the archive, then delete. */
static void segment_leave(struct store *s, const struct store_segment *segment)
{
	char name[SEGMENT_NAME_SIZE];
	struct err err;
	int rc;

	segment_name(segment->summary.number, name);
	if (archive_keeps(s->archive) && has_records(&segment->summary))
		archive_copy(s, segment, name);
	if (segment->damaged) {
		rc = archive_set_aside(s->archive, &segment->summary, s->folder.fd, name, &err);
		if (!rc)
			return;
		log_error("journal: a damaged segment cannot be set aside: %s", err.msg);
	}
	rc = s->disk->remove(s->folder.fd, name);
	if (rc && rc != -ENOENT)
		log_error("journal: cannot delete %s/%s: %s", s->folder.path, name, strerror(-rc));
}

/* Take the first segment out of the list if it is done. */
static struct store_segment *take_done(struct store *s)
{
	struct store_segment *segment;

	pthread_mutex_lock(&s->lock);
	segment = s->first;
	if (segment && segment->summary.number != s->active && segment->read_to_end &&
		!segment->unacknowledged) {
		s->first = segment->next;
		if (!s->first)
			s->end = &s->first;
	} else {
		segment = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return segment;
}

unsigned store_tidy(struct store *s)
{
	struct store_segment *segment;
	unsigned left = 0;

	for (; (segment = take_done(s)); left++) {
		segment_leave(s, segment);
		free(segment);
		/* Only now: its space counts until it is free. */
		pthread_mutex_lock(&s->lock);
		s->count--;
		pthread_mutex_unlock(&s->lock);
	}
	return left;
}

uint64_t store_count(struct store *s)
{
	uint64_t count;

	pthread_mutex_lock(&s->lock);
	count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

uint64_t store_active(struct store *s)
{
	uint64_t active;

	pthread_mutex_lock(&s->lock);
	active = s->active;
	pthread_mutex_unlock(&s->lock);
	return active;
}
