#include "lib/journal/segment.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define SEGMENT_MAGIC 0x324c4e4a46544f46ULL /* "FOTFJNL2" */
#define FRAME_MAGIC   0x464a                /* lets a reader find its feet behind damage */

static_assert(sizeof(struct segment_head) == 304 && sizeof(struct frame_head) == 24,
	"what lies on disk has no padding of the compiler's");

void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE])
{
	snprintf(name, SEGMENT_NAME_SIZE, "%016" PRIx64 ".seg", number);
}

bool segment_number(const char *name, uint64_t *number)
{
	char own[SEGMENT_NAME_SIZE];

	if (sscanf(name, "%16" SCNx64, number) != 1)
		return false;
	segment_name(*number, own);
	return !strcmp(name, own);
}

static uint32_t head_crc(const struct segment_head *head)
{
	return (uint32_t)crc32(0, (const Bytef *)head, (uInt)offsetof(struct segment_head, crc));
}

void segment_head_seal(struct segment_head *head, char block[SEGMENT_BLOCK])
{
	head->magic = SEGMENT_MAGIC;
	head->unused = 0;
	head->crc = head_crc(head);
	memset(block, 0, SEGMENT_BLOCK);
	memcpy(block, head, sizeof *head);
}

int segment_head_read(struct segment_head *head, int fd, uint64_t number)
{
	for (int copy = 0; copy < 2; copy++) {
		ssize_t n = pread(fd, head, sizeof *head, copy * SEGMENT_BLOCK);

		if (n < 0 && errno != EIO)
			return -errno;
		if (n == sizeof *head && head->magic == SEGMENT_MAGIC && head->number == number &&
			head->crc == head_crc(head))
			return 0;
	}
	return -EBADMSG;
}

static uint32_t frame_crc(uint64_t segment, const struct frame_head *head, const char *entry)
{
	uLong crc = crc32(0, (const Bytef *)&segment, sizeof segment);

	crc = crc32(crc, (const Bytef *)head + sizeof head->crc, sizeof *head - sizeof head->crc);
	return (uint32_t)crc32(crc, (const Bytef *)entry, head->len);
}

void frame_seal(char *out, struct frame_head head, const char *entry, uint64_t segment)
{
	size_t used = sizeof head + head.len;

	head.magic = FRAME_MAGIC;
	head.unused = 0;
	head.crc = frame_crc(segment, &head, entry);
	memcpy(out, &head, sizeof head);
	if (head.len)
		memcpy(out + sizeof head, entry, head.len);
	memset(out + used, 0, frame_size(head.len) - used);
}

bool frame_head_fits(const struct frame_head *head)
{
	return head->magic == FRAME_MAGIC && head->lane < SEGMENT_LANES &&
	       head->len <= SEGMENT_ENTRY_MOST && head->seq && head->seq <= INT64_MAX &&
	       (head->type == FRAME_ENTRY ? head->len > 0
					  : head->type == FRAME_CLOSE && !head->len);
}

bool frame_holds(const struct frame_head *head, const char *entry, uint64_t segment)
{
	return head->crc == frame_crc(segment, head, entry);
}
