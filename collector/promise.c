/* promise.c - the verdicts and credits of a period that is over. */
#include "promise_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether the newest revision says the same of all objectives. */
static int
is_published(struct judgestore *s, const struct promise *p, const struct judged *all, bool *same,
             int *newest)
{
    char start[PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(start, p->period.ns / NS_PER_S)};
    PGresult *r = promise_ask(s,
                              "SELECT revision, verdict, doubt, value, part, whole, limit_value "
                              "FROM plumbline_store.verdict v WHERE service = $1 "
                              "AND period_start = to_timestamp($2::bigint) AND revision = (SELECT "
                              "max(revision) FROM plumbline_store.verdict m WHERE (m.service, "
                              "m.period_start) = (v.service, v.period_start)) ORDER BY number",
                              2, values);
    if (!r) {
        return -EIO;
    }
    *newest = PQntuples(r) ? atoi(PQgetvalue(r, 0, 0)) : -1;
    *same = PQntuples(r) == (int)p->sla->objective_count && PQntuples(r) > 0;
    for (int i = 0; i < PQntuples(r) && *same; i++) {
        struct promise_text t;
        promise_text_fill(&t, p, (size_t)i, &all[i]);
        static const int columns[] = {PROMISE_AT_VERDICT, PROMISE_AT_DOUBT, PROMISE_AT_VALUE,
                                      PROMISE_AT_PART,    PROMISE_AT_WHOLE, PROMISE_AT_LIMIT};
        for (size_t c = 0; c < sizeof columns / sizeof columns[0] && *same; c++) {
            const char *now = t.values[columns[c]];
            *same = strcmp(PQgetvalue(r, i, (int)c + 1), now ? now : "") == 0;
        }
    }
    PQclear(r);
    return 0;
}

static int
write_period(struct judgestore *s, const struct promise *p, struct instant until, int revision)
{
    struct promise_period_text t;

    promise_text_period(&t, p, until, revision);
    PGresult *r =
        promise_ask(s,
                    "INSERT INTO plumbline_store.judged_period AS p (" PROMISE_PERIOD_COLUMNS
                    ") VALUES ($1, to_timestamp($2::bigint), to_timestamp($3::bigint), $4, "
                    "$5::integer, to_timestamp($6::bigint), to_timestamp($7::bigint), "
                    "$8::integer)" PROMISE_PERIOD_MERGE,
                    8, t.values);
    PQclear(r);
    return r ? 0 : -EIO;
}

static int
write_verdicts(struct judgestore *s, const struct promise *p, const struct judged *all,
               int revision, const char *why)
{
    char rev[PROMISE_NUMBER_SIZE];
    int err = 0;

    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        const char *values[PROMISE_AT_COUNT + 1];
        struct promise_text t;
        promise_text_fill(&t, p, i, &all[i]);
        memcpy(values, t.values, sizeof t.values);
        values[PROMISE_AT_WHY] = why;
        values[PROMISE_AT_COUNT] = promise_number(rev, revision);
        PGresult *r =
            promise_ask(s,
                        "INSERT INTO plumbline_store.verdict (" PROMISE_RESULT_COLUMNS
                        ", why, revision) VALUES (" PROMISE_RESULT_VALUES ", $20, $21::integer)",
                        PROMISE_AT_COUNT + 1, values);
        PQclear(r);
        err = r ? 0 : -EIO;
    }
    return err;
}

static int
publish(struct judgestore *s, struct promise *p, const struct judged *all, int *revision)
{
    struct promise_claims claims;
    bool same = false;
    int err = promise_claims(s, p, all, &claims);

    err = err ? err : is_published(s, p, all, &same, revision);
    if (!err && same) {
        err = promise_claims_same(s, p, &claims, *revision, &same);
    }
    if (!err && !same) {
        ++*revision;
        err = write_verdicts(s, p, all, *revision,
                             *revision == 0 ? "the period is over"
                             : p->why[0]    ? p->why
                                            : "judged again");
        err = err ? err : promise_claims_write(s, p, &claims, *revision);
    }
    promise_claims_free(&claims);
    return err ? err : write_period(s, p, p->period_end, *revision);
}

int
promise_close(struct judgestore *s, struct promise *p, int *revision)
{
    struct judged *all;
    int err = 0;

    *revision = -1;
    if (!p->sla || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    all = calloc(p->sla->objective_count + 1, sizeof *all);
    err = all ? 0 : -ENOMEM;
    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        err = promise_judge(p, &p->sla->objectives[i], true, &all[i]);
    }
    err = err ? err : publish(s, p, all, revision);
    free(all);
    return err;
}
