/* availability.h - is a way available: the sliding window of MEF 10.x over loss ratios of delta-t.
 *
 * After measured.h (a delta-t's counters), before tally.h (what is counted in available time) and
 * together.h (groups, services).  Does no I/O; time is the number of the delta-t.
 *
 *     bad(k)   sent > 0 and lost / sent >  C       (strictly: equal to C is good)
 *     good(k)  sent > 0 and lost / sent <= C
 *     A(k) = 0 if A(k-1) = 1 and bad(k)  ... bad(k+n-1)
 *     A(k) = 1 if A(k-1) = 0 and good(k) ... good(k+n-1)
 *     A(k) = A(k-1) otherwise
 *
 * The window looks forward, so that a change is dated back to the first of its n delta-t, and
 * A(k) is known n - 1 delta-t later.  A delta-t without data (AVAILABILITY_NONE) opposes nothing:
 * it keeps the state and breaks a run.  A(k) hangs on A(k-1) and on what comes from k on, on
 * nothing else: whoever knows A(k-1) may begin anew at any k (restart, late data). */
#ifndef PLUMBLINE_AVAILABILITY_H
#define PLUMBLINE_AVAILABILITY_H

#include <stdbool.h>
#include <stdint.h>

enum availability_input { AVAILABILITY_NONE, AVAILABILITY_GOOD, AVAILABILITY_BAD };

/* Of the class.  n >= 1; c_milli in milli-percent. */
struct availability_params {
    uint32_t n;
    uint32_t c_milli;
};

struct availability {
    bool available; /* A of the last delta-t that is decided. */
    uint32_t run;   /* Delta-t that oppose it and are not decided yet; < n. */
};

/* Begins after a delta-t whose A was 'available'; available if there was none.  The next to be
 * added is the first that is not decided: those that were pending are added anew. */
struct availability availability_begin(bool available);

/* What a delta-t with these counters is: compared by cross-multiplying, exact at the limit for any
 * counters. */
enum availability_input availability_input(struct availability_params p, uint64_t sent,
                                           uint64_t lost);

/* Adds 'count' delta-t that are all 'input', in constant time.  Returns how many of the oldest
 * undecided delta-t (those that were pending and the new ones together) are decided by it, and for
 * them in order: the first '*flip_at' are as the state was before, the rest as '*a' says now.
 * (All of one call are decided alike: '*flip_at' is 0 after a change, else what is returned.)
 * 'p' is the same from one call to the next; with another n begin anew. */
uint64_t availability_add(struct availability *a, struct availability_params p,
                          enum availability_input input, uint64_t count, uint64_t *flip_at);

/* The first delta-t whose A may change when delta-t 'k' becomes known (late data): the n - 1 before
 * it looked at it.  Judge again from there, or from any earlier place. */
uint64_t availability_touched(struct availability_params p, uint64_t k);

/* --- High loss intervals --------------------------------------------------- */

/* A run of consecutive high loss intervals becomes a CHLI when it is p long. */
struct high_loss {
    uint32_t run; /* High loss intervals right before; not counted beyond p. */
};

struct high_loss_counts {
    uint64_t intervals;           /* HLI: bad, available, not excluded. */
    uint64_t runs, run_intervals; /* CHLI: runs of p or more, and all intervals in them. */
};

/* Adds one decided delta-t; 'counts' is added to.  A run counts when it reaches p, with the
 * intervals before that; carry 'h' over rows, days and restarts.  p >= 1 (p >= n: the caller has
 * warned). */
void high_loss_add(struct high_loss *h, uint32_t p, bool is_high_loss,
                   struct high_loss_counts *counts);

#endif
