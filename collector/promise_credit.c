/* promise_credit.c - what a service's missed objectives give back: claims, settled, and written
 * with the verdict that they follow from. */
#include "promise_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "credit.h"

/* --- Claims ----------------------------------------------------------------- */

static int
add_claim(struct promise_claims *c, struct credit_claim claim)
{
    if (claim.credit_milli == 0) {
        return 0;
    }
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        struct credit_claim *more = realloc(c->list, room * sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        c->list = more;
        c->room = room;
    }
    c->list[c->count++] = claim;
    return 0;
}

struct reading {
    struct outage_list outages;
    struct judgestore *store;
    const struct line *line;
};

static int
on_states(struct instant start, const void *states, size_t size, void *aux)
{
    struct reading *r = aux;
    int err = outage_add(&r->outages, start, states, size);

    if (err == -EBADMSG) {
        snprintf(r->store->why, sizeof r->store->why, "states of %s do not decode", r->line->scope);
        err = -EIO;
    }
    return err;
}

/* Each outage of the service in that class: of the part of the period in which it is judged, so
 * that one over its border is two. */
static int
claim_outages(struct judgestore *s, const struct promise *p, const struct inv_credit *c,
              const struct line *whole, struct promise_claims *claims)
{
    struct reading r = {.store = s, .line = whole};
    int err;

    outage_begin(&r.outages, p->sla->undetermined);
    err = judgestore_states(s, whole, promise_from(p), p->period_end, on_states, &r);
    for (size_t i = 0; i < r.outages.count && !err; i++) {
        const struct outage *o = &r.outages.list[i];
        err = add_claim(claims,
                        (struct credit_claim){.metric = c->metric,
                                              .class_name = whole->class_name,
                                              .outage = *o,
                                              .credit_milli = credit_by_outage(c, o->length)});
    }
    outage_fini(&r.outages);
    return err;
}

static int
claim_by(struct judgestore *s, const struct promise *p, const struct judged *j,
         const struct inv_credit *c, struct promise_claims *claims)
{
    uint64_t value = j->result.value < 0 ? 0 : (uint64_t)j->result.value;
    struct credit_claim claim = {.metric = c->metric, .class_name = j->objective->class_->key};
    int err = 0;

    if (c->by == INV_CREDIT_BY_OUTAGE) {
        for (size_t i = 0; i < p->whole_count && !err; i++) {
            const struct bond *b = p->wholes[i];
            if (strcmp(b->class_->key, claim.class_name) == 0) {
                err = claim_outages(s, p, c, b->line, claims);
            }
        }
        return err;
    }
    claim.credit_milli = c->by == INV_CREDIT_BY_VALUE
                             ? credit_by_value(c, value)
                             : credit_by_excess(c, value, j->objective->limit);
    return add_claim(claims, claim);
}

/* What the missed objective gives: by its value, by how far it missed, by each outage. */
static int
claim_objective(struct judgestore *s, const struct promise *p, const struct judged *j,
                struct promise_claims *claims)
{
    int err = 0;

    if (j->result.verdict != VERDICT_MISSED || !j->result.has_value) {
        return 0;
    }
    for (size_t i = 0; i < p->sla->credit_count && !err; i++) {
        const struct inv_credit *c = &p->sla->credits[i];
        if (inv_metric_equal(c->metric, j->objective->metric)) {
            err = claim_by(s, p, j, c, claims);
        }
    }
    return err;
}

/* --- Reasons ---------------------------------------------------------------- */

static bool
add_instant(cJSON *o, const char *name, struct instant at)
{
    char text[40];

    return cJSON_AddStringToObject(o, name,
                                   instant_format(at, at.ns % NS_PER_S ? 3 : 0, text, sizeof text));
}

static bool
add_reason(cJSON *list, const struct credit_claim *c)
{
    char name[INV_METRIC_SIZE];
    cJSON *o = cJSON_CreateObject();

    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    return cJSON_AddStringToObject(o, "metric", inv_metric_format(c->metric, name, sizeof name)) &&
           cJSON_AddStringToObject(o, "class", c->class_name) &&
           cJSON_AddNumberToObject(o, "credit_milli", c->credit_milli) &&
           cJSON_AddBoolToObject(o, "counts", c->counts) &&
           (c->outage.length.ns == 0 ||
            (add_instant(o, "outage", c->outage.start) && add_instant(o, "until", c->outage.end) &&
             cJSON_AddNumberToObject(o, "length_ns", (double)c->outage.length.ns)));
}

static char *
reasons_text(const struct promise_claims *c)
{
    cJSON *list = cJSON_CreateArray();
    bool good = list != NULL;

    for (size_t i = 0; i < c->count && good; i++) {
        good = add_reason(list, &c->list[i]);
    }
    char *text = good ? cJSON_PrintUnformatted(list) : NULL;
    cJSON_Delete(list);
    return text;
}

int
promise_claims(struct judgestore *s, const struct promise *p, const struct judged *all,
               struct promise_claims *out)
{
    int err = 0;

    *out = (struct promise_claims){.list = NULL};
    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        err = claim_objective(s, p, &all[i], out);
    }
    if (!err) {
        out->count = credit_settle(out->list, out->count, p->sla->cap_milli, &out->sum_milli);
        out->reasons = reasons_text(out);
        err = out->reasons ? 0 : -ENOMEM;
    }
    return err;
}

void
promise_claims_free(struct promise_claims *c)
{
    free(c->list);
    cJSON_free(c->reasons);
    *c = (struct promise_claims){.list = NULL};
}

/* --- PostgreSQL ------------------------------------------------------------- */

int
promise_claims_same(struct judgestore *s, const struct promise *p, const struct promise_claims *c,
                    int revision, bool *same)
{
    char texts[3][PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(texts[0], p->period.ns / NS_PER_S),
                            promise_number(texts[1], revision),
                            promise_number(texts[2], c->sum_milli), c->reasons};
    PGresult *r = promise_ask(s,
                              "SELECT FROM plumbline_store.credit WHERE service = $1 "
                              "AND period_start = to_timestamp($2::bigint) "
                              "AND revision = $3::integer AND credit_milli = $4::integer "
                              "AND reasons = $5::jsonb",
                              5, values);
    *same = r && PQntuples(r) == 1;
    PQclear(r);
    return r ? 0 : -EIO;
}

int
promise_claims_write(struct judgestore *s, const struct promise *p, const struct promise_claims *c,
                     int revision)
{
    char texts[4][PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key,
                            promise_number(texts[0], p->period.ns / NS_PER_S),
                            promise_number(texts[1], revision),
                            promise_number(texts[2], c->sum_milli),
                            c->reasons,
                            p->sla->claim_within.ns
                                ? promise_number(texts[3], p->sla->claim_within.ns / NS_PER_S)
                                : NULL};
    PGresult *r = promise_ask(
        s,
        "WITH c AS (INSERT INTO plumbline_store.credit (service, period_start, revision, "
        "credit_milli, reasons, claim_until) VALUES ($1, to_timestamp($2::bigint), "
        "$3::integer, $4::integer, $5::jsonb, now() + make_interval(secs => $6::bigint)) "
        "RETURNING service, period_start, revision, credit_milli, reasons), "
        "o AS (INSERT INTO plumbline_store.credit_outage (service, period_start, revision, "
        "start_at, end_at, length_ns, class, credit_milli, counts) SELECT c.service, "
        "c.period_start, c.revision, x.outage, x.until, x.length_ns, x.class, x.credit_milli, "
        "x.counts FROM c CROSS JOIN LATERAL jsonb_to_recordset(c.reasons) AS x(outage timestamptz, "
        "until timestamptz, length_ns bigint, class text, credit_milli integer, counts boolean) "
        "WHERE x.outage IS NOT NULL) "
        "INSERT INTO plumbline_store.credit_step (service, period_start, number, state) "
        "SELECT service, period_start, 1, 'eligible' FROM c WHERE credit_milli > 0 "
        "ON CONFLICT DO NOTHING",
        6, values);
    PQclear(r);
    return r ? 0 : -EIO;
}
