/* test_watch_row.c - whoever takes a source over: windows that begin with committed rows say what
 * they would have said without, in simulated time. */
#include "fault.h"
#include "harness.h"
#include "row.h"
#include "watch.h"

#include <errno.h>

#define T0 INT64_C(1790000040) /* A multiple of 60. */
#define FLOWS 2
#define SECONDS 1500
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
    struct row_maker *makers[DIRECTIONS];
    struct counter assembled[ASSEMBLE_COUNTS], counters[WATCH_COUNTS];
    /* Of the watch that is asked last. */
    struct alarm_episode said[HISTORY];
    char rule[HISTORY][16];
    int count;
};

static bool
trust(const char *source, const struct session_key *key, void *aux)
{
    (void)source;
    (void)key;
    (void)aux;
    return true;
}

static int
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

static struct world *
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

static void
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

static struct watch *
watch_of(struct world *w)
{
    const struct watch_config config = {.source = "p1",
                                        .inventory = w->inventory,
                                        .rules = w->rules,
                                        .rule_count = w->rule_count,
                                        .hold = {300 * NS_PER_S},
                                        .counters = w->counters};
    struct watch *watch =
        watch_new(&config, instant_of_ns(T0 * NS_PER_S), instant_of_ns(T0 * NS_PER_S));

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

static void
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

static void
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
static void
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
static int
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
static void
tell_rows(struct world *w, struct watch *watch, int cut)
{
    struct watch_want want;

    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], span_of_ns(3600 * NS_PER_S), &want), 0);
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

/* The first episode of 'rule' that was said; NULL: none. */
static const struct alarm_episode *
said(const struct world *w, const char *rule)
{
    for (int i = 0; i < w->count; i++) {
        if (strcmp(w->rule[i], rule) == 0) {
            return &w->said[i];
        }
    }
    return NULL;
}

static void
check_same(const struct alarm_episode *a, const struct alarm_episode *b)
{
    CU_ASSERT_TRUE(a && b);
    if (!a || !b) {
        return;
    }
    CU_ASSERT_EQUAL(a->began.ns, b->began.ns);
    CU_ASSERT_EQUAL(a->raised.ns, b->raised.ns);
    CU_ASSERT_EQUAL(a->value, b->value);
    CU_ASSERT_EQUAL(a->sent, b->sent);
    CU_ASSERT_EQUAL(a->fwd, b->fwd);
    CU_ASSERT_EQUAL(a->bwd, b->bwd);
    CU_ASSERT_EQUAL(a->undirected, b->undirected);
    CU_ASSERT_EQUAL(a->send_errors, b->send_errors);
    CU_ASSERT_EQUAL(a->flow_count, b->flow_count);
    CU_ASSERT_EQUAL(a->over_count, b->over_count);
}

/* Plays the script without and with another who takes over at 'cut', and reads 'again' seconds of
 * the stream that are committed; whether 'rule' was raised behind the cut. */
static bool
play_both(struct world *w, const char *rule, int cut, int again)
{
    struct watch *whole = watch_of(w);

    stream(w, whole, 0, SECONDS);
    watch_free(whole);
    const struct alarm_episode *e = said(w, rule);
    if (!e || e->raised.ns <= (T0 + cut) * NS_PER_S) {
        return false;
    }
    struct alarm_episode wanted = *e;
    struct watch *other = watch_of(w);
    tell_rows(w, other, cut);
    CU_ASSERT_PTR_NULL(said(w, rule));
    stream(w, other, cut - again, SECONDS);
    check_same(&wanted, said(w, rule));
    watch_free(other);
    return true;
}

/* --- Tests -------------------------------------------------------------------------------- */

static void
a_window_that_is_four_fifths_full_is_full_a_fifth_later(void)
{
    struct world *w = world_new();

    for (int t = 480; t < SECONDS; t++) {
        w->script[1][t].bwd = t % 17 == 0;
        w->script[1][t].errors = t % 500 == 30;
    }
    CU_ASSERT_TRUE(play_both(w, "brown", 720, 7));
    const struct alarm_episode *e = said(w, "brown");
    CU_ASSERT_TRUE(e && e->raised.ns < (T0 + 780) * NS_PER_S);
    CU_ASSERT_TRUE(e && e->fwd > 0 && e->bwd == 0); /* p1 is the link's second end. */
    CU_ASSERT_EQUAL(counter_get(&w->counters[WATCH_ROWS_BAD]), 0);
    world_free(w);
}

static void
wherever_it_is_taken_over_it_says_the_same(void)
{
    int raised = 0, rounds = 0;

    for (; raised < 30 && rounds < 1000; rounds++) {
        struct world *w = world_new();
        int cut = 360 + 60 * (int)random_below(10), from = cut - 1 - (int)random_below(295);
        unsigned per_mille = 30 + (unsigned)random_below(100);
        for (int t = from; t < SECONDS; t++) {
            for (int f = 0; f < FLOWS; f++) {
                struct told *s = &w->script[f][t];
                s->fwd = (uint32_t)random_chance(per_mille / 2);
                s->bwd = (uint32_t)random_chance(per_mille / 2);
                s->undirected = (uint32_t)random_chance(per_mille / 4);
                s->errors = s->fwd; /* Where nothing is lost only the row says how many. */
                s->flags = random_chance(10) ? DT_UNDETERMINED : 0;
            }
        }
        raised += play_both(w, "brown", cut, (int)random_below(20));
        world_free(w);
    }
    CU_ASSERT_EQUAL(raised, 30);
}

static void
delays_of_unclean_rows_are_those_of_each_delta_t(void)
{
    struct world *w = world_new();

    for (int t = 480; t < SECONDS; t++) {
        for (int f = 0; f < FLOWS; f++) {
            w->script[f][t].delay_ms = t % 10 < 7 ? 60 : 10;
            w->script[f][t].flags = DT_CLOCK_STEP; /* Unclean, and nothing is lost. */
        }
    }
    CU_ASSERT_TRUE(play_both(w, "late", 600, 7));
    CU_ASSERT_TRUE(play_both(w, "there", 600, 0));
    world_free(w);
}

static void
a_clean_row_has_one_delay_and_shares_what_came_twice(void)
{
    struct world *w = world_new();

    for (int t = 480; t < SECONDS; t++) {
        for (int f = 0; f < FLOWS; f++) {
            w->script[f][t].delay_ms = 60;
            w->script[f][t].twice = t % 5 == 0;
        }
    }
    CU_ASSERT_TRUE(play_both(w, "late", 540, 3));
    CU_ASSERT_TRUE(play_both(w, "there", 540, 3));
    struct watch *other = watch_of(w);
    tell_rows(w, other, 600);
    stream(w, other, 600, SECONDS);
    const struct alarm_episode *e = said(w, "twice");
    CU_ASSERT_TRUE(e && e->raised.ns < (T0 + 660) * NS_PER_S);
    watch_free(other);
    world_free(w);
}

static void
short_rules_take_nothing_of_rows(void)
{
    struct world *w = world_new();

    for (int t = 660; t < 720; t++) {
        w->script[0][t].fwd = w->script[1][t].fwd = 10;
    }
    struct watch *other = watch_of(w);
    tell_rows(w, other, 720);
    stream(w, other, 720, 840);
    CU_ASSERT_PTR_NULL(said(w, "cut"));
    CU_ASSERT_PTR_NOT_NULL(said(w, "brown"));
    watch_free(other);
    world_free(w);
}

/* A far end was found not to have been there, which the stream did not know. */
static void
on_what_is_committed_rows_have_the_last_word(void)
{
    struct world *w = world_new();
    struct watch *whole = watch_of(w);

    for (int t = 600; t < SECONDS; t++) {
        w->script[0][t].fwd = t % 10 == 0;
        w->script[1][t].fwd = t % 10 == 5;
    }
    for (int t = 715; t < 720; t++) {
        w->script[0][t].fwd = 10;
        w->script[0][t].flags = DT_UNDETERMINED;
    }
    stream(w, whole, 0, SECONDS);
    watch_free(whole);
    const struct alarm_episode *e = said(w, "brown");
    struct alarm_episode wanted = e ? *e : (struct alarm_episode){.flaps = 0};
    struct watch *other = watch_of(w);
    tell_rows(w, other, 720);
    for (int t = 715; t < 720; t++) {
        w->script[0][t].flags = 0;
    }
    stream(w, other, 713, SECONDS);
    CU_ASSERT_TRUE(wanted.raised.ns > (T0 + 720) * NS_PER_S);
    check_same(&wanted, said(w, "brown"));
    watch_free(other);
    world_free(w);
}

static void
what_reaches_too_far_begins_anew(void)
{
    struct world *w = world_new();
    struct watch *watch = watch_of(w);
    struct watch_want want;

    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], span_of_ns(239 * NS_PER_S), &want), 0);
    CU_ASSERT_EQUAL(want.reach.ns, 0);
    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], span_of_ns(86400 * NS_PER_S), &want), 0);
    CU_ASSERT_TRUE(want.reach.ns >= 7200 * NS_PER_S);
    watch_free(watch);
    world_free(w);
}

static void
a_row_that_does_not_decode_is_counted_and_the_others_are_taken(void)
{
    struct world *w = world_new();
    struct watch *watch = watch_of(w);

    w->script[0][30].fwd = 1;
    CU_ASSERT_EQUAL(tell_interval(w, watch, 0, 0, true), -EBADMSG);
    CU_ASSERT_EQUAL(tell_interval(w, watch, 0, 60, false), 0);
    CU_ASSERT_EQUAL(counter_get(&w->counters[WATCH_ROWS_BAD]), 1);
    CU_ASSERT_EQUAL(counter_get(&w->counters[WATCH_ROWS]), 1);
    watch_free(watch);
    world_free(w);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a_window_that_is_four_fifths_full_is_full_a_fifth_later",
         a_window_that_is_four_fifths_full_is_full_a_fifth_later},
        {"wherever_it_is_taken_over_it_says_the_same", wherever_it_is_taken_over_it_says_the_same},
        {"delays_of_unclean_rows_are_those_of_each_delta_t",
         delays_of_unclean_rows_are_those_of_each_delta_t},
        {"a_clean_row_has_one_delay_and_shares_what_came_twice",
         a_clean_row_has_one_delay_and_shares_what_came_twice},
        {"short_rules_take_nothing_of_rows", short_rules_take_nothing_of_rows},
        {"on_what_is_committed_rows_have_the_last_word",
         on_what_is_committed_rows_have_the_last_word},
        {"what_reaches_too_far_begins_anew", what_reaches_too_far_begins_anew},
        {"a_row_that_does_not_decode_is_counted_and_the_others_are_taken",
         a_row_that_does_not_decode_is_counted_and_the_others_are_taken},
        CU_TEST_INFO_NULL};

    return run_suite("watch_row", tests);
}
