/* judged.c - what was judged, as the operator's commands read and show it. */
#include "judged.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "nstime.h"
#include "pg.h"
#include "value.h"

#define REFUSED "P0001"
#define UNDEFINED_FUNCTION "42883"
#define UNDEFINED_TABLE "42P01"
#define UNDEFINED_COLUMN "42703"
#define NO_SCHEMA "3F000"
#define NO_RIGHT "42501"
#define TIMED_OUT "57014"

#define IN_ALL "rows_in_all"

/* What a month of a large network may take to add up. */
#define TIMEOUT_MS 120000

/* Types of the server (pg_type.h). */
enum { TYPE_BOOL = 16, TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_FLOAT8 = 701, TYPE_JSONB = 3802 };

/* --- Server ----------------------------------------------------------------- */

int
judged_open(struct judged *j)
{
    char name[64], why[512];
    const struct pg_options options = {.application = name,
                                       .role = j->role,
                                       .connect_timeout_s = 10,
                                       .statement_timeout_ms = TIMEOUT_MS};
    struct config_postgresql server = {.conninfo = j->postgresql};
    struct cli_config *config = NULL;

    snprintf(name, sizeof name, "plumbline %s", j->verb);
    if (!j->postgresql) {
        int err = cli_config_load(j->config, stderr, &config);
        if (err) {
            return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        }
        server = config->postgresql;
    }
    j->conn = pg_connect(&server, &options, why, sizeof why);
    if (!j->conn) {
        fprintf(stderr, "plumbline %s: PostgreSQL: %s%s\n", j->verb, why,
                j->role && strstr(why, j->role)
                    ? "; run `plumbline migrate` first, or log in as a member of that role"
                    : "");
    }
    /* Over the partitions of a month it takes ten seconds to compile what runs for one. */
    if (j->conn) {
        PQclear(PQexec(j->conn, "SET jit = off"));
    }
    cli_config_free(config);
    return j->conn ? EXIT_GOOD : EXIT_UNAVAILABLE;
}

void
judged_close(struct judged *j)
{
    PQfinish(j->conn);
    j->conn = NULL;
}

/* What the server said against it. */
static int
failed(const struct judged *j, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    char why[512];

    state = state ? state : "";
    if (strcmp(state, REFUSED) == 0 && text) {
        fprintf(stderr, "plumbline %s: %s\n", j->verb, text);
        return EXIT_USAGE;
    }
    pg_error(j->conn, r, why, sizeof why);
    bool old = strcmp(state, UNDEFINED_FUNCTION) == 0 || strcmp(state, UNDEFINED_TABLE) == 0 ||
               strcmp(state, UNDEFINED_COLUMN) == 0 || strcmp(state, NO_SCHEMA) == 0;
    fprintf(stderr, "plumbline %s: PostgreSQL: %s%s\n", j->verb, why,
            old                             ? "; run `plumbline migrate`"
            : strcmp(state, NO_RIGHT) == 0  ? "; whoever reads is a member of plumbline_reader"
            : strcmp(state, TIMED_OUT) == 0 ? "; that is too much to add up: `plumbline sla` "
                                              "without --limit 0, or --services, adds less"
                                            : "");
    return EXIT_UNAVAILABLE;
}

static cJSON *
cell(const PGresult *r, int row, int column)
{
    const char *text = PQgetvalue(r, row, column);

    if (PQgetisnull(r, row, column)) {
        return cJSON_CreateNull();
    }
    switch (PQftype(r, column)) {
    case TYPE_BOOL:
        return cJSON_CreateBool(text[0] == 't');
    case TYPE_INT8:
    case TYPE_INT4:
    case TYPE_FLOAT8:
        return cJSON_CreateNumber(strtod(text, NULL));
    case TYPE_JSONB:
        return cJSON_Parse(text);
    default:
        return cJSON_CreateString(text);
    }
}

cJSON *
judged_read(struct judged *j, const char *sql, int count, const char *const *values,
            int64_t *left_out, int *status)
{
    PGresult *r = pg_call(j->conn, sql, count, values);
    int64_t in_all = 0;

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        *status = failed(j, r);
        PQclear(r);
        return NULL;
    }
    cJSON *list = cJSON_CreateArray();
    for (int row = 0; row < PQntuples(r); row++) {
        cJSON *o = cJSON_CreateObject();
        for (int column = 0; column < PQnfields(r); column++) {
            if (strcmp(PQfname(r, column), IN_ALL) == 0) {
                in_all = strtoll(PQgetvalue(r, row, column), NULL, 10);
            } else {
                cJSON_AddItemToObject(o, PQfname(r, column), cell(r, row, column));
            }
        }
        cJSON_AddItemToArray(list, o);
    }
    if (left_out) {
        *left_out = in_all > PQntuples(r) ? in_all - PQntuples(r) : 0;
    }
    PQclear(r);
    return list;
}

/* Beside what the views have: how much of the period is over, what is left of the budget, and
 * how fast it goes: the share of it that is used by the share of the period that is over. */
cJSON *
judged_objectives(struct judged *j, const char *services, const char *period, const char *limit,
                  bool by_number, int64_t *left_out, int *status)
{
    const char *values[] = {services, period, limit, by_number ? "t" : "f"};

    return judged_read(
        j,
        "WITH o AS (SELECT service, period_start, number, class, metric, direction, limit_value, "
        "unit, verdict, doubt, value, worst, part, whole, low, high, needed, budget, used, "
        "false AS published, NULL::integer AS revision, updated_at AS at FROM plumbline.v_service "
        "UNION ALL SELECT service, period_start, number, class, metric, direction, limit_value, "
        "unit, verdict, doubt, value, worst, part, whole, low, high, needed, budget, used, "
        "true, revision, published_at FROM plumbline.v_verdict WHERE newest), "
        "p AS (SELECT o.*, x.tenant, x.period, x.period_end, x.judged_from, x.judged_until, x.sla, "
        "x.version, o.metric NOT LIKE '%mean' AND o.budget + o.used + o.whole > 0 AS counted, "
        "least(1, extract(epoch FROM x.judged_until - x.judged_from) / "
        "nullif(extract(epoch FROM x.period_end - x.judged_from), 0))::float8 AS share_over, "
        "(SELECT max(l.dt_ns) FROM plumbline.v_line l WHERE l.scope_kind = 'service' "
        "AND l.scope = o.service AND l.class = o.class) AS dt_ns "
        "FROM o JOIN plumbline.v_period x ON (x.service, x.period_start) = "
        "(o.service, o.period_start) WHERE ($1::text[] IS NULL OR o.service = ANY ($1::text[])) "
        "AND CASE WHEN $2::text IS NULL THEN NOT o.published "
        /* A service that went out of service in the month that runs has its verdicts. */
        "OR x.period = to_char(now() AT TIME ZONE x.timezone, 'YYYY-MM') "
        "WHEN $2::text = '' THEN true ELSE x.period = $2::text END) "
        "SELECT service, tenant, period, " JUDGED_UTC("period_start") " AS period_start, "        //
        JUDGED_UTC("period_end") " AS period_end, " JUDGED_UTC("judged_from") " AS judged_from, " //
        JUDGED_UTC(
            "judged_until") " AS judged_until, sla, version, published, revision, number, "
                            "class, metric, direction, limit_value, unit, verdict, doubt, value, "
                            "worst, part, whole, "
                            "low, high, nullif(needed, 9223372036854775807) AS needed, share_over, "
                            "dt_ns, "
                            "CASE WHEN counted THEN budget END AS budget, CASE WHEN counted THEN "
                            "used END AS used, "
                            "CASE WHEN counted THEN budget - used END AS budget_left, "
                            "CASE WHEN NOT counted THEN NULL WHEN metric = 'availability' THEN "
                            "'delta_t' "
                            "WHEN metric = 'hli' THEN 'intervals' WHEN metric = 'chli' THEN 'runs' "
                            "ELSE 'packets' END AS budget_unit, "
                            "CASE WHEN counted AND NOT published THEN used / nullif(budget * "
                            "share_over, 0) END "
                            "AS burn, " JUDGED_UTC(
                                "at") " AS at, count(*) OVER () AS rows_in_all "
                                      "FROM p ORDER BY CASE WHEN $4::boolean THEN number END, "
                                      "array_position('{missed,not decidable,met}', verdict), "
                                      /* A budget of none that is spent is spent most. */
                                      "CASE WHEN counted AND budget = 0 AND used > 0 THEN "
                                      "'Infinity' "
                                      "WHEN counted THEN used::float8 / nullif(budget, 0) END DESC "
                                      "NULLS LAST, "
                                      "service, p.period_start, number LIMIT $3::bigint",
        4, values, left_out, status);
}

/* --- Members ------------------------------------------------------------------ */

const char *
judged_text(const cJSON *o, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return text ? text : "";
}

bool
judged_has(const cJSON *o, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(o, name);

    return member && !cJSON_IsNull(member);
}

int64_t
judged_number(const cJSON *o, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(member) ? (int64_t)member->valuedouble : 0;
}

const char *
judged_list(const cJSON *o, const char *name, char *buf, size_t size)
{
    const cJSON *one;
    size_t used = 0;

    buf[0] = '\0';
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(o, name))
    {
        const char *text = cJSON_GetStringValue(one);
        int n = snprintf(buf + used, size - used, "%s%s", used ? ", " : "", text ? text : "");
        if (n < 0 || (size_t)n >= size - used) {
            break;
        }
        used += (size_t)n;
    }
    return buf;
}

/* How many bytes at 'c' could move the cursor, or turn around what is read: control characters,
 * also those of U+0080 to U+009F (U+009B begins a sequence as ESC [ does), marks of direction and
 * line ends of Unicode; 0: none.  What is cut short is no text of the server's. */
static size_t
wild_bytes(const unsigned char *c)
{
    if (c[0] < 0x20 || c[0] == 0x7f) {
        return 1;
    }
    if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) {
        return 2;
    }
    bool marks = c[0] == 0xe2 && c[1] == 0x80 &&
                 (c[2] == 0x8e || c[2] == 0x8f || (c[2] >= 0xa8 && c[2] <= 0xae));
    bool isolates = c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
    return marks || isolates ? 3 : 0;
}

void
judged_tame(cJSON *o)
{
    cJSON *member;

    for (char *c = cJSON_IsString(o) ? o->valuestring : NULL; c && *c;) {
        size_t wild = wild_bytes((const unsigned char *)c);
        memset(c, '?', wild);
        c += wild ? wild : 1;
    }
    cJSON_ArrayForEach(member, o)
    {
        judged_tame(member);
    }
}

void
judged_print(cJSON *o)
{
    char *text = cJSON_Print(o);

    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

/* --- Values ------------------------------------------------------------------- */

const char *
judged_value(const char *unit, int64_t value, char *buf, size_t size)
{
    if (strcmp(unit, "ns") == 0) {
        return span_format(span_of_ns(value), buf, size);
    }
    if (strcmp(unit, "milli_percent") == 0 && value >= 0) {
        return value_format_percent((uint64_t)value, buf, size);
    }
    snprintf(buf, size, "%" PRId64, value);
    return buf;
}

const char *
judged_limit(const cJSON *objective, char *buf, size_t size)
{
    const char *unit = judged_text(objective, "unit");
    bool least = strcmp(judged_text(objective, "metric"), "availability") == 0;
    int64_t limit = judged_number(objective, "limit_value");
    char text[JUDGED_TEXT_SIZE];

    if (strcmp(unit, "ns") == 0) {
        value_format_span(span_of_ns(limit), text, sizeof text);
    } else {
        judged_value(unit, limit, text, sizeof text);
    }
    snprintf(buf, size, "%s %.48s", least ? ">=" : "<=", text);
    return buf;
}

const char *
judged_duration(int64_t ns, char *buf, size_t size)
{
    const char *sign = ns < 0 ? "-" : "";
    int64_t s = (ns < 0 ? -ns : ns) / NS_PER_S;

    if (s >= 86400) {
        snprintf(buf, size, "%s%" PRId64 "d%" PRId64 "h", sign, s / 86400, s % 86400 / 3600);
    } else if (s >= 3600) {
        snprintf(buf, size, "%s%" PRId64 "h%" PRId64 "m", sign, s / 3600, s % 3600 / 60);
    } else if (s >= 60) {
        snprintf(buf, size, "%s%" PRId64 "m%" PRId64 "s", sign, s / 60, s % 60);
    } else {
        int64_t tenth = (ns < 0 ? -ns : ns) % NS_PER_S / (NS_PER_S / 10);
        snprintf(buf, size, tenth ? "%s%" PRId64 ".%" PRId64 "s" : "%s%" PRId64 "s", sign, s,
                 tenth);
    }
    return buf;
}

const char *
judged_budget(const cJSON *objective, const char *name, char *buf, size_t size)
{
    const char *unit = judged_text(objective, "budget_unit");
    int64_t count = judged_number(objective, name), dt = judged_number(objective, "dt_ns");

    if (!judged_has(objective, name) || !unit[0]) {
        return "-";
    }
    if (strcmp(unit, "delta_t") == 0 && dt > 0) {
        return judged_duration(count * dt, buf, size);
    }
    /* "1 packet": each of the units is a plural. */
    snprintf(buf, size, "%" PRId64 " %.*s", count, (int)strlen(unit) - (count == 1), unit);
    return buf;
}

const char *
judged_verdict(const cJSON *objective)
{
    const char *verdict = judged_text(objective, "verdict");

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(objective, "published"))) {
        return verdict;
    }
    return strcmp(verdict, "met") == 0      ? "met so far"
           : strcmp(verdict, "missed") == 0 ? "missed for good"
                                            : verdict;
}

/* --- Words -------------------------------------------------------------------- */

const char *
judged_formula(const char *metric)
{
    static const struct {
        const char *prefix, *words;
    } formulas[] = {
        /* The longer of two that begin alike comes first. */
        {"availability", "delta-t that were available / delta-t that count; of several links or "
                         "ways all in the same delta-t, cut to 0.001 %"},
        {"flr_raw", "packets lost / packets sent, in all delta-t that count"},
        {"flr", "packets lost / packets sent, in the available delta-t that count"},
        {"hli", "available delta-t that count in which more than C was lost"},
        {"chli", "runs of at least p such delta-t in a row"},
        {"rt_mean", "sum of the round trips / their count"},
        {"rt_p", "the least round trip that so many percent of the packets do not exceed"},
        {"fd_mean", "sum of the one-way delays / their count"},
        {"fd_p", "the least one-way delay that so many percent of the packets do not exceed"},
        {"fdr_p", "that quantile of the one-way delay, less the least delay"},
        {"pdv_p", "that quantile of (delay less the least delay of the period)"},
        {"ifdv_p", "the least |difference of two packets' delays| that so many percent of the "
                   "pairs do not exceed"},
        {"ipdv_abs_mean", "mean of |delay less the delay of the packet before|"},
        {"reorder_ratio", "packets that arrived after a later one / packets received"},
        {"duplicate_ratio", "packets that arrived again / packets sent"},
    };

    for (size_t i = 0; i < sizeof formulas / sizeof formulas[0]; i++) {
        if (strncmp(metric, formulas[i].prefix, strlen(formulas[i].prefix)) == 0) {
            return formulas[i].words;
        }
    }
    return "";
}

const char *
judged_doubt(const cJSON *objective)
{
    static const char *const words[][2] = {
        {"no_data", "nothing was measured that counts"},
        {"few_samples", "there are too few samples to tell"},
        {"in_interval", "the limit lies inside the 95 % interval"},
        {"clock", "the clocks' error is over a tenth of the limit, or not known"},
        {"undetermined", "it hangs on delta-t of which nobody knows: were they the other way, so "
                         "would the verdict be"},
        {"bucket", "the limit lies inside the histogram's bucket"},
    };
    const char *doubt = judged_text(objective, "doubt");

    if (strcmp(doubt, "no_data") == 0 && strcmp(judged_text(objective, "verdict"), "met") == 0) {
        return "all of the time was excluded: there was none to keep the promise in";
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(doubt, words[i][0]) == 0) {
            return words[i][1];
        }
    }
    return "";
}

bool
judged_is_outage(const cJSON *reason)
{
    return judged_has(reason, "outage");
}

/* Reasons of before 0012-outage.sql say nothing of it, and all count. */
bool
judged_counts(const cJSON *reason)
{
    return !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reason, "counts"));
}

void
judged_print_outages(const cJSON *reasons, int64_t limit, const char *indent, const char *more)
{
    char length[JUDGED_TEXT_SIZE], share[JUDGED_TEXT_SIZE];
    int64_t count = 0;
    const cJSON *r;

    cJSON_ArrayForEach(r, reasons)
    {
        if (judged_is_outage(r) && count++ < limit) {
            printf("%soutage %s to %s, class %s, %s: %s%s\n", indent, judged_text(r, "outage"),
                   judged_text(r, "until"), judged_text(r, "class"),
                   judged_duration(judged_number(r, "length_ns"), length, sizeof length),
                   judged_value("milli_percent", judged_number(r, "credit_milli"), share,
                                sizeof share),
                   judged_counts(r) ? "" : JUDGED_NOT_ADDED);
        }
    }
    if (count > limit) {
        printf("%s... and %" PRId64 " outages more; %s\n", indent, count - limit, more);
    }
}

bool
judged_is_month(const char *text)
{
    char day[16];

    snprintf(day, sizeof day, "%s-01", text);
    return strlen(text) == 7 && value_is_date(day);
}
