/* counter.h - named counters: what went wrong, or by, and how often.
 *
 * After nstime.h.  A module owns an array of counters indexed by an enum and a
 * table of their names; the thread that owns the module adds, any thread may
 * read.  Names are snake_case and stay: liveness, status and metrics show
 * them. */
#ifndef PLUMBLINE_COUNTER_H
#define PLUMBLINE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

/* One module's counters, for whoever lists them. */
struct counter_group {
    const char *name;         /* "reflector". */
    const char *const *names; /* 'count' of them. */
    struct counter *counters;
    unsigned count;
};

/* Only the owning thread adds, so a plain load and store are enough. */
static inline void
counter_add(struct counter *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, old + n, memory_order_relaxed);
}

/* For sums that are made anew. */
static inline void
counter_set(struct counter *c, uint64_t n)
{
    atomic_store_explicit(&c->value, n, memory_order_relaxed);
}

static inline uint64_t
counter_get(struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

#endif
