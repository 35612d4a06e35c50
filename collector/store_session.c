/* store_session.c - what a commit writes of sessions that are new: their series, their parameters,
 * their entries in the dictionary; and what a source serves. */
#include "store_parts.h"

#include <errno.h>
#include <string.h>

#include "column.h"

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
    return store_do(s, sql, count + 1, values);
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
    column_fini(c, COLUMNS);
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
    column_fini(c, COLUMNS);
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
    char source[STORE_NUMBER_SIZE];

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
                            store_number(source, w->source_id), c, COLUMNS);
    column_fini(c, COLUMNS);
    return n < 0 ? -EIO : 0;
}

int
store_write_sessions(struct store *s, const struct store_write *w)
{
    int err = write_series(s, w);

    err = err ? err : write_params(s, w);
    return err ? err : write_dictionary(s, w);
}

int
store_write_servings(struct store *s, const struct store_write *w)
{
    char source[STORE_NUMBER_SIZE], id[STORE_NUMBER_SIZE];

    for (const struct store_serving *v = w->servings; v; v = v->next) {
        struct column objects = {0};
        for (size_t i = 0; i < v->object_count; i++) {
            column_text(&objects, v->objects[i]);
        }
        const char *values[] = {store_number(source, w->source_id), store_number(id, v->id),
                                column_end(&objects)};
        int err = -ENOMEM;
        if (values[2]) {
            err = store_do(s,
                           "INSERT INTO plumbline_store.serving VALUES ($1, $2, $3) "
                           "ON CONFLICT (source_id, serving_id) DO NOTHING",
                           3, values) < 0
                      ? -EIO
                      : 0;
        }
        column_fini(&objects, 1);
        if (err) {
            return err;
        }
    }
    return 0;
}
