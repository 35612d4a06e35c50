/* events.c - the newest of what the sources told beside their measurements. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"
#include "series.h"

#define UNDEFINED_TABLE "42P01"

enum { AT, SOURCE, KIND, OBJECT, CLASS, FLOW, DETAILS, TEXT };

PGresult *
events_read(PGconn *conn, unsigned limit, char *why, size_t why_size)
{
    char most[16];
    const char *values[] = {most};

    snprintf(most, sizeof most, "%u", limit);
    /* The text says the details as people would: "from 46 to 0". */
    PGresult *r = pg_call(
        conn,
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), source, kind, "
        "object, class, flow, details, "
        "CASE kind WHEN 'refused' THEN (details->>'name') || ', ' || (details->>'count') || ' "
        "times' "
        "ELSE (SELECT string_agg(key || ' ' || value, ' ' ORDER BY key) "
        "FROM jsonb_each_text(details)) END "
        /* The first TTL of a session is kept, but nothing has changed by it. */
        "FROM plumbline.v_event WHERE at > now() - interval '1 day' "
        "AND NOT (kind = 'ttl' AND details->>'from' = '0') "
        "ORDER BY at DESC, source, kind LIMIT $1::integer",
        1, values);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        return r;
    }
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (state && strcmp(state, UNDEFINED_TABLE) == 0) {
        why[0] = '\0';
    } else {
        pg_error(conn, r, why, why_size);
    }
    PQclear(r);
    return NULL;
}

void
events_print(const PGresult *r)
{
    if (!r || PQntuples(r) == 0) {
        return;
    }
    printf("\n%-20s %-16s %-10s %-28s %s\n", "EVENT", "SOURCE", "KIND", "LINK/CLASS", "DETAILS");
    for (int i = 0; i < PQntuples(r); i++) {
        char label[2 * SERIES_NAME_MAX + 16] = "";
        if (!PQgetisnull(r, i, OBJECT)) {
            struct session_key key = {.flow = (uint16_t)atoi(PQgetvalue(r, i, FLOW))};
            snprintf(key.object, sizeof key.object, "%s", PQgetvalue(r, i, OBJECT));
            snprintf(key.class_name, sizeof key.class_name, "%s", PQgetvalue(r, i, CLASS));
            session_label(&key, label, sizeof label);
        }
        printf("%-20s %-16s %-10s %-28s %s\n", PQgetvalue(r, i, AT), PQgetvalue(r, i, SOURCE),
               PQgetvalue(r, i, KIND), label, PQgetvalue(r, i, TEXT));
    }
}

static void
add_text(cJSON *o, const char *name, const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column)) {
        cJSON_AddNullToObject(o, name);
    } else {
        cJSON_AddStringToObject(o, name, PQgetvalue(r, row, column));
    }
}

cJSON *
events_json(const PGresult *r)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; r && i < PQntuples(r); i++) {
        cJSON *o = cJSON_CreateObject();
        add_text(o, "at", r, i, AT);
        add_text(o, "source", r, i, SOURCE);
        add_text(o, "kind", r, i, KIND);
        add_text(o, "object", r, i, OBJECT);
        add_text(o, "class", r, i, CLASS);
        if (PQgetisnull(r, i, FLOW)) {
            cJSON_AddNullToObject(o, "flow");
        } else {
            cJSON_AddNumberToObject(o, "flow", atoi(PQgetvalue(r, i, FLOW)));
        }
        cJSON *details = cJSON_Parse(PQgetvalue(r, i, DETAILS));
        cJSON_AddItemToObject(o, "details", details ? details : cJSON_CreateNull());
        cJSON_AddItemToArray(list, o);
    }
    return list;
}
