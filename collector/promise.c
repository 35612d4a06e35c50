/* promise.c - from tallies to verdicts, in PostgreSQL. */
#include "promise_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg.h"
#include "terms.h"

#define NUMBER_SIZE PROMISE_NUMBER_SIZE

const char *
promise_number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

static const char *
number_u(char buf[NUMBER_SIZE], uint64_t v)
{
    return promise_number(buf, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static const char *
timezone_of(const struct promise *p)
{
    return p->service->tenant && p->service->tenant->timezone ? p->service->tenant->timezone
                                                              : "UTC";
}

PGresult *
promise_ask(struct judgestore *s, const char *sql, int count, const char *const *values)
{
    PGresult *r = pg_call(s->conn, sql, count, values);

    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        PQclear(r);
        return NULL;
    }
    return r;
}

/* --- Periods -------------------------------------------------------------- */

struct instant
promise_from(const struct promise *p)
{
    return instant_floor(p->from, span_of_ns(LINE_QUARTER_NS));
}

/* Complete quarter hours of the period, into its lines. */
static int
load_lines(struct judgestore *s, struct promise *p)
{
    struct line **lines = calloc(p->way_count * DIRECTIONS + p->whole_count + 1, sizeof *lines);
    size_t count = 0;

    if (!lines) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            if (p->ways[i].lines[d]) {
                lines[count++] = p->ways[i].lines[d];
            }
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        lines[count++] = p->wholes[i]->line;
    }
    for (size_t i = 0; i < count; i++) {
        lines[i]->period_start = promise_from(p);
        lines[i]->period_end = p->period_end;
    }
    int err = judgestore_periods(s, lines, count, promise_from(p), p->period_end);
    free(lines);
    return err;
}

/* A period that waits to be published, if it is before 'at'. */
static int
find_waiting(struct judgestore *s, struct promise *p, struct instant *at)
{
    const char *values[] = {p->service->key};
    PGresult *r =
        promise_ask(s,
                    "SELECT extract(epoch FROM period_start)::bigint, coalesce(reopened, '') "
                    "FROM plumbline_store.judged_period WHERE service = $1 "
                    "AND (revision IS NULL OR reopened IS NOT NULL) ORDER BY period_start LIMIT 1",
                    1, values);
    p->why[0] = '\0';
    if (r && PQntuples(r) == 1 && atoll(PQgetvalue(r, 0, 0)) * NS_PER_S <= at->ns) {
        *at = instant_of_ns(atoll(PQgetvalue(r, 0, 0)) * NS_PER_S);
        snprintf(p->why, sizeof p->why, "%s", PQgetvalue(r, 0, 1));
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

static int
ask_month(struct judgestore *s, const struct promise *p, struct instant at)
{
    char now[NUMBER_SIZE];
    const char *values[] = {promise_number(now, at.ns / NS_PER_S), timezone_of(p)};
    PGresult *r =
        promise_ask(s,
                    "SELECT extract(epoch FROM start)::bigint, extract(epoch FROM until)::bigint "
                    "FROM plumbline_store.month_of(to_timestamp($1::bigint), $2)",
                    2, values);
    if (r) {
        s->month.start = instant_of_ns(atoll(PQgetvalue(r, 0, 0)) * NS_PER_S);
        s->month.end = instant_of_ns(atoll(PQgetvalue(r, 0, 1)) * NS_PER_S);
        s->month.at = at;
        s->month.timezone = values[1];
    }
    PQclear(r);
    return r ? 0 : -EIO;
}

/* A service that goes out of service in the month is judged up to there. */
static void
settle_end(struct promise *p)
{
    struct instant end = p->service->out_of_service;
    bool inside = end.ns && end.ns > p->period.ns && end.ns < p->month_end.ns;

    p->period_end = inside ? end : p->month_end;
}

static int
find_month(struct judgestore *s, struct promise *p, struct instant at)
{
    /* Names are the inventory's, which stays: the same one is in the same place. */
    bool same = s->month.timezone == timezone_of(p) && s->month.at.ns == at.ns;
    int err = same ? 0 : ask_month(s, p, at);

    if (!err) {
        p->period = s->month.start;
        p->month_end = s->month.end;
        settle_end(p);
    }
    return err;
}

/* Where the service went in or out of service at another time than it was judged by, that is to be
 * judged again.  What lies before neither is as it was. */
static int
note_change(struct judgestore *s, const struct promise *p)
{
    char times[3][NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(times[0], p->period.ns / NS_PER_S),
                            promise_number(times[1], p->period_end.ns / NS_PER_S),
                            promise_number(times[2], p->from.ns / NS_PER_S)};
    PGresult *r = promise_ask(
        s,
        "WITH old AS (SELECT service, period_start, period_end, judged_from "
        "FROM plumbline_store.judged_period WHERE service = $1 "
        "AND period_start = to_timestamp($2::bigint) AND (period_end, judged_from) "
        "IS DISTINCT FROM (to_timestamp($3::bigint), to_timestamp($4::bigint))), "
        "told AS (INSERT INTO plumbline_store.rejudge (kind, key, from_at, why) "
        "SELECT 'service', service, CASE WHEN judged_from <> to_timestamp($4::bigint) THEN "
        "least(judged_from, to_timestamp($4::bigint)) ELSE "
        "least(period_end, to_timestamp($3::bigint)) - interval '1 second' END, "
        "'it was in service at other times' FROM old) "
        "UPDATE plumbline_store.judged_period p SET period_end = to_timestamp($3::bigint), "
        "judged_from = to_timestamp($4::bigint) FROM old "
        "WHERE (p.service, p.period_start) = (old.service, old.period_start)",
        4, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

/* So that a period that was begun is published, whoever goes on. */
static int
note_period(struct judgestore *s, const struct promise *p)
{
    char times[3][NUMBER_SIZE], version[NUMBER_SIZE];
    const char *values[] = {p->service->key,
                            promise_number(times[0], p->period.ns / NS_PER_S),
                            promise_number(times[1], p->period_end.ns / NS_PER_S),
                            p->sla->key,
                            promise_number(version, p->sla->version),
                            promise_number(times[2], p->from.ns / NS_PER_S)};
    PGresult *r =
        promise_ask(s,
                    "INSERT INTO plumbline_store.judged_period (service, period_start, "
                    "period_end, sla, version, judged_from, judged_until) VALUES ($1, "
                    "to_timestamp($2::bigint), to_timestamp($3::bigint), $4, $5::integer, "
                    "to_timestamp($6::bigint), to_timestamp($6::bigint)) ON CONFLICT DO NOTHING",
                    6, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

/* The version that holds for the period, and what the lines go by from now on. */
static int
find_terms(struct judgestore *s, struct promise *p)
{
    struct terms now = {0}, next = {0};

    inventory_free(p->older);
    p->older = NULL;
    p->sla = p->service->sla;
    p->from = p->period;
    /* Out of service before the period: nothing of it is promised. */
    if (p->service->out_of_service.ns && p->service->out_of_service.ns <= p->period.ns) {
        p->sla = NULL;
    }
    if (!p->sla) {
        return 0;
    }
    int err = terms_at(s, p->service, p->period, &now);
    /* Of the newest there is none after it. */
    next.sla = p->service->sla;
    if (!err && (now.older || now.from.ns > p->period.ns)) {
        err = terms_at(s, p->service, p->period_end, &next);
    }
    if (!err) {
        terms_apply(p, now.sla, next.sla);
        p->sla = now.sla;
        p->from = now.from;
        p->older = now.older;
        now.older = NULL;
    }
    terms_fini(&now);
    terms_fini(&next);
    return err;
}

int
promise_begin(struct judgestore *s, struct promise *p, struct instant at)
{
    int err = find_waiting(s, p, &at);

    err = err ? err : find_month(s, p, at);
    err = err ? err : find_terms(s, p);
    if (p->service->in_service.ns > p->from.ns) {
        p->from = p->service->in_service;
    }
    if (!err && p->sla && p->from.ns < p->period_end.ns) {
        err = note_period(s, p);
        err = err ? err : note_change(s, p);
    }
    return err ? err : load_lines(s, p);
}

int
promise_decided(struct judgestore *s, struct promise *p, const char *json)
{
    char start[NUMBER_SIZE], text[NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(start, p->period.ns / NS_PER_S), json};
    size_t size = strlen(json) + sizeof text;
    char *decided = NULL;

    if (!p->sla || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    /* Of another period the same is news. */
    decided = malloc(size);
    if (!decided) {
        return -ENOMEM;
    }
    snprintf(decided, size, "%s %s", values[1], json);
    if (p->decided && strcmp(p->decided, decided) == 0) {
        free(decided);
        return 0;
    }
    PGresult *r = promise_ask(s,
                              "UPDATE plumbline_store.judged_period SET windows = $3::jsonb "
                              "WHERE service = $1 AND period_start = to_timestamp($2::bigint) "
                              "AND windows <> $3::jsonb",
                              3, values);
    PQclear(r);
    free(p->decided);
    p->decided = decided;
    return r ? 0 : -EIO;
}

int
promise_reopen(struct judgestore *s, const struct promise *p, struct instant from, const char *why)
{
    char at[NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(at, from.ns / NS_PER_S), why};
    PGresult *r =
        promise_ask(s,
                    "UPDATE plumbline_store.judged_period SET reopened = $3 WHERE service = $1 "
                    "AND period_end > to_timestamp($2::bigint) AND revision IS NOT NULL",
                    3, values);
    PQclear(r);
    return r ? 0 : -EIO;
}

bool
promise_is_over(const struct promise *p)
{
    return promise_until(p).ns >= p->period_end.ns;
}

struct instant
promise_until(const struct promise *p)
{
    struct instant until = instant_of_ns(INT64_MAX);

    for (size_t i = 0; i < p->way_count; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            const struct line *l = p->ways[i].lines[d];
            until = l && l->until.ns < until.ns ? l->until : until;
        }
    }
    for (size_t i = 0; i < p->whole_count; i++) {
        struct instant u = p->wholes[i]->line->until;
        until = u.ns < until.ns ? u : until;
    }
    return until.ns == INT64_MAX ? instant_of_ns(-1) : until;
}

/* --- Judging -------------------------------------------------------------- */

/* The whole period so far. */
static int
total(const struct line *l, struct tally *out)
{
    int err = tally_merge(out, &l->period);

    if (!err && l->quarter.ns >= l->period_start.ns && l->quarter.ns < l->period_end.ns) {
        err = tally_merge(out, &l->tally);
    }
    return err;
}

static int
limit_index(const struct way *w, const struct inv_objective *o, enum direction d)
{
    enum limit_metric metric = o->metric.kind == INV_IFDV ? LIMIT_IFDV : LIMIT_DELAY;

    for (unsigned i = 0; i < w->limit_count; i++) {
        const struct series_limit *l = &w->limits[i];
        if (l->metric == metric && l->direction == d && l->limit.ns == (int64_t)o->limit) {
            return (int)i;
        }
    }
    return -1;
}

/* One line's result, kept if it is the worst. */
static int
judge_line(const struct promise *p, const struct line *l, int index, bool over, uint64_t packets,
           struct judged *j)
{
    struct objective_period period = {.dt = l->dt, .packets_total = packets, .over = over};
    struct tally t;

    /* Of it the tally has excluded what is before the service came into force. */
    period.dt_total = (uint64_t)((p->period_end.ns - promise_from(p).ns) / l->dt.ns);
    tally_init(&t);
    int err = total(l, &t);
    if (!err) {
        /* Samples of before the limit was counted: then the histogram says. */
        int counted = index >= 0 && t.not_compared[index] == 0 ? index : -1;
        struct objective_result r =
            objective_judge(j->objective, p->sla->undetermined, &t, counted, &period);
        if (!j->any || objective_compare(j->objective, &r, &j->result) < 0) {
            j->result = r;
            snprintf(j->worst, sizeof j->worst, "%s %s", l->object,
                     line_direction_name(l->direction));
        }
        j->any = true;
    }
    tally_fini(&t);
    return err;
}

static bool
asks_for(const struct inv_objective *o, enum direction d)
{
    bool round_trip =
        o->metric.kind == INV_RT || o->metric.kind == INV_RT_MEAN || o->direction == INV_ROUND_TRIP;

    return round_trip ? d == DIR_RT
                      : (d == DIR_FWD && o->direction != INV_BWD) ||
                            (d == DIR_BWD && o->direction != INV_FWD);
}

static int
judge_ways(const struct promise *p, bool over, struct judged *j)
{
    int err = 0;

    for (size_t i = 0; i < p->way_count && !err; i++) {
        const struct way *w = p->ways[i].way;
        uint64_t packets =
            (uint64_t)((p->period_end.ns - p->from.ns) / w->class_->period.ns) * w->link->flows;
        if (strcmp(w->class_->key, j->objective->class_->key) != 0) {
            continue;
        }
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            const struct line *l = p->ways[i].lines[d];
            if (l && l->quarter.ns >= 0 && asks_for(j->objective, d)) {
                err = judge_line(p, l, limit_index(w, j->objective, d), over, packets, j);
            }
        }
    }
    return err;
}

static int
judge_objective(const struct promise *p, const struct inv_objective *o, bool over, struct judged *j)
{
    int err = 0;

    *j = (struct judged){
        .objective = o,
        .result = {
            .verdict = VERDICT_NOT_DECIDABLE, .doubt = VERDICT_NO_DATA, .low = NAN, .high = NAN}};
    if (o->metric.kind != INV_AVAILABILITY) {
        return judge_ways(p, over, j);
    }
    for (size_t i = 0; i < p->whole_count && !err; i++) {
        const struct bond *b = p->wholes[i];
        if (strcmp(b->class_->key, o->class_->key) == 0 && b->line->quarter.ns >= 0) {
            err = judge_line(p, b->line, -1, over, 0, j);
        }
    }
    return err;
}

/* --- Writing -------------------------------------------------------------- */

enum {
    AT_SERVICE,
    AT_PERIOD,
    AT_NUMBER,
    AT_CLASS,
    AT_METRIC,
    AT_DIRECTION,
    AT_LIMIT,
    AT_UNIT,
    AT_VERDICT,
    AT_DOUBT,
    AT_VALUE,
    AT_WORST,
    AT_PART,
    AT_WHOLE,
    AT_LOW,
    AT_HIGH,
    AT_NEEDED,
    AT_BUDGET,
    AT_USED,
    AT_WHY,
    COLUMNS
};

#define RESULT_COLUMNS                                                                             \
    "service, period_start, number, class, metric, direction, limit_value, unit, verdict, doubt, " \
    "value, worst, part, whole, low, high, needed, budget, used"
#define RESULT_VALUES                                                                              \
    "$1, to_timestamp($2::bigint), $3::integer, $4, $5, $6, $7::bigint, $8, $9, $10, "             \
    "$11::bigint, $12, $13::bigint, $14::bigint, $15::float8, $16::float8, $17::bigint, "          \
    "$18::bigint, $19::bigint"

struct texts {
    char buf[COLUMNS][NUMBER_SIZE];
    char metric[INV_METRIC_SIZE];
    const char *values[COLUMNS];
};

static void
fill(struct texts *t, const struct promise *p, size_t place, const struct judged *j)
{
    static const char *const units[] = {
        [INV_MILLI_PERCENT] = "milli_percent", [INV_NS] = "ns", [INV_COUNT] = "count"};
    static const char *const ways[] = {
        [INV_FWD] = "fwd", [INV_BWD] = "bwd", [INV_BOTH] = "both", [INV_ROUND_TRIP] = "rt"};
    const struct inv_objective *o = j->objective;
    const struct objective_result *r = &j->result;

    t->values[AT_SERVICE] = p->service->key;
    t->values[AT_PERIOD] = promise_number(t->buf[AT_PERIOD], p->period.ns / NS_PER_S);
    t->values[AT_NUMBER] = promise_number(t->buf[AT_NUMBER], (int64_t)place + 1);
    t->values[AT_CLASS] = o->class_->key;
    t->values[AT_METRIC] = inv_metric_format(o->metric, t->metric, sizeof t->metric);
    t->values[AT_DIRECTION] = ways[o->direction];
    t->values[AT_LIMIT] = number_u(t->buf[AT_LIMIT], o->limit);
    t->values[AT_UNIT] = units[inv_metric_unit(o->metric.kind)];
    t->values[AT_VERDICT] = verdict_name(r->verdict);
    t->values[AT_DOUBT] = verdict_doubt_name(r->doubt);
    t->values[AT_VALUE] = r->has_value ? promise_number(t->buf[AT_VALUE], r->value) : NULL;
    t->values[AT_WORST] = j->any ? j->worst : NULL;
    t->values[AT_PART] = number_u(t->buf[AT_PART], r->part);
    t->values[AT_WHOLE] = number_u(t->buf[AT_WHOLE], r->whole);
    snprintf(t->buf[AT_LOW], NUMBER_SIZE, "%.9g", r->low);
    snprintf(t->buf[AT_HIGH], NUMBER_SIZE, "%.9g", r->high);
    t->values[AT_LOW] = isnan(r->low) ? NULL : t->buf[AT_LOW];
    t->values[AT_HIGH] = isnan(r->high) ? NULL : t->buf[AT_HIGH];
    t->values[AT_NEEDED] = number_u(t->buf[AT_NEEDED], r->needed);
    t->values[AT_BUDGET] = number_u(t->buf[AT_BUDGET], r->budget);
    t->values[AT_USED] = number_u(t->buf[AT_USED], r->used);
}

#define PERIOD_COLUMNS                                                                             \
    "service, period_start, period_end, sla, version, judged_from, judged_until, revision"
#define PERIOD_MERGE                                                                               \
    " ON CONFLICT (service, period_start) DO UPDATE SET "                                          \
    "judged_from = excluded.judged_from, judged_until = excluded.judged_until, "                   \
    "sla = excluded.sla, version = excluded.version, "                                             \
    "revision = coalesce(excluded.revision, p.revision), "                                         \
    "reopened = CASE WHEN excluded.revision IS NULL THEN p.reopened END"

struct period_texts {
    char buf[6][NUMBER_SIZE];
    const char *values[8]; /* In the order of PERIOD_COLUMNS. */
};

/* 'until' is how far it is judged; 'revision' < 0: the period runs. */
static void
fill_period(struct period_texts *t, const struct promise *p, struct instant until, int revision)
{
    t->values[0] = p->service->key;
    t->values[1] = promise_number(t->buf[0], p->period.ns / NS_PER_S);
    t->values[2] = promise_number(t->buf[1], p->period_end.ns / NS_PER_S);
    t->values[3] = p->sla->key;
    t->values[4] = promise_number(t->buf[2], p->sla->version);
    t->values[5] = promise_number(t->buf[3], p->from.ns / NS_PER_S);
    t->values[6] = promise_number(t->buf[4], until.ns / NS_PER_S);
    t->values[7] = revision < 0 ? NULL : promise_number(t->buf[5], revision);
}

static int
write_period(struct judgestore *s, const struct promise *p, struct instant until, int revision)
{
    struct period_texts t;

    fill_period(&t, p, until, revision);
    PGresult *r =
        promise_ask(s,
                    "INSERT INTO plumbline_store.judged_period AS p (" PERIOD_COLUMNS
                    ") VALUES ($1, to_timestamp($2::bigint), to_timestamp($3::bigint), $4, "
                    "$5::integer, to_timestamp($6::bigint), to_timestamp($7::bigint), "
                    "$8::integer)" PERIOD_MERGE,
                    8, t.values);
    PQclear(r);
    return r ? 0 : -EIO;
}

/* --- States, of many at once ---------------------------------------------- */

void
promise_states_fini(struct promise_states *all)
{
    bytes_fini(&all->periods);
    bytes_fini(&all->objectives);
}

/* A line as COPY takes it: keys and names hold nothing that would have to be escaped. */
static void
add_values(struct bytes *b, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes_text(b, i ? "\t" : "");
        bytes_text(b, values[i] ? values[i] : "\\N");
    }
    bytes_text(b, "\n");
}

int
promise_state(struct judgestore *s, struct promise *p, struct promise_states *all)
{
    struct instant until = promise_until(p);
    struct period_texts period;
    struct texts t;
    struct judged j;
    int err = 0;

    (void)s;
    if (!p->sla || until.ns < p->period.ns || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    fill_period(&period, p, until.ns < p->period_end.ns ? until : p->period_end, -1);
    add_values(&all->periods, period.values, sizeof period.values / sizeof period.values[0]);
    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        err = judge_objective(p, &p->sla->objectives[i], false, &j);
        if (!err) {
            fill(&t, p, i, &j);
            add_values(&all->objectives, t.values, AT_WHY);
        }
    }
    all->count++;
    return err ? err : bytes_ok(&all->periods) && bytes_ok(&all->objectives) ? 0 : -ENOMEM;
}

static int
run(struct judgestore *s, const char *sql)
{
    return pg_run(s->conn, sql, 0, NULL, s->why, sizeof s->why) < 0 ? -EIO : 0;
}

static int
flush_periods(struct judgestore *s, const struct bytes *lines)
{
    int err = run(s, "CREATE TEMPORARY TABLE IF NOT EXISTS period_in (service text, "
                     "period_start bigint, period_end bigint, sla text, version integer, "
                     "judged_from bigint, judged_until bigint, revision integer) "
                     "ON COMMIT DELETE ROWS");

    err = err ? err
              : pg_copy(s->conn, "COPY pg_temp.period_in (" PERIOD_COLUMNS ") FROM STDIN",
                        lines->at, lines->size, s->why, sizeof s->why);
    return err ? err
               : run(s, "INSERT INTO plumbline_store.judged_period AS p (" PERIOD_COLUMNS
                        ") SELECT service, to_timestamp(period_start), to_timestamp(period_end), "
                        "sla, version, to_timestamp(judged_from), to_timestamp(judged_until), "
                        "revision FROM pg_temp.period_in" PERIOD_MERGE);
}

static int
flush_objectives(struct judgestore *s, const struct bytes *lines)
{
    int err = run(s, "CREATE TEMPORARY TABLE IF NOT EXISTS objective_in (service text, "
                     "period_start bigint, number integer, class text, metric text, "
                     "direction text, limit_value bigint, unit text, verdict text, doubt text, "
                     "value bigint, worst text, part bigint, whole bigint, low float8, "
                     "high float8, needed bigint, budget bigint, used bigint) "
                     "ON COMMIT DELETE ROWS");

    err = err ? err
              : pg_copy(s->conn, "COPY pg_temp.objective_in (" RESULT_COLUMNS ") FROM STDIN",
                        lines->at, lines->size, s->why, sizeof s->why);
    return err ? err
               : run(s, "INSERT INTO plumbline_store.objective_state AS o (" RESULT_COLUMNS
                        ") SELECT service, to_timestamp(period_start), number, class, metric, "
                        "direction, limit_value, unit, verdict, doubt, value, worst, part, whole, "
                        "low, high, needed, budget, used FROM pg_temp.objective_in "
                        "ON CONFLICT (service, period_start, number) "
                        "DO UPDATE SET class = excluded.class, metric = excluded.metric, "
                        "direction = excluded.direction, limit_value = excluded.limit_value, "
                        "unit = excluded.unit, verdict = excluded.verdict, doubt = excluded.doubt, "
                        "value = excluded.value, worst = excluded.worst, part = excluded.part, "
                        "whole = excluded.whole, low = excluded.low, high = excluded.high, "
                        "needed = excluded.needed, budget = excluded.budget, used = excluded.used, "
                        "updated_at = now()");
}

int
promise_flush(struct judgestore *s, struct promise_states *all)
{
    int err = all->count ? flush_periods(s, &all->periods) : 0;

    err = err || !all->objectives.size ? err : flush_objectives(s, &all->objectives);
    bytes_clear(&all->periods);
    bytes_clear(&all->objectives);
    all->count = 0;
    return err;
}

/* --- Verdicts ------------------------------------------------------------- */

/* Whether the newest revision says the same of all objectives. */
static int
is_published(struct judgestore *s, const struct promise *p, const struct judged *all, bool *same,
             int *newest)
{
    char start[NUMBER_SIZE];
    const char *values[] = {p->service->key, promise_number(start, p->period.ns / NS_PER_S)};
    PGresult *r = promise_ask(s,
                              "SELECT revision, verdict, doubt, value, part, whole, limit_value "
                              "FROM plumbline_store.verdict v WHERE service = $1 "
                              "AND period_start = to_timestamp($2::bigint) AND revision = (SELECT "
                              "max(revision) FROM plumbline_store.verdict m WHERE (m.service, "
                              "m.period_start) = (v.service, v.period_start)) ORDER BY number",
                              2, values);
    if (!r) {
        return -EIO;
    }
    *newest = PQntuples(r) ? atoi(PQgetvalue(r, 0, 0)) : -1;
    *same = PQntuples(r) == (int)p->sla->objective_count && PQntuples(r) > 0;
    for (int i = 0; i < PQntuples(r) && *same; i++) {
        struct texts t;
        fill(&t, p, (size_t)i, &all[i]);
        static const int columns[] = {AT_VERDICT, AT_DOUBT, AT_VALUE, AT_PART, AT_WHOLE, AT_LIMIT};
        for (size_t c = 0; c < sizeof columns / sizeof columns[0] && *same; c++) {
            const char *now = t.values[columns[c]];
            *same = strcmp(PQgetvalue(r, i, (int)c + 1), now ? now : "") == 0;
        }
    }
    PQclear(r);
    return 0;
}

static int
write_verdicts(struct judgestore *s, const struct promise *p, const struct judged *all,
               int revision, const char *why)
{
    char rev[NUMBER_SIZE];
    int err = 0;

    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        const char *values[COLUMNS + 1];
        struct texts t;
        fill(&t, p, i, &all[i]);
        memcpy(values, t.values, sizeof t.values);
        values[AT_WHY] = why;
        values[COLUMNS] = promise_number(rev, revision);
        PGresult *r = promise_ask(s,
                                  "INSERT INTO plumbline_store.verdict (" RESULT_COLUMNS
                                  ", why, revision) VALUES (" RESULT_VALUES ", $20, $21::integer)",
                                  COLUMNS + 1, values);
        PQclear(r);
        err = r ? 0 : -EIO;
    }
    return err;
}

static int
publish(struct judgestore *s, struct promise *p, const struct judged *all, int *revision)
{
    struct promise_claims claims;
    bool same = false;
    int err = promise_claims(s, p, all, &claims);

    err = err ? err : is_published(s, p, all, &same, revision);
    if (!err && same) {
        err = promise_claims_same(s, p, &claims, *revision, &same);
    }
    if (!err && !same) {
        ++*revision;
        err = write_verdicts(s, p, all, *revision,
                             *revision == 0 ? "the period is over"
                             : p->why[0]    ? p->why
                                            : "judged again");
        err = err ? err : promise_claims_write(s, p, &claims, *revision);
    }
    promise_claims_free(&claims);
    return err ? err : write_period(s, p, p->period_end, *revision);
}

int
promise_close(struct judgestore *s, struct promise *p, int *revision)
{
    struct judged *all;
    int err = 0;

    *revision = -1;
    if (!p->sla || p->from.ns >= p->period_end.ns) {
        return 0;
    }
    all = calloc(p->sla->objective_count + 1, sizeof *all);
    err = all ? 0 : -ENOMEM;
    for (size_t i = 0; i < p->sla->objective_count && !err; i++) {
        err = judge_objective(p, &p->sla->objectives[i], true, &all[i]);
    }
    err = err ? err : publish(s, p, all, revision);
    free(all);
    return err;
}
