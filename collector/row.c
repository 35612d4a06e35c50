/* row.c - delta-t records to rows, and back. */
#include "row.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define DT_ENCODING 1

struct row_maker {
    struct hist *delay, *ifdv;
    struct bytes dt, entry, last, hist, ifdv_bytes;
};

struct row_maker *
row_maker_new(void)
{
    struct row_maker *m = calloc(1, sizeof *m);

    if (!m) {
        return NULL;
    }
    m->delay = hist_new(HIST_DELAY);
    m->ifdv = hist_new(HIST_IFDV);
    if (!m->delay || !m->ifdv) {
        row_maker_free(m);
        return NULL;
    }
    return m;
}

void
row_maker_free(struct row_maker *m)
{
    if (!m) {
        return;
    }
    hist_free(m->delay);
    hist_free(m->ifdv);
    bytes_fini(&m->dt);
    bytes_fini(&m->entry);
    bytes_fini(&m->last);
    bytes_fini(&m->hist);
    bytes_fini(&m->ifdv_bytes);
    free(m);
}

/* --- Summary to records --------------------------------------------------- */

static void
take_delay(struct dt_delay *to, const pb_delay *from)
{
    if (!from || from->count == 0) {
        return;
    }
    *to = (struct dt_delay){
        .count = from->count,
        .min_ns = from->min_ns,
        .range_ns = (uint64_t)from->range_ns,
        .sum_ns = (uint64_t)from->sum_ns,
        .hist = from->hist.data,
        .hist_size = from->hist.len,
        .ifdv = from->ifdv.data,
        .ifdv_size = from->ifdv.len,
    };
}

void
row_split(const struct session_key *key, const pb_summary *s, struct dt_record out[DIRECTIONS])
{
    const uint64_t r = s->received, f = s->lost_fwd, b = s->lost_bwd, u = s->lost_undirected;
    const struct dt_record common = {
        .kind = DT_FULL,
        .flags = s->flags,
        .lost_undirected = u,
        .unknown = s->unknown,
        .scheduled = s->scheduled ? s->scheduled : s->sent,
        .send_errors = s->send_errors,
        .late = s->late,
        .stamped_user = s->stamped_user,
        .stamped_hardware = s->stamped_hardware,
        .clock_error_ns = s->clock_error_ns ? s->clock_error_ns : UINT64_MAX,
    };
    struct dt_record *there = &out[session_direction(key, DIR_FWD)];
    struct dt_record *back = &out[session_direction(key, DIR_BWD)];
    struct dt_record *round = &out[DIR_RT];

    *there = *back = *round = common;
    there->sent = r + f + b + u;
    there->lost = f + u;
    there->received = r + b;
    there->duplicate = s->duplicate_fwd;
    there->reordered = s->reordered_fwd;
    back->sent = r + b + u;
    back->lost = b + u;
    back->received = r;
    back->duplicate = s->duplicate_bwd;
    back->reordered = s->reordered_bwd;
    round->sent = there->sent;
    round->lost = f + b + u;
    round->received = r;
    round->duplicate = (uint64_t)s->duplicate_fwd + s->duplicate_bwd;
    round->reordered = (uint64_t)s->reordered_fwd + s->reordered_bwd;
    take_delay(&there->delay, s->fwd);
    take_delay(&back->delay, s->bwd);
    take_delay(&round->delay, s->rt);
    for (size_t i = 0; i < s->n_over && i < key->limit_count; i++) {
        out[session_direction(key, key->limits[i].direction)].over[i] = s->over[i];
    }
}

bool
row_summary_is_clean(const pb_summary *s)
{
    return s->flags == 0 && s->lost_fwd == 0 && s->lost_bwd == 0 && s->lost_undirected == 0 &&
           s->unknown == 0;
}

/* --- Records to bytes ----------------------------------------------------- */

/* Which fields an entry has, in this order; values stay. */
#define DT_FIELDS 13

static void
fields_of(const struct dt_record *r, uint64_t field[DT_FIELDS])
{
    const uint64_t all[DT_FIELDS] = {
        r->flags,     r->sent,         r->received,        r->lost, r->lost_undirected,
        r->unknown,   r->scheduled,    r->send_errors,     r->late, r->duplicate,
        r->reordered, r->stamped_user, r->stamped_hardware};
    memcpy(field, all, sizeof all);
}

static void
encode_delay(struct bytes *b, const struct dt_delay *d)
{
    bytes_varint(b, d->count);
    if (d->count == 0) {
        return;
    }
    bytes_zigzag(b, d->min_ns);
    bytes_varint(b, d->range_ns);
    bytes_varint(b, d->sum_ns);
    bytes_varint(b, d->hist_size);
    bytes_add(b, d->hist, d->hist_size);
    bytes_varint(b, d->ifdv_size);
    bytes_add(b, d->ifdv, d->ifdv_size);
}

static void
encode_entry(struct bytes *b, const struct dt_record *r, unsigned limit_count)
{
    uint64_t field[DT_FIELDS], mask = 0;
    unsigned over = 0;

    if (r->kind == DT_PLAIN) {
        bytes_varint(b, r->sent);
    }
    if (r->kind != DT_FULL) {
        return;
    }
    fields_of(r, field);
    for (unsigned i = 0; i < DT_FIELDS; i++) {
        mask |= (uint64_t)(field[i] != 0) << i;
    }
    bytes_varint(b, mask);
    for (unsigned i = 0; i < DT_FIELDS; i++) {
        if (field[i]) {
            bytes_varint(b, field[i]);
        }
    }
    bytes_varint(b, r->clock_error_ns + 1); /* 0: not known. */
    for (unsigned i = 0; i < limit_count; i++) {
        over = r->over[i] ? i + 1 : over;
    }
    bytes_varint(b, over);
    for (unsigned i = 0; i < over; i++) {
        bytes_varint(b, r->over[i]);
    }
    encode_delay(b, &r->delay);
}

static void
end_run(struct row_maker *m, uint64_t repeat, enum dt_kind kind)
{
    if (repeat) {
        bytes_varint(&m->dt, repeat << 2 | (uint64_t)kind);
        bytes_add(&m->dt, m->last.at, m->last.size);
    }
}

/* Equal neighbours become one run. */
static void
encode_records(struct row_maker *m, const struct dt_record *records, size_t count, bool clean,
               unsigned limit_count)
{
    static const uint8_t format = DT_ENCODING;
    uint64_t repeat = 0;
    enum dt_kind kind = DT_ABSENT;

    bytes_clear(&m->dt);
    bytes_add(&m->dt, &format, 1);
    for (size_t i = 0; i < count; i++) {
        struct dt_record plain = {.kind = DT_PLAIN, .sent = records[i].sent};
        const struct dt_record *r = clean ? &plain : &records[i];
        bytes_clear(&m->entry);
        encode_entry(&m->entry, r, limit_count);
        if (repeat && r->kind == kind && m->entry.size == m->last.size &&
            (m->entry.size == 0 || memcmp(m->entry.at, m->last.at, m->entry.size) == 0)) {
            repeat++;
            continue;
        }
        end_run(m, repeat, kind);
        struct bytes swap = m->last;
        m->last = m->entry;
        m->entry = swap;
        kind = r->kind;
        repeat = 1;
    }
    end_run(m, repeat, kind);
}

/* --- Bytes to records ----------------------------------------------------- */

static void
decode_delay(struct rd *r, struct dt_delay *d)
{
    d->count = rd_varint(r);
    if (d->count == 0) {
        return;
    }
    d->min_ns = rd_zigzag(r);
    d->range_ns = rd_varint(r);
    d->sum_ns = rd_varint(r);
    d->hist_size = rd_varint(r);
    d->hist = rd_take(r, d->hist_size);
    d->ifdv_size = rd_varint(r);
    d->ifdv = rd_take(r, d->ifdv_size);
}

static void
decode_entry(struct rd *r, struct dt_record *out)
{
    uint64_t field[DT_FIELDS] = {0};

    if (out->kind == DT_PLAIN) {
        out->sent = out->received = out->scheduled = rd_varint(r);
    }
    if (out->kind != DT_FULL) {
        return;
    }
    uint64_t mask = rd_varint(r);
    for (unsigned i = 0; i < DT_FIELDS; i++) {
        field[i] = mask >> i & 1 ? rd_varint(r) : 0;
    }
    out->flags = (uint32_t)field[0];
    out->sent = field[1];
    out->received = field[2];
    out->lost = field[3];
    out->lost_undirected = field[4];
    out->unknown = field[5];
    out->scheduled = field[6];
    out->send_errors = field[7];
    out->late = field[8];
    out->duplicate = field[9];
    out->reordered = field[10];
    out->stamped_user = field[11];
    out->stamped_hardware = field[12];
    out->clock_error_ns = rd_varint(r) - 1;
    uint64_t over = rd_varint(r);
    if (over > SERIES_LIMITS_MAX || mask >> DT_FIELDS) {
        r->bad = true;
        return;
    }
    for (uint64_t i = 0; i < over; i++) {
        out->over[i] = rd_varint(r);
    }
    decode_delay(r, &out->delay);
}

int
row_decode_dt(const void *bytes, size_t size, struct dt_record *records, size_t room)
{
    struct rd r = rd_of(bytes, size);
    size_t count = 0;

    if (rd_u8(&r) != DT_ENCODING) {
        return -EBADMSG;
    }
    while (rd_ok(&r) && r.left) {
        uint64_t head = rd_varint(&r);
        struct dt_record one = {.kind = (enum dt_kind)(head & 3), .clock_error_ns = UINT64_MAX};
        uint64_t repeat = head >> 2;
        decode_entry(&r, &one);
        if (!rd_ok(&r) || repeat == 0 || repeat > room - count) {
            return -EBADMSG;
        }
        while (repeat--) {
            records[count++] = one;
        }
    }
    return rd_ok(&r) ? (int)count : -EBADMSG;
}

/* --- Records to a row ----------------------------------------------------- */

static int
add_delay(struct row_maker *m, const struct dt_delay *d, struct row *out)
{
    int64_t max = d->min_ns + (int64_t)d->range_ns;

    if (d->count == 0) {
        return 0;
    }
    if (out->delay_count == 0 || d->min_ns < out->delay_min_ns) {
        out->delay_min_ns = d->min_ns;
    }
    if (out->delay_count == 0 || max > out->delay_max_ns) {
        out->delay_max_ns = max;
    }
    out->delay_count += d->count;
    out->delay_sum_ns += d->min_ns * (int64_t)d->count + (int64_t)d->sum_ns;
    if (hist_merge_encoded(m->delay, d->hist, d->hist_size) != HIST_OK ||
        hist_merge_encoded(m->ifdv, d->ifdv, d->ifdv_size) != HIST_OK) {
        return -EBADMSG;
    }
    return 0;
}

static int
add_record(struct row_maker *m, const struct dt_record *r, unsigned limit_count, struct row *out)
{
    out->dt_count++;
    out->flags |= r->flags ? ROW_SUSPECT : 0;
    out->scheduled += r->scheduled;
    out->sent += r->sent;
    out->send_errors += r->send_errors;
    out->received += r->received;
    out->lost += r->lost;
    out->lost_undirected += r->lost_undirected;
    out->unknown += r->unknown;
    out->late += r->late;
    out->duplicate += r->duplicate;
    out->reordered += r->reordered;
    out->stamped_user += r->stamped_user;
    out->stamped_hardware += r->stamped_hardware;
    if (r->clock_error_ns != UINT64_MAX &&
        (out->clock_error_ns == UINT64_MAX || r->clock_error_ns > out->clock_error_ns)) {
        out->clock_error_ns = r->clock_error_ns;
    }
    for (unsigned i = 0; i < limit_count; i++) {
        out->over[i] += r->over[i];
        out->any_over |= r->over[i] != 0;
    }
    return add_delay(m, &r->delay, out);
}

static void
quantiles(const struct row_maker *m, struct row *out)
{
    static const uint32_t per_million[ROW_QUANTILES] = {500000, 950000, 990000, 999000};

    if (hist_count(m->delay) == 0) {
        return;
    }
    for (int i = 0; i < ROW_QUANTILES; i++) {
        out->quantile_ns[i] =
            hist_quantile(m->delay, per_million[i], out->delay_min_ns, out->delay_max_ns);
    }
}

static void
encode_hist(const struct hist *h, struct bytes *to, const uint8_t **bytes, size_t *size)
{
    bytes_clear(to);
    *size = hist_count(h) ? hist_encoded_size(h) : 0;
    *bytes = NULL;
    if (*size) {
        uint8_t *room = bytes_grow(to, *size);
        size_t written = room ? hist_encode(h, room, *size) : *size;
        assert(written == *size);
        (void)written;
        *bytes = to->at;
    }
}

int
row_make(struct row_maker *m, const struct dt_record *records, size_t count, unsigned limit_count,
         bool clean, struct row *out)
{
    struct row row = {.flags = clean ? 0 : ROW_UNCLEAN, .clock_error_ns = UINT64_MAX};

    hist_clear(m->delay);
    hist_clear(m->ifdv);
    for (size_t i = 0; i < count; i++) {
        const struct dt_record *r = &records[i];
        if (r->kind == DT_ABSENT) {
            row.flags |= ROW_PARTIAL;
        } else if (r->kind == DT_NOT_TOLD || r->flags & (DT_UNKNOWN | DT_UNDETERMINED)) {
            row.unknown_dt++;
            row.flags |= r->flags & DT_UNDETERMINED ? ROW_UNDETERMINED : ROW_UNKNOWN;
        } else {
            int err = add_record(m, r, limit_count, &row);
            if (err) {
                return err;
            }
        }
    }
    quantiles(m, &row);
    encode_records(m, records, count, clean, limit_count);
    bytes_clear(&m->hist);
    bytes_clear(&m->ifdv_bytes);
    if (clean) {
        encode_hist(m->delay, &m->hist, &row.hist, &row.hist_size);
        encode_hist(m->ifdv, &m->ifdv_bytes, &row.ifdv, &row.ifdv_size);
    }
    if (!bytes_ok(&m->dt) || !bytes_ok(&m->entry) || !bytes_ok(&m->last) || !bytes_ok(&m->hist) ||
        !bytes_ok(&m->ifdv_bytes)) {
        return -ENOMEM;
    }
    row.dt = m->dt.at;
    row.dt_size = m->dt.size;
    *out = row;
    return 0;
}
