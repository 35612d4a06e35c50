/* spool_read.c - the reading half of a spool: the record after a position, or a
 * tombstone where there is none any more. */
#include <errno.h>
#include <fcntl.h>

#include "spool_parts.h"
#include "telemetry.pb-c.h"

#define REASON(x) PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__##x

/* A span for what lies between two neighbours (until 0: that one is not known
 * or covers nothing).  Where they overlap, as batches of sessions of unequal
 * Tmax do, what was between them may have had any of both. */
static void
span_between(struct instant before_from, struct instant before_until, struct instant after_from,
             struct instant after_until, struct instant *from, struct instant *until)
{
    bool both = before_until.ns != 0 && after_until.ns != 0;
    bool overlap = both && instant_before(after_from, before_until);

    *from = overlap ? before_from : before_until;
    *until = after_until.ns == 0 ? after_until : overlap ? after_until : after_from;
}

/* The first ID after 'after' that is known to have been given. */
static bool
id_after(const struct spool *s, struct position after, struct position *out)
{
    if (after.epoch == 0) {
        /* The first kept. */
        for (size_t i = 0; i < s->segment_count; i++) {
            const struct segment *g = s->segments[i];
            if (g->next > g->first && spool_knows(s, (struct position){g->epoch, g->first})) {
                *out = (struct position){g->epoch, g->first};
                return true;
            }
        }
        const struct waiting *w = TAILQ_FIRST(&s->waiting);
        if (w) {
            *out = (struct position){w->epoch, w->first};
        }
        return w != NULL;
    }
    for (size_t i = 0; i < s->epoch_count; i++) {
        const struct epoch_entry *e = s->epochs + i;
        uint64_t from = 0;
        if (e->epoch < after.epoch || e->next == 0) {
            continue;
        }
        if (e->epoch == after.epoch) {
            if (after.sequence >= e->next - 1) {
                continue;
            }
            from = after.sequence + 1;
        }
        *out = (struct position){e->epoch, from};
        return true;
    }
    return false;
}

/* The number of segments that begin at or before 'id'. */
static size_t
segments_until(const struct spool *s, struct position id)
{
    size_t low = 0, high = s->segment_count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        struct position first = {s->segments[mid]->epoch, s->segments[mid]->first};
        if (position_compare(first, id) <= 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool
holds(const struct segment_item *item, uint64_t sequence)
{
    return sequence >= item->first && sequence - item->first < item->count;
}

/* The nearest span before and after a place, over the borders of segments. */
static void
neighbours(struct spool *s, size_t next_segment, struct instant *before_from,
           struct instant *before_until, struct instant *after_from, struct instant *after_until)
{
    for (size_t i = next_segment; before_until->ns == 0 && i-- > 0;) {
        *before_from = s->segments[i]->tail_from;
        *before_until = s->segments[i]->tail_until;
    }
    for (size_t i = next_segment; after_until->ns == 0 && i < s->segment_count; i++) {
        *after_from = s->segments[i]->head_from;
        *after_until = s->segments[i]->head_until;
    }
    if (after_until->ns == 0) {
        const struct waiting *w = TAILQ_FIRST(&s->waiting);
        *after_from = w ? w->from : *after_from;
        *after_until = w ? w->until : *after_until;
    }
}

/* Walks the segment that the reader stands in once more, for what covered
 * something before and after the item that it stands on. */
static int
gap_span(struct spool *s)
{
    struct spool_reader *r = &s->reader;
    struct segment_walk walk = {.view = &r->view,
                                .epoch = r->segment->epoch,
                                .at = SEGMENT_HEADER_SIZE,
                                .expected = r->segment->first};
    struct instant span[4] = {{0}, {0}, {0}, {0}};
    struct segment_item item;
    size_t i = 0;
    int err;

    while ((err = segment_walk_next(&walk, &item)) > 0) {
        if (!item.whole || item.header.until.ns == 0) {
            continue;
        }
        if (item.first < r->item.first) {
            span[0] = item.header.from;
            span[1] = item.header.until;
        } else {
            span[2] = item.header.from;
            span[3] = item.header.until;
            break;
        }
    }
    while (i < s->segment_count && s->segments[i] != r->segment) {
        i++;
    }
    /* What this segment has is nearer than what its neighbours have. */
    struct instant outer[4] = {{0}, {0}, {0}, {0}};
    neighbours(s, i, outer, outer + 1, outer + 2, outer + 3);
    if (span[1].ns == 0) {
        span[0] = outer[0];
        span[1] = outer[1];
    }
    if (span[3].ns == 0) {
        outer[2].ns = outer[3].ns = 0;
        neighbours(s, i + 1, outer, outer + 1, outer + 2, outer + 3);
        span[2] = outer[2];
        span[3] = outer[3];
    }
    span_between(span[0], span[1], span[2], span[3], &r->gap_from, &r->gap_until);
    return err < 0 ? err : 0;
}

/* Opens 'segment' for the reader, and goes to the mark before 'sequence'. */
static int
reader_seek(struct spool *s, struct segment *segment, uint64_t sequence)
{
    struct spool_reader *r = &s->reader;

    if (r->segment != segment) {
        char name[SPOOL_NAME_SIZE];
        spool_reader_reset(s);
        spool_segment_name(name, segment->epoch, segment->first);
        r->fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC);
        /* A file that cannot be opened any more reads as zeros: damaged. */
        segment_view_file(&r->view, r->fd, segment->size);
        r->segment = segment;
    }
    r->standing = false;
    r->walk = (struct segment_walk){.view = &r->view,
                                    .epoch = segment->epoch,
                                    .at = SEGMENT_HEADER_SIZE,
                                    .expected = segment->first};
    size_t low = 0, high = segment->mark_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (segment->marks[mid].sequence <= sequence) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low > 0) {
        r->walk.at = segment->marks[low - 1].at;
        r->walk.expected = segment->marks[low - 1].sequence;
    }
    return 0;
}

/* Makes the reader stand on the item that has 'sequence': 1, 0 if the segment's
 * bytes no longer have it, -ENOMEM. */
static int
reader_stand(struct spool *s, struct segment *segment, uint64_t sequence)
{
    struct spool_reader *r = &s->reader;
    bool onward = r->segment == segment && r->walk.expected <= sequence;
    int err = 1;

    if (r->segment == segment) {
        r->view.size = segment->size;
        if (r->standing && holds(&r->item, sequence)) {
            return 1;
        }
    }
    if (!onward) {
        err = reader_seek(s, segment, sequence);
        if (err) {
            return err;
        }
    }
    r->standing = false;
    while ((err = segment_walk_next(&r->walk, &r->item)) > 0 && !holds(&r->item, sequence)) {
    }
    if (err <= 0) {
        r->walk.expected = UINT64_MAX; /* Not onward from here. */
        return err;
    }
    r->standing = true;
    return r->item.whole ? 1 : (err = gap_span(s)) < 0 ? err : 1;
}

static void
count_damaged(struct spool *s, struct position id)
{
    if (position_compare(id, s->counted) > 0) {
        s->counted = id;
        s->damaged++;
    }
}

/* Reads from 'segment', which has 'id'. */
static int
read_disk(struct spool *s, struct segment *segment, struct position id, struct spool_record *out)
{
    const struct segment_item *item = &s->reader.item;
    const uint8_t *bytes = NULL;
    int err = 0;
    int found = reader_stand(s, segment, id.sequence);

    if (found < 0) {
        return found;
    }
    if (found == 0) {
        count_damaged(s, id);
        return spool_tombstone(s, id, segment->head_from, segment->tail_until, REASON(DAMAGED),
                               out);
    }
    if (item->whole) {
        bytes = segment_payload(&s->reader.view, item, &err);
    }
    if (err) {
        return err;
    }
    if (!bytes) {
        struct instant from = item->whole ? item->header.from : s->reader.gap_from;
        struct instant until = item->whole ? item->header.until : s->reader.gap_until;
        if (item->whole && until.ns == 0) {
            /* It covered nothing: an empty span, not an open one. */
            from.ns = until.ns = 1;
        }
        count_damaged(s, id);
        return spool_tombstone(s, id, from, until, REASON(DAMAGED), out);
    }
    *out = (struct spool_record){.position = id,
                                 .bytes = bytes,
                                 .size = item->header.size,
                                 .from = item->header.from,
                                 .until = item->header.until,
                                 .tombstone = (item->header.flags & RECORD_TOMBSTONE) != 0};
    return 0;
}

static int
read_waiting(struct spool *s, const struct waiting *w, struct position id, struct spool_record *out)
{
    if (w->dropped) {
        struct instant one = {1};
        bool none = w->until.ns == 0;
        return spool_tombstone(s, id, none ? one : w->from, none ? one : w->until,
                               REASON(DISK_FULL), out);
    }
    *out = (struct spool_record){
        .position = id, .bytes = w->bytes, .size = w->size, .from = w->from, .until = w->until};
    return 0;
}

static struct waiting *
find_waiting(struct spool *s, struct position id)
{
    struct waiting *w = s->reader.hint;

    if (w && position_compare((struct position){w->epoch, w->first}, id) > 0) {
        w = NULL;
    }
    for (w = w ? w : TAILQ_FIRST(&s->waiting); w; w = TAILQ_NEXT(w, entry)) {
        if (position_compare((struct position){w->epoch, w->first}, id) > 0) {
            return NULL;
        }
        if (w->epoch == id.epoch && id.sequence - w->first < w->count) {
            s->reader.hint = w;
            return w;
        }
    }
    return NULL;
}

int
spool_next(struct spool *s, struct position after, struct spool_record *out)
{
    struct position id;
    int err;

    if (!id_after(s, after, &id)) {
        return 0;
    }
    const struct waiting *w = find_waiting(s, id);
    size_t i = segments_until(s, id);
    struct segment *segment = i > 0 ? s->segments[i - 1] : NULL;
    if (w) {
        err = read_waiting(s, w, id, out);
    } else if (segment && segment->epoch == id.epoch && id.sequence < segment->next) {
        err = read_disk(s, segment, id, out);
    } else {
        struct instant span[4] = {{0}, {0}, {0}, {0}}, from, until;
        bool acked = position_compare(id, s->acked) <= 0;
        neighbours(s, i, span, span + 1, span + 2, span + 3);
        span_between(span[0], span[1], span[2], span[3], &from, &until);
        err = spool_tombstone(s, id, from, until, acked ? REASON(EXPIRED) : REASON(DAMAGED), out);
    }
    return err ? err : 1;
}
