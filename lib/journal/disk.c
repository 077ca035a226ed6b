#include "lib/journal/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int disk_create(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int disk_allocate(int fd, uint64_t bytes)
{
	return -posix_fallocate(fd, 0, (off_t)bytes);
}

static int disk_write(int fd, const char *buf, size_t len, uint64_t offset)
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

static int disk_sync(int fd)
{
	return fdatasync(fd) ? -errno : 0;
}

static int disk_sync_dir(int fd)
{
	return fsync(fd) ? -errno : 0;
}

static int disk_truncate(int fd, uint64_t bytes)
{
	return ftruncate(fd, (off_t)bytes) ? -errno : 0;
}

static int disk_remove(int dir_fd, const char *name)
{
	return unlinkat(dir_fd, name, 0) ? -errno : 0;
}

const struct disk disk_of_system = {
	.create = disk_create,
	.allocate = disk_allocate,
	.write = disk_write,
	.sync = disk_sync,
	.sync_dir = disk_sync_dir,
	.truncate = disk_truncate,
	.remove = disk_remove,
};
