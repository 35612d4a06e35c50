/* account.c - how a verdict came about, from PostgreSQL. */
#include "account.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "value.h"

/* What each query asks about. */
struct question {
    struct judged *j;
    char kind[16], key[256];
    const char *period; /* As it was asked for; NULL. */
    const char *limit;
    const cJSON *found; /* The period. */
    int status;
};

/* Rows of one query as a member of the account. */
static void
add(struct question *q, cJSON *account, const char *name, const char *sql, int count,
    const char *const *values)
{
    char more[64];
    int64_t left_out = 0;
    cJSON *list = q->status == EXIT_GOOD
                      ? judged_read(q->j, sql, count, values, &left_out, &q->status)
                      : NULL;

    if (list) {
        cJSON_AddItemToObject(account, name, list);
        if (strstr(sql, "rows_in_all")) {
            snprintf(more, sizeof more, "%s_left_out", name);
            cJSON_AddNumberToObject(account, more, (double)left_out);
        }
    }
}

/* --- What is asked for ---------------------------------------------------------- */

/* Its kind, from "kind:key" or from what was judged. */
static void
find_object(struct question *q, const char *object)
{
    const char *colon = strchr(object, ':'), *key = colon ? colon + 1 : object;
    char kind[16] = "";
    const char *values[] = {key, colon ? kind : NULL};

    snprintf(kind, sizeof kind, "%.*s", colon ? (int)(colon - object) : 0, object);
    snprintf(q->key, sizeof q->key, "%s", key);
    cJSON *found = judged_read(q->j,
                               "SELECT kind FROM (SELECT scope_kind AS kind FROM plumbline.v_line "
                               "WHERE scope = $1 UNION SELECT 'service' FROM plumbline.v_period "
                               "WHERE service = $1) k WHERE $2::text IS NULL OR kind = $2 "
                               "ORDER BY 1",
                               2, values, NULL, &q->status);
    if (!found) {
        return;
    }
    snprintf(q->kind, sizeof q->kind, "%s", judged_text(cJSON_GetArrayItem(found, 0), "kind"));
    if (cJSON_GetArraySize(found) != 1) {
        fprintf(stderr,
                cJSON_GetArraySize(found) == 0
                    ? "plumbline explain: nothing was judged of '%s'; `plumbline sla` lists what "
                      "was\n"
                    : "plumbline explain: '%s' is several things: put service:, group: or link: "
                      "before it\n",
                object);
        q->status = EXIT_USAGE;
    }
    cJSON_Delete(found);
}

static const char service_period[] =
    "SELECT label, tenant, timezone, period, " JUDGED_UTC("period_start") " AS period_start, " //
    JUDGED_UTC("period_end") " AS period_end, " JUDGED_UTC("judged_from") " AS judged_from, "  //
    JUDGED_UTC("judged_until") " AS judged_until, "
                               "extract(epoch FROM least(now(), v_period.period_end) - "
                               "v_period.judged_until)::bigint AS behind_s, "
                               "date_trunc('month', v_period.period_end AT TIME ZONE timezone) <> "
                               "v_period.period_end AT TIME ZONE timezone AS out_of_service, "
                               "revision, sla, "
                               "version, valid_from, covers, "
                               "parts, ends, undetermined, notice, maintenance_allowance FROM "
                               "plumbline.v_period "
                               "WHERE service = $1 AND ($2::text IS NULL OR period = $2) "
                               "ORDER BY v_period.period_start DESC LIMIT 1";

/* Of a link or group, which is no tenant's: in UTC. */
static const char month_period[] =
    "SELECT $1::text AS label, 'UTC' AS timezone, to_char(t, 'YYYY-MM') AS period, " //
    "to_char(t, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS period_start, "
    "to_char(t + interval '1 month', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS period_end "
    "FROM (SELECT coalesce($2::text || '-01', to_char(now() AT TIME ZONE 'UTC', "
    "'YYYY-MM-\"01\"'))::timestamp) AS m(t)";

static void
tell_no_period(struct question *q)
{
    const char *values[] = {q->key};
    char text[1024];
    int status;
    cJSON *list = judged_read(q->j,
                              "SELECT jsonb_agg(period ORDER BY period) AS periods "
                              "FROM plumbline.v_period WHERE service = $1",
                              1, values, NULL, &status);

    fprintf(stderr, "plumbline explain: nothing was judged of '%s' in %s; there is: %s\n", q->key,
            q->period ? q->period : "any month",
            judged_list(cJSON_GetArrayItem(list, 0), "periods", text, sizeof text));
    cJSON_Delete(list);
    q->status = EXIT_USAGE;
}

static void
find_period(struct question *q, cJSON *account)
{
    const char *values[] = {q->key, q->period};
    bool service = strcmp(q->kind, "service") == 0;
    cJSON *list =
        judged_read(q->j, service ? service_period : month_period, 2, values, NULL, &q->status);

    if (list && cJSON_GetArraySize(list) == 0) {
        tell_no_period(q);
    } else if (list) {
        cJSON *one = cJSON_DetachItemFromArray(list, 0);
        cJSON_AddItemToObject(account, "period", one);
        q->found = one;
    }
    cJSON_Delete(list);
}

/* --- What was counted --------------------------------------------------------------- */

static const char lines_sql[] =
    "SELECT object, class, direction, max(dt_ns) AS dt_ns, sum(dt_total) AS dt_total, "
    "sum(dt_counted) AS dt_counted, sum(dt_available) AS dt_available, "
    "sum(dt_available) * 100000 / nullif(sum(dt_counted), 0) AS availability_milli, "
    "sum(dt_counted - dt_available) AS dt_unavailable, sum(dt_undetermined) AS dt_undetermined, "
    "sum(dt_total - dt_counted) AS dt_excluded, sum(dt_suspect) AS dt_suspect, "
    "sum(dt_witness) AS dt_witness, sum(outages) AS outages, sum(hli) AS hli, "
    "sum(chli_runs) AS chli_runs, sum(sent)::bigint AS sent, sum(lost)::bigint AS lost, "
    "sum(sent_raw)::bigint AS sent_raw, sum(lost_raw)::bigint AS lost_raw, "
    "max(revision) AS revision FROM plumbline.v_availability WHERE scope_kind = $1 "
    "AND scope = $2 AND start >= $3::timestamptz AND start < $4::timestamptz "
    "GROUP BY object, class, direction "
    "ORDER BY direction <> 'both', object, class, direction";

/* Runs go on over the borders of quarter hours.  Where a delta-t is excluded, or is not
 * available, it is all one whether it was lost too. */
static const char runs_sql[] =
    "WITH run AS (SELECT a.object, a.class, a.direction, s.count, s.available, "
    "a.start + s.number * (a.dt_ns / 1000) * interval '1 microsecond' AS from_at, "
    "a.start + (s.number + s.count) * (a.dt_ns / 1000) * interval '1 microsecond' AS until_at, "
    "CASE WHEN s.excluded > 0 THEN 'excluded' WHEN s.undetermined THEN 'undetermined' "
    "WHEN NOT s.available THEN 'unavailable' ELSE 'high loss' END AS state, "
    "('{not in service,maintenance,customer,third party,force majeure,agreed,undetermined}'"
    "::text[])[s.excluded] AS exclusion "
    "FROM plumbline.v_availability a CROSS JOIN LATERAL plumbline.judged_states(a.states) s "
    "WHERE a.scope_kind = $1 AND a.scope = $2 AND a.start >= $3::timestamptz "
    "AND a.start < $4::timestamptz AND (a.dt_available < a.dt_total OR a.dt_undetermined > 0 "
    "OR a.hli > 0) AND (NOT s.available OR s.undetermined OR s.high_loss OR s.excluded > 0) "
    /* From when on, and until when, it was in service is told of the period. */
    "AND ($1 <> 'service' OR s.excluded <> 1)), "
    "mark AS (SELECT r.*, lag(until_at) OVER w IS DISTINCT FROM from_at AS new FROM run r "
    "WINDOW w AS (PARTITION BY object, class, direction, state, available, exclusion "
    "ORDER BY from_at)), "
    "island AS (SELECT m.*, count(*) FILTER (WHERE new) OVER (PARTITION BY object, class, "
    "direction, state, available, exclusion ORDER BY from_at) AS island FROM mark m), "
    "whole AS (SELECT object, class, direction, state, available, exclusion, "
    "min(from_at) AS from_at, max(until_at) AS until_at, sum(count) AS count FROM island "
    "GROUP BY object, class, direction, state, available, exclusion, island) "
    "SELECT " JUDGED_UTC("from_at") " AS from, " JUDGED_UTC(
        "until_at") " AS until, "
                    "count, object, class, direction, state, available, exclusion, "
                    "count(*) OVER () AS rows_in_all FROM whole "
                    "ORDER BY from_at, direction <> 'both', object, class, direction LIMIT "
                    "$5::bigint";

static const char transitions_sql[] = "SELECT " JUDGED_UTC(
    "at") " AS at, object, class, direction, available, "
          "count(*) OVER () AS rows_in_all FROM plumbline.v_transition t WHERE scope_kind = $1 "
          "AND scope = $2 AND at >= $3::timestamptz AND at < $4::timestamptz "
          "ORDER BY t.at, object, class, direction LIMIT $5::bigint";

/* Lines whose last change was to unavailable, whenever that was. */
static const char down_sql[] = "SELECT d.object, d.class, d.direction, " JUDGED_UTC(
    "d.at") " AS since FROM (SELECT DISTINCT "
            "ON (object, class, direction) object, class, direction, at, available FROM "
            "plumbline.v_transition WHERE scope_kind = $1 AND scope = $2 AND at < $3::timestamptz "
            "ORDER BY object, class, direction, at DESC) d WHERE NOT d.available "
            "ORDER BY d.direction <> 'both', d.at, d.object, d.class, d.direction";

static void
add_counted(struct question *q, cJSON *account)
{
    const char *values[] = {q->kind, q->key, judged_text(q->found, "period_start"),
                            judged_text(q->found, "period_end"), q->limit};

    add(q, account, "lines", lines_sql, 4, values);
    add(q, account, "runs", runs_sql, 5, values);
    add(q, account, "transitions", transitions_sql, 5, values);
    if (!judged_has(q->found, "revision")) {
        add(q, account, "down", down_sql, 3, (const char *const[]){q->kind, q->key, values[3]});
    }
}

/* --- What was recorded ---------------------------------------------------------------- */

/* Windows that can show in it, for they are on it or on a part of it.  "own": on what excludes its
 * time: itself, or what a service is directly over; a member of a group counts as it was measured.
 * Of a service the judge kept what it decided ("judged"); links and groups have no contract, and
 * of theirs counts what was recorded before it began, for all tenants (rounds_windows.c). */
static const char windows_sql[] =
    "WITH found AS (SELECT 'maintenance' AS kind, w.id, w.revision, w.state, w.label AS reason, "
    "NULL::text AS approval, w.start_at, least(w.end_at, w.actual_end) AS end_at, w.tenant, "
    "w.suppress_alerts, w.exclude_from_sla, w.author, w.objects FROM plumbline.v_maintenance w "
    "UNION ALL SELECT w.kind, w.id, w.revision, CASE WHEN w.withdrawn THEN 'withdrawn' "
    "ELSE 'in force' END, w.reason, w.approval, w.start_at, w.end_at, w.tenant, false, true, "
    "w.author, w.objects FROM plumbline.v_exclusion w), "
    "part AS (SELECT p.part_kind, p.part, CASE WHEN p.part = $2 THEN p.part_kind = p.kind "
    "OR p.kind = 'link' ELSE $1 = 'service' AND EXISTS (SELECT FROM plumbline.v_period x "
    "WHERE x.service = $2 AND x.parts ? p.part) END AS own FROM plumbline.v_part p "
    "WHERE (p.kind = $1 OR $1 = 'link' AND p.kind = 'attachment') AND p.key = $2), "
    "concerned AS (SELECT f.*, o.own, o.announced_at, o.on_objects AS its FROM found f "
    "CROSS JOIN LATERAL (SELECT bool_or(p.own) AS own, coalesce("
    "max((e->>'announced_at')::timestamptz) FILTER (WHERE p.own), "
    "max((e->>'announced_at')::timestamptz)) AS announced_at, "
    "jsonb_agg(e->>'key' ORDER BY e->>'key') AS on_objects FROM jsonb_array_elements(f.objects) e "
    "JOIN part p ON (p.part_kind, p.part) = (e->>'kind', e->>'key')) o "
    "WHERE f.start_at < $4::timestamptz AND f.end_at > $3::timestamptz "
    "AND o.on_objects IS NOT NULL AND ($1 <> 'service' OR f.tenant IS NULL OR f.tenant = $5)), "
    "judged AS (SELECT j.exclusion, j.id, j.revision, min(j.excluded_from) AS excluded_from, "
    "max(j.excluded_until) AS excluded_until, min(j.why) AS why FROM plumbline.v_judged_window j "
    "WHERE $1 = 'service' AND j.service = $2 AND j.period_start = $3::timestamptz "
    "GROUP BY j.exclusion, j.id, j.revision) "
    "SELECT c.kind, c.id, c.revision, c.state, c.reason, c.approval, c.tenant, " //
    JUDGED_UTC("c.start_at") " AS start, " JUDGED_UTC("c.end_at") " AS end, "    //
    JUDGED_UTC("c.announced_at") " AS announced_at, "
                                 "extract(epoch FROM c.start_at - c.announced_at)::bigint AS "
                                 "lead_s, c.suppress_alerts, "
                                 "c.exclude_from_sla, c.author, c.its AS objects, c.own, j.id IS "
                                 "NOT NULL AS judged, "
                                 "j.why AS judged_why, " JUDGED_UTC(
                                     "j.excluded_from") " AS excluded_from, " //
    JUDGED_UTC(
        "j.excluded_until") " AS excluded_until, "
                            "count(*) OVER () AS rows_in_all FROM concerned c LEFT JOIN judged j "
                            "ON (j.exclusion, j.id, j.revision) = (c.kind, c.id, c.revision) "
                            "ORDER BY c.start_at, c.kind, c.id LIMIT $6::bigint";

static bool
is_true(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* Of a link or group, as the judge decides without a contract. */
static const char *
why_not_of_line(const cJSON *w)
{
    if (judged_has(w, "tenant")) {
        return "it is for one tenant's services alone";
    }
    if (judged_has(w, "lead_s") && judged_number(w, "lead_s") < 0) {
        return "it was announced after it had begun";
    }
    return NULL;
}

/* Why a window excludes nothing; NULL: it does. */
static const char *
why_not(const struct question *q, const cJSON *w)
{
    const char *state = judged_text(w, "state");

    if (strcmp(state, "cancelled") == 0 || strcmp(state, "withdrawn") == 0 ||
        strcmp(state, "tentative") == 0) {
        return state;
    }
    if (!is_true(w, "exclude_from_sla")) {
        return "it silences alerts only";
    }
    if (!is_true(w, "own")) {
        return "it is on a part alone, which counts as it was measured";
    }
    if (strcmp(q->kind, "service") != 0) {
        return why_not_of_line(w);
    }
    if (!is_true(w, "judged")) {
        return "no judge has decided about it yet (does a collector run?)";
    }
    return judged_has(w, "excluded_until") ? NULL
           : strcmp(judged_text(w, "judged_why"), "notice") == 0
               ? "it was announced too late for this SLA"
               : "what the SLA allows in a month was used up before it";
}

/* Of an earlier release there are none. */
static void
add_windows(struct question *q, cJSON *account)
{
    const char *values[] = {q->kind,
                            q->key,
                            judged_text(q->found, "period_start"),
                            judged_text(q->found, "period_end"),
                            judged_has(q->found, "tenant") ? judged_text(q->found, "tenant") : NULL,
                            q->limit};
    cJSON *there = q->status == EXIT_GOOD
                       ? judged_read(q->j,
                                     "SELECT to_regclass('plumbline.v_maintenance') IS NOT NULL "
                                     "AND to_regclass('plumbline.v_exclusion') IS NOT NULL AS yes",
                                     0, NULL, NULL, &q->status)
                       : NULL;
    cJSON *one;

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(there, 0), "yes"))) {
        add(q, account, "windows", windows_sql, 6, values);
    }
    cJSON_Delete(there);
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(account, "windows"))
    {
        const char *why = why_not(q, one);
        cJSON_AddBoolToObject(one, "excludes", why == NULL);
        if (why) {
            cJSON_AddStringToObject(one, "why_not", why);
        }
    }
}

static void
add_promise(struct question *q, cJSON *account)
{
    const char *values[] = {q->key, judged_text(q->found, "period_start")};
    char services[sizeof q->key + 2];
    cJSON *list;

    snprintf(services, sizeof services, "{%s}", q->key);
    list = judged_objectives(q->j, services, judged_text(q->found, "period"), NULL, true, NULL,
                             &q->status);
    cJSON_AddItemToObject(account, "objectives", list ? list : cJSON_CreateArray());
    add(q, account, "revisions",
        "SELECT revision, " JUDGED_UTC(
            "min(published_at)") " AS published_at, min(why) AS why, "
                                 "jsonb_agg(jsonb_build_object('number', number, 'verdict', "
                                 "verdict, 'value', value, "
                                 "'unit', unit) ORDER BY number) AS verdicts FROM "
                                 "plumbline.v_verdict "
                                 "WHERE service = $1 AND period_start = $2::timestamptz GROUP BY "
                                 "revision ORDER BY revision",
        2, values);
    add(q, account, "credit",
        "SELECT credit_milli, revision, reasons, state, " JUDGED_UTC(
            "claim_until") " AS claim_until FROM plumbline.v_credit WHERE service = $1 "
                           "AND period_start = $2::timestamptz",
        2, values);
    add(q, account, "credit_steps",
        "SELECT state, " JUDGED_UTC("at") " AS at, note, author, by, revision, credit_milli "
                                          "FROM plumbline.v_credit_step WHERE service = $1 AND "
                                          "period_start = $2::timestamptz "
                                          "ORDER BY number",
        2, values);
}

cJSON *
account_read(struct judged *j, const char *object, const char *period, const char *limit,
             int *status)
{
    struct question q = {.j = j, .period = period, .limit = limit, .status = EXIT_GOOD};
    cJSON *account = cJSON_CreateObject();

    find_object(&q, object);
    if (q.status == EXIT_GOOD) {
        cJSON_AddStringToObject(account, "object", q.key);
        cJSON_AddStringToObject(account, "kind", q.kind);
        find_period(&q, account);
    }
    if (q.status == EXIT_GOOD && strcmp(q.kind, "service") == 0) {
        add_promise(&q, account);
    }
    if (q.status == EXIT_GOOD) {
        add_counted(&q, account);
        add_windows(&q, account);
    }
    if (q.status != EXIT_GOOD) {
        cJSON_Delete(account);
        account = NULL;
    }
    *status = q.status;
    return account;
}
