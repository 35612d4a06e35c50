/* ring.h - one bounded ring of exchanges from the timing thread to the
 * summarising thread: one producer, one consumer, no lock, no wake-up.
 *
 * After exchange.h.  The consumer polls (the timing thread must not pay for
 * waking it).  When the ring is full, events are dropped, counted, and told as
 * one EXCHANGE_OVERRUN as soon as there is room. */
#ifndef PLUMBLINE_RING_H
#define PLUMBLINE_RING_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "exchange.h"

struct ring {
    struct exchange *slots;
    uint32_t mask;
    /* The producer's. */
    _Alignas(64) _Atomic uint32_t tail;
    uint32_t head_seen;
    struct instant lost_since;
    bool losing;
    _Atomic uint64_t lost; /* Events, since ever; any thread may read. */
    /* The consumer's. */
    _Alignas(64) _Atomic uint32_t head;
    uint32_t tail_seen;
};

/* Room for 'capacity' events, a power of two.  NULL when memory is out. */
static inline struct ring *
ring_new(uint32_t capacity)
{
    struct ring *r = (struct ring *)aligned_alloc(64, (sizeof *r + 63) / 64 * 64);

    assert(capacity > 1 && (capacity & (capacity - 1)) == 0);
    if (!r) {
        return NULL;
    }
    *r = (struct ring){.mask = capacity - 1};
    r->slots = (struct exchange *)calloc((size_t)r->mask + 1, sizeof *r->slots);
    if (!r->slots) {
        free(r);
        return NULL;
    }
    return r;
}

static inline void
ring_free(struct ring *r)
{
    if (r) {
        free(r->slots);
        free(r);
    }
}

/* How many events it has room for. */
static inline uint32_t
ring_capacity(const struct ring *r)
{
    return r->mask + 1;
}

/* Producer: how many events fit now, at least. */
static inline uint32_t
ring_room(struct ring *r, uint32_t wanted)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t room = r->mask + 1 - (tail - r->head_seen);

    if (room < wanted) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        room = r->mask + 1 - (tail - r->head_seen);
    }
    return room;
}

static inline void
ring_store(struct ring *r, const struct exchange *e)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    r->slots[tail & r->mask] = *e;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

/* Producer: tells of what was dropped, once there is room.  Called before each
 * event, and now and then when there are none. */
static inline bool
ring_settle(struct ring *r, struct instant now)
{
    if (!r->losing) {
        return true;
    }
    if (ring_room(r, 2) < 2) {
        return false;
    }
    ring_store(
        r, &(struct exchange){
               .kind = EXCHANGE_OVERRUN, .session = UINT32_MAX, .at = now, .since = r->lost_since});
    r->losing = false;
    return true;
}

/* Producer: puts 'e' in, or drops and remembers it.  e->at is set. */
static inline bool
ring_put(struct ring *r, const struct exchange *e)
{
    if (ring_settle(r, e->at) && ring_room(r, 1) > 0) {
        ring_store(r, e);
        return true;
    }
    if (!r->losing) {
        r->losing = true;
        r->lost_since = e->at;
    }
    atomic_store_explicit(&r->lost, atomic_load_explicit(&r->lost, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return false;
}

/* Consumer: how many events are in it now. */
static inline uint32_t
ring_waiting(struct ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_acquire) -
           atomic_load_explicit(&r->head, memory_order_relaxed);
}

/* Consumer: takes the oldest event; false if there is none. */
static inline bool
ring_pop(struct ring *r, struct exchange *out)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head == r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head == r->tail_seen) {
            return false;
        }
    }
    *out = r->slots[head & r->mask];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return true;
}

static inline uint64_t
ring_lost(struct ring *r)
{
    return atomic_load_explicit(&r->lost, memory_order_relaxed);
}

#endif
