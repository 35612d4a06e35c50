/* rollup.h - rows become quarter hours, quarter hours become days, by merging.
 *
 * After row.h (what a row's records hold), before rollwrite.h (PostgreSQL).  Does
 * no I/O; times are whole seconds of UTC.
 *
 * What clean rows hold and what the others hold stay two parts, each with its
 * counters and its histograms, so that a later finding about an unclean row
 * leaves the clean part as it is.  Merging loses nothing: a quarter hour is what
 * summarising its delta-t together would have made, however often the collector
 * began anew in between. */
#ifndef PLUMBLINE_ROLLUP_H
#define PLUMBLINE_ROLLUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"

#define ROLLUP_QUARTER_S 900
#define ROLLUP_DAY_S 86400

/* --- Merging -------------------------------------------------------------- */

/* In the order of the columns. */
enum rollup_count {
    ROLLUP_SCHEDULED,
    ROLLUP_SENT,
    ROLLUP_SEND_ERRORS,
    ROLLUP_RECEIVED,
    ROLLUP_LOST,
    ROLLUP_LOST_UNDIRECTED,
    ROLLUP_UNKNOWN,
    ROLLUP_LATE,
    ROLLUP_DUPLICATE,
    ROLLUP_REORDERED,
    ROLLUP_STAMPED_USER,
    ROLLUP_STAMPED_HARDWARE,
    ROLLUP_COUNTS
};

/* Bytes are borrowed. */
struct rollup_part {
    uint32_t seconds; /* Length of the rows in it. */
    uint32_t dt_count;
    uint64_t counts[ROLLUP_COUNTS];
    uint64_t clock_error_ns; /* Greatest; UINT64_MAX: not known. */
    uint64_t delay_count;
    int64_t delay_sum_ns, delay_min_ns, delay_max_ns;
    unsigned over_count; /* Limits in over[]; 0: none was over any. */
    uint64_t over[SERIES_LIMITS_MAX];
    const uint8_t *hist, *ifdv;
    size_t hist_size, ifdv_size;
};

enum { ROLLUP_CLEAN, ROLLUP_UNCLEAN, ROLLUP_PARTS };

struct rollup {
    uint32_t seconds; /* Length of the quarter hour or day. */
    uint32_t flags;   /* enum row_flag, of any of its rows. */
    uint32_t unknown_dt, undetermined_dt;
    struct rollup_part part[ROLLUP_PARTS];
    int64_t quantile_ns[ROW_QUANTILES]; /* Of both parts together, if there is a delay. */
};

/* A rollup that holds nothing. */
struct rollup rollup_nothing(void);

struct rollup_maker;
struct rollup_maker *rollup_maker_new(void);
void rollup_maker_free(struct rollup_maker *m);

/* Begins one that is 'seconds' long; what was not ended is forgotten. */
void rollup_begin(struct rollup_maker *m, uint32_t seconds);

/* Adds a finer one: a quarter hour, or a row in the shape of one, with all it has
 * in the part that it belongs to.  An unclean row has no histograms but its dt
 * column ('dt', NULL otherwise), which also tells how many delta-t are
 * undetermined.  0, -ENOMEM, or -EBADMSG (it does not decode); after an error
 * begin again. */
int rollup_add(struct rollup_maker *m, const struct rollup *finer, const void *dt, size_t dt_size);

/* Ends it.  Bytes in 'out' are the maker's until the next rollup_begin().  0 or
 * -ENOMEM. */
int rollup_end(struct rollup_maker *m, struct rollup *out);

/* --- What a commit completes ---------------------------------------------- */

/* Quarter hours written by an earlier release are merged so many a commit. */
#define ROLLUP_BACKLOG 8
#define ROLLUP_QUARTERS_MAX 128
#define ROLLUP_DAYS_MAX (ROLLUP_QUARTERS_MAX + 1)

/* What is known at a commit; 0: nothing yet. */
struct rollup_due {
    int64_t rolled_s; /* Merged up to here, as PostgreSQL has it. */
    int64_t before_s; /* Written until, before this commit, */
    int64_t until_s;  /* and with it. */
    const int64_t *quarters_s;
    size_t quarter_count; /* Those in which its rows are, ascending; at most
                           * ROLLUP_QUARTERS_MAX - ROLLUP_BACKLOG - 1. */
};

struct rollup_plan {
    /* The source was closed, merged as far as it had come, and is back: these are
     * taken back first, and merged again once they are over; 0: none. */
    int64_t reopen_quarter_s, reopen_day_s;
    int64_t quarters_s[ROLLUP_QUARTERS_MAX]; /* To be merged of rows, ascending, */
    size_t quarter_count;
    int64_t days_s[ROLLUP_DAYS_MAX]; /* and then these of quarter hours. */
    size_t day_count;
    int64_t rolled_s; /* Merged up to here afterwards; 0: nothing yet. */
};

/* Which quarter hours and days are over with a commit.  Every quarter hour with
 * rows is merged by exactly one commit, whatever lies between: silence, restarts,
 * an earlier release (which does not merge).  Returns whether there is anything to
 * do. */
bool rollup_plan(const struct rollup_due *due, struct rollup_plan *out);

#endif
