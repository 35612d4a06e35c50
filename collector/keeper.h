/* keeper.h - the collector's slow chores in PostgreSQL: partitions that are over are
 * rewritten in (series, time) order, and dropped when their retention is over; so are problems,
 * alarms and paths (sql/0023-retention.sql).
 *
 * After job.h, pg.h.  Of all collectors one does it, and no worker waits for it.
 *
 * Nobody waits for a chore for long either.  A lock that is not had in half a second
 * is let go and tried again later, because others queue behind whoever waits for it;
 * and while a partition is rewritten, a second connection looks for whoever waits
 * for that, and for their sake the chore is given up (it leaves no trace). */
#ifndef PLUMBLINE_KEEPER_H
#define PLUMBLINE_KEEPER_H

#include "config.h"
#include "counter.h"

enum keeper_count {
    KEEPER_ORDERED,
    KEEPER_DROPPED,
    KEEPER_NEEDED,   /* Not dropped: a source, a merge or a far end still needs it. */
    KEEPER_BUSY,     /* A lock was not had in time. */
    KEEPER_GIVEN_UP, /* Somebody waited. */
    KEEPER_REFUSED,  /* PostgreSQL refused for another reason. */
    KEEPER_PROBLEMS_DROPPED,
    KEEPER_ALARMS_DROPPED, /* That were of no problem. */
    KEEPER_TRACES_DROPPED, /* The same. */
    KEEPER_COUNTS
};

struct keeper;

/* 0 or negative errno.  'config' outlives it. */
int keeper_start(struct keeper **out, const struct collector_config *config);

/* Ends it, also in the middle of a chore (which leaves the day as it was).  NULL
 * is fine. */
void keeper_stop(struct keeper *k);

/* Any thread may read. */
struct counter_group keeper_counters(struct keeper *k);

#endif
