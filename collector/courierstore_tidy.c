/* courierstore_tidy.c - order in the house: what need not be said any more, heartbeats, what is
 * old.
 *
 * What need not be said is looked for where something is new: the store writes down of which hook
 * and problem (sql/0022-outbox.sql), so a target that is away for days, with all that waits for
 * it, costs nothing. */
#include <errno.h>
#include <inttypes.h>

#include "courierstore_parts.h"
#include "pg.h"

#define OUTBOX COURIERSTORE_OUTBOX
#define NEWS "plumbline_store.outbox_news"
#define NEWS_AT_ONCE 4000

/* A hook that is not in this collector's inventory may be in that of another, which was reloaded
 * before: so long its rows wait. */
#define UNKNOWN_FOR "interval '10 minutes'"

int
courierstore_all_is_news(struct courierstore *s)
{
    return courierstore_run(s,
                            "INSERT INTO " NEWS " (hook, problem) SELECT DISTINCT hook, problem "
                            "FROM " OUTBOX " WHERE state = 'waiting' AND problem IS NOT NULL",
                            0, NULL);
}

int
courierstore_has_news(struct courierstore *s, bool *any)
{
    PGresult *r = courierstore_ask(s, "SELECT EXISTS (SELECT FROM " NEWS ")", 0, NULL);

    if (!r) {
        return -EIO;
    }
    *any = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return 0;
}

/* --- What need not be said ------------------------------------------------ */

#define OF_PAIR(alias) alias ".hook = p.hook AND " alias ".problem = p.problem "
/* Rows by their numbers, and of each pair what is asked for by itself: whatever is thought of how
 * long the lists are. */
#define SUPERSEDE(why, ids)                                                                        \
    "UPDATE " OUTBOX " o SET state = 'superseded', ended_at = clock_timestamp(), "                 \
    "last_error = '" why "' WHERE o.state = 'waiting' AND o.id <> ALL ($1::bigint[]) "             \
    "AND o.id = ANY (ARRAY(SELECT n.id FROM unnest($2::text[], $3::bigint[]) AS p (hook, "         \
    "problem) CROSS JOIN LATERAL (" ids ") n))"

static const char *const superseded_sql[] = {
    SUPERSEDE("a later one says more",
              "SELECT m.id FROM (SELECT w.id, w.action, max(w.id) OVER () AS last, "
              "max(w.id) FILTER (WHERE w.action IN ('change', 'resolve')) OVER () AS said "
              "FROM " OUTBOX " w WHERE w.state = 'waiting' AND " OF_PAIR(
                  "w") ") m WHERE m.action IN ('change', 'remind') "
                       "AND (m.said > m.id OR (m.action = 'remind' AND m.last > m.id))"),
    /* One that was dead and was set back. */
    SUPERSEDE("a later one was delivered",
              "SELECT w.id FROM " OUTBOX " w WHERE w.state = 'waiting' AND " OF_PAIR(
                  "w") "AND w.id < (SELECT max(d.id) FROM " OUTBOX
                       " d WHERE d.state = 'done' AND " OF_PAIR("d") ") OFFSET 0"),
    SUPERSEDE(COURIERSTORE_NEVER_OPENED,
              "SELECT f.id FROM (SELECT w.id, w.action FROM " OUTBOX
              " w WHERE w.state = 'waiting' AND " OF_PAIR(
                  "w") "ORDER BY w.id LIMIT 1) f WHERE f.action = 'resolve' AND EXISTS (SELECT "
                       "FROM " OUTBOX
                       " d WHERE d.state = 'dead' AND d.action = 'open' AND " OF_PAIR(
                           "d") "AND d.id < f.id) AND coalesce((SELECT g.action FROM " OUTBOX
                                " g WHERE g.state = 'done' AND " OF_PAIR(
                                    "g") "AND g.id < f.id ORDER BY g.id DESC LIMIT 1), "
                                         "'resolve') = 'resolve' OFFSET 0"),
};

/* The oldest news, taken away: hooks and problems as two lists of as many; without rows: none. */
static PGresult *
take_news(struct courierstore *s)
{
    char limit[COURIERSTORE_NUMBER_SIZE];
    const char *values[] = {courierstore_number(limit, NEWS_AT_ONCE)};

    return courierstore_ask(
        s,
        "WITH gone AS (DELETE FROM " NEWS " WHERE number IN (SELECT number FROM " NEWS
        " ORDER BY number LIMIT $1::bigint) RETURNING hook, problem) "
        "SELECT array_agg(hook), array_agg(problem) FROM (SELECT DISTINCT hook, problem "
        "FROM gone) p HAVING count(*) > 0",
        1, values);
}

int
courierstore_supersede(struct courierstore *s, uint64_t *count)
{
    const char *values[3] = {courierstore_away(s)};
    PGresult *news = values[0] ? take_news(s) : NULL;
    int err = news ? 0 : values[0] ? -EIO : -ENOMEM;

    *count = 0;
    if (!err && PQntuples(news)) {
        values[1] = PQgetvalue(news, 0, 0);
        values[2] = PQgetvalue(news, 0, 1);
        for (size_t i = 0; !err && i < sizeof superseded_sql / sizeof superseded_sql[0]; i++) {
            int64_t n = pg_run(s->conn, superseded_sql[i], 3, values, s->why, sizeof s->why);
            err = n < 0 ? -EIO : 0;
            *count += n < 0 ? 0 : (uint64_t)n;
        }
    }
    PQclear(news);
    return err;
}

/* Hooks of which rows wait and which are not in the list, as a list; without rows: none. */
static PGresult *
ask_unknown(struct courierstore *s, const char *hooks)
{
    /* From hook to hook, not from row to row. */
    return courierstore_ask(
        s,
        "WITH RECURSIVE h (hook) AS (SELECT min(hook) FROM " OUTBOX " WHERE state = 'waiting' "
        "UNION ALL SELECT (SELECT min(o.hook) FROM " OUTBOX " o WHERE o.state = 'waiting' "
        "AND o.hook > h.hook) FROM h WHERE h.hook IS NOT NULL) "
        "SELECT array_agg(hook) FROM h WHERE hook <> ALL ($1::text[]) HAVING count(*) > 0",
        1, &hooks);
}

int
courierstore_unknown(struct courierstore *s, const char *const *hooks, size_t hook_count,
                     uint64_t *count)
{
    const char *known = courierstore_names(&s->more, hooks, hook_count);
    const char *values[2] = {courierstore_away(s)};
    PGresult *unknown = known && values[0] ? ask_unknown(s, known) : NULL;
    int64_t n = unknown ? 0 : -EIO;

    if (unknown && PQntuples(unknown)) {
        values[1] = PQgetvalue(unknown, 0, 0);
        n = pg_run(s->conn,
                   "UPDATE " OUTBOX " SET state = 'superseded', ended_at = clock_timestamp(), "
                   "last_error = 'its hook is not in the inventory' WHERE state = 'waiting' "
                   "AND id <> ALL ($1::bigint[]) AND hook = ANY ($2::text[]) "
                   "AND created_at < clock_timestamp() - " UNKNOWN_FOR,
                   2, values, s->why, sizeof s->why);
    }
    PQclear(unknown);
    *count = n < 0 ? 0 : (uint64_t)n;
    return n >= 0 ? 0 : known && values[0] ? -EIO : -ENOMEM;
}

/* --- Heartbeats, and what is old ------------------------------------------ */

static const char heartbeat_sql[] =
    "WITH old AS (UPDATE " OUTBOX " SET state = 'superseded', ended_at = clock_timestamp() "
    "WHERE hook = $1 AND problem IS NULL AND action = 'heartbeat' "
    "AND state IN ('waiting', 'dead') "
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
    "WHERE h.hook = $1 AND h.problem IS NULL AND h.action = 'heartbeat' AND h.state = 'waiting' "
    "AND h.id = ANY ($2::bigint[]))";

int
courierstore_heartbeat(struct courierstore *s, const char *hook, const char *collector)
{
    const char *values[] = {hook, courierstore_away(s), collector};

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
