/* bench_ingest.c - what a collector's core does: batches of many sources, as they
 * come from Redis, to committed rows; and a month of one series out again.
 *
 * usage: bench_ingest CONNINFO SOURCES SESSIONS INTERVALS
 *        bench_ingest CONNINFO month SERIES [TABLE]
 *        bench_ingest CONNINFO merge
 *
 * The first form makes SOURCES x SESSIONS sessions with 10 packets a delta-t of
 * 1 s, 1 % of the rows unclean, and feeds INTERVALS minutes of them, one batch a
 * source and second in turn, through telemetry_parse, assemble, row, copy and
 * store.  The second reads a month of interval_row, or of quarter_row; the third
 * takes back the quarter hours of the one source and merges them again.  Prints
 * "name<TAB>value" lines.  Making batches is not in the figures. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "assemble.h"
#include "copy.h"
#include "pg.h"
#include "rollwrite.h"
#include "row.h"
#include "store.h"
#include "telemetry.h"
#include "wire.h"

#define INTERVAL_S 60
#define PACKETS 10

struct source {
    char name[32];
    struct session_key *keys;
    int64_t *ids;
    struct assemble *assemble;
    struct position committed;
    uint64_t sequence;
};

struct bench {
    struct store *store;
    struct telemetry_arena *arena;
    struct row_maker *maker;
    struct store_write write;
    struct source *sources;
    unsigned source_count, session_count;
    struct counter counters[ASSEMBLE_COUNTS];
    uint64_t summaries, rows, bytes, random, batch_bytes, batches;
    int64_t cpu_ns, wall_ns;
    struct instant start;
    uint32_t seconds;
};

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "bench_ingest: %s: %s\n", what, why);
    exit(3);
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static bool
trust(const char *source, const struct session_key *key, void *aux)
{
    (void)source;
    (void)key;
    (void)aux;
    return true;
}

static uint64_t
draw(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static void
make_key(struct session_key *k, const char *source, unsigned n)
{
    *k = (struct session_key){.family = 4,
                              .dt = {NS_PER_S},
                              .tmax = {3 * NS_PER_S},
                              .period = {100 * NS_PER_MS},
                              .size = 128};
    snprintf(k->object, sizeof k->object, "l-%s-%u", source, n);
    snprintf(k->observer, sizeof k->observer, "%s", source);
    snprintf(k->far, sizeof k->far, "far");
    snprintf(k->class_name, sizeof k->class_name, "gold");
    snprintf(k->protocol, sizeof k->protocol, "stamp");
}

static void
open_source(struct bench *b, struct source *s, unsigned number)
{
    struct store_claim c;
    snprintf(s->name, sizeof s->name, "s%u-%d", number, getpid());
    s->keys = calloc(b->session_count, sizeof s->keys[0]);
    s->ids = calloc(b->session_count, sizeof s->ids[0]);
    if (!s->keys || !s->ids || store_claim(b->store, s->name, &c) != 1) {
        die(s->name, store_why(b->store));
    }
    for (unsigned i = 0; i < b->session_count; i++) {
        make_key(&s->keys[i], s->name, i);
        s->ids[i] = session_id_of(&s->keys[i]);
    }
    const struct assemble_config config = {.source = s->name,
                                           .interval = {INTERVAL_S * NS_PER_S},
                                           .expiry = {8 * 86400 * NS_PER_S},
                                           .trust = trust,
                                           .counters = b->counters};
    s->assemble = assemble_new(&config, c.position, c.written_until);
    s->committed = c.position;
}

/* One batch of one second of one source; the builder's bytes. */
static const uint8_t *
make_batch(struct bench *b, struct source *s, struct telemetry_builder *t, struct summary *m,
           int64_t second, size_t *size)
{
    if (s->sequence == 0) {
        Plumbline__Telemetry__EpochStart e;
        plumbline__telemetry__epoch_start__init(&e);
        e.epoch = 1;
        telemetry_add_message(t, TELEMETRY_EPOCH_START, &e.base);
        for (unsigned i = 0; i < b->session_count; i++) {
            telemetry_add_session(t, &s->keys[i]);
        }
    }
    for (unsigned i = 0; i < b->session_count; i++) {
        summary_reset(m, instant_of_ns(second * NS_PER_S));
        uint64_t lost = second % INTERVAL_S == 7 && (i + (uint64_t)second / 60) % 100 == 0;
        int64_t base = 1000000 + (int64_t)(i % 97) * 250000;
        m->scheduled = m->sent = PACKETS;
        m->lost_fwd = lost;
        m->received = m->stamped[TS_KERNEL] = PACKETS - lost;
        m->clock_error_ns = 900;
        for (uint64_t k = 0; k < m->received; k++) {
            int64_t j = (int64_t)(draw(b) % 4000), back = (int64_t)(draw(b) % 4000);
            summary_add_delay(m, &s->keys[i], DIR_FWD, span_of_ns(base + j));
            summary_add_delay(m, &s->keys[i], DIR_BWD, span_of_ns(base + back));
            summary_add_delay(m, &s->keys[i], DIR_RT, span_of_ns(2 * base + j + back));
        }
        telemetry_add_summary(t, &s->keys[i], s->ids[i], m);
        struct early e = {.start = m->start,
                          .sent = PACKETS,
                          .received = m->received,
                          .rt_min_ns = base,
                          .rt_p50_ns = base,
                          .rt_max_ns = base,
                          .fwd_p50_ns = base,
                          .bwd_p50_ns = base,
                          .clock_error_ns = 900};
        telemetry_add_early(t, &s->keys[i], s->ids[i], &e);
    }
    Plumbline__Telemetry__Liveness l;
    plumbline__telemetry__liveness__init(&l);
    l.second = (uint64_t)second;
    l.sending = l.reflecting = true;
    telemetry_add_message(t, TELEMETRY_LIVENESS, &l.base);
    const uint8_t *bytes = telemetry_finish(t, instant_of_ns((second + 1) * NS_PER_S),
                                            instant_of_ns((second + 1) * NS_PER_S), size);
    if (!bytes) {
        die("batch", "out of memory");
    }
    return bytes;
}

static int
make_rows(const struct assemble_session *s, struct dt_record *const records[DIRECTIONS], size_t n,
          bool clean, bool lost, void *aux)
{
    struct bench *b = aux;

    (void)lost;
    for (int d = 0; d < DIRECTIONS; d++) {
        const struct copy_place place = {s->series[d], s->params_id, b->start, b->seconds, 0, 0};
        struct row row;
        int err = row_make(b->maker, records[d], n, 0, clean, &row);
        if (err) {
            return err;
        }
        copy_row(&b->write.rows, &place, &row);
        b->write.row_count++;
    }
    return 0;
}

static void
commit_over(struct bench *b, struct source *s)
{
    while (assemble_over(s->assemble, &b->start, &b->seconds)) {
        struct store_write *w = &b->write;
        size_t size;
        store_write_begin(w, source_id_of(s->name), assemble_written_until(s->assemble));
        if (assemble_rows(s->assemble, make_rows, b)) {
            die(s->name, "rows");
        }
        const uint8_t *record = assemble_liveness(s->assemble, &size);
        copy_liveness(&w->liveness, source_id_of(s->name), b->start, b->seconds, record, size);
        w->liveness_count = 1;
        assemble_done(s->assemble);
        copy_end(&w->rows);
        copy_end(&w->liveness);
        store_write_interval(w, b->start);
        w->old = s->committed;
        w->safe = assemble_safe(s->assemble);
        w->written_until = assemble_written_until(s->assemble);
        w->sessions = assemble_sessions(s->assemble);
        w->sessions_new = !w->sessions->stored;
        if (store_commit(b->store, w) != 1) {
            die(s->name, store_why(b->store));
        }
        s->committed = w->safe;
        b->rows += w->row_count;
    }
}

static void
take(struct bench *b, struct source *s, const uint8_t *bytes, size_t size)
{
    const pb_batch *batch;
    struct position p = {1, s->sequence++};

    telemetry_arena_reset(b->arena);
    if (telemetry_parse(b->arena, s->name, bytes, size, &batch) != TELEMETRY_OK ||
        assemble_expect(s->assemble, p, batch) != ASSEMBLE_TAKE ||
        assemble_take(s->assemble, p, batch, bytes, size, instant_now())) {
        die(s->name, "a batch was not taken");
    }
    b->summaries += batch->n_summaries;
    b->batch_bytes += size;
    b->batches++;
    commit_over(b, s);
}

static long
rss_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long all = 0, resident = 0;

    if (f) {
        if (fscanf(f, "%ld %ld", &all, &resident) != 2) {
            resident = 0;
        }
        fclose(f);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Batches of a second of a few sources are made, then timed: what is measured
 * meets cold caches, as after Redis. */
static void
ingest(struct bench *b, int64_t intervals)
{
    struct telemetry_builder *t[8] = {0};
    struct summary m;
    int64_t now = instant_now().ns / NS_PER_S / INTERVAL_S * INTERVAL_S;
    int64_t from = now - (intervals + 2) * INTERVAL_S, until = now - 2 * INTERVAL_S + 1;
    long rss_before = rss_kib(), rss_most = 0;

    summary_init(&m, instant_of_ns(0), false);
    for (int64_t second = from; second < until; second++) {
        for (unsigned i = 0; i < b->source_count; i++) {
            struct source *s = &b->sources[i];
            size_t size;
            if (!t[0] && !(t[0] = telemetry_builder_new(s->name))) {
                die("builder", "out of memory");
            }
            telemetry_builder_free(t[0]);
            t[0] = telemetry_builder_new(s->name);
            const uint8_t *bytes = make_batch(b, s, t[0], &m, second, &size);
            int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
            take(b, s, bytes, size);
            b->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
            b->wall_ns += clock_ns(CLOCK_MONOTONIC) - wall;
        }
        if (second % 5 == 0) {
            long rss = rss_kib();
            rss_most = rss > rss_most ? rss : rss_most;
        }
    }
    telemetry_builder_free(t[0]);
    summary_fini(&m);
    printf("summaries\t%" PRIu64 "\nrows\t%" PRIu64 "\n", b->summaries, b->rows);
    printf("cpu_ns\t%" PRId64 "\nwall_ns\t%" PRId64 "\n", b->cpu_ns, b->wall_ns);
    printf("dt_per_s\t%.0f\n", (double)b->summaries * 1e9 / (double)b->wall_ns);
    printf("dt_per_cpu_s\t%.0f\n", (double)b->summaries * 1e9 / (double)b->cpu_ns);
    printf("rss_mib\t%.1f\nrss_before_mib\t%.1f\n", (double)rss_most / 1024,
           (double)rss_before / 1024);
    printf("batch_bytes\t%.0f\n", (double)b->batch_bytes / (double)b->batches);
    printf("bytes_a_summary\t%.1f\n", (double)b->batch_bytes / (double)b->summaries);
}

static void
run_ingest(struct bench *b, const struct config_postgresql *server, int64_t intervals)
{
    char why[512];

    b->store = store_open(server, "bench", why, sizeof why);
    if (!b->store) {
        die("PostgreSQL", why);
    }
    b->arena = telemetry_arena_new();
    b->maker = row_maker_new();
    b->sources = calloc(b->source_count, sizeof b->sources[0]);
    if (!b->arena || !b->maker || !b->sources) {
        die("memory", "out");
    }
    for (unsigned i = 0; i < b->source_count; i++) {
        open_source(b, &b->sources[i], i);
    }
    ingest(b, intervals);
    for (unsigned i = 0; i < b->source_count; i++) {
        assemble_free(b->sources[i].assemble);
        free(b->sources[i].keys);
        free(b->sources[i].ids);
    }
    free(b->sources);
    store_write_fini(&b->write);
    row_maker_free(b->maker);
    telemetry_arena_free(b->arena);
    store_close(b->store);
}

static void
add_hist(struct hist *h, const PGresult *r, int row, int column)
{
    if (!PQgetisnull(r, row, column) &&
        hist_merge_encoded(h, PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)) !=
            HIST_OK) {
        die("month", "a histogram does not decode");
    }
}

struct month {
    struct hist *hist;
    int64_t min, max, q[3]; /* p50, p99, p99.9 */
    int rows;
};

/* Columns: a clean and an unclean histogram, least and greatest delay. */
static void
read_month(PGconn *conn, const char *sql, const char *series, struct month *m)
{
    const char *values[] = {series};
    PGresult *r = PQexecParams(conn, sql, 1, NULL, values, NULL, NULL, 1);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        die("month", PQerrorMessage(conn));
    }
    hist_clear(m->hist);
    m->min = INT64_MAX;
    m->max = INT64_MIN;
    m->rows = PQntuples(r);
    for (int i = 0; i < m->rows; i++) {
        struct rd lo = rd_of(PQgetvalue(r, i, 2), 8), hi = rd_of(PQgetvalue(r, i, 3), 8);
        int64_t row_min = (int64_t)rd_be64(&lo), row_max = (int64_t)rd_be64(&hi);
        m->min = row_min < m->min ? row_min : m->min;
        m->max = row_max > m->max ? row_max : m->max;
        add_hist(m->hist, r, i, 0);
        add_hist(m->hist, r, i, 1);
    }
    PQclear(r);
    static const uint32_t at[3] = {500000, 990000, 999000};
    for (int i = 0; i < 3; i++) {
        m->q[i] = hist_quantile(m->hist, at[i], m->min, m->max);
    }
}

/* Fetches all histograms of one series and merges them. */
static void
run_month(const struct config_postgresql *server, const char *series, const char *table)
{
    static const char until[] = " WHERE series_id = $1 "
                                "AND start < date_trunc('day', now()) - interval '1 day'";
    const struct pg_options options = {.application = "bench", .connect_timeout_s = 5};
    bool quarters = strcmp(table, "quarter_row") == 0;
    char why[512], sql[512];
    PGconn *conn = pg_connect(server, &options, why, sizeof why);
    struct month m = {.hist = hist_new(HIST_DELAY)};
    int64_t best = INT64_MAX;

    if (!conn || !m.hist) {
        die("PostgreSQL", why);
    }
    snprintf(sql, sizeof sql, "SELECT %s FROM plumbline_store.%s%s",
             quarters
                 ? "clean_hist, unclean_hist, least(clean_delay_min_ns, unclean_delay_min_ns), "
                   "greatest(clean_delay_max_ns, unclean_delay_max_ns)"
                 : "hist, NULL::bytea, delay_min_ns, delay_max_ns",
             quarters ? "quarter_row" : "interval_row", until);
    for (int k = 0; k < 5; k++) {
        int64_t began = clock_ns(CLOCK_MONOTONIC);
        read_month(conn, sql, series, &m);
        int64_t took = clock_ns(CLOCK_MONOTONIC) - began;
        best = took < best ? took : best;
    }
    printf("month_ms\t%.2f\nmonth_rows\t%d\nmonth_count\t%" PRIu64 "\n", (double)best / 1e6, m.rows,
           hist_count(m.hist));
    printf("p50_ns\t%" PRId64 "\np99_ns\t%" PRId64 "\np99_9_ns\t%" PRId64 "\n", m.q[0], m.q[1],
           m.q[2]);
    hist_free(m.hist);
    PQfinish(conn);
}

static int64_t
ask_number(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);

    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) {
        die(sql, PQerrorMessage(conn));
    }
    int64_t v = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return v;
}

/* Merges the complete quarter hours of the one source once more, in one transaction. */
static void
run_merge(const struct config_postgresql *server)
{
    const struct pg_options options = {
        .application = "bench", .role = "plumbline_writer", .connect_timeout_s = 5};
    char why[512], sql[256];
    PGconn *conn = pg_connect(server, &options, why, sizeof why);
    struct rollwrite *w = rollwrite_new();
    struct rollup_plan plan = {0};
    uint64_t written = 0;

    if (!conn || !w) {
        die("PostgreSQL", why);
    }
    PQclear(PQexec(conn, "DELETE FROM plumbline_store.quarter_row"));
    int64_t source = ask_number(conn, "SELECT source_id FROM plumbline_store.source_position");
    plan.rolled_s = ask_number(conn, "SELECT extract(epoch FROM rolled_until)::bigint "
                                     "FROM plumbline_store.source_position");
    int64_t from = plan.rolled_s - 2 * ROLLUP_QUARTER_S;
    for (int64_t q = from; q < plan.rolled_s; q += ROLLUP_QUARTER_S) {
        plan.quarters_s[plan.quarter_count++] = q;
    }
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM plumbline_store.interval_row "
             "WHERE start >= to_timestamp(%" PRId64 ") AND start < to_timestamp(%" PRId64 ")",
             from, plan.rolled_s);
    double rows = (double)ask_number(conn, sql);
    int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    PQclear(PQexec(conn, "BEGIN"));
    if (rollwrite_carry_out(w, conn, source, &plan, &written, why, sizeof why)) {
        die("merge", why);
    }
    PQclear(PQexec(conn, "COMMIT"));
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    printf("merge_rows\t%.0f\nmerge_written\t%" PRIu64 "\n", rows, written);
    printf("merge_rows_per_s\t%.0f\nmerge_rows_per_cpu_s\t%.0f\n", rows * 1e9 / (double)wall,
           rows * 1e9 / (double)cpu);
    printf("merge_from\t%" PRId64 "\nmerge_until\t%" PRId64 "\n", from, plan.rolled_s);
    rollwrite_free(w);
    PQfinish(conn);
}

int
main(int argc, char **argv)
{
    static struct bench b = {.random = 88172645463325252u};

    const struct config_postgresql server = {.conninfo = argc > 1 ? argv[1] : ""};
    if ((argc == 4 || argc == 5) && strcmp(argv[2], "month") == 0) {
        run_month(&server, argv[3], argc == 5 ? argv[4] : "interval_row");
        return 0;
    }
    if (argc == 3 && strcmp(argv[2], "merge") == 0) {
        run_merge(&server);
        return 0;
    }
    if (argc != 5) {
        fputs("usage: bench_ingest CONNINFO SOURCES SESSIONS INTERVALS\n"
              "       bench_ingest CONNINFO month SERIES [TABLE]\n"
              "       bench_ingest CONNINFO merge\n",
              stderr);
        return 2;
    }
    b.source_count = (unsigned)strtoul(argv[2], NULL, 10);
    b.session_count = (unsigned)strtoul(argv[3], NULL, 10);
    run_ingest(&b, &server, strtoll(argv[4], NULL, 10));
    return 0;
}
