/* spool.c - the folder of a spool: opening, what it holds, acknowledging,
 * letting go. */
#include "spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"
#include "wire.h"

#define ACK_FORMAT 1
#define ACK_SIZE_MAX (72u + SPOOL_SUPERSEDED_MAX * 40u)

static const char ack_magic[8] = {'P', 'L', 'A', 'C', 'K', 'E', 'D', '1'};

void
spool_segment_name(char name[SPOOL_NAME_SIZE], uint64_t epoch, uint64_t first)
{
    snprintf(name, SPOOL_NAME_SIZE, "%020" PRIu64 "-%020" PRIu64 ".seg", epoch, first);
}

static bool
parse_decimal(const char *text, uint64_t *out)
{
    uint64_t v = 0;

    for (int i = 0; i < 20; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static bool
segment_name_parse(const char *name, uint64_t *epoch, uint64_t *first)
{
    return strlen(name) == 45 && name[20] == '-' && strcmp(name + 41, ".seg") == 0 &&
           parse_decimal(name, epoch) && parse_decimal(name + 21, first) && *epoch > 0;
}

void
spool_segment_free(struct segment *segment)
{
    if (segment) {
        free(segment->marks);
        free(segment);
    }
}

static int
segment_compare(const struct segment *a, const struct segment *b)
{
    return position_compare((struct position){a->epoch, a->first},
                            (struct position){b->epoch, b->first});
}

int
spool_segment_insert(struct spool *s, struct segment *segment)
{
    size_t i = s->segment_count;

    if (s->segment_count == s->segment_room) {
        size_t room = s->segment_room ? s->segment_room * 2 : 64;
        struct segment **grown = reallocarray(s->segments, room, sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        s->segments = grown;
        s->segment_room = room;
    }
    for (; i > 0 && segment_compare(segment, s->segments[i - 1]) < 0; i--) {
        s->segments[i] = s->segments[i - 1];
    }
    s->segments[i] = segment;
    s->segment_count++;
    return 0;
}

void
spool_segment_delete(struct spool *s, size_t i)
{
    struct segment *segment = s->segments[i];
    char name[SPOOL_NAME_SIZE];

    assert(segment != s->active);
    if (s->reader.segment == segment) {
        spool_reader_reset(s);
    }
    spool_segment_name(name, segment->epoch, segment->first);
    if (unlinkat(s->folder_fd, name, 0) != 0 && errno != ENOENT) {
        s->last_errno = errno;
    }
    spool_segment_free(segment);
    s->segment_count--;
    memmove(s->segments + i, s->segments + i + 1, (s->segment_count - i) * sizeof(*s->segments));
}

int
spool_segment_note(struct segment *g, const struct segment_item *item)
{
    const struct record_header *h = &item->header;

    g->next = item->first + item->count;
    if (!item->whole) {
        return 0;
    }
    if (h->until.ns != 0) {
        if (g->head_until.ns == 0) {
            g->head_from = h->from;
            g->head_until = h->until;
        }
        g->tail_from = h->from;
        g->tail_until = h->until;
        if (instant_before(g->covered, h->until)) {
            g->covered = h->until;
        }
    }
    if (g->mark_count > 0 && item->at - g->marks[g->mark_count - 1].at < SPOOL_MARK_EVERY) {
        return 0;
    }
    if (g->mark_count == g->mark_room) {
        size_t room = g->mark_room ? g->mark_room * 2 : 8;
        struct mark *grown = reallocarray(g->marks, room, sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        g->marks = grown;
        g->mark_room = room;
    }
    g->marks[g->mark_count++] = (struct mark){item->first, item->at};
    return 0;
}

static int
segment_scan(struct segment *g, struct segment_view *view)
{
    struct segment_walk walk = {
        .view = view, .epoch = g->epoch, .at = SEGMENT_HEADER_SIZE, .expected = g->first};
    struct segment_item item;
    int err;

    while ((err = segment_walk_next(&walk, &item)) > 0) {
        if (!item.whole || item.torn) {
            g->damaged += item.count;
        }
        err = spool_segment_note(g, &item);
        if (err) {
            return err;
        }
    }
    return err;
}

/* Reads one segment; '*out' is NULL if no record was begun in it, or if it was
 * begun to stand in for others and never finished: then the file goes. */
static int
segment_load(struct spool *s, const char *name, uint64_t epoch, uint64_t first,
             struct segment **out)
{
    struct segment_header header = {0};
    struct segment_view view;
    struct stat st;
    int err = 0;
    int fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC);

    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err = -errno;
        goto no_file;
    }
    struct segment *g = calloc(1, sizeof(*g));
    if (!g) {
        err = -ENOMEM;
        goto no_file;
    }
    *g = (struct segment){.epoch = epoch,
                          .first = first,
                          .next = first,
                          .size = (uint64_t)st.st_size,
                          .written = instant_of_timespec(st.st_mtim)};
    segment_view_file(&view, fd, g->size);
    if (g->size >= SEGMENT_HEADER_SIZE) {
        const uint8_t *bytes = segment_view_get(&view, 0, SEGMENT_HEADER_SIZE);
        enum segment_verdict v =
            bytes ? segment_header_parse(bytes, SEGMENT_HEADER_SIZE, &header) : SEGMENT_DAMAGED;
        err = !bytes ? -ENOMEM : v == SEGMENT_NEWER_FORMAT ? -EPROTONOSUPPORT : 0;
        if (v == SEGMENT_OK && header.epoch == epoch && header.first == first) {
            g->previous = header.previous;
            g->flags = header.flags;
        }
        if (!err) {
            err = segment_scan(g, &view);
        }
    }
    segment_view_fini(&view);
    bool finished = !(g->flags & SEGMENT_REPLACES);
    for (size_t i = 0; i < s->superseded_count; i++) {
        finished |= s->superseded[i].by == epoch;
    }
    if (!err && finished && g->next > g->first) {
        *out = g;
    } else {
        spool_segment_free(g);
        if (!err && unlinkat(s->folder_fd, name, 0) != 0) {
            err = -errno;
        }
    }
no_file:
    if (fd >= 0) {
        close(fd);
    }
    return err;
}

static int
folder_load(struct spool *s)
{
    int fd = openat(s->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    int err = 0;

    if (!dir) {
        err = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    while (!err && (e = readdir(dir)) != NULL) {
        struct segment *segment = NULL;
        uint64_t epoch, first;
        if (!segment_name_parse(e->d_name, &epoch, &first)) {
            continue;
        }
        err = segment_load(s, e->d_name, epoch, first, &segment);
        if (err) {
            log_warnx("spool: %s: %s", e->d_name, strerror(-err));
        } else if (segment) {
            err = spool_segment_insert(s, segment);
            if (err) {
                spool_segment_free(segment);
            }
        }
    }
    closedir(dir);
    return err;
}

/* What a segment says of its end may be more than was given: the next one's
 * first sequence says how far it went. */
static void
segments_settle(struct spool *s)
{
    for (size_t i = 0; i < s->segment_count; i++) {
        struct segment *g = s->segments[i];
        const struct segment *after = i + 1 < s->segment_count ? s->segments[i + 1] : NULL;
        if (after && after->epoch == g->epoch && after->first < g->next) {
            g->next = after->first;
        }
        s->damaged += g->damaged;
        if (instant_before(s->covered, g->covered)) {
            s->covered = g->covered;
        }
    }
    if (s->segment_count > 0) {
        const struct segment *g = s->segments[s->segment_count - 1];
        s->counted = (struct position){g->epoch, g->next - 1};
    }
}

static int
epochs_put(struct spool *s, struct epoch_entry entry)
{
    struct epoch_entry *e = spool_epoch(s, entry.epoch);

    if (e) {
        if (e->next < entry.next) {
            e->next = entry.next;
        }
        if (entry.previous.epoch > 0) {
            e->previous = entry.previous;
        }
        e->own |= entry.own;
        return 0;
    }
    if (s->epoch_count == s->epoch_room) {
        size_t room = s->epoch_room ? s->epoch_room * 2 : 16;
        struct epoch_entry *grown = reallocarray(s->epochs, room, sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        s->epochs = grown;
        s->epoch_room = room;
    }
    size_t i = s->epoch_count++;
    for (; i > 0 && s->epochs[i - 1].epoch > entry.epoch; i--) {
        s->epochs[i] = s->epochs[i - 1];
    }
    s->epochs[i] = entry;
    return 0;
}

static void
epochs_cut(struct spool *s, const struct superseded *r)
{
    for (size_t i = s->epoch_count; i-- > 0;) {
        struct epoch_entry *e = s->epochs + i;
        if (!e->own || e->epoch < r->from.epoch || e->epoch > r->to.epoch) {
            continue;
        }
        uint64_t left = e->epoch == r->from.epoch ? r->from.sequence : 0;
        if (left > 0) {
            e->next = left < e->next ? left : e->next;
            continue;
        }
        s->epoch_count--;
        memmove(e, e + 1, (s->epoch_count - i) * sizeof(*e));
    }
}

/* Makes the table of known IDs from what is kept.  On -ENOMEM the table lacks
 * some. */
int
spool_epochs_rebuild(struct spool *s)
{
    const struct waiting *w;
    int err = 0;

    s->epoch_count = 0;
    for (size_t i = 0; !err && i < s->segment_count; i++) {
        const struct segment *g = s->segments[i];
        err = epochs_put(s, (struct epoch_entry){g->epoch, g->next, g->previous, true});
    }
    TAILQ_FOREACH(w, &s->waiting, entry)
    {
        err =
            err ? err
                : epochs_put(s, (struct epoch_entry){w->epoch, w->first + w->count, {0, 0}, true});
    }
    if (!err && s->epoch > 0) {
        err = epochs_put(s, (struct epoch_entry){s->epoch, s->next, s->previous, true});
    }
    size_t kept = s->epoch_count;
    if (!err && s->last_kept.epoch > 0) {
        err = epochs_put(
            s, (struct epoch_entry){s->last_kept.epoch, s->last_kept.sequence + 1, {0, 0}, false});
    }
    for (size_t i = 0; !err && i < s->epoch_count && kept > 0; i++) {
        struct position p = s->epochs[i].previous;
        if (p.epoch > 0) {
            /* It sorts before this one: step over it. */
            size_t before = s->epoch_count;
            err = epochs_put(s, (struct epoch_entry){p.epoch, p.sequence + 1, {0, 0}, false});
            i += s->epoch_count - before;
        }
    }
    for (size_t i = 0; i < s->superseded_count; i++) {
        epochs_cut(s, s->superseded + i);
    }
    return err;
}

struct epoch_entry *
spool_epoch(const struct spool *s, uint64_t epoch)
{
    size_t low = 0, high = s->epoch_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->epochs[mid].epoch < epoch) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < s->epoch_count && s->epochs[low].epoch == epoch ? s->epochs + low : NULL;
}

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
static int
ack_load(struct spool *s)
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

/* Writes the ack file; on error the old one is still there. */
int
spool_save(struct spool *s)
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

static int
folder_open(struct spool *s, const char *folder)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    s->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->folder_fd < 0) {
        return -errno;
    }
    s->lock_fd = openat(s->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return -errno;
    }
    return 0;
}

int
spool_open(struct spool **out, const struct spool_config *config)
{
    struct spool *s = calloc(1, sizeof(*s));
    int err;

    if (!s) {
        return -ENOMEM;
    }
    s->config = *config;
    s->config.folder = s->config.source = NULL;
    s->folder_fd = s->lock_fd = s->active_fd = s->reader.fd = -1;
    TAILQ_INIT(&s->waiting);
    s->source = strdup(config->source);
    err = s->source ? folder_open(s, config->folder) : -ENOMEM;
    if (!err) {
        err = ack_load(s);
    }
    if (!err) {
        err = folder_load(s);
    }
    if (!err) {
        segments_settle(s);
        err = spool_epochs_rebuild(s);
    }
    if (err) {
        spool_close(s);
        return err;
    }
    *out = s;
    return 0;
}

void
spool_close(struct spool *s)
{
    struct waiting *w;

    if (!s) {
        return;
    }
    if (s->lock_fd >= 0) {
        spool_sync(s);
    }
    spool_close_active(s);
    spool_reader_reset(s);
    while ((w = TAILQ_FIRST(&s->waiting)) != NULL) {
        spool_waiting_free(s, w);
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        spool_segment_free(s->segments[i]);
    }
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    if (s->folder_fd >= 0) {
        close(s->folder_fd);
    }
    free(s->segments);
    free(s->epochs);
    free(s->made);
    free(s->source);
    free(s);
}

struct position
spool_last(const struct spool *s)
{
    for (size_t i = s->epoch_count; i-- > 0;) {
        if (s->epochs[i].next > 0) {
            return (struct position){s->epochs[i].epoch, s->epochs[i].next - 1};
        }
    }
    return (struct position){0, 0};
}

struct position
spool_acked(const struct spool *s)
{
    return s->acked;
}

struct position
spool_upcoming(const struct spool *s)
{
    return (struct position){s->epoch, s->next};
}

struct position
spool_previous(const struct spool *s)
{
    return s->previous;
}

struct instant
spool_covered_until(const struct spool *s)
{
    return s->covered;
}

bool
spool_knows(const struct spool *s, struct position p)
{
    const struct epoch_entry *e = spool_epoch(s, p.epoch);
    return e && p.sequence < e->next;
}

/* Whether every record of it is acknowledged or goes by another ID now. */
bool
spool_segment_let_go(const struct spool *s, const struct segment *g)
{
    struct position first = {g->epoch, g->first}, last = {g->epoch, g->next - 1};

    if (g->next == g->first) {
        return false;
    }
    if (position_compare(last, s->acked) <= 0) {
        return true;
    }
    for (size_t i = 0; i < s->superseded_count; i++) {
        const struct superseded *r = s->superseded + i;
        struct position from = position_before(r->from);
        bool covered =
            position_compare(s->acked, from) >= 0 || position_compare(first, r->from) >= 0;
        if (covered && position_compare(last, r->from) >= 0 && position_compare(last, r->to) <= 0) {
            return true;
        }
    }
    return false;
}

/* Forgets a superseded range once nothing of it is kept. */
static void
superseded_prune(struct spool *s)
{
    for (size_t i = s->superseded_count; i-- > 0;) {
        const struct superseded *r = s->superseded + i;
        bool kept = false;
        for (size_t k = 0; k < s->segment_count && !kept; k++) {
            const struct segment *g = s->segments[k];
            /* Those that stand in need the range, to be known as finished. */
            kept = (g->epoch == r->by && g->flags & SEGMENT_REPLACES) ||
                   (position_compare((struct position){g->epoch, g->next}, r->from) > 0 &&
                    position_compare((struct position){g->epoch, g->first}, r->to) <= 0);
        }
        if (!kept) {
            s->superseded_count--;
            s->superseded[i] = s->superseded[s->superseded_count];
        }
    }
}

static void
let_go(struct spool *s, struct instant now)
{
    uint64_t acked_bytes = 0;
    size_t count = s->segment_count;

    for (size_t i = 0; i < s->segment_count; i++) {
        const struct segment *g = s->segments[i];
        acked_bytes += g != s->active && spool_segment_let_go(s, g) ? g->size : 0;
    }
    for (size_t i = 0; i < s->segment_count;) {
        const struct segment *g = s->segments[i];
        bool old = instant_sub(now, g->written).ns > s->config.keep.ns;
        if (g != s->active && spool_segment_let_go(s, g) &&
            (old || acked_bytes > s->config.keep_bytes)) {
            acked_bytes -= g->size;
            spool_segment_delete(s, i);
        } else {
            i++;
        }
    }
    if (s->segment_count != count) {
        superseded_prune(s);
        s->last_kept = spool_last(s);
        if (spool_epochs_rebuild(s) != 0) {
            log_warnx("spool: out of memory");
        }
    }
}

int
spool_ack(struct spool *s, struct position acked, struct instant now)
{
    struct waiting *w;
    int err = 0;

    if (position_compare(acked, s->acked) > 0) {
        s->acked = acked;
        err = spool_save(s);
        if (err) {
            s->last_errno = -err;
        }
    }
    /* What was dropped and is acknowledged needs no tombstone on disk. */
    while ((w = TAILQ_FIRST(&s->waiting)) != NULL && w->dropped &&
           position_compare((struct position){w->epoch, w->first + w->count - 1}, s->acked) <= 0) {
        spool_waiting_free(s, w);
    }
    let_go(s, now);
    return err;
}

void
spool_health(const struct spool *s, struct spool_health *out)
{
    *out = (struct spool_health){
        .in_memory = s->waiting_count,
        .damaged = s->damaged,
        .dropped = s->dropped,
        .disk_full = s->disk_full,
        .last_errno = s->last_errno,
    };
    for (size_t i = 0; i < s->segment_count; i++) {
        out->bytes += s->segments[i]->size;
    }
    for (size_t i = 0; i < s->epoch_count; i++) {
        const struct epoch_entry *e = s->epochs + i;
        if (!e->own || e->epoch < s->acked.epoch) {
            continue;
        }
        uint64_t from = e->epoch == s->acked.epoch ? s->acked.sequence + 1 : 0;
        out->unacked += e->next > from ? e->next - from : 0;
    }
}
