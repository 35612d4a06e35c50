/* test_watch_row.c - whoever takes a source over: windows that begin with committed rows say what
 * they would have said without, in simulated time. */
#include "row_world.h"

#include <errno.h>

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

    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], instant_of_ns(T0 * NS_PER_S),
                               span_of_ns(239 * NS_PER_S), &want),
                    0);
    CU_ASSERT_EQUAL(want.reach.ns, 0);
    CU_ASSERT_EQUAL(watch_want(watch, w->sessions[0], instant_of_ns(T0 * NS_PER_S),
                               span_of_ns(86400 * NS_PER_S), &want),
                    0);
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
