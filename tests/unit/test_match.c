/* test_match.c - fates and delays of packets, against the truth of a simulated
 * network. */
#include "match.h"

#include "match_world.h"

#define CHECK_FATES(w, from, until, fate)                                                          \
    CU_ASSERT_EQUAL(world_count((w), (from), (until), (fate)), (until) - (from))

static uint64_t
count_of(struct match *m, enum match_count which)
{
    struct counter_group g;

    match_counters(m, &g);
    CU_ASSERT_EQUAL(g.count, MATCH_COUNTS);
    return counter_get(&g.counters[which]);
}

static void
a_clean_link_is_measured_to_the_nanosecond(void)
{
    struct world *w = world_new(REPORTING, 100);

    world_play(w);
    struct match *m = world_match(w, NS_PER_S);
    CHECK_FATES(w, 0, 100, FATE_RECEIVED);
    CU_ASSERT_EQUAL(w->steps, 11);
    const struct summary *s = w->per_dt[3];
    CU_ASSERT_EQUAL(s->scheduled, 10);
    CU_ASSERT_EQUAL(s->sent, 10);
    CU_ASSERT_EQUAL(s->received, 10);
    CU_ASSERT_EQUAL(s->flags, 0);
    CU_ASSERT_EQUAL(s->clock_error_ns, 1000);
    CU_ASSERT_EQUAL(s->stamped[TS_KERNEL], 10);
    CU_ASSERT_EQUAL(s->delay[DIR_FWD].min_ns, 5 * NS_PER_MS);
    CU_ASSERT_EQUAL(s->delay[DIR_FWD].max_ns, 5 * NS_PER_MS);
    CU_ASSERT_EQUAL(s->delay[DIR_BWD].max_ns, 7 * NS_PER_MS);
    CU_ASSERT_EQUAL(s->delay[DIR_RT].min_ns, 12 * NS_PER_MS);
    CU_ASSERT_EQUAL(s->delay[DIR_RT].count, 10);
    CU_ASSERT_EQUAL(hist_count(s->delay[DIR_RT].ifdv), 10);
    CU_ASSERT_EQUAL(hist_count(w->per_dt[0]->delay[DIR_RT].ifdv), 9);
    CU_ASSERT_EQUAL(w->flags_at[10], DT_UNDERSENT);    /* Nothing was sent in it. */
    CU_ASSERT_EQUAL(count_of(m, MATCH_T3_MISSING), 1); /* The last one's never came. */
    CU_ASSERT_EQUAL(count_of(m, MATCH_T1_MISSING), 0);
    CU_ASSERT_EQUAL(w->early[3].start.ns, WORLD_DAY + 3 * NS_PER_S);
    CU_ASSERT_EQUAL(w->early[3].received, 10);
    CU_ASSERT_EQUAL(w->early[3].rt_min_ns, 12 * NS_PER_MS);
    match_free(m);
    world_free(w);
}

static void
without_follow_up_the_t3_of_the_reply_counts(void)
{
    struct world *w = world_new(REPORTING, 50);

    for (unsigned i = 0; i < 50; i++) {
        w->j[i].no_follow_up = true;
        w->j[i].t1_after_ns = i % 2 ? -1 : 50 * NS_PER_MS; /* After the reply, or never. */
    }
    world_play(w);
    struct match *m = world_match(w, NS_PER_S);
    CU_ASSERT_EQUAL(count_of(m, MATCH_T3_MISSING), 50);
    CU_ASSERT_EQUAL(count_of(m, MATCH_T1_MISSING), 25);
    CU_ASSERT_EQUAL(w->j[4].told.t1.source, TS_KERNEL);
    CU_ASSERT_EQUAL(w->j[5].told.t1.source, TS_USER);
    CU_ASSERT_EQUAL(w->per_dt[0]->stamped[TS_USER], 10);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_BWD].min_ns, 7 * NS_PER_MS + 3000);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_FWD].max_ns, 5 * NS_PER_MS + 5000);
    match_free(m);
    world_free(w);
}

static void
lose(struct world *w, unsigned from, unsigned until, bool fwd, bool bwd)
{
    for (unsigned i = from; i < until; i++) {
        w->j[i].lost_fwd |= fwd;
        w->j[i].lost_bwd |= bwd;
    }
}

static void
runs_of_128_and_129_lost_have_their_direction(void)
{
    for (unsigned run = 127; run <= 129; run++) {
        for (int fwd = 0; fwd < 2; fwd++) {
            /* 500 pps: the next report comes long before the summary is final. */
            struct world *w = world_new(REPORTING, 1500);
            w->key.period = span_of_ns(2 * NS_PER_MS);
            lose(w, 300, 300 + run, fwd, !fwd);
            lose(w, 700, 700 + 3 * run, fwd, !fwd);
            world_run(w);
            CHECK_FATES(w, 0, 300, FATE_RECEIVED);
            CHECK_FATES(w, 300, 300 + run, fwd ? FATE_LOST_FWD : FATE_LOST_BWD);
            CHECK_FATES(w, 700, 700 + 3 * run, fwd ? FATE_LOST_FWD : FATE_LOST_BWD);
            CHECK_FATES(w, 700 + 3 * run, 1500, FATE_RECEIVED);
            world_free(w);
        }
    }
}

static void
a_long_run_lost_both_ways_is_undirected_but_for_its_last_128(void)
{
    struct world *w = world_new(REPORTING, 1500);

    w->key.period = span_of_ns(2 * NS_PER_MS);
    lose(w, 700, 800, true, false);
    lose(w, 800, 1000, false, true);
    world_run(w);
    CHECK_FATES(w, 700, 872, FATE_LOST_UNDIRECTED);
    CHECK_FATES(w, 872, 1000, FATE_LOST_BWD);
    world_free(w);
}

static void
a_cut_of_20_s_has_a_direction_where_a_report_came_in_time(void)
{
    for (int kind = 0; kind < 3; kind++) {
        struct world *w = world_new(REPORTING, 600);
        bool fwd = kind != 1, bwd = kind != 0;
        lose(w, 200, 400, fwd, bwd); /* [20 s, 40 s). */
        world_run(w);
        CHECK_FATES(w, 0, 200, FATE_RECEIVED);
        CHECK_FATES(w, 400, 600, FATE_RECEIVED);
        /* The first report after it comes at 40.012 s; what started before 34 s
         * is final by then. */
        CHECK_FATES(w, 200, 350, FATE_LOST_UNDIRECTED);
        CHECK_FATES(w, 350, 400, fwd ? FATE_LOST_FWD : FATE_LOST_BWD);
        CU_ASSERT_EQUAL(w->sum.sent, 600);
        CU_ASSERT_EQUAL(w->sum.received, 400);
        CU_ASSERT_EQUAL(w->sum.unknown, 0);
        world_free(w);
    }
}

/* Fates of a packet that a report of a delivered reply could or could not tell. */
static void
check_packet(const struct world *w, unsigned i)
{
    const struct journey *j = &w->j[i];
    bool any = false, after = false;
    int64_t final = WORLD_DAY + (j->sent_at - WORLD_DAY) / w->key.dt.ns * w->key.dt.ns +
                    w->key.dt.ns + w->key.tmax.ns + MATCH_GRACE_NS;

    CU_ASSERT_EQUAL(j->done, 1);
    if (j->reply_at) {
        CU_ASSERT_EQUAL(j->told.fate, FATE_RECEIVED);
        return;
    }
    for (unsigned k = i + 1; k <= i + 128 && k < w->count; k++) {
        const struct journey *q = &w->j[k];
        if (q->reply_at && q->reply_at < final) {
            any = true;
            after |= j->arrived_at && q->arrived_at > j->arrived_at;
        }
    }
    if (!any) {
        return;
    }
    if (j->lost_fwd) {
        CU_ASSERT_EQUAL(j->told.fate, FATE_LOST_FWD);
    } else if (after) {
        CU_ASSERT_EQUAL(j->told.fate, FATE_LOST_BWD);
    } else {
        CU_ASSERT(j->told.fate == FATE_LOST_BWD || j->told.fate == FATE_LOST_FWD);
    }
}

/* RFC 4737 by brute force over what came back. */
static void
check_order(const struct world *w)
{
    uint64_t fwd = 0, bwd = 0;

    for (unsigned i = 0; i < w->count; i++) {
        bool overtaken_fwd = false, overtaken_bwd = false;
        for (unsigned k = i > 300 ? i - 300 : 0; k < w->count && k < i + 300; k++) {
            const struct journey *p = &w->j[i], *q = &w->j[k];
            if (k == i || !p->reply_at || !q->reply_at) {
                continue;
            }
            overtaken_fwd |= k > i && q->reflected < p->reflected;
            overtaken_bwd |= q->reflected > p->reflected && q->reply_at < p->reply_at;
        }
        fwd += overtaken_fwd;
        bwd += overtaken_bwd;
    }
    CU_ASSERT_EQUAL(w->sum.reordered_fwd, fwd);
    CU_ASSERT_EQUAL(w->sum.reordered_bwd, bwd);
}

static void
thirty_per_cent_loss_each_way_with_disorder_agrees_with_the_truth(void)
{
    for (unsigned round = 0; round < 12; round++) {
        struct world *w = world_new(REPORTING, 3000);
        uint64_t copies_bwd = 0, copies_fwd = 0;
        w->key.period = span_of_ns(5 * NS_PER_MS);
        w->first = round % 3 == 0 ? UINT32_MAX - 1000 : (uint32_t)random_u64();
        for (unsigned i = 0; i < w->count; i++) {
            struct journey *j = &w->j[i];
            j->lost_fwd = random_chance(300);
            j->lost_bwd = random_chance(300);
            j->fwd_ns += (int64_t)random_below(30 * NS_PER_MS);
            j->bwd_ns += (int64_t)random_below(30 * NS_PER_MS);
            j->t1_after_ns = (int64_t)random_below(100 * NS_PER_MS);
            j->copies_fwd = random_chance(50) ? 1 : 0;
            j->copies_bwd = random_chance(50) ? 1 : 0;
            copies_fwd += !j->lost_fwd && i + 200 < w->count ? j->copies_fwd : 0;
            copies_bwd += !j->lost_fwd && !j->lost_bwd ? j->copies_bwd : 0;
        }
        world_run(w);
        unsigned first = 0; /* Before the first that arrived the far end may not have been. */
        while (!w->j[first].arrived_at) {
            first++;
        }
        for (unsigned i = first; i < w->count; i++) {
            check_packet(w, i);
        }
        check_order(w);
        CU_ASSERT_EQUAL(w->sum.sent, 3000);
        CU_ASSERT_EQUAL(w->sum.duplicate_bwd, copies_bwd);
        CU_ASSERT(w->sum.duplicate_fwd >= copies_fwd);
        CU_ASSERT(w->sum.duplicate_fwd <= w->duplicates);
        CU_ASSERT_EQUAL(world_count(w, first, 2900, FATE_LOST_UNDIRECTED), 0);
        CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].count, w->sum.received);
        world_free(w);
    }
}

static void
a_far_end_that_restarts_leaves_the_gap_undirected(void)
{
    for (int kind = REPORTING; kind <= STATEFUL; kind++) {
        struct world *w = world_new((enum reflector_kind)kind, 400);
        lose(w, 203, 230, true, false);
        w->restart_at[0] = WORLD_DAY + 21 * NS_PER_S;
        if (kind == STATEFUL) {
            w->j[20].lost_fwd = true; /* So that it shows that it is stateful. */
        }
        w->j[250].lost_fwd = w->j[260].lost_bwd = true;
        world_play(w);
        struct match *m = world_match(w, NS_PER_S);
        CHECK_FATES(w, 203, 230, FATE_LOST_UNDIRECTED);
        CHECK_FATES(w, 250, 251, FATE_LOST_FWD);
        CHECK_FATES(w, 260, 261, FATE_LOST_BWD);
        CHECK_FATES(w, 261, 400, FATE_RECEIVED);
        CU_ASSERT_EQUAL(w->flags_at[20], DT_FAR_EPOCH);
        CU_ASSERT_EQUAL(w->flags_at[22], DT_FAR_EPOCH);
        CU_ASSERT_EQUAL(w->flags_at[19] | w->flags_at[23], 0);
        CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_EPOCH), 1);
        CU_ASSERT_EQUAL(w->sum.reordered_bwd, 0);
        match_free(m);
        world_free(w);
    }
}

static void
a_stateful_reflector_splits_a_gap_that_fell_one_way_whole(void)
{
    struct world *w = world_new(STATEFUL, 300);

    lose(w, 50, 55, false, true); /* Not yet known to be stateful, ... */
    lose(w, 60, 65, true, false); /* ... but from here on, in time for both. */
    lose(w, 100, 103, true, false);
    lose(w, 103, 105, false, true);      /* One gap, mixed. */
    w->j[150].fwd_ns += 250 * NS_PER_MS; /* Overtaken on its way there ... */
    w->j[150].lost_bwd = true;           /* ... and lost on its way back. */
    world_run(w);
    CHECK_FATES(w, 50, 55, FATE_LOST_BWD);
    CHECK_FATES(w, 60, 65, FATE_LOST_FWD);
    CHECK_FATES(w, 100, 105, FATE_LOST_UNDIRECTED);
    CHECK_FATES(w, 150, 151, FATE_LOST_UNDIRECTED);
    world_free(w);
}

static void
a_stateless_reflector_gives_no_direction(void)
{
    struct world *w = world_new(STATELESS, 200);

    lose(w, 50, 55, true, false);
    lose(w, 60, 65, false, true);
    w->j[70].bwd_ns = 4 * NS_PER_S;
    w->j[80].bwd_ns += 300 * NS_PER_MS;
    w->j[90].copies_bwd = 2;
    world_run(w);
    CHECK_FATES(w, 50, 55, FATE_LOST_UNDIRECTED);
    CHECK_FATES(w, 60, 65, FATE_LOST_UNDIRECTED);
    CHECK_FATES(w, 70, 71, FATE_LOST_UNDIRECTED);
    CU_ASSERT_EQUAL(w->sum.lost_fwd + w->sum.lost_bwd, 0);
    CU_ASSERT_EQUAL(w->sum.reordered_fwd + w->sum.reordered_bwd, 0);
    CU_ASSERT_EQUAL(w->sum.duplicate_bwd, 2);
    CU_ASSERT_EQUAL(w->sum.late, 1);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].count, w->sum.received);
    world_free(w);
}

static void
a_reply_at_tmax_is_received_and_one_ns_later_is_late(void)
{
    struct world *w = world_new(REPORTING, 100);

    w->j[10].bwd_ns = 3 * NS_PER_S - w->j[10].fwd_ns - w->j[10].inside_ns;
    w->j[11].bwd_ns = 3 * NS_PER_S - w->j[11].fwd_ns - w->j[11].inside_ns + 1;
    w->j[12].fwd_ns = 3 * NS_PER_S;
    w->j[13].fwd_ns = 3 * NS_PER_S + 1;
    w->j[14].bwd_ns = 7 * NS_PER_S; /* Its summary is final by then. */
    w->j[12].bwd_ns = 1;
    world_play(w);
    struct match *m = world_match(w, NS_PER_S);
    CU_ASSERT_EQUAL(w->j[10].told.fate, FATE_RECEIVED);
    CU_ASSERT_EQUAL(w->j[11].told.fate, FATE_LOST_BWD);
    CU_ASSERT_EQUAL(w->j[12].told.fate, FATE_LOST_BWD);
    CU_ASSERT_EQUAL(w->j[13].told.fate, FATE_LOST_FWD);
    CU_ASSERT_EQUAL(w->j[14].told.fate, FATE_LOST_BWD);
    CU_ASSERT_FALSE(w->j[10].told.late);
    CU_ASSERT_TRUE(w->j[11].told.late);
    CU_ASSERT_FALSE(w->j[14].told.late);
    CU_ASSERT_EQUAL(w->sum.late, 3);
    CU_ASSERT_EQUAL(w->sum.received, 96);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].count, 96);
    CU_ASSERT_EQUAL(count_of(m, MATCH_REPLY_UNKNOWN), 1);
    match_free(m);
    world_free(w);
}

static void
impossible_reflector_times_are_not_subtracted(void)
{
    struct world *w = world_new(REPORTING, 40);

    world_play(w);
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange *e = &w->events[k];
        if (e->kind != EXCHANGE_REPLY) {
            continue;
        }
        e->has_follow_up = false;
        if (e->sequence == 3) {
            e->t2.at.ns = 0;
        } else if (e->sequence == 4) {
            e->t3.at.ns = e->t2.at.ns - 1;
        } else if (e->sequence == 5) { /* As long inside as the whole way: possible. */
            e->t3.at.ns = e->t2.at.ns + 12 * NS_PER_MS + 20 * NS_PER_US;
        } else if (e->sequence == 6) {
            e->t3.at.ns = e->t2.at.ns + 12 * NS_PER_MS + 20 * NS_PER_US + 1;
        } else if (e->sequence == 7) {
            e->t2.source = TS_NONE;
        }
    }
    struct match *m = world_match(w, NS_PER_S);
    CU_ASSERT_EQUAL(count_of(m, MATCH_BAD_REFLECTOR_TIME), 2);
    CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_TIME_ZERO), 2);
    CU_ASSERT_EQUAL(w->per_dt[0]->received, 10);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_RT].count, 10);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_FWD].count, 6);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_RT].min_ns, 0);
    CU_ASSERT_EQUAL(w->per_dt[0]->delay[DIR_RT].max_ns, 12 * NS_PER_MS + 20 * NS_PER_US);
    match_free(m);
    world_free(w);
}

/* Lets 'change' spoil each reply of a played world. */
static struct match *
spoil(struct world *w, void (*change)(struct exchange *e))
{
    world_play(w);
    for (size_t k = 0; k < w->event_count; k++) {
        if (w->events[k].kind == EXCHANGE_REPLY) {
            w->events[k].has_follow_up = false;
            change(&w->events[k]);
        }
    }
    return world_match(w, NS_PER_S);
}

#define RT_WHOLE (12 * NS_PER_MS + 20 * NS_PER_US) /* A journey's defaults, with the inside. */
#define INSIDE (20 * NS_PER_US - 3000)             /* As the reply's T3 has it. */

/* All were received, with this rt; 'counted' of the counter 'which'. */
static void
check_foreign(struct world *w, struct match *m, int64_t rt, bool one_way, enum match_count which)
{
    CU_ASSERT_EQUAL(w->sum.received, w->count);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].count, w->count);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].min_ns, rt);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].max_ns, rt);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_FWD].count, one_way ? w->count : 0);
    CU_ASSERT_EQUAL(w->sum.delay[DIR_BWD].count, one_way ? w->count : 0);
    for (unsigned i = MATCH_BAD_REFLECTOR_TIME; i <= MATCH_FAR_TIME_OFF; i++) {
        CU_ASSERT_EQUAL(count_of(m, (enum match_count)i), i == which ? w->count : 0);
    }
    match_free(m);
    world_free(w);
}

static void
leave(struct exchange *e)
{
    (void)e;
}

static void
zero(struct exchange *e)
{
    e->t2 = e->t3 = (struct stamp_time){.source = TS_NONE};
}

static void
zero_t3(struct exchange *e)
{
    e->t3 = (struct stamp_time){.source = TS_NONE};
}

static void
shift_by(struct exchange *e, int64_t ns)
{
    e->t2.at.ns += ns;
    e->t3.at.ns += ns;
}

static void
day_and_more(struct exchange *e)
{
    shift_by(e, 86400 * NS_PER_S + 20 * NS_PER_MS);
}

static void
day_back_and_more(struct exchange *e)
{
    shift_by(e, -(86400 * NS_PER_S + 20 * NS_PER_MS));
}

static void
tai(struct exchange *e)
{
    shift_by(e, 37 * NS_PER_S);
}

static void
second_off(struct exchange *e)
{
    shift_by(e, NS_PER_S + 7 * NS_PER_MS + 3000); /* T4 - T3 is a second below nothing. */
}

static void
second_and_one_off(struct exchange *e)
{
    second_off(e);
    shift_by(e, 1);
}

static void
turned(struct exchange *e)
{
    struct stamp_time t = e->t2;
    e->t2 = e->t3;
    e->t3 = t;
}

static void
times_of_a_foreign_far_end_are_used_as_far_as_they_can_be_true(void)
{
    const struct {
        void (*change)(struct exchange *e);
        int64_t rt;
        bool one_way;
        enum match_count which;
    } cases[] = {
        {leave, RT_WHOLE - INSIDE, true, MATCH_COUNTS},
        {zero, RT_WHOLE, false, MATCH_FAR_TIME_ZERO},
        {zero_t3, RT_WHOLE, false, MATCH_FAR_TIME_ZERO},
        {turned, RT_WHOLE, false, MATCH_BAD_REFLECTOR_TIME},
        {day_and_more, RT_WHOLE, false, MATCH_FAR_TIME_EPOCH},
        {day_back_and_more, RT_WHOLE, false, MATCH_FAR_TIME_EPOCH},
        {tai, RT_WHOLE - INSIDE, false, MATCH_FAR_TIME_OFF},
        {second_off, RT_WHOLE - INSIDE, true, MATCH_COUNTS},
        {second_and_one_off, RT_WHOLE - INSIDE, false, MATCH_FAR_TIME_OFF},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w = world_new(STATEFUL, 60);
        struct match *m = spoil(w, cases[i].change);
        check_foreign(w, m, cases[i].rt, cases[i].one_way, cases[i].which);
    }
}

static void
a_probe_with_a_wrong_clock_keeps_its_one_way_figures(void)
{
    struct world *w = world_new(REPORTING, 60);
    struct match *m = spoil(w, tai);

    check_foreign(w, m, RT_WHOLE - INSIDE, true, MATCH_COUNTS);
}

static void
within_its_error(struct exchange *e)
{
    shift_by(e, 7 * NS_PER_MS + 3000 + 1000); /* 700 of its own and 300 of ours. */
}

static void
beyond_its_error(struct exchange *e)
{
    within_its_error(e);
    shift_by(e, 1);
}

static void
an_error_that_the_stamps_deny_is_not_believed(void)
{
    struct world *w = world_new(STATEFUL, 60);
    struct match *m = spoil(w, within_its_error);

    CU_ASSERT_EQUAL(w->sum.clock_error_ns, 1000);
    CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_CLOCK_DENIED), 0);
    match_free(m);
    world_free(w);
    w = world_new(STATEFUL, 60);
    m = spoil(w, beyond_its_error);
    CU_ASSERT_EQUAL(w->sum.clock_error_ns, UINT64_MAX);
    CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_CLOCK_DENIED), 60);
    match_free(m);
    world_free(w);
}

/* Whatever the far end says. */
static void
a_session_of_rt_alone_has_no_direction(void)
{
    static const enum reflector_kind kinds[] = {REPORTING, STATEFUL, STATELESS};

    for (unsigned i = 0; i < 3; i++) {
        struct world *w = world_new(kinds[i], 200);
        w->key.rt_only = true;
        lose(w, 50, 55, true, false);
        lose(w, 60, 65, false, true);
        w->j[70].bwd_ns = 4 * NS_PER_S;
        w->j[80].fwd_ns += 300 * NS_PER_MS;
        w->j[90].copies_fwd = kinds[i] == STATELESS ? 0 : 1; /* Its true T3 would be the copy's. */
        world_run(w);
        CHECK_FATES(w, 50, 55, FATE_LOST_UNDIRECTED);
        CHECK_FATES(w, 60, 65, FATE_LOST_UNDIRECTED);
        CHECK_FATES(w, 70, 71, FATE_LOST_UNDIRECTED);
        CU_ASSERT_EQUAL(w->sum.lost_fwd + w->sum.lost_bwd, 0);
        CU_ASSERT_EQUAL(w->sum.reordered_fwd + w->sum.reordered_bwd, 0);
        CU_ASSERT_EQUAL(w->sum.delay[DIR_FWD].count + w->sum.delay[DIR_BWD].count, 0);
        CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].count, w->sum.received);
        CU_ASSERT_EQUAL(w->sum.delay[DIR_RT].min_ns, RT_WHOLE - INSIDE - 3000);
        world_free(w);
    }
}

static void
an_echo_has_the_round_trip_and_misses_nothing(void)
{
    struct world *w = world_new(STATELESS, 60);

    w->key.rt_only = true;
    strcpy(w->key.protocol, "icmp");
    struct match *m = spoil(w, zero);
    CU_ASSERT_EQUAL(count_of(m, MATCH_T3_MISSING), 0);
    check_foreign(w, m, RT_WHOLE, false, MATCH_COUNTS);
}

/* Its sequence rises by one for each of two sessions: one lost here and one of
 * the other's between look like a gap that fell back whole. */
static void
common_counter(struct exchange *e)
{
    e->reflector_sequence *= 2;
}

static void
still_counter(struct exchange *e)
{
    e->reflector_sequence = 5;
}

static void
a_sequence_that_counts_something_else_gives_no_direction(void)
{
    void (*const changes[])(struct exchange * e) = {common_counter, still_counter};

    for (unsigned i = 0; i < 2; i++) {
        struct world *w = world_new(STATEFUL, 200);
        for (unsigned k = 50; k < 200; k += 10) {
            w->j[k].lost_fwd = true;
        }
        struct match *m = spoil(w, changes[i]);
        CU_ASSERT_EQUAL(w->sum.lost_undirected, 15);
        CU_ASSERT_EQUAL(w->sum.reordered_fwd + w->sum.reordered_bwd, 0);
        CU_ASSERT_EQUAL(count_of(m, MATCH_FAR_COUNT_OTHER), 1);
        match_free(m);
        world_free(w);
    }
}

static struct {
    enum match_change what;
    uint32_t from, to;
    int64_t dt;
} changes_told[32];
static unsigned change_count;

static void
on_change(const struct session_key *key, enum match_change what, uint32_t from, uint32_t to,
          struct instant start, void *aux)
{
    (void)aux;
    changes_told[change_count % 32].what = what;
    changes_told[change_count % 32].from = from;
    changes_told[change_count % 32].to = to;
    changes_told[change_count++ % 32].dt = (start.ns - WORLD_DAY) / key->dt.ns;
}

/* Ten seconds; from the fifth on the way is another. */
static struct match *
change_way(const char *far, bool ttl, bool dscp)
{
    struct world *w = world_new(REPORTING, 100);
    struct match_sinks sinks = {.packet = world_packet, .final = world_final, .aux = w};

    strcpy(w->key.far, far);
    w->key.dscp = 46;
    world_play(w);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    sinks.change = on_change;
    change_count = 0;
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange *e = &w->events[k];
        if (e->kind == EXCHANGE_REPLY) {
            e->ttl = ttl && e->sequence >= 50 ? 250 : 251;
            e->reply_ttl = 252;
            e->reply_dscp = dscp && e->sequence >= 50 ? 8 : 46;
        }
        CU_ASSERT_EQUAL(match_event(m, e), 0);
    }
    match_advance(m, instant_of_ns(WORLD_DAY + 60 * NS_PER_S), &sinks);
    world_free(w);
    return m;
}

static void
a_change_of_the_way_is_told_once(void)
{
    struct match *m = change_way("far", false, false);
    CU_ASSERT_EQUAL(change_count, 2); /* The first TTL of each way. */
    CU_ASSERT(changes_told[0].what == MATCH_TTL_FWD && changes_told[0].from == 0 &&
              changes_told[0].to == 251);
    CU_ASSERT(changes_told[1].what == MATCH_TTL_BWD && changes_told[1].to == 252);
    CU_ASSERT_EQUAL(count_of(m, MATCH_TTL_CHANGED) + count_of(m, MATCH_REMARKED), 0);
    match_free(m);
    m = change_way("far", true, true);
    CU_ASSERT_EQUAL(change_count, 4);
    CU_ASSERT(changes_told[2].what == MATCH_TTL_FWD && changes_told[2].from == 251 &&
              changes_told[2].to == 250 && changes_told[2].dt == 5);
    CU_ASSERT(changes_told[3].what == MATCH_DSCP && changes_told[3].from == 46 &&
              changes_told[3].to == 8 && changes_told[3].dt == 5);
    CU_ASSERT_EQUAL(count_of(m, MATCH_TTL_CHANGED), 1);
    CU_ASSERT_EQUAL(count_of(m, MATCH_REMARKED), 50);
    match_free(m);
    /* One that is not ours may give any DSCP back: only its change is told. */
    m = change_way("", false, true);
    CU_ASSERT_EQUAL(change_count, 3);
    CU_ASSERT(changes_told[2].what == MATCH_DSCP && changes_told[2].from == 46);
    CU_ASSERT_EQUAL(count_of(m, MATCH_REMARKED), 0);
    match_free(m);
}

/* Ten seconds to a far end that tells the DSCP that it saw; from the fifth on it saw
 * 'there', and the reply comes with 'back'. */
static struct match *
change_class(uint8_t there, uint8_t back, bool refused)
{
    struct world *w = world_new(REPORTING, 100);
    struct match_sinks sinks = {
        .packet = world_packet, .final = world_final, .change = on_change, .aux = w};

    strcpy(w->key.far, "far");
    w->key.dscp = 46;
    world_play(w);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    change_count = 0;
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange *e = &w->events[k];
        if (e->kind == EXCHANGE_REPLY) {
            e->has_cos = true;
            e->dscp_seen = e->sequence >= 50 ? there : 46;
            e->reply_dscp = e->sequence >= 50 ? back : 46;
            e->dscp_refused = refused;
        }
        CU_ASSERT_EQUAL(match_event(m, e), 0);
    }
    match_advance(m, instant_of_ns(WORLD_DAY + 60 * NS_PER_S), &sinks);
    world_free(w);
    return m;
}

static void
a_remarked_class_has_a_direction_where_the_far_end_tells_it(void)
{
    static const struct {
        uint8_t there, back;
        bool refused;
        unsigned any, fwd, bwd, told;
        enum match_change what;
    } cases[] = {{46, 46, false, 0, 0, 0, 0, MATCH_DSCP},
                 {8, 46, false, 50, 50, 0, 1, MATCH_DSCP_FWD},
                 {46, 8, false, 50, 0, 50, 1, MATCH_DSCP_BWD},
                 {8, 8, false, 50, 50, 50, 2, MATCH_DSCP_FWD},
                 {8, 8, true, 50, 50, 0, 1, MATCH_DSCP}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct match *m = change_class(cases[i].there, cases[i].back, cases[i].refused);
        CU_ASSERT_EQUAL(count_of(m, MATCH_REMARKED), cases[i].any);
        CU_ASSERT_EQUAL(count_of(m, MATCH_REMARKED_FWD), cases[i].fwd);
        CU_ASSERT_EQUAL(count_of(m, MATCH_REMARKED_BWD), cases[i].bwd);
        CU_ASSERT_EQUAL_FATAL(change_count, cases[i].told);
        if (change_count) {
            CU_ASSERT_EQUAL(changes_told[0].what, cases[i].what);
            CU_ASSERT(changes_told[0].from == 46 && changes_told[0].to == 8 &&
                      changes_told[0].dt == 5);
        }
        match_free(m);
    }
}

/* Three seconds; in the second one packet comes back after 12 ms, the others after 13. */
static void
a_round_trip_under_the_floor_makes_its_delta_t_suspect(void)
{
    for (int under = 0; under < 2; under++) {
        struct world *w = world_new(REPORTING, 30);
        struct match_sinks sinks = {
            .packet = world_packet, .final = world_final, .change = on_change, .aux = w};
        for (unsigned i = 0; i < 30; i++) {
            w->j[i].fwd_ns += i == 15 ? 0 : NS_PER_MS;
        }
        world_play(w);
        struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
        match_set_rt_floor(m, span_of_ns(12 * NS_PER_MS + under));
        change_count = 0;
        for (size_t k = 0; k < w->event_count; k++) {
            CU_ASSERT_EQUAL(match_event(m, &w->events[k]), 0);
        }
        match_advance(m, instant_of_ns(WORLD_DAY + 60 * NS_PER_S), &sinks);
        CU_ASSERT_EQUAL(count_of(m, MATCH_BELOW_FLOOR), (uint64_t)under);
        CU_ASSERT_EQUAL(w->flags_at[0], 0);
        CU_ASSERT_EQUAL(w->flags_at[1], under ? DT_BELOW_FLOOR : 0);
        CU_ASSERT_EQUAL(w->flags_at[2], 0);
        CU_ASSERT_EQUAL(change_count, under ? 2 : 0);
        if (under) {
            CU_ASSERT(changes_told[0].what == MATCH_FLOOR_BROKEN && changes_told[0].from == 12000 &&
                      changes_told[0].to == 12000 && changes_told[0].dt == 1);
            CU_ASSERT(changes_told[1].what == MATCH_FLOOR_KEPT && changes_told[1].dt == 2);
        }
        match_free(m);
        world_free(w);
    }
}

static void
ifdv_is_taken_of_neighbours_that_both_came_back(void)
{
    struct world *w = world_new(REPORTING, 40);

    w->j[5].bwd_ns += 10 * NS_PER_US;
    w->j[8].lost_bwd = true;
    w->j[12].not_sent = true; /* 11 and 13 are two periods apart. */
    world_run(w);
    CU_ASSERT_EQUAL(hist_count(w->per_dt[0]->delay[DIR_RT].ifdv), 7);
    CU_ASSERT_EQUAL(hist_count(w->per_dt[1]->delay[DIR_RT].ifdv), 8);
    CU_ASSERT_EQUAL(hist_quantile(w->per_dt[0]->delay[DIR_BWD].ifdv, 1000000, 0, INT64_MAX), 10500);
    CU_ASSERT_EQUAL(w->per_dt[1]->send_errors, 1);
    CU_ASSERT_EQUAL(w->early[1].send_errors, 1);
    CU_ASSERT_EQUAL(w->per_dt[1]->sent, 9);
    CU_ASSERT_EQUAL(w->per_dt[1]->flags, 0);
    world_free(w);
}

static void
under_nine_tenths_sent_is_suspect(void)
{
    struct world *w = world_new(REPORTING, 40);

    w->j[12].not_sent = w->j[22].not_sent = w->j[23].not_sent = true;
    world_run(w);
    CU_ASSERT_EQUAL(w->flags_at[1], 0);
    CU_ASSERT_EQUAL(w->flags_at[2], DT_UNDERSENT);
    world_free(w);
}

static void
what_was_out_in_an_overrun_is_unknown_unless_it_comes_back(void)
{
    struct world *w = world_new(REPORTING, 100);

    lose(w, 30, 32, false, true);
    w->j[33].bwd_ns = NS_PER_S;
    w->j[70].lost_bwd = true;
    world_play(w);
    struct exchange *e = world_event(w, EXCHANGE_OVERRUN, 0, WORLD_DAY + 3400 * NS_PER_MS);
    e->since = instant_of_ns(WORLD_DAY + 3200 * NS_PER_MS);
    qsort(w->events, w->event_count, sizeof w->events[0], event_order);
    match_free(world_match(w, NS_PER_S));
    CHECK_FATES(w, 30, 32, FATE_UNKNOWN);
    CHECK_FATES(w, 32, 70, FATE_RECEIVED);
    CHECK_FATES(w, 70, 71, FATE_LOST_BWD);
    CU_ASSERT_EQUAL(w->flags_at[3], DT_OVERRUN);
    CU_ASSERT_EQUAL(w->flags_at[2] | w->flags_at[4], 0);
    world_free(w);
}

static void
packets_whose_events_were_lost_are_sent_and_unknown(void)
{
    struct world *w = world_new(REPORTING, 60);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    struct match_sinks sinks = world_sinks(w);

    world_play(w);
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange *e = &w->events[k];
        if (e->sequence >= 23 && e->sequence < 26) {
            if (e->sequence == 25 && e->kind == EXCHANGE_REPLY) {
                e->kind = EXCHANGE_OVERRUN;
                e->since = instant_of_ns(WORLD_DAY + 2290 * NS_PER_MS);
                CU_ASSERT_EQUAL(match_event(m, e), 0);
            }
            continue;
        }
        CU_ASSERT_EQUAL(match_event(m, e), 0);
    }
    match_advance(m, instant_of_ns(WORLD_DAY + 20 * NS_PER_S), &sinks);
    CU_ASSERT_EQUAL(w->per_dt[2]->sent, 10);
    CU_ASSERT_EQUAL(w->per_dt[2]->unknown, 3);
    CU_ASSERT_EQUAL(w->per_dt[2]->received, 7);
    CU_ASSERT_EQUAL(w->per_dt[2]->flags, DT_OVERRUN);
    CU_ASSERT_EQUAL(w->per_dt[3]->flags, 0);
    match_free(m);
    world_free(w);
}

/* The sender's clock steps at 5.55 s: all its stamps from then on have moved. */
static struct match *
run_with_step(struct world *w, int64_t step)
{
    const int64_t when = WORLD_DAY + 5550 * NS_PER_MS;
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    struct match_sinks sinks = world_sinks(w);
    int64_t tick = WORLD_DAY + NS_PER_S;
    bool stepped = false;

    world_play(w);
    for (size_t k = 0; k < w->event_count; k++) {
        struct exchange e = w->events[k];
        int64_t moved = e.at.ns >= when ? step : 0;
        for (; tick <= e.at.ns; tick += NS_PER_S) {
            match_advance(m, instant_of_ns(tick + (stepped ? step : 0)), &sinks);
        }
        if (e.at.ns >= when + 8 * NS_PER_MS && !stepped) { /* Found out 8 ms later. */
            struct exchange s = {
                .kind = EXCHANGE_CLOCK_STEP, .at = {e.at.ns + step}, .step = {step}};
            stepped = true;
            CU_ASSERT_EQUAL(match_event(m, &s), 0);
        }
        e.at.ns += moved;
        e.t1.at.ns += e.t1.source == TS_NONE ? 0 : moved;
        e.t4.at.ns += e.t4.source == TS_NONE ? 0 : moved;
        e.scheduled.ns += moved;
        CU_ASSERT_EQUAL(match_event(m, &e), 0);
    }
    for (int i = 0; i < 10; i++, tick += NS_PER_S) {
        match_advance(m, instant_of_ns(tick + step), &sinks);
    }
    return m;
}

static void
a_step_forward_ends_its_delta_t_and_leaves_a_hole(void)
{
    struct world *w = world_new(REPORTING, 120);

    w->j[54].bwd_ns = 200 * NS_PER_MS; /* Out during the step. */
    w->j[55].bwd_ns = 46 * NS_PER_MS;  /* Comes back before it is found out. */
    struct match *m = run_with_step(w, 20 * NS_PER_S);
    CHECK_FATES(w, 0, 120, FATE_RECEIVED);
    CU_ASSERT_EQUAL(w->sum.sent, 120);
    CU_ASSERT_EQUAL(w->flags_at[4], 0);
    CU_ASSERT_EQUAL(w->flags_at[5], DT_CLOCK_STEP | DT_UNDERSENT);
    CU_ASSERT_EQUAL(w->flags_at[6], DT_UNDERSENT);
    /* The reflector's clock did not step: one-way delays are off from here on. */
    CU_ASSERT_EQUAL(w->flags_at[26], DT_NEGATIVE);
    CU_ASSERT_EQUAL(w->per_dt[5]->sent, 6);
    CU_ASSERT(w->sum.delay[DIR_RT].max_ns < 250 * NS_PER_MS);
    CU_ASSERT(w->sum.delay[DIR_RT].min_ns > 0);
    CU_ASSERT(w->sum.delay[DIR_RT].count >= 117);
    CU_ASSERT_EQUAL(count_of(m, MATCH_CLOCK_STEP), 1);
    match_free(m);
    world_free(w);
}

static void
a_small_step_back_goes_on_with_the_next_delta_t(void)
{
    struct world *w = world_new(REPORTING, 120);

    w->j[54].bwd_ns = 200 * NS_PER_MS;
    struct match *m = run_with_step(w, -800 * NS_PER_MS);
    CHECK_FATES(w, 0, 120, FATE_RECEIVED);
    CU_ASSERT_EQUAL(w->sum.sent, 120);
    CU_ASSERT_EQUAL(w->flags_at[5] & DT_CLOCK_STEP, DT_CLOCK_STEP);
    CU_ASSERT_EQUAL(w->flags_at[6] & DT_CLOCK_STEP, DT_CLOCK_STEP);
    CU_ASSERT_EQUAL(w->flags_at[7], DT_NEGATIVE);
    CU_ASSERT(w->per_dt[6]->sent > 10);
    CU_ASSERT(w->sum.delay[DIR_RT].min_ns > 0);
    match_free(m);
    world_free(w);
}

static void
a_large_step_back_never_repeats_a_delta_t(void)
{
    struct world *w = world_new(REPORTING, 400);
    struct match *m = run_with_step(w, -20 * NS_PER_S);

    /* 400 packets take 40 s: the clock ends at 20 s and ten ticks. */
    CU_ASSERT_EQUAL(w->sum.sent, 400);
    CU_ASSERT_EQUAL(world_count(w, 0, 56, FATE_RECEIVED), 56);
    CU_ASSERT_EQUAL(w->per_dt[5]->sent, 6);
    CU_ASSERT_EQUAL(w->flags_at[5], DT_CLOCK_STEP | DT_UNDERSENT);
    /* From 5.6 s on the clock says -14.4 s; within 2 s of 6 s from 24.0 s on. */
    CU_ASSERT_EQUAL(w->per_dt[6]->unknown, 240 - 56);
    CU_ASSERT_EQUAL(w->per_dt[6]->received, 30);
    CU_ASSERT_EQUAL(w->flags_at[6], DT_CLOCK_STEP | DT_NEGATIVE);
    CU_ASSERT_EQUAL(w->per_dt[7]->received, 10);
    CU_ASSERT_EQUAL(w->flags_at[7], DT_NEGATIVE);
    match_free(m);
    world_free(w);
}

static void
finishing_makes_what_is_out_unknown_and_what_waited_lost(void)
{
    struct world *w = world_new(REPORTING, 100);
    struct match_sinks sinks = world_sinks(w);

    w->j[60].lost_bwd = true;
    lose(w, 95, 100, false, true);
    world_play(w);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    for (size_t k = 0; k < w->event_count; k++) {
        CU_ASSERT_EQUAL(match_event(m, &w->events[k]), 0);
    }
    match_finish(m, instant_of_ns(WORLD_DAY + 9990 * NS_PER_MS), &sinks);
    CU_ASSERT_EQUAL(w->steps, 10);
    CHECK_FATES(w, 60, 61, FATE_LOST_BWD);
    CHECK_FATES(w, 95, 100, FATE_UNKNOWN);
    CU_ASSERT_EQUAL(w->sum.received, 94);
    CU_ASSERT_EQUAL(match_next_start(m).ns, WORLD_DAY + 10 * NS_PER_S);
    match_finish(m, instant_of_ns(WORLD_DAY + 9990 * NS_PER_MS), &sinks);
    CU_ASSERT_EQUAL(w->steps, 10);
    match_free(m);
    world_free(w);
}

static void
early_state_tells_what_is_overdue(void)
{
    struct world *w = world_new(REPORTING, 60);

    lose(w, 20, 23, true, false);
    w->j[39].bwd_ns = 95 * NS_PER_MS; /* Just sent when its delta-t ends: not overdue. */
    world_run(w);
    CU_ASSERT_EQUAL(w->early[1].overdue, 0);
    CU_ASSERT_EQUAL(w->early[2].sent, 10);
    CU_ASSERT_EQUAL(w->early[2].received, 7);
    CU_ASSERT_EQUAL(w->early[2].overdue, 3);
    CU_ASSERT(w->early[2].rt_p50_ns >= w->early[2].rt_min_ns);
    CU_ASSERT(w->early[2].rt_p50_ns < 12 * NS_PER_MS + 12 * NS_PER_US);
    CU_ASSERT_EQUAL(w->early[3].received + w->early[3].overdue, 10);
    CU_ASSERT_EQUAL(w->early[2].clock_error_ns, 1000);
    world_free(w);
}

static void
a_forward_duplicate_counts_where_the_next_reply_tells_of_it(void)
{
    struct world *w = world_new(REPORTING, 60);

    w->j[12].copies_fwd = 1;
    w->j[29].copies_fwd = 2; /* Told by the reply to packet 30. */
    w->j[45].copies_bwd = 3;
    world_run(w);
    CU_ASSERT_EQUAL(w->per_dt[0]->duplicate_fwd, 0);
    CU_ASSERT_EQUAL(w->per_dt[1]->duplicate_fwd, 1);
    CU_ASSERT_EQUAL(w->per_dt[2]->duplicate_fwd, 0);
    CU_ASSERT_EQUAL(w->per_dt[3]->duplicate_fwd, 2);
    CU_ASSERT_EQUAL(w->per_dt[4]->duplicate_bwd, 3);
    CU_ASSERT_EQUAL(w->sum.duplicate_bwd, 3);
    CU_ASSERT_EQUAL(w->sum.received, 60);
    world_free(w);
}

static void
a_packet_out_for_less_than_four_times_the_usual_is_not_overdue(void)
{
    struct world *w = world_new(REPORTING, 120);

    w->key.period = span_of_ns(20 * NS_PER_MS);
    w->j[49].bwd_ns = 25 * NS_PER_MS; /* Out for 20 ms when its delta-t ends; usual: 12 ms. */
    w->j[97].bwd_ns = 95 * NS_PER_MS; /* Out for 60 ms. */
    world_run(w);
    CU_ASSERT_EQUAL(w->early[0].received, 49);
    CU_ASSERT_EQUAL(w->early[0].overdue, 0);
    CU_ASSERT_EQUAL(w->early[1].received, 49);
    CU_ASSERT_EQUAL(w->early[1].overdue, 1);
    world_free(w);
}

static void
a_process_that_slept_for_a_year_does_not_tell_every_second(void)
{
    struct world *w = world_new(REPORTING, 10);
    struct match_sinks sinks = world_sinks(w);

    sinks.early = NULL;
    world_play(w);
    struct match *m = world_match(w, NS_PER_S);
    uint64_t before = w->steps;
    w->last_start = 0;
    w->steps = 0;
    match_advance(m, instant_of_ns(WORLD_DAY + 365 * 86400 * NS_PER_S), &sinks);
    CU_ASSERT(w->steps <= MATCH_HOLE_MAX && w->steps > MATCH_HOLE_MAX - 10);
    CU_ASSERT_EQUAL(before, 2);
    match_free(m);
    world_free(w);
}

/* Whatever comes, in whatever order, the fates of a delta-t add up to what was
 * sent, delta-t come once and in order (world_final checks), and nothing leaks. */
static void
random_events_never_break_the_sums(void)
{
    struct world *w = world_new(REPORTING, 0);
    struct match_sinks sinks = world_sinks(w);
    int64_t now = WORLD_DAY;
    uint32_t sequence = UINT32_MAX - 5000;
    uint64_t sent = 0, told = 0;
    struct match *m;

    sinks.packet = NULL;
    w->key.period = span_of_ns(10 * NS_PER_MS);
    m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    for (unsigned i = 0; i < 1000000; i++) {
        struct exchange e = {.at = {now}, .sequence = sequence - (uint32_t)random_below(300)};
        unsigned kind = (unsigned)random_below(1000);
        e.t1 = (struct stamp_time){{now - (int64_t)random_below(50000)}, TS_KERNEL};
        if (kind < 300) {
            now += (int64_t)random_below(20 * NS_PER_MS);
            e.kind = EXCHANGE_SENT;
            sequence += random_chance(10) ? 1 + (uint32_t)random_below(400) : 1;
            e.sequence = sequence;
            e.scheduled = e.t1.at;
            sent++;
        } else if (kind < 500) {
            e.kind = EXCHANGE_T1;
        } else if (kind < 990) {
            e.kind = EXCHANGE_REPLY;
            e.t2 = (struct stamp_time){{now - random_value() % NS_PER_S}, TS_KERNEL};
            e.t3 = (struct stamp_time){{e.t2.at.ns + random_value() % NS_PER_MS}, TS_KERNEL};
            e.t4 = (struct stamp_time){{now}, (enum ts_source)random_below(TS_SOURCES)};
            e.reflector_sequence = (uint32_t)random_below(3) ? e.sequence : (uint32_t)random_u64();
            e.has_report = random_chance(500);
            e.report.epoch = (uint32_t)random_below(50) / 48;
            e.report.received = (uint32_t)random_below(1000);
            e.report.duplicates = (uint32_t)random_below(3);
            for (unsigned b = 0; b < 16; b++) {
                e.report.bitmap[b] = (uint8_t)random_u64();
            }
            e.has_follow_up = random_chance(500);
            e.follow_up.reflector_sequence = e.reflector_sequence - 1;
            e.follow_up.t3 = e.t3;
        } else if (kind < 994) {
            e.kind = EXCHANGE_OVERRUN;
            e.since = instant_of_ns(now - (int64_t)random_below(NS_PER_S));
        } else if (kind < 999) {
            e.kind = EXCHANGE_SEND_ERROR;
            e.t1.source = TS_NONE;
        } else {
            e.kind = EXCHANGE_CLOCK_STEP;
            e.step = span_of_ns(random_value() % (5 * NS_PER_S));
            now += e.step.ns;
            e.at = instant_of_ns(now);
        }
        CU_ASSERT_EQUAL_FATAL(match_event(m, &e), 0);
        if (i % 200 == 0) {
            match_advance(m, instant_of_ns(now), &sinks);
        }
    }
    match_finish(m, instant_of_ns(now), &sinks);
    told = w->sum.sent;
    CU_ASSERT(told >= sent);
    CU_ASSERT_EQUAL(told, w->sum.received + w->sum.lost_fwd + w->sum.lost_bwd +
                              w->sum.lost_undirected + w->sum.unknown);
    match_free(m);
    world_free(w);
}

/* Past its bound the window drops packets, and says so. */
static void
a_window_that_cannot_grow_counts_packets_as_unknown(void)
{
    struct world *w = world_new(REPORTING, 0);
    struct match_sinks sinks = world_sinks(w);
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    uint64_t refused = 0;

    sinks.packet = NULL;
    for (uint32_t i = 0; i < 10000; i++) {
        struct exchange e = {.kind = EXCHANGE_SENT, .sequence = i};
        e.t1 = (struct stamp_time){{WORLD_DAY + i * 1000}, TS_USER};
        e.at = e.t1.at;
        int err = match_event(m, &e);
        CU_ASSERT(err == 0 || err == -12);
        refused += err != 0;
    }
    match_advance(m, instant_of_ns(WORLD_DAY + 100 * NS_PER_S), &sinks);
    CU_ASSERT_EQUAL(w->sum.sent, 10000);
    CU_ASSERT_EQUAL(w->sum.unknown, refused);
    CU_ASSERT_EQUAL(w->sum.lost_undirected, 10000 - refused);
    CU_ASSERT(refused > 7000 && refused < 9000);
    CU_ASSERT_EQUAL(count_of(m, MATCH_OVERRUN), refused);
    match_free(m);
    world_free(w);
}

/* Two processes share a session: one has the delta-t before a border, the other those
 * from it on, and the first hears of what comes after. */
static void
two_matches_on_either_side_of_a_border_miss_nothing(void)
{
    enum { COUNT = 200, AT = 103, BORDER = 110 };
    struct world *w = world_new(REPORTING, COUNT);
    struct match_sinks sinks = world_sinks(w);
    struct match *old = match_new(&w->key, instant_of_ns(WORLD_DAY)), *new;
    struct instant border = {.ns = 0};

    for (unsigned i = 20; i < COUNT - 10; i++) {
        w->j[i].lost_fwd = random_chance(200);
        w->j[i].lost_bwd = !w->j[i].lost_fwd && random_chance(200);
    }
    w->j[BORDER - 1].lost_fwd = w->j[BORDER + 1].lost_fwd = true;
    w->j[BORDER - 1].lost_bwd = w->j[BORDER + 1].lost_bwd = false;
    w->j[BORDER - 2].lost_bwd = !w->j[BORDER - 2].lost_fwd;
    world_play(w);
    for (size_t k = 0; k < w->event_count; k++) {
        const struct exchange *e = &w->events[k];
        if (border.ns == 0 && e->at.ns >= WORLD_DAY + AT * w->key.period.ns) {
            border = match_stop(old, e->at);
        }
        CU_ASSERT_EQUAL(match_event(old, e), 0);
        match_advance(old, e->at, &sinks);
    }
    CU_ASSERT_EQUAL_FATAL(border.ns, WORLD_DAY + BORDER * w->key.period.ns);
    CU_ASSERT_TRUE(match_is_done(old));
    match_finish(old, instant_of_ns(WORLD_DAY + 1000 * NS_PER_S), &sinks);
    CU_ASSERT_EQUAL(match_next_start(old).ns, border.ns);
    CU_ASSERT_EQUAL(w->last_start, border.ns - w->key.dt.ns);

    new = match_new(&w->key, border);
    for (size_t k = 0; k < w->event_count; k++) {
        if ((int32_t)(w->events[k].sequence - w->first) >= BORDER) {
            CU_ASSERT_EQUAL(match_event(new, &w->events[k]), 0);
        }
    }
    match_advance(new, instant_of_ns(WORLD_DAY + 30 * NS_PER_S), &sinks);
    for (unsigned i = 0; i < COUNT; i++) {
        enum fate truth = w->j[i].lost_fwd   ? FATE_LOST_FWD
                          : w->j[i].lost_bwd ? FATE_LOST_BWD
                                             : FATE_RECEIVED;
        CU_ASSERT_EQUAL(w->j[i].done, 1);
        CU_ASSERT_EQUAL(w->j[i].told.fate, truth);
    }
    match_go_on(old);
    CU_ASSERT_FALSE(match_is_done(old));
    match_free(old);
    match_free(new);
    world_free(w);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_clean_link_is_measured_to_the_nanosecond", a_clean_link_is_measured_to_the_nanosecond},
        {"without_follow_up_the_t3_of_the_reply_counts",
         without_follow_up_the_t3_of_the_reply_counts},
        {"runs_of_128_and_129_lost_have_their_direction",
         runs_of_128_and_129_lost_have_their_direction},
        {"a_long_run_lost_both_ways_is_undirected_but_for_its_last_128",
         a_long_run_lost_both_ways_is_undirected_but_for_its_last_128},
        {"a_cut_of_20_s_has_a_direction_where_a_report_came_in_time",
         a_cut_of_20_s_has_a_direction_where_a_report_came_in_time},
        {"thirty_per_cent_loss_each_way_with_disorder_agrees_with_the_truth",
         thirty_per_cent_loss_each_way_with_disorder_agrees_with_the_truth},
        {"a_far_end_that_restarts_leaves_the_gap_undirected",
         a_far_end_that_restarts_leaves_the_gap_undirected},
        {"a_stateful_reflector_splits_a_gap_that_fell_one_way_whole",
         a_stateful_reflector_splits_a_gap_that_fell_one_way_whole},
        {"a_stateless_reflector_gives_no_direction", a_stateless_reflector_gives_no_direction},
        {"a_reply_at_tmax_is_received_and_one_ns_later_is_late",
         a_reply_at_tmax_is_received_and_one_ns_later_is_late},
        {"impossible_reflector_times_are_not_subtracted",
         impossible_reflector_times_are_not_subtracted},
        {"times_of_a_foreign_far_end_are_used_as_far_as_they_can_be_true",
         times_of_a_foreign_far_end_are_used_as_far_as_they_can_be_true},
        {"a_probe_with_a_wrong_clock_keeps_its_one_way_figures",
         a_probe_with_a_wrong_clock_keeps_its_one_way_figures},
        {"an_error_that_the_stamps_deny_is_not_believed",
         an_error_that_the_stamps_deny_is_not_believed},
        {"a_session_of_rt_alone_has_no_direction", a_session_of_rt_alone_has_no_direction},
        {"an_echo_has_the_round_trip_and_misses_nothing",
         an_echo_has_the_round_trip_and_misses_nothing},
        {"a_sequence_that_counts_something_else_gives_no_direction",
         a_sequence_that_counts_something_else_gives_no_direction},
        {"a_change_of_the_way_is_told_once", a_change_of_the_way_is_told_once},
        {"a_remarked_class_has_a_direction_where_the_far_end_tells_it",
         a_remarked_class_has_a_direction_where_the_far_end_tells_it},
        {"a_round_trip_under_the_floor_makes_its_delta_t_suspect",
         a_round_trip_under_the_floor_makes_its_delta_t_suspect},
        {"ifdv_is_taken_of_neighbours_that_both_came_back",
         ifdv_is_taken_of_neighbours_that_both_came_back},
        {"under_nine_tenths_sent_is_suspect", under_nine_tenths_sent_is_suspect},
        {"what_was_out_in_an_overrun_is_unknown_unless_it_comes_back",
         what_was_out_in_an_overrun_is_unknown_unless_it_comes_back},
        {"packets_whose_events_were_lost_are_sent_and_unknown",
         packets_whose_events_were_lost_are_sent_and_unknown},
        {"a_step_forward_ends_its_delta_t_and_leaves_a_hole",
         a_step_forward_ends_its_delta_t_and_leaves_a_hole},
        {"a_small_step_back_goes_on_with_the_next_delta_t",
         a_small_step_back_goes_on_with_the_next_delta_t},
        {"a_large_step_back_never_repeats_a_delta_t", a_large_step_back_never_repeats_a_delta_t},
        {"finishing_makes_what_is_out_unknown_and_what_waited_lost",
         finishing_makes_what_is_out_unknown_and_what_waited_lost},
        {"early_state_tells_what_is_overdue", early_state_tells_what_is_overdue},
        {"a_process_that_slept_for_a_year_does_not_tell_every_second",
         a_process_that_slept_for_a_year_does_not_tell_every_second},
        {"random_events_never_break_the_sums", random_events_never_break_the_sums},
        {"a_window_that_cannot_grow_counts_packets_as_unknown",
         a_window_that_cannot_grow_counts_packets_as_unknown},
        {"a_forward_duplicate_counts_where_the_next_reply_tells_of_it",
         a_forward_duplicate_counts_where_the_next_reply_tells_of_it},
        {"a_packet_out_for_less_than_four_times_the_usual_is_not_overdue",
         a_packet_out_for_less_than_four_times_the_usual_is_not_overdue},
        {"two_matches_on_either_side_of_a_border_miss_nothing",
         two_matches_on_either_side_of_a_border_miss_nothing},
        CU_TEST_INFO_NULL};
    return run_suite("match", tests);
}
