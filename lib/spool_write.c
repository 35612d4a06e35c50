/* spool_write.c - the writing half of a spool: epochs, appending, writing what waited in memory
 * while the disk was full, fsync. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"
#include "telemetry.pb-c.h"

/* A bounded folder is let go of in pieces that are small beside it. */
static uint64_t
segment_limit(const struct spool *s)
{
    uint64_t limit = s->config.segment_bytes;

    if (s->config.disk_bytes > 0 && limit > s->config.disk_bytes / 8) {
        limit = s->config.disk_bytes / 8;
    }
    return limit;
}

static bool
has_room(const struct spool *s, size_t size)
{
    uint64_t held = size;

    if (s->config.disk_bytes == 0) {
        return true;
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        held += s->segments[i]->size;
    }
    return held <= s->config.disk_bytes;
}

int
spool_sync_active(struct spool *s)
{
    if (!s->dirty) {
        return 0;
    }
    s->dirty = false;
    return fdatasync(s->active_fd) == 0 ? 0 : -errno;
}

void
spool_close_active(struct spool *s)
{
    struct stat st;

    if (!s->active) {
        return;
    }
    int err = spool_sync_active(s);
    if (err) {
        s->last_errno = -err;
    }
    if (fstat(s->active_fd, &st) == 0) {
        s->active->written = instant_of_timespec(st.st_mtim);
    }
    close(s->active_fd);
    s->active_fd = -1;
    const struct segment *closed = s->active;
    s->active = NULL;
    if (closed->next == closed->first) {
        /* Nothing is in it, and its name may be wanted again. */
        for (size_t i = 0; i < s->segment_count; i++) {
            if (s->segments[i] == closed) {
                spool_segment_delete(s, i);
                break;
            }
        }
    }
}

static int
segment_file(struct spool *s, const struct segment_header *h, int *fd)
{
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    char name[SPOOL_NAME_SIZE];
    int err = 0;

    spool_segment_name(name, h->epoch, h->first);
    *fd = openat(s->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return -errno;
    }
    segment_header_format(h, bytes);
    ssize_t done = pwrite(*fd, bytes, sizeof bytes, 0);
    if (done != (ssize_t)sizeof bytes) {
        err = done < 0 ? -errno : -ENOSPC;
    } else if (fsync(*fd) != 0 || fsync(s->folder_fd) != 0) {
        err = -errno;
    }
    if (err) {
        close(*fd);
        unlinkat(s->folder_fd, name, 0);
    }
    return err;
}

/* Makes a new segment the active one. */
static int
segment_begin(struct spool *s, uint64_t epoch, uint64_t first, uint32_t flags)
{
    const struct epoch_entry *e = spool_epoch(s, epoch);
    struct segment_header h = {
        .format = SEGMENT_FORMAT,
        .flags = flags,
        .epoch = epoch,
        .first = first,
        .previous = e ? e->previous : (struct position){0, 0},
    };
    int fd, err;

    spool_close_active(s);
    if (!has_room(s, SEGMENT_HEADER_SIZE)) {
        return -ENOSPC;
    }
    struct segment *g = calloc(1, sizeof(*g));
    if (!g) {
        return -ENOMEM;
    }
    err = segment_file(s, &h, &fd);
    if (err) {
        free(g);
        return err;
    }
    *g = (struct segment){.epoch = epoch,
                          .first = first,
                          .next = first,
                          .size = SEGMENT_HEADER_SIZE,
                          .previous = h.previous,
                          .flags = flags};
    err = spool_segment_insert(s, g);
    if (err) {
        close(fd);
        free(g);
        return err;
    }
    s->active = g;
    s->active_fd = fd;
    return 0;
}

/* Takes back what a failed write left; if even that fails, the segment ends
 * here, and the next one's name says that nothing was in the rest. */
static void
write_undo(struct spool *s)
{
    if (ftruncate(s->active_fd, (off_t)s->active->size) != 0) {
        spool_close_active(s);
    }
}

/* Writes header and payload.  What was cut short is tried on, for only then the
 * system says why. */
static int
write_all(int fd, uint64_t offset, const uint8_t *head, const struct spool_entry *e)
{
    size_t done = 0, size = RECORD_HEADER_SIZE + e->size;
    union {
        const void *from;
        uint8_t *base;
    } header = {.from = head}, payload = {.from = e->bytes};

    while (done < size) {
        size_t of_head = done < RECORD_HEADER_SIZE ? RECORD_HEADER_SIZE - done : 0;
        size_t of_payload = done > RECORD_HEADER_SIZE ? done - RECORD_HEADER_SIZE : 0;
        struct iovec parts[2] = {
            {.iov_base = header.base + (RECORD_HEADER_SIZE - of_head), .iov_len = of_head},
            {.iov_base = payload.base + of_payload, .iov_len = e->size - of_payload}};
        ssize_t now = pwritev(fd, parts, 2, (off_t)(offset + done));
        if (now < 0 && errno == EINTR) {
            continue;
        }
        if (now <= 0) {
            return now < 0 ? -errno : -ENOSPC;
        }
        done += (size_t)now;
    }
    return 0;
}

static int
write_once(struct spool *s, const struct spool_entry *e)
{
    struct record_header h = {
        .flags = e->flags,
        .sequence = e->sequence,
        .from = e->from,
        .until = e->until,
        .size = (uint32_t)e->size,
        .crc = crc32c(0, e->bytes, e->size),
    };
    uint8_t head[RECORD_HEADER_SIZE];
    size_t size = sizeof head + e->size;
    struct segment *g = s->active;

    if (!g || g->epoch != e->epoch || g->next != e->sequence || g->flags != e->segment_flags ||
        (g->size > SEGMENT_HEADER_SIZE && g->size + size > segment_limit(s))) {
        int err = segment_begin(s, e->epoch, e->sequence, e->segment_flags);
        if (err) {
            return err;
        }
        g = s->active;
    }
    if (!has_room(s, size)) {
        return -ENOSPC;
    }
    record_header_format(&h, e->epoch, head);
    int err = write_all(s->active_fd, g->size, head, e);
    if (err) {
        write_undo(s);
        return err;
    }
    struct segment_item item = {
        .whole = true, .first = e->sequence, .count = 1, .at = g->size, .header = h};
    g->size += size;
    s->dirty = true;
    return spool_segment_note(g, &item);
}

/* Lets the oldest acknowledged segment go, whatever 'keep' says. */
static bool
reclaim(struct spool *s)
{
    if (s->active && spool_segment_let_go(s, s->active)) {
        const struct segment *only = s->active;
        for (size_t i = 0; only && i < s->segment_count; i++) {
            if (s->segments[i] != only && spool_segment_let_go(s, s->segments[i])) {
                only = NULL;
            }
        }
        if (only) {
            spool_close_active(s);
        }
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i] != s->active && spool_segment_let_go(s, s->segments[i])) {
            s->last_kept = spool_last(s);
            spool_segment_delete(s, i);
            if (spool_epochs_rebuild(s) != 0) {
                log_warnx("spool: out of memory");
            }
            return true;
        }
    }
    return false;
}

static bool
no_room(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

int
spool_write_record(struct spool *s, const struct spool_entry *e)
{
    int err = write_once(s, e);

    while (no_room(err) && reclaim(s)) {
        err = write_once(s, e);
    }
    if (err) {
        s->last_errno = -err;
    }
    if (err && !no_room(err)) {
        /* A file that refuses may not be trusted with the next one. */
        spool_close_active(s);
    }
    return err;
}

/* Writes a run of dropped ones as tombstones, one by one. */
static int
write_dropped(struct spool *s, struct waiting *w)
{
    int err = 0;

    while (!err && w->count > 0) {
        struct spool_record made;
        struct position id = {w->epoch, w->first};
        err = spool_tombstone(s, id, w->from, w->until,
                              PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__DISK_FULL, &made);
        if (err) {
            break;
        }
        err = spool_write_record(s, &(struct spool_entry){.epoch = id.epoch,
                                                          .sequence = id.sequence,
                                                          .from = w->from,
                                                          .until = w->until,
                                                          .bytes = made.bytes,
                                                          .size = made.size,
                                                          .flags = RECORD_TOMBSTONE});
        if (!err) {
            w->first++;
            w->count--;
            s->waiting_count--;
        }
    }
    return err;
}

int
spool_write_waiting(struct spool *s)
{
    struct waiting *w;
    int err = 0;

    while (!err && (w = TAILQ_FIRST(&s->waiting)) != NULL) {
        if (w->dropped) {
            err = write_dropped(s, w);
        } else {
            err = spool_write_record(s, &(struct spool_entry){.epoch = w->epoch,
                                                              .sequence = w->first,
                                                              .from = w->from,
                                                              .until = w->until,
                                                              .bytes = w->bytes,
                                                              .size = w->size});
        }
        if (!err) {
            spool_waiting_free(s, w);
        }
    }
    s->disk_full = !TAILQ_EMPTY(&s->waiting);
    return err;
}

int
spool_begin_epoch_after(struct spool *s, uint64_t epoch, struct position previous)
{
    struct position last = spool_last(s);

    if (epoch == 0 || epoch <= last.epoch || (s->epoch == epoch && s->next > 0) ||
        previous.epoch >= epoch) {
        return -EINVAL;
    }
    s->epoch = epoch;
    s->next = 0;
    s->previous = previous;
    int err = spool_epochs_rebuild(s);
    if (err) {
        return err;
    }
    err = TAILQ_EMPTY(&s->waiting) ? segment_begin(s, epoch, 0, 0) : -ENOSPC;
    if (no_room(err) && reclaim(s)) {
        err = segment_begin(s, epoch, 0, 0);
    }
    if (err) {
        s->last_errno = -err;
    }
    return err;
}

int
spool_begin_epoch(struct spool *s, uint64_t epoch)
{
    return spool_begin_epoch_after(s, epoch, spool_last(s));
}

int
spool_append(struct spool *s, const void *bytes, size_t size, struct instant from,
             struct instant until, struct position *position)
{
    struct spool_entry e = {.epoch = s->epoch,
                            .sequence = s->next,
                            .from = from,
                            .until = until,
                            .bytes = bytes,
                            .size = size};

    assert(s->epoch > 0 && size <= SPOOL_RECORD_MAX);
    if (spool_write_waiting(s) != 0 || spool_write_record(s, &e) != 0) {
        int err = spool_waiting_add(s, &e);
        if (err) {
            return err;
        }
        spool_waiting_bound(s);
    }
    *position = (struct position){e.epoch, e.sequence};
    s->next++;
    struct epoch_entry *known = spool_epoch(s, s->epoch);
    if (known) {
        known->next = s->next;
    }
    if (instant_before(s->covered, until)) {
        s->covered = until;
    }
    return 0;
}

int
spool_sync(struct spool *s)
{
    int err = spool_write_waiting(s);
    int sync_err = spool_sync_active(s);

    if (sync_err) {
        /* What the kernel could not write it may have forgotten: new records go
         * into a new file. */
        s->last_errno = -sync_err;
        spool_close_active(s);
    }
    return sync_err ? sync_err : err;
}
