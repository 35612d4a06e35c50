/* credit.h - what a missed promise gives back: a share of the month's charge, integers only.
 *
 * After objective.h and outage.h, before promise_credit.c (which asks only for what is missed).
 * Does no I/O, knows no money.  Shares are in milli-percent (1000: 1 %, ten per mille).  Rules of
 * contracts: by tiers of availability, by how far a limit was exceeded, by the length of one
 * outage; one outage gives one credit, and the cap bounds the sum of a month.
 *
 * Bounds are strict, as "below 99.9%" and "above 5m" are: what is exactly there is not yet in the
 * tier. */
#ifndef PLUMBLINE_CREDIT_H
#define PLUMBLINE_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory_sold.h"
#include "nstime.h"
#include "outage.h"

struct credit_claim {
    struct inv_metric metric; /* Why. */
    const char *class_name;   /* Of which class; borrowed. */
    struct outage outage;     /* Of a credit by outage; else of length 0. */
    uint32_t credit_milli;    /* Milli-percent, before the cap; more than 0. */
    bool counts;              /* credit_settle()'s: it is in the sum. */
};

/* Credit of the worst tier that applies, or 0.  'c' is of that kind ('by'). */

/* 'value' by inv_metric_unit(), as objective_judge() rounds it: towards the bad side. */
uint32_t credit_by_value(const struct inv_credit *c, uint64_t value);
/* By how far 'value' is past 'limit' (under it, of availability), in milli-percent of the limit.  A
 * limit of 0 is exceeded beyond every tier. */
uint32_t credit_by_excess(const struct inv_credit *c, uint64_t value, uint64_t limit);
uint32_t credit_by_outage(const struct inv_credit *c, struct span length);

/* Settles the month's claims, so that nothing is paid for twice:
 *   of claims on outages that overlap (in several classes) the highest stays;
 *   of claims on one metric without an outage (two directions, two classes) the highest stays;
 *   outages show in availability and in flr_raw too: of these and the sum over the outages only the
 *   highest of the three counts.
 * What stays is in front then, outages by their start, then metrics; returns how many, and in
 * '*sum_milli' what those that count give together, 'cap_milli' at most. */
size_t credit_settle(struct credit_claim *claims, size_t count, uint32_t cap_milli,
                     uint32_t *sum_milli);

#endif
