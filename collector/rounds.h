/* rounds.h - what a judge does in a round: begins where what is stored ends, advances ways, groups
 * and services as far as their sources have come, stores, and publishes.
 *
 * After promise.h, before judge.c (the thread).  Works on the store's connection, with transactions
 * of its own; after an error free it and begin anew. */
#ifndef PLUMBLINE_ROUNDS_H
#define PLUMBLINE_ROUNDS_H

#include "counter.h"
#include "judgestore.h"

struct rounds;

/* 'counters': JUDGE_COUNTS of judge.h.  All are borrowed.  0, -EIO, -ENOMEM. */
int rounds_new(const struct inventory *inv, struct judgestore *store, struct counter *counters,
               struct rounds **out);
void rounds_free(struct rounds *r);
int rounds_run(struct rounds *r, struct instant now);

/* Up to when the way that is furthest is judged, and the one that is least far (it waits for a
 * source, or its states are judged again); ns < 0: none is judged. */
void rounds_until(const struct rounds *r, struct instant *newest, struct instant *oldest);

#endif
