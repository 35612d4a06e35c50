/* deskstore.c - what the desk reads. */
#include "deskstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"

#define US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

void
deskstore_fini(struct deskstore *s)
{
    bytes_fini(&s->ids);
}

static PGresult *
ask(struct deskstore *s, const char *sql, int count, const char *const *values)
{
    return pg_rows(s->conn, sql, count, values, false, s->why, sizeof s->why);
}

static int
run(struct deskstore *s, const char *sql)
{
    return pg_run(s->conn, sql, 0, NULL, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

int
deskstore_begin(struct deskstore *s)
{
    return run(s, "BEGIN");
}

int
deskstore_commit(struct deskstore *s)
{
    return run(s, "COMMIT");
}

void
deskstore_rollback(struct deskstore *s)
{
    char why[sizeof s->why];

    pg_run(s->conn, "ROLLBACK", 0, NULL, why, sizeof why);
}

int
deskstore_listen(struct deskstore *s)
{
    return run(s, "LISTEN plumbline_alarm");
}

/* "{1,2}". */
static const char *
array(struct deskstore *s, const int64_t *ids, size_t count)
{
    char text[24];

    bytes_clear(&s->ids);
    bytes_text(&s->ids, "{");
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s%" PRId64, i ? "," : "", ids[i]);
        bytes_text(&s->ids, text);
    }
    bytes_add(&s->ids, "}", 2);
    return bytes_ok(&s->ids) ? (const char *)s->ids.at : NULL;
}

/* --- Cells ---------------------------------------------------------------- */

static int64_t
whole(const PGresult *r, int row, int column)
{
    return strtoll(PQgetvalue(r, row, column), NULL, 10);
}

/* Of microseconds; NULL is 0. */
static struct instant
when(const PGresult *r, int row, int column)
{
    return instant_of_ns(whole(r, row, column) * NS_PER_US);
}

static const char *
text(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

static bool
truth(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

int
deskstore_now(struct deskstore *s, struct instant *out)
{
    PGresult *r = ask(s, "SELECT " US("clock_timestamp()"), 0, NULL);

    if (!r) {
        return -EIO;
    }
    *out = when(r, 0, 0);
    PQclear(r);
    return 0;
}

int
deskstore_installation(struct deskstore *s, char *buf, size_t size)
{
    PGresult *r = ask(s, "SELECT id FROM plumbline_store.installation", 0, NULL);

    if (!r) {
        return -EIO;
    }
    snprintf(buf, size, "%s", PQntuples(r) ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return 0;
}

/* --- Alarms --------------------------------------------------------------- */

#define ALARM_COLUMNS                                                                              \
    "a.id, a.source_id, a.rule, a.metric, a.severity, a.scope, a.object, a.class, a.observer, "    \
    "a.details, " US("a.began") ", " US("a.raised") ", " US("a.recorded_at") ", " US(              \
        "a.cleared") ", " US("a.ended") ", a.flaps, j.problem"
#define ALARM_TABLES                                                                               \
    "plumbline_store.alarm a LEFT JOIN plumbline_store.problem_alarm j ON j.alarm = a.id "

static int
each_alarm(const PGresult *r, deskstore_alarm_fn *fn, void *aux)
{
    int err = 0;

    for (int i = 0; i < PQntuples(r) && !err; i++) {
        const struct deskstore_alarm a = {.id = whole(r, i, 0),
                                          .source_id = whole(r, i, 1),
                                          .rule = PQgetvalue(r, i, 2),
                                          .metric = PQgetvalue(r, i, 3),
                                          .severity = PQgetvalue(r, i, 4),
                                          .scope = PQgetvalue(r, i, 5),
                                          .object = PQgetvalue(r, i, 6),
                                          .class_ = PQgetvalue(r, i, 7),
                                          .observer = PQgetvalue(r, i, 8),
                                          .details = PQgetvalue(r, i, 9),
                                          .began = when(r, i, 10),
                                          .raised = when(r, i, 11),
                                          .recorded = when(r, i, 12),
                                          .cleared = when(r, i, 13),
                                          .ended = when(r, i, 14),
                                          .flaps = (unsigned)whole(r, i, 15),
                                          .problem = whole(r, i, 16)};
        err = fn(&a, aux);
    }
    return err;
}

static int
alarms(struct deskstore *s, const char *sql, int count, const char *const *values,
       deskstore_alarm_fn *fn, void *aux)
{
    PGresult *r = ask(s, sql, count, values);
    int err = r ? each_alarm(r, fn, aux) : -EIO;

    PQclear(r);
    return err;
}

static int
count_news(PGresult *r, size_t *taken)
{
    *taken = (size_t)whole(r, 0, 0);
    PQclear(r);
    return 0;
}

/* What is taken goes into a table of this transaction: the alarms are read by another statement,
 * which sees no less than whoever wrote the news. */
int
deskstore_news(struct deskstore *s, int most, deskstore_alarm_fn *fn, void *aux, size_t *taken)
{
    char limit[16];
    const char *const values[] = {limit};

    snprintf(limit, sizeof limit, "%d", most);
    *taken = 0;
    PGresult *r = ask(s,
                      "WITH gone AS (DELETE FROM plumbline_store.alarm_news WHERE number IN "
                      "(SELECT number FROM plumbline_store.alarm_news ORDER BY number LIMIT "
                      "$1::integer) RETURNING alarm) "
                      "SELECT count(*), coalesce(array_agg(DISTINCT alarm), '{}') FROM gone",
                      1, values);
    if (!r || whole(r, 0, 0) == 0) {
        return r ? count_news(r, taken) : -EIO;
    }
    const char *const ids[] = {PQgetvalue(r, 0, 1)};
    int err = alarms(s,
                     "SELECT " ALARM_COLUMNS " FROM " ALARM_TABLES
                     "WHERE a.id = ANY ($1::bigint[]) ORDER BY a.id",
                     1, ids, fn, aux);
    count_news(r, taken);
    return err;
}

int
deskstore_alarms(struct deskstore *s, deskstore_alarm_fn *fn, void *aux)
{
    return alarms(s,
                  "SELECT " ALARM_COLUMNS " FROM " ALARM_TABLES
                  "LEFT JOIN plumbline_store.problem p ON p.id = j.problem "
                  "WHERE p.state = 'open' OR (j.problem IS NULL AND (a.cleared IS NULL OR "
                  "a.recorded_at > now() - interval '1 hour')) ORDER BY a.id",
                  0, NULL, fn, aux);
}

int
deskstore_alarms_of(struct deskstore *s, const int64_t *problems, size_t count,
                    deskstore_alarm_fn *fn, void *aux)
{
    const char *const values[] = {array(s, problems, count)};

    return values[0] ? alarms(s,
                              "SELECT " ALARM_COLUMNS " FROM plumbline_store.alarm a "
                              "JOIN plumbline_store.problem_alarm j ON j.alarm = a.id "
                              "WHERE j.problem = ANY ($1::bigint[]) ORDER BY a.id",
                              1, values, fn, aux)
                     : -ENOMEM;
}

int
deskstore_orphans(struct deskstore *s, deskstore_id_fn *fn, void *aux)
{
    PGresult *r = ask(s,
                      "SELECT a.id FROM plumbline_store.alarm a "
                      "JOIN plumbline_store.source_position p USING (source_id) "
                      "WHERE a.cleared IS NULL AND p.closed",
                      0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        err = fn(whole(r, i, 0), aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_end_alarms(struct deskstore *s, const int64_t *alarms_, size_t count, const char *why)
{
    const char *const values[] = {array(s, alarms_, count), why};

    if (!values[0]) {
        return -ENOMEM;
    }
    return pg_run(s->conn,
                  "UPDATE plumbline_store.alarm SET cleared = clock_timestamp(), "
                  "ended = greatest(began, least(decided, clock_timestamp())), "
                  "changed_at = clock_timestamp(), "
                  "details = details || jsonb_build_object('text', $2::text, 'gone', true) "
                  "WHERE id = ANY ($1::bigint[]) AND cleared IS NULL",
                  2, values, s->why, sizeof s->why) < 0
               ? -EIO
               : 0;
}

/* --- Problems ------------------------------------------------------------- */

#define PROBLEM_COLUMNS                                                                            \
    "id, merged_into, state, severity, what, cause_kind, cause, title, held, evidence, " US(       \
        "began") ", " US("ended") ", " US("opened_at") ", " US("closed_at") ", revision, reopened"

static int
problems(struct deskstore *s, const char *sql, const char *value, deskstore_problem_fn *fn,
         void *aux)
{
    const char *const values[] = {value};
    PGresult *r = value ? ask(s, sql, 1, values) : NULL;
    int err = r ? 0 : value ? -EIO : -ENOMEM;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_problem p = {.id = whole(r, i, 0),
                                            .merged_into = whole(r, i, 1),
                                            .state = PQgetvalue(r, i, 2),
                                            .severity = PQgetvalue(r, i, 3),
                                            .what = PQgetvalue(r, i, 4),
                                            .kind = PQgetvalue(r, i, 5),
                                            .key = PQgetvalue(r, i, 6),
                                            .title = PQgetvalue(r, i, 7),
                                            .held = text(r, i, 8),
                                            .evidence = PQgetvalue(r, i, 9),
                                            .began = when(r, i, 10),
                                            .ended = when(r, i, 11),
                                            .opened = when(r, i, 12),
                                            .closed = when(r, i, 13),
                                            .revision = (int)whole(r, i, 14),
                                            .reopened = (int)whole(r, i, 15)};
        err = fn(&p, aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_problems(struct deskstore *s, struct span lately, deskstore_problem_fn *fn, void *aux)
{
    char seconds[24];

    snprintf(seconds, sizeof seconds, "%" PRId64, lately.ns / NS_PER_S);
    return problems(s,
                    "SELECT " PROBLEM_COLUMNS " FROM plumbline_store.problem "
                    "WHERE state = 'open' OR (state = 'ended' AND "
                    "closed_at > now() - make_interval(secs => $1::integer)) ORDER BY id",
                    seconds, fn, aux);
}

int
deskstore_problems_of(struct deskstore *s, const int64_t *ids, size_t count,
                      deskstore_problem_fn *fn, void *aux)
{
    return problems(s,
                    "SELECT " PROBLEM_COLUMNS " FROM plumbline_store.problem "
                    "WHERE id = ANY ($1::bigint[]) ORDER BY id",
                    array(s, ids, count), fn, aux);
}

static PGresult *
ask_of(struct deskstore *s, const char *sql, const int64_t *ids, size_t count, int *err)
{
    const char *const values[] = {array(s, ids, count)};
    PGresult *r = values[0] ? ask(s, sql, 1, values) : NULL;

    *err = r ? 0 : values[0] ? -EIO : -ENOMEM;
    return r;
}

int
deskstore_objects(struct deskstore *s, const int64_t *ids, size_t count, deskstore_object_fn *fn,
                  void *aux)
{
    int err;
    PGresult *r = ask_of(s,
                         "SELECT problem, kind, key, bad FROM plumbline_store.problem_object "
                         "WHERE problem = ANY ($1::bigint[]) ORDER BY problem",
                         ids, count, &err);

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_object o = {whole(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
                                           truth(r, i, 3)};
        err = fn(&o, aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_steps(struct deskstore *s, const int64_t *ids, size_t count, deskstore_step_fn *fn,
                void *aux)
{
    int err;
    PGresult *r = ask_of(s,
                         "SELECT problem, what, text, " US(
                             "at") " FROM plumbline_store.problem_step "
                                   "WHERE problem = ANY ($1::bigint[]) ORDER BY problem, number",
                         ids, count, &err);

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_step p = {whole(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
                                         when(r, i, 3)};
        err = fn(&p, aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_heard(struct deskstore *s, const int64_t *ids, size_t count, deskstore_heard_fn *fn,
                void *aux)
{
    int err;
    PGresult *r = ask_of(s,
                         "SELECT DISTINCT ON (problem, hook) problem, hook, action, event, " US(
                             "created_at") " FROM plumbline_store.outbox "
                                           "WHERE problem = ANY ($1::bigint[]) "
                                           "AND action IN ('open', 'change', 'remind', 'resolve') "
                                           "ORDER BY problem, hook, id DESC",
                         ids, count, &err);

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_heard h = {whole(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
                                          PQgetvalue(r, i, 3), when(r, i, 4)};
        err = fn(&h, aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_acks(struct deskstore *s, deskstore_ack_fn *fn, void *aux)
{
    PGresult *r = ask(s,
                      "SELECT DISTINCT ON (problem) problem, author, note, " US(
                          "until") " FROM plumbline_store.acknowledgement WHERE ended_at IS NULL "
                                   "ORDER BY problem, number DESC",
                      0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_ack a = {whole(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
                                        when(r, i, 3)};
        err = fn(&a, aux);
    }
    PQclear(r);
    return err;
}

int
deskstore_windows(struct deskstore *s, deskstore_window_fn *fn, void *aux)
{
    PGresult *r = ask(
        s,
        "SELECT id, kind, key, tenant, " US("start_at") ", " US(
            "end_at") ", "
                      "end_at > clock_timestamp(), suppress_alerts FROM plumbline_store.windows("
                      "clock_timestamp() - interval '1 hour', clock_timestamp()) "
                      "WHERE exclusion = 'maintenance'",
        0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_window w = {.id = whole(r, i, 0),
                                           .kind = PQgetvalue(r, i, 1),
                                           .key = PQgetvalue(r, i, 2),
                                           .tenant = text(r, i, 3),
                                           .start = when(r, i, 4),
                                           .end = when(r, i, 5),
                                           .runs = truth(r, i, 6),
                                           .silences = truth(r, i, 7)};
        err = fn(&w, aux);
    }
    PQclear(r);
    return err;
}

/* --- What else is known --------------------------------------------------- */

int
deskstore_events(struct deskstore *s, const cJSON *keys, struct instant since,
                 deskstore_event_fn *fn, void *aux)
{
    char from[40], *json = cJSON_PrintUnformatted(keys);
    const char *const values[] = {json, instant_format(since, 6, from, sizeof from)};
    PGresult *r = json ? ask(s,
                             "SELECT object, coalesce(details->>'direction', ''), " US(
                                 "at") ", details->>'from', details->>'to' "
                                       "FROM plumbline_store.event WHERE kind = 'ttl' "
                                       "AND at > $2::timestamptz AND object IN "
                                       "(SELECT jsonb_array_elements_text($1::jsonb))",
                             2, values)
                       : NULL;
    int err = r ? 0 : json ? -EIO : -ENOMEM;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_event e = {PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), when(r, i, 2),
                                          whole(r, i, 3), whole(r, i, 4)};
        err = fn(&e, aux);
    }
    PQclear(r);
    cJSON_free(json);
    return err;
}

int
deskstore_budgets(struct deskstore *s, const cJSON *keys, deskstore_budget_fn *fn, void *aux)
{
    char *json = cJSON_PrintUnformatted(keys);
    const char *const values[] = {json};
    PGresult *r = json ? ask(s,
                             "SELECT o.service, o.class, o.metric, o.used, o.budget "
                             "FROM plumbline_store.objective_state o "
                             "JOIN plumbline_store.judged_period p USING (service, period_start) "
                             "WHERE p.revision IS NULL AND o.budget > 0 AND NOT EXISTS "
                             "(SELECT FROM plumbline_store.judged_period q WHERE q.service = "
                             "p.service AND q.period_start > p.period_start) AND o.service IN "
                             "(SELECT jsonb_array_elements_text($1::jsonb))",
                             1, values)
                       : NULL;
    int err = r ? 0 : json ? -EIO : -ENOMEM;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_budget b = {PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
                                           PQgetvalue(r, i, 2), whole(r, i, 3), whole(r, i, 4)};
        err = fn(&b, aux);
    }
    PQclear(r);
    cJSON_free(json);
    return err;
}

int
deskstore_sources(struct deskstore *s, deskstore_source_fn *fn, void *aux)
{
    PGresult *r = ask(s,
                      "SELECT source, " US("committed_at") ", closed "
                                                           "FROM plumbline_store.source_position",
                      0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct deskstore_source p = {PQgetvalue(r, i, 0), when(r, i, 1), truth(r, i, 2)};
        err = fn(&p, aux);
    }
    PQclear(r);
    return err;
}
