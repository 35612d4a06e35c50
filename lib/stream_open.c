/* stream_open.c - which epoch a source opens, and what becomes of records whose
 * IDs can no longer enter the stream. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "stream_parts.h"

/* The last of ours that need not be sent again for all we know. */
static struct position
done_with(const struct stream *s)
{
    return stream_higher(spool_acked(s->spool), s->taken);
}

bool
stream_in_conflict(struct stream *s, struct position highest)
{
    struct position upcoming = spool_upcoming(s->spool);
    struct spool_record r;

    if (highest.epoch == 0 || spool_knows(s->spool, highest)) {
        return false;
    }
    if (upcoming.epoch > 0 && position_compare(upcoming, highest) <= 0) {
        return true;
    }
    if (spool_knows(s->spool, (struct position){highest.epoch, 0})) {
        /* An old epoch of ours that went further than the disk remembers. */
        return false;
    }
    return spool_next(s->spool, done_with(s), &r) == 1 &&
           position_compare(r.position, highest) <= 0;
}

/* A batch that is EpochStart, and the dictionary of the epoch whose records
 * follow it. */
static uint8_t *
make_start(struct stream *s, uint64_t epoch, struct position previous, uint64_t old_epoch,
           size_t *size)
{
    Plumbline__Telemetry__Batch batch, *old = NULL;
    Plumbline__Telemetry__EpochStart start;
    struct spool_record r;

    plumbline__telemetry__batch__init(&batch);
    stream_epoch_start(s, &start);
    start.epoch = epoch;
    start.previous_epoch = previous.epoch;
    start.previous_last_sequence = previous.sequence;
    batch.format = TELEMETRY_FORMAT;
    batch.source = s->source;
    batch.made_at_ns = s->now().ns;
    batch.epoch_start = &start;
    if (spool_next(s->spool, position_before((struct position){old_epoch, 0}), &r) == 1 &&
        r.position.epoch == old_epoch && !r.tombstone) {
        old = plumbline__telemetry__batch__unpack(NULL, r.size, r.bytes);
    }
    if (old) {
        batch.n_sessions = old->n_sessions;
        batch.sessions = old->sessions;
        batch.serving = old->serving;
    }
    *size = plumbline__telemetry__batch__get_packed_size(&batch);
    uint8_t *bytes = malloc(*size);
    if (bytes) {
        plumbline__telemetry__batch__pack(&batch, bytes);
    }
    if (old) {
        plumbline__telemetry__batch__free_unpacked(old, NULL);
    }
    return bytes;
}

/* Only the first record of an epoch has an EpochStart; under a new ID it is no
 * longer that.  'aux' holds the last one made. */
static int
rewrite(void *aux, const struct spool_record *old, const uint8_t **bytes, size_t *size)
{
    uint8_t **made = aux;
    Plumbline__Telemetry__Batch *batch = NULL;

    *bytes = old->bytes;
    *size = old->size;
    if (old->position.sequence > 0) {
        return 0;
    }
    batch = plumbline__telemetry__batch__unpack(NULL, old->size, old->bytes);
    if (!batch) {
        return 0;
    }
    if (batch->epoch_start) {
        plumbline__telemetry__epoch_start__free_unpacked(batch->epoch_start, NULL);
        batch->epoch_start = NULL;
    }
    *size = plumbline__telemetry__batch__get_packed_size(batch);
    free(*made);
    *made = malloc(*size ? *size : 1);
    if (*made) {
        plumbline__telemetry__batch__pack(batch, *made);
        *bytes = *made;
    }
    plumbline__telemetry__batch__free_unpacked(batch, NULL);
    return *made ? 0 : -ENOMEM;
}

/* The epoch follows the last of ours that went, for a collector does not take
 * what somebody else wrote after that; if none did, then what Redis holds is our
 * own history, of which the spool was lost. */
static int
rebase(struct stream *s, uint64_t epoch, struct position highest)
{
    struct position after = done_with(s);
    struct position previous = after.epoch > 0 ? after : highest;
    struct spool_record first;
    uint8_t *made = NULL;
    size_t size;
    int err = spool_next(s->spool, after, &first);
    uint64_t old_epoch = err == 1 ? first.position.epoch : spool_last(s->spool).epoch;

    if (err < 0) {
        return err;
    }
    uint8_t *start = make_start(s, epoch, previous, old_epoch, &size);
    err = start ? spool_rebase(s->spool, epoch, previous, after, start, size, rewrite, &made)
                : -ENOMEM;
    free(start);
    free(made);
    return err;
}

static uint64_t
next_epoch(const struct stream *s, struct position highest)
{
    int64_t ns = s->now().ns;
    uint64_t epoch = ns > 0 ? (uint64_t)(ns / NS_PER_MS) : 1;
    uint64_t above[4] = {spool_last(s->spool).epoch, spool_acked(s->spool).epoch, highest.epoch,
                         spool_upcoming(s->spool).epoch};

    for (size_t i = 0; i < 4; i++) {
        epoch = above[i] >= epoch ? above[i] + 1 : epoch;
    }
    return epoch;
}

int
stream_open_epoch(struct stream *s, struct position highest)
{
    struct position last = stream_higher(spool_last(s->spool), spool_acked(s->spool));
    struct spool_record unsent;
    bool conflict = stream_in_conflict(s, highest);
    bool stranded = conflict && spool_next(s->spool, done_with(s), &unsent) == 1;
    int err = 0;

    if (highest.epoch == UINT64_MAX) {
        return -ERANGE;
    }
    uint64_t epoch = next_epoch(s, highest);
    if (stranded || (s->open && spool_upcoming(s->spool).sequence > 0)) {
        /* The stream goes from what somebody else wrote to this epoch. */
        err = rebase(s, epoch, highest);
        if (!err) {
            s->health.conflicts++;
        }
        if (!err || s->open) {
            return err;
        }
        /* Measuring begins all the same; it is tried again before sending. */
        log_warnx("stream %s: records keep their old IDs: %s", s->source, strerror(-err));
    } else if (s->open) {
        s->health.conflicts++;
    }
    err = spool_begin_epoch_after(s->spool, epoch, stream_higher(last, highest));
    assert(err != -EINVAL);
    if (err) {
        log_warnx("stream %s: epoch %llu begins in memory: %s", s->source,
                  (unsigned long long)epoch, strerror(-err));
    }
    return 0;
}
