/* hist_store.h - where a histogram keeps its buckets: a small sorted array while few are filled,
 * chunks of 64 counters behind a directory once there are more.
 *
 * After hist_parts.h; for the files of hist.h only.  What is done for each bucket is inline. */
#ifndef PLUMBLINE_HIST_STORE_H
#define PLUMBLINE_HIST_STORE_H

#include "hist_parts.h"

/* So many buckets are kept in the sorted array at most. */
#define HIST_SPARSE_MAX 64u

/* Adds 'n' sorted buckets with 'total' samples: all or, on -ENOMEM, nothing. */
int hist_add_sorted(struct hist *h, const struct bucket *from, uint32_t n, uint64_t total);

/* Turns 'h' to chunks, with nothing changed for who looks from outside.  0 or -ENOMEM. */
int hist_make_dense(struct hist *h);

/* A cleared chunk for 'slot', which has none; NULL when memory is out. */
struct chunk *hist_dense_chunk(struct dense *d, uint32_t slot);

/* The chunk of a bucket and its bit in it; NULL when memory is out. */
static inline struct chunk *
hist_dense_find(struct dense *d, uint32_t biased)
{
    uint32_t slot = biased / CHUNK;
    uint16_t id = d->directory[slot];

    return id ? &d->chunks[id - 1] : hist_dense_chunk(d, slot);
}

/* false: memory is out, and nothing was added. */
static inline bool
hist_dense_add(struct hist *h, int32_t index, uint64_t count)
{
    uint32_t biased = (uint32_t)(index + half_of(h->layout));
    struct chunk *c = hist_dense_find(h->dense, biased);
    uint64_t before;

    if (!c) {
        return false;
    }
    before = c->counts[biased % CHUNK];
    h->buckets += before == 0;
    c->present |= UINT64_C(1) << biased % CHUNK;
    c->counts[biased % CHUNK] = before + count;
    return true;
}

/* Takes back what hist_dense_add() added. */
void hist_dense_take(struct hist *h, int32_t index, uint64_t count);

#endif
