/* deskstore_write.c - what the desk writes: each kind of rows in one statement. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deskstore.h"
#include "pg.h"

static int
run(struct deskstore *s, const char *sql, const char *json)
{
    const char *const values[] = {json};

    return pg_run(s->conn, sql, 1, values, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

/* Nothing to write is written. */
static int
write_rows(struct deskstore *s, const cJSON *rows, const char *sql)
{
    if (!cJSON_GetArraySize(rows)) {
        return 0;
    }
    char *json = cJSON_PrintUnformatted(rows);
    int err = json ? run(s, sql, json) : -ENOMEM;
    cJSON_free(json);
    return err;
}

/* --- New problems --------------------------------------------------------- */

static void
add_instant(cJSON *to, const char *name, struct instant i)
{
    char text[40];

    if (i.ns) {
        cJSON_AddStringToObject(to, name, instant_format(i, 6, text, sizeof text));
    } else {
        cJSON_AddNullToObject(to, name);
    }
}

static void
add_text(cJSON *to, const char *name, const char *text)
{
    if (text) {
        cJSON_AddStringToObject(to, name, text);
    } else {
        cJSON_AddNullToObject(to, name);
    }
}

/* All columns; what is missing because memory was out shows where it is printed, or is refused. */
static cJSON *
problem_row(const struct problem *p)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddNumberToObject(row, "id", (double)p->id);
    cJSON_AddStringToObject(row, "state", problem_state_name(p->state));
    cJSON_AddStringToObject(row, "severity", symptom_severity_name(p->severity));
    cJSON_AddStringToObject(row, "what", symptom_what_name(p->what));
    cJSON_AddStringToObject(row, "cause_kind", reach_cause_name(p->kind));
    cJSON_AddStringToObject(row, "cause", p->key);
    cJSON_AddStringToObject(row, "title", p->title ? p->title : "");
    add_instant(row, "began", p->began);
    add_instant(row, "ended", p->ended);
    add_instant(row, "opened_at", p->opened);
    add_instant(row, "closed_at", p->closed);
    add_text(row, "held", p->held);
    cJSON_AddNumberToObject(row, "revision", p->revision);
    cJSON_AddNumberToObject(row, "reopened", p->reopened);
    if (p->merged_into) {
        cJSON_AddNumberToObject(row, "merged_into", (double)p->merged_into);
    }
    cJSON_AddItemToObject(row, "evidence",
                          p->evidence ? cJSON_Duplicate(p->evidence, true) : cJSON_CreateArray());
    return row;
}

#define PROBLEM_TYPES                                                                              \
    "id bigint, state text, severity text, what text, cause_kind text, cause text, title text, "   \
    "began timestamptz, ended timestamptz, opened_at timestamptz, closed_at timestamptz, "         \
    "held text, revision integer, reopened integer, merged_into bigint, evidence jsonb"

int
deskstore_insert(struct deskstore *s, struct problem *const *problems, size_t count)
{
    static const char sql[] =
        "INSERT INTO plumbline_store.problem (state, severity, what, cause_kind, cause, title, "
        "began, opened_at) "
        "SELECT p.value->>'state', p.value->>'severity', p.value->>'what', p.value->>'cause_kind', "
        "p.value->>'cause', p.value->>'title', (p.value->>'began')::timestamptz, "
        "(p.value->>'opened_at')::timestamptz "
        "FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS p(value, number) ORDER BY number "
        "RETURNING id, cause_kind, cause";
    cJSON *rows = cJSON_CreateArray();
    int err = 0;

    if (!count) {
        cJSON_Delete(rows);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(rows, problem_row(problems[i]));
    }
    char *json = cJSON_PrintUnformatted(rows);
    cJSON_Delete(rows);
    const char *const values[] = {json};
    PGresult *r = json ? pg_rows(s->conn, sql, 1, values, false, s->why, sizeof s->why) : NULL;
    err = r ? 0 : json ? -EIO : -ENOMEM;
    for (size_t i = 0; !err && i < count; i++) {
        /* They come back in the order in which they were given. */
        if (PQntuples(r) != (int)count || strcmp(PQgetvalue(r, (int)i, 2), problems[i]->key) != 0) {
            snprintf(s->why, sizeof s->why, "new problems came back in another order");
            err = -EIO;
        } else {
            problems[i]->id = strtoll(PQgetvalue(r, (int)i, 0), NULL, 10);
        }
    }
    PQclear(r);
    cJSON_free(json);
    return err;
}

/* --- A round's rows ------------------------------------------------------- */

int
deskstore_batch_init(struct deskstore_batch *b)
{
    b->problems = cJSON_CreateArray();
    b->alarms = cJSON_CreateArray();
    b->objects = cJSON_CreateArray();
    b->steps = cJSON_CreateArray();
    b->outbox = cJSON_CreateArray();
    b->ends = cJSON_CreateArray();
    return b->problems && b->alarms && b->objects && b->steps && b->outbox && b->ends ? 0 : -ENOMEM;
}

void
deskstore_batch_fini(struct deskstore_batch *b)
{
    cJSON_Delete(b->problems);
    cJSON_Delete(b->alarms);
    cJSON_Delete(b->objects);
    cJSON_Delete(b->steps);
    cJSON_Delete(b->outbox);
    cJSON_Delete(b->ends);
    *b = (struct deskstore_batch){0};
}

static void
add_object(struct deskstore_batch *b, const struct problem *p, enum extent_kind kind,
           const char *key, bool bad)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddNumberToObject(row, "problem", (double)p->id);
    cJSON_AddStringToObject(row, "kind", extent_kind_name(kind));
    cJSON_AddStringToObject(row, "key", key);
    cJSON_AddBoolToObject(row, "bad", bad);
    cJSON_AddItemToArray(b->objects, row);
}

/* Those that are others than what is written. */
static void
add_objects(struct deskstore_batch *b, const struct reach *r, const struct problem *p)
{
    for (int k = 0; k < EXTENT_KINDS; k++) {
        const enum extent_kind kind = (enum extent_kind)k;
        const struct extent_list *now = &p->extent.lists[k], *before = &p->written.lists[k];
        for (size_t i = 0; i < now->count; i++) {
            const struct extent_item *was = extent_find(&p->written, kind, now->at[i].index);
            if (!was || was->bad != now->at[i].bad) {
                add_object(b, p, kind, extent_key(r, kind, now->at[i].index), now->at[i].bad);
            }
        }
        for (size_t i = 0; i < before->count; i++) {
            if (before->at[i].bad && !extent_find(&p->extent, kind, before->at[i].index)) {
                add_object(b, p, kind, extent_key(r, kind, before->at[i].index), false);
            }
        }
    }
}

int
deskstore_add(struct deskstore_batch *b, const struct reach *r, const struct problem *p)
{
    cJSON_AddItemToArray(b->problems, problem_row(p));
    add_objects(b, r, p);
    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (s->is_new) {
            cJSON *row = cJSON_CreateObject();
            cJSON_AddNumberToObject(row, "alarm", (double)s->id);
            cJSON_AddNumberToObject(row, "problem", (double)p->id);
            cJSON_AddItemToArray(b->alarms, row);
        }
    }
    for (size_t i = 0; i < p->step_count; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "problem", (double)p->id);
        add_instant(row, "at", p->steps[i].at);
        cJSON_AddStringToObject(row, "what", problem_step_name(p->steps[i].what));
        cJSON_AddStringToObject(row, "text", p->steps[i].text);
        cJSON_AddItemToArray(b->steps, row);
    }
    if (p->state != PROBLEM_OPEN) {
        cJSON_AddItemToArray(b->ends, cJSON_CreateNumber((double)p->id));
    }
    return 0;
}

int
deskstore_add_told(struct deskstore_batch *b, const struct problem *p, const char *hook,
                   const char *action, cJSON *event)
{
    cJSON *row = cJSON_CreateObject();

    if (!row || !event) {
        cJSON_Delete(row);
        cJSON_Delete(event);
        return -ENOMEM;
    }
    cJSON_AddStringToObject(row, "hook", hook);
    cJSON_AddNumberToObject(row, "problem", (double)p->id);
    cJSON_AddStringToObject(row, "action", action);
    cJSON_AddItemToObject(row, "event", event);
    cJSON_AddItemToArray(b->outbox, row);
    return 0;
}

/* What was bad of an ended problem is not any more, whatever the inventory has. */
static const char ends_sql[] =
    "WITH p AS (SELECT jsonb_array_elements_text($1::jsonb)::bigint AS id), good AS ("
    "UPDATE plumbline_store.problem_object o SET bad = false FROM p WHERE o.problem = p.id AND "
    "o.bad), over AS (UPDATE plumbline_store.acknowledgement a SET ended_at = clock_timestamp() "
    "FROM p WHERE a.problem = p.id AND a.ended_at IS NULL RETURNING a.problem) "
    "INSERT INTO plumbline_store.problem_step (problem, number, what, text) "
    "SELECT o.problem, (SELECT coalesce(max(s.number), 0) + 1 FROM plumbline_store.problem_step s "
    "WHERE s.problem = o.problem), 'acknowledgement_ended', 'the problem is over' "
    "FROM (SELECT DISTINCT problem FROM over) o";

int
deskstore_write(struct deskstore *s, const struct deskstore_batch *b)
{
    int err = write_rows(
        s, b->problems,
        "UPDATE plumbline_store.problem o SET state = p.state, severity = p.severity, "
        "what = p.what, cause_kind = p.cause_kind, cause = p.cause, title = p.title, "
        "began = p.began, ended = p.ended, opened_at = p.opened_at, closed_at = p.closed_at, "
        "held = p.held, revision = p.revision, reopened = p.reopened, "
        "merged_into = p.merged_into, evidence = p.evidence "
        "FROM jsonb_to_recordset($1::jsonb) AS p(" PROBLEM_TYPES ") WHERE o.id = p.id");
    err = err ? err
              : write_rows(s, b->alarms,
                           "INSERT INTO plumbline_store.problem_alarm (alarm, problem) "
                           "SELECT alarm, problem FROM jsonb_to_recordset($1::jsonb) "
                           "AS a(alarm bigint, problem bigint) "
                           "ON CONFLICT (alarm) DO UPDATE SET problem = excluded.problem");
    err = err ? err
              : write_rows(s, b->objects,
                           "INSERT INTO plumbline_store.problem_object (problem, kind, key, bad) "
                           "SELECT problem, kind, key, bad FROM jsonb_to_recordset($1::jsonb) "
                           "AS o(problem bigint, kind text, key text, bad boolean) "
                           "ON CONFLICT (problem, kind, key) DO UPDATE SET bad = excluded.bad");
    err = err ? err
              : write_rows(
                    s, b->steps,
                    "INSERT INTO plumbline_store.problem_step (problem, number, at, what, text) "
                    "SELECT (n.value->>'problem')::bigint, "
                    "row_number() OVER (PARTITION BY n.value->>'problem' ORDER BY n.number) + "
                    "(SELECT coalesce(max(s.number), 0) FROM plumbline_store.problem_step s "
                    "WHERE s.problem = (n.value->>'problem')::bigint), "
                    "(n.value->>'at')::timestamptz, n.value->>'what', n.value->>'text' "
                    "FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS n(value, number)");
    err = err ? err : write_rows(s, b->ends, ends_sql);
    err = err ? err
              : write_rows(s, b->outbox,
                           "INSERT INTO plumbline_store.outbox (hook, problem, action, event) "
                           "SELECT n.value->>'hook', (n.value->>'problem')::bigint, "
                           "n.value->>'action', n.value->'event' "
                           "FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS "
                           "n(value, number) ORDER BY n.number");
    if (!err && cJSON_GetArraySize(b->outbox)) {
        err = run(s, "SELECT pg_notify('plumbline_outbox', $1)", "");
    }
    return err;
}
