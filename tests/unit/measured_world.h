/* measured_world.h - rows of random flows for the tests of what is judged: each delta-t keeps the
 * samples that it was made of, so that a test can count them itself. */
#ifndef PLUMBLINE_TEST_MEASURED_WORLD_H
#define PLUMBLINE_TEST_MEASURED_WORLD_H

#include "measured.h"

#include "harness.h"

#define WORLD_DTS 60
#define WORLD_PACKETS 10

/* Limits as the rows have them: two of delay, one of IFDV. */
#define WORLD_LIMITS 3
static const int64_t world_limits[WORLD_LIMITS] = {900000, 40000, 20000};
enum { WORLD_DELAY, WORLD_IFDV, WORLD_NARROW };
/* And where they count: the last is no objective's. */
static const int8_t world_map[SERIES_LIMITS_MAX] = {3, 1, -1, -1, -1, -1, -1, -1};
/* Of rows before the limit was there. */
static const int8_t world_map_before[SERIES_LIMITS_MAX] = {-1, 1, -1, -1, -1, -1, -1, -1};

struct world_dt {
    struct dt_record record;
    int64_t delay[WORLD_PACKETS], ifdv[WORLD_PACKETS];
    size_t delay_count, ifdv_count;
    uint8_t hist[256], ifdv_hist[256];
};

/* One flow of one end in one interval. */
struct world_row {
    uint16_t flow;
    bool witness, clean, before;
    size_t dt_count;
    struct world_dt dt[WORLD_DTS];
    struct row row;
    uint8_t *bytes[3]; /* hist, ifdv, dt: exact copies. */
};

static inline bool
world_known(const struct dt_record *r)
{
    return r->kind == DT_FULL && !(r->flags & (DT_UNKNOWN | DT_UNDETERMINED));
}

static inline size_t
world_hist(enum hist_layout layout, const int64_t *values, size_t count, uint8_t *bytes)
{
    struct hist *h = hist_new(layout);

    for (size_t i = 0; i < count; i++) {
        hist_add(h, values[i], 1);
    }
    size_t size = hist_encode(h, bytes, 256);
    hist_free(h);
    return size;
}

/* Makes the record's delays of d->delay and d->ifdv. */
static inline void
world_samples(struct world_dt *d)
{
    struct dt_delay *to = &d->record.delay;
    int64_t max = INT64_MIN;

    memset(d->record.over, 0, sizeof d->record.over);
    *to = (struct dt_delay){.count = d->delay_count, .min_ns = INT64_MAX};
    for (size_t i = 0; i < d->delay_count; i++) {
        to->min_ns = d->delay[i] < to->min_ns ? d->delay[i] : to->min_ns;
        max = d->delay[i] > max ? d->delay[i] : max;
        d->record.over[WORLD_DELAY] += d->delay[i] > world_limits[WORLD_DELAY];
        d->record.over[WORLD_NARROW] += d->delay[i] > world_limits[WORLD_NARROW];
    }
    for (size_t i = 0; i < d->ifdv_count; i++) {
        d->record.over[WORLD_IFDV] += d->ifdv[i] > world_limits[WORLD_IFDV];
    }
    if (d->delay_count == 0) {
        *to = (struct dt_delay){0};
        return;
    }
    for (size_t i = 0; i < d->delay_count; i++) {
        to->sum_ns += (uint64_t)(d->delay[i] - to->min_ns);
    }
    to->range_ns = (uint64_t)(max - to->min_ns);
    to->hist = d->hist;
    to->hist_size = world_hist(HIST_DELAY, d->delay, d->delay_count, d->hist);
    to->ifdv = d->ifdv_hist;
    to->ifdv_size = world_hist(HIST_IFDV, d->ifdv, d->ifdv_count, d->ifdv_hist);
}

/* A delta-t of 'received' packets that came back, all about 800 us, and 'lost' that did not. */
static inline void
world_set(struct world_dt *d, uint64_t received, uint64_t lost)
{
    *d = (struct world_dt){.record = {.kind = DT_FULL,
                                      .sent = received + lost,
                                      .received = received,
                                      .lost = lost,
                                      .scheduled = received + lost,
                                      .clock_error_ns = received ? 1000 : UINT64_MAX}};
    d->delay_count = received;
    d->ifdv_count = received ? received - 1 : 0;
    for (size_t i = 0; i < d->delay_count; i++) {
        d->delay[i] = 700000 + (int64_t)random_below(200100);
        if (i > 0) {
            d->ifdv[i - 1] = d->delay[i] > d->delay[i - 1] ? d->delay[i] - d->delay[i - 1]
                                                           : d->delay[i - 1] - d->delay[i];
        }
    }
    world_samples(d);
}

/* Anything that may be in an unclean row. */
static inline void
world_draw(struct world_dt *d)
{
    static const uint32_t flags[] = {DT_UNKNOWN,   DT_UNDERSENT, DT_CLOCK_STEP,   DT_OVERRUN,
                                     DT_FAR_EPOCH, DT_NEGATIVE,  DT_UNDETERMINED, DT_BELOW_FLOOR};
    uint64_t lost = random_chance(300) ? random_below(WORLD_PACKETS + 1) : 0;

    world_set(d, WORLD_PACKETS - lost, lost);
    d->record.lost_undirected = random_below(lost + 1);
    d->record.late = random_below(lost + 1);
    d->record.duplicate = random_chance(100) ? random_below(30) : 0;
    d->record.reordered = random_chance(100) ? random_below(4) : 0;
    if (random_chance(150)) {
        d->record.flags |= flags[random_below(8)];
    }
    if (d->record.flags & DT_NEGATIVE && d->delay_count) {
        d->delay[0] = -(int64_t)random_below(5000) - 1;
        world_samples(d);
    }
    if (d->delay_count && random_chance(50)) {
        d->record.clock_error_ns = random_chance(200) ? UINT64_MAX : 100000 + random_below(2);
    }
    if (random_chance(100)) {
        *d = (struct world_dt){.record = {.kind = random_chance(500) ? DT_ABSENT : DT_NOT_TOLD,
                                          .clock_error_ns = UINT64_MAX}};
    } else if (random_chance(20)) {
        world_set(d, 0, 0);
    }
}

/* Makes the stored row of what is in w->dt. */
static inline void
world_make(struct world_row *w, struct row_maker *m)
{
    struct dt_record records[WORLD_DTS];

    for (size_t i = 0; i < w->dt_count; i++) {
        records[i] = w->dt[i].record;
    }
    int err = row_make(m, records, w->dt_count, WORLD_LIMITS, w->clean, &w->row);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    w->bytes[0] = exact_copy(w->row.hist, w->row.hist_size);
    w->bytes[1] = exact_copy(w->row.ifdv, w->row.ifdv_size);
    w->bytes[2] = exact_copy(w->row.dt, w->row.dt_size);
}

static inline void
world_free(struct world_row *w)
{
    for (int i = 0; i < 3; i++) {
        free(w->bytes[i]);
        w->bytes[i] = NULL;
    }
}

static inline void
world_random_row(struct world_row *w, struct row_maker *m, uint16_t flow, bool witness,
                 size_t dt_count, bool clean)
{
    *w = (struct world_row){.flow = flow, .witness = witness, .clean = clean, .dt_count = dt_count};
    w->before = random_chance(100);
    for (size_t i = 0; i < dt_count; i++) {
        if (clean) {
            world_set(&w->dt[i], WORLD_PACKETS, 0);
            w->dt[i].record.duplicate = random_below(50) == 0;
            w->dt[i].record.reordered = random_below(50) == 0;
        } else {
            world_draw(&w->dt[i]);
        }
    }
    world_make(w, m);
}

/* As judge.c would read it back. */
static inline struct measured_row
world_read(const struct world_row *w)
{
    struct measured_row row = {.flow = w->flow,
                               .witness = w->witness,
                               .clean = w->clean,
                               .delay_count = w->row.delay_count,
                               .delay_sum_ns = w->row.delay_sum_ns,
                               .delay_min_ns = w->row.delay_min_ns,
                               .delay_max_ns = w->row.delay_max_ns,
                               .duplicate = w->row.duplicate,
                               .reordered = w->row.reordered,
                               .late = w->row.late,
                               .clock_error_ns = w->row.clock_error_ns,
                               .any_over = w->row.any_over,
                               .limit_map = w->before ? world_map_before : world_map,
                               .hist = w->bytes[0],
                               .hist_size = w->row.hist_size,
                               .ifdv = w->bytes[1],
                               .ifdv_size = w->row.ifdv_size,
                               .dt = w->bytes[2],
                               .dt_size = w->row.dt_size};
    memcpy(row.over, w->row.over, sizeof row.over);
    return row;
}

/* An interval of these rows. */
static inline void
world_measure(struct measured *m, const struct world_row *rows, size_t count, size_t dt_count)
{
    measured_begin(m, (uint32_t)dt_count);
    for (size_t i = 0; i < count; i++) {
        struct measured_row row = world_read(&rows[i]);
        CU_ASSERT_EQUAL_FATAL(measured_add(m, &row), 0);
    }
    CU_ASSERT_EQUAL_FATAL(measured_end(m), 0);
}

#endif
