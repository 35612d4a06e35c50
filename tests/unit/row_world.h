/* row_world.h - a probe whose stream is committed interval by interval, and who takes it over: a
 * script says what each delta-t of each flow was, which comes as batches and as rows. */
#ifndef PLUMBLINE_TEST_ROW_WORLD_H
#define PLUMBLINE_TEST_ROW_WORLD_H

#include "fault.h"
#include "harness.h"
#include "row.h"
#include "watch.h"

#define T0 INT64_C(1790000040) /* A multiple of 60. */
#define FLOWS 2
#ifndef SECONDS
#define SECONDS 1500
#endif
#define HISTORY 8

static const char text[] =
    "inventory: 1\n"
    "sites: { a: {} }\n"
    "probes: { p1: { site: a, address: 192.0.2.1 }, p2: { site: a, address: 192.0.2.2 } }\n"
    "classes: { c: { dscp: ef, period: 100ms, size: 128, dt: 1s } }\n"
    "links:\n"
    "  l: { state: active, classes: [c], flows: 2, probe_from: both, ends: [ { probe: p2, address: "
    "10.0.0.1 },\n"
    "       { probe: p1, address: 10.0.0.2 } ] }\n"
    "alarms:\n"
    "  late: { metric: rt_p50, over: 4m, raise: 50ms, clear: 15m, severity: minor }\n"
    "  there: { metric: fd_p50, over: 4m, raise: 50ms, clear: 15m, severity: minor }\n"
    "  twice: { metric: duplicate_ratio, over: 4m, raise: 1%, clear: 15m, severity: minor }\n"
    "  ages: { metric: flr, over: 2h, raise: 1%, clear: 15m, severity: minor }\n";

/* What one delta-t of one flow was. */
struct told {
    uint32_t sent, fwd, bwd, undirected, errors, twice;
    uint32_t flags, delay_ms;
};

struct world {
    struct inventory *inventory;
    const struct inv_alarm **rules;
    size_t rule_count;
    struct assemble *assemble;
    const struct assemble_session *sessions[FLOWS];
    struct told script[FLOWS][SECONDS];
    int committed; /* Second, when a watch begins. */
    struct row_maker *makers[DIRECTIONS];
    struct counter assembled[ASSEMBLE_COUNTS], counters[WATCH_COUNTS];
    /* Of the watch that is asked last. */
    struct alarm_episode said[HISTORY];
    char rule[HISTORY][16];
    int count;
};

static inline bool
trust(const char *source, const struct session_key *key, void *aux)
{
    (void)source;
    (void)key;
    (void)aux;
    return true;
}

static inline int
know(const struct inv_link *link, const struct inv_class *class_, unsigned end,
     const struct session_key *key, void *aux)
{
    struct world *w = aux;

    (void)link;
    (void)class_;
    (void)end;
    CU_ASSERT_EQUAL_FATAL(assemble_know(w->assemble, key), 0);
    w->sessions[key->flow] = assemble_session(w->assemble, session_id_of(key));
    return 0;
}

static inline struct world *
world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct faults *faults = faults_new();
    const struct assemble_config config = {.source = "p1",
                                           .interval = {60 * NS_PER_S},
                                           .expiry = {86400 * NS_PER_S},
                                           .trust = trust,
                                           .counters = w->assembled};

    inventory_read(faults, "t.yaml", text, sizeof text - 1, &w->inventory);
    faults_print(faults, stdout, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->inventory);
    faults_free(faults);
    w->rules = inventory_alarms_in_force(w->inventory, &w->rule_count);
    w->assemble = assemble_new(&config, (struct position){1, 1}, instant_of_ns(T0 * NS_PER_S));
    inventory_sessions(w->inventory, "p1", know, w);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->sessions[FLOWS - 1]);
    for (int d = 0; d < DIRECTIONS; d++) {
        w->makers[d] = row_maker_new();
    }
    for (int f = 0; f < FLOWS; f++) {
        for (int t = 0; t < SECONDS; t++) {
            w->script[f][t] = (struct told){.sent = 10, .delay_ms = 10};
        }
    }
    return w;
}

static inline void
world_free(struct world *w)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        row_maker_free(w->makers[d]);
    }
    assemble_free(w->assemble);
    free(w->rules);
    inventory_free(w->inventory);
    free(w);
}

static inline struct watch *
watch_of(struct world *w)
{
    const struct watch_config config = {.source = "p1",
                                        .inventory = w->inventory,
                                        .rules = w->rules,
                                        .rule_count = w->rule_count,
                                        .hold = {300 * NS_PER_S},
                                        .counters = w->counters};
    struct watch *watch = watch_new(&config, instant_of_ns(T0 * NS_PER_S),
                                    instant_of_ns((T0 + w->committed) * NS_PER_S));

    CU_ASSERT_PTR_NOT_NULL_FATAL(watch);
    w->count = 0;
    return watch;
}

/* --- Summaries, as batches have them and as rows do ------------------------------------- */

struct summary_of {
    pb_summary m;
    pb_delay delay[DIRECTIONS];
    uint8_t bytes[64];
};

static inline void
make(const struct world *w, int flow, int t, struct summary_of *out)
{
    const struct told *s = &w->script[flow][t];
    struct hist *h = hist_new(HIST_DELAY);
    const int64_t ns = s->delay_ms * NS_PER_MS;

    plumbline__telemetry__summary__init(&out->m);
    out->m.session_id = w->sessions[flow]->id;
    out->m.dt_number = (uint64_t)(T0 + t);
    out->m.flags = s->flags;
    out->m.sent = s->sent;
    out->m.lost_fwd = s->fwd;
    out->m.lost_bwd = s->bwd;
    out->m.lost_undirected = s->undirected;
    out->m.received = s->sent - s->fwd - s->bwd - s->undirected;
    out->m.send_errors = s->errors;
    out->m.duplicate_bwd = s->twice;
    out->m.clock_error_ns = 1000;
    if (out->m.received) {
        hist_add(h, ns, out->m.received);
    }
    size_t size = out->m.received ? hist_encode(h, out->bytes, sizeof out->bytes) : 0;
    for (int d = 0; d < DIRECTIONS; d++) {
        plumbline__telemetry__delay__init(&out->delay[d]);
        out->delay[d].count = out->m.received;
        out->delay[d].min_ns = ns;
        out->delay[d].hist = (ProtobufCBinaryData){size, out->bytes};
    }
    out->m.fwd = &out->delay[DIR_FWD];
    out->m.bwd = &out->delay[DIR_BWD];
    out->m.rt = &out->delay[DIR_RT];
    hist_free(h);
}

static inline void
hear(struct world *w, struct watch *watch)
{
    for (size_t i = 0; i < watch_waiting(watch); i++) {
        struct watch_news n;
        watch_news(watch, i, &n);
        if (n.episode->cleared.ns == 0 && w->count < HISTORY && n.episode->flaps == 0) {
            snprintf(w->rule[w->count], sizeof w->rule[0], "%s", n.rule_key);
            w->said[w->count++] = *n.episode;
        }
    }
    watch_written(watch, watch_waiting(watch));
}

/* The stream, from second 'from' on. */
static inline void
stream(struct world *w, struct watch *watch, int from, int until)
{
    for (int t = from; t < until; t++) {
        struct summary_of one[FLOWS];
        pb_summary *list[FLOWS];
        pb_batch batch;
        plumbline__telemetry__batch__init(&batch);
        for (int f = 0; f < FLOWS; f++) {
            make(w, f, t, &one[f]);
            list[f] = &one[f].m;
        }
        batch.n_summaries = FLOWS;
        batch.summaries = list;
        batch.made_at_ns = (T0 + t + 6) * NS_PER_S;
        CU_ASSERT_EQUAL_FATAL(
            watch_take(watch, w->assemble, &batch, instant_of_ns(batch.made_at_ns)), 0);
        hear(w, watch);
    }
}

/* The committed rows of one session's interval; 'spoil' cuts one short. */
static inline int
tell_interval(struct world *w, struct watch *watch, int flow, int from, bool spoil)
{
    static struct summary_of one[60];
    static struct dt_record records[DIRECTIONS][60];
    struct row rows[DIRECTIONS];
    bool clean = true;

    for (int i = 0; i < 60; i++) {
        struct dt_record split[DIRECTIONS];
        make(w, flow, from + i, &one[i]);
        row_split(&w->sessions[flow]->key, &one[i].m, split);
        clean = clean && row_summary_is_clean(&one[i].m);
        for (int d = 0; d < DIRECTIONS; d++) {
            records[d][i] = split[d];
        }
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        CU_ASSERT_EQUAL_FATAL(row_make(w->makers[d], records[d], 60, 0, clean, &rows[d]), 0);
    }
    rows[DIR_RT].dt_size -= spoil;
    const struct watch_row told = {.start = instant_of_ns((T0 + from) * NS_PER_S),
                                   .seconds = 60,
                                   .of = {&rows[DIR_FWD], &rows[DIR_BWD], &rows[DIR_RT]},
                                   .lost_fwd = rows[DIR_FWD].lost - rows[DIR_FWD].lost_undirected};
    return watch_row(watch, w->sessions[flow], &told);
}

/* All that is committed at second 'cut', as far back as windows want it. */
static inline void
tell_rows(struct world *w, struct watch *watch, int cut)
{
    struct watch_want want;
    const struct instant until = instant_of_ns((T0 + cut) * NS_PER_S);

    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], until, span_of_ns(3600 * NS_PER_S), &want),
                    0);
    CU_ASSERT_TRUE(want.ways);
    CU_ASSERT_TRUE(want.reach.ns >= 300 * NS_PER_S && want.reach.ns <= 310 * NS_PER_S);
    int back = (int)(want.reach.ns / NS_PER_S) + 60;
    for (int from = (cut - back + 59) / 60 * 60; from < cut; from += 60) {
        for (int f = 0; f < FLOWS && from >= 0; f++) {
            CU_ASSERT_EQUAL(tell_interval(w, watch, f, from, false), 0);
        }
    }
    CU_ASSERT_EQUAL(watch_rows_end(watch, w->assemble, instant_of_ns((T0 + cut) * NS_PER_S)), 0);
    hear(w, watch);
}

#endif
