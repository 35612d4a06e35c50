/* spool_rebase.c - new IDs for what can no longer be sent under its own. */
#include <errno.h>

#include "spool_parts.h"

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
        struct spool_entry e = {.epoch = r->by,
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
            err = spool_write_record(s, &e);
        }
        if (err) {
            return err;
        }
        ++*next;
    }
    return err < 0 ? err : spool_sync_active(s);
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
        err = spool_ackfile_save(s);
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
    if (spool_write_waiting(s) != 0 || s->superseded_count == SPOOL_SUPERSEDED_MAX) {
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
        err = spool_write_record(s, &(struct spool_entry){.epoch = epoch,
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
