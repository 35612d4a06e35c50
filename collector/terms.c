/* terms.c - versions of SLAs, by the day from which they are valid. */
#include "terms.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "pg.h"

#define NUMBER_SIZE 32

/* Column 0: seconds at which the newest begins, 1: at which the best of the others does (NULL:
 * there is none), 2: the text of the generation that brought it. */
static PGresult *
ask_versions(struct judgestore *s, const struct inv_service *service, struct instant start)
{
    static const char sql[] =
        "WITH v AS (SELECT a.number, a.version, ((a.content->>'valid_from')::date)::timestamp "
        "AT TIME ZONE $4 AS valid FROM plumbline_store.inventory_sla a "
        "WHERE a.key = $1 AND a.version < $2::integer), "
        "best AS (SELECT * FROM v ORDER BY valid <= to_timestamp($3::bigint) DESC, "
        "CASE WHEN valid <= to_timestamp($3::bigint) THEN version ELSE -version END DESC LIMIT 1) "
        "SELECT extract(epoch FROM ($5::date)::timestamp AT TIME ZONE $4)::bigint, "
        "extract(epoch FROM best.valid)::bigint, g.canonical FROM (SELECT) AS one "
        "LEFT JOIN best ON true LEFT JOIN plumbline_store.inventory_generation g USING (number)";
    char version[NUMBER_SIZE], at[NUMBER_SIZE];
    const struct inv_tenant *tenant = service->tenant;
    const char *values[] = {service->sla->key, version, at,
                            tenant && tenant->timezone ? tenant->timezone : "UTC",
                            service->sla->valid_from};

    snprintf(version, sizeof version, "%" PRIu32, service->sla->version);
    snprintf(at, sizeof at, "%" PRId64, start.ns / NS_PER_S);
    PGresult *r = pg_call(s->conn, sql, 5, values);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        PQclear(r);
        return NULL;
    }
    return r;
}

static struct instant
seconds_at(const PGresult *r, int column)
{
    return instant_of_ns(atoll(PQgetvalue(r, 0, column)) * NS_PER_S);
}

/* A generation's text was checked when it was applied, perhaps by another release: where this one
 * cannot read it, judging fails, and says so, rather than go by another contract. */
static int
read_older(struct judgestore *s, const PGresult *r, const char *key, struct terms *out)
{
    struct faults *faults = faults_new();
    int err = faults ? inventory_read(faults, "generation", PQgetvalue(r, 0, 2),
                                      (size_t)PQgetlength(r, 0, 2), &out->older)
                     : -ENOMEM;

    faults_free(faults);
    out->sla = err ? NULL : inventory_sla(out->older, key);
    if (err != -ENOMEM && !out->sla) {
        snprintf(s->why, sizeof s->why,
                 "the generation that brought an older version of %s "
                 "cannot be read",
                 key);
        err = -EIO;
    }
    return err;
}

int
terms_at(struct judgestore *s, const struct inv_service *service, struct instant start,
         struct terms *out)
{
    *out = (struct terms){.sla = service->sla, .from = start};
    PGresult *r = ask_versions(s, service, start);
    if (!r) {
        return -EIO;
    }
    struct instant newest = seconds_at(r, 0);
    int err = 0;
    if (newest.ns > start.ns) {
        bool any = !PQgetisnull(r, 0, 1);
        struct instant valid = any ? seconds_at(r, 1) : newest;
        err = any ? read_older(s, r, service->sla->key, out) : 0;
        out->from = valid.ns > start.ns ? valid : start;
    }
    PQclear(r);
    return err;
}

void
terms_fini(struct terms *t)
{
    inventory_free(t->older);
    *t = (struct terms){0};
}

/* --- Lines ---------------------------------------------------------------- */

static struct line_terms
terms_of(const struct inv_sla *sla, const struct line *l)
{
    return (struct line_terms){.undetermined = sla->undetermined,
                               .suspect_excluded = sla->suspect_excluded,
                               .suspect_clock_error_ns =
                                   judgeplan_suspect_bound(sla, l->class_name, l->direction)};
}

static void
apply(struct line *l, const struct promise *p, const struct inv_sla *now,
      const struct inv_sla *next)
{
    l->terms = terms_of(now, l);
    l->next_terms = terms_of(next, l);
    l->terms_until = p->period_end;
}

void
terms_apply(struct promise *p, const struct inv_sla *now, const struct inv_sla *next)
{
    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            if (p->ways[i].lines[d]) {
                apply(p->ways[i].lines[d], p, now, next);
            }
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        apply(p->wholes[i]->line, p, now, next);
    }
}
