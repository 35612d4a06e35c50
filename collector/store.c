/* store.c - claims and commits. */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copy.h"
#include "log.h"
#include "pg.h"
#include "rollwrite.h"

#define NUMBER_SIZE 24
#define DAYS_KNOWN 64

/* A worker is dead to the others after so long a silence. */
/* Told each second.  One that only stood still keeps its locks, so the others gain
 * nothing by this but what is free. */
#define HEARTBEAT_EXPIRY "5 seconds"

struct store {
    PGconn *conn;
    struct rollwrite *rollwrite;
    int64_t run;
    char name[128];
    char why[512];
    int64_t days[DAYS_KNOWN]; /* Whose partitions are there. */
    unsigned day_count, day_next;
};

/* --- Connection ----------------------------------------------------------- */

struct store *
store_open(const struct config_postgresql *config, const char *collector, char *why,
           size_t why_size)
{
    const struct pg_options options = {.application = "plumbline-collector",
                                       .role = "plumbline_writer",
                                       .connect_timeout_s = 5,
                                       .statement_timeout_ms = 60000};
    struct store *s = calloc(1, sizeof *s);
    uint64_t random;

    if (!s || getrandom(&random, sizeof random, 0) != sizeof random) {
        snprintf(why, why_size, "no memory or no random numbers");
        free(s);
        return NULL;
    }
    s->run = (int64_t)(random >> 1 | 1);
    snprintf(s->name, sizeof s->name, "%s", collector);
    s->rollwrite = rollwrite_new();
    if (!s->rollwrite) {
        snprintf(why, why_size, "no memory");
        free(s);
        return NULL;
    }
    s->conn = pg_connect(config, &options, why, why_size);
    if (!s->conn) {
        rollwrite_free(s->rollwrite);
        free(s);
        return NULL;
    }
    return s;
}

void
store_close(struct store *s)
{
    if (s) {
        PQfinish(s->conn);
        rollwrite_free(s->rollwrite);
        free(s);
    }
}

int64_t
store_run(const struct store *s)
{
    return s->run;
}

const char *
store_why(const struct store *s)
{
    return s->why;
}

void *
store_connection(struct store *s)
{
    return s->conn;
}

static int64_t
run(struct store *s, const char *sql, int count, const char *const *values)
{
    return pg_run(s->conn, sql, count, values, s->why, sizeof s->why);
}

/* A result with rows, or NULL. */
static PGresult *
ask(struct store *s, const char *sql, int count, const char *const *values)
{
    return pg_rows(s->conn, sql, count, values, false, s->why, sizeof s->why);
}

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* --- Claims --------------------------------------------------------------- */

int
store_heartbeat(struct store *s, size_t sources, unsigned *workers)
{
    char run_text[NUMBER_SIZE], held[NUMBER_SIZE];
    const char *values[] = {number(run_text, s->run), s->name, number(held, (int64_t)sources)};
    PGresult *r;

    if (run(s,
            "INSERT INTO plumbline_store.collector_heartbeat (run, name, sources) "
            "VALUES ($1, $2, $3) "
            "ON CONFLICT (run) DO UPDATE SET sources = EXCLUDED.sources, seen = now()",
            3, values) < 0) {
        return -EIO;
    }
    if (run(s,
            "DELETE FROM plumbline_store.collector_heartbeat "
            "WHERE seen < now() - interval '1 hour'",
            0, NULL) < 0) {
        return -EIO;
    }
    r = ask(s,
            "SELECT count(*) FROM plumbline_store.collector_heartbeat "
            "WHERE seen > now() - interval '" HEARTBEAT_EXPIRY "'",
            0, NULL);
    if (!r) {
        return -EIO;
    }
    *workers = (unsigned)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return 0;
}

void
store_leave(struct store *s)
{
    char run_text[NUMBER_SIZE];
    const char *values[] = {number(run_text, s->run)};

    /* If it fails it expires. */
    (void)run(s, "DELETE FROM plumbline_store.collector_heartbeat WHERE run = $1", 1, values);
}

static int
read_claim(struct store *s, const char *source, int64_t id, struct store_claim *out)
{
    char id_text[NUMBER_SIZE], run_text[NUMBER_SIZE];
    const char *insert[] = {number(id_text, id), source};
    const char *values[] = {id_text, number(run_text, s->run), s->name, source};

    if (run(s,
            "INSERT INTO plumbline_store.source_position (source_id, source) VALUES ($1, $2) "
            "ON CONFLICT (source_id) DO NOTHING",
            2, insert) < 0) {
        return -EIO;
    }
    PGresult *r = ask(s,
                      "UPDATE plumbline_store.source_position "
                      "SET owner_run = $2, owner = $3, claimed_at = now() "
                      "WHERE source_id = $1 AND source = $4 "
                      "RETURNING epoch, sequence, "
                      "coalesce(extract(epoch FROM written_until)::bigint, 0), closed",
                      4, values);
    if (!r) {
        return -EIO;
    }
    if (PQntuples(r) != 1) {
        snprintf(s->why, sizeof s->why, "source_id %" PRId64 " is already another source's", id);
        PQclear(r);
        return -EIO;
    }
    *out = (struct store_claim){
        .position = {strtoull(PQgetvalue(r, 0, 0), NULL, 10),
                     strtoull(PQgetvalue(r, 0, 1), NULL, 10)},
        .written_until = instant_of_ns(strtoll(PQgetvalue(r, 0, 2), NULL, 10) * NS_PER_S),
        .closed = PQgetvalue(r, 0, 3)[0] == 't',
    };
    PQclear(r);
    return 1;
}

int
store_claim(struct store *s, const char *source, struct store_claim *out)
{
    int64_t id = source_id_of(source);
    char id_text[NUMBER_SIZE];
    const char *values[] = {number(id_text, id)};
    PGresult *r = ask(s, "SELECT pg_try_advisory_lock($1)", 1, values);
    if (!r) {
        return -EIO;
    }
    bool locked = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return locked ? read_claim(s, source, id, out) : 0;
}

int
store_sessions(struct store *s, int64_t source_id, store_session_fn *fn, void *aux)
{
    char id_text[NUMBER_SIZE];
    const char *values[] = {number(id_text, source_id)};
    PGresult *r = PQexecParams(s->conn,
                               "SELECT entry FROM plumbline_store.session WHERE source_id = $1 "
                               "ORDER BY session_id",
                               1, NULL, values, NULL, NULL, 1);
    int err = 0;

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        err = -EIO;
    }
    for (int i = 0; !err && i < PQntuples(r); i++) {
        struct session_key key;
        pb_session *entry = plumbline__telemetry__session__unpack(
            NULL, (size_t)PQgetlength(r, i, 0), (const uint8_t *)PQgetvalue(r, i, 0));
        if (entry && telemetry_session_key(entry, &key)) {
            err = fn(&key, aux);
        }
        if (entry) {
            plumbline__telemetry__session__free_unpacked(entry, NULL);
        }
    }
    PQclear(r);
    return err;
}

int
store_release(struct store *s, int64_t source_id)
{
    char id_text[NUMBER_SIZE], run_text[NUMBER_SIZE];
    const char *values[] = {number(id_text, source_id), number(run_text, s->run)};

    if (run(s,
            "UPDATE plumbline_store.source_position SET owner_run = NULL, owner = NULL "
            "WHERE source_id = $1 AND owner_run = $2",
            2, values) < 0) {
        return -EIO;
    }
    return run(s, "SELECT pg_advisory_unlock($1)", 1, values) < 0 ? -EIO : 0;
}

int
store_owned(struct store *s, store_owned_fn *fn, void *aux)
{
    char run_text[NUMBER_SIZE];
    const char *values[] = {number(run_text, s->run)};
    PGresult *r = ask(
        s, "SELECT source_id FROM plumbline_store.source_position WHERE owner_run = $1", 1, values);
    if (!r) {
        return -EIO;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        fn(strtoll(PQgetvalue(r, i, 0), NULL, 10), aux);
    }
    PQclear(r);
    return 0;
}

int
store_quarantine(struct store *s, const char *source, struct position p, const char *verdict,
                 const void *bytes, size_t size)
{
    char id[NUMBER_SIZE], epoch[NUMBER_SIZE], sequence[NUMBER_SIZE];
    const char *values[] = {number(id, source_id_of(source)),
                            number(epoch, (int64_t)p.epoch),
                            number(sequence, (int64_t)p.sequence),
                            source,
                            verdict,
                            bytes};
    const int lengths[] = {0, 0, 0, 0, 0, (int)size};
    const int formats[] = {0, 0, 0, 0, 0, 1};
    PGresult *r = PQexecParams(s->conn,
                               "INSERT INTO plumbline_store.quarantine (source_id, epoch, "
                               "sequence, source, verdict, bytes) "
                               "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                               6, NULL, values, lengths, formats, 0);
    int kept;

    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        kept = -EIO;
    } else {
        kept = strcmp(PQcmdTuples(r), "1") == 0;
    }
    PQclear(r);
    return kept;
}

int
store_expire(struct store *s, struct span expiry)
{
    char seconds[NUMBER_SIZE];
    const char *values[] = {number(seconds, expiry.ns / NS_PER_S)};

    return (int)run(
        s,
        "UPDATE plumbline_store.source_position SET closed = true "
        "WHERE NOT closed AND (committed_at < now() - make_interval(secs => $1::bigint) "
        "OR (committed_at IS NULL AND EXISTS (SELECT FROM plumbline_store.far_pending p "
        "WHERE p.far_source_id = source_position.source_id "
        "AND p.until < now() - make_interval(secs => $1::bigint))))",
        1, values);
}

/* --- Partitions ----------------------------------------------------------- */

static bool
day_known(const struct store *s, int64_t day)
{
    for (unsigned i = 0; i < s->day_count; i++) {
        if (s->days[i] == day) {
            return true;
        }
    }
    return false;
}

static void
day_learn(struct store *s, int64_t day)
{
    if (!day_known(s, day)) {
        s->days[s->day_next++ % DAYS_KNOWN] = day;
        s->day_count += s->day_count < DAYS_KNOWN;
    }
}

static int
day_make(struct store *s, int64_t day)
{
    char text[NUMBER_SIZE];
    const char *values[] = {number(text, day)};

    return run(s, "SELECT plumbline_store.make_day(date '1970-01-01' + $1::integer)", 1, values) < 0
               ? -EIO
               : 0;
}

/* Merges what 'plan' says; partitions of days that an earlier release made lack the
 * new tables'. */
static int
carry_out(struct store *s, int64_t source_id, const struct rollup_plan *plan, uint64_t *written)
{
    int err = 0;

    for (size_t i = 0; i < plan->quarter_count && !err; i++) {
        int64_t day = plan->quarters_s[i] / ROLLUP_DAY_S;
        bool same = i && plan->quarters_s[i - 1] / ROLLUP_DAY_S == day;
        err = same || day_known(s, day) ? 0 : day_make(s, day);
    }
    err = err ? err
              : rollwrite_carry_out(s->rollwrite, s->conn, source_id, plan, written, s->why,
                                    sizeof s->why);
    if (err == -ENOMEM) {
        snprintf(s->why, sizeof s->why, "no memory to merge rows in");
    }
    return err;
}

int
store_days(struct store *s, struct instant now)
{
    int64_t today = now.ns / (86400 * NS_PER_S);

    for (int64_t day = today; day <= today + 1; day++) {
        if (day_known(s, day)) {
            continue;
        }
        if (day_make(s, day)) {
            return -EIO;
        }
        day_learn(s, day);
    }
    return 0;
}

/* --- Commit --------------------------------------------------------------- */

/* 1: it is still ours, and the row is locked until the commit.  '*rolled_s' is how far
 * the source is merged. */
static int
fence(struct store *s, const struct store_write *w, int64_t *rolled_s)
{
    char id[NUMBER_SIZE], old_e[NUMBER_SIZE], old_s[NUMBER_SIZE], run_text[NUMBER_SIZE];
    char new_e[NUMBER_SIZE], new_s[NUMBER_SIZE], until[NUMBER_SIZE];
    const char *values[] = {number(id, w->source_id),
                            number(old_e, (int64_t)w->old.epoch),
                            number(old_s, (int64_t)w->old.sequence),
                            number(run_text, s->run),
                            number(new_e, (int64_t)w->safe.epoch),
                            number(new_s, (int64_t)w->safe.sequence),
                            w->written_until.ns ? number(until, w->written_until.ns / NS_PER_S)
                                                : NULL,
                            w->release};
    PGresult *r = ask(s,
                      "UPDATE plumbline_store.source_position SET epoch = $5, sequence = $6, "
                      "written_until = to_timestamp($7::bigint), release = coalesce($8, release), "
                      "committed_at = now(), closed = false "
                      "WHERE source_id = $1 AND epoch = $2 AND sequence = $3 AND owner_run = $4 "
                      "RETURNING coalesce(extract(epoch FROM rolled_until)::bigint, 0)",
                      8, values);
    if (!r) {
        return -EIO;
    }
    int held = PQntuples(r) == 1;
    *rolled_s = held ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    PQclear(r);
    return held;
}

static int
copy_in(struct store *s, const char *sql, const struct bytes *stream)
{
    return pg_copy(s->conn, sql, stream->at, stream->size, s->why, sizeof s->why);
}

/* Text arrays of PostgreSQL, "{a,b}", one a column. */
struct column {
    struct bytes text;
};

static void
column_next(struct column *c)
{
    bytes_text(&c->text, c->text.size ? "," : "{");
}

static void
column_number(struct column *c, int64_t v)
{
    char text[NUMBER_SIZE];

    column_next(c);
    bytes_text(&c->text, number(text, v));
}

/* Keys of the inventory hold nothing that must be escaped. */
static void
column_text(struct column *c, const char *v)
{
    column_next(c);
    bytes_text(&c->text, "\"");
    bytes_text(&c->text, v);
    bytes_text(&c->text, "\"");
}

static void
column_hex(struct column *c, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    column_next(c);
    uint8_t *to = bytes_grow(&c->text, size * 2);
    for (size_t i = 0; to && i < size; i++) {
        to[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
}

static const char *
column_end(struct column *c)
{
    bytes_text(&c->text, c->text.size ? "}" : "{}");
    bytes_add(&c->text, "", 1);
    return bytes_ok(&c->text) ? (const char *)c->text.at : NULL;
}

/* Ends 'count' columns and runs 'sql' with them; $1 is 'first'. */
static int64_t
run_columns(struct store *s, const char *sql, const char *first, struct column *columns, int count)
{
    const char *values[16] = {first};

    for (int i = 0; i < count; i++) {
        values[i + 1] = column_end(&columns[i]);
        if (!values[i + 1]) {
            snprintf(s->why, sizeof s->why, "out of memory");
            return -ENOMEM;
        }
    }
    return run(s, sql, count + 1, values);
}

static void
columns_fini(struct column *columns, int count)
{
    for (int i = 0; i < count; i++) {
        bytes_fini(&columns[i].text);
    }
}

static int
write_series(struct store *s, const struct store_write *w)
{
    enum { ID, OBJECT, OBSERVER, DIRECTION, CLASS, FLOW, FAMILY, PROTOCOL, END, COLUMNS };
    struct column c[COLUMNS] = {0};

    for (const struct assemble_session *a = w->sessions; a; a = a->next) {
        int first = a->key.rt_only ? DIR_RT : 0;
        for (int d = first; d < DIRECTIONS && assemble_session_due(a, w->safe); d++) {
            column_number(&c[ID], a->series[d]);
            column_text(&c[OBJECT], a->key.object);
            column_text(&c[OBSERVER], a->key.observer);
            column_text(&c[DIRECTION], direction_name((enum direction)d));
            column_text(&c[CLASS], a->key.class_name);
            column_number(&c[FLOW], a->key.flow);
            column_number(&c[FAMILY], a->key.family);
            column_text(&c[PROTOCOL], a->key.protocol);
            column_number(&c[END], a->key.observer_end);
        }
    }
    /* A link whose ends were changed about has the same series with another end.  The same
     * identifier under another key is a collision: an error, which rolls everything back. */
    int64_t n = run_columns(
        s,
        "WITH new AS (SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], "
        "$6::text[], $7::integer[], $8::smallint[], $9::text[], $10::smallint[]) "
        "AS n(series_id, object, observer, direction, class, flow, family, protocol, "
        "observer_end)), "
        "made AS (INSERT INTO plumbline_store.series "
        "AS o (series_id, object, observer, direction, class, flow, family, protocol, "
        "observer_end) "
        "SELECT DISTINCT ON (series_id) * FROM new ORDER BY series_id "
        "ON CONFLICT (series_id) DO UPDATE SET observer_end = excluded.observer_end "
        "WHERE o.observer_end IS DISTINCT FROM excluded.observer_end) "
        "SELECT 1 / CASE WHEN (s.object, s.observer, s.direction, s.class, s.flow, s.family, "
        "s.protocol) = (n.object, n.observer, n.direction, n.class, n.flow, n.family, n.protocol) "
        "THEN 1 ELSE 0 END AS collision "
        "FROM new n JOIN plumbline_store.series s USING (series_id) WHERE $1::integer = 1",
        "1", c, COLUMNS);
    columns_fini(c, COLUMNS);
    return n < 0 ? -EIO : 0;
}

static void
limits_json(const struct session_key *key, struct bytes *b)
{
    char text[128];

    bytes_clear(b);
    bytes_text(b, "[");
    for (unsigned i = 0; i < key->limit_count; i++) {
        const struct series_limit *l = &key->limits[i];
        snprintf(text, sizeof text,
                 "%s{'metric': '%s', 'direction': '%s', 'limit_ns': %" PRId64 "}", i ? ", " : "",
                 l->metric == LIMIT_DELAY ? "delay" : "ifdv", direction_name(l->direction),
                 l->limit.ns);
        bytes_text(b, text);
    }
    bytes_text(b, "]");
    bytes_add(b, "", 1);
}

/* Quotes are written ' above so that the array needs no escapes. */
static int
write_params(struct store *s, const struct store_write *w)
{
    enum { ID, DT, TMAX, PERIOD, SIZE, DSCP, IFDV, LIMITS, COLUMNS };
    struct column c[COLUMNS] = {0};
    struct bytes limits = {0};

    for (const struct assemble_session *a = w->sessions; a; a = a->next) {
        if (!assemble_session_due(a, w->safe)) {
            continue;
        }
        limits_json(&a->key, &limits);
        column_number(&c[ID], a->params_id);
        column_number(&c[DT], a->key.dt.ns);
        column_number(&c[TMAX], a->key.tmax.ns);
        column_number(&c[PERIOD], a->key.period.ns);
        column_number(&c[SIZE], a->key.size);
        column_number(&c[DSCP], a->key.dscp);
        column_number(&c[IFDV], a->key.ifdv);
        column_text(&c[LIMITS], bytes_ok(&limits) ? (const char *)limits.at : "[]");
    }
    bytes_fini(&limits);
    int64_t n = run_columns(s,
                            "INSERT INTO plumbline_store.params "
                            "SELECT DISTINCT ON (id) id, dt, tmax, period, size, dscp, ifdv <> 0, "
                            "replace(limits, '''', '\"')::jsonb "
                            "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
                            "$6::integer[], $7::smallint[], $8::integer[], $9::text[]) "
                            "AS n(id, dt, tmax, period, size, dscp, ifdv, limits) "
                            "WHERE $1::integer = 1 ORDER BY id ON CONFLICT (params_id) DO NOTHING",
                            "1", c, COLUMNS);
    columns_fini(c, COLUMNS);
    return n < 0 ? -EIO : 0;
}

static void
column_entry(struct column *c, const struct session_key *key)
{
    pb_session m;
    Plumbline__Telemetry__Limit limit[SERIES_LIMITS_MAX], *limits[SERIES_LIMITS_MAX];
    uint8_t packed[1024];
    char object[SERIES_NAME_MAX + 1], observer[SERIES_NAME_MAX + 1], far[SERIES_NAME_MAX + 1];
    char class_name[SERIES_NAME_MAX + 1], protocol[sizeof key->protocol];

    plumbline__telemetry__session__init(&m);
    m.session_id = session_id_of(key);
    m.object = strcpy(object, key->object);
    m.observer = strcpy(observer, key->observer);
    m.far = strcpy(far, key->far);
    m.class_name = strcpy(class_name, key->class_name);
    m.protocol = strcpy(protocol, key->protocol);
    m.flow = key->flow;
    m.family = key->family;
    m.observer_end = key->observer_end;
    m.dt_ns = (uint64_t)key->dt.ns;
    m.tmax_ns = (uint64_t)key->tmax.ns;
    m.period_ns = (uint64_t)key->period.ns;
    m.size = key->size;
    m.dscp = key->dscp;
    m.ifdv = key->ifdv;
    m.rt_only = key->rt_only;
    m.n_limits = key->limit_count;
    m.limits = limits;
    for (unsigned i = 0; i < key->limit_count; i++) {
        limits[i] = &limit[i];
        plumbline__telemetry__limit__init(&limit[i]);
        limit[i].metric = (uint32_t)key->limits[i].metric;
        limit[i].direction = (uint32_t)key->limits[i].direction;
        limit[i].limit_ns = (uint64_t)key->limits[i].limit.ns;
    }
    size_t size = plumbline__telemetry__session__get_packed_size(&m);
    if (size > sizeof packed) {
        c->text.bad = true;
        return;
    }
    plumbline__telemetry__session__pack(&m, packed);
    column_hex(c, packed, size);
}

static int
write_dictionary(struct store *s, const struct store_write *w)
{
    enum { ID, PARAMS, FWD, BWD, RT, FAR, ENTRY, COLUMNS };
    struct column c[COLUMNS] = {0};
    char source[NUMBER_SIZE];

    for (const struct assemble_session *a = w->sessions; a; a = a->next) {
        if (!assemble_session_due(a, w->safe)) {
            continue;
        }
        column_number(&c[ID], a->id);
        column_number(&c[PARAMS], a->params_id);
        column_number(&c[FWD], a->series[DIR_FWD]);
        column_number(&c[BWD], a->series[DIR_BWD]);
        column_number(&c[RT], a->series[DIR_RT]);
        column_number(&c[FAR], a->key.far[0] ? source_id_of(a->key.far) : -1);
        column_entry(&c[ENTRY], &a->key);
    }
    int64_t n = run_columns(s,
                            "INSERT INTO plumbline_store.session "
                            "SELECT $1::bigint, id, params, fwd, bwd, rt, nullif(far, -1), "
                            "decode(entry, 'hex') "
                            "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
                            "$6::bigint[], $7::bigint[], $8::text[]) "
                            "AS n(id, params, fwd, bwd, rt, far, entry) "
                            "ON CONFLICT (source_id, session_id) DO NOTHING",
                            number(source, w->source_id), c, COLUMNS);
    columns_fini(c, COLUMNS);
    return n < 0 ? -EIO : 0;
}

static int
write_servings(struct store *s, const struct store_write *w)
{
    char source[NUMBER_SIZE], id[NUMBER_SIZE];

    for (const struct store_serving *v = w->servings; v; v = v->next) {
        struct column objects = {0};
        for (size_t i = 0; i < v->object_count; i++) {
            column_text(&objects, v->objects[i]);
        }
        const char *values[] = {number(source, w->source_id), number(id, v->id),
                                column_end(&objects)};
        int64_t n = run(s,
                        "INSERT INTO plumbline_store.serving VALUES ($1, $2, $3) "
                        "ON CONFLICT (source_id, serving_id) DO NOTHING",
                        3, values);
        bytes_fini(&objects.text);
        if (n < 0) {
            return -EIO;
        }
    }
    return 0;
}

static int
write_pending(struct store *s, struct store_write *w)
{
    char source[NUMBER_SIZE];
    struct bytes *const columns[] = {&w->pending_session, &w->pending_start, &w->pending_until,
                                     &w->pending_far};
    const char *values[5] = {number(source, w->source_id)};

    for (int i = 0; i < 4; i++) {
        bytes_text(columns[i], "}");
        bytes_add(columns[i], "", 1);
        if (!bytes_ok(columns[i])) {
            return -ENOMEM;
        }
        values[i + 1] = (const char *)columns[i]->at;
    }
    return run(s,
               "INSERT INTO plumbline_store.far_pending "
               "(source_id, session_id, start, until, far_source_id) "
               "SELECT $1::bigint, session, to_timestamp(start), to_timestamp(until), far "
               "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) "
               "AS n(session, start, until, far)",
               5, values) < 0
               ? -EIO
               : 0;
}

/* An hour's sum stays a number, whatever a source tells. */
#define SUM_MAX "9000000000000000000"

static int
write_events(struct store *s, const struct store_write *w)
{
    char source[NUMBER_SIZE];
    const char *events[] = {number(source, w->source_id), (const char *)w->events.at};
    const char *refusals[] = {source, (const char *)w->refusals.at};

    if (!bytes_ok(&w->events) || !bytes_ok(&w->refusals)) {
        return -ENOMEM;
    }
    if (run(s,
            "INSERT INTO plumbline_store.event (source_id, epoch, sequence, ordinal, at, kind, "
            "object, class, flow, details) "
            "SELECT $1::bigint, epoch, sequence, ordinal, "
            "timestamptz 'epoch' + at_us * interval '1 microsecond', "
            "kind, object, class, flow, details FROM jsonb_to_recordset($2::jsonb) AS e(at_us "
            "bigint, epoch bigint, sequence bigint, ordinal integer, kind text, object text, "
            "class text, flow integer, details jsonb) ON CONFLICT DO NOTHING",
            2, events) < 0) {
        return -EIO;
    }
    return run(s,
               "INSERT INTO plumbline_store.refused AS r (source_id, start, name, count, last_at) "
               "SELECT $1::bigint, date_trunc('hour', at, 'UTC'), name, "
               "least(sum(count), " SUM_MAX ")::bigint, max(at) "
               "FROM (SELECT timestamptz 'epoch' + at_us * interval '1 microsecond' AS at, name, "
               "count FROM jsonb_to_recordset($2::jsonb) AS n(at_us bigint, name text, "
               "count bigint)) n GROUP BY 2, 3 ORDER BY 2, 3 "
               "ON CONFLICT (source_id, start, name) DO UPDATE SET "
               "count = least(r.count::numeric + EXCLUDED.count, " SUM_MAX ")::bigint, "
               "last_at = greatest(r.last_at, EXCLUDED.last_at)",
               2, refusals) < 0
               ? -EIO
               : 0;
}

/* The quarter hours and days that this commit completes, and what an earlier release
 * left to do. */
static int
write_rollups(struct store *s, struct store_write *w, int64_t rolled_s)
{
    const struct rollup_due due = {.rolled_s = rolled_s,
                                   .before_s = w->written_before.ns / NS_PER_S,
                                   .until_s = w->written_until.ns / NS_PER_S,
                                   .quarters_s = w->quarters_s,
                                   .quarter_count = w->quarter_count};
    struct rollup_plan plan;

    return rollup_plan(&due, &plan) ? carry_out(s, w->source_id, &plan, &w->rolled) : 0;
}

static int
write_all(struct store *s, struct store_write *w)
{
    int err = 0;

    if (w->row_count || w->liveness_count) {
        for (int64_t day = w->day_first; day <= w->day_last && !err; day++) {
            err = day_known(s, day) ? 0 : day_make(s, day);
        }
    }
    if (!err && w->sessions_new) {
        err = write_series(s, w);
        err = err ? err : write_params(s, w);
        err = err ? err : write_dictionary(s, w);
    }
    if (!err && w->servings) {
        err = write_servings(s, w);
    }
    if (!err && w->liveness_count) {
        err = copy_in(s,
                      "COPY plumbline_store.liveness (" COPY_LIVENESS_COLUMNS
                      ") FROM STDIN (FORMAT binary)",
                      &w->liveness);
    }
    if (!err && w->row_count) {
        err = copy_in(s,
                      "COPY plumbline_store.interval_row (" COPY_ROW_COLUMNS
                      ") FROM STDIN (FORMAT binary)",
                      &w->rows);
    }
    if (!err && w->pending_count) {
        err = write_pending(s, w);
    }
    if (!err && w->event_count) {
        err = write_events(s, w);
    }
    return err;
}

/* What PostgreSQL refused concerns this source alone, as long as the connection
 * is good. */
static int
give_up(struct store *s)
{
    char why[sizeof s->why];

    memcpy(why, s->why, sizeof why);
    bool good = run(s, "ROLLBACK", 0, NULL) >= 0;
    memcpy(s->why, why, sizeof why);
    return good ? -EBADMSG : -EIO;
}

void
store_write_begin(struct store_write *w, int64_t source_id, struct instant written_before)
{
    struct bytes *const pending[] = {&w->pending_session, &w->pending_start, &w->pending_until,
                                     &w->pending_far};

    w->source_id = source_id;
    w->written_before = written_before;
    copy_begin(&w->rows);
    copy_begin(&w->liveness);
    for (size_t i = 0; i < sizeof pending / sizeof pending[0]; i++) {
        bytes_clear(pending[i]);
    }
    w->row_count = w->liveness_count = w->pending_count = w->quarter_count = 0;
    w->event_count = 0;
    w->day_first = INT64_MAX;
    w->day_last = 0;
}

void
store_write_interval(struct store_write *w, struct instant start)
{
    int64_t day = start.ns / (ROLLUP_DAY_S * NS_PER_S);
    int64_t quarter = start.ns / (ROLLUP_QUARTER_S * NS_PER_S) * ROLLUP_QUARTER_S;

    w->day_first = day < w->day_first ? day : w->day_first;
    w->day_last = day > w->day_last ? day : w->day_last;
    if (w->quarter_count == 0 || w->quarters_s[w->quarter_count - 1] != quarter) {
        assert(w->quarter_count < STORE_INTERVALS_MAX);
        w->quarters_s[w->quarter_count++] = quarter;
    }
}

void
store_write_fini(struct store_write *w)
{
    bytes_fini(&w->rows);
    bytes_fini(&w->liveness);
    bytes_fini(&w->pending_session);
    bytes_fini(&w->pending_start);
    bytes_fini(&w->pending_until);
    bytes_fini(&w->pending_far);
    bytes_fini(&w->events);
    bytes_fini(&w->refusals);
}

int
store_commit(struct store *s, struct store_write *w)
{
    if (run(s, "BEGIN", 0, NULL) < 0) {
        return -EIO;
    }
    int64_t rolled_s = 0;
    int held = fence(s, w, &rolled_s);
    if (held < 0) {
        return give_up(s);
    }
    if (held == 0) {
        return run(s, "ROLLBACK", 0, NULL) < 0 ? -EIO : 0;
    }
    w->rolled = 0;
    if (write_all(s, w) || write_rollups(s, w, rolled_s) || run(s, "COMMIT", 0, NULL) < 0) {
        return give_up(s);
    }
    if (w->row_count || w->liveness_count) {
        for (int64_t day = w->day_first; day <= w->day_last; day++) {
            day_learn(s, day);
        }
    }
    for (struct assemble_session *a = w->sessions; a; a = a->next) {
        a->stored = a->stored || assemble_session_due(a, w->safe);
    }
    return 1;
}

/* --- Closed sources ------------------------------------------------------- */

/* The plan of one that is held by the lock of its row; 0: there is none. */
static int
closed_plan(struct store *s, int64_t *source_id, struct rollup_plan *plan)
{
    struct rollup_due due = {0};
    PGresult *r = ask(s,
                      "SELECT source_id, coalesce(extract(epoch FROM rolled_until)::bigint, 0), "
                      "extract(epoch FROM written_until)::bigint "
                      "FROM plumbline_store.source_position "
                      "WHERE closed AND written_until IS NOT NULL "
                      "AND (rolled_until IS NULL OR rolled_until < "
                      "date_trunc('day', written_until - interval '1 second', 'UTC') "
                      "+ interval '1 day') "
                      "ORDER BY source_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
                      0, NULL);
    if (!r) {
        return -EIO;
    }
    int found = PQntuples(r);
    if (found) {
        *source_id = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
        due.rolled_s = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
        due.before_s = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
        /* Nothing more comes: the day that it was in counts as over. */
        due.until_s = (due.before_s + ROLLUP_DAY_S - 1) / ROLLUP_DAY_S * ROLLUP_DAY_S;
        (void)rollup_plan(&due, plan);
    }
    PQclear(r);
    return found;
}

int
store_roll_closed(struct store *s)
{
    struct rollup_plan plan;
    int64_t source_id;
    uint64_t written = 0;

    if (run(s, "BEGIN", 0, NULL) < 0) {
        return -EIO;
    }
    int found = closed_plan(s, &source_id, &plan);
    if (found == 0) {
        return run(s, "ROLLBACK", 0, NULL) < 0 ? -EIO : 0;
    }
    if (found < 0 || carry_out(s, source_id, &plan, &written) || run(s, "COMMIT", 0, NULL) < 0) {
        return give_up(s);
    }
    return 1;
}
