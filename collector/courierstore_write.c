/* courierstore_write.c - what became of rows, tickets and hooks, written down. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "courierplan.h"
#include "courierstore_parts.h"

#define NUMBER_SIZE COURIERSTORE_NUMBER_SIZE
#define OUTBOX COURIERSTORE_OUTBOX
#define NEVER_OPENED COURIERSTORE_NEVER_OPENED

static const char *const state_names[] = {[COURIERPLAN_GOOD] = "good",
                                          [COURIERPLAN_FAILING] = "failing",
                                          [COURIERPLAN_DISABLED] = "disabled"};

/* --- What became of it ---------------------------------------------------- */

int
courierstore_begin(struct courierstore *s)
{
    int err = courierstore_run(s, "BEGIN", 0, NULL);

    return err ? err : courierstore_run(s, "SELECT plumbline_store.outbox_lock()", 0, NULL);
}

int
courierstore_commit(struct courierstore *s)
{
    return courierstore_run(s, "COMMIT", 0, NULL);
}

int
courierstore_wait(struct courierstore *s, int64_t id, struct span wait, const char *error)
{
    char text[NUMBER_SIZE], delay[NUMBER_SIZE];
    const char *values[] = {courierstore_number(text, id), courierstore_seconds(delay, wait),
                            error};

    /* While it was away it was not seen whether it need be said still. */
    return courierstore_run(s,
                            "WITH w AS (UPDATE " OUTBOX " SET last_error = $3, "
                            "next_try = clock_timestamp() + make_interval(secs => $2::float8) "
                            "WHERE id = $1::bigint AND state = 'waiting' RETURNING hook, problem) "
                            "INSERT INTO plumbline_store.outbox_news (hook, problem) "
                            "SELECT hook, problem FROM w WHERE problem IS NOT NULL",
                            3, values);
}

int
courierstore_dead(struct courierstore *s, int64_t id, const char *error)
{
    char text[NUMBER_SIZE];
    const char *values[] = {courierstore_number(text, id), error};

    return courierstore_run(
        s,
        "UPDATE " OUTBOX " SET state = 'dead', last_error = $2, "
        "ended_at = clock_timestamp() WHERE id = $1::bigint AND state = 'waiting'",
        2, values);
}

/* Delivered: all of them in so many statements as one. */
static int
rows_done(struct courierstore *s, const struct courierstore_done *done, size_t count)
{
    int64_t ids[COURIERPLAN_AT_ONCE], opened[COURIERPLAN_AT_ONCE];
    size_t opened_count = 0;

    for (size_t i = 0; i < count; i++) {
        ids[i] = done[i].id;
        if (done[i].opened) {
            opened[opened_count++] = done[i].id;
        }
    }
    const char *values[] = {courierstore_array(&s->text, ids, count),
                            courierstore_array(&s->more, opened, opened_count)};
    if (!values[0] || !values[1]) {
        return -ENOMEM;
    }
    int err = courierstore_run(s,
                               "UPDATE " OUTBOX " SET state = 'done', ended_at = clock_timestamp() "
                               "WHERE id = ANY ($1::bigint[]) AND state = 'waiting'",
                               1, values);
    if (!err && opened_count) {
        err = courierstore_run(
            s,
            "UPDATE " OUTBOX " r SET state = 'waiting', ended_at = NULL, last_error = NULL "
            "FROM " OUTBOX " o WHERE o.id = ANY ($1::bigint[]) AND r.problem = o.problem "
            "AND r.hook = o.hook AND r.id > o.id AND r.state = 'superseded' "
            "AND r.action = 'resolve' AND r.last_error = '" NEVER_OPENED "'",
            1, values + 1);
    }
    return err;
}

/* A number as text, so that all its digits stay. */
static void
put_number(cJSON *o, const char *name, int64_t v)
{
    char text[NUMBER_SIZE];

    cJSON_AddStringToObject(o, name, courierstore_number(text, v));
}

static cJSON *
ticket_object(const struct courierstore_done *d)
{
    const struct courierstore_ticket *t = &d->ticket;
    char text[NUMBER_SIZE];
    cJSON *o = cJSON_CreateObject();

    put_number(o, "row", d->id);
    cJSON_AddStringToObject(o, "hook", d->hook);
    put_number(o, "problem", d->problem);
    put_number(o, "number", t->number);
    put_number(o, "before", t->before);
    cJSON_AddStringToObject(o, "ref", t->ref);
    cJSON_AddStringToObject(o, "shown", t->shown);
    cJSON_AddStringToObject(o, "url", t->url);
    cJSON_AddStringToObject(o, "state", t->closed ? "closed" : "open");
    if (t->again.ns) {
        cJSON_AddStringToObject(o, "again", courierstore_seconds(text, t->again));
    }
    return o;
}

/* As JSON; the caller frees it; NULL: memory is out. */
static char *
ticket_list(const struct courierstore_done *done, size_t count)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; list && i < count; i++) {
        if (done[i].ticket.number) {
            cJSON_AddItemToArray(list, ticket_object(&done[i]));
        }
    }
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

#define TICKETS                                                                                    \
    "jsonb_to_recordset($1::jsonb) AS n (\"row\" bigint, hook text, problem bigint, "              \
    "number integer, before integer, ref text, shown text, url text, state text, again float8) "

static int
write_tickets(struct courierstore *s, const struct courierstore_done *done, size_t count)
{
    size_t tickets = 0, others = 0;

    for (size_t i = 0; i < count; i++) {
        const struct courierstore_ticket *t = &done[i].ticket;
        tickets += t->number > 0;
        others += t->number > 0 && t->before > 0 && t->before != t->number;
    }
    if (!tickets) {
        return 0;
    }
    char *list = ticket_list(done, count);
    const char *values[] = {list, (const char *)s->text.at}; /* The rows, of rows_done(). */
    int err = list ? 0 : -ENOMEM;
    if (!err && others) {
        err = courierstore_run(
            s,
            "UPDATE plumbline_store.ticket t SET state = 'closed', again_at = NULL, "
            "changed_at = clock_timestamp() FROM " TICKETS "WHERE t.hook = n.hook "
            "AND t.problem = n.problem AND t.number = n.before AND n.before <> n.number",
            1, values);
    }
    if (!err) {
        err = courierstore_run(
            s,
            "INSERT INTO plumbline_store.ticket "
            "(hook, problem, number, ref, shown, url, state, event, again_at) "
            "SELECT n.hook, n.problem, n.number, n.ref, n.shown, n.url, n.state, o.event, "
            "clock_timestamp() + make_interval(secs => n.again) "
            "FROM " OUTBOX " o, " TICKETS
            /* The rows by their numbers, whatever is thought of how long the list is. */
            "WHERE o.id = n.\"row\" AND o.id = ANY ($2::bigint[]) "
            "ON CONFLICT (hook, problem, number) DO UPDATE SET ref = excluded.ref, "
            "shown = excluded.shown, url = excluded.url, state = excluded.state, "
            "event = excluded.event, again_at = excluded.again_at, "
            "changed_at = clock_timestamp()",
            2, values);
    }
    cJSON_free(list);
    return err;
}

int
courierstore_done(struct courierstore *s, const struct courierstore_done *done, size_t count)
{
    assert(count <= COURIERPLAN_AT_ONCE);
    int err = count ? rows_done(s, done, count) : 0;
    return err ? err : write_tickets(s, done, count);
}

int
courierstore_untold(struct courierstore *s, const char *hook, int64_t problem, int place)
{
    char key[NUMBER_SIZE], text[NUMBER_SIZE];
    const char *values[] = {hook, courierstore_number(key, problem),
                            courierstore_number(text, place)};

    return courierstore_run(
        s,
        "UPDATE plumbline_store.ticket SET again_at = clock_timestamp() WHERE hook = $1 "
        "AND problem = $2::bigint AND number = $3::integer AND again_at IS NOT NULL",
        3, values);
}

int
courierstore_hook(struct courierstore *s, const struct courierstore_hook *h)
{
    char failures[NUMBER_SIZE], wait[NUMBER_SIZE];
    const char *values[] = {h->hook,
                            state_names[h->state],
                            courierstore_number(failures, h->failures),
                            h->state == COURIERPLAN_FAILING ? courierstore_seconds(wait, h->wait)
                                                            : NULL,
                            h->error,
                            h->good ? "t" : "f"};

    return courierstore_run(
        s,
        "INSERT INTO plumbline_store.hook_state AS h (hook, state, since, failures, "
        "not_before, last_error, last_error_at, last_good) "
        "SELECT $1, $2, n.now, $3::integer, n.now + make_interval(secs => $4::float8), "
        "$5::text, CASE WHEN $5::text IS NOT NULL THEN n.now END, CASE WHEN $6::boolean "
        "THEN n.now END "
        "FROM (SELECT clock_timestamp() AS now) n "
        "ON CONFLICT (hook) DO UPDATE SET "
        "state = CASE h.state WHEN 'disabled' THEN h.state ELSE excluded.state END, "
        "since = CASE WHEN h.state IN ('disabled', excluded.state) THEN h.since "
        "ELSE excluded.since END, "
        "failures = excluded.failures, not_before = excluded.not_before, "
        "last_error = coalesce(excluded.last_error, h.last_error), "
        "last_error_at = coalesce(excluded.last_error_at, h.last_error_at), "
        "last_good = coalesce(excluded.last_good, h.last_good)",
        6, values);
}
