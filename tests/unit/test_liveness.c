/* test_liveness.c - the seconds that a probe vouches for, in simulated time. */
#include "liveness.h"

#include <CUnit/Basic.h>

#include "harness.h"

static const struct liveness_state serving = {true, true, 7, 11};

static struct instant
at_ms(int64_t ms)
{
    return instant_of_ns(ms * NS_PER_MS);
}

/* A tick of a clock that runs as it should, by a process that never stood still. */
static void
tick(struct liveness *l, int64_t ms)
{
    liveness_tick(l, at_ms(ms), span_of_ns(at_ms(ms).ns), span_of_ns(0));
}

static void
each_whole_second_is_told_once(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10400), span_of_ns(at_ms(10400).ns), at_ms(0), serving);
    for (int64_t ms = 11030; ms < 20000; ms += 1000) {
        tick(&l, ms);
    }
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 11); /* The tenth was not whole. */
    CU_ASSERT_EQUAL(l.pending[0].seconds, 8);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(19000).ns);
    liveness_taken(&l);
    tick(&l, 19990);
    CU_ASSERT_EQUAL(l.pending_count, 0);
    tick(&l, 20000);
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 19);
}

static void
seconds_told_in_an_earlier_life_are_not_told_again(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(at_ms(10000).ns), at_ms(12500), serving);
    for (int64_t ms = 11000; ms <= 15000; ms += 1000) {
        tick(&l, ms);
    }
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 13);
    CU_ASSERT_EQUAL(l.pending[0].seconds, 2);
}

static void
a_second_with_a_change_claims_only_what_held_throughout(void)
{
    struct liveness l;
    struct liveness_state other = serving;

    liveness_init(&l, at_ms(10000), span_of_ns(at_ms(10000).ns), at_ms(0), serving);
    tick(&l, 11000);
    other.serving_id = 12;
    liveness_change(&l, at_ms(11500), other);
    tick(&l, 12000);
    tick(&l, 13000);
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 3);
    CU_ASSERT_EQUAL(l.pending[0].state.serving_id, 11);
    CU_ASSERT_EQUAL(l.pending[1].second, 11);
    CU_ASSERT_EQUAL(l.pending[1].state.serving_id, 0);
    CU_ASSERT_TRUE(l.pending[1].state.reflecting);
    CU_ASSERT_EQUAL(l.pending[2].state.serving_id, 12);
}

static void
a_change_there_and_back_within_a_second_is_a_change(void)
{
    struct liveness l;
    struct liveness_state off = serving;

    off.reflecting = false;
    liveness_init(&l, at_ms(10000), span_of_ns(at_ms(10000).ns), at_ms(0), serving);
    liveness_change(&l, at_ms(10300), off);
    liveness_change(&l, at_ms(10600), serving);
    tick(&l, 11000);
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_FALSE(l.pending[0].state.reflecting);
    CU_ASSERT_TRUE(l.pending[0].state.sending);
}

static void
a_process_that_stood_still_vouches_for_nothing_between(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(0), at_ms(0), serving);
    liveness_tick(&l, at_ms(11000), span_of_ns(NS_PER_S), span_of_ns(0));
    liveness_tick(&l, at_ms(12500), span_of_ns(NS_PER_S * 5 / 2), span_of_ns(LIVENESS_STALL_NS));
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(12000).ns);
    liveness_taken(&l);
    liveness_tick(&l, at_ms(14000), span_of_ns(4 * NS_PER_S), span_of_ns(LIVENESS_STALL_NS + 1));
    CU_ASSERT_EQUAL(l.pending_count, 0);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(14000).ns);
    liveness_tick(&l, at_ms(15000), span_of_ns(5 * NS_PER_S), span_of_ns(0));
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 14);
    CU_ASSERT_TRUE(l.pending[0].state.reflecting);
}

static void
a_late_tick_vouches_for_all_that_was_reflected(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(0), at_ms(0), serving);
    liveness_tick(&l, at_ms(17000), span_of_ns(7 * NS_PER_S), span_of_ns(NS_PER_S));
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 10);
    CU_ASSERT_EQUAL(l.pending[0].seconds, 7);
}

static void
a_clock_that_steps_vouches_for_nothing_between(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(0), at_ms(0), serving);
    liveness_tick(&l, at_ms(11500), span_of_ns(NS_PER_S),
                  span_of_ns(0)); /* Half a second: may be. */
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(11000).ns);
    liveness_taken(&l);
    liveness_tick(&l, at_ms(13001), span_of_ns(2 * NS_PER_S), span_of_ns(0));
    CU_ASSERT_EQUAL(l.pending_count, 0);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(14000).ns);
}

static void
a_clock_that_goes_back_tells_no_second_twice(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(at_ms(10000).ns), at_ms(0), serving);
    tick(&l, 11000);
    tick(&l, 12000);
    liveness_taken(&l);
    for (int64_t ms = 9000; ms <= 12900; ms += 900) {
        liveness_tick(&l, at_ms(ms), span_of_ns(at_ms(ms + 4000).ns), span_of_ns(0));
    }
    CU_ASSERT_EQUAL(l.pending_count, 0);
    liveness_tick(&l, at_ms(13000), span_of_ns(at_ms(17000).ns), span_of_ns(0));
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].second, 12);
}

static void
records_past_the_bound_are_counted(void)
{
    struct liveness l;
    struct liveness_state s = serving;

    liveness_init(&l, at_ms(0), span_of_ns(at_ms(0).ns), at_ms(0), serving);
    for (int64_t i = 1; i <= LIVENESS_PENDING_MAX + 10; i++) {
        tick(&l, i * 1000);
        s.generation = i;
        liveness_change(&l, at_ms(i * 1000), s);
    }
    CU_ASSERT_EQUAL(l.pending_count, LIVENESS_PENDING_MAX);
    CU_ASSERT_EQUAL(l.dropped, 10);
}

static void
behind_a_border_the_seconds_are_somebody_elses(void)
{
    struct liveness l;

    liveness_init(&l, at_ms(10000), span_of_ns(at_ms(10000).ns), at_ms(0), serving);
    tick(&l, 12030);
    CU_ASSERT_EQUAL(liveness_stop(&l, at_ms(12400)).ns, at_ms(13000).ns);
    tick(&l, 12990);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(12000).ns);
    tick(&l, 15030);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(13000).ns);
    CU_ASSERT_EQUAL_FATAL(l.pending_count, 1);
    CU_ASSERT_EQUAL(l.pending[0].seconds, 3);
    /* Standing still does not move it past the border either. */
    liveness_tick(&l, at_ms(16000), span_of_ns(at_ms(16000).ns), span_of_ns(2 * NS_PER_S));
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(13000).ns);
    liveness_go_on(&l);
    tick(&l, 17000);
    CU_ASSERT_EQUAL(liveness_told(&l).ns, at_ms(17000).ns);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"each_whole_second_is_told_once", each_whole_second_is_told_once},
        {"seconds_told_in_an_earlier_life_are_not_told_again",
         seconds_told_in_an_earlier_life_are_not_told_again},
        {"a_second_with_a_change_claims_only_what_held_throughout",
         a_second_with_a_change_claims_only_what_held_throughout},
        {"a_change_there_and_back_within_a_second_is_a_change",
         a_change_there_and_back_within_a_second_is_a_change},
        {"a_process_that_stood_still_vouches_for_nothing_between",
         a_process_that_stood_still_vouches_for_nothing_between},
        {"a_late_tick_vouches_for_all_that_was_reflected",
         a_late_tick_vouches_for_all_that_was_reflected},
        {"a_clock_that_steps_vouches_for_nothing_between",
         a_clock_that_steps_vouches_for_nothing_between},
        {"a_clock_that_goes_back_tells_no_second_twice",
         a_clock_that_goes_back_tells_no_second_twice},
        {"records_past_the_bound_are_counted", records_past_the_bound_are_counted},
        {"behind_a_border_the_seconds_are_somebody_elses",
         behind_a_border_the_seconds_are_somebody_elses},
        CU_TEST_INFO_NULL};
    return run_suite("liveness", tests);
}
