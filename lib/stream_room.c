/* stream_room.c - whether there is room for the next entry within the bound of a
 * stream.  quota.h says why that cannot be wrong for long. */
#include <inttypes.h>

#include "log.h"
#include "stream_parts.h"

/* Entries that do not say which time they are of (tombstones) are passed over, so many. */
#define BLANK_MAX 1024u

/* Counts what the stream holds up to the cursor, from the spool, and no further than
 * is needed to know that it is too much. */
static void
count_stream(struct stream *s)
{
    struct spool_record r;

    while (!quota_has(&s->quota, s->cursor) && quota_fits(&s->quota, 0) &&
           spool_next(s->spool, s->quota.high, &r) == 1 &&
           position_compare(r.position, s->cursor) <= 0) {
        quota_count(&s->quota, s->quota.high, &r);
    }
}

/* Whether what waits uncommitted, with 'next', is no more than a collector needs to
 * commit again: so much from the oldest entry, and from the begin of an epoch, on. */
static bool
is_short(struct stream *s, const struct spool_record *next)
{
    struct position at = s->quota.low;
    struct spool_record oldest;

    if (at.epoch < next->position.epoch) {
        at = position_before((struct position){next->position.epoch, 0});
    }
    for (unsigned i = 0; i < BLANK_MAX; i++) {
        if (spool_next(s->spool, at, &oldest) != 1) {
            return true;
        }
        if (oldest.until.ns > 1) {
            struct instant from = oldest.from.ns ? oldest.from : oldest.until;
            return quota_stretch(&s->quota, from, next->until).ns <= s->bytes_for.ns;
        }
        at = oldest.position;
    }
    return true;
}

bool
stream_has_room(struct stream *s, const struct spool_record *next)
{
    count_stream(s);
    bool room = quota_fits(&s->quota, next->size) || is_short(s, next);
    if (!room && !s->health.is_full) {
        s->health.full++;
        if (log_bucket_pass(&s->full_bucket, mono_now())) {
            log_warnx("stream %s: %" PRIu64 " bytes up to %" PRIu64 "-%" PRIu64
                      " wait in it uncommitted, its bound; the spool keeps what follows until the "
                      "collector has caught up",
                      s->source, s->quota.bytes, s->cursor.epoch, s->cursor.sequence);
        }
    }
    s->health.is_full = !room;
    return room;
}

/* What the stream holds reaches from its first entry to the cursor.  Where the cursor is
 * beyond the last entry all of it is committed, and about to go. */
void
stream_measure(struct stream *s, const struct stream_view *view)
{
    struct position low = s->cursor;

    if (view->has_first && position_compare(view->top, s->cursor) >= 0) {
        struct position before = position_before(view->first);
        bool known = position_compare(view->ack.committed, before) > 0;
        low = known ? view->ack.committed : before;
    }
    quota_place(&s->quota, low, s->cursor);
}
