/* trace.c - requests from PostgreSQL, answers into it. */
#include "trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"

#define TRACES_A_BATCH 64

/* A clock of a probe that is further ahead of ours is wrong. */
#define AHEAD_NS (60 * NS_PER_S)

int
trace_ask(PGconn *conn, int64_t problem, const char *probe, const char *link, char *why,
          size_t why_size)
{
    char number[24];
    const char *values[] = {number, probe, link};

    snprintf(number, sizeof number, "%" PRId64, problem);
    return pg_run(conn,
                  "INSERT INTO plumbline_store.trace_request (problem, probe, link) "
                  "VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                  3, values, why, why_size) < 0
               ? -EIO
               : 0;
}

int
trace_requests(PGconn *conn, trace_ask_fn *fn, void *aux, char *why, size_t why_size)
{
    PGresult *r = pg_rows(
        conn,
        "WITH given_up AS (UPDATE plumbline_store.trace_request SET done_at = clock_timestamp() "
        "WHERE done_at IS NULL AND asked_at < now() - interval '2 minutes') "
        "SELECT probe, id, link FROM plumbline_store.trace_request "
        "WHERE done_at IS NULL AND asked_at >= now() - interval '2 minutes' ORDER BY id LIMIT "
        "10000",
        0, NULL, false, why, why_size);
    if (!r) {
        return -EIO;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        fn(PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), aux);
    }
    PQclear(r);
    return 0;
}

bool
trace_is_sound(const struct inventory *inv, const char *source,
               const Plumbline__Telemetry__Trace *t, struct instant now)
{
    const struct inv_link *link = inventory_link(inv, t->object);
    bool own = false;
    uint32_t before = 0;

    for (int i = 0; link && i < 2; i++) {
        own = own || (link->ends[i].probe && strcmp(link->ends[i].probe->key, source) == 0);
    }
    if (!own || !telemetry_name_ok(t->class_name) || t->flow > INT32_MAX || t->at_ns < 0 ||
        t->at_ns > now.ns + AHEAD_NS || t->n_hops > TRACE_HOPS_MAX ||
        strlen(t->error) > TRACE_ERROR_MAX) {
        return false;
    }
    for (size_t i = 0; i < t->n_hops; i++) {
        const Plumbline__Telemetry__Trace__Hop *h = t->hops[i];
        if (h->ttl <= before || h->ttl > UINT8_MAX ||
            (h->address.len != 0 && h->address.len != 4 && h->address.len != 16)) {
            return false;
        }
        before = h->ttl;
    }
    return true;
}

static bool
add_hop(cJSON *list, const Plumbline__Telemetry__Trace__Hop *h)
{
    char text[INET6_ADDRSTRLEN];
    cJSON *o = cJSON_CreateObject();

    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    bool good = cJSON_AddNumberToObject(o, "ttl", h->ttl);
    if (h->address.len == 0) {
        return good && cJSON_AddNullToObject(o, "address") && cJSON_AddNullToObject(o, "rt_us");
    }
    inet_ntop(h->address.len == 4 ? AF_INET : AF_INET6, h->address.data, text, sizeof text);
    return good && cJSON_AddStringToObject(o, "address", text) &&
           cJSON_AddNumberToObject(o, "rt_us", h->rt_us);
}

cJSON *
trace_hops(const Plumbline__Telemetry__Trace *t)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; list && i < t->n_hops; i++) {
        if (!add_hop(list, t->hops[i])) {
            cJSON_Delete(list);
            return NULL;
        }
    }
    return list;
}

/* What a probe's kernel said; nothing else than that is to come of it. */
static void
clean(char *to, const char *from)
{
    size_t i = 0;

    for (; from[i] && i < TRACE_ERROR_MAX; i++) {
        to[i] = from[i] >= 0x20 && from[i] < 0x7f ? from[i] : '?';
    }
    to[i] = '\0';
}

static int
forget_old(PGconn *conn, const char *source, const char *link, char *why, size_t why_size)
{
    const char *values[] = {source, link};

    return pg_run(conn,
                  "DELETE FROM plumbline_store.trace t WHERE probe = $1 AND link = $2 "
                  "AND why = 'good' AND at < now() - interval '7 days' AND EXISTS "
                  "(SELECT FROM plumbline_store.trace n WHERE n.probe = $1 AND n.link = $2 "
                  "AND n.why = 'good' AND n.at > t.at)",
                  2, values, why, why_size) < 0
               ? -EIO
               : 0;
}

static int
write_one(PGconn *conn, const char *source, const Plumbline__Telemetry__Trace *t, char *why,
          size_t why_size)
{
    char at[24], request[24], flow[12], error[TRACE_ERROR_MAX + 1];
    cJSON *list = trace_hops(t);
    char *hops = list ? cJSON_PrintUnformatted(list) : NULL;
    const char *values[] = {
        source, t->object, at, request, t->class_name, flow, t->reached ? "t" : "f", hops, error};

    cJSON_Delete(list);
    if (!hops) {
        return -ENOMEM;
    }
    snprintf(at, sizeof at, "%" PRId64, t->at_ns);
    snprintf(request, sizeof request, "%" PRIu64, t->request <= INT64_MAX ? t->request : 0);
    snprintf(flow, sizeof flow, "%" PRIu32, t->flow);
    clean(error, t->error);
    /* A number that is no request of this probe and link is told as if nobody had asked. */
    int64_t n =
        pg_run(conn,
               "WITH asked AS (UPDATE plumbline_store.trace_request "
               "SET done_at = coalesce(done_at, clock_timestamp()) WHERE id = $4::bigint "
               "AND probe = $1 AND link = $2 "
               "RETURNING id, problem) "
               "INSERT INTO plumbline_store.trace (probe, link, at, why, request, problem, "
               "class, flow, reached, hops, error) "
               "SELECT $1, $2, to_timestamp($3::bigint / 1e9), CASE WHEN a.id IS NULL THEN "
               "'good' ELSE 'problem' END, "
               "a.id, a.problem, $5, $6::integer, $7::boolean, $8::jsonb, $9 "
               "FROM (SELECT) one LEFT JOIN asked a ON true "
               /* What nobody asked for is to compare with: while nothing is wrong. */
               "WHERE a.id IS NOT NULL OR NOT EXISTS (SELECT FROM plumbline_store.alarm "
               "WHERE scope = 'link' AND object = $2 AND cleared IS NULL) ON CONFLICT DO NOTHING",
               9, values, why, why_size);
    free(hops);
    return n < 0 ? -EIO : n == 0 ? 0 : forget_old(conn, source, t->object, why, why_size);
}

int
trace_write(PGconn *conn, const struct inventory *inv, const char *source, const pb_batch *batch,
            uint64_t *refused, char *why, size_t why_size)
{
    struct instant now = instant_now();
    int err = 0;

    for (size_t i = 0; i < batch->n_traces && !err; i++) {
        if (i >= TRACES_A_BATCH || !trace_is_sound(inv, source, batch->traces[i], now)) {
            ++*refused;
            continue;
        }
        err = write_one(conn, source, batch->traces[i], why, why_size);
    }
    return err;
}
