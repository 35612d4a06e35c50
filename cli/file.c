/* file.c - files that the command writes: whole or not at all. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
put_all(int fd, const char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t wrote = write(fd, bytes + done, size - done);
        if (wrote < 0 && errno != EINTR) {
            return -errno;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return fsync(fd) ? -errno : 0;
}

int
file_write(const char *path, mode_t mode, const void *bytes, size_t size)
{
    char name[PATH_MAX];
    int n = snprintf(name, sizeof name, "%s.%ld.new", path, (long)getpid());

    if (n >= (int)sizeof name) {
        return -ENAMETOOLONG;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return -errno;
    }
    int err = put_all(fd, bytes, size);
    /* Whatever the umask: who may read a key is said here. */
    if (!err && fchmod(fd, mode)) {
        err = -errno;
    }
    if (close(fd) && !err) {
        err = -errno;
    }
    if (!err && rename(name, path)) {
        err = -errno;
    }
    if (err) {
        unlink(name);
    }
    return err;
}

int
file_folders(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof part) {
        return -ENAMETOOLONG;
    }
    memcpy(part, path, length + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) && errno != EEXIST) {
            return -errno;
        }
        *slash = '/';
    }
    if (mkdir(part, mode)) {
        return errno == EEXIST ? 0 : -errno;
    }
    return chmod(part, mode) ? -errno : 0;
}

char *
file_read(const char *path, size_t most, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = fd < 0 ? NULL : malloc(most + 2);
    ssize_t n = 1;

    *size = 0;
    while (bytes && n > 0 && *size <= most) {
        n = read(fd, bytes + *size, most + 1 - *size);
        *size += n > 0 ? (size_t)n : 0;
    }
    int saved = n < 0 ? errno : bytes && *size > most ? EFBIG : 0;
    if (fd >= 0) {
        close(fd);
    }
    if (bytes && saved) {
        free(bytes);
        bytes = NULL;
        errno = saved;
    }
    if (bytes) {
        bytes[*size] = '\0';
    }
    return bytes;
}
