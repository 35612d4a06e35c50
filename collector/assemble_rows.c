/* assemble_rows.c - what an interval holds, unpacked into the records that rows are made of. */
#include "assemble_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* --- Unpacking ------------------------------------------------------------ */

static void *
unpack_alloc(void *aux, size_t size)
{
    struct assemble *a = aux;
    return chunk_take(&a->unpacked, size);
}

static void
unpack_free(void *aux, void *pointer)
{
    (void)aux;
    (void)pointer;
}

/* Forgets what was unpacked, keeping one chunk. */
static void
unpack_reset(struct assemble *a)
{
    if (a->unpacked) {
        chunk_free(a->unpacked->next);
        a->unpacked->next = NULL;
        a->unpacked->used = 0;
    }
}

static int
records_room(struct assemble *a, size_t wanted)
{
    if (wanted > a->record_room) {
        void *more = reallocarray(a->records, wanted * DIRECTIONS, sizeof a->records[0]);
        if (!more) {
            return -ENOMEM;
        }
        a->records = more;
        a->record_room = wanted;
    }
    return 0;
}

/* --- Records -------------------------------------------------------------- */

static void
set_kind(struct dt_record *const at[DIRECTIONS], size_t i, enum dt_kind kind)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        at[d][i] = (struct dt_record){.kind = kind, .clock_error_ns = UINT64_MAX};
    }
}

struct session_interval {
    struct dt_record *at[DIRECTIONS];
    size_t count;
    uint64_t first;
    bool clean, lost, any;
};

/* Puts one held entry into the records. */
static int
place(struct assemble *a, const struct assemble_session *s, const struct interval_held *h,
      struct session_interval *out)
{
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, a};
    size_t i = (size_t)(h->dt_number - out->first);

    out->any = true;
    if (h->size == 0) {
        for (size_t k = i; k < i + h->run && k < out->count; k++) {
            set_kind(out->at, k, DT_NOT_TOLD);
        }
        out->clean = false;
        return 0;
    }
    pb_summary *m = plumbline__telemetry__summary__unpack(&allocator, h->size, h->bytes);
    if (!m) {
        return -ENOMEM; /* It was parsed before: memory alone can fail. */
    }
    struct dt_record split[DIRECTIONS];
    row_split(&s->key, m, split);
    for (int d = 0; d < DIRECTIONS; d++) {
        out->at[d][i] = split[d];
    }
    out->clean = out->clean && row_summary_is_clean(m);
    out->lost = out->lost || split[DIR_RT].lost > 0;
    return 0;
}

static bool
is_unknown(const struct assemble *a, struct instant start)
{
    for (const struct unknown *u = a->unknowns; u; u = u->next) {
        if (!instant_before(start, u->from) && instant_before(start, u->until)) {
            return true;
        }
    }
    return false;
}

static int
fill(struct assemble *a, struct assemble_session *s, const struct interval *i,
     struct session_interval *out)
{
    const struct span dt = s->key.dt;
    uint64_t first = (uint64_t)instant_ceil(i->start, dt).ns / (uint64_t)dt.ns;
    uint64_t end = (uint64_t)instant_ceil(i->end, dt).ns / (uint64_t)dt.ns;
    size_t n = (size_t)(end - first);
    int err = records_room(a, n);

    *out = (struct session_interval){.count = n, .first = first, .clean = true};
    if (err) {
        return err;
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        out->at[d] = a->records + (size_t)d * a->record_room;
    }
    for (size_t k = 0; k < n; k++) {
        set_kind(out->at, k, DT_ABSENT);
    }
    struct interval_held *h = s->index < i->list_count ? i->lists[s->index].first : NULL;
    for (; h && !err; h = h->next) {
        err = place(a, s, h, out);
    }
    for (size_t k = 0; k < n && !err; k++) {
        if (out->at[DIR_RT][k].kind != DT_ABSENT) {
            continue;
        }
        struct instant start = instant_of_ns((int64_t)(first + k) * dt.ns);
        out->clean = false;
        if ((s->gap && first + k >= s->next_dt) || (s->epoch && is_unknown(a, start))) {
            set_kind(out->at, k, DT_NOT_TOLD);
            out->any = true;
        }
    }
    if (s->gap && s->next_dt < end) {
        s->next_dt = end;
    }
    return err;
}

int
assemble_rows(struct assemble *a, assemble_rows_fn *fn, void *aux)
{
    const struct interval *i = a->intervals;

    assert(i);
    for (struct assemble_session *s = a->sessions.first; s; s = s->next) {
        struct session_interval one;
        if (!s->trusted || (s->index >= i->list_count || !i->lists[s->index].first)) {
            if (!s->trusted || s->epoch != a->read.epoch || (!s->gap && !a->unknowns)) {
                continue;
            }
        }
        int err = fill(a, s, i, &one);
        if (!err && one.any) {
            s->written = true;
            err = fn(s, one.at, one.count, one.clean, one.lost, aux);
        }
        unpack_reset(a);
        if (err) {
            return err;
        }
    }
    return 0;
}
