/* Segment: the bytes of a journal's file. All numbers are little endian, as this machine's.
 *
 * A segment begins with its head, twice, in a block each, so that no single damaged block takes the
 * whole segment along. Frames follow from SEGMENT_FRAMES_AT, each padded to 8 bytes: a frame's
 * head, then its entry's bytes. A frame's checksum is CRC-32 of the rest of its head and its bytes,
 * seeded by the segment's number, so that what an earlier file left in the same place is never
 * taken for a frame of this one. */
#ifndef FOOTFALL_SEGMENT_H
#define FOOTFALL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_LANES      16
#define SEGMENT_BLOCK      4096
#define SEGMENT_FRAMES_AT  (2 * SEGMENT_BLOCK)
#define SEGMENT_ENTRY_MOST (64 << 10) /* bytes of one entry */
#define SEGMENT_NAME_SIZE  32

struct segment_head {
	uint64_t magic;
	uint64_t number;
	unsigned char producer[16];
	uint64_t first[SEGMENT_LANES]; /* each lane's first record here, if it gets one */
	/* This producer's segment before this one, 0 in its first, and the lanes' first records
	 * there: when that one cannot be read, its records are known by their numbers still. */
	uint64_t before;
	uint64_t first_before[SEGMENT_LANES];
	uint32_t crc; /* of the fields above */
	uint32_t unused;
};

enum frame_type { FRAME_ENTRY = 1, FRAME_CLOSE = 2 };

struct frame_head {
	uint32_t crc;
	uint32_t len; /* of the entry, without padding */
	uint64_t seq; /* of the record it belongs to */
	uint16_t magic;
	uint8_t type;
	uint8_t lane;
	uint32_t unused;
};

/* "%016x.seg" of a segment's number, and back; false: the name is of something else. */
void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE]);
bool segment_number(const char *name, uint64_t *number);

/* Fill in what is not the caller's (magic, checksum), and the first block's bytes. */
void segment_head_seal(struct segment_head *head, char block[SEGMENT_BLOCK]);

/* Read the head of the segment of that number from its file: 0, or -EBADMSG when neither copy is
 * whole or their blocks are bad; other errors (-ESTALE, -ENOMEM …) say nothing about it. */
int segment_head_read(struct segment_head *head, int fd, uint64_t number);

/* Bytes of a frame whose entry has len bytes, with its padding. */
static inline size_t frame_size(size_t len)
{
	return (sizeof(struct frame_head) + len + 7) & ~(size_t)7;
}

/* Write the frame (frame_size() bytes) to out; len, seq, type and lane are the caller's. */
void frame_seal(char *out, struct frame_head head, const char *entry, uint64_t segment);

/* Whether a head can be one, and whether it and its entry's bytes are what was written. */
bool frame_head_fits(const struct frame_head *head);
bool frame_holds(const struct frame_head *head, const char *entry, uint64_t segment);

#endif
