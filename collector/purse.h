/* purse.h - the thread that looks at budgets: each minute, how fast what is sold spends what its
 * month may.
 *
 * After burn.h, job.h; before main.c.  One collector of all does it.  It has a thread of its own
 * because a look takes seconds where there are tens of thousands of objectives, and problems of
 * links are not to wait for that. */
#ifndef PLUMBLINE_PURSE_H
#define PLUMBLINE_PURSE_H

#include "config.h"
#include "counter.h"
#include "inventory.h"

enum purse_count {
    PURSE_ROUNDS, /* Looks. */
    PURSE_FAILED, /* That PostgreSQL refused. */
    PURSE_COUNTS
};

struct purse;

/* Both are borrowed until purse_stop().  0 or a negative errno. */
int purse_start(struct purse **out, const struct collector_config *config,
                const struct inventory *inventory);
/* NULL is fine. */
void purse_stop(struct purse *p);

/* Any thread may read. */
struct counter_group purse_counters(struct purse *p);

#endif
