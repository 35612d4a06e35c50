/* test_courierplan.c - delays, turns, bounds, and that one row probes a hook that fails. */
#include "courierplan.h"

#include "harness.h"

static struct span
s(int64_t seconds)
{
    return span_of_ns(seconds * NS_PER_S);
}

/* --- Delays --------------------------------------------------------------- */

static const int64_t ladder[] = {5, 30, 120, 300, 900, 1800, 3600, 7200, 7200, 7200};

static void
each_delay_is_a_fifth_around_its_step(void)
{
    for (unsigned i = 0; i < 10; i++) {
        int64_t fifth = ladder[i] * NS_PER_S / 5;
        CU_ASSERT_EQUAL(courierplan_delay(i + 1, 0).ns, ladder[i] * NS_PER_S - fifth);
        CU_ASSERT_EQUAL(courierplan_delay(i + 1, (uint64_t)(2 * fifth)).ns,
                        ladder[i] * NS_PER_S + fifth);
        CU_ASSERT_EQUAL(courierplan_delay(i + 1, (uint64_t)(2 * fifth + 1)).ns,
                        ladder[i] * NS_PER_S - fifth);
        for (unsigned n = 0; n < 1000; n++) {
            int64_t ns = courierplan_delay(i + 1, random_u64()).ns;
            CU_ASSERT_TRUE(ns >= ladder[i] * NS_PER_S - fifth &&
                           ns <= ladder[i] * NS_PER_S + fifth);
        }
    }
    CU_ASSERT_EQUAL(courierplan_delay(1000000, 0).ns, courierplan_delay(8, 0).ns);
}

static void
a_row_is_given_up_after_three_days_and_the_short_delays(void)
{
    int64_t seconds = 0;

    for (int i = 0; i < 8; i++) {
        seconds += ladder[i];
    }
    CU_ASSERT_TRUE(seconds < 4 * 3600);
    CU_ASSERT_FALSE(courierplan_is_dead(100, s(3 * 86400)));
    CU_ASSERT_TRUE(courierplan_is_dead(100, span_of_ns(3 * 86400 * NS_PER_S + 1)));
    CU_ASSERT_FALSE(courierplan_is_dead(8, s(100 * 86400)));
    CU_ASSERT_TRUE(courierplan_is_dead(9, s(100 * 86400)));
}

/* --- Turns ---------------------------------------------------------------- */

/* Each hook has so many rows, hook h's from 1000 h + 1 on. */
static struct courierplan
plan_of(struct courierplan_hook *hooks, size_t count, size_t rows)
{
    for (size_t h = 0; h < count; h++) {
        hooks[h] = (struct courierplan_hook){.head_count = rows};
        for (size_t i = 0; i < rows; i++) {
            hooks[h].heads[i] = (int64_t)(1000 * h + i + 1);
        }
    }
    return (struct courierplan){.hooks = hooks, .hook_count = count};
}

static void
each_hook_has_its_turn(void)
{
    struct courierplan_hook hooks[3];
    struct courierplan p = plan_of(hooks, 3, 3);
    static const int64_t wanted[] = {1, 1001, 2001, 2, 1002, 2002, 3, 1003, 2003};
    int64_t id;

    for (size_t i = 0; i < 9; i++) {
        CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), (int)(i % 3));
        CU_ASSERT_EQUAL(id, wanted[i]);
    }
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), -1);
    CU_ASSERT_EQUAL(p.in_flight, 9);
}

/* Takes all that may go now; how many. */
static unsigned
take_all(struct courierplan *p, struct span mono)
{
    unsigned taken = 0;
    int64_t id;

    while (courierplan_next(p, mono, &id) >= 0) {
        taken++;
    }
    return taken;
}

static void
a_hook_has_four_at_once_at_first(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 10);
    int64_t id;

    CU_ASSERT_EQUAL(courierplan_room(&p, &hooks[0], s(0)), 4);
    CU_ASSERT_EQUAL(take_all(&p, s(0)), 4);
    CU_ASSERT_EQUAL(courierplan_room(&p, &hooks[0], s(0)), 0);
    courierplan_over(&p, 0);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), 0);
    CU_ASSERT_EQUAL(id, 5);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), -1);
}

static void
each_that_was_taken_makes_room_for_one_more_up_to_sixteen(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 200);

    for (unsigned n = 0; n < 30; n++) {
        unsigned most = 4 + n < 16 ? 4 + n : 16;
        CU_ASSERT_EQUAL(courierplan_room(&p, &hooks[0], s(0)), most - hooks[0].in_flight);
        take_all(&p, s(0));
        CU_ASSERT_EQUAL(hooks[0].in_flight, most);
        courierplan_over(&p, 0);
        CU_ASSERT_TRUE(courierplan_good(&hooks[0], s(0)));
    }
}

static void
a_failure_takes_the_room_away(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 200);

    for (int i = 0; i < 20; i++) {
        courierplan_good(&hooks[0], s(0));
    }
    CU_ASSERT_EQUAL(take_all(&p, s(1)), 16);
    for (int i = 0; i < 16; i++) {
        courierplan_over(&p, 0);
    }
    courierplan_failed(&hooks[0], s(1), s(2), s(0), s(0), 0);
    CU_ASSERT_EQUAL(courierplan_room(&p, &hooks[0], s(2)), 0);
    CU_ASSERT_EQUAL(take_all(&p, s(100)), 1);
    courierplan_over(&p, 0);
    courierplan_good(&hooks[0], s(100));
    CU_ASSERT_EQUAL(take_all(&p, s(101)), 5);
}

static void
commands_have_no_more_than_two_whatever_they_took(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 200);

    hooks[0].exec = true;
    for (int i = 0; i < 20; i++) {
        courierplan_good(&hooks[0], s(0));
    }
    CU_ASSERT_EQUAL(take_all(&p, s(1)), 2);
}

static void
all_hooks_have_so_many_at_once(void)
{
    struct courierplan_hook hooks[40];
    struct courierplan p = plan_of(hooks, 40, 10);
    int64_t id;

    CU_ASSERT_EQUAL(take_all(&p, s(0)), 128);
    for (size_t h = 0; h < 40; h++) {
        CU_ASSERT_TRUE(hooks[h].in_flight >= 3);
    }
    courierplan_over(&p, 7);
    CU_ASSERT_TRUE(courierplan_next(&p, s(0), &id) >= 0);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), -1);
}

/* Whatever hooks have gained before they hang, sixteen others have their four. */
static void
hooks_that_hang_with_many_leave_room_for_others(void)
{
    struct courierplan_hook hooks[26];
    struct courierplan p = plan_of(hooks, 26, 200);

    for (size_t h = 0; h < 26; h++) {
        for (int i = 0; i < 20; i++) {
            courierplan_good(&hooks[h], s(0));
        }
        hooks[h].head_count = h < 10 ? 200 : 0;
    }
    CU_ASSERT_EQUAL(take_all(&p, s(1)), 64);
    for (size_t h = 10; h < 26; h++) {
        hooks[h].head_count = 200;
        CU_ASSERT_EQUAL(courierplan_room(&p, &hooks[h], s(1)), 4);
    }
    CU_ASSERT_EQUAL(take_all(&p, s(1)), 64);
    for (size_t h = 10; h < 26; h++) {
        CU_ASSERT_EQUAL(hooks[h].in_flight, 4);
    }
}

static void
four_commands_run_at_once_of_all_hooks(void)
{
    struct courierplan_hook hooks[3];
    struct courierplan p = plan_of(hooks, 3, 10);
    int64_t id;
    unsigned taken = 0;

    hooks[0].exec = hooks[1].exec = true;
    while (courierplan_next(&p, s(0), &id) >= 0) {
        taken++;
    }
    CU_ASSERT_EQUAL(taken, 8);
    CU_ASSERT_EQUAL(hooks[0].in_flight + hooks[1].in_flight, 4);
    CU_ASSERT_EQUAL(p.exec_in_flight, 4);
    /* One that hangs leaves room for another. */
    CU_ASSERT_EQUAL(hooks[0].in_flight, 2);
    CU_ASSERT_EQUAL(hooks[1].in_flight, 2);
    courierplan_over(&p, 1);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), 1);
    CU_ASSERT_EQUAL(p.exec_in_flight, 4);
    hooks[2].exec = true; /* All of them: four are the bound. */
    hooks[2].in_flight = 0;
    CU_ASSERT_EQUAL(courierplan_next(&p, s(0), &id), -1);
}

static void
news_does_not_wait_for_hours(void)
{
    struct courierplan_hook hook = {.failures = 7, .state = COURIERPLAN_FAILING};

    courierplan_failed(&hook, s(99), s(100), s(0), s(0), 0);
    CU_ASSERT_TRUE(hook.not_before.ns > s(5000).ns);
    courierplan_hurry(&hook);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(400).ns);
    courierplan_hurry(&hook);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(400).ns);
    /* Unless it was asked for; and what is sooner stays. */
    courierplan_failed(&hook, s(401), s(402), s(9000), s(0), 0);
    courierplan_hurry(&hook);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(9402).ns);
    hook = (struct courierplan_hook){.state = COURIERPLAN_GOOD};
    courierplan_failed(&hook, s(1), s(2), s(0), s(0), 0);
    courierplan_hurry(&hook);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(6).ns);
}

/* --- Failing -------------------------------------------------------------- */

static void
fail(struct courierplan *p, size_t hook, struct span began, struct span at)
{
    courierplan_over(p, hook);
    courierplan_failed(&p->hooks[hook], began, at, s(0), s(0), 0);
}

static void
one_row_probes_a_hook_that_fails(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 10);
    int64_t id;

    courierplan_next(&p, s(100), &id);
    fail(&p, 0, s(100), s(101));
    CU_ASSERT_EQUAL(hooks[0].state, COURIERPLAN_FAILING);
    CU_ASSERT_EQUAL(hooks[0].not_before.ns, s(105).ns);
    CU_ASSERT_EQUAL(courierplan_next(&p, span_of_ns(s(105).ns - 1), &id), -1);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(105), &id), 0);
    CU_ASSERT_EQUAL(courierplan_next(&p, s(105), &id), -1);
    courierplan_over(&p, 0);
    courierplan_good(&hooks[0], s(105));
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(courierplan_next(&p, s(106), &id), 0);
    }
}

static void
those_that_fail_together_are_one_failure(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 10);
    int64_t id;

    for (int i = 0; i < 4; i++) {
        courierplan_next(&p, s(100), &id);
    }
    for (int i = 0; i < 4; i++) {
        fail(&p, 0, s(100), s(101 + i));
    }
    CU_ASSERT_EQUAL(hooks[0].failures, 1);
    CU_ASSERT_EQUAL(hooks[0].not_before.ns, s(105).ns);
    courierplan_next(&p, s(105), &id);
    fail(&p, 0, s(105), s(106));
    CU_ASSERT_EQUAL(hooks[0].failures, 2);
    CU_ASSERT_EQUAL(hooks[0].not_before.ns, s(106 + 24).ns);
}

static void
what_a_target_asks_for_wins_if_it_is_longer(void)
{
    struct courierplan_hook hook = {.failures = 0};

    CU_ASSERT_EQUAL(courierplan_failed(&hook, s(1), s(2), s(100), s(0), 0).ns, s(100).ns);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(102).ns);
    CU_ASSERT_EQUAL(courierplan_failed(&hook, s(102), s(103), s(1), s(0), 0).ns, s(24).ns);
    /* Of one that was sent together with it too. */
    CU_ASSERT_EQUAL(courierplan_failed(&hook, s(102), s(103), s(50), s(0), 0).ns, s(50).ns);
    CU_ASSERT_EQUAL(hook.failures, 2);
}

/* Of many under way a target takes some and tells the others to wait. */
static void
what_was_under_way_does_not_end_the_wait_that_was_asked_for(void)
{
    struct courierplan_hook hook = {.failures = 0};

    courierplan_failed(&hook, s(1), s(2), s(100), s(0), 0);
    CU_ASSERT_FALSE(courierplan_good(&hook, s(2)));
    CU_ASSERT_EQUAL(hook.state, COURIERPLAN_FAILING);
    CU_ASSERT_EQUAL(hook.not_before.ns, s(102).ns);
    CU_ASSERT_TRUE(courierplan_good(&hook, span_of_ns(s(2).ns + 1)));
    CU_ASSERT_EQUAL(hook.state, COURIERPLAN_GOOD);
    CU_ASSERT_EQUAL(hook.not_before.ns, 0);
    /* Nobody asked: one that was taken says more than one that failed. */
    courierplan_failed(&hook, s(200), s(201), s(0), s(0), 0);
    CU_ASSERT_TRUE(courierplan_good(&hook, s(200)));
}

static void
a_limit_holds_but_for_what_was_asked(void)
{
    struct courierplan_hook hook = {.failures = 6, .state = COURIERPLAN_FAILING};

    CU_ASSERT_EQUAL(courierplan_failed(&hook, s(1), s(2), s(0), s(60), 0).ns, s(60).ns);
    CU_ASSERT_EQUAL(courierplan_failed(&hook, s(3), s(4), s(90), s(60), 0).ns, s(90).ns);
}

static void
one_that_fails_by_itself_lets_another_probe(void)
{
    struct courierplan_hook hooks[1];
    struct courierplan p = plan_of(hooks, 1, 3);
    int64_t id;

    hooks[0].state = COURIERPLAN_FAILING;
    hooks[0].stepped_aside = 1;
    CU_ASSERT_EQUAL(courierplan_next(&p, s(1), &id), 0);
    CU_ASSERT_EQUAL(id, 2);
    courierplan_over(&p, 0);
    hooks[0].stepped_aside = 2;
    CU_ASSERT_EQUAL(courierplan_next(&p, s(1), &id), 0);
    CU_ASSERT_EQUAL(id, 1);
    courierplan_over(&p, 0);
    hooks[0].stepped_aside = 3;
    CU_ASSERT_EQUAL(courierplan_next(&p, s(1), &id), 0);
    CU_ASSERT_EQUAL(id, 3);
}

static void
one_that_is_disabled_has_no_turn(void)
{
    struct courierplan_hook hooks[2];
    struct courierplan p = plan_of(hooks, 2, 3);
    int64_t id;

    hooks[0].state = COURIERPLAN_DISABLED;
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(courierplan_next(&p, s(1), &id), 1);
    }
    CU_ASSERT_EQUAL(courierplan_next(&p, s(1), &id), -1);
    CU_ASSERT_FALSE(courierplan_good(&hooks[0], s(0))); /* Of what was under way. */
    CU_ASSERT_EQUAL(hooks[0].state, COURIERPLAN_DISABLED);
}

/* Whatever comes, bounds hold and every row has its turn. */
static void
nobody_starves(void)
{
    struct courierplan_hook hooks[7];
    struct courierplan p = plan_of(hooks, 7, COURIERPLAN_HEADS);
    size_t taken = 0, began[7] = {0};
    struct span mono = s(1);
    int64_t id;

    hooks[3].exec = hooks[4].exec = true;
    for (unsigned n = 0; n < 200000 && taken < 7 * COURIERPLAN_HEADS; n++) {
        mono.ns += (int64_t)random_below(10 * NS_PER_S);
        int h = courierplan_next(&p, mono, &id);
        if (h >= 0) {
            CU_ASSERT_EQUAL(id, (int64_t)(1000 * (size_t)h + ++began[h]));
            CU_ASSERT_TRUE(hooks[h].in_flight <= (hooks[h].exec ? 2 : 16));
            taken++;
        }
        size_t over = random_below(7);
        if (hooks[over].in_flight) {
            /* Hook 6 hangs most of the time; hook 2 often fails. */
            if (over == 6 && !random_chance(100)) {
                continue;
            }
            courierplan_over(&p, over);
            if (over == 2 && random_chance(700)) {
                courierplan_failed(&hooks[over], mono, mono, s(0), s(60), random_u64());
            } else {
                courierplan_good(&hooks[over], mono);
            }
        }
        CU_ASSERT_TRUE(p.in_flight <= 128 && p.exec_in_flight <= 4);
    }
    CU_ASSERT_EQUAL(taken, 7 * COURIERPLAN_HEADS);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"each_delay_is_a_fifth_around_its_step", each_delay_is_a_fifth_around_its_step},
        {"a_row_is_given_up_after_three_days_and_the_short_delays",
         a_row_is_given_up_after_three_days_and_the_short_delays},
        {"each_hook_has_its_turn", each_hook_has_its_turn},
        {"a_hook_has_four_at_once_at_first", a_hook_has_four_at_once_at_first},
        {"each_that_was_taken_makes_room_for_one_more_up_to_sixteen",
         each_that_was_taken_makes_room_for_one_more_up_to_sixteen},
        {"a_failure_takes_the_room_away", a_failure_takes_the_room_away},
        {"commands_have_no_more_than_two_whatever_they_took",
         commands_have_no_more_than_two_whatever_they_took},
        {"all_hooks_have_so_many_at_once", all_hooks_have_so_many_at_once},
        {"hooks_that_hang_with_many_leave_room_for_others",
         hooks_that_hang_with_many_leave_room_for_others},
        {"four_commands_run_at_once_of_all_hooks", four_commands_run_at_once_of_all_hooks},
        {"one_row_probes_a_hook_that_fails", one_row_probes_a_hook_that_fails},
        {"those_that_fail_together_are_one_failure", those_that_fail_together_are_one_failure},
        {"what_a_target_asks_for_wins_if_it_is_longer",
         what_a_target_asks_for_wins_if_it_is_longer},
        {"what_was_under_way_does_not_end_the_wait_that_was_asked_for",
         what_was_under_way_does_not_end_the_wait_that_was_asked_for},
        {"a_limit_holds_but_for_what_was_asked", a_limit_holds_but_for_what_was_asked},
        {"news_does_not_wait_for_hours", news_does_not_wait_for_hours},
        {"one_that_fails_by_itself_lets_another_probe",
         one_that_fails_by_itself_lets_another_probe},
        {"one_that_is_disabled_has_no_turn", one_that_is_disabled_has_no_turn},
        {"nobody_starves", nobody_starves},
        CU_TEST_INFO_NULL,
    };
    return run_suite("courierplan", tests);
}
