/* promise_parts.h - what the files of promise.h share, and nobody else.  Each calls only those
 * before it: promise_period.c (which period), promise_state.c (how it stands), promise_credit.c
 * (what a missed objective gives back), promise.c (verdicts).
 *
 * After promise_judge.h (an objective's result) and promise_text.h (as PostgreSQL takes it). */
#ifndef PLUMBLINE_PROMISE_PARTS_H
#define PLUMBLINE_PROMISE_PARTS_H

#include "credit.h"
#include "judgeplan.h"
#include "judgestore.h"
#include "objective.h"
#include "pg.h"
#include "promise.h"
#include "promise_judge.h"
#include "promise_text.h"

/* A statement's result in text, the caller's; NULL: -EIO, and why is in s->why. */
static inline PGresult *
promise_ask(struct judgestore *s, const char *sql, int count, const char *const *values)
{
    PGresult *r = pg_call(s->conn, sql, count, values);

    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        PQclear(r);
        return NULL;
    }
    return r;
}

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
