/* cpulatency.c - asks the kernel, by a number in a file. */
#include "cpulatency.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
cpulatency_change(int fd, struct span at_most)
{
    /* In binary the kernel's own int, in microseconds. */
    const int32_t us = (int32_t)(at_most.ns / NS_PER_US);

    if (at_most.ns < 0 || at_most.ns > CPULATENCY_ANY_NS) {
        return -EINVAL;
    }
    ssize_t n = pwrite(fd, &us, sizeof us, 0);
    return n == (ssize_t)sizeof us ? 0 : n < 0 ? -errno : -EIO;
}

int
cpulatency_open(const char *file, struct span at_most)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    int err = cpulatency_change(fd, at_most);
    if (err) {
        (void)close(fd);
        return err;
    }
    return fd;
}
