/* copy.h - rows in the form that COPY BINARY takes.
 *
 * After row.h and rollup.h, before rollwrite.h and store.h.  The columns are those of
 * COPY_ROW_COLUMNS, COPY_ROLLUP_COLUMNS and COPY_LIVENESS_COLUMNS, in that order. */
#ifndef PLUMBLINE_COPY_H
#define PLUMBLINE_COPY_H

#include "bytes.h"
#include "rollup.h"
#include "row.h"

#define COPY_ROW_COLUMNS                                                                           \
    "series_id, start, params_id, seconds, flags, revision, dt_count, unknown_dt, scheduled, "     \
    "sent, send_errors, received, lost, lost_undirected, unknown, late, duplicate, reordered, "    \
    "stamped_user, stamped_hardware, clock_error_ns, delay_count, delay_sum_ns, delay_min_ns, "    \
    "delay_max_ns, delay_p50_ns, delay_p95_ns, delay_p99_ns, delay_p99_9_ns, over_limit, hist, "   \
    "ifdv, dt"
#define COPY_PART_COLUMNS(part)                                                                    \
    part "_seconds, " part "_dt, " part "_scheduled, " part "_sent, " part "_send_errors, " part   \
         "_received, " part "_lost, " part "_lost_undirected, " part "_unknown, " part             \
         "_late, " part "_duplicate, " part "_reordered, " part "_stamped_user, " part             \
         "_stamped_hardware, " part "_clock_error_ns, " part "_delay_count, " part                 \
         "_delay_sum_ns, " part "_delay_min_ns, " part "_delay_max_ns, " part "_over_limit, " part \
         "_hist, " part "_ifdv"
#define COPY_ROLLUP_COLUMNS                                                                        \
    "series_id, start, params_id, seconds, flags, revision, unknown_dt, "                          \
    "undetermined_dt, " COPY_PART_COLUMNS("clean") ", " COPY_PART_COLUMNS(                         \
        "unclean") ", "                                                                            \
                   "delay_p50_ns, delay_p95_ns, delay_p99_ns, delay_p99_9_ns"
#define COPY_LIVENESS_COLUMNS "source_id, start, seconds, record"

struct copy_place {
    int64_t series_id, params_id;
    struct instant start;
    uint32_t seconds;
    uint32_t revision;
    unsigned limit_count; /* Not a rollup's. */
};

/* Fields of a row, after bytes_be16() with their number.  A count that is too great is cut; no
 * bytes are NULL. */
void copy_null(struct bytes *b);
void copy_i4(struct bytes *b, uint32_t v);
void copy_i8(struct bytes *b, int64_t v);
void copy_count(struct bytes *b, uint64_t v);
void copy_bool(struct bytes *b, bool v);
void copy_bytes(struct bytes *b, const void *from, size_t size);

/* A COPY BINARY stream begins with the first, ends with the last. */
void copy_begin(struct bytes *b);
void copy_row(struct bytes *b, const struct copy_place *p, const struct row *r);
void copy_rollup(struct bytes *b, const struct copy_place *p, const struct rollup *r);
void copy_liveness(struct bytes *b, int64_t source_id, struct instant start, uint32_t seconds,
                   const void *record, size_t size);
void copy_end(struct bytes *b);

/* Microseconds since 2000-01-01, as PostgreSQL has it. */
int64_t copy_timestamp(struct instant i);

#endif
