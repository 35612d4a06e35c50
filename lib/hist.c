/* hist.c - log-linear histograms: which bucket a value falls into; adding, merging, quantiles,
 * encoding.
 *
 * Most histograms live for one delta-t and hold ten samples: they cost a few
 * hundred bytes.  What merges many of them turns to chunks, where adding to a
 * bucket is two loads and a store (hist_store.h).  What there are very many of is
 * kept as it is encoded (hist_packed.c). */
#include "hist.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "hist_store.h"

static inline uint32_t
octave_shift(enum hist_layout layout)
{
    return layout == HIST_DELAY ? 9 : 5;
}

static inline uint64_t
floor_ns(enum hist_layout layout)
{
    return layout == HIST_DELAY ? 64 : 1000;
}

static int32_t
magnitude_bucket(enum hist_layout layout, uint64_t value)
{
    uint64_t units = value / floor_ns(layout);
    uint32_t shift = octave_shift(layout);
    uint32_t octave;

    if (units < UINT64_C(1) << shift) {
        return (int32_t)units;
    }
    octave = 63 - (uint32_t)__builtin_clzll(units) - shift;
    return (int32_t)((octave << shift) + (uint32_t)(units >> octave));
}

int32_t
hist_bucket_of(enum hist_layout layout, int64_t value_ns)
{
    return value_ns >= 0 ? magnitude_bucket(layout, (uint64_t)value_ns)
                         : -1 - magnitude_bucket(layout, (uint64_t)(-1 - value_ns));
}

/* First value of magnitude bucket 'i'; at most 2^63. */
static uint64_t
magnitude_lower(enum hist_layout layout, uint32_t i)
{
    uint32_t shift = octave_shift(layout);
    uint32_t octave = i >> shift;
    uint64_t units = i;
    uint64_t lower;

    if (octave > 0) {
        octave--;
        units = (uint64_t)(i - (octave << shift)) << octave;
    }
    if (__builtin_mul_overflow(units, floor_ns(layout), &lower) || lower > UINT64_C(1) << 63) {
        return UINT64_C(1) << 63;
    }
    return lower;
}

void
hist_bucket_bounds(enum hist_layout layout, int32_t index, int64_t *lower_ns, int64_t *upper_ns)
{
    uint32_t i = (uint32_t)(index >= 0 ? index : -1 - index);
    uint64_t lower = magnitude_lower(layout, i);
    uint64_t upper = magnitude_lower(layout, i + 1);

    if (index >= 0) {
        *lower_ns = (int64_t)lower;
        *upper_ns = upper > INT64_MAX ? INT64_MAX : (int64_t)upper;
    } else {
        *lower_ns = (int64_t)(0 - upper);
        *upper_ns = -(int64_t)lower;
    }
}

struct hist *
hist_new(enum hist_layout layout)
{
    struct hist *h = calloc(1, sizeof *h);

    if (h) {
        h->layout = layout;
    }
    return h;
}

struct hist *
hist_new_packed(enum hist_layout layout)
{
    struct hist *h = hist_new(layout);

    if (h) {
        h->is_packed = true;
    }
    return h;
}

void
hist_free(struct hist *h)
{
    if (!h) {
        return;
    }
    if (h->dense) {
        free(h->dense->chunks);
        free(h->dense);
    }
    free(h->sparse);
    free(h->packed);
    free(h);
}

void
hist_clear(struct hist *h)
{
    struct dense *d = h->dense;

    if (d) {
        for (uint16_t i = 0; i < d->used; i++) {
            d->directory[d->chunks[i].slot] = 0;
        }
        d->used = 0;
        d->low = UINT32_MAX;
        d->high = 0;
    }
    h->buckets = 0;
    h->count = 0;
    h->packed_size = 0;
}

/* Walks the buckets upwards. */
struct walk {
    const struct hist *h;
    uint32_t next; /* In 'sparse', or the slot after the current one. */
    uint64_t bits; /* Left of the current chunk. */
    const struct chunk *chunk;
    struct decode coded; /* Of a packed one; so many buckets are left. */
    uint32_t left;
};

static struct walk
walk_of(const struct hist *h)
{
    if (h->is_packed) {
        struct rd r = rd_of(h->packed, h->packed_size);
        uint64_t n = 0;
        enum hist_verdict v = h->packed_size ? hist_read_head(&r, h->layout, &n) : HIST_OK;
        assert(v == HIST_OK && n == h->buckets);
        (void)v;
        return (struct walk){.h = h, .coded = hist_decode_of(&r, h->layout, 0), .left = h->buckets};
    }
    return (struct walk){.h = h, .next = h->dense ? h->dense->low : 0};
}

/* The next of a packed one. */
static bool
walk_coded(struct walk *w, int32_t *index, uint64_t *count)
{
    if (w->left == 0) {
        return false;
    }
    enum hist_verdict v = hist_decode_next(&w->coded);
    assert(v == HIST_OK);
    (void)v;
    w->left--;
    *index = w->coded.index;
    *count = w->coded.count;
    return true;
}

static inline bool
walk_next(struct walk *w, int32_t *index, uint64_t *count)
{
    const struct dense *d = w->h->dense;

    if (w->h->is_packed) {
        return walk_coded(w, index, count);
    }
    if (!d) {
        if (w->next == w->h->buckets) {
            return false;
        }
        *index = w->h->sparse[w->next].index;
        *count = w->h->sparse[w->next++].count;
        return true;
    }
    while (!w->bits) {
        if (w->next >= d->high) {
            return false;
        }
        uint16_t id = d->directory[w->next++];
        if (id) {
            w->chunk = &d->chunks[id - 1];
            w->bits = w->chunk->present;
        }
    }
    uint32_t bit = (uint32_t)__builtin_ctzll(w->bits);
    w->bits &= w->bits - 1;
    *index = (int32_t)(w->chunk->slot * CHUNK + bit) - half_of(w->h->layout);
    *count = w->chunk->counts[bit];
    return true;
}

int
hist_add(struct hist *h, int64_t value_ns, uint64_t count)
{
    int32_t index = hist_bucket_of(h->layout, value_ns);

    if (count == 0) {
        return 0;
    }
    if (count > HIST_COUNT_MAX - h->count) {
        return -EOVERFLOW;
    }
    if (h->is_packed) {
        return hist_packed_add(h, index, count);
    }
    if (!h->dense && count <= UINT32_MAX) {
        struct bucket one = {.index = index, .count = (uint32_t)count};
        return hist_add_sorted(h, &one, 1, count);
    }
    if (hist_make_dense(h) || !hist_dense_add(h, index, count)) {
        return -ENOMEM;
    }
    h->count += count;
    return 0;
}

/* By their encodings; layouts and sums are fine. */
static int
merge_coded(struct hist *h, const struct hist *from)
{
    size_t size = from->is_packed ? 0 : hist_encoded_size(from);
    uint8_t *coded = size ? malloc(size) : NULL;
    enum hist_verdict v;

    if (size && !coded) {
        return -ENOMEM;
    }
    if (from->is_packed) {
        v = hist_merge_encoded(h, from->packed, from->packed_size);
    } else {
        v = hist_merge_encoded(h, coded, hist_encode(from, coded, size));
    }
    free(coded);
    assert(v == HIST_OK || v == HIST_NO_MEMORY);
    return v == HIST_OK ? 0 : -ENOMEM;
}

int
hist_merge(struct hist *h, const struct hist *from)
{
    struct walk w = walk_of(from);
    int32_t index;
    uint64_t count;

    if (h->layout != from->layout) {
        return -EINVAL;
    }
    if (from->count > HIST_COUNT_MAX - h->count) {
        return -EOVERFLOW;
    }
    if (h->is_packed || from->is_packed) {
        return merge_coded(h, from);
    }
    if (!from->dense) {
        return hist_add_sorted(h, from->sparse, from->buckets, from->count);
    }
    if (hist_make_dense(h)) {
        return -ENOMEM;
    }
    /* All the memory first, then nothing can fail half way. */
    for (uint16_t i = 0; i < from->dense->used; i++) {
        if (!hist_dense_find(h->dense, from->dense->chunks[i].slot * CHUNK)) {
            return -ENOMEM;
        }
    }
    while (walk_next(&w, &index, &count)) {
        bool added = hist_dense_add(h, index, count);
        assert(added);
        (void)added;
    }
    h->count += from->count;
    return 0;
}

enum hist_verdict
hist_check_encoded(enum hist_layout layout, const void *bytes, size_t size, uint64_t *count)
{
    struct rd r = rd_of(bytes, size);
    uint64_t n = 0;
    enum hist_verdict v;

    if (size == 0) {
        *count = 0;
        return HIST_OK;
    }
    v = hist_read_head(&r, layout, &n);
    if (v != HIST_OK) {
        return v;
    }
    struct decode d = hist_decode_of(&r, layout, 0);
    for (uint64_t i = 0; i < n && v == HIST_OK; i++) {
        v = hist_decode_next(&d);
    }
    if (v == HIST_OK && d.r.left) {
        v = HIST_TRAILING;
    }
    if (v == HIST_OK) {
        *count = d.total;
    }
    return v;
}

/* Few buckets into a sorted array: decoded aside first. */
static enum hist_verdict
merge_few(struct hist *h, const struct rd *r, uint32_t n)
{
    struct bucket few[HIST_SPARSE_MAX];
    struct decode d = hist_decode_of(r, h->layout, h->count);
    enum hist_verdict v = HIST_OK;
    bool small = true;

    assert(n <= HIST_SPARSE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        v = hist_decode_next(&d);
        if (v != HIST_OK) {
            return v;
        }
        small &= d.count <= UINT32_MAX;
        few[i] = (struct bucket){.index = d.index, .count = (uint32_t)d.count};
    }
    if (d.r.left) {
        return HIST_TRAILING;
    }
    if (!small) {
        return HIST_NO_MEMORY; /* The caller goes on with chunks. */
    }
    return hist_add_sorted(h, few, n, d.total - h->count) ? HIST_NO_MEMORY : HIST_OK;
}

/* Straight into the chunks; taken back if the rest is not good. */
static enum hist_verdict
merge_dense(struct hist *h, const struct rd *r, uint64_t n)
{
    struct decode d = hist_decode_of(r, h->layout, h->count);
    enum hist_verdict v = HIST_OK;
    uint64_t added = 0;

    while (added < n) {
        v = hist_decode_next(&d);
        if (v != HIST_OK) {
            break;
        }
        if (!hist_dense_add(h, d.index, d.count)) {
            v = HIST_NO_MEMORY;
            break;
        }
        added++;
    }
    if (v == HIST_OK && d.r.left) {
        v = HIST_TRAILING;
    }
    if (v == HIST_OK) {
        h->count = d.total;
        return HIST_OK;
    }
    d = hist_decode_of(r, h->layout, h->count);
    while (added-- > 0) {
        enum hist_verdict again = hist_decode_next(&d);
        assert(again == HIST_OK);
        (void)again;
        hist_dense_take(h, d.index, d.count);
    }
    return v;
}

enum hist_verdict
hist_merge_encoded(struct hist *h, const void *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    uint64_t n = 0;
    enum hist_verdict v;

    if (size == 0) {
        return HIST_OK;
    }
    if (h->is_packed) {
        return hist_packed_merge(h, bytes, size);
    }
    v = hist_read_head(&r, h->layout, &n);
    if (v != HIST_OK) {
        return v;
    }
    if (!h->dense && n <= HIST_SPARSE_MAX) {
        v = merge_few(h, &r, (uint32_t)n);
        if (v != HIST_NO_MEMORY) {
            return v;
        }
    }
    return hist_make_dense(h) ? HIST_NO_MEMORY : merge_dense(h, &r, n);
}

const char *
hist_verdict_name(enum hist_verdict v)
{
    static const char *const names[] = {"ok",        "short",     "bad_layout", "other_layout",
                                        "bad_order", "bad_count", "trailing",   "no_memory"};
    return (unsigned)v < sizeof names / sizeof names[0] ? names[v] : "?";
}

uint64_t
hist_count(const struct hist *h)
{
    return h->count;
}

int64_t
hist_quantile(const struct hist *h, uint32_t per_million, int64_t min_ns, int64_t max_ns)
{
    const uint64_t million = 1000000;
    struct walk w = walk_of(h);
    uint64_t rank, seen = 0, count = 0;
    int32_t index = 0;
    int64_t lower, upper, middle;

    assert(h->count > 0 && per_million >= 1 && per_million <= million);
    rank = h->count / million * per_million +
           (h->count % million * per_million + million - 1) / million;
    while (seen < rank && walk_next(&w, &index, &count)) {
        seen += count;
    }
    hist_bucket_bounds(h->layout, index, &lower, &upper);
    middle = lower + (upper - lower) / 2;
    return middle < min_ns ? min_ns : middle > max_ns ? max_ns : middle;
}

void
hist_each(const struct hist *h, hist_bucket_fn *fn, void *aux)
{
    struct walk w = walk_of(h);
    int64_t lower, upper;
    uint64_t count;
    int32_t index;

    while (walk_next(&w, &index, &count)) {
        hist_bucket_bounds(h->layout, index, &lower, &upper);
        fn(lower, upper, count, aux);
    }
}

size_t
hist_encoded_size(const struct hist *h)
{
    struct walk w = walk_of(h);
    int32_t index, previous = 0;
    uint64_t count;
    size_t size = 1 + hist_varint_size(h->buckets);
    bool first = true;

    if (h->count == 0 || h->is_packed) {
        return h->packed_size;
    }
    while (walk_next(&w, &index, &count)) {
        size += hist_varint_size(hist_bucket_word(first, index, previous, count));
        size += count > 1 ? hist_varint_size(count - 2) : 0;
        previous = index;
        first = false;
    }
    return size;
}

size_t
hist_encode(const struct hist *h, void *bytes, size_t size)
{
    struct walk w = walk_of(h);
    struct wr out = wr_of(bytes, size);
    int32_t index, previous = 0;
    uint64_t count;
    bool first = true;

    if (h->count == 0) {
        return 0;
    }
    if (h->is_packed) {
        wr_copy(&out, h->packed, h->packed_size);
        return wr_ok(&out) ? wr_size(&out) : 0;
    }
    wr_u8(&out, (uint8_t)h->layout);
    wr_varint(&out, h->buckets);
    while (walk_next(&w, &index, &count)) {
        wr_varint(&out, hist_bucket_word(first, index, previous, count));
        if (count > 1) {
            wr_varint(&out, count - 2);
        }
        previous = index;
        first = false;
    }
    return wr_ok(&out) ? wr_size(&out) : 0;
}
