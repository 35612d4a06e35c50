/* promise_text.h - periods and judged objectives as the parameters of a statement, or a line of
 * COPY.
 *
 * After promise_judge.h, before promise_parts.h.  Texts live as long as what they are of. */
#ifndef PLUMBLINE_PROMISE_TEXT_H
#define PLUMBLINE_PROMISE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "judgeplan.h"
#include "nstime.h"
#include "promise_judge.h"

#define PROMISE_NUMBER_SIZE 32

/* In decimal, into 'buf'. */
const char *promise_number(char buf[PROMISE_NUMBER_SIZE], int64_t v);

/* --- Objectives ------------------------------------------------------------- */

enum promise_text_at {
    PROMISE_AT_SERVICE,
    PROMISE_AT_PERIOD,
    PROMISE_AT_NUMBER,
    PROMISE_AT_CLASS,
    PROMISE_AT_METRIC,
    PROMISE_AT_DIRECTION,
    PROMISE_AT_LIMIT,
    PROMISE_AT_UNIT,
    PROMISE_AT_VERDICT,
    PROMISE_AT_DOUBT,
    PROMISE_AT_VALUE,
    PROMISE_AT_WORST,
    PROMISE_AT_PART,
    PROMISE_AT_WHOLE,
    PROMISE_AT_LOW,
    PROMISE_AT_HIGH,
    PROMISE_AT_NEEDED,
    PROMISE_AT_BUDGET,
    PROMISE_AT_USED,
    PROMISE_AT_WHY,
    PROMISE_AT_COUNT
};

#define PROMISE_RESULT_COLUMNS                                                                     \
    "service, period_start, number, class, metric, direction, limit_value, unit, verdict, doubt, " \
    "value, worst, part, whole, low, high, needed, budget, used"
#define PROMISE_RESULT_VALUES                                                                      \
    "$1, to_timestamp($2::bigint), $3::integer, $4, $5, $6, $7::bigint, $8, $9, $10, "             \
    "$11::bigint, $12, $13::bigint, $14::bigint, $15::float8, $16::float8, $17::bigint, "          \
    "$18::bigint, $19::bigint"

struct promise_text {
    char buf[PROMISE_AT_COUNT][PROMISE_NUMBER_SIZE];
    char metric[INV_METRIC_SIZE];
    const char *values[PROMISE_AT_COUNT];
};

/* The objective that is 'place' of its SLA. */
void promise_text_fill(struct promise_text *t, const struct promise *p, size_t place,
                       const struct judged *j);

/* --- Periods ---------------------------------------------------------------- */

#define PROMISE_PERIOD_COLUMNS                                                                     \
    "service, period_start, period_end, sla, version, judged_from, judged_until, revision"
#define PROMISE_PERIOD_MERGE                                                                       \
    " ON CONFLICT (service, period_start) DO UPDATE SET "                                          \
    "judged_from = excluded.judged_from, judged_until = excluded.judged_until, "                   \
    "sla = excluded.sla, version = excluded.version, "                                             \
    "revision = coalesce(excluded.revision, p.revision), "                                         \
    "reopened = CASE WHEN excluded.revision IS NULL THEN p.reopened END"

struct promise_period_text {
    char buf[6][PROMISE_NUMBER_SIZE];
    const char *values[8]; /* In the order of PROMISE_PERIOD_COLUMNS. */
};

/* 'until' is how far it is judged; 'revision' < 0: the period runs. */
void promise_text_period(struct promise_period_text *t, const struct promise *p,
                         struct instant until, int revision);

#endif
