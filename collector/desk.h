/* desk.h - the thread that makes problems of alarms, and puts what is to be said into the outbox.
 *
 * After job.h, cause.h, problem.h, notice.h; before main.c.  One collector of all does it, whoever
 * holds the job's advisory lock.  It remembers nothing but what is committed: another goes on where
 * it was, in the middle of gathering too.  What it decides is by the database's clock. */
#ifndef PLUMBLINE_DESK_H
#define PLUMBLINE_DESK_H

#include <stdbool.h>

#include "config.h"
#include "counter.h"
#include "inventory.h"
#include "nstime.h"

enum desk_count {
    DESK_NEWS,     /* Of the inbox, done. */
    DESK_OPENED,   /* Problems. */
    DESK_REOPENED, /* The same episode again. */
    DESK_MERGED,   /* Into another. */
    DESK_ENDED,
    DESK_TOLD,      /* Rows put into the outbox. */
    DESK_ENDED_FOR, /* Alarms that the desk ended: nobody looks at them any more. */
    DESK_BAD_ROWS,  /* Alarms that say what is not known; passed over. */
    DESK_FAILED,    /* Rounds given up: PostgreSQL refused, or memory was out. */
    DESK_ROUNDS,    /* That wrote something. */
    DESK_COUNTS
};

struct desk;

/* Both are borrowed until desk_stop().  0 or a negative errno. */
int desk_start(struct desk **out, const struct collector_config *config,
               const struct inventory *inventory);
void desk_stop(struct desk *d);

/* Any thread may read. */
struct counter_group desk_counters(struct desk *d);

struct desk_status {
    bool active; /* It is this collector that has the desk. */
    /* Of its last round. */
    size_t open;             /* Problems. */
    size_t held;             /* Of them those of which nobody is told because of maintenance. */
    size_t waiting;          /* Alarms that are of no problem yet. */
    size_t raised;           /* Alarms. */
    struct instant round_at; /* ns 0: not known. */
};

/* Any thread may ask. */
void desk_view(struct desk *d, struct desk_status *out);

#endif
