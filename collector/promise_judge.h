/* promise_judge.h - one objective of a service over the lines that it is about: the result of the
 * worst of them.
 *
 * After objective.h and judgeplan.h, before promise_parts.h.  Does no I/O: the tallies of the
 * complete quarter hours of the period are in the lines. */
#ifndef PLUMBLINE_PROMISE_JUDGE_H
#define PLUMBLINE_PROMISE_JUDGE_H

#include <stdbool.h>

#include "judgeplan.h"
#include "line.h"
#include "nstime.h"
#include "objective.h"

/* One objective as it was judged. */
struct judged {
    const struct inv_objective *objective;
    struct objective_result result;
    char worst[3 * SERIES_NAME_MAX];
    bool any;
};

/* Where the first quarter hour of the period begins that the promise holds for.  What of it is
 * before the service came into force is excluded delta-t by delta-t (line.h). */
static inline struct instant
promise_from(const struct promise *p)
{
    return instant_floor(p->from, span_of_ns(LINE_QUARTER_NS));
}

/* 'over': nothing more comes of the period.  0 or -ENOMEM. */
int promise_judge(const struct promise *p, const struct inv_objective *o, bool over,
                  struct judged *j);

#endif
