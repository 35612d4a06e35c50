/* channel.c - messages and open files between two processes. */
#include "channel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Events of a tenth of a second, at 30,000 a second. */
#define CHANNEL_BUFFER (1 << 20)

/* A state of the largest probe is some 10 MiB. */
#define CHANNEL_FILE_MAX (INT64_C(256) << 20)

union files {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(sizeof(int) * CHANNEL_FILES_MAX)];
};

int
channel_open(int ends[2])
{
    const int size = CHANNEL_BUFFER;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) {
            (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        }
    }
    return 0;
}

int
channel_send(int fd, enum channel_kind kind, const void *bytes, size_t size, const int *files,
             unsigned count)
{
    uint8_t first = (uint8_t)kind;
    struct iovec iov[2] = {{.iov_base = &first, .iov_len = 1},
                           {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    union files control;

    assert(count <= CHANNEL_FILES_MAX);
    if (count > 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), files, sizeof(int) * count);
    }
    return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int
wait_until(int fd, short what, struct span until)
{
    struct pollfd p = {.fd = fd, .events = what};

    for (;;) {
        int64_t left = (until.ns - mono_now().ns) / NS_PER_MS;
        int n = poll(&p, 1, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0) {
            return 0;
        }
        if (n == 0) {
            return -ETIMEDOUT;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static void
take_files(struct msghdr *m, struct channel_message *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            out->file_count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(out->files, CMSG_DATA(c), out->file_count * sizeof(int));
        }
    }
}

int
channel_receive(int fd, struct span patience, struct channel_message *out)
{
    union files control;
    struct iovec iov[2] = {{.iov_base = &out->kind, .iov_len = 1},
                           {.iov_base = out->bytes, .iov_len = sizeof out->bytes}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    struct span until = span_of_ns(mono_now().ns + patience.ns);

    out->file_count = 0;
    for (;;) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof control;
        ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n >= 0) {
            take_files(&m, out);
            out->kind = n == 0 ? 0 : out->kind;
            out->size = n == 0 ? 0 : (size_t)n - 1;
            return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : 0;
        }
        if (errno == ECONNRESET) {
            out->kind = 0;
            out->size = 0;
            return 0;
        }
        int err = errno == EAGAIN || errno == EINTR ? wait_until(fd, POLLIN, until) : -errno;
        if (err) {
            return err;
        }
    }
}

static int
file_of(const void *bytes, size_t size)
{
    int fd = memfd_create("plumbline-handover", MFD_CLOEXEC);
    const uint8_t *at = bytes;

    while (fd >= 0 && size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0) {
            int err = -errno;
            close(fd);
            return err;
        }
        at += n;
        size -= (size_t)n;
    }
    return fd < 0 ? -errno : fd;
}

int
channel_send_state(int fd, const void *bytes, size_t size, const int *files, size_t count)
{
    int file = file_of(bytes, size);
    int err = file < 0 ? file : 0;

    for (size_t i = 0; !err && i < count; i += CHANNEL_FILES_MAX) {
        size_t n = count - i < CHANNEL_FILES_MAX ? count - i : CHANNEL_FILES_MAX;
        err = channel_send(fd, CHANNEL_FILES, NULL, 0, files + i, (unsigned)n);
    }
    if (!err) {
        err = channel_send(fd, CHANNEL_STATE, NULL, 0, &file, 1);
    }
    if (file >= 0) {
        close(file);
    }
    return err;
}

int
channel_read_file(int file, uint8_t **bytes, size_t *size)
{
    struct stat st;
    size_t done = 0;

    if (fstat(file, &st) < 0) {
        return -errno;
    }
    if (st.st_size < 0 || st.st_size > CHANNEL_FILE_MAX) {
        return -EFBIG;
    }
    *size = (size_t)st.st_size;
    *bytes = malloc(*size ? *size : 1);
    if (!*bytes) {
        return -ENOMEM;
    }
    while (done < *size) {
        ssize_t n = pread(file, *bytes + done, *size - done, (off_t)done);
        if (n <= 0) {
            int err = n < 0 ? -errno : -EIO;
            free(*bytes);
            return err;
        }
        done += (size_t)n;
    }
    return 0;
}
