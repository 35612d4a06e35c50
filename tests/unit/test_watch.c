/* test_watch.c - what a probe tells, second by second, becomes alarms: which windows and flows,
 * what counts for nothing, what is over when nobody watches it any more; and how much is kept. */
#include "watch_parts.h"
#include "watch_world.h"

static const struct fate good = {.lost = 0}, dead = {.lost = 10}, none = {.absent = true};

#define LINK_L1 WATCH_LINK_LINE("l1", "")
#define LINK_FLOWS WATCH_LINK_LINE("l1", "flows: 4, ")
#define NO_BROWN                                                                                   \
    "brown: {state: retired, metric: flr, over: 5m, raise: 0.5%, clear: 15m, severity: major}"
#define RULE_CUT_ONLY "alarms: {" NO_BROWN "}\n"

static void
check_life(const struct watch_world *w, const char *rule, const int64_t times[4])
{
    const struct said *s = watch_world_last(w, rule);

    CU_ASSERT_STRING_EQUAL_FATAL(s->rule, rule);
    CU_ASSERT_EQUAL(watch_seconds(s->episode.began), times[0]);
    CU_ASSERT_EQUAL(watch_seconds(s->episode.raised), times[1]);
    CU_ASSERT_EQUAL(watch_seconds(s->episode.cleared), times[2]);
    CU_ASSERT_EQUAL(watch_seconds(s->episode.ended), times[3]);
}

/* --- Windows ------------------------------------------------------------------------ */

static void
each_rule_has_its_own_window(void)
{
    struct watch_world *w = watch_world_new(
        LINK_L1,
        "alarms: {third: {metric: flr, over: 30s, raise: 10%, clear: 60s, severity: minor}}\n");

    watch_world_run(w, 0, 400, good);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, 400, 410, dead);
    watch_world_run(w, 410, 1700, good);
    /* Strictly over: 2 of 3 s; 4 of 30 s; one of the sums of 5 s that 300 s are kept in.  Good as
     * long as 'clear' after the last window that was over, from its end on. */
    check_life(w, "cut", (const int64_t[]){400, 402, 421, 410});
    check_life(w, "third", (const int64_t[]){400, 404, 496, 410});
    check_life(w, "brown", (const int64_t[]){400, 405, 1605, 410});
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_RAISED]), 3);
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_CLEARED]), 3);
    watch_world_free(w);
}

/* By counting: after which second a flow had lost more than half of any three. */
static int64_t
first_over(uint8_t lost[4][40])
{
    for (int t = 2; t < 40; t++) {
        for (int f = 0; f < 4; f++) {
            if (lost[f][t] + lost[f][t - 1] + lost[f][t - 2] > 15) {
                return t + 1;
            }
        }
    }
    return -1;
}

static void
the_worst_flow_decides(void)
{
    for (int round = 0; round < 100; round++) {
        struct watch_world *w = watch_world_new(LINK_FLOWS, RULE_CUT_ONLY);
        uint8_t lost[4][40] = {{0}};
        CU_ASSERT_EQUAL_FATAL(w->key_count, 4);
        for (int t = 1; t < 40; t++) {
            for (unsigned f = 0; f < 4; f++) {
                lost[f][t] = random_chance(300) ? (uint8_t)random_below(11) : 0;
                w->fates[f].lost = lost[f][t];
            }
            if (t == 1) {
                watch_world_run(w, 0, 1, good);
            }
            for (unsigned f = 0; f < 4; f++) {
                w->fates[f].lost = lost[f][t];
            }
            watch_world_tell(w, t, false);
        }
        const struct said *s = w->said_count ? &w->said[0] : NULL;
        CU_ASSERT_EQUAL(s ? watch_seconds(s->episode.raised) : -1, first_over(lost));
        watch_world_free(w);
    }
}

static void
flows_that_are_over_are_named_and_more_of_them_told(void)
{
    struct watch_world *w = watch_world_new(LINK_FLOWS, RULE_CUT_ONLY);

    watch_world_run(w, 0, 10, good);
    w->fates[2] = dead;
    for (int t = 10; t < 15; t++) {
        watch_world_tell(w, t, false);
    }
    /* A quarter of all is not over half. */
    CU_ASSERT_EQUAL_FATAL(w->said_count, 1);
    CU_ASSERT_EQUAL(w->said[0].episode.flow_count, 4);
    CU_ASSERT_EQUAL(w->said[0].episode.over_count, 1);
    CU_ASSERT_EQUAL(w->said[0].episode.over[0], 2);
    w->fates[0] = dead;
    for (int t = 15; t < 20; t++) {
        watch_world_tell(w, t, false);
    }
    CU_ASSERT_EQUAL_FATAL(w->said_count, 2);
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_CHANGED]), 1);
    CU_ASSERT_EQUAL(w->said[1].episode.over_count, 2);
    CU_ASSERT_EQUAL(w->said[1].episode.over[0], 0);
    CU_ASSERT_EQUAL(w->said[1].episode.over[1], 2);
    w->fates[0] = good;
    for (int t = 20; t < 60; t++) {
        watch_world_tell(w, t, false);
    }
    CU_ASSERT_EQUAL(w->said_count, 2); /* One of them is still bad. */
    watch_world_run(w, 60, 90, good);
    check_life(w, "cut", (const int64_t[]){10, 12, 71, 60});
    watch_world_free(w);
}

static void
an_early_state_counts_until_the_summary_comes(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");

    watch_world_run(w, 0, 20, good);
    /* Five of ten packets are overdue; the youngest five are neither here nor there. */
    w->fates[0] = (struct fate){.overdue = 5};
    watch_world_tell(w, 20, true);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, 20, 21, good);
    w->fates[0] = (struct fate){.overdue = 5};
    watch_world_tell(w, 21, true);
    watch_world_tell(w, 22, true);
    CU_ASSERT_EQUAL(w->said_count, 0); /* Half, and not over it. */
    watch_world_tell(w, 23, true);
    check_life(w, "cut", (const int64_t[]){21, 24, -1, -1});
    CU_ASSERT_EQUAL(watch_world_last(w, "cut")->episode.overdue, 15);
    CU_ASSERT_EQUAL(watch_world_last(w, "cut")->episode.fwd, 0);
    /* The first summary of it says which way, in place of the early state. */
    watch_world_run(w, 21, 22, dead);
    CU_ASSERT_EQUAL(watch_world_last(w, "cut")->episode.overdue, 10);
    CU_ASSERT_EQUAL(watch_world_last(w, "cut")->episode.fwd, 10);
    /* Rules of a longer window do not look at early states. */
    CU_ASSERT_STRING_EQUAL(watch_world_last(w, "brown")->rule, "");
    watch_world_free(w);
}

/* --- What counts for nothing ---------------------------------------------------------- */

/* Bad times come and go, and a bad brown-out with them. */
static struct fate
fate_at(int64_t t)
{
    return (struct fate){.lost = (t > 330 && t < 340) || (t > 500 && t < 504) ? 10 : 0};
}

static void
what_is_told_twice_counts_once(void)
{
    struct watch_world *a = watch_world_new(LINK_L1, ""), *b = watch_world_new(LINK_L1, "");

    for (int64_t t = 0; t < 900; t++) {
        watch_world_run(a, t, t + 1, fate_at(t));
        watch_world_run(b, t, t + 1, fate_at(t));
        if (t > 320 && random_chance(300)) {
            /* The first word stands, whatever the second is. */
            int64_t old = t - (int64_t)random_below(random_chance(500) ? 5 : 320);
            watch_world_run(b, old, old + 1, random_chance(500) ? dead : good);
        }
        if (t > 320 && random_chance(100)) {
            b->fates[0] = (struct fate){.overdue = 5};
            watch_world_tell(b, t, true);
        }
    }
    CU_ASSERT(a->said_count >= 4);
    CU_ASSERT_EQUAL_FATAL(a->said_count, b->said_count);
    for (size_t i = 0; i < a->said_count; i++) {
        const struct alarm_episode *x = &a->said[i].episode, *y = &b->said[i].episode;
        CU_ASSERT_STRING_EQUAL(a->said[i].rule, b->said[i].rule);
        CU_ASSERT_EQUAL(x->began.ns, y->began.ns);
        CU_ASSERT_EQUAL(x->raised.ns, y->raised.ns);
        CU_ASSERT_EQUAL(x->cleared.ns, y->cleared.ns);
        CU_ASSERT_EQUAL(x->ended.ns, y->ended.ns);
        CU_ASSERT_EQUAL(x->fwd, y->fwd);
    }
    watch_world_free(a);
    watch_world_free(b);
}

static void
what_comes_after_its_window_counts_no_more(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");

    watch_world_run(w, 0, 400, good);
    for (int64_t t = 410; t < 500; t++) {
        watch_world_run(w, t, t + 1, good);
    }
    watch_world_run(w, 400, 410, dead);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, 500, 800, good);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_free(w);
}

static void
what_is_not_known_neither_raises_nor_clears(void)
{
    static const struct fate unclean[] = {{.lost = 10, .flags = DT_UNDETERMINED},
                                          {.lost = 10, .flags = DT_UNKNOWN},
                                          {.unknown = 10},
                                          {.absent = true}};

    for (size_t i = 0; i < sizeof unclean / sizeof unclean[0]; i++) {
        struct watch_world *w = watch_world_new(LINK_L1, "");
        watch_world_run(w, 0, 400, good);
        watch_world_run(w, 400, 1000, unclean[i]);
        CU_ASSERT_EQUAL(w->said_count, 0);
        watch_world_run(w, 1000, 1400, good);
        watch_world_run(w, 1400, 1420, dead);
        CU_ASSERT_EQUAL(w->said_count, 2); /* cut, brown */
        watch_world_run(w, 1420, 4000, unclean[i]);
        CU_ASSERT_EQUAL(w->said_count, 2);
        /* Nine good seconds do not make ten of what is not known. */
        watch_world_run(w, 4000, 4011, good);
        CU_ASSERT_EQUAL(w->said_count, 2);
        watch_world_run(w, 4011, 4013, good);
        check_life(w, "cut", (const int64_t[]){1400, 1402, 4012, 1420});
        watch_world_free(w);
    }
}

static void
half_a_window_says_nothing(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, RULE_CUT_ONLY);

    watch_world_run(w, 0, 10, good);
    for (int64_t t = 20; t < 60; t += 2) { /* Each other second is missing. */
        watch_world_run(w, t, t + 1, dead);
    }
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, 60, 63, dead);
    check_life(w, "cut", (const int64_t[]){60, 63, -1, -1});
    watch_world_free(w);
}

static void
what_cannot_be_told_is_not_looked_at(void)
{
    struct watch_world *w =
        watch_world_new(WATCH_LINK_LINE("l1", "in_service: 2026-09-21T14:18:20Z, "), "");
    const int64_t in_service = w->inv->links[0].in_service.ns / NS_PER_S - WATCH_T0;

    CU_ASSERT_EQUAL(in_service, 200);
    /* Before the link is in service. */
    watch_world_run(w, in_service - 60, in_service - 20, good);
    watch_world_run(w, in_service - 20, in_service, dead);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, in_service, in_service + 5, good);
    /* Of a time to come, by more than clocks may differ. */
    w->fates[0] = dead;
    for (int64_t t = 62; t < 80; t++) {
        watch_world_begin_batch(w);
        watch_world_summary(w, 0, watch_at(in_service + 5 + t));
        watch_world_send(w, watch_at(in_service + 5), watch_at(in_service + 5));
    }
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, in_service + 5, in_service + 10, dead);
    check_life(w, "cut", (const int64_t[]){in_service + 5, in_service + 7, -1, -1});
    watch_world_free(w);
}

static void
a_clock_before_2000_raises_nothing(void)
{
    static const int64_t y2000 = INT64_C(946684800);
    struct watch_world *w = watch_world_new(LINK_L1, "");

    watch_world_run(w, 1 - WATCH_T0, 4 - WATCH_T0, good);
    watch_world_run(w, 4 - WATCH_T0, 9 - WATCH_T0, dead);
    watch_world_run(w, y2000 - 9 - WATCH_T0, y2000 - 6 - WATCH_T0, good);
    watch_world_run(w, y2000 - 6 - WATCH_T0, y2000 - WATCH_T0, dead);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, y2000 - WATCH_T0, y2000 + 3 - WATCH_T0, good);
    watch_world_run(w, y2000 + 3 - WATCH_T0, y2000 + 6 - WATCH_T0, dead);
    CU_ASSERT_EQUAL(w->said_count, 1);
    watch_world_free(w);
}

static void
who_never_answered_is_not_cut(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");

    watch_world_run(w, 0, 600, dead);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_run(w, 600, 601, good);
    watch_world_run(w, 601, 604, dead);
    CU_ASSERT_EQUAL(w->said_count, 1);
    watch_world_free(w);
}

/* --- Sessions that come and go --------------------------------------------------------- */

static void
a_flow_that_is_retired_is_not_waited_for(void)
{
    struct watch_world *w = watch_world_new(LINK_FLOWS, RULE_CUT_ONLY);

    watch_world_run(w, 0, 10, good);
    w->fates[3] = dead;
    for (int64_t t = 10; t < 20; t++) {
        watch_world_tell(w, t, false);
    }
    CU_ASSERT_EQUAL(w->said_count, 1);
    /* It says nothing any more, being one of three now. */
    w->fates[3] = none;
    int64_t t = 20;
    for (; t < 20 + 600; t++) {
        watch_world_tell(w, t, false);
        CU_ASSERT_EQUAL_FATAL(w->said_count, 1);
    }
    for (; t < 20 + 603; t++) {
        watch_world_tell(w, t, false);
    }
    check_life(w, "cut",
               (const int64_t[]){10, 12, w->said[1].episode.cleared.ns / NS_PER_S - WATCH_T0, 20});
    CU_ASSERT(w->said[1].episode.cleared.ns >= w->said[1].episode.ended.ns);
    watch_world_free(w);
}

static void
a_session_of_other_parameters_goes_on_with_the_alarm(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, RULE_CUT_ONLY);

    watch_world_run(w, 0, 10, good);
    watch_world_run(w, 10, 20, dead);
    /* Of 2 s now; what it lost before is not asked again. */
    w->keys[1] = w->keys[0];
    w->keys[1].dt = span_of_ns(2 * NS_PER_S);
    w->key_count = 2;
    w->fates[0] = none;
    w->fates[1] = dead;
    for (int64_t t = 20; t < 30; t++) {
        watch_world_tell(w, t, false);
    }
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_RAISED]), 1);
    w->fates[1] = good;
    for (int64_t t = 30; t < 60; t++) {
        watch_world_tell(w, t, false);
    }
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_RAISED]), 1);
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_CLEARED]), 1);
    CU_ASSERT_EQUAL(watch_seconds(watch_world_last(w, "cut")->episode.ended), 30);
    watch_world_free(w);
}

static void
a_stranger_raises_nothing(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");

    w->distrusted = true;
    watch_world_run(w, 0, 10, good);
    watch_world_run(w, 10, 400, dead);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_free(w);
}

/* --- What nobody watches any more ------------------------------------------------------ */

static void
an_alarm_of_what_is_gone_is_over_and_says_why(void)
{
    static const char links[] = WATCH_LINK_LINE(
        "l1",
        "") "  off: {state: retired, classes: [c], ends: [{probe: p1, address: "
            "10.1.2.1}, {probe: p2, address: 10.1.2.2}]}\n"
            "  plan: {state: planned, classes: [c], ends: [{probe: p1, address: 10.1.3.1}, {probe: "
            "p2, "
            "address: 10.1.3.2}]}\n"
            "  moved: {classes: [c], ends: [{probe: p3, address: 10.1.4.1}, {probe: p2, address: "
            "10.1.4.2}]}\n"
            "  turned: {classes: [c], ends: [{probe: p2, address: 10.1.5.1}, {probe: p1, address: "
            "10.1.5.2}]}\n"
            "  witness: {classes: [c], probe_from: both, ends: [{probe: p2, address: 10.1.6.1}, "
            "{probe: "
            "p1, address: 10.1.6.2}]}\n";
    static const char rules[] =
        "alarms:\n  old: {state: retired, metric: flr, over: 3s, raise: 1%, clear: 10s, severity: "
        "info}\n  of-d: {metric: flr, over: 3s, raise: 1%, clear: 10s, severity: info, classes: "
        "[d]}\n"
        "  silent: {state: retired, metric: silence, over: 15s, clear: 10s, severity: major}\n";
    static const struct {
        const char *rule, *object, *class_name, *why; /* NULL: it goes on. */
        enum watch_scope scope;
    } table[] = {{"cut", "l1", "c", NULL, WATCH_LINK},
                 {"cut", "witness", "c", NULL, WATCH_LINK},
                 {"clock", "p1", "", NULL, WATCH_PROBE},
                 {"cut", "off", "c", "the link is retired", WATCH_LINK},
                 {"cut", "plan", "c", "the link is planned only", WATCH_LINK},
                 {"cut", "lost", "c", "the link is not in the inventory any more", WATCH_LINK},
                 {"cut", "moved", "c", "the probe measures the link no more", WATCH_LINK},
                 {"cut", "turned", "c", "the probe measures the link no more", WATCH_LINK},
                 {"cut", "l1", "d", "the link has this class no more", WATCH_LINK},
                 {"cut", "l1", "e", "the link has this class no more", WATCH_LINK},
                 {"old", "l1", "c", "the rule is retired", WATCH_LINK},
                 {"of-d", "l1", "c", "the rule is not for it any more", WATCH_LINK},
                 {"never", "l1", "c", "the rule is not in the inventory any more", WATCH_LINK},
                 {"silent", "p1", "", "the rule is retired", WATCH_PROBE}};
    struct watch_world *w = watch_world_new(links, rules);

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct alarm_episode raised = {
            .began = watch_at(-20), .raised = watch_at(-10), .decided = watch_at(-5)};
        size_t before = w->said_count;
        struct watch_known known = {.rule = table[i].rule,
                                    .object = table[i].object,
                                    .class_name = table[i].class_name,
                                    .scope = table[i].scope,
                                    .episode = raised};
        CU_ASSERT_EQUAL(watch_know(w->watch, &known, watch_at(7)), 0);
        watch_world_write(w);
        CU_ASSERT_EQUAL_FATAL(w->said_count - before, table[i].why != NULL);
        if (table[i].why) {
            const struct said *s = &w->said[before];
            CU_ASSERT_STRING_EQUAL(s->text, table[i].why);
            CU_ASSERT_STRING_EQUAL(s->rule, table[i].rule);
            CU_ASSERT_STRING_EQUAL(s->object, table[i].object);
            CU_ASSERT_STRING_EQUAL(s->class_name, table[i].class_name);
            CU_ASSERT_EQUAL(s->scope, table[i].scope);
            CU_ASSERT_EQUAL(watch_seconds(s->episode.cleared), 7);
            CU_ASSERT_EQUAL(s->episode.began.ns, raised.began.ns);
        }
        /* What was over is not over once more. */
        known.episode.cleared = known.episode.ended = watch_at(-1);
        before = w->said_count;
        watch_know(w->watch, &known, watch_at(7));
        watch_world_write(w);
        CU_ASSERT_EQUAL(w->said_count, before);
    }
    watch_world_free(w);
}

static void
a_probe_that_is_retired_leaves_no_alarm(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");
    const struct watch_known known = {
        .rule = "silent",
        .object = "p1",
        .class_name = "",
        .scope = WATCH_PROBE,
        .episode = {.began = watch_at(-20), .raised = watch_at(-10), .decided = watch_at(9)}};

    ((struct inv_probe *)(uintptr_t)inventory_probe(w->inv, "p1"))->state = INV_RETIRED;
    watch_world_claim(w, instant_of_ns(0));
    watch_know(w->watch, &known, watch_at(7));
    watch_world_write(w);
    CU_ASSERT_EQUAL_FATAL(w->said_count, 1);
    CU_ASSERT_STRING_EQUAL(w->said[0].text, "the probe is retired");
    /* Never before what was decided last. */
    CU_ASSERT_EQUAL(watch_seconds(w->said[0].episode.cleared), 9);
    watch_world_free(w);
}

/* --- The source itself ------------------------------------------------------------------ */

static void
silence_is_told_while_somebody_listens(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");
    int64_t t = 0;

    watch_world_run(w, 0, 2, good);
    for (t = 2; t < 10; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
    }
    for (; t < 100; t++) { /* Redis is away: nobody would have heard it. */
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), false), 0);
    }
    for (; t < 114; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
    }
    t += 30; /* We stood still. */
    watch_tick(w->watch, watch_at(t), true);
    int64_t since = t;
    for (; t <= since + 15; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
    }
    watch_world_write(w);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_tick(w->watch, watch_at(t), true);
    watch_world_write(w);
    check_life(w, "silent", (const int64_t[]){since, t, -1, -1});
    CU_ASSERT_EQUAL(w->said[0].scope, WATCH_PROBE);
    CU_ASSERT_STRING_EQUAL(w->said[0].object, "p1");
    watch_heard(w->watch, w->next, watch_at(t + 5));
    int64_t heard = t + 5;
    for (t = heard; t <= heard + 10; t++) {
        watch_heard(w->watch, w->next, watch_at(t));
        watch_tick(w->watch, watch_at(t), true);
    }
    watch_world_write(w);
    check_life(w, "silent", (const int64_t[]){since, since + 16, heard + 10, heard});
    watch_world_free(w);
}

/* Who takes over reads again what was heard before; then it speaks. */
static void
a_silence_that_is_taken_over_goes_on(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");
    struct watch_known known = {
        .rule = "silent", .object = "p1", .class_name = "", .scope = WATCH_PROBE};
    struct watch_news n;
    int64_t t;

    watch_world_run(w, 0, 2, good);
    for (t = 2; t < 20; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
    }
    CU_ASSERT_EQUAL_FATAL(watch_waiting(w->watch), 1);
    watch_news(w->watch, 0, &n);
    known.episode = *n.episode;
    known.heard = n.heard;
    const struct position heard = n.heard;
    CU_ASSERT_EQUAL(n.good_since.ns, 0);
    watch_world_claim(w, watch_at(2));
    CU_ASSERT_EQUAL(watch_know(w->watch, &known, watch_at(40)), 0);
    CU_ASSERT_EQUAL(watch_heard(w->watch, heard, watch_at(40)), 0);
    for (t = 40; t < 60; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
    }
    CU_ASSERT_EQUAL_FATAL(watch_waiting(w->watch), 0);
    /* It speaks: how long it was silent, and since when it is not, is kept quietly. */
    const struct position next = {heard.epoch, heard.sequence + 1};
    CU_ASSERT_EQUAL(watch_heard(w->watch, next, watch_at(60)), 0);
    CU_ASSERT_EQUAL_FATAL(watch_waiting(w->watch), 1);
    watch_news(w->watch, 0, &n);
    CU_ASSERT(n.quiet && n.good_since.ns == watch_at(60).ns);
    CU_ASSERT_EQUAL(watch_seconds(known.episode.began), 2);
    CU_ASSERT_EQUAL(n.episode->worst, 58 * NS_PER_S);
    known.episode = *n.episode;
    known.heard = n.heard;
    known.good_since = n.good_since;
    /* And once more: five of the ten good seconds are over. */
    watch_world_claim(w, watch_at(2));
    CU_ASSERT_EQUAL(watch_know(w->watch, &known, watch_at(65)), 0);
    for (t = 65; t < 70; t++) {
        CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(t), true), 0);
        CU_ASSERT_EQUAL(watch_waiting(w->watch), 0);
    }
    CU_ASSERT_EQUAL(watch_tick(w->watch, watch_at(70), true), 0);
    watch_world_write(w);
    check_life(w, "silent", (const int64_t[]){2, 18, 70, 60});
    CU_ASSERT_EQUAL(watch_world_last(w, "silent")->episode.worst, 58 * NS_PER_S);
    watch_world_free(w);
}

static void
who_never_spoke_is_not_silent(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");

    for (int64_t t = 0; t < 100; t++) {
        watch_tick(w->watch, watch_at(t), true);
    }
    watch_world_write(w);
    CU_ASSERT_EQUAL(w->said_count, 0);
    watch_world_free(w);
}

static void
tell_clock(struct watch_world *w, int64_t second, bool synchronised, uint64_t error_ns)
{
    Plumbline__Telemetry__Health h;

    plumbline__telemetry__health__init(&h);
    h.clock_synchronised = synchronised;
    h.clock_error_ns = error_ns;
    watch_world_begin_batch(w);
    telemetry_add_message(w->builder, TELEMETRY_HEALTH, &h.base);
    watch_world_send(w, watch_at(second), watch_at(second));
}

static void
a_clock_is_bad_by_its_bound_or_where_nothing_sets_it(void)
{
    for (int sync = 0; sync < 2; sync++) {
        struct watch_world *w = watch_world_new(LINK_L1, "");
        for (int64_t t = 1; t < 100; t++) { /* The limit is not over it. */
            tell_clock(w, t, true, 100 * NS_PER_MS);
        }
        CU_ASSERT_EQUAL(w->said_count, 0);
        for (int64_t t = 100; t < 200; t++) {
            tell_clock(w, t, sync, sync ? 100 * NS_PER_MS + 1 : 1000);
        }
        CU_ASSERT_EQUAL_FATAL(w->said_count, 1);
        CU_ASSERT_STRING_EQUAL(w->said[0].rule, "clock");
        CU_ASSERT_STRING_EQUAL(w->said[0].text, sync ? "" : "the clock is not synchronised");
        CU_ASSERT_EQUAL(watch_seconds(w->said[0].episode.began), 100);
        for (int64_t t = 200; t < 700; t++) {
            tell_clock(w, t, true, 1000);
        }
        CU_ASSERT_EQUAL_FATAL(w->said_count, 2);
        CU_ASSERT_EQUAL(watch_seconds(w->said[1].episode.ended), 200);
        watch_world_free(w);
    }
}

/* --- What each metric is taken from ------------------------------------------------------ */

static struct alarm_sample
sample(struct watch_world *w, struct inv_alarm rule, const struct session_key *key,
       const pb_summary *m)
{
    struct alarm_sample s = {.count = 0};

    watch_sample_final(w->watch, &rule, key, m, &s);
    return s;
}

static struct inv_alarm
rule_of(enum inv_metric_kind kind, uint32_t quantile_milli, uint64_t raise)
{
    return (struct inv_alarm){.key = "r", .metric = {kind, quantile_milli}, .raise = raise};
}

static void
each_metric_has_its_own_figures(void)
{
    struct watch_world *w = watch_world_new(LINK_L1, "");
    struct session_key key = w->keys[0];
    pb_summary m;
    pb_delay rt, fwd, bwd;

    plumbline__telemetry__summary__init(&m);
    plumbline__telemetry__delay__init(&rt);
    plumbline__telemetry__delay__init(&fwd);
    plumbline__telemetry__delay__init(&bwd);
    m.sent = 20;
    m.received = 12;
    m.lost_fwd = 3;
    m.lost_bwd = 2;
    m.lost_undirected = 1;
    m.unknown = 2;
    m.send_errors = 4;
    m.reordered_fwd = 1;
    m.reordered_bwd = 4;
    m.duplicate_fwd = 13; /* More copies than packets are all of them. */
    rt.count = fwd.count = bwd.count = 4;
    rt.min_ns = 1000;
    rt.sum_ns = 400;
    fwd.min_ns = 300;
    bwd.min_ns = 500;
    m.rt = &rt;
    m.fwd = &fwd;
    m.bwd = &bwd;
    struct alarm_sample s = sample(w, rule_of(INV_FLR, 0, 1), &key, &m);
    CU_ASSERT(s.final && s.count == 22 && s.lost == 10 && s.fwd == 3 && s.bwd == 2);
    CU_ASSERT(s.undirected == 1 && s.send_errors == 4);
    key.observer_end = 1; /* Its way there is the link's way back. */
    s = sample(w, rule_of(INV_FLR, 0, 1), &key, &m);
    CU_ASSERT(s.fwd == 2 && s.bwd == 3);
    s = sample(w, rule_of(INV_REORDER_RATIO, 0, 1), &key, &m);
    CU_ASSERT(s.count == 12 && s.lost == 5);
    s = sample(w, rule_of(INV_DUPLICATE_RATIO, 0, 1), &key, &m);
    CU_ASSERT(s.count == 12 && s.lost == 12);
    s = sample(w, rule_of(INV_RT_MEAN, 0, 1), &key, &m);
    CU_ASSERT(s.count == 1 && s.value_ns == 1100);
    s = sample(w, rule_of(INV_RT_FLOOR, 0, 1), &key, &m);
    CU_ASSERT(s.count == 1 && s.value_ns == 1000 && !s.broken);
    m.flags = DT_BELOW_FLOOR;
    CU_ASSERT(sample(w, rule_of(INV_RT_FLOOR, 0, 1), &key, &m).broken);
    /* One way: the worse of the two, where clocks are good to a tenth of the limit. */
    CU_ASSERT_EQUAL(sample(w, rule_of(INV_FD_MEAN, 0, 4000), &key, &m).count, 0);
    m.clock_error_ns = 401;
    CU_ASSERT_EQUAL(sample(w, rule_of(INV_FD_MEAN, 0, 4000), &key, &m).count, 0);
    m.clock_error_ns = 400;
    CU_ASSERT_EQUAL(sample(w, rule_of(INV_FD_MEAN, 0, 4000), &key, &m).value_ns, 500);
    m.flags = DT_UNDETERMINED;
    CU_ASSERT_EQUAL(sample(w, rule_of(INV_FLR, 0, 1), &key, &m).count, 0);
    watch_world_free(w);
}

/* --- How much is kept --------------------------------------------------------------------- */

static void
what_is_kept_does_not_grow_with_time(void)
{
    struct watch_world *w = watch_world_new(LINK_FLOWS, "");
    size_t bytes = 0;

    for (int64_t t = 0; t < 3000; t += 50) {
        watch_world_run(w, t, t + 40, good);
        watch_world_run(w, t + 40, t + 50, dead);
        w->said_count = 0;
        bytes = t == 600 ? watch_bytes(w->watch) : bytes;
    }
    CU_ASSERT(bytes > 0);
    CU_ASSERT_EQUAL(watch_bytes(w->watch), bytes);
    watch_world_free(w);
}

/* PostgreSQL is away, and everything flaps. */
static void
what_waits_is_bounded_and_counted(void)
{
    char *links = NULL;
    size_t size;
    FILE *to = open_memstream(&links, &size);

    for (int i = 0; i < 100; i++) {
        fprintf(
            to,
            "  l%d: {classes: [c], ends: [{probe: p1, address: 10.1.1.%d}, {probe: p2, address: "
            "10.1.2.%d}]}\n",
            i, i + 1, i + 1);
    }
    fclose(to);
    struct watch_world *w = watch_world_new(
        links, "alarms: {" NO_BROWN ", cut: {metric: flr, over: 1s, raise: 50%, clear: "
               "1s, severity: info}}\n");
    CU_ASSERT_EQUAL_FATAL(w->key_count, 100);
    w->away = true;
    watch_world_run(w, 0, 1, good);
    /* Each is raised and clear again, and so long good that the next is another one. */
    int64_t t = 1;
    for (int episodes = 0; episodes < 104; episodes++, t += 400) {
        watch_world_run(w, t, t + 1, dead);
        watch_world_run(w, t + 1, t + 4, good);
        CU_ASSERT(watch_waiting(w->watch) <= WATCH_PAST_MAX + 100);
    }
    /* 10400 episodes: of 100 the newest, 10000 before, and 300 that are lost, and counted. */
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_RAISED]), 10400);
    CU_ASSERT_EQUAL(watch_waiting(w->watch), WATCH_PAST_MAX + 100);
    CU_ASSERT_EQUAL(counter_get(&w->counted[WATCH_OVER]), 300);
    CU_ASSERT(watch_bytes(w->watch) < 8u << 20);
    watch_written(w->watch, watch_waiting(w->watch));
    CU_ASSERT_EQUAL(watch_waiting(w->watch), 0);
    watch_world_free(w);
    free(links);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"each rule has its own window", each_rule_has_its_own_window},
        {"the worst flow decides", the_worst_flow_decides},
        {"flows that are over are named, and more of them told",
         flows_that_are_over_are_named_and_more_of_them_told},
        {"an early state counts until the summary comes",
         an_early_state_counts_until_the_summary_comes},
        {"what is told twice counts once", what_is_told_twice_counts_once},
        {"what comes after its window counts no more", what_comes_after_its_window_counts_no_more},
        {"what is not known neither raises nor clears",
         what_is_not_known_neither_raises_nor_clears},
        {"half a window says nothing", half_a_window_says_nothing},
        {"what cannot be told is not looked at", what_cannot_be_told_is_not_looked_at},
        {"a clock before 2000 raises nothing", a_clock_before_2000_raises_nothing},
        {"who never answered is not cut", who_never_answered_is_not_cut},
        {"a flow that is retired is not waited for", a_flow_that_is_retired_is_not_waited_for},
        {"a session of other parameters goes on with the alarm",
         a_session_of_other_parameters_goes_on_with_the_alarm},
        {"a stranger raises nothing", a_stranger_raises_nothing},
        {"an alarm of what is gone is over, and says why",
         an_alarm_of_what_is_gone_is_over_and_says_why},
        {"a probe that is retired leaves no alarm", a_probe_that_is_retired_leaves_no_alarm},
        {"silence is told while somebody listens", silence_is_told_while_somebody_listens},
        {"a silence that is taken over goes on", a_silence_that_is_taken_over_goes_on},
        {"who never spoke is not silent", who_never_spoke_is_not_silent},
        {"a clock is bad by its bound, or where nothing sets it",
         a_clock_is_bad_by_its_bound_or_where_nothing_sets_it},
        {"each metric has its own figures", each_metric_has_its_own_figures},
        {"what is kept does not grow with time", what_is_kept_does_not_grow_with_time},
        {"what waits is bounded and counted", what_waits_is_bounded_and_counted},
        CU_TEST_INFO_NULL};
    return run_suite("watch", tests);
}
