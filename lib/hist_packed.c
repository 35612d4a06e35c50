/* hist_packed.c - histograms that are kept as they are encoded: to add is to walk over both
 * encodings at once and to write the third. */
#include "hist_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Layout, and the greatest number of buckets. */
#define HEAD_MAX 11u
/* A bucket that is no longer the first takes other bytes for its step. */
#define SLACK 16u
/* One bucket alone. */
#define ONE_MAX 32u

/* One of the two that are merged. */
struct side {
    struct decode d;
    uint64_t left; /* Buckets after this one. */
    bool here;     /* There is one. */
};

static enum hist_verdict
side_next(struct side *s)
{
    s->here = s->left > 0;
    if (!s->here) {
        return HIST_OK;
    }
    s->left--;
    return hist_decode_next(&s->d);
}

/* Its first bucket; 'total' are the samples that it is added to. */
static enum hist_verdict
side_of(const void *bytes, size_t size, enum hist_layout layout, uint64_t total, struct side *s)
{
    struct rd r = rd_of(bytes, size);
    uint64_t n = 0;
    enum hist_verdict v = size ? hist_read_head(&r, layout, &n) : HIST_OK;

    *s = (struct side){.d = hist_decode_of(&r, layout, total), .left = n};
    return v == HIST_OK ? side_next(s) : v;
}

/* What is written so far. */
struct merged {
    struct wr out;
    int32_t last;
    uint64_t count;
};

static void
put(struct merged *m, int32_t index, uint64_t count)
{
    wr_varint(&m->out, hist_bucket_word(m->count == 0, index, m->last, count));
    if (count > 1) {
        wr_varint(&m->out, count - 2);
    }
    m->last = index;
    m->count++;
}

/* 'a' is sound, 'b' is from outside. */
static enum hist_verdict
merge_sides(struct side *a, struct side *b, struct merged *m)
{
    enum hist_verdict v = HIST_OK;

    while (v == HIST_OK && (a->here || b->here)) {
        bool left = a->here && (!b->here || a->d.index <= b->d.index);
        bool right = b->here && (!a->here || b->d.index <= a->d.index);
        put(m, left ? a->d.index : b->d.index, (left ? a->d.count : 0) + (right ? b->d.count : 0));
        if (left) {
            v = side_next(a);
            assert(v == HIST_OK);
        }
        if (right) {
            v = side_next(b);
        }
    }
    return v != HIST_OK ? v : b->d.r.left ? HIST_TRAILING : HIST_OK;
}

/* Layout and number before what was merged, all of it into 'h'. */
static enum hist_verdict
keep(struct hist *h, const struct merged *m)
{
    uint8_t head[HEAD_MAX];
    struct wr w = wr_of(head, sizeof head);
    size_t size;

    wr_u8(&w, (uint8_t)h->layout);
    wr_varint(&w, m->count);
    assert(wr_ok(&w) && wr_ok(&m->out));
    size = wr_size(&w) + wr_size(&m->out);
    if (size > h->packed_room) {
        uint8_t *more = realloc(h->packed, size + size / 8);
        if (!more) {
            return HIST_NO_MEMORY;
        }
        h->packed = more;
        h->packed_room = (uint32_t)(size + size / 8);
    }
    memcpy(h->packed, head, wr_size(&w));
    memcpy(h->packed + wr_size(&w), m->out.start, wr_size(&m->out));
    h->packed_size = (uint32_t)size;
    h->buckets = (uint32_t)m->count;
    return HIST_OK;
}

enum hist_verdict
hist_packed_merge(struct hist *h, const void *bytes, size_t size)
{
    size_t room = h->packed_size + size + SLACK;
    uint8_t few[1024], *body = room <= sizeof few ? few : malloc(room);
    struct side a, b;
    enum hist_verdict v;

    if (!body) {
        return HIST_NO_MEMORY;
    }
    v = side_of(h->packed, h->packed_size, h->layout, 0, &a);
    assert(v == HIST_OK);
    v = side_of(bytes, size, h->layout, h->count, &b);
    if (v == HIST_OK) {
        struct merged m = {.out = wr_of(body, room)};
        v = merge_sides(&a, &b, &m);
        v = v == HIST_OK ? keep(h, &m) : v;
        h->count = v == HIST_OK ? b.d.total : h->count;
    }
    if (body != few) {
        free(body);
    }
    return v;
}

int
hist_packed_add(struct hist *h, int32_t index, uint64_t count)
{
    uint8_t one[ONE_MAX];
    struct wr w = wr_of(one, sizeof one);

    wr_u8(&w, (uint8_t)h->layout);
    wr_varint(&w, 1);
    wr_varint(&w, hist_bucket_word(true, index, 0, count));
    if (count > 1) {
        wr_varint(&w, count - 2);
    }
    enum hist_verdict v = hist_packed_merge(h, one, wr_size(&w));
    assert(v == HIST_OK || v == HIST_NO_MEMORY);
    return v == HIST_OK ? 0 : -ENOMEM;
}
