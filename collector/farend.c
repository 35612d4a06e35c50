/* farend.c - loss against the far end's own word. */
#include "farend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assemble.h"
#include "pg.h"
#include "rollwrite.h"
#include "telemetry.h"

#define NUMBER_SIZE 24
#define RECORDS_MAX 65536
#define SECONDS_MAX 4096
/* Judged in one transaction. */
#define PENDING_MAX 300
#define PENDING_LIMIT "300"
#define LOCK "1886157934, 2"

struct farend {
    struct row_maker *maker;
    struct dt_record *records; /* RECORDS_MAX */
    uint8_t *mark;
    uint8_t served[SECONDS_MAX];
    struct rollwrite *rollwrite;
    struct rollwrite_change changes[PENDING_MAX * DIRECTIONS];
    size_t change_count;
};

struct pending {
    const char *source_id, *session_id, *start_text, *until_text, *far_id, *params_id;
    int64_t start_s, until_s;
    const char *series[DIRECTIONS];
    struct session_key key;
};

struct farend *
farend_new(void)
{
    struct farend *f = calloc(1, sizeof *f);

    if (f) {
        f->maker = row_maker_new();
        f->records = calloc(RECORDS_MAX, sizeof f->records[0]);
        f->mark = calloc(RECORDS_MAX, 1);
        f->rollwrite = rollwrite_new();
        if (!f->maker || !f->records || !f->mark || !f->rollwrite) {
            farend_free(f);
            f = NULL;
        }
    }
    return f;
}

void
farend_free(struct farend *f)
{
    if (f) {
        row_maker_free(f->maker);
        rollwrite_free(f->rollwrite);
        free(f->records);
        free(f->mark);
        free(f);
    }
}

static bool
served(const struct farend_seconds *far, int64_t second)
{
    return second >= far->first && (uint64_t)(second - far->first) < far->count &&
           far->served[second - far->first];
}

size_t
farend_judge(const struct dt_record *records, size_t count, struct instant start, struct span dt,
             const struct farend_seconds *far, uint8_t *mark)
{
    size_t marked = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t from = start.ns + (int64_t)i * dt.ns;
        int64_t until = from + dt.ns;
        mark[i] = 0;
        if (records[i].kind != DT_FULL || records[i].lost == 0 || records[i].flags & DT_UNKNOWN) {
            continue;
        }
        for (int64_t s = from / NS_PER_S; s * NS_PER_S < until && !mark[i]; s++) {
            mark[i] = !served(far, s);
        }
        marked += mark[i];
    }
    return marked;
}

/* --- What the far end said ------------------------------------------------ */

struct reading {
    struct farend *f;
    int64_t first, count;
    const PGresult *servings; /* Column 0: serving_id that has the link. */
};

static void
on_liveness(const struct assemble_liveness *l, void *aux)
{
    struct reading *r = aux;
    char id[NUMBER_SIZE];
    bool has_link = false;

    snprintf(id, sizeof id, "%" PRId64, l->serving_id);
    for (int i = 0; i < PQntuples(r->servings) && !has_link; i++) {
        has_link = strcmp(PQgetvalue(r->servings, i, 0), id) == 0;
    }
    if (!l->reflecting || !has_link || l->serving_id == 0) {
        return;
    }
    for (uint32_t k = 0; k < l->seconds; k++) {
        int64_t at = (int64_t)l->second + k - r->first;
        if (at >= 0 && at < r->count) {
            r->f->served[at] = 1;
        }
    }
}

static int64_t
be64_of(const char *at)
{
    int64_t v = 0;

    for (int i = 0; i < 8; i++) {
        v = (int64_t)((uint64_t)v << 8 | (uint8_t)at[i]);
    }
    return v;
}

static int
read_far(struct farend *f, PGconn *conn, const struct pending *p, struct farend_seconds *out,
         char *why, size_t why_size)
{
    const char *link[] = {p->far_id, p->key.object};
    const char *span[] = {p->far_id, p->start_text, p->until_text};
    struct reading reading = {.f = f, .first = p->start_s, .count = p->until_s - p->start_s};

    if (reading.count > SECONDS_MAX) {
        reading.count = SECONDS_MAX;
    }
    memset(f->served, 0, sizeof f->served);
    PGresult *servings = pg_rows(
        conn,
        "SELECT serving_id FROM plumbline_store.serving WHERE source_id = $1 AND $2 = ANY(objects)",
        2, link, 0, why, why_size);
    if (!servings) {
        return -EIO;
    }
    reading.servings = servings;
    PGresult *r = pg_rows(conn,
                          "SELECT extract(epoch FROM start)::bigint, record "
                          "FROM plumbline_store.liveness WHERE source_id = $1 "
                          "AND start > to_timestamp($2::bigint) - interval '1 hour' "
                          "AND start <= to_timestamp($3::bigint)",
                          3, span, true, why, why_size);
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct instant start = instant_of_ns(be64_of(PQgetvalue(r, i, 0)) * NS_PER_S);
        assemble_liveness_read(PQgetvalue(r, i, 1), (size_t)PQgetlength(r, i, 1), start,
                               on_liveness, &reading);
    }
    PQclear(servings);
    if (!r) {
        return -EIO;
    }
    PQclear(r);
    *out = (struct farend_seconds){reading.first, (size_t)reading.count, f->served};
    return 0;
}

/* --- Revising rows -------------------------------------------------------- */

static const char *
number(char buf[NUMBER_SIZE], uint64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, (int64_t)v);
    return buf;
}

static int
over_text(const struct row *r, unsigned limit_count, char *buf, size_t size)
{
    int n = snprintf(buf, size, "{");

    for (unsigned i = 0; i < limit_count; i++) {
        n += snprintf(buf + n, size - (size_t)n, "%s%" PRIu64, i ? "," : "", r->over[i]);
    }
    return n + snprintf(buf + n, size - (size_t)n, "}");
}

static int
update_row(PGconn *conn, const struct pending *p, const char *series, const struct row *r,
           char *why, size_t why_size)
{
    static const char sql[] =
        "UPDATE plumbline_store.interval_row SET revision = revision + 1, flags = $3, dt_count = "
        "$4, "
        "unknown_dt = $5, scheduled = $6, sent = $7, send_errors = $8, received = $9, lost = $10, "
        "lost_undirected = $11, unknown = $12, late = $13, duplicate = $14, reordered = $15, "
        "stamped_user = $16, stamped_hardware = $17, clock_error_ns = $18, delay_count = $19, "
        "delay_sum_ns = $20, delay_min_ns = $21, delay_max_ns = $22, delay_p50_ns = $23, "
        "delay_p95_ns = $24, delay_p99_ns = $25, delay_p99_9_ns = $26, over_limit = $27, dt = $28 "
        "WHERE series_id = $1 AND start = to_timestamp($2::bigint) AND params_id = $29";
    const uint64_t plain[] = {r->flags,
                              r->dt_count,
                              r->unknown_dt,
                              r->scheduled,
                              r->sent,
                              r->send_errors,
                              r->received,
                              r->lost,
                              r->lost_undirected,
                              r->unknown,
                              r->late,
                              r->duplicate,
                              r->reordered,
                              r->stamped_user,
                              r->stamped_hardware,
                              r->clock_error_ns,
                              r->delay_count,
                              (uint64_t)r->delay_sum_ns,
                              (uint64_t)r->delay_min_ns,
                              (uint64_t)r->delay_max_ns,
                              (uint64_t)r->quantile_ns[ROW_P50],
                              (uint64_t)r->quantile_ns[ROW_P95],
                              (uint64_t)r->quantile_ns[ROW_P99],
                              (uint64_t)r->quantile_ns[ROW_P99_9]};
    enum { PLAIN = sizeof plain / sizeof plain[0], CLOCK = 15, DELAYS = 18 };
    char text[PLAIN][NUMBER_SIZE], over[SERIES_LIMITS_MAX * 21 + 3];
    const char *values[PLAIN + 5] = {series, p->start_text};
    int lengths[PLAIN + 5] = {0}, formats[PLAIN + 5] = {0};

    for (int i = 0; i < PLAIN; i++) {
        bool missing =
            (i == CLOCK && r->clock_error_ns == UINT64_MAX) || (i >= DELAYS && r->delay_count == 0);
        values[i + 2] = missing ? NULL : number(text[i], plain[i]);
    }
    over_text(r, p->key.limit_count, over, sizeof over);
    values[PLAIN + 2] = r->any_over ? over : NULL;
    values[PLAIN + 3] = (const char *)r->dt;
    lengths[PLAIN + 3] = (int)r->dt_size;
    formats[PLAIN + 3] = 1;
    values[PLAIN + 4] = p->params_id;
    PGresult *done = PQexecParams(conn, sql, PLAIN + 5, NULL, values, lengths, formats, 0);
    int err = PQresultStatus(done) == PGRES_COMMAND_OK ? 0 : -EIO;
    if (err) {
        pg_error(conn, done, why, why_size);
    }
    PQclear(done);
    return err;
}

/* The stored records of one series; '*held' keeps their bytes. */
static int
read_records(struct farend *f, PGconn *conn, const struct pending *p, const char *series,
             PGresult **held, char *why, size_t why_size)
{
    const char *values[] = {series, p->start_text, p->params_id};

    *held = pg_rows(conn,
                    "SELECT dt FROM plumbline_store.interval_row "
                    "WHERE series_id = $1 AND start = to_timestamp($2::bigint) AND params_id = $3",
                    3, values, true, why, why_size);
    if (!*held) {
        return -EIO;
    }
    if (PQntuples(*held) == 0) {
        return 0; /* Its day is gone already. */
    }
    int n = row_decode_dt(PQgetvalue(*held, 0, 0), (size_t)PQgetlength(*held, 0, 0), f->records,
                          RECORDS_MAX);
    return n < 0 ? 0 : n;
}

static int
revise(struct farend *f, PGconn *conn, const struct pending *p, const char *series, size_t count,
       char *why, size_t why_size)
{
    PGresult *held;
    struct row row;
    int n = read_records(f, conn, p, series, &held, why, why_size);

    if (n == (int)count) {
        for (size_t i = 0; i < count; i++) {
            f->records[i].flags &= (uint32_t)~DT_UNDETERMINED;
            f->records[i].flags |= f->mark[i] ? DT_UNDETERMINED : 0;
        }
        n = row_make(f->maker, f->records, count, p->key.limit_count, false, &row);
        if (n == 0) {
            n = update_row(conn, p, series, &row, why, why_size);
            f->changes[f->change_count++] =
                (struct rollwrite_change){strtoll(series, NULL, 10), p->start_s};
        }
    }
    PQclear(held);
    return n < 0 ? n : 0;
}

static int
judge(struct farend *f, PGconn *conn, const struct pending *p, char *why, size_t why_size)
{
    struct farend_seconds far;
    PGresult *held = NULL;
    int err = read_far(f, conn, p, &far, why, why_size);

    if (err) {
        return err;
    }
    int n = read_records(f, conn, p, p->series[DIR_RT], &held, why, why_size);
    bool changed = false;
    if (n > 0) {
        struct instant first = instant_ceil(instant_of_ns(p->start_s * NS_PER_S), p->key.dt);
        farend_judge(f->records, (size_t)n, first, p->key.dt, &far, f->mark);
        /* Also the other way: what was put down to the absence of one that is back. */
        for (int i = 0; i < n; i++) {
            changed = changed || !(f->records[i].flags & DT_UNDETERMINED) != !f->mark[i];
        }
    }
    PQclear(held);
    for (int d = 0; n > 0 && changed && d < DIRECTIONS && !err; d++) {
        err = revise(f, conn, p, p->series[d], (size_t)n, why, why_size);
    }
    return n < 0 || err ? -EIO : 0;
}

static int
settle(PGconn *conn, const struct pending *p, char *why, size_t why_size)
{
    const char *key[] = {p->source_id, p->session_id, p->start_text};

    return pg_run(
               conn,
               "DELETE FROM plumbline_store.far_pending WHERE source_id = $1 AND session_id = $2 "
               "AND start = to_timestamp($3::bigint)",
               3, key, why, why_size) < 0
               ? -EIO
               : 0;
}

static int
judge_all(struct farend *f, PGconn *conn, const PGresult *r, char *why, size_t why_size)
{
    f->change_count = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        struct pending p = {.source_id = PQgetvalue(r, i, 0),
                            .session_id = PQgetvalue(r, i, 1),
                            .start_text = PQgetvalue(r, i, 2),
                            .until_text = PQgetvalue(r, i, 3),
                            .far_id = PQgetvalue(r, i, 4),
                            .params_id = PQgetvalue(r, i, 9),
                            .start_s = strtoll(PQgetvalue(r, i, 2), NULL, 10),
                            .until_s = strtoll(PQgetvalue(r, i, 3), NULL, 10)};
        size_t size;
        unsigned char *entry = PQunescapeBytea((const unsigned char *)PQgetvalue(r, i, 8), &size);
        pb_session *m = entry ? plumbline__telemetry__session__unpack(NULL, size, entry) : NULL;
        bool good = m && telemetry_session_key(m, &p.key);
        for (int d = 0; d < DIRECTIONS; d++) {
            p.series[d] = PQgetvalue(r, i, 5 + d);
        }
        if (m) {
            plumbline__telemetry__session__free_unpacked(m, NULL);
        }
        PQfreemem(entry);
        /* What is no dictionary entry (it was damaged in the table) can never be
         * judged: it stays as it is, and is not asked about for ever. */
        if ((good && judge(f, conn, &p, why, why_size)) || settle(conn, &p, why, why_size)) {
            return -EIO;
        }
    }
    int err = rollwrite_revise(f->rollwrite, conn, f->changes, f->change_count, why, why_size);
    return err ? err : PQntuples(r);
}

int
farend_run(struct farend *f, PGconn *conn, char *why, size_t why_size)
{
    int done = -EIO;

    if (pg_run(conn, "BEGIN", 0, NULL, why, why_size) < 0) {
        return -EIO;
    }
    PGresult *lock =
        pg_rows(conn, "SELECT pg_try_advisory_xact_lock(" LOCK ")", 0, NULL, false, why, why_size);
    if (lock && PQgetvalue(lock, 0, 0)[0] == 'f') {
        done = 0;
    } else if (lock) {
        PGresult *r = pg_rows(
            conn,
            "SELECT p.source_id, p.session_id, extract(epoch FROM p.start)::bigint, "
            "extract(epoch FROM p.until)::bigint, p.far_source_id, s.fwd_series, s.bwd_series, "
            "s.rt_series, s.entry, s.params_id "
            "FROM plumbline_store.far_pending p "
            "JOIN plumbline_store.source_position f ON f.source_id = p.far_source_id "
            "JOIN plumbline_store.source_position o ON o.source_id = p.source_id "
            "JOIN plumbline_store.session s "
            "ON s.source_id = p.source_id AND s.session_id = p.session_id "
            "WHERE f.written_until >= p.until OR f.closed ORDER BY p.start "
            "LIMIT " PENDING_LIMIT " FOR NO KEY UPDATE OF o SKIP LOCKED",
            0, NULL, false, why, why_size);
        done = r ? judge_all(f, conn, r, why, why_size) : -EIO;
        PQclear(r);
    }
    PQclear(lock);
    char ignored[8];
    if (done < 0) {
        pg_run(conn, "ROLLBACK", 0, NULL, ignored, sizeof ignored);
        return done;
    }
    return pg_run(conn, "COMMIT", 0, NULL, why, why_size) < 0 ? -EIO : done;
}
