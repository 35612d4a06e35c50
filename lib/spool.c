/* spool.c - a spool as a whole: opening, acknowledging, letting go, health. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"

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
        err = spool_ackfile_load(s);
    }
    if (!err) {
        err = spool_segments_load(s);
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
        err = spool_ackfile_save(s);
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
