/* judgeplan.h - what there is to judge, of an inventory: ways, groups, services, promises.
 *
 * After way.h and bond.h, before judge.c.  Does no I/O.  Borrows from the inventory, which must
 * outlive it. */
#ifndef PLUMBLINE_JUDGEPLAN_H
#define PLUMBLINE_JUDGEPLAN_H

#include "bond.h"
#include "inventory_sold.h"
#include "way.h"

/* Lines of a service over one way, by direction; NULL where the way has none. */
struct promise_way {
    struct way *way;
    struct line *lines[DIRECTIONS];
    bool direct; /* Not by a group: what excludes the link excludes the service. */
};

/* A service, and what it is sold with. */
struct promise {
    const struct inv_service *service;
    struct promise_way *ways;
    size_t way_count;
    struct bond **wholes; /* One a class. */
    size_t whole_count;
    /* promise_period.c's.  period_end.ns 0: not begun. */
    const struct inv_sla *sla; /* Valid at the period's start; NULL: nothing is promised. */
    struct inventory *older;   /* Whose it is, if it is not the newest version. */
    /* Of the period [from, period_end) is judged: what lies before the month's end, and in which
     * the service is in force. */
    struct instant period, period_end, month_end, from;
    char why[160]; /* It is published again; empty: it is not. */
    char *decided; /* promise_decided()'s last; NULL: none. */
    /* rounds.c's: how far all of it was when its state was written; nobody looked since it began.
     */
    int64_t seen;
    bool fresh;
};

struct judgeplan_bond;

struct judgeplan {
    const struct inventory *inventory;
    struct way **ways;
    size_t way_count;
    struct bond **bonds; /* Parts before wholes. */
    size_t bond_count;
    struct judgeplan_bond *by_key; /* While it is made. */
    struct promise *promises;
    size_t promise_count;
};

/* 0 or -ENOMEM.  Services whose parts cannot be put together are left out and counted in
 * '*left_out'. */
int judgeplan_new(const struct inventory *inv, struct judgeplan **out, size_t *left_out);
void judgeplan_free(struct judgeplan *p);

/* The least of the SLA's delays in one direction: a tenth of it is what clocks may be wrong by, ns.
 * UINT64_MAX: nothing is promised of that class and direction (of a line). */
uint64_t judgeplan_suspect_bound(const struct inv_sla *sla, const char *class_name,
                                 unsigned direction);

struct way *judgeplan_way(const struct judgeplan *p, const struct inv_link *link,
                          const struct inv_class *class_);

#endif
