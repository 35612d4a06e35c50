/* judgestore.c - what the judge reads of PostgreSQL, and what it writes. */
#include "judgestore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cell.h"
#include "copy.h"
#include "pg.h"

/* So many lines are written at once: it bounds what is held of them. */
#define ADDED_MAX 2000
/* Lines whose month is read at once: 3000 tallies each. */
#define PERIODS_AT_ONCE 16
#define NUMBER_SIZE 24
#define TIMESTAMP_SIZE 48

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* A timestamp as a parameter of its type: PostgreSQL then leaves partitions that it cannot be in
 * unlocked, which a function of a number would not tell it before it runs. */
static const char *
timestamp(char buf[TIMESTAMP_SIZE], struct instant i)
{
    const time_t seconds = (time_t)(i.ns / NS_PER_S);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    size_t n = strftime(buf, TIMESTAMP_SIZE, "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(buf + n, TIMESTAMP_SIZE - n, ".%06d+00", (int)(i.ns % NS_PER_S / NS_PER_US));
    return buf;
}

static PGresult *
ask(struct judgestore *s, const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(s->conn, sql, count, NULL, values, NULL, NULL, 1);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        PQclear(r);
        return NULL;
    }
    return r;
}

static int
run(struct judgestore *s, const char *sql, int count, const char *const *values)
{
    return pg_run(s->conn, sql, count, values, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

void
judgestore_fini(struct judgestore *s)
{
    bytes_fini(&s->ids);
    bytes_fini(&s->caps);
    bytes_fini(&s->quarters);
    bytes_fini(&s->transitions);
    bytes_fini(&s->lines);
}

/* "{1,2": the end is added by array_end(). */
static void
array_add(struct bytes *b, int64_t v)
{
    char text[NUMBER_SIZE];

    bytes_text(b, b->size ? "," : "{");
    bytes_text(b, number(text, v));
}

static const char *
array_end(struct bytes *b)
{
    bytes_text(b, b->size ? "}" : "{}");
    bytes_add(b, "", 1);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

/* --- Horizons ------------------------------------------------------------- */

int
judgestore_sources(struct judgestore *s, judgestore_source_fn *fn, void *aux)
{
    PGresult *r = ask(s,
                      "SELECT source_id, CASE WHEN closed THEN 'infinity' ELSE written_until END, "
                      "closed FROM plumbline_store.source_position "
                      "WHERE written_until IS NOT NULL OR closed",
                      0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        err = fn(cell_i8(r, i, 0), cell_bool(r, i, 2) ? INT64_MAX : cell_instant(r, i, 1).ns, aux);
    }
    PQclear(r);
    return err;
}

int
judgestore_pending(struct judgestore *s, judgestore_pending_fn *fn, void *aux)
{
    PGresult *r = ask(s,
                      "SELECT s.rt_series, min(p.start) FROM plumbline_store.far_pending p "
                      "JOIN plumbline_store.session s USING (source_id, session_id) GROUP BY 1",
                      0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        err = fn(cell_i8(r, i, 0), cell_instant(r, i, 1).ns, aux);
    }
    PQclear(r);
    return err;
}

/* --- Where to begin ------------------------------------------------------- */

#define QUARTER_ENDS                                                                               \
    "start, until, available_before, available_after, high_loss_run, high_loss_after, stale"
#define LINES "unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY w(id, cap, number)"
#define NEWEST                                                                                     \
    "SELECT w.number, q.* FROM " LINES " CROSS JOIN LATERAL (SELECT " QUARTER_ENDS                 \
    " FROM plumbline_store.judged_quarter j WHERE j.line_id = w.id "
/* Those that are stale are few: they are looked for once, not once a line. */
static const char newest_sql[] =
    "WITH s AS MATERIALIZED (SELECT DISTINCT ON (line_id) line_id, " QUARTER_ENDS
    " FROM plumbline_store.judged_quarter WHERE stale ORDER BY line_id, start) "
    "SELECT w.number, " QUARTER_ENDS " FROM " LINES " JOIN s ON s.line_id = w.id UNION ALL " NEWEST
    "ORDER BY j.start DESC LIMIT 1) q WHERE NOT EXISTS (SELECT FROM s WHERE s.line_id = w.id)";
static const char capped_sql[] =
    NEWEST "AND j.start <= to_timestamp(w.cap) ORDER BY j.start DESC LIMIT 1) q";

int
judgestore_quarters(struct judgestore *s, const int64_t *lines, const struct instant *caps,
                    size_t count, struct judgestore_quarter *out)
{
    bytes_clear(&s->ids);
    bytes_clear(&s->caps);
    for (size_t i = 0; i < count; i++) {
        array_add(&s->ids, lines[i]);
        array_add(&s->caps, caps ? caps[i].ns / NS_PER_S : 0);
        out[i].found = false;
    }
    const char *values[] = {array_end(&s->ids), array_end(&s->caps)};
    if (!values[0] || !values[1]) {
        return -ENOMEM;
    }
    PGresult *r = ask(s, caps ? capped_sql : newest_sql, 2, values);
    for (int i = 0; r && i < PQntuples(r); i++) {
        out[cell_i8(r, i, 0) - 1] =
            (struct judgestore_quarter){.found = true,
                                        .stale = cell_bool(r, i, 7),
                                        .start = cell_instant(r, i, 1),
                                        .until = cell_instant(r, i, 2),
                                        .available_before = cell_bool(r, i, 3),
                                        .available_after = cell_bool(r, i, 4),
                                        .high_loss_before = cell_i4(r, i, 5),
                                        .high_loss_after = cell_i4(r, i, 6)};
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

int
judgestore_began(struct judgestore *s, const int64_t *lines, size_t count, struct instant since,
                 struct instant *out)
{
    char from[TIMESTAMP_SIZE];

    bytes_clear(&s->ids);
    for (size_t i = 0; i < count; i++) {
        array_add(&s->ids, lines[i]);
        out[i] = instant_of_ns(-1);
    }
    const char *values[] = {array_end(&s->ids), timestamp(from, since)};
    if (!values[0]) {
        return -ENOMEM;
    }
    PGresult *r =
        ask(s,
            "SELECT w.number, q.start FROM unnest($1::bigint[]) WITH ORDINALITY w(id, number) "
            "CROSS JOIN LATERAL (SELECT j.start FROM plumbline_store.judged_quarter j "
            "WHERE j.line_id = w.id AND j.start >= $2::timestamptz "
            "ORDER BY j.start LIMIT 1) q",
            2, values);
    for (int i = 0; r && i < PQntuples(r); i++) {
        out[cell_i8(r, i, 0) - 1] = cell_instant(r, i, 1);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

int
judgestore_stale(struct judgestore *s, const int64_t *lines, size_t count, struct instant from)
{
    char first[NUMBER_SIZE];

    bytes_clear(&s->ids);
    for (size_t i = 0; i < count; i++) {
        array_add(&s->ids, lines[i]);
    }
    const char *values[] = {array_end(&s->ids), number(first, from.ns / LINE_QUARTER_NS * 900)};
    return !values[0] ? -ENOMEM
                      : run(s,
                            "UPDATE plumbline_store.judged_quarter SET stale = true "
                            "WHERE line_id = ANY ($1::bigint[]) "
                            "AND start >= greatest(to_timestamp($2::bigint), "
                            "plumbline_store.rows_from()) AND NOT stale",
                            2, values);
}

int
judgestore_changes(struct judgestore *s, judgestore_change_fn *fn, void *aux)
{
    PGresult *r =
        ask(s, "DELETE FROM plumbline_store.rejudge RETURNING kind, key, why, from_at", 0, NULL);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const struct judgestore_change c = {PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
                                            PQgetvalue(r, i, 2), cell_instant(r, i, 3)};
        err = fn(&c, aux);
    }
    PQclear(r);
    return err;
}

int
judgestore_windows(struct judgestore *s, struct instant from, judgestore_window_fn *fn, void *aux)
{
    static const char *const names[EXCLUSION_KINDS] = {[EXCLUSION_MAINTENANCE] = "maintenance",
                                                       [EXCLUSION_CUSTOMER] = "customer",
                                                       [EXCLUSION_THIRD_PARTY] = "third_party",
                                                       [EXCLUSION_FORCE_MAJEURE] = "force_majeure",
                                                       [EXCLUSION_AGREED] = "agreed"};
    char first[NUMBER_SIZE];
    const char *values[] = {number(first, from.ns / NS_PER_S)};
    PGresult *r = ask(s,
                      "SELECT kind, key, exclusion, start_at, end_at, announced_at, tenant, id, "
                      "revision::bigint FROM "
                      "plumbline_store.windows(to_timestamp($1::bigint), 'infinity') "
                      "WHERE exclude_from_sla",
                      1, values);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        struct judgestore_window w = {.id = cell_i8(r, i, 7),
                                      .revision = cell_i8(r, i, 8),
                                      .exclusion = PQgetvalue(r, i, 2),
                                      .kind = PQgetvalue(r, i, 0),
                                      .key = PQgetvalue(r, i, 1),
                                      .tenant = PQgetisnull(r, i, 6) ? NULL : PQgetvalue(r, i, 6)};
        w.window = (struct exclusion_window){.start = cell_instant(r, i, 3),
                                             .end = cell_instant(r, i, 4),
                                             .announced = cell_instant(r, i, 5)};
        for (int k = 0; k < EXCLUSION_KINDS; k++) {
            if (names[k] && strcmp(names[k], PQgetvalue(r, i, 2)) == 0) {
                w.window.kind = (enum exclusion_kind)k;
            }
        }
        err = fn(&w, aux);
    }
    PQclear(r);
    return err;
}

int
judgestore_first_rows(struct judgestore *s, struct way *const *ways, size_t count,
                      struct instant since, struct instant *out)
{
    char from[TIMESTAMP_SIZE];

    bytes_clear(&s->ids);
    bytes_clear(&s->caps);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < ways[i]->series_count; k++) {
            array_add(&s->ids, ways[i]->series[k].series_id);
            array_add(&s->caps, (int64_t)i);
        }
        out[i] = instant_of_ns(-1);
    }
    const char *values[] = {array_end(&s->ids), array_end(&s->caps), timestamp(from, since)};
    if (!values[0] || !values[1]) {
        return -ENOMEM;
    }
    /* A series that never was has no row: its partitions need not be looked at. */
    PGresult *r = ask(s,
                      "SELECT w.way, min(f.start) FROM unnest($1::bigint[], $2::bigint[]) "
                      "w(id, way) JOIN plumbline_store.series n ON n.series_id = w.id "
                      "CROSS JOIN LATERAL "
                      "(SELECT start FROM plumbline_store.interval_row r WHERE r.series_id = w.id "
                      "AND r.start >= $3::timestamptz ORDER BY r.start LIMIT 1) f GROUP BY 1",
                      3, values);
    for (int i = 0; r && i < PQntuples(r); i++) {
        out[cell_i8(r, i, 0)] = cell_instant(r, i, 1);
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

/* A quarter hour that was judged under another inventory counted other limits, or these in another
 * order. */
static void
sort_limits(const struct line *l, const uint8_t *stored, size_t size, struct tally *t)
{
    int8_t map[SERIES_LIMITS_MAX];
    struct rd rd = rd_of(stored, stored ? size : 0);

    memset(map, -1, sizeof map);
    for (int8_t k = 0; k < (int8_t)SERIES_LIMITS_MAX && rd.left >= 8; k++) {
        int64_t id = (int64_t)rd_be64(&rd);
        for (unsigned i = 0; i < l->limit_count; i++) {
            map[i] = id == l->limit_ids[i] ? k : map[i];
        }
    }
    tally_map_limits(t, map, l->config.ifdv_limits);
}

/* Merges the tallies of 'r' (place, start, tally, limits) into the lines' periods. */
static int
merge_tallies(struct judgestore *s, struct line *const *lines, const PGresult *r)
{
    struct tally one;
    int err = 0;

    tally_init(&one);
    for (int i = 0; i < PQntuples(r) && !err; i++) {
        struct line *l = lines[cell_i8(r, i, 0)];
        size_t size;
        const uint8_t *bytes = cell_bytes(r, i, 2, &size);
        if (cell_instant(r, i, 1).ns >= l->quarter.ns) {
            continue;
        }
        err = tally_decode(&one, bytes, size);
        bytes = cell_bytes(r, i, 3, &size);
        sort_limits(l, bytes, size, &one);
        err = err ? err : tally_merge(&l->period, &one);
        if (err == -EBADMSG) {
            snprintf(s->why, sizeof s->why, "a tally of %s does not decode", l->scope);
            err = -EIO;
        }
    }
    tally_fini(&one);
    return err;
}

/* Of some lines. */
static int
load_periods(struct judgestore *s, struct line *const *lines, size_t count, struct instant from,
             struct instant until)
{
    char first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];

    bytes_clear(&s->ids);
    for (size_t i = 0; i < count; i++) {
        array_add(&s->ids, lines[i]->id);
    }
    const char *values[] = {array_end(&s->ids), timestamp(first, from), timestamp(last, until)};
    if (!values[0]) {
        return -ENOMEM;
    }
    PGresult *r =
        ask(s,
            "SELECT w.place - 1, q.start, q.tally, q.limits FROM unnest($1::bigint[]) WITH "
            "ORDINALITY w(id, place) CROSS JOIN LATERAL (SELECT start, tally, limits FROM "
            "plumbline_store.judged_quarter j WHERE j.line_id = w.id "
            "AND j.start >= $2::timestamptz AND j.start < $3::timestamptz "
            "AND j.until = j.start + interval '15 minutes' OFFSET 0) q",
            3, values);
    int err = r ? merge_tallies(s, lines, r) : -EIO;

    PQclear(r);
    return err;
}

int
judgestore_periods(struct judgestore *s, struct line *const *lines, size_t count,
                   struct instant from, struct instant until)
{
    struct line *some[PERIODS_AT_ONCE];
    size_t n = 0;
    int err = 0;

    for (size_t i = 0; i < count && !err; i++) {
        tally_fini(&lines[i]->period);
        tally_init(&lines[i]->period);
        /* Of one that was never stored there is nothing. */
        if (lines[i]->stored && lines[i]->quarter.ns > from.ns) {
            some[n++] = lines[i];
        }
        if (n == PERIODS_AT_ONCE) {
            err = load_periods(s, some, n, from, until);
            n = 0;
        }
    }
    return err || !n ? err : load_periods(s, some, n, from, until);
}

int
judgestore_states(struct judgestore *s, const struct line *l, struct instant from,
                  struct instant until, judgestore_states_fn *fn, void *aux)
{
    char id[NUMBER_SIZE], first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];
    const char *values[] = {number(id, l->id), timestamp(first, from), timestamp(last, until)};
    PGresult *r = ask(s,
                      "SELECT start, states FROM plumbline_store.judged_quarter WHERE line_id = $1 "
                      "AND start >= $2::timestamptz AND start < $3::timestamptz "
                      "AND until = start + interval '15 minutes' "
                      "AND (dt_available < dt_total OR dt_undetermined > 0) ORDER BY start",
                      3, values);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        size_t size;
        const uint8_t *states = cell_bytes(r, i, 1, &size);
        err = fn(cell_instant(r, i, 0), states, size, aux);
    }
    PQclear(r);
    return err;
}

/* --- Rows ----------------------------------------------------------------- */

PGresult *
judgestore_rows(struct judgestore *s, struct way *const *ways, size_t count, struct instant from,
                struct instant until)
{
    char first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];

    bytes_clear(&s->ids);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < ways[i]->series_count; k++) {
            array_add(&s->ids, ways[i]->series[k].series_id);
        }
    }
    const char *values[] = {array_end(&s->ids), timestamp(first, from), timestamp(last, until)};
    if (!values[0]) {
        snprintf(s->why, sizeof s->why, "out of memory");
        return NULL;
    }
    /* LATERAL and OFFSET: one index scan a series, also where there are no statistics yet. */
    return ask(s,
               "SELECT s.place - 1, r.* FROM unnest($1::bigint[]) WITH ORDINALITY s(id, place) "
               "CROSS JOIN LATERAL (SELECT start, params_id, flags, clock_error_ns, delay_count, "
               "delay_sum_ns, delay_min_ns, delay_max_ns, duplicate, reordered, late, over_limit, "
               "hist, ifdv, dt FROM plumbline_store.interval_row i WHERE i.series_id = s.id "
               "AND i.start >= $2::timestamptz AND i.start < $3::timestamptz OFFSET 0) r",
               3, values);
}

size_t
judgestore_series(const PGresult *r, int row)
{
    return (size_t)cell_i8(r, row, ROW_SERIES);
}

struct instant
judgestore_start(const PGresult *r, int row)
{
    return cell_instant(r, row, ROW_START);
}

int64_t
judgestore_params_id(const PGresult *r, int row)
{
    return cell_i8(r, row, ROW_PARAMS);
}

/* 'text' is PostgreSQL's own JSON, so memory is all that can fail. */
static int
read_limits(const char *text, struct judgestore_params *out)
{
    cJSON *list = cJSON_Parse(text);
    const cJSON *o;

    if (!list) {
        return -ENOMEM;
    }
    cJSON_ArrayForEach(o, list)
    {
        const char *metric = cJSON_GetStringValue(cJSON_GetObjectItem(o, "metric"));
        const char *way = cJSON_GetStringValue(cJSON_GetObjectItem(o, "direction"));
        const cJSON *limit = cJSON_GetObjectItem(o, "limit_ns");
        if (!metric || !way || !cJSON_IsNumber(limit) || out->limit_count == SERIES_LIMITS_MAX) {
            continue;
        }
        struct series_limit *l = &out->limits[out->limit_count++];
        l->metric = strcmp(metric, "ifdv") == 0 ? LIMIT_IFDV : LIMIT_DELAY;
        l->direction = DIR_FWD;
        while (l->direction < DIR_RT && strcmp(direction_name(l->direction), way) != 0) {
            l->direction++;
        }
        l->limit = span_of_ns((int64_t)cJSON_GetNumberValue(limit));
    }
    cJSON_Delete(list);
    return 0;
}

int
judgestore_params(struct judgestore *s, int64_t params_id, struct judgestore_params *out)
{
    char id[NUMBER_SIZE];
    const char *values[] = {number(id, params_id)};
    PGresult *r =
        ask(s, "SELECT dt_ns, limits::text FROM plumbline_store.params WHERE params_id = $1", 1,
            values);

    int err = r ? 0 : -EIO;

    *out = (struct judgestore_params){.params_id = params_id};
    if (!err && PQntuples(r) == 1) {
        out->dt = span_of_ns(cell_i8(r, 0, 0));
        err = read_limits(PQgetvalue(r, 0, 1), out);
    }
    PQclear(r);
    return err;
}

/* Where each of the way's limits is in over[] of these rows: -1 where they do not count it.  'p' is
 * in the session's frame. */
static void
map_limits(const struct way_series *series, struct judgestore_params *p)
{
    const struct session_key key = {.observer_end = series->witness};
    const struct way *w = series->way;

    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        p->map[i] = -1;
        for (unsigned k = 0; k < w->limit_count && i < p->limit_count; k++) {
            const struct series_limit *l = &w->limits[k];
            if (l->metric == p->limits[i].metric && l->limit.ns == p->limits[i].limit.ns &&
                l->direction == session_direction(&key, p->limits[i].direction)) {
                p->map[i] = (int8_t)k;
            }
        }
    }
}

bool
judgestore_measured(const PGresult *r, int row, const struct way_series *series,
                    struct judgestore_params *params, struct measured_row *out)
{
    unsigned over_count = 0;

    if (params->dt.ns != series->way->class_->dt.ns) {
        return false;
    }
    map_limits(series, params);
    *out = (struct measured_row){.flow = series->flow,
                                 .witness = series->witness,
                                 .clean = !(cell_i4(r, row, ROW_FLAGS) & ROW_UNCLEAN),
                                 .delay_count = (uint64_t)cell_i8(r, row, ROW_DELAY_COUNT),
                                 .delay_sum_ns = cell_i8(r, row, ROW_DELAY_SUM),
                                 .delay_min_ns = cell_i8(r, row, ROW_DELAY_MIN),
                                 .delay_max_ns = cell_i8(r, row, ROW_DELAY_MAX),
                                 .duplicate = (uint64_t)cell_i8(r, row, ROW_DUPLICATE),
                                 .reordered = (uint64_t)cell_i8(r, row, ROW_REORDERED),
                                 .late = (uint64_t)cell_i8(r, row, ROW_LATE),
                                 .clock_error_ns = PQgetisnull(r, row, ROW_CLOCK_ERROR)
                                                       ? UINT64_MAX
                                                       : (uint64_t)cell_i8(r, row, ROW_CLOCK_ERROR),
                                 .limit_map = params->map};
    if (!cell_over(r, row, ROW_OVER, out->over, &over_count)) {
        return false;
    }
    out->any_over = over_count > 0;
    out->hist = cell_bytes(r, row, ROW_HIST, &out->hist_size);
    out->ifdv = cell_bytes(r, row, ROW_IFDV, &out->ifdv_size);
    out->dt = cell_bytes(r, row, ROW_DT, &out->dt_size);
    return true;
}

/* --- Writing -------------------------------------------------------------- */

int
judgestore_begin(struct judgestore *s)
{
    copy_begin(&s->quarters);
    copy_begin(&s->transitions);
    copy_begin(&s->lines);
    s->added = s->added_lines = 0;
    return run(s, "BEGIN", 0, NULL);
}

int
judgestore_next(struct judgestore *s)
{
    if (s->added < ADDED_MAX) {
        return 0;
    }
    int err = judgestore_flush(s);

    err = err ? err : judgestore_commit(s);
    return err ? err : judgestore_begin(s);
}

int
judgestore_commit(struct judgestore *s)
{
    return run(s, "COMMIT", 0, NULL);
}

void
judgestore_rollback(struct judgestore *s)
{
    PQclear(PQexec(s->conn, "ROLLBACK"));
}

int
judgestore_day(struct judgestore *s, struct instant at)
{
    char day[NUMBER_SIZE];
    const char *values[] = {number(day, at.ns / NS_PER_S / 86400)};
    PGresult *r =
        ask(s, "SELECT plumbline_store.make_day(date '1970-01-01' + $1::integer)", 1, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

#define QUARTER_COLUMNS                                                                            \
    "line_id, start, until, available_before, available_after, high_loss_run, high_loss_after, "   \
    "dt_total, dt_counted, dt_available, dt_undetermined, dt_suspect, dt_witness, outages, hli, "  \
    "chli_runs, chli_intervals, sent, lost, lost_undirected, sent_raw, lost_raw, duplicate, "      \
    "reordered, delay_count, tally, states, limits"
#define QUARTER_COLUMN_COUNT 28
#define LINE_COLUMNS "line_id, scope_kind, scope, object, class, direction, dt_ns"

static uint64_t
dt_total(const struct tally *t)
{
    uint64_t sum = 0;

    for (int i = 0; i < EXCLUSION_KINDS; i++) {
        sum += t->excluded[i];
    }
    return sum;
}

static int
add_quarter(struct judgestore *s, struct line *l)
{
    const struct tally *t = &l->tally;
    const uint64_t small[] = {
        dt_total(t),       t->excluded[EXCLUSION_NONE],
        t->available,      t->undetermined_available + t->undetermined_unavailable,
        t->suspect,        t->witness,
        t->outages,        t->high_loss.intervals,
        t->high_loss.runs, t->high_loss.run_intervals};
    const uint64_t great[] = {t->sent,     t->lost,      t->lost_undirected, t->sent_raw,
                              t->lost_raw, t->duplicate, t->reordered,       t->delay_count};
    struct bytes *b = &s->quarters, tally = {0}, limits = {0};
    const uint8_t *states;
    size_t size;
    int err = line_states(l, &states, &size);

    bytes_be16(b, QUARTER_COLUMN_COUNT);
    copy_i8(b, l->id);
    copy_i8(b, copy_timestamp(l->quarter));
    copy_i8(b, copy_timestamp(l->until));
    copy_bool(b, l->available_before);
    copy_bool(b, l->available);
    copy_i4(b, l->high_loss_before);
    copy_i4(b, l->state.high_loss.run);
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        copy_i4(b, (uint32_t)small[i]);
    }
    for (size_t i = 0; i < sizeof great / sizeof great[0]; i++) {
        copy_count(b, great[i]);
    }
    tally_encode(t, &tally);
    copy_bytes(b, tally.at, tally.size);
    copy_bytes(b, states, size);
    for (unsigned i = 0; i < l->limit_count; i++) {
        bytes_be64(&limits, (uint64_t)l->limit_ids[i]);
    }
    copy_bytes(b, limits.at ? limits.at : (const uint8_t *)"", limits.size);
    bool good = bytes_ok(&tally) && bytes_ok(&limits) && bytes_ok(b);
    bytes_fini(&limits);
    bytes_fini(&tally);
    return err ? err : good ? 0 : -ENOMEM;
}

/* What judged_line has to have of it. */
static void
add_line(struct judgestore *s, const struct line *l)
{
    const char *texts[] = {line_scope_name(l->scope_kind), l->scope, l->object, l->class_name,
                           line_direction_name(l->direction)};

    bytes_be16(&s->lines, 7);
    copy_i8(&s->lines, l->id);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        copy_bytes(&s->lines, texts[i], strlen(texts[i]));
    }
    copy_i8(&s->lines, l->dt.ns);
    s->added_lines++;
}

int
judgestore_add(struct judgestore *s, struct line *l)
{
    int err = 0;

    s->added++;
    if (!l->stored) {
        add_line(s, l);
        l->stored = true;
    }
    for (size_t i = 0; i < l->transition_count && !err; i++) {
        bytes_be16(&s->transitions, 3);
        copy_i8(&s->transitions, l->id);
        copy_i8(&s->transitions, copy_timestamp(l->transitions[i].at));
        copy_bool(&s->transitions, l->transitions[i].available);
        err = bytes_ok(&s->transitions) ? 0 : -ENOMEM;
    }
    return err ? err : add_quarter(s, l);
}

/* What is the same as before stays as it is; what was complete and is other now is another
 * revision. */
static const char merge_sql[] =
    "INSERT INTO plumbline_store.judged_quarter AS q (revision, " QUARTER_COLUMNS ") "
    "SELECT 0, " QUARTER_COLUMNS " FROM pg_temp.judged_in "
    "ON CONFLICT (line_id, start) DO UPDATE SET "
    "revision = q.revision + (q.until = q.start + interval '15 minutes' AND (q.until, "
    "q.available_before, q.tally, q.states) IS DISTINCT FROM (excluded.until, "
    "excluded.available_before, excluded.tally, excluded.states))::integer, stale = false, "
    "until = excluded.until, available_before = excluded.available_before, "
    "available_after = excluded.available_after, high_loss_run = excluded.high_loss_run, "
    "high_loss_after = excluded.high_loss_after, dt_total = excluded.dt_total, "
    "dt_counted = excluded.dt_counted, dt_available = excluded.dt_available, "
    "dt_undetermined = excluded.dt_undetermined, dt_suspect = excluded.dt_suspect, "
    "dt_witness = excluded.dt_witness, outages = excluded.outages, hli = excluded.hli, "
    "chli_runs = excluded.chli_runs, chli_intervals = excluded.chli_intervals, "
    "sent = excluded.sent, lost = excluded.lost, lost_undirected = excluded.lost_undirected, "
    "sent_raw = excluded.sent_raw, lost_raw = excluded.lost_raw, "
    "duplicate = excluded.duplicate, reordered = excluded.reordered, "
    "delay_count = excluded.delay_count, tally = excluded.tally, states = excluded.states, "
    "limits = excluded.limits "
    "WHERE (q.stale OR (q.until, q.available_before, q.tally, q.states) IS DISTINCT FROM "
    "(excluded.until, excluded.available_before, excluded.tally, excluded.states)) "
    /* One that is judged again is stored when it is as far as it was. */
    "AND excluded.until >= q.until";

/* Lines that this judge has not stored yet; most are there from before. */
static int
flush_lines(struct judgestore *s)
{
    if (s->added_lines == 0) {
        return 0;
    }
    copy_end(&s->lines);
    if (!bytes_ok(&s->lines)) {
        return -ENOMEM;
    }
    int err = run(s,
                  "CREATE TEMPORARY TABLE IF NOT EXISTS line_in ON COMMIT DELETE ROWS AS "
                  "SELECT " LINE_COLUMNS " FROM plumbline_store.judged_line WITH NO DATA",
                  0, NULL);
    err =
        err ? err
            : pg_copy(s->conn, "COPY pg_temp.line_in (" LINE_COLUMNS ") FROM STDIN (FORMAT binary)",
                      s->lines.at, s->lines.size, s->why, sizeof s->why);
    return err ? err
               : run(s,
                     "INSERT INTO plumbline_store.judged_line (" LINE_COLUMNS ") "
                     "SELECT " LINE_COLUMNS " FROM pg_temp.line_in "
                     "ON CONFLICT (line_id) DO UPDATE SET dt_ns = excluded.dt_ns "
                     "WHERE judged_line.dt_ns <> excluded.dt_ns",
                     0, NULL);
}

static int
flush_quarters(struct judgestore *s)
{
    int err = run(s,
                  "CREATE TEMPORARY TABLE IF NOT EXISTS judged_in ON COMMIT DELETE ROWS AS "
                  "SELECT " QUARTER_COLUMNS " FROM plumbline_store.judged_quarter WITH NO DATA",
                  0, NULL);

    copy_end(&s->quarters);
    copy_end(&s->transitions);
    if (!bytes_ok(&s->quarters) || !bytes_ok(&s->transitions)) {
        return -ENOMEM;
    }
    err = err ? err
              : pg_copy(s->conn,
                        "COPY pg_temp.judged_in (" QUARTER_COLUMNS ") FROM STDIN (FORMAT binary)",
                        s->quarters.at, s->quarters.size, s->why, sizeof s->why);
    err = err ? err
              : run(s,
                    "DELETE FROM plumbline_store.transition t USING pg_temp.judged_in j "
                    "WHERE t.line_id = j.line_id AND t.at >= j.start AND t.at < j.until",
                    0, NULL);
    err = err ? err
              : pg_copy(s->conn,
                        "COPY plumbline_store.transition (line_id, at, available) FROM STDIN "
                        "(FORMAT binary)",
                        s->transitions.at, s->transitions.size, s->why, sizeof s->why);
    return err ? err : run(s, merge_sql, 0, NULL);
}

int
judgestore_flush(struct judgestore *s)
{
    int err = flush_lines(s);

    return err || !s->added ? err : flush_quarters(s);
}
