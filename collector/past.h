/* past.h - the thread that makes pasts: what alarms that are relative compare with.
 *
 * After baseline.h, job.h; before main.c.  One collector of all does it.  Reads committed rows, a
 * few at a time, and writes plumbline_store.baseline; who raises alarms reads that. */
#ifndef PLUMBLINE_PAST_H
#define PLUMBLINE_PAST_H

#include "config.h"
#include "counter.h"
#include "inventory.h"

enum past_count {
    PAST_MADE,       /* Values. */
    PAST_TOO_LITTLE, /* Too little is known. */
    PAST_BAD_ROWS,   /* Do not decode: left out. */
    PAST_FAILED,     /* Rounds given up: PostgreSQL refused, or memory was out. */
    PAST_COUNTS
};

struct past;

/* Both are borrowed until past_stop().  0 or a negative errno. */
int past_start(struct past **out, const struct collector_config *config,
               const struct inventory *inventory);
/* NULL is fine. */
void past_stop(struct past *p);

/* Any thread may read. */
struct counter_group past_counters(struct past *p);

#endif
