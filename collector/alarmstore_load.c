/* alarmstore_load.c - reading the rows of alarms, and what the past was. */
#include "alarmstore_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"

#define NUMBER_SIZE 24

/* The columns of load_sql. */
enum {
    RULE,
    SCOPE,
    OBJECT,
    CLASS,
    BEGAN,
    RAISED,
    DECIDED,
    CLEARED,
    ENDED,
    FLAPS,
    VALUE,
    WORST,
    LIMIT,
    BASELINE,
    SENT,
    FWD,
    BWD,
    UNDIRECTED,
    OVERDUE,
    SEND_ERRORS,
    FLOW_COUNT,
    OVER_COUNT,
    OVER,
    PROGRESS,
    HEARD,
    GOOD_SINCE
};

/* The newest episode of each cell.  How far one came that somebody else has changed since (a
 * release that does not know of it) is not known. */
static const char load_sql[] =
    "SELECT DISTINCT ON (rule, scope, object, class) rule, scope, object, class, "
    "(extract(epoch FROM began) * 1000000)::bigint, "
    "(extract(epoch FROM raised) * 1000000)::bigint, decided_us, "
    "(extract(epoch FROM cleared) * 1000000)::bigint, "
    "(extract(epoch FROM ended) * 1000000)::bigint, flaps, details->>'value', "
    "coalesce(p->>'worst', details->>'worst'), details->>'limit', details->>'baseline', "
    "details->>'sent', details#>>'{fwd,lost}', details#>>'{bwd,lost}', details->>'undirected', "
    "details->>'overdue', details->>'send_errors', details#>>'{flows,of}', "
    "details#>>'{flows,over_count}', details#>>'{flows,over}', p->>'flows', p->>'heard', "
    "p->>'good_since' FROM plumbline_store.alarm, "
    "LATERAL (SELECT (extract(epoch FROM decided) * 1000000)::bigint AS decided_us) d, "
    "LATERAL (SELECT CASE WHEN (progress->>'decided')::bigint = decided_us THEN progress END AS p) "
    "x WHERE source_id = $1 AND (cleared IS NULL "
    "OR decided > timestamptz 'epoch' + $2::bigint * interval '1 microsecond') "
    "ORDER BY rule, scope, object, class, cleared IS NULL DESC, decided DESC";

/* What is not there is empty, and 0. */
static int64_t
number_at(const PGresult *r, int row, int column)
{
    return strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static uint64_t
count_at(const PGresult *r, int row, int column)
{
    return strtoull(PQgetvalue(r, row, column), NULL, 10);
}

static struct instant
time_at(const PGresult *r, int row, int column)
{
    return instant_of_ns(number_at(r, row, column) * NS_PER_US);
}

/* The next number of a JSON array of numbers, or of one of such; false: there is none. */
static bool
next_number(const char **at, int64_t *out)
{
    char *end;

    *at += strcspn(*at, "-0123456789");
    if (!**at) {
        return false;
    }
    *out = strtoll(*at, &end, 10);
    *at = end;
    return true;
}

static void
load_over(const char *text, struct alarm_episode *e)
{
    int64_t number;

    for (size_t i = 0; i < ALARM_FLOWS_NAMED && next_number(&text, &number); i++) {
        e->over[i] = (uint16_t)number;
    }
}

static struct alarm_episode
load_episode(const PGresult *r, int row)
{
    struct alarm_episode e = {.began = time_at(r, row, BEGAN),
                              .raised = time_at(r, row, RAISED),
                              .decided = time_at(r, row, DECIDED),
                              .cleared = time_at(r, row, CLEARED),
                              .ended = time_at(r, row, ENDED),
                              .flaps = (uint32_t)count_at(r, row, FLAPS),
                              .value = number_at(r, row, VALUE),
                              .worst = number_at(r, row, WORST),
                              .limit = number_at(r, row, LIMIT),
                              .baseline = number_at(r, row, BASELINE),
                              .sent = count_at(r, row, SENT),
                              .fwd = count_at(r, row, FWD),
                              .bwd = count_at(r, row, BWD),
                              .undirected = count_at(r, row, UNDIRECTED),
                              .overdue = count_at(r, row, OVERDUE),
                              .send_errors = count_at(r, row, SEND_ERRORS),
                              .flow_count = (uint32_t)count_at(r, row, FLOW_COUNT),
                              .over_count = (uint32_t)count_at(r, row, OVER_COUNT)};

    load_over(PQgetvalue(r, row, OVER), &e);
    return e;
}

/* As add_progress() wrote them.  -ENOMEM. */
static int
load_flows(const char *text, struct watch_known *k)
{
    struct alarm_progress *flows = NULL;
    int64_t v[ALARMSTORE_PROGRESS];

    for (;;) {
        for (size_t i = 0; i < ALARMSTORE_PROGRESS; i++) {
            if (!next_number(&text, &v[i])) {
                k->flows = flows;
                return 0;
            }
        }
        struct alarm_progress *more = reallocarray(flows, k->flow_count + 1, sizeof *more);
        if (!more) {
            free(flows);
            return -ENOMEM;
        }
        flows = more;
        flows[k->flow_count++] = (struct alarm_progress){.number = (uint16_t)v[0],
                                                         .dt = {v[1]},
                                                         .until = {v[2]},
                                                         .judged = {v[3]},
                                                         .bad_until = {v[4]},
                                                         .good_at = {v[5]},
                                                         .good = {v[6]},
                                                         .over = v[7] != 0,
                                                         .none = v[8] != 0,
                                                         .counted = (uint64_t)v[9],
                                                         .sent = (uint64_t)v[10],
                                                         .fwd = (uint64_t)v[11],
                                                         .bwd = (uint64_t)v[12],
                                                         .undirected = (uint64_t)v[13],
                                                         .send_errors = (uint64_t)v[14]};
    }
}

static int
load_row(const PGresult *r, int row, struct instant now, struct watch *w)
{
    bool of_probe = strcmp(PQgetvalue(r, row, SCOPE), "probe") == 0;
    struct watch_known k = {.rule = PQgetvalue(r, row, RULE),
                            .object = PQgetvalue(r, row, OBJECT),
                            .class_name = PQgetvalue(r, row, CLASS),
                            .scope = of_probe ? WATCH_PROBE : WATCH_LINK,
                            .episode = load_episode(r, row),
                            .good_since = time_at(r, row, GOOD_SINCE)};
    const char *heard = PQgetvalue(r, row, HEARD);
    int64_t part;
    int err = load_flows(PQgetvalue(r, row, PROGRESS), &k);

    if (next_number(&heard, &part)) {
        k.heard.epoch = (uint64_t)part;
        k.heard.sequence = next_number(&heard, &part) ? (uint64_t)part : 0;
    }
    err = err ? err : watch_know(w, &k, now);
    free((struct alarm_progress *)(uintptr_t)k.flows);
    return err;
}

int
alarmstore_load(PGconn *conn, int64_t source_id, struct instant since, struct instant now,
                struct watch *w, char *why, size_t why_size)
{
    char id[NUMBER_SIZE], us[NUMBER_SIZE];
    const char *values[] = {id, us};
    int err = 0;

    snprintf(id, sizeof id, "%" PRId64, source_id);
    snprintf(us, sizeof us, "%" PRId64, since.ns > 0 ? since.ns / NS_PER_US : 0);
    PGresult *r = pg_rows(conn, load_sql, 2, values, false, why, why_size);
    if (!r) {
        return alarmstore_failed(conn);
    }
    for (int i = 0; i < PQntuples(r) && !err; i++) {
        err = load_row(r, i, now, w);
    }
    PQclear(r);
    return err;
}

/* 1: the table is there, of which a schema that is older knows nothing; 0: not. */
static int
has_baselines(PGconn *conn, char *why, size_t why_size)
{
    PGresult *r = pg_rows(conn, "SELECT to_regclass('plumbline_store.baseline') IS NOT NULL", 0,
                          NULL, false, why, why_size);
    if (!r) {
        return alarmstore_failed(conn);
    }
    int has = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return has;
}

int
alarmstore_baselines(PGconn *conn, const char *observer, struct watch *w, char *why,
                     size_t why_size)
{
    const char *values[] = {observer};
    int has = has_baselines(conn, why, why_size);

    if (has <= 0) {
        return has;
    }
    PGresult *r = pg_rows(conn,
                          "SELECT object, class, metric, against_s, value_ns "
                          "FROM plumbline_store.baseline WHERE observer = $1",
                          1, values, false, why, why_size);
    if (!r) {
        return alarmstore_failed(conn);
    }
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t against_s = strtoll(PQgetvalue(r, i, 3), NULL, 10);
        watch_baseline(w, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
                       span_of_ns(against_s * NS_PER_S), strtoll(PQgetvalue(r, i, 4), NULL, 10));
    }
    PQclear(r);
    return 0;
}
