/* rollup.c - merging rows, and when. */
#include "rollup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "hist.h"

#define RECORDS_MAX 65536

struct part_hists {
    struct hist *delay, *ifdv;
    struct bytes delay_bytes, ifdv_bytes;
};

struct rollup_maker {
    struct rollup sum;
    struct part_hists part[ROLLUP_PARTS];
    struct hist *both;
    struct dt_record *records; /* RECORDS_MAX */
};

struct rollup_maker *
rollup_maker_new(void)
{
    struct rollup_maker *m = calloc(1, sizeof *m);

    if (!m) {
        return NULL;
    }
    bool good = true;
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        m->part[i].delay = hist_new(HIST_DELAY);
        m->part[i].ifdv = hist_new(HIST_IFDV);
        good = good && m->part[i].delay && m->part[i].ifdv;
    }
    m->both = hist_new(HIST_DELAY);
    m->records = calloc(RECORDS_MAX, sizeof m->records[0]);
    if (!good || !m->both || !m->records) {
        rollup_maker_free(m);
        return NULL;
    }
    return m;
}

void
rollup_maker_free(struct rollup_maker *m)
{
    if (!m) {
        return;
    }
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        hist_free(m->part[i].delay);
        hist_free(m->part[i].ifdv);
        bytes_fini(&m->part[i].delay_bytes);
        bytes_fini(&m->part[i].ifdv_bytes);
    }
    hist_free(m->both);
    free(m->records);
    free(m);
}

/* --- Merging -------------------------------------------------------------- */

struct rollup
rollup_nothing(void)
{
    struct rollup r = {0};

    for (int i = 0; i < ROLLUP_PARTS; i++) {
        r.part[i].clock_error_ns = UINT64_MAX;
    }
    return r;
}

void
rollup_begin(struct rollup_maker *m, uint32_t seconds)
{
    m->sum = rollup_nothing();
    m->sum.seconds = seconds;
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        hist_clear(m->part[i].delay);
        hist_clear(m->part[i].ifdv);
    }
}

static int
error_of(enum hist_verdict v)
{
    return v == HIST_OK ? 0 : v == HIST_NO_MEMORY ? -ENOMEM : -EBADMSG;
}

static int
merge_hists(struct part_hists *to, const uint8_t *delay, size_t delay_size, const uint8_t *ifdv,
            size_t ifdv_size)
{
    int err = error_of(hist_merge_encoded(to->delay, delay, delay_size));

    return err ? err : error_of(hist_merge_encoded(to->ifdv, ifdv, ifdv_size));
}

static void
add_delays(struct rollup_part *to, const struct rollup_part *from)
{
    if (from->delay_count == 0) {
        return;
    }
    if (to->delay_count == 0 || from->delay_min_ns < to->delay_min_ns) {
        to->delay_min_ns = from->delay_min_ns;
    }
    if (to->delay_count == 0 || from->delay_max_ns > to->delay_max_ns) {
        to->delay_max_ns = from->delay_max_ns;
    }
    to->delay_count += from->delay_count;
    to->delay_sum_ns += from->delay_sum_ns;
}

static void
add_part(struct rollup_part *to, const struct rollup_part *from)
{
    to->seconds += from->seconds;
    to->dt_count += from->dt_count;
    for (int i = 0; i < ROLLUP_COUNTS; i++) {
        to->counts[i] += from->counts[i];
    }
    if (from->clock_error_ns != UINT64_MAX &&
        (to->clock_error_ns == UINT64_MAX || from->clock_error_ns > to->clock_error_ns)) {
        to->clock_error_ns = from->clock_error_ns;
    }
    add_delays(to, from);
    if (from->over_count > to->over_count) {
        to->over_count = from->over_count;
    }
    for (unsigned i = 0; i < from->over_count; i++) {
        to->over[i] += from->over[i];
    }
}

/* Histograms of the delta-t that count, and how many the far end took out. */
static int
add_records(struct rollup_maker *m, const void *dt, size_t dt_size)
{
    int n = row_decode_dt(dt, dt_size, m->records, RECORDS_MAX);
    int err = n < 0 ? n : 0;

    for (int i = 0; i < n && !err; i++) {
        const struct dt_record *r = &m->records[i];
        if (r->kind == DT_NOT_TOLD || r->flags & (DT_UNKNOWN | DT_UNDETERMINED)) {
            m->sum.undetermined_dt += (r->flags & DT_UNDETERMINED) != 0;
            continue;
        }
        err = merge_hists(&m->part[ROLLUP_UNCLEAN], r->delay.hist, r->delay.hist_size,
                          r->delay.ifdv, r->delay.ifdv_size);
    }
    return err;
}

int
rollup_add(struct rollup_maker *m, const struct rollup *finer, const void *dt, size_t dt_size)
{
    int err = 0;

    m->sum.flags |= finer->flags;
    m->sum.unknown_dt += finer->unknown_dt;
    m->sum.undetermined_dt += finer->undetermined_dt;
    for (int i = 0; i < ROLLUP_PARTS && !err; i++) {
        const struct rollup_part *p = &finer->part[i];
        add_part(&m->sum.part[i], p);
        err = merge_hists(&m->part[i], p->hist, p->hist_size, p->ifdv, p->ifdv_size);
    }
    return err || !dt ? err : add_records(m, dt, dt_size);
}

static int
encode(const struct hist *h, struct bytes *to, const uint8_t **bytes, size_t *size)
{
    bytes_clear(to);
    *size = hist_count(h) ? hist_encoded_size(h) : 0;
    *bytes = NULL;
    if (*size == 0) {
        return 0;
    }
    uint8_t *room = bytes_grow(to, *size);
    if (!room) {
        return -ENOMEM;
    }
    size_t written = hist_encode(h, room, *size);
    assert(written == *size);
    (void)written;
    *bytes = to->at;
    return 0;
}

static int
quantiles(struct rollup_maker *m)
{
    static const uint32_t per_million[ROW_QUANTILES] = {500000, 950000, 990000, 999000};
    const struct rollup_part *p = m->sum.part;
    struct rollup_part all = {0};
    const struct hist *h = m->part[ROLLUP_CLEAN].delay;

    add_delays(&all, &p[ROLLUP_CLEAN]);
    add_delays(&all, &p[ROLLUP_UNCLEAN]);
    if (hist_count(m->part[ROLLUP_UNCLEAN].delay)) {
        hist_clear(m->both);
        int err = hist_merge(m->both, m->part[ROLLUP_CLEAN].delay);
        err = err ? err : hist_merge(m->both, m->part[ROLLUP_UNCLEAN].delay);
        if (err) {
            return err;
        }
        h = m->both;
    }
    for (int i = 0; i < ROW_QUANTILES && hist_count(h); i++) {
        m->sum.quantile_ns[i] =
            hist_quantile(h, per_million[i], all.delay_min_ns, all.delay_max_ns);
    }
    return 0;
}

int
rollup_end(struct rollup_maker *m, struct rollup *out)
{
    struct rollup *s = &m->sum;
    int err = quantiles(m);

    if (s->part[ROLLUP_CLEAN].seconds + s->part[ROLLUP_UNCLEAN].seconds < s->seconds) {
        s->flags |= ROW_PARTIAL;
    }
    for (int i = 0; i < ROLLUP_PARTS && !err; i++) {
        struct part_hists *h = &m->part[i];
        struct rollup_part *p = &s->part[i];
        err = encode(h->delay, &h->delay_bytes, &p->hist, &p->hist_size);
        err = err ? err : encode(h->ifdv, &h->ifdv_bytes, &p->ifdv, &p->ifdv_size);
    }
    *out = *s;
    return err;
}

/* --- What a commit completes ---------------------------------------------- */

static int64_t
floor_of(int64_t s, int64_t step)
{
    return s - s % step;
}

/* Quarter hours that an earlier release wrote.  Returns how far that comes. */
static int64_t
plan_backlog(int64_t from, int64_t until, struct rollup_plan *out)
{
    for (; from < until && out->quarter_count < ROLLUP_BACKLOG; from += ROLLUP_QUARTER_S) {
        out->quarters_s[out->quarter_count++] = from;
    }
    return from;
}

static void
plan_quarter(int64_t quarter, const struct rollup_due *due, struct rollup_plan *out)
{
    bool known = out->quarter_count && out->quarters_s[out->quarter_count - 1] >= quarter;

    if (!known && quarter + ROLLUP_QUARTER_S <= due->until_s) {
        assert(out->quarter_count < ROLLUP_QUARTERS_MAX);
        out->quarters_s[out->quarter_count++] = quarter;
    }
}

static void
plan_day(int64_t day, struct rollup_plan *out)
{
    bool known = out->day_count && out->days_s[out->day_count - 1] >= day;

    if (!known && day + ROLLUP_DAY_S <= out->rolled_s) {
        out->days_s[out->day_count++] = day;
    }
}

/* From where on quarter hours are to be merged. */
static int64_t
plan_from(const struct rollup_due *due, struct rollup_plan *out)
{
    int64_t before = due->before_s;

    if (before == 0) {
        return floor_of(due->quarter_count ? due->quarters_s[0] : due->until_s, ROLLUP_QUARTER_S);
    }
    if (due->rolled_s == 0) {
        return floor_of(before, ROLLUP_DAY_S);
    }
    if (due->rolled_s <= before) {
        return due->rolled_s;
    }
    if (before % ROLLUP_QUARTER_S) {
        out->reopen_quarter_s = floor_of(before, ROLLUP_QUARTER_S);
    }
    if (before % ROLLUP_DAY_S) {
        out->reopen_day_s = floor_of(before, ROLLUP_DAY_S);
    }
    return floor_of(before, ROLLUP_QUARTER_S);
}

bool
rollup_plan(const struct rollup_due *due, struct rollup_plan *out)
{
    int64_t begun = floor_of(due->before_s, ROLLUP_QUARTER_S); /* Has rows, perhaps. */

    *out = (struct rollup_plan){0};
    assert(due->quarter_count <= ROLLUP_QUARTERS_MAX - ROLLUP_BACKLOG - 1);
    if (due->until_s == 0) {
        return false;
    }
    int64_t from = plan_from(due, out);
    int64_t at = plan_backlog(from, begun, out);
    if (at < begun) {
        out->rolled_s = at;
    } else {
        if (due->before_s > begun) {
            plan_quarter(begun, due, out);
        }
        for (size_t i = 0; i < due->quarter_count; i++) {
            plan_quarter(due->quarters_s[i], due, out);
        }
        out->rolled_s = floor_of(due->until_s, ROLLUP_QUARTER_S);
    }
    if (from % ROLLUP_DAY_S) {
        plan_day(floor_of(from, ROLLUP_DAY_S), out);
    }
    for (size_t i = 0; i < out->quarter_count; i++) {
        plan_day(floor_of(out->quarters_s[i], ROLLUP_DAY_S), out);
    }
    return out->rolled_s != due->rolled_s || out->quarter_count || out->day_count ||
           out->reopen_quarter_s || out->reopen_day_s;
}
