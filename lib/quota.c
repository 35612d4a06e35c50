/* quota.c - how many bytes of a source wait in its stream. */
#include "quota.h"

#include <string.h>

void
quota_init(struct quota *q, uint64_t bound)
{
    memset(q, 0, sizeof *q);
    q->bound = bound;
}

static uint64_t
cost(size_t size)
{
    return (uint64_t)size + QUOTA_ENTRY_BYTES;
}

/* Nothing is counted of what comes after 'low'. */
static void
begin_at(struct quota *q, struct position low)
{
    quota_init(q, q->bound);
    q->low = q->high = low;
}

void
quota_acked(struct quota *q, struct position p)
{
    if (position_compare(p, q->low) <= 0) {
        return;
    }
    if (position_compare(p, q->high) >= 0) {
        begin_at(q, p);
        return;
    }
    q->low = p;
    while (q->count > 0 && position_compare(q->runs[q->first].last, p) <= 0) {
        q->bytes -= q->runs[q->first].bytes;
        q->first = (q->first + 1) % QUOTA_SLOTS;
        q->count--;
    }
}

void
quota_place(struct quota *q, struct position low, struct position top)
{
    if (position_compare(low, q->low) < 0 || position_compare(top, q->high) < 0) {
        begin_at(q, low);
    } else {
        quota_acked(q, low);
    }
}

void
quota_count(struct quota *q, struct position after, const struct spool_record *r)
{
    if (q->bound == 0 || position_compare(r->position, q->high) <= 0 || !quota_has(q, after)) {
        return;
    }
    unsigned newest = (q->first + q->count - 1) % QUOTA_SLOTS;
    /* With no slot left the newest run grows: the count stays right, and what it
     * holds is let go of later. */
    if (q->count == 0 ||
        (q->runs[newest].bytes >= q->bound / QUOTA_RUNS && q->count < QUOTA_SLOTS)) {
        newest = (q->first + q->count++) % QUOTA_SLOTS;
        q->runs[newest].bytes = 0;
    }
    q->runs[newest].last = q->high = r->position;
    q->runs[newest].bytes += cost(r->size);
    q->bytes += cost(r->size);
    q->until = instant_before(q->until, r->until) ? r->until : q->until;
}

bool
quota_has(const struct quota *q, struct position p)
{
    return q->bound == 0 || position_compare(p, q->high) <= 0;
}

bool
quota_fits(const struct quota *q, size_t size)
{
    return q->bound == 0 || q->bytes == 0 || q->bytes + cost(size) <= q->bound;
}

struct span
quota_stretch(const struct quota *q, struct instant from, struct instant until)
{
    struct instant end = instant_before(q->until, until) ? until : q->until;

    return span_of_ns(instant_before(from, end) ? instant_sub(end, from).ns : 0);
}
