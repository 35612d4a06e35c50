/* confidence.h - how far a ratio of counters can be believed: the Clopper-Pearson interval.
 *
 * Before objective.h.  Does no I/O.  The only floating point on the way to a verdict: counters
 * themselves are compared as integers.  It takes the samples for independent of one another; where
 * loss comes in bursts the true interval is wider. */
#ifndef PLUMBLINE_CONFIDENCE_H
#define PLUMBLINE_CONFIDENCE_H

#include <stdint.h>

/* 95 % (two-sided) Clopper-Pearson interval of part out of whole (part <= whole, whole > 0). */
void confidence_interval(uint64_t part, uint64_t whole, double *low, double *high);

/* How many samples there would have to be in all, at the ratio seen so far, for 'ratio' (0 to 1) to
 * lie outside the interval; CONFIDENCE_NEVER if no number would do, for it is the ratio seen so
 * far. (It fits PostgreSQL's bigint.) */
#define CONFIDENCE_NEVER ((uint64_t)INT64_MAX)
uint64_t confidence_needed(uint64_t part, uint64_t whole, double ratio);

#endif
