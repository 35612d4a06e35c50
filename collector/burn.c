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

/* A line for each change, and one to begin with. */
static const char note_sql[] =
    "INSERT INTO plumbline_store.burn (service, number, at, period_start, used) "
    "SELECT n.service, n.number, n.judged_until, n.period_start, n.used FROM " RUNNING
    " n WHERE n.used IS DISTINCT FROM (SELECT b.used FROM plumbline_store.burn b "
    "WHERE (b.service, b.number) = (n.service, n.number) ORDER BY b.at DESC LIMIT 1) "
    "ON CONFLICT (service, number, at) DO UPDATE SET used = excluded.used";

/* The newest line of those before the longest 'over' is what was spent then. */
static const char prune_sql[] =
    "DELETE FROM plumbline_store.burn b USING plumbline_store.burn later, " RUNNING
    " n WHERE (later.service, later.number) = (b.service, b.number) AND later.at > b.at "
    "AND (n.service, n.number) = (b.service, b.number) "
    "AND later.at <= n.judged_until - make_interval(secs => $1::bigint)";

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

/* Still over: looked at until now, by the objective that is the fastest now. */
static const char keep_sql[] =
    BURNT " UPDATE plumbline_store.alarm a SET decided = b.judged_until, details = b.details || "
          "jsonb_build_object('value', a.details->'value', 'worst', greatest(b.milli, "
          "(a.details->>'worst')::bigint)) FROM burnt b WHERE a.rule = $1 AND a.metric = 'budget' "
          "AND a.scope = 'service' AND a.object = b.service AND a.cleared IS NULL "
          "AND b.milli > $4::bigint AND b.judged_until > a.decided";

/* Over again soon after it cleared: the same episode. */
static const char again_sql[] = BURNT
    ", changed AS (UPDATE plumbline_store.alarm a SET cleared = NULL, ended = NULL, "
    "flaps = a.flaps + 1, severity = $5, decided = b.judged_until, changed_at = clock_timestamp(), "
    "details = b.details || jsonb_build_object('worst', greatest(b.milli, "
    "(a.details->>'worst')::bigint)) FROM burnt b WHERE b.milli > $4::bigint "
    "AND a.id = (SELECT o.id FROM plumbline_store.alarm o WHERE o.rule = $1 "
    "AND o.metric = 'budget' AND o.scope = 'service' AND o.object = b.service "
    "ORDER BY o.cleared DESC NULLS FIRST, o.id DESC LIMIT 1) "
    "AND a.cleared >= b.judged_until - make_interval(secs => $6::bigint) RETURNING a.id)" NEWS;

static const char raise_sql[] = BURNT
    ", changed AS (INSERT INTO plumbline_store.alarm (rule, metric, severity, scope, object, "
    "began, raised, decided, details) SELECT $1, 'budget', $5, 'service', b.service, b.began, "
    "b.judged_until, b.judged_until, b.details FROM burnt b WHERE b.milli > $4::bigint "
    "AND NOT EXISTS (SELECT FROM plumbline_store.alarm o WHERE o.rule = $1 "
    "AND o.scope = 'service' AND o.object = b.service AND o.cleared IS NULL) "
    "RETURNING id)" NEWS;

/* Long enough not over any more; longer if it flaps, as the watch has it. */
static const char clear_sql[] =
    "WITH changed AS (UPDATE plumbline_store.alarm a SET cleared = n.judged_until, "
    "ended = a.decided, changed_at = clock_timestamp() FROM (SELECT service, "
    "max(judged_until) AS judged_until FROM " RUNNING " x GROUP BY service) n "
    "WHERE a.rule = $1 AND a.metric = 'budget' AND a.scope = 'service' "
    "AND a.object = n.service AND a.cleared IS NULL AND n.judged_until >= a.decided + "
    "make_interval(secs => greatest($2::bigint, least(900, $2::bigint * 2 ^ least(a.flaps, 5)))) "
    "RETURNING a.id)" NEWS;

/* Alarms of rules that are in force no more ($1 are), and of services that promise nothing now. */
static const char orphans_sql[] =
    "WITH changed AS (UPDATE plumbline_store.alarm a SET cleared = greatest($2::timestamptz, "
    "a.raised), ended = a.decided, changed_at = clock_timestamp() WHERE a.metric = 'budget' "
    "AND a.scope = 'service' AND a.cleared IS NULL AND (a.rule <> ALL ($1::text[]) OR NOT EXISTS "
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

    err = err ? err : run(r, keep_sql, 4, values);
    err = err ? err : run(r, again_sql, 6, values);
    err = err ? err : run(r, raise_sql, 5, values);
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

static int
hold_all(struct round *r, const struct inv_alarm **rules, size_t count, struct span hold,
         struct instant now)
{
    char most[NUMBER_SIZE];
    struct bytes keys = {0};
    int64_t over_s = 0;
    int err = run(r, forget_sql, 0, NULL);

    err = err ? err : run(r, note_sql, 0, NULL);
    for (size_t i = 0; i < count && !err; i++) {
        if (rules[i]->metric.kind != INV_BUDGET) {
            continue;
        }
        array_add(&keys, rules[i]->key);
        over_s = rules[i]->over.ns / NS_PER_S > over_s ? rules[i]->over.ns / NS_PER_S : over_s;
        err = hold_against(r, rules[i], hold);
    }
    const char *values[] = {number(most, over_s)};
    err = err ? err : clear_orphans(r, &keys, now);
    err = err ? err : run(r, prune_sql, 1, values);
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
