/* courierstore.c - the outbox in PostgreSQL. */
#include "courierstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "courierplan.h"
#include "courierstore_parts.h"
#include "pg.h"

#define NUMBER_SIZE COURIERSTORE_NUMBER_SIZE
#define OUTBOX COURIERSTORE_OUTBOX
#define NEVER_OPENED COURIERSTORE_NEVER_OPENED

const char *
courierstore_number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

const char *
courierstore_seconds(char buf[NUMBER_SIZE], struct span s)
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

int
courierstore_run(struct courierstore *s, const char *sql, int count, const char *const *values)
{
    return pg_run(s->conn, sql, count, values, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

void
courierstore_fini(struct courierstore *s)
{
    bytes_fini(&s->text);
    bytes_fini(&s->more);
}

const char *
courierstore_array(struct bytes *b, const int64_t *ids, size_t count)
{
    char text[NUMBER_SIZE];

    bytes_clear(b);
    bytes_text(b, "{");
    for (size_t i = 0; i < count; i++) {
        bytes_text(b, i ? "," : "");
        bytes_text(b, courierstore_number(text, ids[i]));
    }
    bytes_add(b, "}", 2);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

static const char *
away(struct courierstore *s)
{
    return courierstore_array(&s->text, s->away, s->away_count);
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
    return courierstore_run(s, "LISTEN plumbline_outbox", 0, NULL);
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
    const char *values[] = {hook, away(s), courierstore_number(limit, (int64_t)max),
                            courierstore_array(&s->more, problems, problem_count)};

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
    const char *values[] = {courierstore_array(&s->text, ids, count)};

    return !values[0]
               ? -ENOMEM
               : take(s,
                      /* Who sets rows back by hand locks many: whoever waited for one of them here,
                       * with others written in the same transaction, might be waited for. */
                      "WITH f AS (SELECT id FROM " OUTBOX " WHERE id = ANY ($1::bigint[]) "
                      "AND state = 'waiting' FOR UPDATE SKIP LOCKED), "
                      "o AS (UPDATE " OUTBOX " w SET tries = w.tries + 1, "
                      "last_try = clock_timestamp(), "
                      /* Who cannot write down what became of it does not send it for ever. */
                      "next_try = CASE WHEN w.tries < 10 THEN w.next_try "
                      "ELSE clock_timestamp() + interval '1 minute' END "
                      "FROM f WHERE w.id = f.id AND w.id = ANY ($1::bigint[]) RETURNING w.*) "
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
    const char *values[] = {hook, courierstore_seconds(wait, every),
                            courierstore_number(limit, (int64_t)max)};

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

    return !values[1] ? -ENOMEM : courierstore_run(s, heartbeat_sql, 3, values);
}

int
courierstore_expire(struct courierstore *s)
{
    return courierstore_run(
        s,
        "DELETE FROM " OUTBOX " WHERE ended_at < clock_timestamp() - CASE "
        "WHEN state = 'dead' THEN interval '90 days' "
        "WHEN action = 'heartbeat' THEN interval '1 day' ELSE interval '30 days' END",
        0, NULL);
}
