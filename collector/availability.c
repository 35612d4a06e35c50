/* availability.c - the sliding window in constant time for each delta-t, and high loss intervals.
 */
#include "availability.h"

#include <assert.h>

#define MILLI_PERCENT 100000

/* Two counters of 64 bits multiply to 128. */
__extension__ typedef unsigned __int128 availability_u128;

struct availability
availability_begin(bool available)
{
    return (struct availability){.available = available};
}

enum availability_input
availability_input(struct availability_params p, uint64_t sent, uint64_t lost)
{
    if (!sent) {
        return AVAILABILITY_NONE;
    }
    /* lost / sent > c_milli / MILLI_PERCENT, exactly. */
    bool bad = (availability_u128)lost * MILLI_PERCENT > (availability_u128)sent * p.c_milli;
    return bad ? AVAILABILITY_BAD : AVAILABILITY_GOOD;
}

uint64_t
availability_add(struct availability *a, struct availability_params p,
                 enum availability_input input, uint64_t count, uint64_t *flip_at)
{
    assert(a->run < p.n && count <= UINT64_MAX - p.n);
    *flip_at = 0;
    if (!count) {
        return 0;
    }
    enum availability_input opposing = a->available ? AVAILABILITY_BAD : AVAILABILITY_GOOD;
    uint64_t pending = a->run + count;
    if (input != opposing) {
        a->run = 0;
        *flip_at = pending;
        return pending;
    }
    if (pending < p.n) {
        a->run = (uint32_t)pending;
        return 0;
    }
    /* Those after the first n agree with the new state: no further change can hide in one call. */
    a->available = !a->available;
    a->run = 0;
    return pending;
}

uint64_t
availability_touched(struct availability_params p, uint64_t k)
{
    assert(p.n >= 1);
    return k < p.n ? 0 : k - (p.n - 1);
}

void
high_loss_add(struct high_loss *h, uint32_t p, bool is_high_loss, struct high_loss_counts *counts)
{
    assert(p >= 1);
    if (!is_high_loss) {
        h->run = 0;
        return;
    }
    counts->intervals++;
    if (h->run >= p) {
        counts->run_intervals++; /* 'run' stays at p, which says all that is needed. */
    } else if (++h->run == p) {
        counts->runs++;
        counts->run_intervals += p;
    }
}
