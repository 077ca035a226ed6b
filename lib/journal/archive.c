#include "lib/journal/archive.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/stop.h"

#define SKIPPABLE_MAGIC  0x184d2a5fU /* RFC 8878: 0x184d2a50 to 0x184d2a5f */
#define CHUNK            (64 << 10)
#define LEVEL            1  /* events are small JSON-like bytes: to a third, and fast */
#define WINDOW_LOG       19 /* 512 KiB: what compressing needs in memory stays under 2 MiB */
#define DAMAGED_LEAST_US (3 * 86400 * US_PER_SECOND)
#define NAME_SIZE        80

/* A damaged file from which nothing has to go; it has no place to say so. */
struct clean {
	ino_t inode;
	struct timespec changed; /* st_ctim: no other file has had both */
};

struct archive {
	char *path;
	int fd; /* of the folder; -1: there is none */
	int64_t keep_us;
	struct clean *clean; /* as of clean_number; a handful, as damage is rare */
	size_t clean_count;
	uint64_t clean_number;
};

struct head {
	uint32_t magic, len; /* len: of what follows */
	struct archive_summary summary;
	uint64_t sifted; /* older files are without */
};

#define HEAD_LEN       (sizeof(struct head) - 8)
#define HEAD_LEN_OLDER sizeof(struct archive_summary)

static_assert(sizeof(struct head) == 8 + 8 + 16 + 256 + 8 + 8, "no padding on disk");

struct file {
	char name[NAME_SIZE];
	int64_t changed_us;
	uint64_t bytes;
};

int archive_open(struct archive **out, const char *parent, int64_t keep_days, struct err *err)
{
	struct archive *a = calloc(1, sizeof *a);
	int rc = 0;

	if (!a || asprintf(&a->path, "%s/archive", parent) < 0) {
		free(a);
		return err_set(err, -ENOMEM, "archive of %s", parent);
	}
	a->keep_us = keep_days * 86400 * US_PER_SECOND;
	if (keep_days >= 0 && mkdir(a->path, 0700) && errno != EEXIST)
		rc = -errno;
	a->fd = rc ? -1 : open(a->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && a->fd < 0 && (errno != ENOENT || keep_days >= 0))
		rc = -errno;
	if (rc) {
		err_set(err, rc, "archive %s: %s", a->path, strerror(-rc));
		archive_close(&a);
		return rc;
	}
	*out = a;
	return 0;
}

void archive_close(struct archive **a_p)
{
	struct archive *a = *a_p;

	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a->clean);
	free(a->path);
	free(a);
	*a_p = NULL;
}

bool archive_keeps(const struct archive *a)
{
	return a->keep_us > 0;
}

static void file_name(const struct archive_summary *s, const char *suffix, char name[NAME_SIZE])
{
	char producer[33];

	sodium_bin2hex(producer, sizeof producer, s->producer, sizeof s->producer);
	snprintf(name, NAME_SIZE, "%s-%016" PRIx64 "%s", producer, s->number, suffix);
}

/* --- storing ---------------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Compress from_fd, from its beginning, to to_fd. */
static int compress_file(ZSTD_CCtx *z, char *in, char *out, int from_fd, int to_fd)
{
	size_t left = 1;
	off_t offset = 0;

	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, WINDOW_LOG);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	for (ssize_t n = 1; n > 0 || left;) {
		ZSTD_inBuffer input = { in, 0, 0 };

		n = pread(from_fd, in, CHUNK, offset);
		if (n < 0)
			return -errno;
		input.size = (size_t)n;
		offset += n;
		do {
			ZSTD_outBuffer output = { out, CHUNK, 0 };
			int rc;

			left = ZSTD_compressStream2(
				z, &output, &input, n ? ZSTD_e_continue : ZSTD_e_end);
			if (ZSTD_isError(left))
				return -ENOMEM;
			rc = write_all(to_fd, out, output.pos);
			if (rc)
				return rc;
		} while (input.pos < input.size || (!n && left));
	}
	return 0;
}

static int store_bytes(
	int to_fd, const struct archive_summary *summary, uint64_t sifted, int segment_fd)
{
	const struct head head = { SKIPPABLE_MAGIC, HEAD_LEN, *summary, sifted };
	ZSTD_CCtx *z = ZSTD_createCCtx();
	char *buf = malloc(2 * CHUNK);
	int rc = z && buf ? write_all(to_fd, &head, sizeof head) : -ENOMEM;

	if (!rc)
		rc = compress_file(z, buf, buf + CHUNK, segment_fd, to_fd);
	/* The segment is deleted after this: the copy must be there first. */
	if (!rc && fdatasync(to_fd))
		rc = -errno;
	ZSTD_freeCCtx(z);
	free(buf);
	return rc;
}

int archive_store(
	struct archive *a, const struct archive_summary *summary, int segment_fd, struct err *err)
{
	char name[NAME_SIZE], making[NAME_SIZE];
	int fd, rc;

	file_name(summary, ".zst", name);
	if (!faccessat(a->fd, name, F_OK, 0))
		return 0;
	file_name(summary, ".new", making);
	unlinkat(a->fd, making, 0); /* of one that was killed here */
	fd = openat(a->fd, making, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : store_bytes(fd, summary, 0, segment_fd);
	if (!rc && (renameat(a->fd, making, a->fd, name) || fsync(a->fd)))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc) {
		unlinkat(a->fd, making, 0);
		return err_set(err, rc, "archive %s/%s: %s", a->path, name, strerror(-rc));
	}
	return 0;
}

int archive_set_aside(struct archive *a, const struct archive_summary *summary, int dir_fd,
	const char *segment, struct err *err)
{
	char name[NAME_SIZE];

	/* Without a head there is no producer: several folders' may have one name. */
	for (int copy = 1; copy < 10; copy++) {
		char suffix[20];

		snprintf(suffix, sizeof suffix, copy > 1 ? "-%d.damaged" : ".damaged", copy);
		file_name(summary, suffix, name);
		if (!renameat2(dir_fd, segment, a->fd, name, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			break;
	}
	if (renameat(dir_fd, segment, a->fd, name))
		return err_set(err, -errno, "archive %s/%s: %s", a->path, name, strerror(errno));
	return 0;
}

/* --- what is there ---------------------------------------------------------------------------- */

static int age_order(const void *x, const void *y)
{
	const struct file *a = x, *b = y;

	if (a->changed_us != b->changed_us)
		return a->changed_us < b->changed_us ? -1 : 1;
	return strcmp(a->name, b->name);
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), tail = strlen(suffix);

	return len > tail && !strcmp(name + len - tail, suffix);
}

/* All files, oldest first; yours. What cannot be looked at counts as not there. */
static size_t files_find(struct archive *a, struct file **files)
{
	int fd = a->fd < 0 ? -1 : openat(a->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t count = 0, size = 0;

	*files = NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= NAME_SIZE ||
			fstatat(a->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			!S_ISREG(st.st_mode))
			continue;
		if (count == size) {
			struct file *grown =
				realloc(*files, (size = size ? 2 * size : 64) * sizeof *grown);

			if (!grown)
				break;
			*files = grown;
		}
		memcpy((*files)[count].name, entry->d_name, strlen(entry->d_name) + 1);
		(*files)[count].changed_us =
			st.st_mtim.tv_sec * US_PER_SECOND + st.st_mtim.tv_nsec / 1000;
		(*files)[count++].bytes = (uint64_t)st.st_blocks * 512;
	}
	closedir(dir);
	if (count)
		qsort(*files, count, sizeof **files, age_order);
	return count;
}

/* Whether it is one of ours to delete, not one that another ingress is making. */
static bool is_stored(const struct file *f)
{
	return ends_with(f->name, ".zst") || ends_with(f->name, ".damaged");
}

bool archive_give_way(struct archive *a)
{
	struct file *files;
	size_t count = files_find(a, &files), i = 0;
	bool gone = false;

	for (; i < count && !gone; i++)
		gone = is_stored(&files[i]) && !unlinkat(a->fd, files[i].name, 0);
	if (gone)
		log_warn("archive: gave way to new events file=%s/%s", a->path, files[i - 1].name);
	free(files);
	return gone;
}

void archive_expire(struct archive *a)
{
	int64_t now = clock_now_us();
	struct file *files;
	size_t count = files_find(a, &files);

	for (size_t i = 0; i < count; i++) {
		int64_t keep = a->keep_us;

		if (!ends_with(files[i].name, ".zst") && keep < DAMAGED_LEAST_US)
			keep = DAMAGED_LEAST_US;
		if (files[i].changed_us < now - keep)
			unlinkat(a->fd, files[i].name, 0);
	}
	free(files);
}

uint64_t archive_bytes(struct archive *a)
{
	struct file *files;
	uint64_t bytes = 0;
	size_t count = files_find(a, &files);

	for (size_t i = 0; i < count; i++)
		bytes += files[i].bytes;
	free(files);
	return bytes;
}

/* --- reading again ---------------------------------------------------------------------------- */

/* -EBADMSG: there is none, or not one of ours; other errors say nothing about the file. */
static int head_read(int fd, struct head *head)
{
	ssize_t n = pread(fd, head, sizeof *head, 0);

	if (n < 0)
		return -errno;
	if (n < (ssize_t)(8 + HEAD_LEN_OLDER) || head->magic != SKIPPABLE_MAGIC)
		return -EBADMSG;
	if (head->len == HEAD_LEN_OLDER)
		head->sifted = 0;
	return head->len == HEAD_LEN_OLDER || (head->len == HEAD_LEN && n == sizeof *head)
		       ? 0
		       : -EBADMSG;
}

int archive_list(struct archive *a, struct archive_summary **list, size_t *count, struct err *err)
{
	struct file *files;
	size_t n;

	*count = 0;
	n = files_find(a, &files);
	*list = calloc(n + 1, sizeof **list);
	for (size_t i = 0; *list && i < n; i++) {
		struct head head;
		int fd;

		if (!ends_with(files[i].name, ".zst"))
			continue;
		fd = openat(a->fd, files[i].name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && !head_read(fd, &head))
			(*list)[(*count)++] = head.summary;
		else
			log_warn("archive: a file cannot be read file=%s/%s", a->path,
				files[i].name);
		if (fd >= 0)
			close(fd);
	}
	free(files);
	return *list ? 0 : err_set(err, -ENOMEM, "archive %s", a->path);
}

/* -EBADMSG: it is damaged, and to_fd has what could be read. */
static int decompress_file(ZSTD_DCtx *z, char *in, char *out, int from_fd, int to_fd)
{
	struct head head;
	size_t left = 1;
	off_t offset;
	int damaged = head_read(from_fd, &head);

	if (damaged && damaged != -EBADMSG)
		return damaged;
	offset = damaged ? 0 : 8 + head.len; /* zstd passes over a head that we do not know */

	for (;;) {
		ssize_t n = pread(from_fd, in, CHUNK, offset);
		ZSTD_inBuffer input = { in, n < 0 ? 0 : (size_t)n, 0 };

		if (n < 0)
			return -errno;
		if (!n)
			return left ? -EBADMSG : damaged;
		offset += n;
		while (input.pos < input.size) {
			ZSTD_outBuffer output = { out, CHUNK, 0 };
			int rc;

			left = ZSTD_decompressStream(z, &output, &input);
			if (ZSTD_isError(left))
				return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation
					       ? -ENOMEM
					       : -EBADMSG;
			rc = write_all(to_fd, out, output.pos);
			if (rc)
				return rc;
		}
	}
}

static int extract(int from_fd, int to_fd)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	char *buf = malloc(2 * CHUNK);
	int rc = z && buf ? decompress_file(z, buf, buf + CHUNK, from_fd, to_fd) : -ENOMEM;

	ZSTD_freeDCtx(z);
	free(buf);
	return rc;
}

int archive_extract(
	struct archive *a, const struct archive_summary *summary, int to_fd, struct err *err)
{
	char name[NAME_SIZE];
	int fd, rc;

	file_name(summary, ".zst", name);
	fd = openat(a->fd, name, O_RDONLY | O_CLOEXEC);
	rc = fd < 0 ? -errno : extract(fd, to_fd);
	if (!rc && fdatasync(to_fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc ? err_set(err, rc, "archive %s/%s: %s", a->path, name, strerror(-rc)) : 0;
}

/* --- sifting ---------------------------------------------------------------------------------- */

/* For file systems without O_TMPFILE (NFS). */
static int scratch_unlinked(const struct archive *a)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/scratch-XXXXXX", a->path);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/* A file without a name, that goes when it is closed. */
static int scratch(const struct archive *a)
{
	int fd = openat(a->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ? scratch_unlinked(a)
									 : -errno;
}

/* Give the file's name to another, as old as it is. */
static int replace(const struct archive *a, const char *name, const char *with, int with_fd,
	const struct stat *was)
{
	const struct timespec times[2] = { was->st_atim, was->st_mtim };

	if (futimens(with_fd, times) || fdatasync(with_fd) ||
		fchown(with_fd, was->st_uid, was->st_gid) || renameat(a->fd, with, a->fd, name) ||
		fsync(a->fd))
		return -errno;
	return 0;
}

/* Write what was sifted of the file under a name, compressed under its head, or, without one, as it
 * is. */
static int sifted_store(const struct archive *a, const char *name, const char *as,
	const struct head *head, int sifted_fd, const struct stat *was)
{
	char making[NAME_SIZE + 8];
	struct stat sifted;
	int fd, rc;

	snprintf(making, sizeof making, "%s.sifted", name);
	unlinkat(a->fd, making, 0); /* of one that was killed here */
	fd = openat(a->fd, making, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (head) {
		rc = store_bytes(fd, &head->summary, head->sifted, sifted_fd);
	} else {
		rc = !fstat(sifted_fd, &sifted) && sendfile(fd, sifted_fd, &(off_t){ 0 },
							   (size_t)sifted.st_size) == sifted.st_size
			     ? 0
			     : -EIO;
	}
	if (!rc)
		rc = replace(a, as, making, fd, was);
	if (rc)
		unlinkat(a->fd, making, 0);
	close(fd);
	return rc;
}

/* Nothing has to go: only say so. */
static int sifted_note(int fd, const struct head *head, const struct stat *was)
{
	const struct timespec times[2] = { was->st_atim, was->st_mtim };

	return pwrite(fd, head, sizeof *head, 0) == sizeof *head && !futimens(fd, times) ? 0 : -EIO;
}

static uint64_t number_of_name(const char *name)
{
	const char *dash = strchr(name, '-');

	return dash ? strtoull(dash + 1, NULL, 16) : 0;
}

/* A damaged one, of which plain_fd has what could be read: that is set aside as other damaged
 * segments are, sifted. The rest goes, as it may be what must. */
static int damaged_set_aside(struct archive *a, const char *name, int plain_fd, int kept_fd,
	const struct stat *was, sift_keeps *keeps, void *who)
{
	char aside[NAME_SIZE + 8];
	struct sifted sifted;
	struct stat kept;
	int rc = segment_sift(plain_fd, kept_fd, number_of_name(name), keeps, who, &sifted);

	if (!rc && fstat(kept_fd, &kept))
		rc = -errno;
	if (!rc && kept.st_size > SEGMENT_FRAMES_AT) {
		snprintf(aside, sizeof aside, "%.*s.damaged", (int)(strlen(name) - strlen(".zst")),
			name);
		rc = sifted_store(a, name, aside, NULL, kept_fd, was);
	}
	if (!rc && unlinkat(a->fd, name, 0))
		rc = -errno;
	if (!rc)
		log_warn("archive: a file is damaged, what could be read of it is set aside "
			 "file=%s/%s",
			a->path, name);
	return rc;
}

static int stored_sift(struct archive *a, const char *name, int fd, const struct stat *was,
	uint64_t number, sift_keeps *keeps, void *who)
{
	int plain = -1, kept = -1, rc;
	struct sifted sifted;
	struct head head;

	rc = head_read(fd, &head);
	if (rc ? rc != -EBADMSG : head.sifted >= number)
		return rc;
	plain = scratch(a);
	kept = plain < 0 ? plain : scratch(a);
	rc = kept < 0 ? kept : extract(fd, plain);
	if (rc == -EBADMSG) {
		rc = damaged_set_aside(a, name, plain, kept, was, keeps, who);
		goto out;
	}
	if (!rc)
		rc = segment_sift(plain, kept, number_of_name(name), keeps, who, &sifted);
	if (!rc) {
		bool as_it_is = !sifted.entries && !sifted.unreadable && head.len == HEAD_LEN;

		head.sifted = number;
		rc = as_it_is ? sifted_note(fd, &head, was)
			      : sifted_store(a, name, name, &head, kept, was);
	}
out:
	if (plain >= 0)
		close(plain);
	if (kept >= 0)
		close(kept);
	return rc;
}

static bool is_clean(const struct archive *a, const struct stat *st)
{
	size_t i = 0;

	while (i < a->clean_count && (a->clean[i].inode != st->st_ino ||
					     a->clean[i].changed.tv_sec != st->st_ctim.tv_sec ||
					     a->clean[i].changed.tv_nsec != st->st_ctim.tv_nsec))
		i++;
	return i < a->clean_count;
}

/* Without memory it is read again the next time. */
static void clean_remember(struct archive *a, const struct stat *st)
{
	struct clean *grown = reallocarray(a->clean, a->clean_count + 1, sizeof *grown);

	if (!grown)
		return;
	a->clean = grown;
	a->clean[a->clean_count++] = (struct clean){ st->st_ino, st->st_ctim };
}

/* A damaged one says nothing of itself, and is kept as it is unless something has to go. */
static int damaged_sift(struct archive *a, const char *name, int fd, const struct stat *was,
	sift_keeps *keeps, void *who)
{
	struct sifted sifted;
	int kept, rc;

	if (is_clean(a, was))
		return 0;
	kept = scratch(a);
	if (kept < 0)
		return kept;
	rc = segment_sift(fd, kept, number_of_name(name), keeps, who, &sifted);
	if (!rc && sifted.entries)
		rc = sifted_store(a, name, name, NULL, kept, was);
	else if (!rc)
		clean_remember(a, was);
	close(kept);
	return rc;
}

/* Of several ingresses one sifts a file: who has its lock, while it has its name. */
static int file_sift(
	struct archive *a, const char *name, uint64_t number, sift_keeps *keeps, void *who)
{
	int fd = openat(a->fd, name, O_RDWR | O_CLOEXEC), rc = 0;
	struct stat was, named;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &was) && !fstatat(a->fd, name, &named, 0) &&
		was.st_ino == named.st_ino)
		rc = ends_with(name, ".zst") ? stored_sift(a, name, fd, &was, number, keeps, who)
					     : damaged_sift(a, name, fd, &was, keeps, who);
	close(fd);
	return rc;
}

int archive_sift(struct archive *a, uint64_t number, sift_keeps *keeps, void *who, struct err *err)
{
	struct file *files;
	size_t count = files_find(a, &files);
	int rc = 0;

	if (number != a->clean_number)
		a->clean_count = 0;
	a->clean_number = number;
	for (size_t i = 0; i < count && !stop_wait(0); i++) {
		int failed =
			is_stored(&files[i]) ? file_sift(a, files[i].name, number, keeps, who) : 0;

		if (failed)
			rc = err_set(err, failed, "archive %s/%s: %s", a->path, files[i].name,
				strerror(-failed));
	}
	free(files);
	return rc;
}
