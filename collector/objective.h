/* objective.h - was a promise kept: one objective against the tally of a period.
 *
 * After tally.h and confidence.h, before credit.h and judge.c (which stores verdicts).  Does no
 * I/O. Counters are compared by cross-multiplying, never as floating point; floating point is in
 * the confidence interval only.
 *
 * What decides:
 *   availability, hli, chli   the count itself: all delta-t are known, there is no sample to doubt
 *   rt_p, fd_p, ifdv_p        the nearest rank, by the exact counter over[]; without one by the
 *                             histogram, unless the limit lies inside the rank's bucket
 *   fdr_p, pdv_p              the same by the histogram: the limit is relative to the least delay
 *   rt_mean, fd_mean          sum and count
 *   ipdv_abs_mean             the IFDV histogram (its offset is 1): the mean lies between the sums
 * of its buckets' edges, 3 % apart, and is undecided if the limit does too flr, flr_raw,
 * reorder_ratio, duplicate_ratio the interval: missed if the limit lies under it, met if over it. A
 *                             limit of 0 % is no ratio but a count: met if there was none
 *
 * A tally is of one way.  Who promises both ways, or several links, judges each and takes the worst
 * (objective_compare()).  Definitions, empty cases and sources: doc/sla.md. */
#ifndef PLUMBLINE_OBJECTIVE_H
#define PLUMBLINE_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "confidence.h"
#include "inventory_sold.h"
#include "tally.h"

enum verdict { VERDICT_MET, VERDICT_MISSED, VERDICT_NOT_DECIDABLE };

/* Why it cannot be decided; beside met or missed, on what that hangs.  Names stay. */
enum verdict_doubt {
    VERDICT_NO_DOUBT,
    VERDICT_NO_DATA,     /* No packet, no sample, no delta-t.  Beside met: all of the time was
                            excluded, there was nothing to keep a promise in. */
    VERDICT_FEW_SAMPLES, /* Fewer than min_samples; or, where that is 0, so few that none of them
                            being bad would not show that the promise is kept (three over the share
                            that may be bad).  That holds back "met"; "missed" where even so few
                            leave no doubt, stays, unless the contract's min_samples says no. */
    VERDICT_IN_INTERVAL, /* The limit lies in the confidence interval. */
    VERDICT_CLOCK, /* One-way delay, and the clocks' error is over a tenth of the limit, or not
                      known; or all delta-t that had samples were suspect and left out. */
    VERDICT_UNDETERMINED, /* Only beside met or missed: by undetermined delta-t counted as the last
                             state, and the other way it would turn. */
    VERDICT_BUCKET        /* The limit lies inside the histogram's bucket. */
};

struct objective_result {
    enum verdict verdict;
    enum verdict_doubt doubt;
    bool has_value;
    /* ns, milli-percent, or a count, rounded towards the bad side: availability down, the rest up,
     * so that the value is on the limit's side that the verdict says.  A quantile is the middle of
     * its bucket, no further than the verdict allows. */
    int64_t value;
    /* What was compared: lost/sent, over/samples, available/W, a count/W; of means 0/samples. */
    uint64_t part, whole;
    double low, high; /* 95 % interval of the ratio part/whole (confidence.h); NAN: none. */
    /* Packets or samples in all that a decision would need, the ratio staying as it is;
     * CONFIDENCE_NEVER: no number; 0: it is decided, or more are no help. */
    uint64_t needed;
    /* What may be spent in the whole period, and what is: delta-t of unavailability, packets lost,
     * samples over the limit, high loss intervals.  Both 0: not counted (means).  Neither is over
     * INT64_MAX. */
    uint64_t budget, used;
};

/* What is known when it is judged. */
struct objective_period {
    struct span dt;
    uint64_t dt_total;      /* Delta-t in the period, also those to come and those excluded. */
    uint64_t packets_total; /* Packets expected in the whole period, with those that are counted;
                               0: not known, then no budget of packets is ever spent for good. */
    bool over;              /* The period is over: a verdict; else the state so far. */
};

/* 'limit_index': where over[] of the tally counts this limit, in all of the tally; -1: nowhere.  It
 * is not looked at for metrics other than rt_p, fd_p and ifdv_p.
 *
 * While the period runs, "missed" says that the budget is spent for good: nothing that is still to
 * come can bring it back.  Else it is "met", so far; low, high, needed and the doubt are those of
 * what is there.  "Not decidable" stays where time alone is no help: no data, clocks, or a budget
 * that is spent by too little to be sure.
 *
 * Undetermined delta-t count for availability as the contract says: by the last state, as
 * available, as unavailable, or not at all (also those that are in W of the tally). */
struct objective_result objective_judge(const struct inv_objective *o,
                                        enum inv_undetermined undetermined, const struct tally *t,
                                        int limit_index, const struct objective_period *period);

/* Worst first: less than 0 if 'a' is worse than 'b'.  Missed before not decidable before met, then
 * by the value or the ratio, then by what is spent of the budget; those without a value last of
 * their verdict.  Both are results of the one objective 'o'. */
int objective_compare(const struct inv_objective *o, const struct objective_result *a,
                      const struct objective_result *b);

/* How near the limit, in milli-percent of it: 100000 is at the limit, more is over it.  To list
 * results of different objectives; of availability it is what is spent of the budget.  0 without a
 * value; at most UINT32_MAX. */
uint32_t objective_nearness(const struct inv_objective *o, const struct objective_result *r);

const char *verdict_name(enum verdict v);             /* "met", "missed", "not decidable" */
const char *verdict_doubt_name(enum verdict_doubt d); /* "none", "no_data", "few_samples", ... */

#endif
