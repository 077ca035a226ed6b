#include "lib/enrich/mmdb.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES   (64 << 10)
#define FORGET_EVERY (1 << 16) /* nodes: half a MiB of them, and their records */

struct mmdb {
	MMDB_s mmdb;
	bool is_open;
	int fd; /* of the copy */
};

/* The file at path, which must be one: a pipe would make us wait for ever. */
static int file_open(int *fd, const char *what, const char *path, struct err *err)
{
	struct stat st;
	int rc = 0;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &st))
		return err_set(err, -errno, "%s %s: %s", what, path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		rc = err_set(err, -EISDIR, "%s %s: it is a directory", what, path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, -EINVAL, "%s %s: it is no file", what, path);
	else if (!st.st_size)
		rc = err_set(err, -EINVAL, "%s %s: it is empty", what, path);
	else if (st.st_size > MMDB_BYTES_MOST)
		rc = err_set(err, -EFBIG, "%s %s: it has more than %lld bytes", what, path,
			MMDB_BYTES_MOST);
	return rc;
}

/* A file without a name: on disk, where its pages need no memory while nobody reads them; in memory
 * where no folder for temporary files can be written to. -1: neither. */
static int nameless(bool in_memory)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd, len;

	if (in_memory)
		return memfd_create("mmdb", MFD_CLOEXEC);
	len = snprintf(path, sizeof path, "%s/footfall-mmdb-XXXXXX", dir && *dir ? dir : "/tmp");
	if (len < 0 || (size_t)len >= sizeof path)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Copy all of a file, from its start. Returns 0 or -errno. */
static int copy_all(int to, int from)
{
	char buf[COPY_BYTES];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, buf, sizeof buf, at)) > 0) {
		if (at + n > MMDB_BYTES_MOST)
			return -EFBIG;
		for (ssize_t done = 0, put; done < n; done += put) {
			put = write(to, buf + done, (size_t)(n - done));
			if (put < 0)
				return -errno;
		}
		at += n;
	}
	return n < 0 ? -errno : 0;
}

static int copy_make(int *copy, int from, const char *what, const char *path, struct err *err)
{
	int rc = -EIO;

	for (int in_memory = 0; in_memory <= 1 && rc; in_memory++) {
		*copy = nameless(in_memory);
		rc = *copy < 0 ? -errno : copy_all(*copy, from);
		if (rc && *copy >= 0) {
			close(*copy);
			*copy = -1;
		}
	}
	return rc ? err_set(err, rc, "%s %s: no copy can be made of it: %s", what, path,
			    strerror(-rc))
		  : 0;
}

static int map(struct mmdb *db, const char *what, const char *path, struct err *err)
{
	char name[32];
	int status;

	snprintf(name, sizeof name, "/proc/self/fd/%d", db->fd);
	status = MMDB_open(name, MMDB_MODE_MMAP, &db->mmdb);
	db->is_open = status == MMDB_SUCCESS;
	if (db->is_open)
		return 0;
	return err_set(err, status == MMDB_OUT_OF_MEMORY_ERROR ? -ENOMEM : -EINVAL, "%s %s: %s",
		what, path, MMDB_strerror(status));
}

/* Pages that were read need not stay in this process's memory. */
static void forget_pages(const MMDB_s *mmdb)
{
	madvise((void *)(uintptr_t)mmdb->file_content, (size_t)mmdb->file_size, MADV_DONTNEED);
}

/* Read the record that an entry leads to, unless it was read already: many networks share one. */
static int record_check(const MMDB_s *mmdb, MMDB_entry_s *record, unsigned char *seen,
	mmdb_reader *reader, void *out)
{
	unsigned char bit = (unsigned char)(1 << record->offset % 8);

	if (record->offset >= mmdb->data_section_size)
		return MMDB_CORRUPT_SEARCH_TREE_ERROR;
	if (seen[record->offset / 8] & bit)
		return MMDB_SUCCESS;
	seen[record->offset / 8] |= bit;
	return reader(record, out);
}

/* All nodes in the order of the file: no path can lead in a circle. */
static int check_all(const MMDB_s *mmdb, unsigned char *seen, mmdb_reader *reader, void *out)
{
	int status = MMDB_SUCCESS;

	for (uint32_t i = 0; i < mmdb->metadata.node_count && status == MMDB_SUCCESS; i++) {
		MMDB_search_node_s node;

		status = MMDB_read_node(mmdb, i, &node);
		if (status != MMDB_SUCCESS)
			break;
		if (node.left_record_type == MMDB_RECORD_TYPE_INVALID ||
			node.right_record_type == MMDB_RECORD_TYPE_INVALID)
			return MMDB_CORRUPT_SEARCH_TREE_ERROR;
		if (node.left_record_type == MMDB_RECORD_TYPE_DATA)
			status = record_check(mmdb, &node.left_record_entry, seen, reader, out);
		if (status == MMDB_SUCCESS && node.right_record_type == MMDB_RECORD_TYPE_DATA)
			status = record_check(mmdb, &node.right_record_entry, seen, reader, out);
		if (i % FORGET_EVERY == 0)
			forget_pages(mmdb);
	}
	forget_pages(mmdb);
	return status;
}

static int check(const MMDB_s *mmdb, const char *what, const char *path, mmdb_reader *reader,
	void *scratch, struct err *err)
{
	unsigned char *seen = calloc(1, mmdb->data_section_size / 8 + 1);
	int status;

	if (!seen)
		return err_set(err, -ENOMEM, "%s %s", what, path);
	status = check_all(mmdb, seen, reader, scratch);
	free(seen);
	return status == MMDB_SUCCESS
		       ? 0
		       : err_set(err, -EINVAL, "%s %s: %s", what, path, MMDB_strerror(status));
}

int mmdb_open(struct mmdb **out, const char *what, const char *path, mmdb_reader *reader,
	void *scratch, struct err *err)
{
	struct mmdb *db = calloc(1, sizeof *db);
	int rc, from = -1;

	if (!db)
		return err_set(err, -ENOMEM, "%s %s", what, path);
	db->fd = -1;
	rc = file_open(&from, what, path, err);
	if (!rc)
		rc = copy_make(&db->fd, from, what, path, err);
	if (!rc)
		rc = map(db, what, path, err);
	if (!rc)
		rc = check(&db->mmdb, what, path, reader, scratch, err);
	if (from >= 0)
		close(from);
	if (rc)
		mmdb_close(&db);
	else
		*out = db;
	return rc;
}

void mmdb_close(struct mmdb **db_p)
{
	struct mmdb *db = *db_p;

	*db_p = NULL;
	if (!db)
		return;
	if (db->is_open)
		MMDB_close(&db->mmdb);
	if (db->fd >= 0)
		close(db->fd);
	free(db);
}

static bool is_v4(const struct addr *addr)
{
	static const unsigned char prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(addr->bytes, prefix, sizeof prefix);
}

static MMDB_lookup_result_s record_of(const MMDB_s *mmdb, const struct addr *addr, int *status)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (is_v4(addr)) {
		memcpy(&v4.sin_addr, addr->bytes + 12, 4);
		return MMDB_lookup_sockaddr(mmdb, (struct sockaddr *)&v4, status);
	}
	memcpy(&v6.sin6_addr, addr->bytes, 16);
	return MMDB_lookup_sockaddr(mmdb, (struct sockaddr *)&v6, status);
}

/* All records were read when it was opened, and the copy is nobody else's: an error of theirs can
 * only be one of IPv6 in a database of IPv4. */
bool mmdb_find(const struct mmdb *db, const struct addr *addr, mmdb_reader *reader, void *out)
{
	int status = MMDB_SUCCESS;
	MMDB_lookup_result_s found = record_of(&db->mmdb, addr, &status);

	return status == MMDB_SUCCESS && found.found_entry &&
	       reader(&found.entry, out) == MMDB_SUCCESS;
}

/* Whether there is a value at path; *status stays as it is or becomes what is wrong with the bytes.
 */
static bool value_at(
	MMDB_entry_data_s *value, MMDB_entry_s *record, const char *const *path, int *status)
{
	if (*status != MMDB_SUCCESS)
		return false;
	*status = MMDB_aget_value(record, value, path);
	/* What the record does not have is no error, nor is another layout. */
	if (*status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR ||
		*status == MMDB_INVALID_LOOKUP_PATH_ERROR) {
		*status = MMDB_SUCCESS;
		return false;
	}
	return *status == MMDB_SUCCESS && value->has_data;
}

struct span mmdb_text(MMDB_entry_s *record, const char *const *path, int *status)
{
	MMDB_entry_data_s value;

	if (!value_at(&value, record, path, status) || value.type != MMDB_DATA_TYPE_UTF8_STRING)
		return SPAN("");
	return (struct span){ value.utf8_string, value.data_size };
}

uint32_t mmdb_number(MMDB_entry_s *record, const char *const *path, int *status)
{
	MMDB_entry_data_s value;

	if (!value_at(&value, record, path, status))
		return 0;
	if (value.type == MMDB_DATA_TYPE_UINT32)
		return value.uint32;
	return value.type == MMDB_DATA_TYPE_UINT16 ? value.uint16 : 0;
}
