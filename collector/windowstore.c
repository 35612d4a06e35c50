/* windowstore.c - asks for rows of alarms' windows, and tells them to the watch one by one. */
#include "windowstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bytes.h"
#include "cell.h"
#include "pg.h"

#define NUMBER_SIZE 24
#define TIMESTAMP_SIZE 48
/* PostgreSQL gives up after so long. */
#define TIMEOUT_SQL "SET LOCAL statement_timeout = '5s'"

/* A series of which rows are wanted. */
struct wanted {
    const struct assemble_session *session;
    enum direction direction;
};

struct reading {
    PGconn *conn;
    struct watch *watch;
    struct wanted *wanted;
    size_t count;
    struct bytes ids, params, splits; /* Arrays, as text. */
    struct span reach;
    bool ways;
    /* What came of the ways of the session and interval whose round trip comes next. */
    PGresult *held[DIRECTIONS];
    char *why;
    size_t why_size;
};

/* The columns of row_sql. */
enum {
    NUMBER,
    START,
    SECONDS,
    FLAGS,
    SEND_ERRORS,
    DUPLICATE,
    REORDERED,
    CLOCK_ERROR,
    DELAY_COUNT,
    DELAY_SUM,
    DELAY_MIN,
    DELAY_MAX,
    HIST,
    IFDV,
    DT,
    LOST_FWD
};

/* LATERAL and OFFSET: one index scan a series, also where there are no statistics.  Which way was
 * lost only the row of one of the ways says, and that one's records are not needed. */
static const char row_sql[] =
    "SELECT s.n, r.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY "
    "s(id, params, split, n) CROSS JOIN LATERAL (SELECT t.start, t.seconds, t.flags, "
    "t.send_errors, t.duplicate, t.reordered, t.clock_error_ns, t.delay_count, t.delay_sum_ns, "
    "t.delay_min_ns, t.delay_max_ns, t.hist, CASE WHEN $6::boolean THEN t.ifdv END, t.dt, "
    "CASE WHEN t.lost > t.lost_undirected THEN (SELECT f.lost - f.lost_undirected "
    "FROM plumbline_store.interval_row f WHERE f.series_id = s.split AND f.start = t.start "
    "AND f.start >= $4::timestamptz AND f.start < $5::timestamptz) END "
    "FROM plumbline_store.interval_row t WHERE t.series_id = s.id AND t.params_id = s.params "
    "AND t.start >= $4::timestamptz AND t.start < $5::timestamptz OFFSET 0) r "
    "ORDER BY r.start, s.n";

static const char *
timestamp(char buf[TIMESTAMP_SIZE], struct instant i)
{
    const time_t seconds = (time_t)(i.ns / NS_PER_S);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(buf, TIMESTAMP_SIZE, "%Y-%m-%d %H:%M:%S+00", &utc);
    return buf;
}

/* --- What is wanted ------------------------------------------------------------------- */

static void
add_id(struct bytes *to, int64_t id)
{
    char text[NUMBER_SIZE];

    snprintf(text, sizeof text, "%s%" PRId64, to->size ? "," : "{", id);
    bytes_text(to, text);
}

static const char *
array_end(struct bytes *b)
{
    bytes_add(b, "}", 2);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

static void
want(struct reading *r, const struct assemble_session *s, enum direction direction)
{
    r->wanted[r->count++] = (struct wanted){s, direction};
    add_id(&r->ids, s->series[direction]);
    add_id(&r->params, s->params_id);
    add_id(&r->splits, direction == DIR_RT && !s->key.rt_only ? s->series[DIR_FWD] : 0);
}

/* The round trip comes last of a session. */
static int
choose(struct reading *r, struct assemble *a, struct instant until, struct span interval)
{
    size_t sessions = assemble_session_count(a), each;

    r->wanted = calloc(sessions ? sessions * DIRECTIONS : 1, sizeof r->wanted[0]);
    if (!r->wanted) {
        return -ENOMEM;
    }
    each = sessions ? WINDOWSTORE_INTERVALS_MAX / sessions : 0;
    const struct span most = span_of_ns((int64_t)each * interval.ns);
    for (const struct assemble_session *s = assemble_sessions(a); s; s = s->next) {
        struct watch_want wish;
        int err = watch_want(r->watch, s, until, most, &wish);
        if (err) {
            return err;
        }
        if (wish.reach.ns == 0) {
            continue;
        }
        r->reach = wish.reach.ns > r->reach.ns ? wish.reach : r->reach;
        r->ways = r->ways || wish.ways;
        for (enum direction d = wish.ways ? DIR_FWD : DIR_RT; d < DIRECTIONS; d++) {
            want(r, s, d);
        }
    }
    return 0;
}

/* --- What comes ----------------------------------------------------------------------- */

static void
row_of(const PGresult *r, struct row *to)
{
    *to = (struct row){.flags = cell_i4(r, 0, FLAGS),
                       .send_errors = (uint64_t)cell_i8(r, 0, SEND_ERRORS),
                       .duplicate = (uint64_t)cell_i8(r, 0, DUPLICATE),
                       .reordered = (uint64_t)cell_i8(r, 0, REORDERED),
                       .clock_error_ns = PQgetisnull(r, 0, CLOCK_ERROR)
                                             ? UINT64_MAX
                                             : (uint64_t)cell_i8(r, 0, CLOCK_ERROR),
                       .delay_count = (uint64_t)cell_i8(r, 0, DELAY_COUNT),
                       .delay_sum_ns = cell_i8(r, 0, DELAY_SUM),
                       .delay_min_ns = cell_i8(r, 0, DELAY_MIN),
                       .delay_max_ns = cell_i8(r, 0, DELAY_MAX)};
    to->hist = cell_bytes(r, 0, HIST, &to->hist_size);
    to->ifdv = cell_bytes(r, 0, IFDV, &to->ifdv_size);
    to->dt = cell_bytes(r, 0, DT, &to->dt_size);
}

/* What came of a way of the same session and interval as 'result', which is its round trip. */
static bool
is_beside(const struct reading *r, const PGresult *result, const PGresult *way)
{
    return way && cell_i8(way, 0, START) == cell_i8(result, 0, START) &&
           r->wanted[cell_i8(way, 0, NUMBER) - 1].session ==
               r->wanted[cell_i8(result, 0, NUMBER) - 1].session;
}

static int
tell(struct reading *r, const PGresult *result)
{
    struct row rows[DIRECTIONS];
    struct watch_row told = {.start = cell_instant(result, 0, START),
                             .seconds = cell_i4(result, 0, SECONDS),
                             .of = {[DIR_RT] = &rows[DIR_RT]},
                             .lost_fwd = (uint64_t)cell_i8(result, 0, LOST_FWD)};

    row_of(result, &rows[DIR_RT]);
    for (int d = 0; d < DIR_RT; d++) {
        if (is_beside(r, result, r->held[d])) {
            row_of(r->held[d], &rows[d]);
            told.of[d] = &rows[d];
        }
    }
    int err = watch_row(r->watch, r->wanted[cell_i8(result, 0, NUMBER) - 1].session, &told);
    return err == -EBADMSG ? 0 : err;
}

/* Takes one row; that of a way is kept until its round trip comes, which is the next or the one
 * after that. */
static int
take(struct reading *r, PGresult *result)
{
    enum direction d = r->wanted[cell_i8(result, 0, NUMBER) - 1].direction;

    if (d == DIR_RT) {
        int err = tell(r, result);
        PQclear(result);
        return err;
    }
    PQclear(r->held[d]);
    r->held[d] = result;
    return 0;
}

/* Row by row: what all of a source's rows hold of histograms need not be in memory at once.  0,
 * -EIO with the reason in 'why', or -ENOMEM. */
static int
receive(struct reading *r)
{
    PGresult *result;
    int err = 0;

    PQsetSingleRowMode(r->conn);
    while ((result = PQgetResult(r->conn))) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE && !err) {
            err = take(r, result);
            continue;
        }
        if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && !err) {
            pg_error(r->conn, result, r->why, r->why_size);
            err = -EIO;
        }
        PQclear(result);
    }
    return err;
}

/* --- Reading -------------------------------------------------------------------------- */

static int
ask(struct reading *r, struct instant until, struct span interval)
{
    const struct instant from = instant_of_ns(until.ns - r->reach.ns - interval.ns);
    char times[2][TIMESTAMP_SIZE];
    const char *values[] = {
        array_end(&r->ids),         array_end(&r->params),
        array_end(&r->splits),      timestamp(times[0], instant_floor(from, span_of_ns(NS_PER_S))),
        timestamp(times[1], until), r->ways ? "t" : "f"};

    if (!values[0] || !values[1] || !values[2]) {
        return -ENOMEM;
    }
    if (pg_run(r->conn, "BEGIN", 0, NULL, r->why, r->why_size) < 0 ||
        pg_run(r->conn, TIMEOUT_SQL, 0, NULL, r->why, r->why_size) < 0) {
        return -EIO;
    }
    if (!PQsendQueryParams(r->conn, row_sql, 6, NULL, values, NULL, NULL, 1)) {
        pg_error(r->conn, NULL, r->why, r->why_size);
        return -EIO;
    }
    return receive(r);
}

/* Of what PostgreSQL refused nothing is left open. */
static int
end(struct reading *r, int err)
{
    char ignored[8];

    if (pg_run(r->conn, err ? "ROLLBACK" : "COMMIT", 0, NULL, ignored, sizeof ignored) < 0) {
        return -EIO;
    }
    return err == -EIO ? -EBADMSG : err;
}

int
windowstore_read(PGconn *conn, struct assemble *a, struct watch *w, struct instant until,
                 struct span interval, char *why, size_t why_size)
{
    struct reading r = {.conn = conn, .watch = w, .why = why, .why_size = why_size};
    int err = until.ns > 0 ? choose(&r, a, until, interval) : 0;

    if (!err && r.count) {
        err = end(&r, ask(&r, until, interval));
        err = err ? err : watch_rows_end(w, a, until);
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        PQclear(r.held[d]);
    }
    bytes_fini(&r.ids);
    bytes_fini(&r.params);
    bytes_fini(&r.splits);
    free(r.wanted);
    return err;
}
