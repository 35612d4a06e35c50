/* spool_ackfile.c - the file of a spool that says what is acknowledged (doc/wire-format.md). */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"
#include "wire.h"

#define ACK_FORMAT 1
#define ACK_SIZE_MAX (72u + SPOOL_SUPERSEDED_MAX * 40u)

static const char ack_magic[8] = {'P', 'L', 'A', 'C', 'K', 'E', 'D', '1'};

static void
wr_position(struct wr *w, struct position p)
{
    wr_le64(w, p.epoch);
    wr_le64(w, p.sequence);
}

static struct position
rd_position(struct rd *r)
{
    uint64_t epoch = rd_le64(r);
    return (struct position){epoch, rd_le64(r)};
}

static size_t
ack_format(const struct spool *s, uint8_t out[ACK_SIZE_MAX])
{
    struct wr w = wr_of(out, ACK_SIZE_MAX);

    wr_copy(&w, ack_magic, sizeof ack_magic);
    wr_le32(&w, ACK_FORMAT);
    wr_le32(&w, (uint32_t)s->superseded_count);
    wr_position(&w, s->acked);
    wr_position(&w, spool_last(s));
    wr_le64(&w, (uint64_t)s->covered.ns);
    for (size_t i = 0; i < s->superseded_count; i++) {
        wr_position(&w, s->superseded[i].from);
        wr_position(&w, s->superseded[i].to);
        wr_le64(&w, s->superseded[i].by);
    }
    wr_le32(&w, crc32c(0, out, wr_size(&w)));
    assert(wr_ok(&w));
    return wr_size(&w);
}

static int
ack_parse(struct spool *s, const uint8_t *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    const uint8_t *magic = rd_take(&r, sizeof ack_magic);
    uint32_t format = rd_le32(&r);
    uint32_t count = rd_le32(&r);
    struct position acked = rd_position(&r), last = rd_position(&r);
    struct instant covered = {(int64_t)rd_le64(&r)};
    struct superseded ranges[SPOOL_SUPERSEDED_MAX];

    if (!rd_ok(&r) || memcmp(magic, ack_magic, sizeof ack_magic) != 0 ||
        count > SPOOL_SUPERSEDED_MAX) {
        return -EBADMSG;
    }
    for (uint32_t i = 0; i < count; i++) {
        ranges[i].from = rd_position(&r);
        ranges[i].to = rd_position(&r);
        ranges[i].by = rd_le64(&r);
    }
    if (rd_le32(&r) != crc32c(0, bytes, size - 4 - r.left) || !rd_ok(&r) || r.left) {
        return -EBADMSG;
    }
    if (format > ACK_FORMAT) {
        return -EPROTONOSUPPORT;
    }
    s->acked = acked;
    s->last_kept = last;
    s->covered = covered;
    memcpy(s->superseded, ranges, count * sizeof(*ranges));
    s->superseded_count = count;
    return 0;
}

/* A damaged ack file is as none: what is kept is sent again, and Redis and the
 * collector know what they have. */
int
spool_ackfile_load(struct spool *s)
{
    uint8_t bytes[ACK_SIZE_MAX + 1];
    int fd = openat(s->folder_fd, "ack", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    ssize_t size = read(fd, bytes, sizeof bytes);
    int err = size < 0 ? -errno : ack_parse(s, bytes, (size_t)size);
    close(fd);
    if (err == -EBADMSG || err == -EIO) {
        log_warnx("spool: the ack file is damaged; sending all that is kept again");
        s->damaged++;
        err = 0;
    }
    return err;
}

int
spool_ackfile_save(struct spool *s)
{
    uint8_t bytes[ACK_SIZE_MAX];
    size_t size = ack_format(s, bytes);
    int err = 0;
    int fd = openat(s->folder_fd, "ack.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        return -errno;
    }
    ssize_t done = write(fd, bytes, size);
    if (done != (ssize_t)size) {
        err = done < 0 ? -errno : -ENOSPC;
    } else if (fsync(fd) != 0) {
        err = -errno;
    }
    close(fd);
    if (!err && renameat(s->folder_fd, "ack.tmp", s->folder_fd, "ack") != 0) {
        err = -errno;
    }
    if (err) {
        unlinkat(s->folder_fd, "ack.tmp", 0);
    } else if (fsync(s->folder_fd) != 0) {
        /* It is there; whether it outlives a power cut is not known. */
        s->last_errno = errno;
    }
    return err;
}
