/* cell.h - one cell of a result in binary form.
 *
 * After wire.h, before whoever reads rows back (rollwrite.c, judgestore.c).  A cell of another size
 * than the type's reads as 0, as NULL does. */
#ifndef PLUMBLINE_CELL_H
#define PLUMBLINE_CELL_H

#include <libpq-fe.h>

#include "series.h"
#include "wire.h"

static inline struct rd
cell(const PGresult *r, int row, int column)
{
    return rd_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

static inline int64_t
cell_i8(const PGresult *r, int row, int column)
{
    struct rd rd = cell(r, row, column);
    return (int64_t)rd_be64(&rd);
}

static inline uint32_t
cell_i4(const PGresult *r, int row, int column)
{
    struct rd rd = cell(r, row, column);
    return rd_be32(&rd);
}

/* Of a timestamptz, which counts microseconds since 2000. */
static inline struct instant
cell_instant(const PGresult *r, int row, int column)
{
    return instant_of_ns((cell_i8(r, row, column) + INT64_C(946684800) * 1000000) * NS_PER_US);
}

static inline bool
cell_bool(const PGresult *r, int row, int column)
{
    return PQgetlength(r, row, column) == 1 && PQgetvalue(r, row, column)[0] != 0;
}

/* NULL where the cell is. */
static inline const uint8_t *
cell_bytes(const PGresult *r, int row, int column, size_t *size)
{
    *size = (size_t)PQgetlength(r, row, column);
    return PQgetisnull(r, row, column) ? NULL : (const uint8_t *)PQgetvalue(r, row, column);
}

/* An array of int8 without NULLs, as copy.c writes it; none where the cell is NULL.  false: it is
 * something else, or too long. */
static inline bool
cell_over(const PGresult *r, int row, int column, uint64_t over[SERIES_LIMITS_MAX], unsigned *count)
{
    struct rd rd = cell(r, row, column);

    *count = 0;
    if (PQgetisnull(r, row, column)) {
        return true;
    }
    rd_skip(&rd, 12); /* Dimensions, NULLs, type. */
    uint32_t n = rd_be32(&rd);
    rd_skip(&rd, 4); /* Lower bound. */
    if (!rd_ok(&rd) || n > SERIES_LIMITS_MAX) {
        return false;
    }
    *count = n;
    for (uint32_t i = 0; i < n; i++) {
        rd_skip(&rd, 4);
        over[i] = rd_be64(&rd);
    }
    return rd_ok(&rd);
}

#endif
