/* hist_store.c - buckets of a histogram in memory. */
#include "hist_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 8u

struct chunk *
hist_dense_chunk(struct dense *d, uint32_t slot)
{
    struct chunk *c;

    if (d->used == d->room) {
        uint16_t room = (uint16_t)(d->room ? 2u * d->room : ROOM_FIRST);
        struct chunk *more = realloc(d->chunks, room * sizeof *more);
        if (!more) {
            return NULL;
        }
        d->chunks = more;
        d->room = room;
    }
    c = &d->chunks[d->used++];
    memset(c, 0, sizeof *c);
    c->slot = slot;
    d->directory[slot] = d->used;
    d->low = slot < d->low ? slot : d->low;
    d->high = slot >= d->high ? slot + 1 : d->high;
    return c;
}

void
hist_dense_take(struct hist *h, int32_t index, uint64_t count)
{
    uint32_t biased = (uint32_t)(index + half_of(h->layout));
    struct chunk *c = hist_dense_find(h->dense, biased);

    c->counts[biased % CHUNK] -= count;
    if (c->counts[biased % CHUNK] == 0) {
        c->present &= ~(UINT64_C(1) << biased % CHUNK);
        h->buckets--;
    }
}

int
hist_make_dense(struct hist *h)
{
    size_t slots = 2u * (uint32_t)half_of(h->layout) / CHUNK;
    uint32_t filled = h->buckets;
    struct dense *d;

    if (h->dense) {
        return 0;
    }
    d = calloc(1, sizeof *d + slots * sizeof d->directory[0]);
    if (!d) {
        return -ENOMEM;
    }
    d->low = UINT32_MAX;
    h->dense = d;
    h->buckets = 0;
    for (uint32_t i = 0; i < filled; i++) {
        if (!hist_dense_add(h, h->sparse[i].index, h->sparse[i].count)) {
            free(d->chunks);
            free(d);
            h->dense = NULL;
            h->buckets = filled;
            return -ENOMEM;
        }
    }
    free(h->sparse);
    h->sparse = NULL;
    h->room = 0;
    return 0;
}

/* Makes room for 'buckets' (<= HIST_SPARSE_MAX) in the sorted array. */
static int
sparse_reserve(struct hist *h, uint32_t buckets)
{
    uint32_t room = h->room ? h->room : ROOM_FIRST;
    struct bucket *more;

    if (buckets <= h->room) {
        return 0;
    }
    while (room < buckets) {
        room += room / 2;
    }
    room = room > HIST_SPARSE_MAX ? HIST_SPARSE_MAX : room;
    more = realloc(h->sparse, room * sizeof *more);
    if (!more) {
        return -ENOMEM;
    }
    h->sparse = more;
    h->room = room;
    return 0;
}

/* Whether adding 'from' stays in the sorted array: '*both' is how many buckets
 * there would be. */
static bool
sparse_fits(const struct hist *h, const struct bucket *from, uint32_t n, uint32_t *both)
{
    uint32_t i = 0, j = 0, same = 0;

    while (i < h->buckets && j < n) {
        if (h->sparse[i].index == from[j].index) {
            if (h->sparse[i].count > UINT32_MAX - from[j].count) {
                return false;
            }
            same++;
            i++;
            j++;
        } else if (h->sparse[i].index < from[j].index) {
            i++;
        } else {
            j++;
        }
    }
    *both = h->buckets + n - same;
    return *both <= HIST_SPARSE_MAX;
}

/* Adds sorted buckets to the sorted array, from the top down so that nothing is
 * overwritten before it is read. */
static void
sparse_merge(struct hist *h, const struct bucket *from, uint32_t n, uint32_t both)
{
    uint32_t i = h->buckets;

    for (uint32_t k = both; n > 0; k--) {
        if (i > 0 && h->sparse[i - 1].index > from[n - 1].index) {
            h->sparse[k - 1] = h->sparse[--i];
        } else if (i > 0 && h->sparse[i - 1].index == from[n - 1].index) {
            struct bucket sum = h->sparse[--i];
            sum.count += from[--n].count;
            h->sparse[k - 1] = sum;
        } else {
            h->sparse[k - 1] = from[--n];
        }
    }
    h->buckets = both;
}

int
hist_add_sorted(struct hist *h, const struct bucket *from, uint32_t n, uint64_t total)
{
    uint32_t both;

    if (!h->dense && sparse_fits(h, from, n, &both)) {
        if (sparse_reserve(h, both)) {
            return -ENOMEM;
        }
        sparse_merge(h, from, n, both);
    } else {
        if (hist_make_dense(h)) {
            return -ENOMEM;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (!hist_dense_add(h, from[i].index, from[i].count)) {
                while (i-- > 0) {
                    hist_dense_take(h, from[i].index, from[i].count);
                }
                return -ENOMEM;
            }
        }
    }
    h->count += total;
    return 0;
}
