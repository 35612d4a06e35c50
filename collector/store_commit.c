/* store_commit.c - what one commit writes, collected and written behind the fence. */
#include "store_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "copy.h"

/* --- What is collected ----------------------------------------------------- */

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

/* --- What is written ------------------------------------------------------- */

/* 1: it is still ours, and the row is locked until the commit.  '*rolled_s' is how far
 * the source is merged. */
static int
fence(struct store *s, const struct store_write *w, int64_t *rolled_s)
{
    char id[STORE_NUMBER_SIZE], old_e[STORE_NUMBER_SIZE], old_s[STORE_NUMBER_SIZE],
        run_text[STORE_NUMBER_SIZE];
    char new_e[STORE_NUMBER_SIZE], new_s[STORE_NUMBER_SIZE], until[STORE_NUMBER_SIZE];
    const char *values[] = {
        store_number(id, w->source_id),
        store_number(old_e, (int64_t)w->old.epoch),
        store_number(old_s, (int64_t)w->old.sequence),
        store_number(run_text, s->run),
        store_number(new_e, (int64_t)w->safe.epoch),
        store_number(new_s, (int64_t)w->safe.sequence),
        w->written_until.ns ? store_number(until, w->written_until.ns / NS_PER_S) : NULL,
        w->release};
    PGresult *r =
        store_ask(s,
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

static int
write_pending(struct store *s, struct store_write *w)
{
    char source[STORE_NUMBER_SIZE];
    struct bytes *const columns[] = {&w->pending_session, &w->pending_start, &w->pending_until,
                                     &w->pending_far};
    const char *values[5] = {store_number(source, w->source_id)};

    for (int i = 0; i < 4; i++) {
        bytes_text(columns[i], "}");
        bytes_add(columns[i], "", 1);
        if (!bytes_ok(columns[i])) {
            return -ENOMEM;
        }
        values[i + 1] = (const char *)columns[i]->at;
    }
    return store_do(s,
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
    char source[STORE_NUMBER_SIZE];
    const char *events[] = {store_number(source, w->source_id), (const char *)w->events.at};
    const char *refusals[] = {source, (const char *)w->refusals.at};

    if (!bytes_ok(&w->events) || !bytes_ok(&w->refusals)) {
        return -ENOMEM;
    }
    if (store_do(
            s,
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
    return store_do(
               s,
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

static int
write_all(struct store *s, struct store_write *w)
{
    int err = 0;

    if (w->row_count || w->liveness_count) {
        for (int64_t day = w->day_first; day <= w->day_last && !err; day++) {
            err = store_day_known(s, day) ? 0 : store_day_make(s, day);
        }
    }
    if (!err && w->sessions_new) {
        err = store_write_sessions(s, w);
    }
    if (!err && w->servings) {
        err = store_write_servings(s, w);
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

int
store_commit(struct store *s, struct store_write *w)
{
    if (store_do(s, "BEGIN", 0, NULL) < 0) {
        return -EIO;
    }
    int64_t rolled_s = 0;
    int held = fence(s, w, &rolled_s);
    if (held < 0) {
        return store_give_up(s);
    }
    if (held == 0) {
        return store_do(s, "ROLLBACK", 0, NULL) < 0 ? -EIO : 0;
    }
    w->rolled = 0;
    int err = write_all(s, w);
    err = err ? err : store_write_rollups(s, w, rolled_s);
    if (err == -ENOMEM) {
        /* Tried again like what PostgreSQL refuses, but it is not its fault. */
        snprintf(s->why, sizeof s->why, "out of memory");
    }
    if (err || store_do(s, "COMMIT", 0, NULL) < 0) {
        return store_give_up(s);
    }
    if (w->row_count || w->liveness_count) {
        for (int64_t day = w->day_first; day <= w->day_last; day++) {
            store_day_learn(s, day);
        }
    }
    for (struct assemble_session *a = w->sessions; a; a = a->next) {
        a->stored = a->stored || assemble_session_due(a, w->safe);
    }
    return 1;
}
