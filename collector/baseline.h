/* baseline.h - what 'against' compares with: which pasts are needed, from which rows each is made,
 * and when again.
 *
 * After inventory_sold.h (rules), hist.h; before past.h, which reads the rows.  Does no I/O; time
 * comes as 'now'.
 *
 * A past is of a link, a class and an observer: flows are merged, and only what is clean counts.
 * It ends 'over' before now, so that what is compared is not in it.  Up to 3 h it is made of rows
 * of the interval, up to 2 d of quarter hours, else of days and of the quarter hours of days that
 * have no row yet. */
#ifndef PLUMBLINE_BASELINE_H
#define PLUMBLINE_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hist.h"
#include "inventory.h"
#include "inventory_sold.h"
#include "nstime.h"

/* One past; texts are the inventory's. */
struct baseline_cell {
    const char *object, *class_name, *observer;
    struct inv_metric metric;
    struct span against;
    struct span over;     /* The longest of the rules that need it. */
    size_t first;         /* Of baseline_plan.series; */
    size_t count;         /* one each flow. */
    uint32_t size;        /* Of its packets: what is of others is another past. */
    uint8_t dscp;         /* So is this. */
    struct instant at;    /* Of which now its value is; 0: it has none. */
    struct instant tried; /* When it was made last, in vain or not; 0: never. */
};

struct baseline_plan {
    struct span interval;        /* The inventory's. */
    struct baseline_cell *cells; /* Sorted by object, class, observer, metric, against. */
    size_t count, room;
    int64_t *series; /* Of round trips. */
    size_t series_count, series_room;
};

/* Whether the past of a metric is known at all: rt_p<xx> and rt_mean. */
bool baseline_has(enum inv_metric_kind kind);

/* All that the rules in force need, of active links.  'inv' outlives it.  NULL: memory is out. */
struct baseline_plan *baseline_plan_new(const struct inventory *inv);
void baseline_plan_free(struct baseline_plan *p);

/* The cell, or NULL.  'metric' as it is written. */
struct baseline_cell *baseline_find(struct baseline_plan *p, const char *object,
                                    const char *class_name, const char *observer,
                                    const char *metric, int64_t against_s);

/* --- When, and of what ------------------------------------------------------ */

/* A past of 'against' is made anew when it is older: a fiftieth of it, 10 s to 1 h. */
struct span baseline_every(struct span against);

bool baseline_is_due(const struct baseline_cell *c, struct instant now);

/* So much of it must be there: ten times 'over', or a tenth of 'against' if that is less. */
struct span baseline_wanted(const struct baseline_cell *c);

enum baseline_rows { BASELINE_INTERVALS, BASELINE_QUARTERS, BASELINE_DAYS };

/* Rows that begin at 'from' or later, the last of them at 'last'.  'from' is the begin of a row, so
 * that a past that is no longer than a row has one. */
struct baseline_range {
    enum baseline_rows rows;
    struct instant from, last;
    struct instant quarter_from, quarter_last; /* Of BASELINE_DAYS: the quarter hours beside. */
    size_t most;                               /* So many rows of a series at most. */
};

struct baseline_range baseline_range(const struct baseline_cell *c, struct span interval,
                                     struct instant now);

/* --- Its value ---------------------------------------------------------------- */

/* What a past is merged in; used again for the next. */
struct baseline_sum {
    struct hist *hist;
    uint64_t seconds, count;
    int64_t sum_ns, min_ns, max_ns;
};

/* 0 or -ENOMEM. */
int baseline_sum_init(struct baseline_sum *s);
void baseline_sum_fini(struct baseline_sum *s);
void baseline_begin(struct baseline_sum *s);

/* A row's clean part: length, delays, histogram as it is encoded (NULL: there is none).  0;
 * -EBADMSG: the histogram does not decode, or its count is another, and the row was left out;
 * -ENOMEM. */
struct baseline_row {
    uint64_t seconds, count;
    int64_t sum_ns, min_ns, max_ns;
    const uint8_t *hist;
    size_t hist_size;
};
int baseline_add(struct baseline_sum *s, const struct baseline_row *row);

/* Whether enough is known; then '*value_ns' is what the metric was. */
bool baseline_value(const struct baseline_sum *s, const struct baseline_cell *c, int64_t *value_ns);

/* Whether the value from before stays where there is no new one: until it is 'against' old, since
 * rows may be late, and none are clean while a link is cut. */
bool baseline_stays(const struct baseline_cell *c, struct instant now);

#endif
