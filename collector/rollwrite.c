/* rollwrite.c - reading rows back, and writing what they merge to. */
#include "rollwrite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cell.h"
#include "copy.h"
#include "pg.h"
#include "wire.h"

#define NUMBER_SIZE 24

/* Series read at once: bounds what is held of their rows. */
#define CHUNK 128

/* What is merged, of what. */
struct level {
    const char *name; /* The table. */
    uint32_t seconds;
    const char *read; /* Finer rows of series $1 from $2 until $3, both in s. */
    const char *copy;
    bool of_rows;
};

#define PART_COLUMNS 22

/* LATERAL and OFFSET keep the plan to one index scan a series, also on a partition
 * of which PostgreSQL has no statistics yet. */
#define READ(columns, table)                                                                       \
    "SELECT r.* FROM unnest($1::bigint[]) s(id) CROSS JOIN LATERAL (SELECT " columns               \
    " FROM plumbline_store." table " r WHERE r.series_id = s.id "                                  \
    "AND r.start >= to_timestamp($2::bigint) AND r.start < to_timestamp($3::bigint) OFFSET 0) r "  \
    "ORDER BY r.series_id, r.params_id, r.start"
#define HEAD "r.series_id, r.params_id, r.start, r.flags, r.unknown_dt, "
#define COPY(table)                                                                                \
    "COPY plumbline_store." table " (" COPY_ROLLUP_COLUMNS ") FROM STDIN (FORMAT binary)"
enum { AT_SERIES, AT_PARAMS, AT_START, AT_FLAGS, AT_UNKNOWN, AT_NEXT };

static const struct level quarter_level = {
    .name = "quarter_row",
    .seconds = ROLLUP_QUARTER_S,
    .of_rows = true,
    .read = READ(HEAD "CASE WHEN r.flags & 1 <> 0 THEN r.dt END AS dt, r.seconds, r.dt_count, "
                      "r.scheduled, r.sent, r.send_errors, r.received, r.lost, r.lost_undirected, "
                      "r.unknown, r.late, r.duplicate, r.reordered, r.stamped_user, "
                      "r.stamped_hardware, r.clock_error_ns, r.delay_count, r.delay_sum_ns, "
                      "r.delay_min_ns, r.delay_max_ns, r.over_limit, r.hist, r.ifdv",
                 "interval_row"),
    .copy = COPY("quarter_row")};
static const struct level day_level = {
    .name = "day_row",
    .seconds = ROLLUP_DAY_S,
    .read = READ(
        HEAD "r.undetermined_dt, " COPY_PART_COLUMNS("r.clean") ", " COPY_PART_COLUMNS("r.unclean"),
        "quarter_row"),
    .copy = COPY("day_row")};

/* A row that was taken back, to be written anew. */
struct taken {
    int64_t series_id, params_id;
    uint32_t revision;
};

struct rollwrite {
    struct rollup_maker *maker;
    struct bytes out, ids;
    int64_t *series; /* Of the source, or of the change, ascending. */
    size_t series_count, series_room;
    struct taken *taken; /* By series and params. */
    size_t taken_count, taken_room;
};

/* One pass over the finer rows. */
struct merging {
    struct rollwrite *r;
    const struct level *level;
    int64_t start_s, series_id, params_id;
    bool begun;
    uint64_t written;
};

struct rollwrite *
rollwrite_new(void)
{
    struct rollwrite *r = calloc(1, sizeof *r);

    if (r && !(r->maker = rollup_maker_new())) {
        free(r);
        r = NULL;
    }
    return r;
}

void
rollwrite_free(struct rollwrite *r)
{
    if (r) {
        rollup_maker_free(r->maker);
        bytes_fini(&r->out);
        bytes_fini(&r->ids);
        free(r->series);
        free(r->taken);
        free(r);
    }
}

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* --- Reading -------------------------------------------------------------- */

static bool
cell_part(const PGresult *r, int row, int at, struct rollup_part *out)
{
    *out =
        (struct rollup_part){.seconds = cell_i4(r, row, at), .dt_count = cell_i4(r, row, at + 1)};
    at += 2;
    for (int i = 0; i < ROLLUP_COUNTS; i++) {
        out->counts[i] = (uint64_t)cell_i8(r, row, at++);
    }
    out->clock_error_ns = PQgetisnull(r, row, at) ? UINT64_MAX : (uint64_t)cell_i8(r, row, at);
    out->delay_count = (uint64_t)cell_i8(r, row, at + 1);
    out->delay_sum_ns = cell_i8(r, row, at + 2);
    out->delay_min_ns = cell_i8(r, row, at + 3); /* NULL reads as 0. */
    out->delay_max_ns = cell_i8(r, row, at + 4);
    out->hist = cell_bytes(r, row, at + 6, &out->hist_size);
    out->ifdv = cell_bytes(r, row, at + 7, &out->ifdv_size);
    return cell_over(r, row, at + 5, out->over, &out->over_count);
}

static int
add_row(struct merging *m, const PGresult *r, int row)
{
    struct rollup finer = rollup_nothing();
    const uint8_t *dt = NULL;
    size_t dt_size = 0;
    bool good;

    finer.flags = cell_i4(r, row, AT_FLAGS);
    finer.unknown_dt = cell_i4(r, row, AT_UNKNOWN);
    if (m->level->of_rows) {
        int part = finer.flags & ROW_UNCLEAN ? ROLLUP_UNCLEAN : ROLLUP_CLEAN;
        dt = cell_bytes(r, row, AT_NEXT, &dt_size);
        good = cell_part(r, row, AT_NEXT + 1, &finer.part[part]);
    } else {
        finer.undetermined_dt = cell_i4(r, row, AT_NEXT);
        good = cell_part(r, row, AT_NEXT + 1, &finer.part[ROLLUP_CLEAN]) &&
               cell_part(r, row, AT_NEXT + 1 + PART_COLUMNS, &finer.part[ROLLUP_UNCLEAN]);
    }
    return good ? rollup_add(m->r->maker, &finer, dt, dt_size) : -EBADMSG;
}

/* --- Merging -------------------------------------------------------------- */

static int
compare_taken(const void *a, const void *b)
{
    const struct taken *x = a, *y = b;

    if (x->series_id != y->series_id) {
        return x->series_id < y->series_id ? -1 : 1;
    }
    return x->params_id < y->params_id ? -1 : x->params_id > y->params_id;
}

static uint32_t
revision_of(const struct merging *m)
{
    const struct taken wanted = {.series_id = m->series_id, .params_id = m->params_id};
    const struct taken *t = m->r->taken_count ? bsearch(&wanted, m->r->taken, m->r->taken_count,
                                                        sizeof wanted, compare_taken)
                                              : NULL;
    return t ? t->revision + 1 : 0;
}

static int
end_one(struct merging *m)
{
    struct rollup row;

    if (!m->begun) {
        return 0;
    }
    int err = rollup_end(m->r->maker, &row);
    if (err) {
        return err;
    }
    const struct copy_place place = {.series_id = m->series_id,
                                     .params_id = m->params_id,
                                     .start = instant_of_ns(m->start_s * NS_PER_S),
                                     .seconds = m->level->seconds,
                                     .revision = revision_of(m)};
    copy_rollup(&m->r->out, &place, &row);
    m->written++;
    m->begun = false;
    return 0;
}

static int
take_rows(struct merging *m, const PGresult *r)
{
    int err = 0;

    for (int i = 0; i < PQntuples(r) && !err; i++) {
        int64_t series = cell_i8(r, i, AT_SERIES), params = cell_i8(r, i, AT_PARAMS);
        if (m->begun && (series != m->series_id || params != m->params_id)) {
            err = end_one(m);
        }
        if (!err && !m->begun) {
            m->series_id = series;
            m->params_id = params;
            m->begun = true;
            rollup_begin(m->r->maker, m->level->seconds);
        }
        err = err ? err : add_row(m, r, i);
    }
    return err ? err : end_one(m);
}

/* "{1,2,3}" of some of the series. */
static const char *
ids_text(struct rollwrite *r, size_t from, size_t count)
{
    char text[NUMBER_SIZE];

    bytes_clear(&r->ids);
    bytes_text(&r->ids, "{");
    for (size_t i = from; i < from + count; i++) {
        bytes_text(&r->ids, i > from ? "," : "");
        bytes_text(&r->ids, number(text, r->series[i]));
    }
    bytes_add(&r->ids, "}", 2);
    return bytes_ok(&r->ids) ? (const char *)r->ids.at : NULL;
}

/* Merges what the series have in [start, start + the level's seconds), and writes
 * it. */
static int
merge(struct rollwrite *r, PGconn *conn, const struct level *level, int64_t start_s,
      uint64_t *written, char *why, size_t why_size)
{
    struct merging m = {.r = r, .level = level, .start_s = start_s};
    char from[NUMBER_SIZE], until[NUMBER_SIZE];
    int err = 0;

    copy_begin(&r->out);
    for (size_t at = 0; at < r->series_count && !err; at += CHUNK) {
        size_t count = r->series_count - at < CHUNK ? r->series_count - at : CHUNK;
        const char *values[] = {ids_text(r, at, count), number(from, start_s),
                                number(until, start_s + level->seconds)};
        if (!values[0]) {
            return -ENOMEM;
        }
        PGresult *rows = pg_rows(conn, level->read, 3, values, true, why, why_size);
        if (!rows) {
            return -EIO;
        }
        err = take_rows(&m, rows);
        PQclear(rows);
    }
    copy_end(&r->out);
    if (err == -EBADMSG) {
        snprintf(why, why_size, "a row of series %" PRId64 " from %" PRId64 " on does not decode",
                 m.series_id, start_s);
        return -EIO;
    }
    if (err || !bytes_ok(&r->out)) {
        return -ENOMEM;
    }
    *written += m.written;
    return m.written ? pg_copy(conn, level->copy, r->out.at, r->out.size, why, why_size) : 0;
}

/* --- Transactions --------------------------------------------------------- */

/* The plan is an index scan, whatever the statistics say. */
static int
settle(PGconn *conn, char *why, size_t why_size)
{
    PGresult *r = PQexec(conn, "SET LOCAL enable_seqscan = off; SET LOCAL jit = off");
    int err = PQresultStatus(r) == PGRES_COMMAND_OK ? 0 : -EIO;

    if (err) {
        pg_error(conn, r, why, why_size);
    }
    PQclear(r);
    return err;
}

static int
series_room(struct rollwrite *r, size_t wanted)
{
    if (wanted > r->series_room) {
        int64_t *more = reallocarray(r->series, wanted, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        r->series = more;
        r->series_room = wanted;
    }
    return 0;
}

/* All series that the source ever had. */
static int
load_series(struct rollwrite *r, PGconn *conn, int64_t source_id, char *why, size_t why_size)
{
    char id[NUMBER_SIZE];
    const char *values[] = {number(id, source_id)};
    PGresult *rows = pg_rows(conn,
                             "SELECT DISTINCT unnest(ARRAY[fwd_series, bwd_series, rt_series]) "
                             "FROM plumbline_store.session WHERE source_id = $1 ORDER BY 1",
                             1, values, true, why, why_size);
    if (!rows) {
        return -EIO;
    }
    r->series_count = 0;
    int err = series_room(r, (size_t)PQntuples(rows));
    for (int i = 0; i < PQntuples(rows) && !err; i++) {
        r->series[r->series_count++] = cell_i8(rows, i, 0);
    }
    PQclear(rows);
    return err;
}

/* Takes back what the series have at 'start', remembering it in 'taken'. */
static int
take_back(struct rollwrite *r, PGconn *conn, const struct level *level, int64_t start_s, char *why,
          size_t why_size)
{
    char sql[256], start[NUMBER_SIZE];
    const char *values[] = {ids_text(r, 0, r->series_count), number(start, start_s)};

    r->taken_count = 0;
    snprintf(sql, sizeof sql,
             "DELETE FROM plumbline_store.%s WHERE series_id = ANY($1::bigint[]) "
             "AND start = to_timestamp($2::bigint) RETURNING series_id, params_id, revision",
             level->name);
    PGresult *rows = values[0] ? pg_rows(conn, sql, 2, values, true, why, why_size) : NULL;
    if (!rows) {
        return values[0] ? -EIO : -ENOMEM;
    }
    size_t n = (size_t)PQntuples(rows);
    if (n > r->taken_room) {
        struct taken *more = reallocarray(r->taken, n, sizeof *more);
        if (!more) {
            PQclear(rows);
            return -ENOMEM;
        }
        r->taken = more;
        r->taken_room = n;
    }
    for (int i = 0; i < (int)n; i++) {
        r->taken[r->taken_count++] = (struct taken){.series_id = cell_i8(rows, i, 0),
                                                    .params_id = cell_i8(rows, i, 1),
                                                    .revision = cell_i4(rows, i, 2)};
    }
    PQclear(rows);
    if (n) {
        qsort(r->taken, n, sizeof r->taken[0], compare_taken);
    }
    return 0;
}

static int
note(PGconn *conn, int64_t source_id, int64_t rolled_s, char *why, size_t why_size)
{
    char id[NUMBER_SIZE], rolled[NUMBER_SIZE];
    const char *values[] = {number(id, source_id), number(rolled, rolled_s)};

    return pg_run(conn,
                  "UPDATE plumbline_store.source_position SET rolled_until = "
                  "to_timestamp($2::bigint) WHERE source_id = $1",
                  2, values, why, why_size) < 0
               ? -EIO
               : 0;
}

int
rollwrite_carry_out(struct rollwrite *r, PGconn *conn, int64_t source_id,
                    const struct rollup_plan *plan, uint64_t *written, char *why, size_t why_size)
{
    bool idle =
        !plan->quarter_count && !plan->day_count && !plan->reopen_quarter_s && !plan->reopen_day_s;
    int err = idle ? 0 : settle(conn, why, why_size);

    if (!idle && !err) {
        err = load_series(r, conn, source_id, why, why_size);
    }
    if (plan->reopen_quarter_s && !err) {
        err = take_back(r, conn, &quarter_level, plan->reopen_quarter_s, why, why_size);
    }
    if (plan->reopen_day_s && !err) {
        err = take_back(r, conn, &day_level, plan->reopen_day_s, why, why_size);
    }
    r->taken_count = 0;
    for (size_t i = 0; i < plan->quarter_count && !err; i++) {
        err = merge(r, conn, &quarter_level, plan->quarters_s[i], written, why, why_size);
    }
    for (size_t i = 0; i < plan->day_count && !err; i++) {
        err = merge(r, conn, &day_level, plan->days_s[i], written, why, why_size);
    }
    return err ? err : note(conn, source_id, plan->rolled_s, why, why_size);
}

/* --- Revising ------------------------------------------------------------- */

static int
compare_changes(const void *a, const void *b)
{
    const struct rollwrite_change *x = a, *y = b;

    if (x->start_s != y->start_s) {
        return x->start_s < y->start_s ? -1 : 1;
    }
    return x->series_id < y->series_id ? -1 : x->series_id > y->series_id;
}

static int
compare_ids(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The series of changes in one quarter hour or day, each once. */
static int
changed_series(struct rollwrite *r, const struct rollwrite_change *changes, size_t count)
{
    size_t n = 0;

    if (series_room(r, count)) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        r->series[i] = changes[i].series_id;
    }
    qsort(r->series, count, sizeof r->series[0], compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (n == 0 || r->series[n - 1] != r->series[i]) {
            r->series[n++] = r->series[i];
        }
    }
    r->series_count = n;
    return 0;
}

/* What was not merged yet is not now either. */
static void
keep_taken(struct rollwrite *r)
{
    r->series_count = 0;
    for (size_t i = 0; i < r->taken_count; i++) {
        if (r->series_count == 0 || r->series[r->series_count - 1] != r->taken[i].series_id) {
            r->series[r->series_count++] = r->taken[i].series_id;
        }
    }
}

static int
revise_level(struct rollwrite *r, PGconn *conn, const struct level *level,
             const struct rollwrite_change *changes, size_t count, char *why, size_t why_size)
{
    uint64_t written = 0;
    int err = 0;

    for (size_t at = 0, end; at < count && !err; at = end) {
        int64_t start = changes[at].start_s - changes[at].start_s % level->seconds;
        for (end = at; end < count && changes[end].start_s < start + level->seconds; end++) {
        }
        err = changed_series(r, changes + at, end - at);
        err = err ? err : take_back(r, conn, level, start, why, why_size);
        if (!err) {
            keep_taken(r);
            err = merge(r, conn, level, start, &written, why, why_size);
        }
        if (!err && written < r->taken_count) {
            snprintf(why, why_size, "rows of %s from %" PRId64 " on are gone", level->name, start);
            err = -EIO;
        }
        written = 0;
    }
    r->taken_count = 0;
    return err;
}

int
rollwrite_revise(struct rollwrite *r, PGconn *conn, struct rollwrite_change *changes, size_t count,
                 char *why, size_t why_size)
{
    int err = count ? settle(conn, why, why_size) : 0;

    if (count && !err) {
        qsort(changes, count, sizeof changes[0], compare_changes);
        err = revise_level(r, conn, &quarter_level, changes, count, why, why_size);
    }
    if (count && !err) {
        err = revise_level(r, conn, &day_level, changes, count, why, why_size);
    }
    return err;
}
