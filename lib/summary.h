/* summary.h - what one session did in one delta-t: counters, delays, and what
 * was exactly over each limit.
 *
 * After match.h (fates), before telemetry.h (the wire).  Summaries of the same
 * session add up (summary_merge), and merging commutes.  Directions are the
 * session's: fwd is sender to reflector. */
#ifndef PLUMBLINE_SUMMARY_H
#define PLUMBLINE_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "nstime.h"
#include "series.h"

/* Why a delta-t is not to be believed without a second look.  Values stay. */
enum dt_flag {
    DT_UNKNOWN = 1 << 0,      /* Nothing is known of it (tombstone, gap, probe was not there). */
    DT_UNDERSENT = 1 << 1,    /* Fewer than 90 % of the scheduled packets were sent. */
    DT_CLOCK_STEP = 1 << 2,   /* The sender's clock stepped: ended early, suspect. */
    DT_OVERRUN = 1 << 3,      /* Events or packets were lost inside the probe. */
    DT_FAR_EPOCH = 1 << 4,    /* The reflector began anew while packets of it were out. */
    DT_NEGATIVE = 1 << 5,     /* A one-way delay was negative. */
    DT_UNDETERMINED = 1 << 6, /* Set by the collector: the far end was not serving. */
    DT_BELOW_FLOOR = 1 << 7   /* A round trip was under what the way allows (rt_floor). */
};

/* Delays of one direction.  'count' samples; min, max, sum valid if count > 0;
 * 'hist' holds the same samples.  Never clamped: a negative delay is kept.  The
 * sum is taken modulo 2^64: sum - count * min is right also where clocks are so
 * far apart that the sum alone would overflow. */
struct delay {
    uint64_t count;
    int64_t min_ns, max_ns, sum_ns;
    struct hist *hist; /* HIST_DELAY, the summary's own. */
    struct hist *ifdv; /* HIST_IFDV, or NULL when not asked for. */
};

struct summary {
    struct instant start; /* A multiple of dt, sender's clock. */
    uint32_t flags;       /* enum dt_flag. */
    /* Every packet sent has one fate:
     * sent == received + lost_fwd + lost_bwd + lost_undirected + unknown. */
    uint64_t scheduled;   /* Should have been sent. */
    uint64_t sent;        /* The kernel took it. */
    uint64_t send_errors; /* The kernel refused it; not in 'sent'. */
    uint64_t received;    /* Reply came within Tmax. */
    uint64_t lost_fwd, lost_bwd, lost_undirected;
    uint64_t unknown;                      /* Sent, and no one can tell (overrun). */
    uint64_t late;                         /* Replies after Tmax; these packets are in a lost_*. */
    uint64_t duplicate_fwd, duplicate_bwd; /* Extra copies seen by reflector, by sender. */
    uint64_t reordered_fwd, reordered_bwd; /* RFC 4737, type-P-reordered. */
    uint64_t stamped[TS_SOURCES];          /* Received samples by the worst of their timestamps. */
    uint64_t clock_error_ns; /* Greatest bound, both ends together; 0: no sample yet; UINT64_MAX:
                                not known. */
    struct delay delay[DIRECTIONS];
    uint64_t over[SERIES_LIMITS_MAX]; /* Exactly over limits[i] of the session. */
};

/* An early state: what is known of the delta-t that just ended, before its
 * packets had Tmax to come back.  Feeds live and alarms, never rows. */
struct early {
    struct instant start;
    uint64_t sent, received,
        overdue;          /* overdue: unanswered for longer than four times the usual. */
    uint64_t send_errors; /* As in a summary; not in 'sent'. */
    int64_t rt_min_ns, rt_max_ns, rt_p50_ns; /* Valid if received > 0. */
    int64_t fwd_p50_ns, bwd_p50_ns;
    uint64_t clock_error_ns;
};

/* Makes 's' empty, with histograms (IFDV ones if 'ifdv').  0 or -ENOMEM. */
int summary_init(struct summary *s, struct instant start, bool ifdv);
void summary_fini(struct summary *s);

/* Empties 's' for another delta-t, keeping its memory. */
void summary_reset(struct summary *s, struct instant start);

/* Adds a delay sample of 'direction', counting it against each limit of 'key'
 * that is on LIMIT_DELAY and this direction; a negative one-way delay raises
 * DT_NEGATIVE.  0 or -ENOMEM (then nothing is counted). */
int summary_add_delay(struct summary *s, const struct session_key *key, enum direction direction,
                      struct span delay);

/* Adds an IFDV sample (>= 0) the same way, against limits on LIMIT_IFDV; kept in
 * the histogram if the summary has one. */
int summary_add_ifdv(struct summary *s, const struct session_key *key, enum direction direction,
                     struct span ifdv);

/* Adds 'from' into 's': flags are or-ed, clock errors take the greater (not
 * known is the greatest), the start stays the earlier; both have IFDV
 * histograms or neither has.  0 or -ENOMEM: then 's' is of no more use but to
 * be reset. */
int summary_merge(struct summary *s, const struct summary *from);

#endif
