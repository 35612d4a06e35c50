/* alarmstore.c - writing the rows of alarms. */
#include "alarmstore_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"

#define NUMBER_SIZE 24
/* Of a batch of which nothing goes in so many rows are tried one by one. */
#define UNSURE_MAX 64

/* --- What is to be written ------------------------------------------------------------- */

void
alarmstore_begin(struct alarmstore_batch *b)
{
    bytes_clear(&b->json);
    bytes_clear(&b->starts);
    b->count = b->loud = 0;
}

void
alarmstore_fini(struct alarmstore_batch *b)
{
    bytes_fini(&b->json);
    bytes_fini(&b->starts);
    bytes_fini(&b->some);
    bytes_fini(&b->given_up);
}

static void
add_number(struct bytes *to, const char *before, int64_t v)
{
    char text[NUMBER_SIZE];

    snprintf(text, sizeof text, "%" PRId64, v);
    bytes_text(to, before);
    bytes_text(to, text);
}

/* Keys of the inventory and our own words hold nothing that must be escaped. */
static void
add_text(struct bytes *to, const char *before, const char *text)
{
    bytes_text(to, before);
    bytes_text(to, "\"");
    bytes_text(to, text);
    bytes_text(to, "\"");
}

static void
add_time(struct bytes *to, const char *before, struct instant at)
{
    if (at.ns) {
        add_number(to, before, at.ns / NS_PER_US);
    }
}

static void
add_loss(struct bytes *to, const struct alarm_episode *e)
{
    add_number(to, ",\"sent\":", (int64_t)e->sent);
    add_number(to, ",\"fwd\":{\"lost\":", (int64_t)e->fwd);
    add_number(to, "},\"bwd\":{\"lost\":", (int64_t)e->bwd);
    add_number(to, "},\"undirected\":", (int64_t)e->undirected);
    add_number(to, ",\"overdue\":", (int64_t)e->overdue);
    add_number(to, ",\"send_errors\":", (int64_t)e->send_errors);
}

static void
add_flows(struct bytes *to, const struct alarm_episode *e)
{
    add_number(to, ",\"flows\":{\"of\":", e->flow_count);
    bytes_text(to, ",\"over\":[");
    for (uint32_t i = 0; i < e->over_count && i < ALARM_FLOWS_NAMED; i++) {
        add_number(to, i ? "," : "", e->over[i]);
    }
    add_number(to, "],\"over_count\":", e->over_count);
    bytes_text(to, "}");
}

/* doc/problems.md, an alarm's details. */
static void
add_details(struct bytes *to, const struct watch_news *n)
{
    const struct alarm_episode *e = n->episode;
    const enum inv_metric_kind kind = n->rule->metric.kind;
    bool ratio = inv_metric_unit(kind) == INV_MILLI_PERCENT;

    add_number(to, "{\"value\":", e->value);
    add_number(to, ",\"worst\":", e->worst);
    add_number(to, ",\"limit\":", e->limit);
    add_text(to, ",\"unit\":", ratio ? "milli_percent" : "ns");
    if (e->baseline) {
        add_number(to, ",\"baseline\":", e->baseline);
    }
    if (n->scope == WATCH_LINK && e->flow_count) {
        add_flows(to, e);
    }
    if (kind == INV_FLR || kind == INV_FLR_RAW) {
        add_loss(to, e);
    }
    if (n->far[0]) {
        add_text(to, ",\"far\":", n->far);
    }
    if (n->text) {
        add_text(to, ",\"text\":", n->text);
    }
    if (e->flaps) {
        bytes_text(to, ",\"gone\":false"); /* It is back. */
    }
    bytes_text(to, "}");
}

/* sql/0021-progress.sql says what the numbers are. */
static void
add_flow(struct bytes *to, const struct alarm_progress *p)
{
    const int64_t v[ALARMSTORE_PROGRESS] = {p->number,
                                            p->dt.ns,
                                            p->until.ns,
                                            p->judged.ns,
                                            p->bad_until.ns,
                                            p->good_at.ns,
                                            p->good.ns,
                                            p->over,
                                            p->none,
                                            (int64_t)p->counted,
                                            (int64_t)p->sent,
                                            (int64_t)p->fwd,
                                            (int64_t)p->bwd,
                                            (int64_t)p->undirected,
                                            (int64_t)p->send_errors};

    for (size_t i = 0; i < ALARMSTORE_PROGRESS; i++) {
        add_number(to, i ? "," : "[", v[i]);
    }
    bytes_text(to, "]");
}

static void
add_progress(struct bytes *to, const struct watch_news *n)
{
    const struct alarm_episode *e = n->episode;

    add_number(to, "{\"decided\":", e->decided.ns / NS_PER_US);
    add_number(to, ",\"worst\":", e->worst);
    if (n->scope == WATCH_PROBE) {
        add_number(to, ",\"heard\":[", (int64_t)n->heard.epoch);
        add_number(to, ",", (int64_t)n->heard.sequence);
        bytes_text(to, "]");
        add_time(to, ",\"good_since\":", n->good_since);
    }
    bytes_text(to, ",\"flows\":[");
    for (uint32_t i = 0; i < n->cell->flow_count; i++) {
        struct alarm_progress p;
        alarm_progress(n->cell, i, &p);
        bytes_text(to, i ? "," : "");
        add_flow(to, &p);
    }
    bytes_text(to, "]}");
}

static const char *
severity_name(enum inv_severity s)
{
    static const char *const names[INV_SEVERITIES] = {"critical", "major", "minor", "warning",
                                                      "info"};
    return names[s];
}

void
alarmstore_add(struct alarmstore_batch *b, int64_t source_id, const struct watch_news *n)
{
    const struct alarm_episode *e = n->episode;
    struct bytes *to = &b->json;
    char metric[INV_METRIC_SIZE];

    bytes_add(&b->starts, &to->size, sizeof to->size);
    add_number(to, "{\"n\":", (int64_t)b->count);
    add_number(to, ",\"source_id\":", source_id);
    add_text(to, ",\"rule\":", n->rule_key);
    add_text(to, ",\"scope\":", n->scope == WATCH_PROBE ? "probe" : "link");
    add_text(to, ",\"object\":", n->object);
    add_text(to, ",\"class\":", n->class_name);
    add_text(to, ",\"observer\":", n->observer);
    add_time(to, ",\"began\":", e->began);
    add_time(to, ",\"raised\":", e->raised);
    add_time(to, ",\"decided\":", e->decided);
    add_time(to, ",\"cleared\":", e->cleared);
    add_time(to, ",\"ended\":", e->ended);
    add_number(to, ",\"flaps\":", e->flaps);
    if (n->rule) {
        add_text(to, ",\"metric\":", inv_metric_format(n->rule->metric, metric, sizeof metric));
        add_text(to, ",\"severity\":", severity_name(n->rule->severity));
        bytes_text(to, n->quiet ? ",\"quiet\":true,\"details\":" : ",\"details\":");
        add_details(to, n);
    } else {
        add_text(to, ",\"details\":{\"gone\":true,\"text\":", n->text);
        bytes_text(to, "}");
    }
    if (n->cell) {
        bytes_text(to, ",\"progress\":");
        add_progress(to, n);
    }
    bytes_text(to, "},");
    b->count++;
    b->loud += !n->quiet;
}

/* --- Writing --------------------------------------------------------------------------- */

#define TOLD                                                                                       \
    "WITH told AS MATERIALIZED (SELECT n, source_id, rule, metric, severity, scope, object, "      \
    "class, observer, timestamptz 'epoch' + began * interval '1 microsecond' AS began, "           \
    "timestamptz 'epoch' + raised * interval '1 microsecond' AS raised, "                          \
    "timestamptz 'epoch' + decided * interval '1 microsecond' AS decided, "                        \
    "timestamptz 'epoch' + cleared * interval '1 microsecond' AS cleared, "                        \
    "timestamptz 'epoch' + ended * interval '1 microsecond' AS ended, flaps, details, progress, "  \
    "coalesce(quiet, false) AS quiet "                                                             \
    "FROM jsonb_to_recordset($1::jsonb) AS t(n bigint, source_id bigint, rule text, "              \
    "metric text, severity text, scope text, object text, class text, observer text, "             \
    "began bigint, raised bigint, decided bigint, cleared bigint, ended bigint, flaps integer, "   \
    "details jsonb, progress jsonb, quiet boolean)) "
#define SAME                                                                                       \
    "a.scope = t.scope AND a.object = t.object AND a.began = t.began AND a.raised = t.raised "     \
    "AND a.rule = t.rule AND a.class = t.class AND a.observer = t.observer"
#define TELL_DESK(table)                                                                           \
    ", news AS (INSERT INTO plumbline_store.alarm_news (alarm) SELECT id FROM " table              \
    " WHERE NOT quiet) SELECT count(*) FROM " table

/* An episode keeps the instants at which it began and was raised, so these name its row.  What is
 * quiet changes nothing that people are told. */
static const char update_sql[] =
    TOLD ", changed AS (UPDATE plumbline_store.alarm a SET decided = t.decided, "
         "cleared = t.cleared, ended = t.ended, flaps = t.flaps, "
         "severity = coalesce(t.severity, a.severity), progress = t.progress, "
         "details = CASE WHEN t.quiet THEN a.details ELSE a.details || t.details END, "
         "changed_at = CASE WHEN t.quiet THEN a.changed_at ELSE clock_timestamp() END "
         "FROM told t WHERE " SAME " RETURNING a.id, t.quiet)" TELL_DESK("changed");

/* A row of the cell that is raised under other instants is another collector's, which read the
 * stream from elsewhere: it goes on as ours. */
static const char insert_sql[] =
    TOLD ", made AS (INSERT INTO plumbline_store.alarm AS a (source_id, rule, metric, severity, "
         "scope, object, class, observer, began, raised, decided, cleared, ended, flaps, details, "
         "progress) SELECT source_id, rule, metric, severity, scope, object, class, observer, "
         "began, raised, decided, cleared, ended, flaps, details, progress FROM told t "
         "WHERE metric IS NOT NULL AND NOT quiet AND NOT EXISTS (SELECT FROM plumbline_store.alarm "
         "a WHERE " SAME ") ORDER BY n "
         "ON CONFLICT (rule, scope, object, class, observer) WHERE cleared IS NULL DO UPDATE "
         "SET began = EXCLUDED.began, raised = EXCLUDED.raised, decided = EXCLUDED.decided, "
         "details = a.details || EXCLUDED.details, progress = EXCLUDED.progress, "
         "changed_at = clock_timestamp() RETURNING a.id, false AS quiet)" TELL_DESK("made");

/* Whose fault a refusal is: of neither of these the next try may go well. */
enum fault { FAULT_OTHER, FAULT_ROW, FAULT_ROW_OR_TABLE };

struct writing {
    PGconn *conn;
    struct alarmstore_batch *b;
    size_t taken;  /* Rows that were written. */
    size_t unsure; /* Of those given up: of which the table may be to blame. */
    enum fault fault;
    char *why;
    size_t why_size;
};

/* Of the first two letters of the SQLSTATE (PostgreSQL's appendix A): a value out of range or no
 * text; a row twice, a constraint, a check of a view, a limit (an index's entry), a trigger. */
static enum fault
fault_of(const PGresult *r)
{
    static const char *const unsure[] = {"21", "23", "44", "54", "P0"};
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    if (state && strncmp(state, "22", 2) == 0) {
        return FAULT_ROW;
    }
    for (size_t i = 0; state && i < sizeof unsure / sizeof unsure[0]; i++) {
        if (strncmp(state, unsure[i], 2) == 0) {
            return FAULT_ROW_OR_TABLE;
        }
    }
    return FAULT_OTHER;
}

/* Of rows in JSON; adds to '*count' those that it wrote. */
static int
write_json(struct writing *w, const char *sql, const char *json, size_t *count)
{
    const char *values[] = {json};
    PGresult *r = pg_call(w->conn, sql, 1, values);
    int err = 0;

    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        *count += strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    } else {
        w->fault = fault_of(r);
        pg_error(w->conn, r, w->why, w->why_size);
        err = alarmstore_failed(w->conn);
    }
    PQclear(r);
    return err;
}

static int
run(struct writing *w, const char *sql)
{
    if (pg_run(w->conn, sql, 0, NULL, w->why, w->why_size) < 0) {
        w->fault = FAULT_OTHER;
        return alarmstore_failed(w->conn);
    }
    return 0;
}

/* Their text, without the comma behind the last. */
static const char *
rows(const struct alarmstore_batch *b, size_t from, size_t until, size_t *size)
{
    const size_t *starts = (const size_t *)(const void *)b->starts.at;
    size_t end = until < b->count ? starts[until] : b->json.size;

    *size = end - 1 - starts[from];
    return (const char *)b->json.at + starts[from];
}

static int
write_rows(struct writing *w, size_t from, size_t until)
{
    struct bytes *some = &w->b->some;
    size_t size, count = 0;
    const char *text = rows(w->b, from, until, &size);

    bytes_clear(some);
    bytes_text(some, "[");
    bytes_add(some, text, size);
    bytes_add(some, "]", 2);
    if (!bytes_ok(some)) {
        snprintf(w->why, w->why_size, "out of memory");
        return -ENOMEM;
    }
    int err = write_json(w, update_sql, (const char *)some->at, &count);
    err = err ? err : write_json(w, insert_sql, (const char *)some->at, &count);
    w->taken += err ? 0 : count;
    return err;
}

static int
give_up(struct writing *w, size_t row)
{
    struct bytes *to = &w->b->given_up;
    size_t size;
    const char *text = rows(w->b, row, row + 1, &size);

    bytes_add(to, text, size);
    bytes_add(to, "", 1);
    bytes_add(to, w->why, strlen(w->why) + 1);
    w->unsure += w->fault == FAULT_ROW_OR_TABLE;
    if (!bytes_ok(to)) {
        return -ENOMEM;
    }
    /* Nothing goes in: it is the table's fault, and the rest need not be tried. */
    return !w->taken && w->unsure >= UNSURE_MAX ? -EBADMSG : 0;
}

static int
step_back(struct writing *w)
{
    int err = run(w, "ROLLBACK TO SAVEPOINT rows");

    return err ? err : run(w, "RELEASE SAVEPOINT rows");
}

/* By halves: a bad row of ten thousand is found in fourteen steps. */
static int
write_good(struct writing *w, size_t from, size_t until)
{
    int err = run(w, "SAVEPOINT rows");

    err = err ? err : write_rows(w, from, until);
    if (!err) {
        return run(w, "RELEASE SAVEPOINT rows");
    }
    if (err != -EBADMSG || w->fault == FAULT_OTHER) {
        return err;
    }
    if (until - from == 1) {
        err = give_up(w, from);
        return err ? err : step_back(w);
    }
    size_t middle = from + (until - from) / 2;
    err = step_back(w);
    err = err ? err : write_good(w, from, middle);
    return err ? err : write_good(w, middle, until);
}

static int
begin(struct writing *w)
{
    int err = run(w, "BEGIN");

    err = err ? err : run(w, "SET LOCAL lock_timeout = '2s'");
    return err ? err : run(w, "SET LOCAL statement_timeout = '10s'");
}

static int
commit(struct writing *w)
{
    int err = w->b->loud ? run(w, "SELECT pg_notify('" ALARMSTORE_CHANNEL "', '')") : 0;

    return err ? err : run(w, "COMMIT");
}

/* What PostgreSQL refused is undone, where the connection is good. */
static int
undo(const struct writing *w, int err)
{
    char ignored[8];

    return pg_run(w->conn, "ROLLBACK", 0, NULL, ignored, sizeof ignored) < 0 ? -EIO : err;
}

/* Going back to a savepoint lets go of the table: whoever waits to change it would do so between
 * two halves, and rows refused before that are given up though they would go in now. */
static int
hold_table(struct writing *w)
{
    return run(w, "LOCK TABLE plumbline_store.alarm IN ROW EXCLUSIVE MODE");
}

static int
write_all_good(struct writing *w)
{
    int err = begin(w);

    err = err ? err : hold_table(w);
    err = err ? err : write_good(w, 0, w->b->count);
    err = err || !w->unsure || w->taken ? err : -EBADMSG;
    err = err ? err : commit(w);
    return err ? undo(w, err) : 0;
}

static void
tell_given_up(const struct bytes *b, alarmstore_given_up_fn *fn, void *aux)
{
    const char *at = (const char *)b->at, *end = at + b->size;

    while (at < end) {
        const char *why = at + strlen(at) + 1;
        fn(at, why, aux);
        at = why + strlen(why) + 1;
    }
}

int
alarmstore_write(PGconn *conn, struct alarmstore_batch *b, alarmstore_given_up_fn *given_up,
                 void *aux, char *why, size_t why_size)
{
    struct writing w = {.conn = conn, .b = b, .why = why, .why_size = why_size};

    if (b->count == 0) {
        return 0;
    }
    if (!bytes_ok(&b->json) || !bytes_ok(&b->starts)) {
        snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    int err = begin(&w);
    err = err ? err : write_rows(&w, 0, b->count);
    err = err ? err : commit(&w);
    if (err) {
        err = undo(&w, err);
    }
    if (err == -EBADMSG && w.fault != FAULT_OTHER) {
        w.taken = 0;
        bytes_clear(&b->given_up);
        err = write_all_good(&w);
        if (!err) {
            tell_given_up(&b->given_up, given_up, aux);
        }
    }
    return err;
}
