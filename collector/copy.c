/* copy.c - COPY BINARY, field by field. */
#include "copy.h"

#define POSTGRESQL_EPOCH_S INT64_C(946684800)
#define OID_INT8 20

int64_t
copy_timestamp(struct instant i)
{
    return (i.ns - POSTGRESQL_EPOCH_S * NS_PER_S) / NS_PER_US;
}

void
copy_begin(struct bytes *b)
{
    static const uint8_t header[19] = "PGCOPY\n\377\r\n"; /* Its NUL, flags and extension: zeros. */

    bytes_clear(b);
    bytes_add(b, header, sizeof header);
}

void
copy_end(struct bytes *b)
{
    bytes_be16(b, UINT16_MAX);
}

void
copy_null(struct bytes *b)
{
    bytes_be32(b, UINT32_MAX);
}

void
copy_i4(struct bytes *b, uint32_t v)
{
    bytes_be32(b, 4);
    bytes_be32(b, v);
}

void
copy_i8(struct bytes *b, int64_t v)
{
    bytes_be32(b, 8);
    bytes_be64(b, (uint64_t)v);
}

void
copy_count(struct bytes *b, uint64_t v)
{
    copy_i8(b, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void
copy_bool(struct bytes *b, bool v)
{
    const uint8_t byte = v;

    bytes_be32(b, 1);
    bytes_add(b, &byte, 1);
}

void
copy_bytes(struct bytes *b, const void *from, size_t size)
{
    if (size == 0) {
        copy_null(b);
        return;
    }
    bytes_be32(b, (uint32_t)size);
    bytes_add(b, from, size);
}

static void
field_clock_error(struct bytes *b, uint64_t ns)
{
    if (ns == UINT64_MAX) {
        copy_null(b);
    } else {
        copy_count(b, ns);
    }
}

static void
field_over(struct bytes *b, const uint64_t *over, unsigned count)
{
    if (count == 0) {
        copy_null(b);
        return;
    }
    bytes_be32(b, 20 + count * 12);
    bytes_be32(b, 1); /* Dimensions. */
    bytes_be32(b, 0); /* No NULLs. */
    bytes_be32(b, OID_INT8);
    bytes_be32(b, count);
    bytes_be32(b, 1); /* Lower bound. */
    for (unsigned i = 0; i < count; i++) {
        copy_count(b, over[i]);
    }
}

static void
field_delays(struct bytes *b, const struct row *r)
{
    copy_count(b, r->delay_count);
    copy_i8(b, r->delay_sum_ns);
    if (r->delay_count == 0) {
        for (int i = 0; i < 2 + ROW_QUANTILES; i++) {
            copy_null(b);
        }
        return;
    }
    copy_i8(b, r->delay_min_ns);
    copy_i8(b, r->delay_max_ns);
    for (int i = 0; i < ROW_QUANTILES; i++) {
        copy_i8(b, r->quantile_ns[i]);
    }
}

void
copy_row(struct bytes *b, const struct copy_place *p, const struct row *r)
{
    const uint64_t counts[] = {
        r->scheduled, r->sent, r->send_errors, r->received,  r->lost,         r->lost_undirected,
        r->unknown,   r->late, r->duplicate,   r->reordered, r->stamped_user, r->stamped_hardware};

    bytes_be16(b, 33);
    copy_i8(b, p->series_id);
    copy_i8(b, copy_timestamp(p->start));
    copy_i8(b, p->params_id);
    copy_i4(b, p->seconds);
    copy_i4(b, r->flags);
    copy_i4(b, p->revision);
    copy_i4(b, r->dt_count);
    copy_i4(b, r->unknown_dt);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        copy_count(b, counts[i]);
    }
    field_clock_error(b, r->clock_error_ns);
    field_delays(b, r);
    field_over(b, r->over, r->any_over ? p->limit_count : 0);
    copy_bytes(b, r->hist, r->hist_size);
    copy_bytes(b, r->ifdv, r->ifdv_size);
    copy_bytes(b, r->dt, r->dt_size);
}

static void
rollup_part(struct bytes *b, const struct rollup_part *p)
{
    copy_i4(b, p->seconds);
    copy_i4(b, p->dt_count);
    for (int i = 0; i < ROLLUP_COUNTS; i++) {
        copy_count(b, p->counts[i]);
    }
    field_clock_error(b, p->clock_error_ns);
    copy_count(b, p->delay_count);
    copy_i8(b, p->delay_sum_ns);
    if (p->delay_count) {
        copy_i8(b, p->delay_min_ns);
        copy_i8(b, p->delay_max_ns);
    } else {
        copy_null(b);
        copy_null(b);
    }
    field_over(b, p->over, p->over_count);
    copy_bytes(b, p->hist, p->hist_size);
    copy_bytes(b, p->ifdv, p->ifdv_size);
}

void
copy_rollup(struct bytes *b, const struct copy_place *p, const struct rollup *r)
{
    bool any = r->part[ROLLUP_CLEAN].delay_count || r->part[ROLLUP_UNCLEAN].delay_count;

    bytes_be16(b, 8 + ROLLUP_PARTS * 22 + ROW_QUANTILES);
    copy_i8(b, p->series_id);
    copy_i8(b, copy_timestamp(p->start));
    copy_i8(b, p->params_id);
    copy_i4(b, p->seconds);
    copy_i4(b, r->flags);
    copy_i4(b, p->revision);
    copy_i4(b, r->unknown_dt);
    copy_i4(b, r->undetermined_dt);
    for (int i = 0; i < ROLLUP_PARTS; i++) {
        rollup_part(b, &r->part[i]);
    }
    for (int i = 0; i < ROW_QUANTILES; i++) {
        if (any) {
            copy_i8(b, r->quantile_ns[i]);
        } else {
            copy_null(b);
        }
    }
}

void
copy_liveness(struct bytes *b, int64_t source_id, struct instant start, uint32_t seconds,
              const void *record, size_t size)
{
    bytes_be16(b, 4);
    copy_i8(b, source_id);
    copy_i8(b, copy_timestamp(start));
    copy_i4(b, seconds);
    copy_bytes(b, record, size);
}
