/* hist_parts.h - what the files of hist.h share, and nobody else: the histogram itself, and the
 * words of its encoding.
 *
 * Each stands on those before it: hist_store.[ch] (buckets in memory), hist_packed.c (histograms
 * that are kept as they are encoded), hist.c. */
#ifndef PLUMBLINE_HIST_PARTS_H
#define PLUMBLINE_HIST_PARTS_H

#include <stdbool.h>

#include "hist.h"
#include "wire.h"

#define CHUNK 64u

/* Buckets of one sign, a multiple of CHUNK: the index of INT64_MAX is less. */
#define DELAY_HALF 25088
#define IFDV_HALF 1600

struct bucket {
    int32_t index;
    uint32_t count;
};

struct chunk {
    uint64_t present; /* Bit i: counts[i] is not 0. */
    uint32_t slot;    /* Its place in the directory. */
    uint64_t counts[CHUNK];
};

struct dense {
    uint32_t low, high; /* Slots in use lie in [low, high). */
    uint16_t used, room;
    struct chunk *chunks;
    uint16_t directory[]; /* 1 + number in 'chunks', 0: none. */
};

struct hist {
    enum hist_layout layout;
    uint32_t buckets; /* Not empty. */
    uint64_t count;   /* Samples. */
    uint32_t room;    /* Of 'sparse'. */
    struct bucket *sparse;
    struct dense *dense; /* Not NULL: everything is in here, 'sparse' is NULL. */
    /* Of hist_new_packed(): everything is in here, as it is encoded. */
    bool is_packed;
    uint8_t *packed;
    uint32_t packed_size, packed_room;
};

static inline int32_t
half_of(enum hist_layout layout)
{
    return layout == HIST_DELAY ? DELAY_HALF : IFDV_HALF;
}

static inline int32_t
index_max(enum hist_layout layout)
{
    return layout == HIST_DELAY ? DELAY_HALF - 1 : 1568; /* That of INT64_MAX. */
}

/* The head of an encoding: '*n' buckets follow in 'r'. */
static inline enum hist_verdict
hist_read_head(struct rd *r, enum hist_layout layout, uint64_t *n)
{
    uint8_t byte = rd_u8(r);

    if (byte != HIST_DELAY && byte != HIST_IFDV) {
        return HIST_BAD_LAYOUT;
    }
    if (byte != (uint8_t)layout) {
        return HIST_OTHER_LAYOUT;
    }
    *n = rd_varint(r);
    if (!rd_ok(r)) {
        return HIST_SHORT;
    }
    if (*n == 0) {
        return HIST_BAD_COUNT;
    }
    return *n > r->left ? HIST_SHORT : HIST_OK;
}

/* What a walk over an encoding carries from bucket to bucket. */
struct decode {
    struct rd r;
    bool first;
    int32_t min, max; /* Valid indices. */
    int32_t index;
    uint64_t count;
    uint64_t total; /* Samples up to and with this bucket. */
};

static inline struct decode
hist_decode_of(const struct rd *r, enum hist_layout layout, uint64_t total)
{
    int32_t max = index_max(layout);
    return (struct decode){.r = *r, .first = true, .min = -1 - max, .max = max, .total = total};
}

static inline enum hist_verdict
hist_decode_next(struct decode *d)
{
    uint64_t v = rd_varint(&d->r);
    uint64_t step = v >> 1;
    uint64_t more = v & 1 ? rd_varint(&d->r) : 0;

    if (!rd_ok(&d->r)) {
        return HIST_SHORT;
    }
    if (d->first) {
        int64_t index = (int64_t)(step >> 1 ^ (0 - (step & 1)));
        if (index < d->min || index > d->max) {
            return HIST_BAD_ORDER;
        }
        d->index = (int32_t)index;
        d->first = false;
    } else {
        if (step >= (uint64_t)(d->max - d->index)) {
            return HIST_BAD_ORDER;
        }
        d->index += (int32_t)step + 1;
    }
    if (more > HIST_COUNT_MAX - 2) {
        return HIST_BAD_COUNT;
    }
    d->count = v & 1 ? more + 2 : 1;
    if (d->count > HIST_COUNT_MAX - d->total) {
        return HIST_BAD_COUNT;
    }
    d->total += d->count;
    return HIST_OK;
}

/* What stands for a bucket: its step from 'previous' (ignored for the first)
 * with the lowest bit telling whether a count follows. */
static inline uint64_t
hist_bucket_word(bool first, int32_t index, int32_t previous, uint64_t count)
{
    uint64_t step = first ? (uint64_t)(((int64_t)index * 2) ^ (index < 0 ? -1 : 0))
                          : (uint64_t)(index - previous - 1);
    return step << 1 | (count > 1);
}

static inline size_t
hist_varint_size(uint64_t v)
{
    return (size_t)(70 - (uint32_t)__builtin_clzll(v | 1)) / 7;
}

/* hist_packed.c: the sum of both, of a packed one; all or nothing. */
enum hist_verdict hist_packed_merge(struct hist *h, const void *bytes, size_t size);
/* The same of one value. */
int hist_packed_add(struct hist *h, int32_t index, uint64_t count);

#endif
