/* spool_waiting.c - what waits in memory while the disk is full, and its bound. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spool_parts.h"

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

int
spool_waiting_add(struct spool *s, const struct spool_entry *e)
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

void
spool_waiting_bound(struct spool *s)
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
