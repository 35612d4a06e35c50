/* promise.h - a service's objectives: how each stands in the period that runs, and the verdicts and
 * credits of a period that is over.
 *
 * After objective.h, credit.h, judgeplan.h and judgestore.h, before judge.c.  Writes PostgreSQL, in
 * the transaction that its caller began. */
#ifndef PLUMBLINE_PROMISE_H
#define PLUMBLINE_PROMISE_H

#include "judgeplan.h"
#include "judgestore.h"

/* Finds the period to judge: the first that is not published, or is to be published again, else the
 * one that holds 'at' in the tenant's time zone; and from when on it is judged.  Loads the complete
 * quarter hours of it into the lines. */
int promise_begin(struct judgestore *s, struct promise *p, struct instant at);

/* Keeps what was decided about each window that concerns the service in this period, for whoever
 * explains it: 'json' is a list as plumbline.v_judged_window (sql/0016-in-force.sql) opens it. */
int promise_decided(struct judgestore *s, struct promise *p, const char *json);

/* What was judged of the service from 'from' on is to be published again. */
int promise_reopen(struct judgestore *s, const struct promise *p, struct instant from,
                   const char *why);

/* Up to when all that it consists of is judged; ns < 0: something is not judged at all. */
struct instant promise_until(const struct promise *p);

/* States that are collected, to be written together. */
struct promise_states {
    struct bytes periods, objectives;
    size_t count; /* Promises. */
};
void promise_states_fini(struct promise_states *all);

/* Adds each objective as it stands; promise_flush() writes them, once in a transaction. */
int promise_state(struct judgestore *s, struct promise *p, struct promise_states *all);
int promise_flush(struct judgestore *s, struct promise_states *all);

/* Whether the period is over, and judged. */
bool promise_is_over(const struct promise *p);

/* Verdicts and credits of a period that is over.  What is the same as the newest revision is not
 * published again.  '*revision': which one holds now; < 0: nothing is promised. */
int promise_close(struct judgestore *s, struct promise *p, int *revision);

#endif
