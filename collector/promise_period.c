/* promise_period.c - which period of a service is judged, and from when on; what is noted of it
 * before there is a verdict. */
#include "promise_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terms.h"

static const char *
timezone_of(const struct promise *p)
{
    return p->service->tenant && p->service->tenant->timezone ? p->service->tenant->timezone
                                                              : "UTC";
}

/* Complete quarter hours of the period, into its lines. */
static int
load_lines(struct judgestore *s, struct promise *p)
{
    struct line **lines = calloc(p->way_count * DIRECTIONS + p->whole_count + 1, sizeof *lines);
    size_t count = 0;

    if (!lines) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            if (p->ways[i].lines[d]) {
                lines[count++] = p->ways[i].lines[d];
            }
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        lines[count++] = p->wholes[i]->line;
    }
    for (size_t i = 0; i < count; i++) {
        lines[i]->period_start = promise_from(p);
        lines[i]->period_end = p->period_end;
    }
    int err = judgestore_periods(s, lines, count, promise_from(p), p->period_end);
    free(lines);
    return err;
}

/* A period that waits to be published, if it is before 'at'. */
static int
find_waiting(struct judgestore *s, struct promise *p, struct instant *at)
{
    const char *values[] = {p->service->key};
    PGresult *r =
        promise_ask(s,
                    "SELECT extract(epoch FROM period_start)::bigint, coalesce(reopened, '') "
                    "FROM plumbline_store.judged_period WHERE service = $1 "
                    "AND (revision IS NULL OR reopened IS NOT NULL) ORDER BY period_start LIMIT 1",
                    1, values);
    p->why[0] = '\0';
    if (r && PQntuples(r) == 1 && atoll(PQgetvalue(r, 0, 0)) * NS_PER_S <= at->ns) {
        *at = instant_of_ns(atoll(PQgetvalue(r, 0, 0)) * NS_PER_S);
        snprintf(p->why, sizeof p->why, "%s", PQgetvalue(r, 0, 1));
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

static int
ask_month(struct judgestore *s, const struct promise *p, struct instant at)
{
    char now[PROMISE_NUMBER_SIZE];
    const char *values[] = {promise_number(now, at.ns / NS_PER_S), timezone_of(p)};
    PGresult *r =
        promise_ask(s,
                    "SELECT extract(epoch FROM start)::bigint, extract(epoch FROM until)::bigint "
                    "FROM plumbline_store.month_of(to_timestamp($1::bigint), $2)",
                    2, values);
    if (r) {
        s->month.start = instant_of_ns(atoll(PQgetvalue(r, 0, 0)) * NS_PER_S);
        s->month.end = instant_of_ns(atoll(PQgetvalue(r, 0, 1)) * NS_PER_S);
        s->month.at = at;
        s->month.timezone = values[1];
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

/* A service that goes out of service in the month is judged up to there. */
static void
settle_end(struct promise *p)
{
    struct instant end = p->service->out_of_service;
    bool inside = end.ns && end.ns > p->period.ns && end.ns < p->month_end.ns;

    p->period_end = inside ? end : p->month_end;
}

static int
find_month(struct judgestore *s, struct promise *p, struct instant at)
{
    /* Names are the inventory's, which stays: the same one is in the same place. */
    bool same = s->month.timezone == timezone_of(p) && s->month.at.ns == at.ns;
    int err = same ? 0 : ask_month(s, p, at);

    if (!err) {
        p->period = s->month.start;
        p->month_end = s->month.end;
        settle_end(p);
    }
    return err;
}

/* Where the service went in or out of service at another time than it was judged by, that is to be
 * judged again.  What lies before neither is as it was. */
static int
note_change(struct judgestore *s, const struct promise *p)
{
    char times[3][PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(times[0], p->period.ns / NS_PER_S),
                            promise_number(times[1], p->period_end.ns / NS_PER_S),
                            promise_number(times[2], p->from.ns / NS_PER_S)};
    PGresult *r = promise_ask(
        s,
        "WITH old AS (SELECT service, period_start, period_end, judged_from "
        "FROM plumbline_store.judged_period WHERE service = $1 "
        "AND period_start = to_timestamp($2::bigint) AND (period_end, judged_from) "
        "IS DISTINCT FROM (to_timestamp($3::bigint), to_timestamp($4::bigint))), "
        "told AS (INSERT INTO plumbline_store.rejudge (kind, key, from_at, why) "
        "SELECT 'service', service, CASE WHEN judged_from <> to_timestamp($4::bigint) THEN "
        "least(judged_from, to_timestamp($4::bigint)) ELSE "
        "least(period_end, to_timestamp($3::bigint)) - interval '1 second' END, "
        "'it was in service at other times' FROM old) "
        "UPDATE plumbline_store.judged_period p SET period_end = to_timestamp($3::bigint), "
        "judged_from = to_timestamp($4::bigint) FROM old "
        "WHERE (p.service, p.period_start) = (old.service, old.period_start)",
        4, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

/* So that a period that was begun is published, whoever goes on. */
static int
note_period(struct judgestore *s, const struct promise *p)
{
    char times[3][PROMISE_NUMBER_SIZE], version[PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key,
                            promise_number(times[0], p->period.ns / NS_PER_S),
                            promise_number(times[1], p->period_end.ns / NS_PER_S),
                            p->sla->key,
                            promise_number(version, p->sla->version),
                            promise_number(times[2], p->from.ns / NS_PER_S)};
    PGresult *r =
        promise_ask(s,
                    "INSERT INTO plumbline_store.judged_period (service, period_start, "
                    "period_end, sla, version, judged_from, judged_until) VALUES ($1, "
                    "to_timestamp($2::bigint), to_timestamp($3::bigint), $4, $5::integer, "
                    "to_timestamp($6::bigint), to_timestamp($6::bigint)) ON CONFLICT DO NOTHING",
                    6, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

/* The version that holds for the period, and what the lines go by from now on. */
static int
find_terms(struct judgestore *s, struct promise *p)
{
    struct terms now = {0}, next = {0};

    inventory_free(p->older);
    p->older = NULL;
    p->sla = p->service->sla;
    p->from = p->period;
    /* Out of service before the period: nothing of it is promised. */
    if (p->service->out_of_service.ns && p->service->out_of_service.ns <= p->period.ns) {
        p->sla = NULL;
    }
    if (!p->sla) {
        return 0;
    }
    int err = terms_at(s, p->service, p->period, &now);
    /* Of the newest there is none after it. */
    next.sla = p->service->sla;
    if (!err && (now.older || now.from.ns > p->period.ns)) {
        err = terms_at(s, p->service, p->period_end, &next);
    }
    if (!err) {
        terms_apply(p, now.sla, next.sla);
        p->sla = now.sla;
        p->from = now.from;
        p->older = now.older;
        now.older = NULL;
    }
    terms_fini(&now);
    terms_fini(&next);
    return err;
}

int
promise_begin(struct judgestore *s, struct promise *p, struct instant at)
{
    int err = find_waiting(s, p, &at);

    err = err ? err : find_month(s, p, at);
    err = err ? err : find_terms(s, p);
    if (p->service->in_service.ns > p->from.ns) {
        p->from = p->service->in_service;
    }
    if (!err && p->sla && p->from.ns < p->period_end.ns) {
        err = note_period(s, p);
        err = err ? err : note_change(s, p);
    }
    return err ? err : load_lines(s, p);
}

int
promise_decided(struct judgestore *s, struct promise *p, const char *json)
{
    char start[PROMISE_NUMBER_SIZE], text[PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(start, p->period.ns / NS_PER_S), json};
    size_t size = strlen(json) + sizeof text;
    char *decided = NULL;

    if (!p->sla || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    /* Of another period the same is news. */
    decided = malloc(size);
    if (!decided) {
        return -ENOMEM;
    }
    snprintf(decided, size, "%s %s", values[1], json);
    if (p->decided && strcmp(p->decided, decided) == 0) {
        free(decided);
        return 0;
    }
    PGresult *r = promise_ask(s,
                              "UPDATE plumbline_store.judged_period SET windows = $3::jsonb "
                              "WHERE service = $1 AND period_start = to_timestamp($2::bigint) "
                              "AND windows <> $3::jsonb",
                              3, values);
    PQclear(r);
    free(p->decided);
    p->decided = decided;
    return r ? 0 : -EIO;
}

int
promise_reopen(struct judgestore *s, const struct promise *p, struct instant from, const char *why)
{
    char at[PROMISE_NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(at, from.ns / NS_PER_S), why};
    PGresult *r =
        promise_ask(s,
                    "UPDATE plumbline_store.judged_period SET reopened = $3 WHERE service = $1 "
                    "AND period_end > to_timestamp($2::bigint) AND revision IS NOT NULL",
                    3, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

bool
promise_is_over(const struct promise *p)
{
    return promise_until(p).ns >= p->period_end.ns;
}

struct instant
promise_until(const struct promise *p)
{
    struct instant until = instant_of_ns(INT64_MAX);

    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            const struct line *l = p->ways[i].lines[d];
            until = l && l->until.ns < until.ns ? l->until : until;
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        struct instant u = p->wholes[i]->line->until;
        until = u.ns < until.ns ? u : until;
    }
    return until.ns == INT64_MAX ? instant_of_ns(-1) : until;
}
