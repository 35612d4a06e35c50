/* row.h - the delta-t of one session in one interval become three rows.
 *
 * After telemetry.h (decoded summaries) and hist.h, before store.h (COPY).  Does
 * no I/O.  A summary speaks in the session's frame; records and rows speak in
 * the link's frame, one for each series.  What a row's counters mean is said in
 * sql/0001-store.sql.
 *
 * Clean row: every delta-t is there, without loss, flag or unknown packet; then
 * one merged histogram stands for all, and the dt records say no more than how
 * much was sent.  Any other row keeps everything for each delta-t, so that a
 * later finding can take one out again (row_decode_dt(), row_make()). */
#ifndef PLUMBLINE_ROW_H
#define PLUMBLINE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "hist.h"
#include "nstime.h"
#include "series.h"
#include "summary.h"
#include "telemetry.h"

/* Values stay: they are in stored rows. */
enum dt_kind {
    DT_ABSENT = 0,   /* The session did not run. */
    DT_NOT_TOLD = 1, /* It should have, and nothing is known. */
    DT_PLAIN = 2,    /* In a clean row: 'sent' were sent and received. */
    DT_FULL = 3
};

enum row_flag {
    ROW_UNCLEAN = 1 << 0,
    ROW_PARTIAL = 1 << 1,     /* A delta-t is absent. */
    ROW_SUSPECT = 1 << 2,     /* A delta-t that counts carries a flag. */
    ROW_UNKNOWN = 1 << 3,     /* Nothing is known of some delta-t. */
    ROW_UNDETERMINED = 1 << 4 /* Of some, the far end was found not to serve. */
};

struct dt_delay {
    uint64_t count;
    int64_t min_ns;
    uint64_t range_ns; /* max - min */
    uint64_t sum_ns;   /* Of (delay - min). */
    const uint8_t *hist, *ifdv;
    size_t hist_size, ifdv_size;
};

/* One delta-t of one series.  Bytes are borrowed. */
struct dt_record {
    enum dt_kind kind;
    uint32_t flags; /* enum dt_flag */
    uint64_t sent, received, lost, lost_undirected, unknown;
    uint64_t scheduled, send_errors, late, duplicate, reordered;
    uint64_t stamped_user, stamped_hardware;
    uint64_t clock_error_ns; /* UINT64_MAX: not known. */
    struct dt_delay delay;
    uint64_t over[SERIES_LIMITS_MAX];
};

enum { ROW_P50, ROW_P95, ROW_P99, ROW_P99_9, ROW_QUANTILES };

struct row {
    uint32_t flags; /* enum row_flag */
    uint32_t dt_count, unknown_dt;
    uint64_t scheduled, sent, send_errors, received, lost, lost_undirected, unknown;
    uint64_t late, duplicate, reordered, stamped_user, stamped_hardware;
    uint64_t clock_error_ns; /* UINT64_MAX: not known. */
    uint64_t delay_count;
    int64_t delay_sum_ns, delay_min_ns, delay_max_ns;
    int64_t quantile_ns[ROW_QUANTILES];
    bool any_over;
    uint64_t over[SERIES_LIMITS_MAX];
    /* The maker's, until it makes another row. */
    const uint8_t *hist, *ifdv, *dt;
    size_t hist_size, ifdv_size, dt_size;
};

/* Makes the records of the three series of 'key' from a checked summary;
 * out[direction of the link].  Histogram bytes stay the summary's. */
void row_split(const struct session_key *key, const pb_summary *s,
               struct dt_record out[DIRECTIONS]);

/* Whether the summary may stand in a clean row. */
bool row_summary_is_clean(const pb_summary *s);

/* Memory that is used again for each row. */
struct row_maker;
struct row_maker *row_maker_new(void);
void row_maker_free(struct row_maker *m);

/* Makes one row of 'count' consecutive records.  'clean' is the session's: all
 * of its summaries are clean and all are there.  0, -ENOMEM, or -EBADMSG (a
 * histogram does not decode: cannot be after telemetry_parse()). */
int row_make(struct row_maker *m, const struct dt_record *records, size_t count,
             unsigned limit_count, bool clean, struct row *out);

/* Reads the dt column back; the records point into 'bytes'.  Returns their
 * number, or -EBADMSG.  Plain records have no delays. */
int row_decode_dt(const void *bytes, size_t size, struct dt_record *records, size_t room);

#endif
