/* exposition.h - what this collector shows at /metrics.
 *
 * After worker.h, judge.h, past.h, purse.h, desk.h, keeper.h, courier.h; before main.c.  Runs in
 * the main thread: counters and views of threads may be read by any. */
#ifndef PLUMBLINE_COLLECTOR_EXPOSITION_H
#define PLUMBLINE_COLLECTOR_EXPOSITION_H

#include "config.h"
#include "courier.h"
#include "desk.h"
#include "inventory.h"
#include "judge.h"
#include "keeper.h"
#include "metrics.h"
#include "past.h"
#include "purse.h"
#include "worker.h"

struct exposition {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct worker *const *workers;
    unsigned worker_count;
    struct judge *judge; /* NULL: there is none yet. */
    struct past *past;
    struct purse *purse;
    struct desk *desk; /* The same. */
    struct keeper *keeper;
    struct courier *courier; /* The same. */
};

/* Adds all of it to 'm'.  Memory that is out leaves the sources out. */
void exposition_fill(const struct exposition *e, struct metrics *m);

#endif
