/* measured.h - one class of one link in one interval, as it is judged: flows summed, the witness
 * standing in, delta-t by delta-t.
 *
 * After row.h (what a stored row holds), before availability.h and tally.h.  Does no I/O: judge.c
 * reads the rows.
 *
 * The rows of all flows of the first end are summed at each delta-t.  Where a flow's delta-t is not
 * measured and the second end's same flow is, the second end's stands in, and the delta-t is marked
 * (sql/0007-witness.sql says the same in SQL, and a test compares them).  A delta-t of which some
 * flow is not known is what the known flows say; of which none is known is AVAILABILITY_NONE, as is
 * one in which nothing was sent.  Two rows of one flow and end (a reload changed the parameters
 * within the interval) are one sender's: they are summed too.
 *
 * Suspect are the delays of a delta-t in which fewer than 90 % was sent, the clock stepped, events
 * were lost inside the probe, the reflector began anew (it was measured for part of the time), or
 * a round trip was shorter than the way allows.  A negative one-way delay shows a wrong clock,
 * which a round trip does not feel: it has a mark of its own. */
#ifndef PLUMBLINE_MEASURED_H
#define PLUMBLINE_MEASURED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"
#include "series.h"

/* A stored row as it was read.  Histograms and the dt column (which has those of an unclean row)
 * are borrowed until the next measured_begin(), the rest until measured_add() returns. */
struct measured_row {
    uint16_t flow;
    bool witness; /* Of the second end. */
    bool clean;
    uint64_t delay_count; /* Of the whole row, as are those below; only a clean row's count. */
    int64_t delay_sum_ns, delay_min_ns, delay_max_ns;
    uint64_t duplicate, reordered, late;
    uint64_t clock_error_ns; /* UINT64_MAX: not known. */
    bool any_over;
    uint64_t over[SERIES_LIMITS_MAX]; /* By the order of params.limits, as in the dt column. */
    /* Limit i of params.limits counts in over[limit_map[i]] of what comes out: the objectives'
     * order.  Negative: no objective is on it.  NULL: both orders are the same, and each was
     * counted. */
    const int8_t *limit_map;
    const uint8_t *hist, *ifdv;
    size_t hist_size, ifdv_size;
    const uint8_t *dt; /* The dt column. */
    size_t dt_size;
};

enum measured_flag {
    MEASURED_SUSPECT = 1 << 0,      /* A flag of enum dt_flag that makes it suspect. */
    MEASURED_WITNESS = 1 << 1,      /* Some figure is the witness's. */
    MEASURED_UNDETERMINED = 1 << 2, /* Not known, or the far end did not serve: sent is 0 then. */
    MEASURED_NOT_WHOLE = 1 << 3,    /* Some flow is not known, others are. */
    MEASURED_NEGATIVE = 1 << 4      /* Suspect where the delay is one-way. */
};

/* One delta-t, all flows together.  What a clean row has of duplicates, reordered and late packets
 * is not here: it cannot be told apart by delta-t (measured_delay). */
struct measured_dt {
    uint32_t flags; /* enum measured_flag */
    uint64_t sent, received, lost, lost_undirected, duplicate, reordered, late;
    uint64_t clock_error_ns; /* Greatest of the flows with delays; UINT64_MAX: not known of some. */
};

enum {
    /* Of a whole clean row: they count only where all delta-t qualify. */
    MEASURED_WHOLE = -1,
    /* Of a clean row of the witness that stands in for part of the interval: 'count' samples (those
     * of the delta-t that it stands in for) are all that is known, and they cannot count. */
    MEASURED_PART = -2
};

/* Delay samples of one row: of one delta-t (number >= 0), or as above. */
struct measured_delay {
    int32_t number;
    uint32_t flags;                      /* Of this row's delta-t alone: enum measured_flag. */
    uint64_t clock_error_ns;             /* UINT64_MAX: not known. */
    uint64_t duplicate, reordered, late; /* Of MEASURED_WHOLE only. */
    uint64_t count;                      /* May be 0 with MEASURED_WHOLE. */
    int64_t sum_ns, min_ns, max_ns;
    uint64_t over[SERIES_LIMITS_MAX];
    uint32_t limits; /* Bit i: over[i] was counted; else it is 0 and says nothing. */
    const uint8_t *hist, *ifdv;
    size_t hist_size, ifdv_size;
};

struct measured;
struct measured *measured_new(void);
void measured_free(struct measured *m);

/* An interval of 'dt_count' delta-t; what was there before is forgotten. */
void measured_begin(struct measured *m, uint32_t dt_count);

/* Adds one row.  0, -ENOMEM, or -EBADMSG (the dt column does not decode, or has another number of
 * delta-t; what was sent is not what was received and lost; a clean row's is not a clean one's);
 * after an error begin again. */
int measured_add(struct measured *m, const struct measured_row *row);

/* After the last row: sums flows and lets the witness stand in.  Without a row all is
 * undetermined.  0, -ENOMEM, -EBADMSG (delays whose greatest does not fit), -EOVERFLOW (sums). */
int measured_end(struct measured *m);

/* Until the next measured_begin(). */
uint32_t measured_count(const struct measured *m);
const struct measured_dt *measured_dts(const struct measured *m);
const struct measured_delay *measured_delays(const struct measured *m, size_t *count);

/* Sums over all delta-t, clock errors' greatest; flags are of any. */
const struct measured_dt *measured_total(const struct measured *m);

/* Whether every delta-t is without loss, flag or doubt (so that it can be judged in one step). */
bool measured_is_clean(const struct measured *m);

#endif
