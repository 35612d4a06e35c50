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

PGresult *
courierstore_ask(struct courierstore *s, const char *sql, int count, const char *const *values)
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

const char *
courierstore_away(struct courierstore *s)
{
    return courierstore_array(&s->text, s->away, s->away_count);
}

const char *
courierstore_names(struct bytes *b, const char *const *keys, size_t count)
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
courierstore_states(struct courierstore *s, courierstore_state_fn *fn, void *aux)
{
    PGresult *r = courierstore_ask(
        s,
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

/* Each by the first row of an index, however many wait. */
static const char due_sql[] =
    "SELECT k.hook, coalesce(w.due, false), w.test, coalesce(w.newest > h.last_error_at, false) "
    "FROM unnest($1::text[]) AS k (hook) LEFT JOIN plumbline_store.hook_state h USING (hook) "
    "CROSS JOIN LATERAL (SELECT (SELECT true FROM " OUTBOX " o WHERE o.state = 'waiting' "
    "AND o.hook = k.hook AND o.next_try <= clock_timestamp() ORDER BY o.created_at, o.id LIMIT 1) "
    "AS due, "
    "EXISTS (SELECT FROM " OUTBOX " o WHERE o.state = 'waiting' AND o.hook = k.hook "
    "AND o.problem IS NULL AND o.action = 'test' AND o.tries = 0) AS test, "
    "(SELECT o.created_at FROM " OUTBOX " o WHERE o.state = 'waiting' AND o.hook = k.hook "
    "AND o.action IN ('open', 'change', 'resolve') ORDER BY o.created_at DESC, o.id DESC LIMIT 1) "
    "AS newest "
    "OFFSET 0) w";

int
courierstore_due(struct courierstore *s, const char *const *hooks, size_t hook_count,
                 courierstore_due_fn *fn, void *aux)
{
    const char *values[] = {courierstore_names(&s->more, hooks, hook_count)};
    PGresult *r = values[0] ? courierstore_ask(s, due_sql, 1, values) : NULL;

    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct courierstore_due due = {.hook = PQgetvalue(r, i, 0),
                                             .due = cell_is(r, i, 1),
                                             .test = cell_is(r, i, 2),
                                             .fresh = cell_is(r, i, 3)};
        fn(&due, aux);
    }
    PQclear(r);
    return r ? 0 : values[0] ? -EIO : -ENOMEM;
}

int
courierstore_loads(struct courierstore *s, courierstore_load_fn *fn, void *aux)
{
    PGresult *r =
        courierstore_ask(s,
                         "SELECT hook, sum(waiting), sum(dead), "
                         "coalesce(extract(epoch FROM clock_timestamp() - min(oldest)), 0) FROM ("
                         "SELECT hook, count(*) AS waiting, 0 AS dead, min(created_at) AS oldest "
                         "FROM " OUTBOX " WHERE state = 'waiting' GROUP BY hook UNION ALL "
                         "SELECT hook, 0, count(*) FILTER (WHERE problem IS NOT NULL), NULL "
                         "FROM " OUTBOX " WHERE state = 'dead' GROUP BY hook) o GROUP BY hook",
                         0, NULL);

    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct courierstore_load load = {.hook = PQgetvalue(r, i, 0),
                                               .waiting = (uint64_t)cell_number(r, i, 1),
                                               .dead = (uint64_t)cell_number(r, i, 2),
                                               .oldest = cell_span(r, i, 3)};
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
    const char *values[] = {hook, courierstore_away(s), courierstore_number(limit, (int64_t)max),
                            courierstore_array(&s->more, problems, problem_count)};

    *count = 0;
    if (!values[1] || !values[3]) {
        return -ENOMEM;
    }
    /* Oldest first, until there are enough; what is before each is asked for by itself.  Not by
     * "there is none before it": of a table that has just grown the planner knows nothing, and
     * compares each with each.  CASE: that few are first it must not guess, or it sorts them all.
     */
    PGresult *r = courierstore_ask(
        s,
        "SELECT o.id FROM " OUTBOX " o WHERE o.state = 'waiting' AND o.hook = $1 "
        "AND o.next_try <= clock_timestamp() AND o.id <> ALL ($2::bigint[]) "
        "AND CASE WHEN o.problem IS NULL THEN true ELSE o.problem <> ALL ($4::bigint[]) "
        "AND o.id = (SELECT p.id FROM " OUTBOX " p WHERE p.state = 'waiting' "
        "AND p.hook = o.hook AND p.problem = o.problem ORDER BY p.id LIMIT 1) END "
        "ORDER BY o.created_at, o.id LIMIT $3::bigint",
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
    PGresult *r = courierstore_ask(s, sql, count, values);

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
