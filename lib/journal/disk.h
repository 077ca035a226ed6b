/* Disk: the few calls by which a journal changes what lies on disk, as a table, so that tests can
 * put power cuts and full disks behind it. Reading needs no seam: it asks the kernel. */
#ifndef FOOTFALL_DISK_H
#define FOOTFALL_DISK_H

#include <stddef.h>
#include <stdint.h>

/* All return 0 (create: a file descriptor) or -errno. */
struct disk {
	int (*create)(int dir_fd, const char *name); /* read and write; -EEXIST when it is there */
	int (*allocate)(int fd, uint64_t bytes);     /* its space; -ENOSPC can only arise here */
	int (*write)(int fd, const char *buf, size_t len, uint64_t offset); /* wholly */
	int (*sync)(int fd);     /* its bytes are durable (fdatasync) */
	int (*sync_dir)(int fd); /* the names in it are */
	int (*truncate)(int fd, uint64_t bytes);
	int (*remove)(int dir_fd, const char *name);
};

extern const struct disk disk_of_system;

#endif
