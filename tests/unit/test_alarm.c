/* test_alarm.c - when a rule raises, when it clears, and that it says so once. */
#include "alarm.h"

#include "harness.h"

#define DAY INT64_C(1789948800) /* A second. */
#define HISTORY 64

static const struct inv_alarm cut = {.key = "cut",
                                     .metric = {INV_FLR, 0},
                                     .over = {3 * NS_PER_S},
                                     .clear = {10 * NS_PER_S},
                                     .raise = 50000,
                                     .severity = INV_CRITICAL};
static const struct inv_alarm brown = {.key = "brown",
                                       .metric = {INV_FLR, 0},
                                       .over = {300 * NS_PER_S},
                                       .clear = {900 * NS_PER_S},
                                       .raise = 500,
                                       .severity = INV_MAJOR};
static const struct inv_alarm slow = {.key = "slow",
                                      .metric = {INV_RT, 50000},
                                      .over = {300 * NS_PER_S},
                                      .clear = {900 * NS_PER_S},
                                      .relative = true,
                                      .raise = 20000,
                                      .against = {7 * 86400 * NS_PER_S},
                                      .severity = INV_MINOR};
static const struct inv_alarm below = {.key = "floor",
                                       .metric = {INV_RT_FLOOR, 0},
                                       .over = {10 * NS_PER_S},
                                       .clear = {60 * NS_PER_S},
                                       .severity = INV_MAJOR};

struct said {
    enum alarm_change change;
    struct alarm_episode episode;
};

/* A cell, its flows, and what was said of it. */
struct bench {
    struct alarm_cell cell;
    int flows;
    struct said said[HISTORY];
    int count, changes;
};

static struct bench *
bench_new(const struct inv_alarm *rule, int flows)
{
    struct bench *b = calloc(1, sizeof *b);

    alarm_cell_init(&b->cell, rule, span_of_ns(300 * NS_PER_S));
    alarm_set_baseline(&b->cell, 10 * NS_PER_MS);
    b->flows = flows;
    for (int i = 0; i < flows; i++) {
        CU_ASSERT_EQUAL_FATAL(
            alarm_flow(&b->cell, (uint16_t)i, span_of_ns(NS_PER_S), span_of_ns(3 * NS_PER_S)), i);
    }
    return b;
}

static void
bench_free(struct bench *b)
{
    alarm_cell_fini(&b->cell);
    free(b);
}

static void
decide(struct bench *b)
{
    enum alarm_change change;

    CU_ASSERT_EQUAL_FATAL(alarm_decide(&b->cell, &change), 0);
    if (change == ALARM_MORE) {
        b->changes++;
    } else if (change != ALARM_SAME) {
        CU_ASSERT_FATAL(b->count < HISTORY);
        b->said[b->count++] = (struct said){change, *b->cell.episode};
    }
}

static void
put(struct bench *b, int flow, int64_t second, bool final, uint64_t sent, uint64_t lost)
{
    const struct alarm_sample s = {.start = {(DAY + second) * NS_PER_S},
                                   .final = final,
                                   .count = sent,
                                   .lost = lost,
                                   .fwd = final ? lost : 0};
    alarm_take(&b->cell, flow, &s);
}

/* 'count' seconds from 'from' on, of each flow, final at once. */
static void
seconds(struct bench *b, int64_t from, int64_t count, uint64_t sent, uint64_t lost)
{
    for (int64_t t = from; t < from + count; t++) {
        for (int f = 0; f < b->flows; f++) {
            put(b, f, t, true, sent, lost);
        }
        decide(b);
    }
}

/* The same of values. */
static void
values(struct bench *b, int64_t from, int64_t count, int64_t ns, bool broken)
{
    for (int64_t t = from; t < from + count; t++) {
        const struct alarm_sample s = {.start = {(DAY + t) * NS_PER_S},
                                       .final = true,
                                       .count = 1,
                                       .value_ns = ns,
                                       .broken = broken};
        for (int f = 0; f < b->flows; f++) {
            alarm_take(&b->cell, f, &s);
        }
        decide(b);
    }
}

#define CHECK_TIME(at, second) CU_ASSERT_EQUAL((at).ns, (DAY + (second)) * NS_PER_S)

/* --- Raising ------------------------------------------------------------------------------ */

static void
a_cut_raises_within_three_delta_t_and_is_back_dated(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 60, 10, 0);
    seconds(b, 60, 3, 10, 10);
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CU_ASSERT_EQUAL(b->said[0].change, ALARM_RAISED);
    CHECK_TIME(b->said[0].episode.began, 60);
    CHECK_TIME(b->said[0].episode.raised, 62); /* 20 of 30. */
    CU_ASSERT_EQUAL(b->said[0].episode.decided.ns, b->said[0].episode.raised.ns);
    CU_ASSERT_EQUAL(b->said[0].episode.value, 66666);
    CU_ASSERT_EQUAL(b->cell.episode->worst, 100000);
    CU_ASSERT_EQUAL(b->said[0].episode.limit, 50000);
    CU_ASSERT_EQUAL(b->said[0].episode.fwd, 20);
    CU_ASSERT_EQUAL(b->said[0].episode.sent, 20);
    bench_free(b);
}

static void
half_is_not_over_half(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 10, 1000, 0);
    seconds(b, 10, 30, 1000, 500);
    CU_ASSERT_EQUAL(b->count, 0);
    seconds(b, 40, 3, 1000, 501);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

static void
all_lost_is_over_a_limit_of_all(void)
{
    struct inv_alarm all = cut;
    all.raise = 100000;
    struct bench *b = bench_new(&all, 1);

    seconds(b, 0, 10, 100000, 0);
    seconds(b, 10, 10, 100000, 99999);
    CU_ASSERT_EQUAL(b->count, 0);
    seconds(b, 20, 3, 100000, 100000);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

static void
two_of_a_hundred_for_ten_minutes_are_a_brown_out_and_no_cut(void)
{
    struct bench *b = bench_new(&brown, 1), *c = bench_new(&cut, 1);

    seconds(b, 0, 600, 10, 0);
    seconds(c, 0, 600, 10, 0);
    for (int64_t t = 600; t < 1200; t++) {
        uint64_t lost = t % 5 == 0;
        seconds(b, t, 1, 10, lost);
        seconds(c, t, 1, 10, lost);
    }
    CU_ASSERT_EQUAL(c->count, 0);
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CHECK_TIME(b->said[0].episode.began, 600);
    CU_ASSERT(b->said[0].episode.raised.ns > (DAY + 660) * NS_PER_S);
    CU_ASSERT(b->said[0].episode.raised.ns < (DAY + 700) * NS_PER_S);
    CU_ASSERT_EQUAL(b->cell.episode->worst, 2000);
    seconds(b, 1200, 1300, 10, 0);
    CU_ASSERT_EQUAL_FATAL(b->count, 2);
    CU_ASSERT_EQUAL(b->said[1].change, ALARM_CLEARED);
    CHECK_TIME(b->said[1].episode.ended, 1200);
    bench_free(b);
    bench_free(c);
}

/* Loss that is drawn, below the limit in every window: never; above it in every one: once. */
static void
no_alarm_below_the_threshold_and_always_above_it(void)
{
    for (int round = 0; round < 200; round++) {
        struct inv_alarm rule = cut;
        rule.over = span_of_ns((int64_t)(1 + random_below(400)) * NS_PER_S);
        rule.raise = 1000 + random_below(90000);
        int flows = 1 + (int)random_below(3);
        struct bench *b = bench_new(&rule, flows);
        uint64_t most = 1000 * rule.raise / 100000;
        int64_t t = 0;
        for (; t < 900; t++) {
            for (int f = 0; f < flows; f++) {
                put(b, f, t, true, 1000, random_below(most + 1));
            }
            decide(b);
        }
        CU_ASSERT_EQUAL(b->count, 0);
        seconds(b, t, 900, 1000, most + 1);
        CU_ASSERT_EQUAL(b->count, 1);
        CU_ASSERT_EQUAL(b->said[0].change, ALARM_RAISED);
        bench_free(b);
    }
}

static void
the_worst_flow_alarms(void)
{
    struct bench *b = bench_new(&cut, 4);

    seconds(b, 0, 10, 10, 0);
    for (int64_t t = 10; t < 20; t++) {
        for (int f = 0; f < 4; f++) {
            put(b, f, t, true, 10, f == 2 ? 10 : 0);
        }
        decide(b);
    }
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CU_ASSERT_EQUAL(b->said[0].episode.flow_count, 4);
    CU_ASSERT_EQUAL(b->said[0].episode.over_count, 1);
    CU_ASSERT_EQUAL(b->said[0].episode.over[0], 2);
    CU_ASSERT_EQUAL(b->changes, 0);
    seconds(b, 20, 3, 10, 10); /* All of them now. */
    CU_ASSERT_EQUAL(b->changes, 1);
    CU_ASSERT_EQUAL(b->cell.episode->over_count, 4);
    bench_free(b);
}

static void
a_step_of_the_median_is_slow_and_without_a_past_nothing_is(void)
{
    struct bench *b = bench_new(&slow, 1);

    values(b, 0, 300, 11970 * NS_PER_US, false); /* Under 20 % by more than a bucket. */
    CU_ASSERT_EQUAL(b->count, 0);
    values(b, 300, 145, 12 * NS_PER_MS, false);
    CU_ASSERT_EQUAL(b->count, 0); /* Not for more than half of the five minutes yet. */
    values(b, 445, 15, 12 * NS_PER_MS, false);
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CU_ASSERT_EQUAL(b->said[0].episode.limit, 12 * NS_PER_MS - 12 * NS_PER_MS / 512);
    CU_ASSERT_EQUAL(b->said[0].episode.baseline, 10 * NS_PER_MS);
    CU_ASSERT(b->said[0].episode.value >= 12 * NS_PER_MS);
    alarm_set_baseline(&b->cell, 0);
    values(b, 460, 3000, 10 * NS_PER_MS, false);
    CU_ASSERT_EQUAL(b->count, 1); /* Nor does it clear. */
    bench_free(b);

    b = bench_new(&slow, 1);
    alarm_set_baseline(&b->cell, 0);
    values(b, 0, 1000, NS_PER_S, false);
    CU_ASSERT_EQUAL(b->count, 0);
    bench_free(b);
}

static void
round_trips_under_the_floor_raise(void)
{
    struct bench *b = bench_new(&below, 1);

    values(b, 0, 20, 5 * NS_PER_MS, false);
    values(b, 20, 5, 1 * NS_PER_MS, true);
    values(b, 25, 20, 5 * NS_PER_MS, false);
    CU_ASSERT_EQUAL(b->count, 0);
    values(b, 45, 10, 1 * NS_PER_MS, true);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

/* --- Clearing -------------------------------------------------------------------------------- */

static void
it_clears_after_so_long_a_good_time(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 10, 10, 0);
    seconds(b, 10, 20, 10, 10);
    seconds(b, 30, 10, 10, 0);
    CU_ASSERT_EQUAL(b->count, 1);
    seconds(b, 40, 1, 10, 0);
    CU_ASSERT_EQUAL_FATAL(b->count, 2);
    CU_ASSERT_EQUAL(b->said[1].change, ALARM_CLEARED);
    CHECK_TIME(b->said[1].episode.cleared,
               41); /* The window that ends at 31 is the last bad one. */
    CHECK_TIME(b->said[1].episode.ended, 30);
    CHECK_TIME(b->said[1].episode.began, 10);
    CU_ASSERT_EQUAL(b->said[1].episode.fwd, 200);
    CU_ASSERT_EQUAL(b->said[1].episode.sent, 200);
    bench_free(b);
}

static void
one_good_flow_does_not_clear_a_bad_one(void)
{
    struct bench *b = bench_new(&cut, 2);

    seconds(b, 0, 10, 10, 0);
    for (int64_t t = 10; t < 200; t++) {
        put(b, 0, t, true, 10, 0);
        put(b, 1, t, true, 10, 10);
        decide(b);
    }
    CU_ASSERT_EQUAL(b->count, 1);
    seconds(b, 200, 30, 10, 0);
    CU_ASSERT_EQUAL(b->count, 2);
    bench_free(b);
}

static void
flapping_for_a_minute_is_one_alarm(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 10, 10, 0);
    for (int64_t t = 10; t < 70; t += 10) {
        seconds(b, t, 5, 10, 10);
        seconds(b, t + 5, 5, 10, 0);
    }
    seconds(b, 70, 60, 10, 0);
    CU_ASSERT_EQUAL(b->count, 2);
    CU_ASSERT_EQUAL(b->said[1].change, ALARM_CLEARED);
    bench_free(b);
}

static void
what_comes_back_within_hold_is_the_same_and_clears_later_each_time(void)
{
    struct bench *b = bench_new(&cut, 1);
    int64_t t = 10;

    seconds(b, 0, 10, 10, 0);
    for (unsigned flaps = 0; flaps < 8; flaps++) {
        seconds(b, t, 5, 10, 10);
        t += 5;
        CU_ASSERT_EQUAL(b->cell.episode->flaps, flaps);
        CU_ASSERT_EQUAL(b->said[b->count - 1].change, flaps ? ALARM_RAISED_AGAIN : ALARM_RAISED);
        CHECK_TIME(b->cell.episode->began, 10);
        int64_t need = 10 << (flaps < 5 ? flaps : 5);
        CU_ASSERT_EQUAL(alarm_clear_time(&b->cell).ns, need * NS_PER_S);
        seconds(b, t, need, 10, 0);
        CU_ASSERT(alarm_is_raised(&b->cell));
        seconds(b, t + need, 1, 10, 0);
        CU_ASSERT(!alarm_is_raised(&b->cell));
        t += need + 1;
    }
    seconds(b, t, 305, 10, 0);
    seconds(b, t + 305, 5, 10, 10);
    CU_ASSERT_EQUAL(b->said[b->count - 1].change, ALARM_RAISED);
    CU_ASSERT_EQUAL(b->cell.episode->flaps, 0);
    bench_free(b);
}

/* --- Early and final -----------------------------------------------------------------------------
 */

static void
early_then_final_of_a_delta_t_count_once(void)
{
    struct bench *b = bench_new(&cut, 1);

    for (int64_t t = 0; t < 40; t++) {
        bool bad = t >= 20 && t < 30;
        put(b, 0, t, false, 10, bad ? 10 : 0);
        if (t >= 6) {
            bool was = t - 6 >= 20 && t - 6 < 30;
            put(b, 0, t - 6, true, 10, was ? 10 : 0);
            put(b, 0, t - 6, true, 10, was ? 10 : 0); /* Nor twice. */
            put(b, 0, t - 6, false, 10, 10);          /* Nor the early one behind it. */
        }
        decide(b);
    }
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CHECK_TIME(b->said[0].episode.raised, 22);
    CU_ASSERT_EQUAL(b->said[0].episode.overdue, 20);
    CU_ASSERT_EQUAL(b->changes, 1); /* That it was the way forth became known. */
    CU_ASSERT_EQUAL(b->cell.episode->fwd, 10);
    for (int64_t t = 40; t < 60; t++) {
        put(b, 0, t, false, 10, 0);
        put(b, 0, t - 6, true, 10, 0);
        decide(b);
    }
    CU_ASSERT_EQUAL_FATAL(b->count, 2);
    CU_ASSERT_EQUAL(b->said[1].episode.fwd, 100);
    CU_ASSERT_EQUAL(b->said[1].episode.sent, 100);
    CU_ASSERT_EQUAL(b->said[1].episode.overdue, 0);
    CHECK_TIME(b->said[1].episode.cleared, 41);
    CHECK_TIME(b->said[1].episode.ended, 30);
    bench_free(b);
}

static void
final_loss_that_no_early_state_told_raises(void)
{
    struct bench *b = bench_new(&cut, 1);

    for (int64_t t = 0; t < 40; t++) {
        put(b, 0, t, false, 0, 0); /* Nothing is overdue where a round trip takes a second. */
        if (t >= 6) {
            put(b, 0, t - 6, true, 10, t - 6 >= 20 && t - 6 < 25 ? 10 : 0);
        }
        decide(b);
    }
    CU_ASSERT_EQUAL_FATAL(b->count, 1);
    CHECK_TIME(b->said[0].episode.raised, 22);
    bench_free(b);
}

static void
a_final_summary_takes_back_what_looked_lost(void)
{
    struct bench *b = bench_new(&brown, 1);

    /* A long rule does not go by early states at all. */
    CU_ASSERT(!alarm_wants_early(&b->cell, 0));
    for (int64_t t = 0; t < 700; t++) {
        put(b, 0, t, false, 10, 5);
        if (t >= 6) {
            put(b, 0, t - 6, true, 10, 0);
        }
        decide(b);
    }
    CU_ASSERT_EQUAL(b->count, 0);
    bench_free(b);
}

/* --- What is not known
 * ------------------------------------------------------------------------------- */

static void
gaps_neither_raise_nor_clear(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 10, 10, 0);
    for (int64_t t = 10; t < 40; t += 3) { /* Two bad ones, and one that did not come. */
        seconds(b, t, 2, 10, 10);
    }
    CU_ASSERT_EQUAL(b->count, 1); /* At 10 and 11, behind a good one. */
    CHECK_TIME(b->said[0].episode.raised, 12);
    seconds(b, 40, 1000, 0, 0); /* Nothing was sent, and nobody knows. */
    CU_ASSERT_EQUAL(b->count, 1);
    seconds(b, 5000, 11, 10, 0);
    CU_ASSERT_EQUAL(b->count, 1); /* Its first window is whole with the third. */
    seconds(b, 5011, 1, 10, 0);
    CU_ASSERT_EQUAL(b->count, 2);
    bench_free(b);

    b = bench_new(&cut, 1);
    seconds(b, 0, 10, 10, 0);
    for (int64_t t = 11; t < 100; t += 2) {
        seconds(b, t, 1, 10, 10);
    }
    CU_ASSERT_EQUAL(b->count, 0);
    bench_free(b);
}

static void
one_delta_t_of_many_may_be_missing(void)
{
    struct bench *b = bench_new(&brown, 1);

    for (int64_t t = 0; t < 900; t++) {
        if (t % 100 != 50) {
            seconds(b, t, 1, 100, t >= 400 ? 1 : 0);
        }
    }
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

static void
a_link_that_never_answered_does_not_alarm(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 600, 10, 10);
    CU_ASSERT_EQUAL(b->count, 0);
    seconds(b, 600, 1, 10, 9);
    seconds(b, 601, 3, 10, 10);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

static void
late_data_are_judged_in_their_own_time(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 100, 10, 0);
    seconds(b, 7200, 20, 10, 0);
    put(b, 0, 90, true, 10, 10); /* Long out of the window. */
    put(b, 0, 91, true, 10, 10);
    put(b, 0, 92, true, 10, 10);
    decide(b);
    CU_ASSERT_EQUAL(b->count, 0);
    seconds(b, 7220, 2, 10, 10);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

static void
a_flow_that_is_no_more_is_not_waited_for(void)
{
    struct bench *b = bench_new(&cut, 2);

    seconds(b, 0, 10, 10, 0);
    seconds(b, 10, 5, 10, 10);
    CU_ASSERT_EQUAL(b->count, 1);
    b->flows = 1;
    seconds(b, 15, 590, 10, 0);
    CU_ASSERT_EQUAL(b->count, 1);
    seconds(b, 605, 20, 10, 0);
    CU_ASSERT_EQUAL(b->count, 2);
    bench_free(b);
}

static void
a_flow_of_other_delta_t_begins_anew(void)
{
    struct bench *b = bench_new(&cut, 1);

    seconds(b, 0, 10, 10, 0);
    seconds(b, 10, 1, 10, 10);
    CU_ASSERT_EQUAL(alarm_flow(&b->cell, 0, span_of_ns(100 * NS_PER_MS), span_of_ns(3 * NS_PER_S)),
                    0);
    for (int i = 0; i < 29; i++) {
        const struct alarm_sample s = {.start = {(DAY + 11) * NS_PER_S + i * 100 * NS_PER_MS},
                                       .final = true,
                                       .count = 10,
                                       .lost = 10};
        alarm_take(&b->cell, 0, &s);
        decide(b);
    }
    CU_ASSERT_EQUAL(b->count, 0);
    const struct alarm_sample s = {
        .start = {(DAY + 14) * NS_PER_S - 100 * NS_PER_MS}, .final = true, .count = 10, .lost = 10};
    alarm_take(&b->cell, 0, &s);
    decide(b);
    CU_ASSERT_EQUAL(b->count, 1);
    bench_free(b);
}

/* --- Another reads it again
 * ------------------------------------------------------------------------------ */

#define LENGTH 900

struct script {
    uint64_t lost[LENGTH];
};

static void
draw_script(struct script *s)
{
    int64_t t = 20;

    memset(s, 0, sizeof *s);
    while (t < LENGTH - 60) {
        int64_t bad = 1 + (int64_t)random_below(20), good = 1 + (int64_t)random_below(60);
        for (int64_t i = 0; i < bad && t < LENGTH; i++) {
            s->lost[t++] = 5 + random_below(6);
        }
        t += good;
    }
}

/* Early states, and the final ones six seconds later, of [from, until). */
static void
play(struct bench *b, const struct script *s, int64_t from, int64_t until)
{
    for (int64_t t = from; t < until; t++) {
        put(b, 0, t, false, 10, s->lost[t]);
        if (t >= 6) {
            put(b, 0, t - 6, true, 10, s->lost[t - 6]);
        }
        decide(b);
    }
}

/* Whoever takes over knows what was written, and reads again from an earlier place. */
static void
take_over(struct bench *b)
{
    struct alarm_episode written;
    struct alarm_progress flow;
    bool any = b->cell.episode != NULL, raised = alarm_is_raised(&b->cell);

    if (any) {
        written = *b->cell.episode;
        alarm_progress(&b->cell, 0, &flow);
    }
    alarm_cell_fini(&b->cell);
    alarm_cell_init(&b->cell, b->cell.rule, b->cell.hold);
    if (any) {
        alarm_restore(&b->cell, &written, &flow, raised);
    }
    alarm_flow(&b->cell, 0, span_of_ns(NS_PER_S), span_of_ns(3 * NS_PER_S));
}

static bool
same(const struct said *a, const struct said *b)
{
    return a->change == b->change && a->episode.began.ns == b->episode.began.ns &&
           a->episode.raised.ns == b->episode.raised.ns &&
           a->episode.decided.ns == b->episode.decided.ns &&
           a->episode.cleared.ns == b->episode.cleared.ns && a->episode.flaps == b->episode.flaps;
}

static void
reading_again_says_nothing_twice_and_the_same(void)
{
    for (int round = 0; round < 400; round++) {
        struct script s;
        draw_script(&s);
        struct bench *whole = bench_new(&cut, 1), *torn = bench_new(&cut, 1);
        play(whole, &s, 0, LENGTH);
        int64_t at = 0;
        while (at < LENGTH) {
            int64_t stop = at + 1 + (int64_t)random_below(200);
            stop = stop < LENGTH ? stop : LENGTH;
            play(torn, &s, at, stop);
            /* All that the good time before a clear may hang on is read again. */
            at = stop < LENGTH ? stop - 400 - (int64_t)random_below(100) : stop;
            at = at < 0 ? 0 : at;
            if (stop < LENGTH) {
                take_over(torn);
                play(torn, &s, at, stop);
                at = stop;
            }
        }
        CU_ASSERT_EQUAL_FATAL(torn->count, whole->count);
        for (int i = 0; i < whole->count; i++) {
            CU_ASSERT(same(&torn->said[i], &whole->said[i]));
        }
        bench_free(whole);
        bench_free(torn);
    }
}

/* However little is read again, what is said makes a life: raised, cleared, raised ... */
static void
reading_on_from_anywhere_never_raises_twice(void)
{
    for (int round = 0; round < 400; round++) {
        struct script s;
        draw_script(&s);
        struct bench *b = bench_new(&cut, 1);
        int64_t at = 0;
        while (at < LENGTH) {
            int64_t stop = at + 1 + (int64_t)random_below(60);
            stop = stop < LENGTH ? stop : LENGTH;
            play(b, &s, at, stop);
            at = stop < LENGTH ? stop - (int64_t)random_below(50) : stop;
            at = at < 0 ? 0 : at;
            if (stop < LENGTH) {
                take_over(b);
                play(b, &s, at, stop);
                at = stop;
            }
        }
        for (int i = 0; i < b->count; i++) {
            CU_ASSERT_EQUAL(b->said[i].change == ALARM_CLEARED, i % 2 == 1);
            CU_ASSERT(i == 0 || b->said[i].episode.decided.ns > b->said[i - 1].episode.decided.ns);
        }
        bench_free(b);
    }
}

static void
a_cell_holds_little(void)
{
    struct bench *b = bench_new(&brown, 1), *c = bench_new(&cut, 1), *d = bench_new(&slow, 1);
    size_t bytes =
        alarm_cell_bytes(&b->cell) + alarm_cell_bytes(&c->cell) + alarm_cell_bytes(&d->cell);

    CU_ASSERT(bytes < 2240); /* 33,000 sessions: 74 MB. */
    bench_free(b);
    bench_free(c);
    bench_free(d);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a_cut_raises_within_three_delta_t_and_is_back_dated",
         a_cut_raises_within_three_delta_t_and_is_back_dated},
        {"half_is_not_over_half", half_is_not_over_half},
        {"all_lost_is_over_a_limit_of_all", all_lost_is_over_a_limit_of_all},
        {"two_of_a_hundred_for_ten_minutes_are_a_brown_out_and_no_cut",
         two_of_a_hundred_for_ten_minutes_are_a_brown_out_and_no_cut},
        {"no_alarm_below_the_threshold_and_always_above_it",
         no_alarm_below_the_threshold_and_always_above_it},
        {"the_worst_flow_alarms", the_worst_flow_alarms},
        {"a_step_of_the_median_is_slow_and_without_a_past_nothing_is",
         a_step_of_the_median_is_slow_and_without_a_past_nothing_is},
        {"round_trips_under_the_floor_raise", round_trips_under_the_floor_raise},
        {"it_clears_after_so_long_a_good_time", it_clears_after_so_long_a_good_time},
        {"one_good_flow_does_not_clear_a_bad_one", one_good_flow_does_not_clear_a_bad_one},
        {"flapping_for_a_minute_is_one_alarm", flapping_for_a_minute_is_one_alarm},
        {"what_comes_back_within_hold_is_the_same_and_clears_later_each_time",
         what_comes_back_within_hold_is_the_same_and_clears_later_each_time},
        {"early_then_final_of_a_delta_t_count_once", early_then_final_of_a_delta_t_count_once},
        {"final_loss_that_no_early_state_told_raises", final_loss_that_no_early_state_told_raises},
        {"a_final_summary_takes_back_what_looked_lost",
         a_final_summary_takes_back_what_looked_lost},
        {"gaps_neither_raise_nor_clear", gaps_neither_raise_nor_clear},
        {"one_delta_t_of_many_may_be_missing", one_delta_t_of_many_may_be_missing},
        {"a_link_that_never_answered_does_not_alarm", a_link_that_never_answered_does_not_alarm},
        {"late_data_are_judged_in_their_own_time", late_data_are_judged_in_their_own_time},
        {"a_flow_that_is_no_more_is_not_waited_for", a_flow_that_is_no_more_is_not_waited_for},
        {"a_flow_of_other_delta_t_begins_anew", a_flow_of_other_delta_t_begins_anew},
        {"reading_again_says_nothing_twice_and_the_same",
         reading_again_says_nothing_twice_and_the_same},
        {"reading_on_from_anywhere_never_raises_twice",
         reading_on_from_anywhere_never_raises_twice},
        {"a_cell_holds_little", a_cell_holds_little},
        CU_TEST_INFO_NULL,
    };
    return run_suite("alarm", tests);
}
