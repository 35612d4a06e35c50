/* patience.h - how long packets may wait for company before the timing thread takes them.
 *
 * The kernel has the times of packets already, so under load they may wait: each system call then
 * serves many.  For timing.c, once a round, and so inline.  Takes 'now'; does no I/O. */
#ifndef PLUMBLINE_PATIENCE_H
#define PLUMBLINE_PATIENCE_H

#include <stdint.h>

#include "nstime.h"

#define PATIENCE_MAX_NS NS_PER_MS
#define PATIENCE_WINDOW_NS (10 * NS_PER_MS)

/* Zeros to begin with. */
struct patience {
    struct span wait;         /* From one receiving round to the next. */
    struct span counted_from; /* Monotonic; packets since then. */
    uint64_t counted;
};

/* Learns that 'taken' packets came until 'mono'.  Waits as long as 32 of them need to come, at most
 * a millisecond; not at all when less than two would come in that. */
static inline void
patience_learn(struct patience *p, struct span mono, unsigned taken)
{
    int64_t passed = mono.ns - p->counted_from.ns;

    p->counted += taken;
    if (passed < PATIENCE_WINDOW_NS) {
        return;
    }
    int64_t wait = p->counted > 0 ? 32 * passed / (int64_t)p->counted : INT64_MAX;
    if (wait > 16 * PATIENCE_MAX_NS) {
        wait = 0;
    } else if (wait > PATIENCE_MAX_NS) {
        wait = PATIENCE_MAX_NS;
    }
    p->wait = span_of_ns(wait);
    p->counted = 0;
    p->counted_from = mono;
}

#endif
