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

bool
quota_fits(const struct quota *q, size_t size)
{
    return q->bound == 0 || q->bytes == 0 || q->bytes + cost(size) <= q->bound;
}

bool
quota_has(const struct quota *q, struct position p)
{
    return q->bound == 0 || position_compare(p, q->last) <= 0;
}

void
quota_sent(struct quota *q, struct position p, size_t size)
{
    if (q->bound == 0 || position_compare(p, q->last) <= 0) {
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
    q->runs[newest].last = q->last = p;
    q->runs[newest].bytes += cost(size);
    q->bytes += cost(size);
}

void
quota_acked(struct quota *q, struct position p)
{
    q->acked = p;
    while (q->count > 0 && position_compare(q->runs[q->first].last, p) <= 0) {
        q->bytes -= q->runs[q->first].bytes;
        q->first = (q->first + 1) % QUOTA_SLOTS;
        q->count--;
    }
}

struct position
quota_counted(const struct quota *q)
{
    return position_compare(q->last, q->acked) > 0 ? q->last : q->acked;
}

void
quota_reset(struct quota *q)
{
    struct position acked = q->acked;

    quota_init(q, q->bound);
    q->acked = acked;
}
