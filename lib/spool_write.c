/* spool_write.c - the writing half of a spool: epochs, appending, what waits in
 * memory while the disk is full, fsync, new IDs for what cannot keep its own. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"
#include "telemetry.pb-c.h"

/* A record as it is to be written. */
struct entry {
    uint64_t epoch, sequence;
    struct instant from, until;
    const void *bytes;
    size_t size;
    uint32_t flags;         /* RECORD_ */
    uint32_t segment_flags; /* SEGMENT_ */
};

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

static int
active_sync(struct spool *s)
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
    int err = active_sync(s);
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
write_all(int fd, uint64_t offset, const uint8_t *head, const struct entry *e)
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
write_once(struct spool *s, const struct entry *e)
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

static int
write_record(struct spool *s, const struct entry *e)
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

void
spool_waiting_free(struct spool *s, struct waiting *w)
{
    if (s->reader.hint == w) {
        s->reader.hint = NULL;
    }
    TAILQ_REMOVE(&s->waiting, w, entry);
    s->waiting_bytes -= sizeof(*w) + w->size;
    s->waiting_count -= w->count;
    free(w);
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
        err = write_record(s, &(struct entry){.epoch = id.epoch,
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

/* Writes what waits, oldest first, as far as there is room. */
static int
write_waiting(struct spool *s)
{
    struct waiting *w;
    int err = 0;

    while (!err && (w = TAILQ_FIRST(&s->waiting)) != NULL) {
        if (w->dropped) {
            err = write_dropped(s, w);
        } else {
            err = write_record(s, &(struct entry){.epoch = w->epoch,
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

static struct instant
earlier(struct instant a, struct instant b)
{
    return instant_before(a, b) ? a : b;
}

static struct instant
later(struct instant a, struct instant b)
{
    return instant_before(a, b) ? b : a;
}

/* Makes 'w' a dropped one, and one run with those dropped before it.  The run's
 * span is what all of them covered. */
static void
waiting_drop(struct spool *s, struct waiting *w)
{
    struct waiting *before = TAILQ_PREV(w, waiting_list, entry);

    s->dropped++;
    if (before && before->dropped && before->epoch == w->epoch &&
        before->first + before->count == w->first) {
        if (w->until.ns != 0) {
            bool none = before->until.ns == 0;
            before->from = none ? w->from : earlier(before->from, w->from);
            before->until = none ? w->until : later(before->until, w->until);
        }
        before->count++;
        s->waiting_count++;
        spool_waiting_free(s, w);
        return;
    }
    struct waiting *small = malloc(sizeof(*small));
    if (!small) {
        /* Its bytes stay where they are, and still count. */
        w->dropped = true;
        return;
    }
    *small = *w;
    small->dropped = true;
    small->size = 0;
    TAILQ_INSERT_BEFORE(w, small, entry);
    s->waiting_bytes += sizeof(*small);
    s->waiting_count++;
    spool_waiting_free(s, w);
}

/* Keeps to 'memory_bytes': acknowledged ones go first, then the oldest become
 * tombstones. */
static void
waiting_bound(struct spool *s)
{
    while (s->waiting_bytes > s->config.memory_bytes) {
        struct waiting *w = TAILQ_FIRST(&s->waiting);
        struct position last = {w->epoch, w->first + w->count - 1};
        if (position_compare(last, s->acked) <= 0) {
            spool_waiting_free(s, w);
            continue;
        }
        while (w && w->dropped) {
            w = TAILQ_NEXT(w, entry);
        }
        if (!w) {
            return;
        }
        waiting_drop(s, w);
    }
}

static int
waiting_add(struct spool *s, const struct entry *e)
{
    struct waiting *w = malloc(sizeof(*w) + e->size);

    if (!w) {
        return -ENOMEM;
    }
    *w = (struct waiting){.epoch = e->epoch,
                          .first = e->sequence,
                          .count = 1,
                          .from = e->from,
                          .until = e->until,
                          .size = e->size};
    memcpy(w->bytes, e->bytes, e->size);
    TAILQ_INSERT_TAIL(&s->waiting, w, entry);
    s->waiting_bytes += sizeof(*w) + e->size;
    s->waiting_count++;
    s->disk_full = true;
    return 0;
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
    struct entry e = {.epoch = s->epoch,
                      .sequence = s->next,
                      .from = from,
                      .until = until,
                      .bytes = bytes,
                      .size = size};

    assert(s->epoch > 0 && size <= SPOOL_RECORD_MAX);
    if (write_waiting(s) != 0 || write_record(s, &e) != 0) {
        int err = waiting_add(s, &e);
        if (err) {
            return err;
        }
        waiting_bound(s);
    }
    *position = (struct position){e.epoch, e.sequence};
    s->next++;
    struct epoch_entry *known = spool_epoch(s, s->epoch);
    if (known) {
        known->next = s->next;
    }
    s->covered = later(s->covered, until);
    return 0;
}

int
spool_sync(struct spool *s)
{
    int err = write_waiting(s);
    int sync_err = active_sync(s);

    if (sync_err) {
        /* What the kernel could not write it may have forgotten: new records go
         * into a new file. */
        s->last_errno = -sync_err;
        spool_close_active(s);
    }
    return sync_err ? sync_err : err;
}

/* Removes what an unfinished spool_rebase() wrote. */
static void
rebase_undo(struct spool *s, uint64_t epoch)
{
    spool_close_active(s);
    for (size_t i = s->segment_count; i-- > 0;) {
        if (s->segments[i]->epoch == epoch) {
            spool_segment_delete(s, i);
        }
    }
}

static int
rebase_copy(struct spool *s, const struct superseded *r, spool_rewrite_fn *rewrite, void *aux,
            uint64_t *next)
{
    struct position at = position_before(r->from);
    struct spool_record old;
    int err;

    while ((err = spool_next(s, at, &old)) > 0 && position_compare(old.position, r->to) <= 0) {
        struct entry e = {.epoch = r->by,
                          .sequence = *next,
                          .from = old.from,
                          .until = old.until,
                          .flags = old.tombstone ? RECORD_TOMBSTONE : 0,
                          .segment_flags = SEGMENT_REPLACES};
        const uint8_t *bytes;

        at = old.position;
        err = rewrite(aux, &old, &bytes, &e.size);
        e.bytes = bytes;
        if (!err) {
            err = write_record(s, &e);
        }
        if (err) {
            return err;
        }
        ++*next;
    }
    return err < 0 ? err : active_sync(s);
}

/* The moment from which the new IDs are the ones that count. */
static int
rebase_commit(struct spool *s, const struct superseded *r, uint64_t next)
{
    struct position old_upcoming = {s->epoch, s->next}, old_previous = s->previous;
    const struct epoch_entry *e = spool_epoch(s, r->by);

    s->superseded[s->superseded_count++] = *r;
    s->epoch = r->by;
    s->next = next;
    s->previous = e ? e->previous : (struct position){0, 0};
    int err = spool_epochs_rebuild(s);
    if (!err) {
        err = spool_save(s);
    }
    if (err) {
        s->superseded_count--;
        s->epoch = old_upcoming.epoch;
        s->next = old_upcoming.sequence;
        s->previous = old_previous;
    }
    return err;
}

/* Segments of which every record has a new ID now. */
static void
rebase_clean(struct spool *s)
{
    for (size_t i = s->segment_count; i-- > 0;) {
        const struct segment *g = s->segments[i];
        struct position last = {g->epoch, g->next - 1};
        if (g != s->active && g->next > g->first && position_compare(last, s->acked) > 0 &&
            spool_segment_let_go(s, g)) {
            spool_segment_delete(s, i);
        }
    }
}

int
spool_rebase(struct spool *s, uint64_t epoch, struct position previous, struct position after,
             const void *start, size_t start_size, spool_rewrite_fn *rewrite, void *aux)
{
    struct superseded r = {.to = spool_last(s), .by = epoch};
    struct spool_record first;
    uint64_t next = 1;
    int err;

    if (epoch <= r.to.epoch || previous.epoch >= epoch) {
        return -EINVAL;
    }
    if (write_waiting(s) != 0 || s->superseded_count == SPOOL_SUPERSEDED_MAX) {
        return -ENOSPC;
    }
    err = spool_next(s, after, &first);
    if (err < 0) {
        return err;
    }
    /* With nothing to give anew the range is empty: (to + 1 .. to). */
    r.from = err > 0 ? first.position : (struct position){epoch, 0};
    spool_close_active(s);
    /* So that segment_begin() finds what came before this epoch. */
    struct position was = {s->epoch, s->next}, was_previous = s->previous;
    s->epoch = epoch;
    s->next = 0;
    s->previous = previous;
    err = spool_epochs_rebuild(s);
    if (!err) {
        err = write_record(s, &(struct entry){.epoch = epoch,
                                              .bytes = start,
                                              .size = start_size,
                                              .segment_flags = SEGMENT_REPLACES});
    }
    if (!err) {
        err = rebase_copy(s, &r, rewrite, aux, &next);
    }
    if (!err) {
        err = rebase_commit(s, &r, next);
    }
    if (err) {
        s->epoch = was.epoch;
        s->next = was.sequence;
        s->previous = was_previous;
        rebase_undo(s, epoch);
        int again = spool_epochs_rebuild(s);
        return again ? again : err;
    }
    rebase_clean(s);
    /* What comes now is appended to a segment of its own. */
    spool_close_active(s);
    return spool_epochs_rebuild(s);
}
