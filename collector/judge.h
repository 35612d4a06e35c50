/* judge.h - the thread that judges what was sold: from committed rows to quarter hours, verdicts
 * and credits.
 *
 * After promise.h, job.h; before main.c.  One collector of all does it, whoever holds the job's
 * advisory lock; nothing is remembered but what is committed, so any other can go on.  It waits for
 * every source of a way: a source that spools for hours holds back its own ways and what is sold
 * over them, and nothing else, and is judged as if it had never been late. */
#ifndef PLUMBLINE_JUDGE_H
#define PLUMBLINE_JUDGE_H

#include <stdbool.h>

#include "config.h"
#include "counter.h"
#include "inventory.h"
#include "nstime.h"

enum judge_count {
    JUDGE_INTERVALS, /* Of a way each. */
    JUDGE_QUARTERS,  /* Complete ones that were written, of a line each. */
    JUDGE_CHANGES,   /* Windows and exclusions that made us judge again. */
    JUDGE_VERDICTS,  /* Published, revisions too. */
    JUDGE_LEFT_OUT,  /* Services whose parts cannot be put together. */
    JUDGE_BAD_ROWS,  /* Rows that do not decode: their delta-t are undetermined. */
    JUDGE_FAILED,    /* Rounds given up: PostgreSQL refused, or memory was out. */
    JUDGE_ROUNDS,    /* Completed. */
    JUDGE_COUNTS
};

struct judge;

/* Both are borrowed until judge_stop().  0 or a negative errno. */
int judge_start(struct judge **out, const struct collector_config *config,
                const struct inventory *inventory);
void judge_stop(struct judge *j);

/* Any thread may read. */
struct counter_group judge_counters(struct judge *j);

struct judge_status {
    bool active; /* It is this collector that judges. */
    /* Of its last round; ns < 0: not known. */
    struct instant round_at;       /* When it was completed. */
    struct instant newest, oldest; /* rounds_until(). */
};

/* Any thread may ask. */
void judge_view(struct judge *j, struct judge_status *out);

#endif
