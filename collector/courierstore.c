/* courierstore.c - the outbox in PostgreSQL. */
#include "courierstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "courierplan.h"
#include "pg.h"

#define NUMBER_SIZE 32
#define OUTBOX "plumbline_store.outbox"

static const char *const state_names[] = {[COURIERPLAN_GOOD] = "good",
                                          [COURIERPLAN_FAILING] = "failing",
                                          [COURIERPLAN_DISABLED] = "disabled"};

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* As seconds, for make_interval(). */
static const char *
seconds(char buf[NUMBER_SIZE], struct span s)
{
    snprintf(buf, NUMBER_SIZE, "%.3f", (double)s.ns / NS_PER_S);
    return buf;
}

static struct span
cell_span(const PGresult *r, int row, int column)
{
    return span_of_ns((int64_t)(strtod(PQgetvalue(r, row, column), NULL) * NS_PER_S));
}

static int64_t
cell_number(const PGresult *r, int row, int column)
{
    return strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static bool
cell_is(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

static PGresult *
ask(struct courierstore *s, const char *sql, int count, const char *const *values)
{
    return pg_rows(s->conn, sql, count, values, false, s->why, sizeof s->why);
}

static int
run(struct courierstore *s, const char *sql, int count, const char *const *values)
{
    return pg_run(s->conn, sql, count, values, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

void
courierstore_fini(struct courierstore *s)
{
    bytes_fini(&s->text);
    bytes_fini(&s->more);
}

/* "{1,2}"; NULL: memory is out. */
static const char *
array(struct bytes *b, const int64_t *ids, size_t count)
{
    char text[NUMBER_SIZE];

    bytes_clear(b);
    bytes_text(b, "{");
    for (size_t i = 0; i < count; i++) {
        bytes_text(b, i ? "," : "");
        bytes_text(b, number(text, ids[i]));
    }
    bytes_add(b, "}", 2);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

static const char *
away(struct courierstore *s)
{
    return array(&s->text, s->away, s->away_count);
}

/* {"noc","acme"} */
static const char *
names(struct bytes *b, const char *const *keys, size_t count)
{
    bytes_clear(b);
    bytes_text(b, "{");
    for (size_t i = 0; i < count; i++) {
        bytes_text(b, i ? ",\"" : "\"");
        for (const char *c = keys[i]; *c; c++) {
            bytes_text(b, *c == '"' || *c == '\\' ? "\\" : "");
            bytes_add(b, c, 1);
        }
        bytes_text(b, "\"");
    }
    bytes_add(b, "}", 2);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

int
courierstore_listen(struct courierstore *s)
{
    return run(s, "LISTEN plumbline_outbox", 0, NULL);
}

/* --- What there is -------------------------------------------------------- */

int
courierstore_newest(struct courierstore *s, int64_t *id)
{
    PGresult *r = ask(s, "SELECT coalesce(max(id), 0) FROM " OUTBOX, 0, NULL);

    if (!r) {
        return -EIO;
    }
    *id = cell_number(r, 0, 0);
    PQclear(r);
    return 0;
}

int
courierstore_states(struct courierstore *s, courierstore_state_fn *fn, void *aux)
{
    PGresult *r =
        ask(s,
            "SELECT hook, CASE state WHEN 'good' THEN 0 WHEN 'failing' THEN 1 ELSE 2 END, "
            "failures, coalesce(extract(epoch FROM not_before - clock_timestamp()), 0) "
            "FROM plumbline_store.hook_state",
            0, NULL);

    for (int i = 0; r && i < PQntuples(r); i++) {
        fn(PQgetvalue(r, i, 0), (int)cell_number(r, i, 1), (unsigned)cell_number(r, i, 2),
           cell_span(r, i, 3), aux);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

int
courierstore_loads(struct courierstore *s, courierstore_load_fn *fn, void *aux)
{
    PGresult *r =
        ask(s,
            "SELECT hook, sum(waiting), sum(dead), "
            "coalesce(extract(epoch FROM clock_timestamp() - min(oldest)), 0), "
            "coalesce(bool_or(due), false), coalesce(bool_or(test), false), "
            "coalesce(bool_or(newest > h.last_error_at), false) FROM ("
            "SELECT hook, count(*) AS waiting, 0 AS dead, min(created_at) AS oldest, "
            "bool_or(next_try <= clock_timestamp()) AS due, "
            "bool_or(action = 'test' AND tries = 0) AS test, "
            "max(created_at) FILTER (WHERE action IN ('open', 'change', 'resolve')) AS newest "
            "FROM " OUTBOX " WHERE state = 'waiting' GROUP BY hook UNION ALL "
            "SELECT hook, 0, count(*) FILTER (WHERE problem IS NOT NULL), NULL, NULL, NULL, NULL "
            "FROM " OUTBOX " WHERE state = 'dead' GROUP BY hook) o "
            "LEFT JOIN plumbline_store.hook_state h USING (hook) GROUP BY hook",
            0, NULL);

    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct courierstore_load load = {.hook = PQgetvalue(r, i, 0),
                                               .waiting = (uint64_t)cell_number(r, i, 1),
                                               .dead = (uint64_t)cell_number(r, i, 2),
                                               .oldest = cell_span(r, i, 3),
                                               .due = cell_is(r, i, 4),
                                               .test = cell_is(r, i, 5),
                                               .fresh = cell_is(r, i, 6)};
        fn(&load, aux);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

int
courierstore_heads(struct courierstore *s, const char *hook, const int64_t *problems,
                   size_t problem_count, int64_t *ids, size_t max, size_t *count)
{
    char limit[NUMBER_SIZE];
    const char *values[] = {hook, away(s), number(limit, (int64_t)max),
                            array(&s->more, problems, problem_count)};

    *count = 0;
    if (!values[1] || !values[3]) {
        return -ENOMEM;
    }
    /* Not by "there is none before it": of a table that has just grown the planner knows nothing,
     * and compares each with each. */
    PGresult *r =
        ask(s,
            "SELECT id FROM (SELECT DISTINCT ON (problem, alone) id, problem, next_try FROM ("
            "SELECT id, problem, next_try, CASE WHEN problem IS NULL THEN id END AS alone "
            "FROM " OUTBOX " WHERE state = 'waiting' AND hook = $1) o "
            "ORDER BY problem, alone, id) h WHERE next_try <= clock_timestamp() "
            "AND id <> ALL ($2::bigint[]) "
            "AND coalesce(problem <> ALL ($4::bigint[]), true) ORDER BY id LIMIT $3::bigint",
            4, values);
    for (int i = 0; r && i < PQntuples(r); i++) {
        ids[(*count)++] = cell_number(r, i, 0);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

/* --- Taking --------------------------------------------------------------- */

#define TICKET                                                                                     \
    "coalesce(k.number, 0), coalesce(k.state = 'closed', false), coalesce(k.ref, ''), "            \
    "coalesce(k.shown, '') "

static int
take(struct courierstore *s, const char *sql, int count, const char *const *values,
     courierstore_row_fn *fn, void *aux)
{
    PGresult *r = ask(s, sql, count, values);

    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct courierstore_row row = {.id = cell_number(r, i, 0),
                                             .problem = cell_number(r, i, 1),
                                             .action = PQgetvalue(r, i, 2),
                                             .event = PQgetvalue(r, i, 3),
                                             .tries = (unsigned)cell_number(r, i, 4),
                                             .failed = cell_is(r, i, 5),
                                             .age = cell_span(r, i, 6),
                                             .number = (int)cell_number(r, i, 7),
                                             .closed = cell_is(r, i, 8),
                                             .ref = PQgetvalue(r, i, 9),
                                             .shown = PQgetvalue(r, i, 10)};
        fn(&row, aux);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

int
courierstore_take(struct courierstore *s, const int64_t *ids, size_t count, courierstore_row_fn *fn,
                  void *aux)
{
    const char *values[] = {array(&s->text, ids, count)};

    return !values[0]
               ? -ENOMEM
               : take(s,
                      "WITH o AS (UPDATE " OUTBOX " SET tries = tries + 1, "
                      "last_try = clock_timestamp(), "
                      /* Who cannot write down what became of it does not send it for ever. */
                      "next_try = CASE WHEN tries < 10 THEN next_try "
                      "ELSE clock_timestamp() + interval '1 minute' END "
                      "WHERE id = ANY ($1::bigint[]) "
                      "AND state = 'waiting' RETURNING *) "
                      "SELECT o.id, coalesce(o.problem, 0), o.action, o.event, o.tries, "
                      "o.last_error IS NOT NULL, "
                      "extract(epoch FROM clock_timestamp() - o.created_at), " TICKET
                      "FROM o LEFT JOIN LATERAL (SELECT * FROM plumbline_store.ticket t "
                      "WHERE t.hook = o.hook AND t.problem = o.problem "
                      "ORDER BY t.number DESC LIMIT 1) k ON true ORDER BY o.id",
                      1, values, fn, aux);
}

int
courierstore_again(struct courierstore *s, const char *hook, struct span every, size_t max,
                   courierstore_row_fn *fn, void *aux)
{
    char wait[NUMBER_SIZE], limit[NUMBER_SIZE];
    const char *values[] = {hook, seconds(wait, every), number(limit, (int64_t)max)};

    return take(s,
                "WITH due AS (SELECT t.problem, t.number FROM plumbline_store.ticket t "
                "WHERE t.hook = $1 AND t.again_at <= clock_timestamp() AND NOT EXISTS ("
                "SELECT FROM " OUTBOX " o WHERE o.state = 'waiting' AND o.hook = t.hook "
                "AND o.problem = t.problem) ORDER BY t.again_at LIMIT $3::bigint), "
                "k AS (UPDATE plumbline_store.ticket t "
                "SET again_at = clock_timestamp() + make_interval(secs => $2::float8) "
                "FROM due WHERE t.hook = $1 AND t.problem = due.problem "
                "AND t.number = due.number RETURNING t.*) "
                "SELECT 0, k.problem, 'remind', k.event, 1, false, 0, " TICKET "FROM k",
                3, values, fn, aux);
}

/* --- What became of it ---------------------------------------------------- */

int
courierstore_begin(struct courierstore *s)
{
    return run(s, "BEGIN", 0, NULL);
}

int
courierstore_commit(struct courierstore *s)
{
    return run(s, "COMMIT", 0, NULL);
}

#define NEVER_OPENED "its open is dead: there is nothing to resolve"

int
courierstore_done(struct courierstore *s, int64_t id, bool opened)
{
    char text[NUMBER_SIZE];
    const char *values[] = {number(text, id)};
    int err = run(s,
                  "UPDATE " OUTBOX " SET state = 'done', ended_at = clock_timestamp() "
                  "WHERE id = $1::bigint AND state = 'waiting'",
                  1, values);

    if (!err && opened) {
        err = run(s,
                  "UPDATE " OUTBOX " r SET state = 'waiting', ended_at = NULL, last_error = NULL "
                  "FROM " OUTBOX " o WHERE o.id = $1::bigint AND r.problem = o.problem "
                  "AND r.hook = o.hook AND r.id > o.id AND r.state = 'superseded' "
                  "AND r.action = 'resolve' AND r.last_error = '" NEVER_OPENED "'",
                  1, values);
    }
    return err;
}

int
courierstore_wait(struct courierstore *s, int64_t id, struct span wait, const char *error)
{
    char text[NUMBER_SIZE], delay[NUMBER_SIZE];
    const char *values[] = {number(text, id), seconds(delay, wait), error};

    return run(s,
               "UPDATE " OUTBOX " SET last_error = $3, "
               "next_try = clock_timestamp() + make_interval(secs => $2::float8) "
               "WHERE id = $1::bigint AND state = 'waiting'",
               3, values);
}

int
courierstore_dead(struct courierstore *s, int64_t id, const char *error)
{
    char text[NUMBER_SIZE];
    const char *values[] = {number(text, id), error};

    return run(s,
               "UPDATE " OUTBOX " SET state = 'dead', last_error = $2, "
               "ended_at = clock_timestamp() WHERE id = $1::bigint AND state = 'waiting'",
               2, values);
}

int
courierstore_ticket(struct courierstore *s, const struct courierstore_ticket *t)
{
    char problem[NUMBER_SIZE], row[NUMBER_SIZE], place[NUMBER_SIZE], before[NUMBER_SIZE];
    char again[NUMBER_SIZE];
    const char *values[] = {t->hook,
                            number(problem, t->problem),
                            number(place, t->number),
                            t->ref,
                            t->shown,
                            t->url,
                            t->closed ? "closed" : "open",
                            number(row, t->row),
                            t->again.ns ? seconds(again, t->again) : NULL,
                            number(before, t->before)};
    int err = 0;

    if (t->before && t->before != t->number) {
        const char *old[] = {values[0], values[1], values[9]};
        err = run(s,
                  "UPDATE plumbline_store.ticket SET state = 'closed', again_at = NULL, "
                  "changed_at = clock_timestamp() "
                  "WHERE hook = $1 AND problem = $2::bigint AND number = $3::integer",
                  3, old);
    }
    return err ? err
               : run(s,
                     "INSERT INTO plumbline_store.ticket "
                     "(hook, problem, number, ref, shown, url, state, event, again_at) "
                     "SELECT $1, $2::bigint, $3::integer, $4, $5, $6, $7, o.event, "
                     "clock_timestamp() + make_interval(secs => $9::float8) "
                     "FROM " OUTBOX " o WHERE o.id = $8::bigint "
                     "ON CONFLICT (hook, problem, number) DO UPDATE SET ref = excluded.ref, "
                     "shown = excluded.shown, url = excluded.url, state = excluded.state, "
                     "event = excluded.event, again_at = excluded.again_at, "
                     "changed_at = clock_timestamp()",
                     9, values);
}

int
courierstore_untold(struct courierstore *s, const char *hook, int64_t problem, int place)
{
    char key[NUMBER_SIZE], text[NUMBER_SIZE];
    const char *values[] = {hook, number(key, problem), number(text, place)};

    return run(s,
               "UPDATE plumbline_store.ticket SET again_at = clock_timestamp() WHERE hook = $1 "
               "AND problem = $2::bigint AND number = $3::integer AND again_at IS NOT NULL",
               3, values);
}

int
courierstore_hook(struct courierstore *s, const struct courierstore_hook *h)
{
    char failures[NUMBER_SIZE], wait[NUMBER_SIZE];
    const char *values[] = {h->hook,
                            state_names[h->state],
                            number(failures, h->failures),
                            h->state == COURIERPLAN_FAILING ? seconds(wait, h->wait) : NULL,
                            h->error,
                            h->good ? "t" : "f"};

    return run(s,
               "INSERT INTO plumbline_store.hook_state AS h (hook, state, since, failures, "
               "not_before, last_error, last_error_at, last_good) "
               "SELECT $1, $2, n.now, $3::integer, n.now + make_interval(secs => $4::float8), "
               "$5::text, CASE WHEN $5::text IS NOT NULL THEN n.now END, CASE WHEN $6::boolean "
               "THEN n.now END "
               "FROM (SELECT clock_timestamp() AS now) n "
               "ON CONFLICT (hook) DO UPDATE SET "
               "state = CASE h.state WHEN 'disabled' THEN h.state ELSE excluded.state END, "
               "since = CASE WHEN h.state IN ('disabled', excluded.state) THEN h.since "
               "ELSE excluded.since END, "
               "failures = excluded.failures, not_before = excluded.not_before, "
               "last_error = coalesce(excluded.last_error, h.last_error), "
               "last_error_at = coalesce(excluded.last_error_at, h.last_error_at), "
               "last_good = coalesce(excluded.last_good, h.last_good)",
               6, values);
}

/* --- Order in the house --------------------------------------------------- */

#define SUPERSEDE(why, among)                                                                      \
    "UPDATE " OUTBOX " o SET state = 'superseded', ended_at = clock_timestamp(), "                 \
    "last_error = '" why "' " among "WHERE o.state = 'waiting' AND o.id <> ALL ($1::bigint[]) "
/* Of each that waits, which others of its hook and problem do. */
#define AMONG                                                                                      \
    "FROM (SELECT id, min(id) OVER w AS first, max(id) OVER w AS last, "                           \
    "max(id) FILTER (WHERE action IN ('change', 'resolve')) OVER w AS said FROM " OUTBOX           \
    " WHERE state = 'waiting' AND problem IS NOT NULL WINDOW w AS (PARTITION BY hook, problem)) "  \
    "n "
#define OTHER(alias) alias ".hook = o.hook AND " alias ".problem = o.problem "

/* A hook that is not in this collector's inventory may be in that of another, which was reloaded
 * before: so long its rows wait. */
#define UNKNOWN_FOR "interval '10 minutes'"

static const char *const superseded_sql[] = {
    SUPERSEDE("a later one says more",
              AMONG) "AND n.id = o.id AND o.action IN ('change', 'remind') "
                     "AND (n.said > o.id OR (o.action = 'remind' AND n.last > o.id))",
    /* One that was dead and was set back. */
    SUPERSEDE("a later one was delivered",
              "") "AND EXISTS (SELECT FROM " OUTBOX
                  " n WHERE n.state = 'done' AND " OTHER("n") "AND n.id > o.id)",
    SUPERSEDE(NEVER_OPENED, AMONG) "AND n.id = o.id AND o.action = 'resolve' AND n.first = o.id "
                                   "AND EXISTS (SELECT FROM " OUTBOX
                                   " d WHERE d.state = 'dead' AND d.action = 'open' AND " OTHER(
                                       "d") "AND d.id < o.id) "
                                            "AND coalesce((SELECT g.action FROM " OUTBOX
                                            " g WHERE g.state = 'done' AND " OTHER(
                                                "g") "AND g.id < o.id ORDER BY g.id DESC LIMIT 1), "
                                                     "'resolve') = 'resolve'",
    SUPERSEDE(
        "its hook is not in the inventory",
        "") "AND o.hook <> ALL ($2::text[]) AND o.created_at < clock_timestamp() - " UNKNOWN_FOR,
};

int
courierstore_supersede(struct courierstore *s, const char *const *hooks, size_t hook_count,
                       uint64_t *count)
{
    const size_t last = sizeof superseded_sql / sizeof superseded_sql[0] - 1;
    const char *values[] = {away(s), names(&s->more, hooks, hook_count)};

    *count = 0;
    if (!values[0] || !values[1]) {
        return -ENOMEM;
    }
    for (size_t i = 0; i <= last; i++) {
        int64_t n =
            pg_run(s->conn, superseded_sql[i], i == last ? 2 : 1, values, s->why, sizeof s->why);
        if (n < 0) {
            return -EIO;
        }
        *count += (uint64_t)n;
    }
    return 0;
}

static const char heartbeat_sql[] =
    "WITH old AS (UPDATE " OUTBOX " SET state = 'superseded', ended_at = clock_timestamp() "
    "WHERE hook = $1 AND action = 'heartbeat' AND state IN ('waiting', 'dead') "
    "AND id <> ALL ($2::bigint[])), "
    "lag AS (SELECT count(*) AS sources, "
    "coalesce(round(extract(epoch FROM now() - max(written_until))), 0) AS newest, "
    "coalesce(round(extract(epoch FROM now() - min(written_until))), 0) AS oldest "
    "FROM plumbline_store.source_position WHERE NOT closed), "
    "box AS (SELECT count(*) AS waiting FROM " OUTBOX " WHERE state = 'waiting' "
    "AND action <> 'heartbeat') "
    "INSERT INTO " OUTBOX " (hook, action, event) "
    "SELECT $1, 'heartbeat', jsonb_build_object("
    "'id', i.id || '-heartbeat-' || floor(extract(epoch FROM now()) * 1000)::bigint, "
    "'installation', i.id, 'action', 'heartbeat', "
    "'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), "
    "'severity', 'info', 'state', 'ended', 'title', 'Plumbline works', "
    "'text', format('Collector %s, PostgreSQL and the outbox work. %s sources: the newest row is "
    "%s s old, of the source furthest behind %s s. %s messages wait in the outbox.', "
    "$3::text, lag.sources, lag.newest, lag.oldest, box.waiting)) "
    "FROM plumbline_store.installation i, lag, box WHERE NOT EXISTS (SELECT FROM " OUTBOX " h "
    "WHERE h.hook = $1 AND h.action = 'heartbeat' AND h.state = 'waiting' "
    "AND h.id = ANY ($2::bigint[]))";

int
courierstore_heartbeat(struct courierstore *s, const char *hook, const char *collector)
{
    const char *values[] = {hook, away(s), collector};

    return !values[1] ? -ENOMEM : run(s, heartbeat_sql, 3, values);
}

int
courierstore_expire(struct courierstore *s)
{
    return run(s,
               "DELETE FROM " OUTBOX " WHERE ended_at < clock_timestamp() - CASE "
               "WHEN state = 'dead' THEN interval '90 days' "
               "WHEN action = 'heartbeat' THEN interval '1 day' ELSE interval '30 days' END",
               0, NULL);
}
