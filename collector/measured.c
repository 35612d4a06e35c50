/* measured.c - summing the rows of flows and ends at each delta-t. */
#include "measured.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In dts[] until measured_end() is done: some flow is known. */
#define KNOWN (UINT32_C(1) << 31)

#define SUSPECT_FLAGS                                                                              \
    ((uint32_t)(DT_UNDERSENT | DT_CLOCK_STEP | DT_OVERRUN | DT_FAR_EPOCH | DT_BELOW_FLOOR))

/* A row that was added.  Its records are dt_count ones from records[first] on. */
struct part {
    struct measured_row row;
    size_t first;
    int8_t map[SERIES_LIMITS_MAX];
    uint32_t limits;   /* Bit i: some limit maps to i. */
    uint32_t used;     /* Delta-t whose figures are this row's, */
    uint64_t received; /* and packets received in them. */
};

struct measured {
    uint32_t dt_count;
    bool clean, overflow;
    struct measured_dt total;
    struct measured_dt *dts;
    struct part *parts;
    struct dt_record *records;
    struct measured_delay *delays;
    size_t dt_room;
    size_t part_count, part_room;
    size_t record_room;
    size_t delay_count, delay_room;
};

struct measured *
measured_new(void)
{
    return calloc(1, sizeof(struct measured));
}

void
measured_free(struct measured *m)
{
    if (!m) {
        return;
    }
    free(m->dts);
    free(m->parts);
    free(m->records);
    free(m->delays);
    free(m);
}

/* 'at' with room for 'need' items, moved if it must; NULL when memory is out. */
static void *
with_room(void *at, size_t *room, size_t need, size_t item_size)
{
    size_t more = *room ? *room : 4;
    void *moved;

    if (need <= *room) {
        return at;
    }
    while (more < need) {
        more *= 2;
    }
    moved = reallocarray(at, more, item_size);
    if (moved) {
        *room = more;
    }
    return moved;
}

void
measured_begin(struct measured *m, uint32_t dt_count)
{
    m->dt_count = dt_count;
    m->part_count = 0;
    m->delay_count = 0;
    m->overflow = false;
    m->clean = false;
}

/* --- One row -------------------------------------------------------------- */

static bool
is_known(const struct dt_record *r)
{
    return r->kind == DT_PLAIN ||
           (r->kind == DT_FULL && !(r->flags & (DT_UNKNOWN | DT_UNDETERMINED)));
}

/* sent = received + lost everywhere (sql/0001-store.sql). */
static bool
records_are_good(const struct dt_record *records, size_t count, bool clean)
{
    for (size_t i = 0; i < count; i++) {
        const struct dt_record *r = &records[i];
        if (r->lost > r->sent || r->received != r->sent - r->lost ||
            (clean && r->kind != DT_PLAIN)) {
            return false;
        }
    }
    return true;
}

static void
take_map(struct part *p, const int8_t *map)
{
    for (int8_t i = 0; i < SERIES_LIMITS_MAX; i++) {
        p->map[i] = map ? map[i] : i;
        assert(p->map[i] < SERIES_LIMITS_MAX);
        p->limits |= p->map[i] < 0 ? 0 : UINT32_C(1) << p->map[i];
    }
}

int
measured_add(struct measured *m, const struct measured_row *row)
{
    size_t first = m->part_count * m->dt_count;
    void *parts = with_room(m->parts, &m->part_room, m->part_count + 1, sizeof m->parts[0]);
    int n;

    if (!parts) {
        return -ENOMEM;
    }
    m->parts = parts;
    void *records =
        with_room(m->records, &m->record_room, first + m->dt_count, sizeof m->records[0]);
    if (!records) {
        return -ENOMEM;
    }
    m->records = records;
    n = row_decode_dt(row->dt, row->dt_size, &m->records[first], m->dt_count);
    if (n < 0 || (uint32_t)n != m->dt_count ||
        !records_are_good(&m->records[first], (size_t)n, row->clean) ||
        (row->clean && row->delay_count && row->delay_min_ns > row->delay_max_ns)) {
        return -EBADMSG;
    }
    struct part *p = &m->parts[m->part_count++];
    *p = (struct part){.row = *row, .first = first};
    take_map(p, row->limit_map);
    return 0;
}

/* --- All rows -------------------------------------------------------------- */

static void
plus(struct measured *m, uint64_t *to, uint64_t more)
{
    m->overflow |= __builtin_add_overflow(*to, more, to);
}

static void
map_over(const struct part *p, const uint64_t from[SERIES_LIMITS_MAX],
         uint64_t to[SERIES_LIMITS_MAX])
{
    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        if (from[i] && p->map[i] >= 0) {
            to[p->map[i]] += from[i];
        }
    }
}

/* There is room. */
static struct measured_delay *
delay_next(struct measured *m)
{
    struct measured_delay *d = &m->delays[m->delay_count++];

    *d = (struct measured_delay){0};
    return d;
}

static uint32_t
flags_of(const struct part *p, const struct dt_record *r)
{
    return (p->row.witness ? (uint32_t)MEASURED_WITNESS : 0) |
           (r->flags & SUSPECT_FLAGS ? (uint32_t)MEASURED_SUSPECT : 0) |
           (r->flags & DT_NEGATIVE ? (uint32_t)MEASURED_NEGATIVE : 0);
}

static int
add_dt_delay(struct measured *m, const struct part *p, const struct dt_record *r, uint32_t number)
{
    const struct dt_delay *from = &r->delay;

    if (from->range_ns > (uint64_t)INT64_MAX - (uint64_t)from->min_ns) {
        return -EBADMSG;
    }
    struct measured_delay *d = delay_next(m);
    d->number = (int32_t)number;
    d->flags = flags_of(p, r);
    d->clock_error_ns = r->clock_error_ns;
    d->count = from->count;
    d->sum_ns = (int64_t)((uint64_t)from->min_ns * from->count + from->sum_ns);
    d->min_ns = from->min_ns;
    d->max_ns = (int64_t)((uint64_t)from->min_ns + from->range_ns);
    d->limits = p->limits;
    map_over(p, r->over, d->over);
    d->hist = from->hist;
    d->hist_size = from->hist_size;
    d->ifdv = from->ifdv;
    d->ifdv_size = from->ifdv_size;
    return 0;
}

/* Adds delta-t 'number' of 'p', which is known. */
static int
add_dt(struct measured *m, struct part *p, uint32_t number)
{
    const struct dt_record *r = &m->records[p->first + number];
    struct measured_dt *to = &m->dts[number];
    bool has_delay = p->row.clean ? p->row.delay_count > 0 : r->delay.count > 0;
    uint64_t clock_error_ns = p->row.clean ? p->row.clock_error_ns : r->clock_error_ns;

    p->used++;
    plus(m, &p->received, r->received);
    to->flags |= KNOWN | flags_of(p, r);
    plus(m, &to->sent, r->sent);
    plus(m, &to->received, r->received);
    plus(m, &to->lost, r->lost);
    plus(m, &to->lost_undirected, r->lost_undirected);
    plus(m, &to->duplicate, r->duplicate);
    plus(m, &to->reordered, r->reordered);
    plus(m, &to->late, r->late);
    if (has_delay && clock_error_ns > to->clock_error_ns) {
        to->clock_error_ns = clock_error_ns;
    }
    return r->delay.count ? add_dt_delay(m, p, r, number) : 0;
}

/* What a clean row has of all its delta-t together. */
static void
add_whole(struct measured *m, const struct part *p)
{
    const struct measured_row *row = &p->row;
    struct measured_delay *d = p->used ? delay_next(m) : NULL;

    if (!d) {
        return;
    }
    if (p->used < m->dt_count) {
        d->number = MEASURED_PART;
        d->flags = row->witness ? (uint32_t)MEASURED_WITNESS : 0;
        d->count = row->delay_count < p->received ? row->delay_count : p->received;
        return;
    }
    d->number = MEASURED_WHOLE;
    d->flags = row->witness ? (uint32_t)MEASURED_WITNESS : 0;
    d->clock_error_ns = row->delay_count ? row->clock_error_ns : 0;
    d->duplicate = row->duplicate;
    d->reordered = row->reordered;
    d->late = row->late;
    d->count = row->delay_count;
    d->sum_ns = row->delay_sum_ns;
    d->min_ns = row->delay_min_ns;
    d->max_ns = row->delay_max_ns;
    d->limits = p->limits;
    if (row->any_over) {
        map_over(p, row->over, d->over);
    }
    d->hist = row->hist;
    d->hist_size = row->hist_size;
    d->ifdv = row->ifdv;
    d->ifdv_size = row->ifdv_size;
}

/* Adds what the rows of 'witness' (or of the first end) know of delta-t 'number' of the flow: of
 * the witness one row, of the first end all. */
static int
add_flow_end(struct measured *m, uint16_t flow, bool witness, uint32_t number, bool *known)
{
    int err = 0;

    for (size_t i = 0; i < m->part_count && !err; i++) {
        struct part *p = &m->parts[i];
        if (p->row.flow == flow && p->row.witness == witness &&
            is_known(&m->records[p->first + number]) && !(witness && *known)) {
            *known = true;
            err = add_dt(m, p, number);
        }
    }
    return err;
}

static int
add_flow(struct measured *m, uint16_t flow)
{
    int err = 0;

    for (uint32_t k = 0; k < m->dt_count && !err; k++) {
        bool known = false;
        err = add_flow_end(m, flow, false, k, &known);
        if (!err && !known) {
            err = add_flow_end(m, flow, true, k, &known);
        }
        if (!known) {
            m->dts[k].flags |= MEASURED_NOT_WHOLE;
        }
    }
    return err;
}

static bool
is_first_of_flow(const struct measured *m, size_t part)
{
    for (size_t i = 0; i < part; i++) {
        if (m->parts[i].row.flow == m->parts[part].row.flow) {
            return false;
        }
    }
    return true;
}

/* Takes the inner mark off, says what is undetermined, sums. */
static void
finish_dts(struct measured *m)
{
    struct measured_dt *total = &m->total;

    *total = (struct measured_dt){0};
    m->clean = true;
    for (uint32_t k = 0; k < m->dt_count; k++) {
        struct measured_dt *d = &m->dts[k];
        if (!(d->flags & KNOWN)) {
            *d = (struct measured_dt){.flags = MEASURED_UNDETERMINED};
        }
        d->flags = (d->flags & ~KNOWN) | (d->sent == 0 ? (uint32_t)MEASURED_UNDETERMINED : 0);
        m->clean = m->clean && d->flags == 0 && d->lost == 0;
        total->flags |= d->flags;
        plus(m, &total->sent, d->sent);
        plus(m, &total->received, d->received);
        plus(m, &total->lost, d->lost);
        plus(m, &total->lost_undirected, d->lost_undirected);
        plus(m, &total->duplicate, d->duplicate);
        plus(m, &total->reordered, d->reordered);
        plus(m, &total->late, d->late);
        if (d->clock_error_ns > total->clock_error_ns) {
            total->clock_error_ns = d->clock_error_ns;
        }
    }
}

/* Room for all that can come, so that nothing is allocated on the way. */
static int
reserve(struct measured *m)
{
    size_t most = 0;

    for (size_t i = 0; i < m->part_count; i++) {
        most += m->parts[i].row.clean ? 1 : m->dt_count;
    }
    void *dts = with_room(m->dts, &m->dt_room, m->dt_count, sizeof m->dts[0]);
    if (!dts && m->dt_count) {
        return -ENOMEM;
    }
    m->dts = dts;
    void *delays = with_room(m->delays, &m->delay_room, most, sizeof m->delays[0]);
    if (!delays && most) {
        return -ENOMEM;
    }
    m->delays = delays;
    return 0;
}

int
measured_end(struct measured *m)
{
    int err = reserve(m);

    if (err) {
        return err;
    }
    if (m->dt_count) {
        memset(m->dts, 0, m->dt_count * sizeof m->dts[0]);
    }
    for (size_t i = 0; i < m->part_count && !err; i++) {
        if (is_first_of_flow(m, i)) {
            err = add_flow(m, m->parts[i].row.flow);
        }
    }
    for (size_t i = 0; i < m->part_count && !err; i++) {
        if (m->parts[i].row.clean) {
            add_whole(m, &m->parts[i]);
        }
    }
    finish_dts(m);
    return err ? err : m->overflow ? -EOVERFLOW : 0;
}

uint32_t
measured_count(const struct measured *m)
{
    return m->dt_count;
}

const struct measured_dt *
measured_dts(const struct measured *m)
{
    return m->dts;
}

const struct measured_delay *
measured_delays(const struct measured *m, size_t *count)
{
    *count = m->delay_count;
    return m->delays;
}

const struct measured_dt *
measured_total(const struct measured *m)
{
    return &m->total;
}

bool
measured_is_clean(const struct measured *m)
{
    return m->clean;
}
