/* promise_parts.h - what the files of promise.h share, and nobody else: promise.c (periods, states,
 * verdicts), promise_credit.c (what a missed one gives back). */
#ifndef PLUMBLINE_PROMISE_PARTS_H
#define PLUMBLINE_PROMISE_PARTS_H

#include "credit.h"
#include "judgeplan.h"
#include "judgestore.h"
#include "objective.h"
#include "promise.h"

#define PROMISE_NUMBER_SIZE 32

/* One objective as it was judged. */
struct judged {
    const struct inv_objective *objective;
    struct objective_result result;
    char worst[3 * SERIES_NAME_MAX];
    bool any;
};

/* In decimal, into 'buf'. */
const char *promise_number(char buf[PROMISE_NUMBER_SIZE], int64_t v);

/* A statement's result in text, the caller's; NULL: -EIO, and why is in s->why. */
PGresult *promise_ask(struct judgestore *s, const char *sql, int count, const char *const *values);

/* Where the first quarter hour of the period begins that the promise holds for.  What of it is
 * before the service came into force is excluded delta-t by delta-t (line.h). */
struct instant promise_from(const struct promise *p);

/* --- Credits ---------------------------------------------------------------- */

/* What the objectives of a period give. */
struct promise_claims {
    struct credit_claim *list;
    size_t count, room;
    uint32_t sum_milli;
    char *reasons; /* JSON: as sql/0012-outage.sql says. */
};

/* Of a period that is over, all of it judged and stored: 'all' are the objectives of its SLA.  0 or
 * a negative errno; promise_claims_free() in any case. */
int promise_claims(struct judgestore *s, const struct promise *p, const struct judged *all,
                   struct promise_claims *out);
void promise_claims_free(struct promise_claims *c);

/* Whether that revision gave just this. */
int promise_claims_same(struct judgestore *s, const struct promise *p,
                        const struct promise_claims *c, int revision, bool *same);
int promise_claims_write(struct judgestore *s, const struct promise *p,
                         const struct promise_claims *c, int revision);

#endif
