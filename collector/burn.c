/* burn.c - what was spent is noted; rules are held against it. */
#include "burn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "inventory_sold.h"
#include "pg.h"

#define NUMBER_SIZE 24
#define TIMESTAMP_SIZE 48
/* Of the shortest rule: finer than that its window need not be. */
#define LINES_A_WINDOW 20

struct round {
    PGconn *conn;
    char *why;
    size_t why_size;
};

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

static int
run(struct round *r, const char *sql, int count, const char *const *values)
{
    return pg_run(r->conn, sql, count, values, r->why, r->why_size) < 0 ? -EIO : 0;
}

/* --- What was spent --------------------------------------------------------- */

#define RUNNING                                                                                    \
    "(SELECT s.service, s.number, p.period_start, p.judged_until, s.used FROM "                    \
    "(SELECT DISTINCT ON (q.service) q.* FROM plumbline_store.judged_period q "                    \
    "WHERE q.revision IS NULL ORDER BY q.service, q.period_start DESC) p "                         \
    "JOIN plumbline_store.objective_state s USING (service, period_start))"

/* Another period begins with nothing spent.  Where less is spent than was, because something was
 * excluded, lines that say more are wrong. */
static const char forget_sql[] =
    "DELETE FROM plumbline_store.burn b WHERE NOT EXISTS (SELECT FROM " RUNNING
    " n WHERE (n.service, n.number, n.period_start) = (b.service, b.number, b.period_start) "
    "AND n.used >= b.used)";

/* A line to begin with, and then one for each change, $1 ms apart at least: what is spent now is in
 * the state itself. */
static const char note_sql[] =
    "INSERT INTO plumbline_store.burn (service, number, at, period_start, used) "
    "SELECT n.service, n.number, n.judged_until, n.period_start, n.used FROM " RUNNING
    " n LEFT JOIN (SELECT service, number, max(at) AS at, max(used) AS used "
    "FROM plumbline_store.burn GROUP BY service, number) l USING (service, number) "
    "WHERE l.at IS NULL OR (n.used > l.used AND "
    "l.at <= n.judged_until - make_interval(secs => $1::bigint / 1000.0)) "
    "ON CONFLICT (service, number, at) DO UPDATE SET used = excluded.used";

/* The newest line of those before the longest 'over' is what was spent then. */
static const char prune_sql[] =
    "DELETE FROM plumbline_store.burn b USING (SELECT service, number, at, lead(at) OVER "
    "(PARTITION BY service, number ORDER BY at) AS later FROM plumbline_store.burn) l, "
    "(SELECT service, max(judged_until) AS judged_until FROM plumbline_store.judged_period "
    "WHERE revision IS NULL GROUP BY service) p WHERE (l.service, l.number, l.at) = "
    "(b.service, b.number, b.at) AND p.service = b.service "
    "AND l.later <= p.judged_until - make_interval(secs => $1::bigint)";

/* --- Rules ------------------------------------------------------------------ */

/* What each service has burnt within $2 seconds, by its fastest objective of classes $3 (NULL: of
 * all), and 'news' of what is returned by the statement before it. */
#define BURNT                                                                                      \
    "WITH burnt AS MATERIALIZED (SELECT DISTINCT ON (service) *, "                                 \
    "jsonb_build_object('value', milli, 'worst', milli, 'limit', $4::bigint, 'unit', "             \
    "'milli_percent', 'objective', jsonb_build_object('class', class, 'metric', metric, "          \
    "'direction', direction, 'spent', spent, 'budget', budget)) AS details "                       \
    "FROM plumbline_store.burnt(make_interval(secs => $2::bigint)) "                               \
    "WHERE $3::text[] IS NULL OR class = ANY ($3::text[]) ORDER BY service, milli DESC, number)"
#define NEWS " INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM changed"

/* One look: what is still over was looked at until now; what is over again soon after it cleared
 * is the same episode; the rest that is over is raised. */
static const char raise_sql[] = BURNT
    ", broken AS (SELECT * FROM burnt WHERE milli > $4::bigint), "
    "kept AS (UPDATE plumbline_store.alarm a SET decided = b.judged_until, details = b.details || "
    "jsonb_build_object('value', a.details->'value', 'worst', greatest(b.milli, "
    "(a.details->>'worst')::bigint)) FROM broken b WHERE a.rule = $1 AND a.metric = 'budget' "
    "AND a.scope = 'service' AND a.object = b.service AND a.cleared IS NULL "
    "AND b.judged_until > a.decided), "
    "again AS (UPDATE plumbline_store.alarm a SET cleared = NULL, ended = NULL, "
    "flaps = a.flaps + 1, severity = $5, decided = b.judged_until, changed_at = clock_timestamp(), "
    "details = b.details || jsonb_build_object('worst', greatest(b.milli, "
    "(a.details->>'worst')::bigint)) FROM broken b "
    "WHERE a.id = (SELECT o.id FROM plumbline_store.alarm o WHERE o.rule = $1 "
    "AND o.metric = 'budget' AND o.scope = 'service' AND o.object = b.service "
    "ORDER BY o.cleared DESC NULLS FIRST, o.id DESC LIMIT 1) "
    "AND a.cleared >= b.judged_until - make_interval(secs => $6::bigint) "
    "RETURNING a.id, a.object), "
    "raised AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, "
    "began, raised, decided, details) SELECT $1, 'budget', $5, 'service', b.service, b.began, "
    "b.judged_until, b.judged_until, b.details FROM broken b "
    "WHERE NOT EXISTS (SELECT FROM again g WHERE g.object = b.service) "
    "AND NOT EXISTS (SELECT FROM plumbline_store.alarm o WHERE o.rule = $1 "
    "AND o.scope = 'service' AND o.object = b.service AND o.cleared IS NULL) "
    "RETURNING id), "
    "changed AS (SELECT id FROM again UNION ALL SELECT id FROM raised)" NEWS;

/* Long enough not over any more; longer if it flaps, as the watch has it. */
static const char clear_sql[] =
    "WITH changed AS (UPDATE plumbline_store.alarm a SET cleared = n.judged_until, "
    "ended = a.decided, changed_at = clock_timestamp() FROM (SELECT service, "
    "max(judged_until) AS judged_until FROM plumbline_store.judged_period WHERE revision IS NULL "
    "GROUP BY service) n "
    "WHERE a.rule = $1 AND a.metric = 'budget' AND a.scope = 'service' "
    "AND a.object = n.service AND a.cleared IS NULL AND n.judged_until >= a.decided + "
    "make_interval(secs => greatest($2::bigint, least(900, $2::bigint * 2 ^ least(a.flaps, 5)))) "
    "RETURNING a.id)" NEWS;

/* Alarms of rules that are in force no more ($1 are), and of services that promise nothing now. */
static const char orphans_sql[] =
    "WITH changed AS (UPDATE plumbline_store.alarm a SET cleared = greatest($2::timestamptz, "
    "a.raised), ended = a.decided, changed_at = clock_timestamp(), details = a.details || "
    "jsonb_build_object('gone', true, 'text', CASE WHEN a.rule <> ALL ($1::text[]) THEN "
    "'the rule is in force no more' ELSE 'the service promises nothing now' END) "
    "WHERE a.metric = 'budget' AND a.scope = 'service' AND a.cleared IS NULL AND (a.rule <> ALL "
    "($1::text[]) OR NOT EXISTS "
    "(SELECT FROM " RUNNING " n WHERE n.service = a.object)) RETURNING a.id)" NEWS;

static const char *const severities[INV_SEVERITIES] = {[INV_CRITICAL] = "critical",
                                                       [INV_MAJOR] = "major",
                                                       [INV_MINOR] = "minor",
                                                       [INV_WARNING] = "warning",
                                                       [INV_INFO] = "info"};

/* {"a","b"}: keys have no quotes in them. */
static void
array_add(struct bytes *b, const char *key)
{
    bytes_text(b, b->size ? ",\"" : "{\"");
    bytes_text(b, key);
    bytes_text(b, "\"");
}

static const char *
array_end(struct bytes *b)
{
    bytes_text(b, b->size ? "}" : "{}");
    bytes_add(b, "", 1);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

static int
hold_against(struct round *r, const struct inv_alarm *rule, struct span hold)
{
    char over[NUMBER_SIZE], raise[NUMBER_SIZE], clear[NUMBER_SIZE], again[NUMBER_SIZE];
    struct bytes classes = {0};

    for (size_t i = 0; i < rule->class_count; i++) {
        array_add(&classes, rule->classes[i]->key);
    }
    const char *list = rule->class_count ? array_end(&classes) : NULL;
    const char *values[] = {rule->key,
                            number(over, rule->over.ns / NS_PER_S),
                            list,
                            number(raise, (int64_t)rule->raise),
                            severities[rule->severity],
                            number(again, hold.ns / NS_PER_S)};
    const char *clears[] = {rule->key, number(clear, rule->clear.ns / NS_PER_S)};
    int err = rule->class_count && !list ? -ENOMEM : 0;

    err = err ? err : run(r, raise_sql, 6, values);
    err = err ? err : run(r, clear_sql, 2, clears);
    bytes_fini(&classes);
    return err;
}

/* --- A round ---------------------------------------------------------------- */

static int
clear_orphans(struct round *r, struct bytes *keys, struct instant now)
{
    const time_t seconds = (time_t)(now.ns / NS_PER_S);
    char at[TIMESTAMP_SIZE];
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S+00", &utc);
    const char *values[] = {array_end(keys), at};
    return values[0] ? run(r, orphans_sql, 2, values) : -ENOMEM;
}

/* The shortest and the longest 'over' of rules on budgets, ns; whether there are any. */
static bool
overs(const struct inv_alarm **rules, size_t count, int64_t *least, int64_t *most)
{
    *least = INT64_MAX;
    *most = 0;
    for (size_t i = 0; i < count; i++) {
        if (rules[i]->metric.kind == INV_BUDGET) {
            int64_t ns = rules[i]->over.ns;
            *least = ns < *least ? ns : *least;
            *most = ns > *most ? ns : *most;
        }
    }
    return *most > 0;
}

static int
note_spent(struct round *r, int64_t least_ns, int64_t most_ns)
{
    char apart[NUMBER_SIZE], most[NUMBER_SIZE];
    const char *notes[] = {number(apart, least_ns / LINES_A_WINDOW / NS_PER_MS)};
    const char *prunes[] = {number(most, most_ns / NS_PER_S)};
    int err = run(r, forget_sql, 0, NULL);

    err = err ? err : run(r, note_sql, 1, notes);
    return err ? err : run(r, prune_sql, 1, prunes);
}

static int
hold_all(struct round *r, const struct inv_alarm **rules, size_t count, struct span hold,
         struct instant now)
{
    struct bytes keys = {0};
    int64_t least, most;
    int err = overs(rules, count, &least, &most) ? note_spent(r, least, most) : 0;

    for (size_t i = 0; i < count && !err; i++) {
        if (rules[i]->metric.kind == INV_BUDGET) {
            array_add(&keys, rules[i]->key);
            err = hold_against(r, rules[i], hold);
        }
    }
    err = err ? err : clear_orphans(r, &keys, now);
    bytes_fini(&keys);
    return err;
}

int
burn_round(PGconn *conn, const struct inventory *inv, struct span hold, struct instant now,
           char *why, size_t why_size)
{
    struct round r = {conn, why, why_size};
    size_t count;
    const struct inv_alarm **rules = inventory_alarms_in_force(inv, &count);
    int err = rules ? run(&r, "BEGIN", 0, NULL) : -ENOMEM;

    if (!err) {
        err = hold_all(&r, rules, count, hold, now);
        err = err ? err : run(&r, "COMMIT", 0, NULL);
        if (err) {
            PQclear(PQexec(conn, "ROLLBACK"));
        }
    }
    free(rules);
    return err;
}
