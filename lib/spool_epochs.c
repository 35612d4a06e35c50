/* spool_epochs.c - which IDs a spool has given: the table of epochs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spool_parts.h"

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

bool
spool_knows(const struct spool *s, struct position p)
{
    const struct epoch_entry *e = spool_epoch(s, p.epoch);
    return e && p.sequence < e->next;
}
