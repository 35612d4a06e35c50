/* past.c - reads rows of pasts that are due, stores what they come to. */
#include "past.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "baseline.h"
#include "bytes.h"
#include "cell.h"
#include "job.h"
#include "log.h"
#include "pg.h"
#include "row.h"

#define LOCK 8
#define EVERY_S 2
#define AGAIN_S 10
/* So many pasts a round: 33,000 of them are made in a quarter of an hour, and nobody else is
 * starved meanwhile. */
#define ROUND_CELLS 100
/* One answer has about so many rows at most, which bounds what is held of them. */
#define ROWS_AT_ONCE 2048
#define NUMBER_SIZE 24
#define TIMESTAMP_SIZE 48

static const char *const count_names[PAST_COUNTS] = {"made", "too_little", "bad_rows", "failed"};

struct past {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct job *job;
    struct counter counters[PAST_COUNTS];
    /* The job's. */
    struct baseline_plan *plan; /* NULL: not begun. */
    struct baseline_sum sum;
    size_t next;                                       /* Cell that is looked at next. */
    struct bytes object, class_name, observer, metric; /* Of what the round made. */
    struct bytes against, value, ids;
    bool told;
    char why[256];
};

static const char *
number(char buf[NUMBER_SIZE], int64_t v)
{
    snprintf(buf, NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

/* As a parameter of its type, so that partitions are left out before any is locked. */
static const char *
timestamp(char buf[TIMESTAMP_SIZE], struct instant i)
{
    const time_t seconds = (time_t)(i.ns / NS_PER_S);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    size_t n = strftime(buf, TIMESTAMP_SIZE, "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(buf + n, TIMESTAMP_SIZE - n, ".%06d+00", (int)(i.ns % NS_PER_S / NS_PER_US));
    return buf;
}

/* An element of an array's text; what is quoted is no NULL, whatever it says.  Keys have no quotes
 * in them. */
static void
array_add(struct bytes *b, const char *text, bool quote)
{
    bytes_text(b, b->size ? "," : "{");
    bytes_text(b, quote ? "\"" : "");
    bytes_text(b, text);
    bytes_text(b, quote ? "\"" : "");
}

static const char *
array_end(struct bytes *b)
{
    bytes_text(b, b->size ? "}" : "{}");
    bytes_add(b, "", 1);
    return bytes_ok(b) ? (const char *)b->at : NULL;
}

/* --- Reading ---------------------------------------------------------------- */

/* LATERAL and OFFSET: one index scan a series, also where there are no statistics.  Rows of packets
 * of another size or DSCP are of another past. */
#define OF_SERIES "SELECT r.* FROM unnest($1::bigint[]) s(id) CROSS JOIN LATERAL ("
#define LIKE_OURS                                                                                  \
    "AND EXISTS (SELECT FROM plumbline_store.params p WHERE p.params_id = t.params_id "            \
    "AND p.size = $4::integer AND p.dscp = $5::smallint)"
#define IN_RANGE "t.series_id = s.id AND t.start >= $2::timestamptz AND t.start <= $3::timestamptz "
#define MERGED                                                                                     \
    "SELECT clean_seconds, clean_delay_count, clean_delay_sum_ns, clean_delay_min_ns, "            \
    "clean_delay_max_ns, clean_hist FROM plumbline_store."

static const char *const row_sql[] = {
    [BASELINE_INTERVALS] =
        OF_SERIES "SELECT seconds, delay_count, delay_sum_ns, delay_min_ns, delay_max_ns, hist "
                  "FROM plumbline_store.interval_row t WHERE " IN_RANGE
                  "AND t.flags & 1 = 0 " LIKE_OURS " OFFSET 0) r",
    [BASELINE_QUARTERS] = OF_SERIES MERGED "quarter_row t WHERE " IN_RANGE LIKE_OURS " OFFSET 0) r",
    [BASELINE_DAYS] = OF_SERIES MERGED "day_row t WHERE " IN_RANGE LIKE_OURS " UNION ALL " MERGED
                                       "quarter_row t WHERE t.series_id = s.id "
                                       "AND t.start >= $6::timestamptz "
                                       "AND t.start <= $7::timestamptz " LIKE_OURS
                                       " AND NOT EXISTS (SELECT FROM plumbline_store.day_row d "
                                       "WHERE d.series_id = s.id AND d.start >= $6::timestamptz "
                                       "AND d.start <= $3::timestamptz "
                                       "AND d.start = date_trunc('day', t.start, 'UTC'))) r"};
static_assert(ROW_UNCLEAN == 1, "as the statement has it");

static int
add_rows(struct past *p, const PGresult *r)
{
    int err = 0;

    for (int i = 0; i < PQntuples(r) && !err; i++) {
        struct baseline_row row = {.seconds = cell_i4(r, i, 0),
                                   .count = (uint64_t)cell_i8(r, i, 1),
                                   .sum_ns = cell_i8(r, i, 2),
                                   .min_ns = cell_i8(r, i, 3),
                                   .max_ns = cell_i8(r, i, 4)};
        row.hist = cell_bytes(r, i, 5, &row.hist_size);
        err = baseline_add(&p->sum, &row);
        if (err == -EBADMSG) {
            counter_add(&p->counters[PAST_BAD_ROWS], 1);
            err = 0;
        }
    }
    return err;
}

/* Of so many of its series. */
static int
read_series(struct past *p, PGconn *conn, const struct baseline_cell *c, size_t first, size_t count,
            const struct baseline_range *range)
{
    char id[NUMBER_SIZE], size[NUMBER_SIZE], dscp[NUMBER_SIZE], times[4][TIMESTAMP_SIZE];

    bytes_clear(&p->ids);
    for (size_t i = 0; i < count; i++) {
        array_add(&p->ids, number(id, p->plan->series[c->first + first + i]), false);
    }
    const char *values[] = {array_end(&p->ids),
                            timestamp(times[0], range->from),
                            timestamp(times[1], range->last),
                            number(size, c->size),
                            number(dscp, c->dscp),
                            timestamp(times[2], range->quarter_from),
                            timestamp(times[3], range->quarter_last)};
    if (!values[0]) {
        return -ENOMEM;
    }
    PGresult *r = pg_rows(conn, row_sql[range->rows], range->rows == BASELINE_DAYS ? 7 : 5, values,
                          true, p->why, sizeof p->why);
    int err = r ? add_rows(p, r) : -EIO;
    PQclear(r);
    return err;
}

/* --- One past --------------------------------------------------------------- */

static void
note(struct past *p, const struct baseline_cell *c, const int64_t *value_ns)
{
    char text[NUMBER_SIZE], metric[INV_METRIC_SIZE];

    array_add(&p->object, c->object, true);
    array_add(&p->class_name, c->class_name, true);
    array_add(&p->observer, c->observer, true);
    array_add(&p->metric, inv_metric_format(c->metric, metric, sizeof metric), true);
    array_add(&p->against, number(text, c->against.ns / NS_PER_S), false);
    array_add(&p->value, value_ns ? number(text, *value_ns) : "NULL", false);
}

static int
make(struct past *p, PGconn *conn, struct baseline_cell *c, struct instant now)
{
    const struct baseline_range range = baseline_range(c, p->plan->interval, now);
    size_t at_once = ROWS_AT_ONCE / range.most ? ROWS_AT_ONCE / range.most : 1;
    int64_t value_ns;
    int err = 0;

    baseline_begin(&p->sum);
    for (size_t i = 0; i < c->count && !err; i += at_once) {
        size_t left = c->count - i;
        err = read_series(p, conn, c, i, left < at_once ? left : at_once, &range);
    }
    if (err) {
        return err;
    }
    c->tried = now;
    if (baseline_value(&p->sum, c, &value_ns)) {
        c->at = now;
        counter_add(&p->counters[PAST_MADE], 1);
        note(p, c, &value_ns);
    } else {
        counter_add(&p->counters[PAST_TOO_LITTLE], 1);
        if (!baseline_stays(c, now)) {
            c->at = instant_of_ns(0);
            note(p, c, NULL);
        }
    }
    return 0;
}

/* --- A round ---------------------------------------------------------------- */

static int
write_made(struct past *p, PGconn *conn, struct instant now)
{
    char at[TIMESTAMP_SIZE];

    if (p->object.size == 0) {
        return 0;
    }
    const char *values[] = {array_end(&p->object),   array_end(&p->class_name),
                            array_end(&p->observer), array_end(&p->metric),
                            array_end(&p->against),  array_end(&p->value),
                            timestamp(at, now)};
    for (int i = 0; i < 6; i++) {
        if (!values[i]) {
            return -ENOMEM;
        }
    }
    return pg_run(conn,
                  "INSERT INTO plumbline_store.baseline AS b (object, class, observer, metric, "
                  "against_s, value_ns, at) SELECT *, $7::timestamptz FROM unnest($1::text[], "
                  "$2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]) "
                  "ON CONFLICT (object, class, observer, metric, against_s) DO UPDATE SET "
                  "value_ns = excluded.value_ns, at = excluded.at",
                  7, values, p->why, sizeof p->why) < 0
               ? -EIO
               : 0;
}

/* What is there from before is not made anew before its time, and what nobody needs any more goes.
 */
static int
begin(struct past *p, PGconn *conn)
{
    PGresult *r = pg_rows(conn,
                          "SELECT object, class, observer, metric, against_s, "
                          "(extract(epoch FROM at) * 1000000)::bigint * 1000, value_ns "
                          "FROM plumbline_store.baseline",
                          0, NULL, false, p->why, sizeof p->why);
    int err = r ? 0 : -EIO;

    for (int i = 0; !err && i < PQntuples(r); i++) {
        const char *key[5];
        for (int k = 0; k < 5; k++) {
            key[k] = PQgetvalue(r, i, k);
        }
        struct baseline_cell *c =
            baseline_find(p->plan, key[0], key[1], key[2], key[3], strtoll(key[4], NULL, 10));
        if (c) {
            c->tried = instant_of_ns(strtoll(PQgetvalue(r, i, 5), NULL, 10));
            c->at = PQgetisnull(r, i, 6) ? instant_of_ns(0) : c->tried;
        } else {
            err = pg_run(conn,
                         "DELETE FROM plumbline_store.baseline WHERE (object, class, observer, "
                         "metric, against_s) = ($1, $2, $3, $4, $5::bigint)",
                         5, key, p->why, sizeof p->why) < 0
                      ? -EIO
                      : 0;
        }
    }
    PQclear(r);
    return err;
}

static void
clear_made(struct past *p)
{
    struct bytes *const all[] = {&p->object, &p->class_name, &p->observer,
                                 &p->metric, &p->against,    &p->value};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bytes_clear(all[i]);
    }
}

/* Those that are due, in turn. */
static int
make_due(struct past *p, PGconn *conn)
{
    struct instant now = instant_now();
    size_t made = 0;
    int err = 0;

    clear_made(p);
    for (size_t i = 0; i < p->plan->count && made < ROUND_CELLS && !err; i++) {
        struct baseline_cell *c = &p->plan->cells[p->next];
        if (baseline_is_due(c, now)) {
            err = job_is_stopping(p->job) ? -ECANCELED : make(p, conn, c, now);
            made++;
        }
        p->next = (p->next + 1) % p->plan->count;
    }
    /* What was made before it stopped is worth keeping. */
    int written = err == 0 || err == -ECANCELED ? write_made(p, conn, now) : 0;
    return err == -ECANCELED || !err ? written : err;
}

static bool
past_round(struct job *job, PGconn *conn, void *aux)
{
    struct past *p = aux;
    int err = 0;

    p->job = job;
    if (!p->plan) {
        p->plan = baseline_plan_new(p->inventory);
        p->next = 0;
        err = p->plan ? baseline_sum_init(&p->sum) : -ENOMEM;
        err = err ? err : begin(p, conn);
    }
    err = err ? err : make_due(p, conn);
    if (err) {
        counter_add(&p->counters[PAST_FAILED], 1);
        if (!p->told) {
            log_warnx("%s: what alarms compare with is not made, tried again every %d s: %s",
                      p->config->collector, AGAIN_S, err == -EIO ? p->why : strerror(-err));
        }
    }
    p->told = err;
    return !err;
}

static void
past_leave(void *aux)
{
    struct past *p = aux;

    baseline_plan_free(p->plan);
    p->plan = NULL;
    baseline_sum_fini(&p->sum);
}

/* --- Life ------------------------------------------------------------------- */

int
past_start(struct past **out, const struct collector_config *config,
           const struct inventory *inventory)
{
    static const struct job_kind kind = {.name = "past",
                                         .lock = LOCK,
                                         .every_s = EVERY_S,
                                         .again_s = AGAIN_S,
                                         .held = true,
                                         .round = past_round,
                                         .leave = past_leave};
    struct past *p = calloc(1, sizeof *p);

    if (!p) {
        return -ENOMEM;
    }
    p->config = config;
    p->inventory = inventory;
    int err = job_start(&p->job, &kind, &config->postgresql, p);
    if (err) {
        free(p);
        return err;
    }
    *out = p;
    return 0;
}

void
past_stop(struct past *p)
{
    if (p) {
        job_stop(p->job);
        clear_made(p);
        struct bytes *const all[] = {&p->object,  &p->class_name, &p->observer, &p->metric,
                                     &p->against, &p->value,      &p->ids};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            bytes_fini(all[i]);
        }
        free(p);
    }
}

struct counter_group
past_counters(struct past *p)
{
    return (struct counter_group){"past", count_names, p->counters, PAST_COUNTS};
}
