/* test_exclusion.c - which windows count, how far the allowance reaches, which delta-t they take.
 */
#include "exclusion.h"

#include "availability.h"
#include "harness.h"

#define HOUR (INT64_C(3600) * NS_PER_S)
#define NOTICE (INT64_C(168) * HOUR)
#define MONTH (INT64_C(1791) * 1000000 * NS_PER_S)
#define MONTH_END (MONTH + INT64_C(720) * HOUR)
#define WINDOWS_MAX 16

/* --- Windows ---------------------------------------------------------------------- */

/* Maintenance, announced long before. */
static struct exclusion_window
maintenance(int64_t start, int64_t end)
{
    return (struct exclusion_window){.start = {start},
                                     .end = {end},
                                     .kind = EXCLUSION_MAINTENANCE,
                                     .announced = {start - 10 * NOTICE}};
}

static struct exclusion_window
of_kind(enum exclusion_kind kind, int64_t start, int64_t end)
{
    /* Recorded after the fact: approved, not announced. */
    return (struct exclusion_window){
        .start = {start}, .end = {end}, .kind = kind, .announced = {end + HOUR}};
}

struct valid {
    struct exclusion_window w[WINDOWS_MAX];
    size_t count;
};

static struct valid
valid(const struct exclusion_window *windows, size_t count, int64_t allowance)
{
    struct valid v;

    v.count = exclusion_valid(windows, count, span_of_ns(NOTICE), span_of_ns(allowance),
                              instant_of_ns(MONTH), instant_of_ns(MONTH_END), v.w);
    return v;
}

static bool
is(const struct exclusion_window *w, int64_t start, int64_t end)
{
    return w->start.ns == start && w->end.ns == end;
}

/* --- Notice -------------------------------------------------------------------------- */

static void
notice_is_kept_to_the_nanosecond(void)
{
    struct exclusion_window w = maintenance(MONTH + HOUR, MONTH + 2 * HOUR);

    w.announced = instant_of_ns(w.start.ns - NOTICE);
    CU_ASSERT_EQUAL(valid(&w, 1, 0).count, 1);
    w.announced.ns++;
    CU_ASSERT_EQUAL(valid(&w, 1, 0).count, 0);
    w.announced.ns -= 2;
    CU_ASSERT_EQUAL(valid(&w, 1, 0).count, 1);
}

static void
without_a_notice_time_maintenance_is_announced_before_it_starts(void)
{
    struct exclusion_window w = maintenance(MONTH + HOUR, MONTH + 2 * HOUR), out;

    w.announced = w.start;
    CU_ASSERT_EQUAL(exclusion_valid(&w, 1, span_of_ns(0), span_of_ns(0), instant_of_ns(MONTH),
                                    instant_of_ns(MONTH_END), &out),
                    1);
    w.announced.ns++;
    CU_ASSERT_EQUAL(exclusion_valid(&w, 1, span_of_ns(0), span_of_ns(0), instant_of_ns(MONTH),
                                    instant_of_ns(MONTH_END), &out),
                    0);
}

static void
other_kinds_need_no_notice(void)
{
    for (int kind = EXCLUSION_NONE + 1; kind < EXCLUSION_KINDS; kind++) {
        struct exclusion_window w = of_kind((enum exclusion_kind)kind, MONTH, MONTH + HOUR);
        CU_ASSERT_EQUAL(valid(&w, 1, 1).count, kind != EXCLUSION_MAINTENANCE);
    }
}

static void
empty_window_counts_for_nothing(void)
{
    struct exclusion_window w[] = {
        maintenance(MONTH + 5, MONTH + 5), maintenance(MONTH + 6, MONTH + 5),
        of_kind(EXCLUSION_AGREED, MONTH, MONTH), maintenance(MONTH + 5, MONTH + 6)};
    struct valid v = valid(w, 4, 0);

    CU_ASSERT_EQUAL(v.count, 1);
    CU_ASSERT_TRUE(is(&v.w[0], MONTH + 5, MONTH + 6));
}

/* --- The month's allowance --------------------------------------------------------------- */

static void
allowance_is_used_by_those_that_start_first(void)
{
    struct exclusion_window w[] = {
        maintenance(MONTH + 30 * HOUR, MONTH + 33 * HOUR),
        maintenance(MONTH + 10 * HOUR, MONTH + 12 * HOUR),
        maintenance(MONTH + 20 * HOUR, MONTH + 22 * HOUR),
    };
    struct valid v = valid(w, 3, 3 * HOUR);

    CU_ASSERT_EQUAL_FATAL(v.count, 2);
    CU_ASSERT_TRUE(is(&v.w[0], MONTH + 10 * HOUR, MONTH + 12 * HOUR));
    CU_ASSERT_TRUE(is(&v.w[1], MONTH + 20 * HOUR, MONTH + 21 * HOUR));
    /* Just enough for all, and a nanosecond less. */
    v = valid(w, 3, 7 * HOUR);
    CU_ASSERT_EQUAL_FATAL(v.count, 3);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH + 30 * HOUR, MONTH + 33 * HOUR));
    v = valid(w, 3, 7 * HOUR - 1);
    CU_ASSERT_EQUAL_FATAL(v.count, 3);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH + 30 * HOUR, MONTH + 33 * HOUR - 1));
    /* Just used up: the next gets nothing; with a nanosecond more it gets that. */
    CU_ASSERT_EQUAL(valid(w, 3, 4 * HOUR).count, 2);
    CU_ASSERT_EQUAL(valid(w, 3, 4 * HOUR + 1).count, 3);
    /* Without bound. */
    CU_ASSERT_EQUAL(valid(w, 3, 0).count, 3);
}

static void
overlapping_windows_are_charged_once(void)
{
    struct exclusion_window w[] = {
        maintenance(MONTH + 10 * HOUR, MONTH + 14 * HOUR),
        maintenance(MONTH + 11 * HOUR, MONTH + 12 * HOUR), /* inside the first */
        maintenance(MONTH + 13 * HOUR, MONTH + 16 * HOUR), /* two hours more */
        maintenance(MONTH + 40 * HOUR, MONTH + 41 * HOUR),
    };
    struct valid v = valid(w, 4, 7 * HOUR); /* 4 + 0 + 2 + 1 */

    CU_ASSERT_EQUAL_FATAL(v.count, 4);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH + 13 * HOUR, MONTH + 16 * HOUR));
    CU_ASSERT_TRUE(is(&v.w[3], MONTH + 40 * HOUR, MONTH + 41 * HOUR));
    v = valid(w, 4, 5 * HOUR);
    CU_ASSERT_EQUAL_FATAL(v.count, 3);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH + 13 * HOUR, MONTH + 15 * HOUR));
}

static void
window_that_does_not_count_uses_no_allowance(void)
{
    struct exclusion_window w[] = {
        maintenance(MONTH + 10 * HOUR, MONTH + 12 * HOUR),
        of_kind(EXCLUSION_CUSTOMER, MONTH + 15 * HOUR, MONTH + 18 * HOUR),
        maintenance(MONTH + 20 * HOUR, MONTH + 22 * HOUR),
    };

    w[0].announced = w[0].start;
    struct valid v = valid(w, 3, 2 * HOUR);
    CU_ASSERT_EQUAL_FATAL(v.count, 2);
    CU_ASSERT_TRUE(is(&v.w[0], MONTH + 15 * HOUR, MONTH + 18 * HOUR));
    CU_ASSERT_TRUE(is(&v.w[1], MONTH + 20 * HOUR, MONTH + 22 * HOUR));
}

static void
month_pays_for_its_own_part_only(void)
{
    struct exclusion_window w[] = {
        maintenance(MONTH - 5 * HOUR, MONTH + 1 * HOUR),
        of_kind(EXCLUSION_CUSTOMER, MONTH - 2 * HOUR, MONTH + 3 * HOUR),
        maintenance(MONTH_END - 1 * HOUR, MONTH_END + 5 * HOUR),
        maintenance(MONTH - 9 * HOUR, MONTH),         /* touches */
        maintenance(MONTH_END, MONTH_END + 9 * HOUR), /* touches */
    };
    struct valid v = valid(w, 5, 2 * HOUR);

    /* In order of start, also after the cut. */
    CU_ASSERT_EQUAL_FATAL(v.count, 3);
    CU_ASSERT_TRUE(is(&v.w[0], MONTH - 2 * HOUR, MONTH + 3 * HOUR));
    CU_ASSERT_TRUE(is(&v.w[1], MONTH, MONTH + 1 * HOUR));
    CU_ASSERT_TRUE(is(&v.w[2], MONTH_END - 1 * HOUR, MONTH_END));
    v = valid(w, 5, 2 * HOUR - 1);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH_END - 1 * HOUR, MONTH_END - 1));
    /* However much is left, the next month's part is the next month's. */
    v = valid(w, 5, 100 * HOUR);
    CU_ASSERT_EQUAL_FATAL(v.count, 3);
    CU_ASSERT_TRUE(is(&v.w[2], MONTH_END - 1 * HOUR, MONTH_END));
}

/* --- Against one bit a minute ---------------------------------------------------------------- */

#define MINUTES 200
#define MINUTE_NS (60 * NS_PER_S)
#define BEFORE 20 /* Minutes before the month begins, and after it has ended. */

static struct exclusion_window
random_window(void)
{
    int64_t start = MONTH + ((int64_t)random_below(MINUTES) - BEFORE) * MINUTE_NS;
    struct exclusion_window w = maintenance(start, start + (int64_t)random_below(40) * MINUTE_NS);

    if (random_chance(200)) {
        w.announced = w.start;
    }
    if (random_chance(200)) {
        w.kind = EXCLUSION_CUSTOMER;
    }
    return w;
}

static bool
covers(const struct exclusion_window *w, int64_t minute)
{
    int64_t at = MONTH + minute * MINUTE_NS;
    return w->start.ns <= at && at < w->end.ns;
}

/* From minute to minute of the month: whoever maintains pays, as long as there is something left.
 */
static void
by_minutes(const struct exclusion_window *w, size_t count, int64_t allowance, uint8_t *kinds)
{
    for (int64_t minute = 0; minute < MINUTES - 2 * BEFORE; minute++) {
        bool maintained = false, customer = false;

        for (size_t i = 0; i < count; i++) {
            bool in_time = w[i].start.ns - w[i].announced.ns >= NOTICE;
            maintained = maintained ||
                         (w[i].kind == EXCLUSION_MAINTENANCE && in_time && covers(&w[i], minute));
            customer = customer || (w[i].kind == EXCLUSION_CUSTOMER && covers(&w[i], minute));
        }
        if (maintained && allowance > 0) {
            allowance--;
            kinds[minute] = EXCLUSION_MAINTENANCE;
        } else {
            kinds[minute] = customer ? EXCLUSION_CUSTOMER : EXCLUSION_NONE;
        }
    }
}

static bool
minutes_agree(void)
{
    struct exclusion_window w[10], out[10];
    uint8_t expected[MINUTES - 2 * BEFORE], kinds[MINUTES - 2 * BEFORE] = {EXCLUSION_NONE};
    size_t count = random_below(11), dt_count = sizeof kinds;
    int64_t allowance = 1 + (int64_t)random_below(100);

    for (size_t i = 0; i < count; i++) {
        w[i] = random_window();
    }
    by_minutes(w, count, allowance, expected);
    size_t n = exclusion_valid(w, count, span_of_ns(NOTICE), span_of_ns(allowance * MINUTE_NS),
                               instant_of_ns(MONTH),
                               instant_of_ns(MONTH + (int64_t)dt_count * MINUTE_NS), out);
    for (size_t i = 1; i < n; i++) {
        if (instant_before(out[i].start, out[i - 1].start)) {
            return false;
        }
    }
    exclusion_mark(out, n, instant_of_ns(MONTH), span_of_ns(MINUTE_NS), dt_count, kinds);
    return !memcmp(kinds, expected, dt_count);
}

static void
allowance_equals_paying_minute_by_minute(void)
{
    for (int i = 0; i < 20000; i++) {
        bool agree = minutes_agree();
        CU_ASSERT_TRUE(agree);
        if (!agree) {
            return;
        }
    }
}

/* --- Marking ------------------------------------------------------------------------------------
 */

#define DTS 10

/* Delta-t of 1 s from second 100 on; the window in ns from there.  Excluded: 1. */
static void
check_marks(int64_t start, int64_t end, const char *expected)
{
    struct exclusion_window w = maintenance(100 * NS_PER_S + start, 100 * NS_PER_S + end);
    uint8_t *kinds = exact_copy((uint8_t[DTS]){0}, DTS);
    char got[DTS + 1] = "";

    exclusion_mark(&w, 1, instant_of_ns(100 * NS_PER_S), span_of_ns(NS_PER_S), DTS, kinds);
    for (size_t i = 0; i < DTS; i++) {
        got[i] = kinds[i] == EXCLUSION_NONE ? '0' : kinds[i] == EXCLUSION_MAINTENANCE ? '1' : '?';
    }
    CU_ASSERT_STRING_EQUAL(got, expected);
    free(kinds);
}

static void
delta_t_is_marked_when_a_window_intersects_it(void)
{
    int64_t s = NS_PER_S;

    check_marks(3 * s, 5 * s, "0001100000");
    check_marks(3 * s, 5 * s + 1, "0001110000");
    check_marks(3 * s, 5 * s - 1, "0001100000");
    check_marks(3 * s - 1, 5 * s, "0011100000");
    check_marks(3 * s + 1, 5 * s, "0001100000");
    check_marks(4 * s - 1, 4 * s, "0001000000");
    check_marks(4 * s, 4 * s + 1, "0000100000");
    check_marks(4 * s, 4 * s, "0000000000");
    check_marks(5 * s, 4 * s, "0000000000");
}

static void
window_over_the_borders_marks_what_is_inside(void)
{
    int64_t s = NS_PER_S;

    check_marks(-50 * s, 0, "0000000000");
    check_marks(-50 * s, 1, "1000000000");
    check_marks(10 * s, 50 * s, "0000000000");
    check_marks(10 * s - 1, 50 * s, "0000000001");
    check_marks(-1, 10 * s + 1, "1111111111");
}

static void
window_to_the_ends_of_time_marks_all(void)
{
    struct exclusion_window w[] = {
        of_kind(EXCLUSION_NOT_IN_SERVICE, INT64_MIN, 104 * NS_PER_S),
        of_kind(EXCLUSION_NOT_IN_SERVICE, 108 * NS_PER_S, INT64_MAX - HOUR)};
    uint8_t kinds[DTS] = {0}, expected[DTS] = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
    struct exclusion_window never = w[0], out;

    w[1].end.ns = INT64_MAX;
    exclusion_mark(w, 2, instant_of_ns(100 * NS_PER_S), span_of_ns(NS_PER_S), DTS, kinds);
    CU_ASSERT_EQUAL(memcmp(kinds, expected, DTS), 0);
    exclusion_mark(w, 2, instant_of_ns(100 * NS_PER_S), span_of_ns(NS_PER_S), 0, NULL);
    /* Maintenance since ever was never announced in time. */
    never.kind = EXCLUSION_MAINTENANCE;
    CU_ASSERT_EQUAL(exclusion_valid(&never, 1, span_of_ns(NOTICE), span_of_ns(0),
                                    instant_of_ns(MONTH), instant_of_ns(MONTH_END), &out),
                    0);
}

static void
least_kind_wins_whatever_the_order(void)
{
    /* Each kind covers one delta-t less than the one before it. */
    for (int reverse = 0; reverse < 2; reverse++) {
        struct exclusion_window w[EXCLUSION_KINDS - 1];
        uint8_t kinds[EXCLUSION_KINDS] = {0};
        size_t count = EXCLUSION_KINDS - 1;

        for (int kind = 1; kind < EXCLUSION_KINDS; kind++) {
            size_t at = (size_t)(reverse ? EXCLUSION_KINDS - 1 - kind : kind - 1);
            w[at] = of_kind((enum exclusion_kind)kind, 0, kind * NS_PER_S);
        }
        exclusion_mark(w, count, instant_of_ns(0), span_of_ns(NS_PER_S), EXCLUSION_KINDS, kinds);
        for (int k = 0; k < EXCLUSION_KINDS - 1; k++) {
            CU_ASSERT_EQUAL(kinds[k], k + 1);
        }
        CU_ASSERT_EQUAL(kinds[EXCLUSION_KINDS - 1], EXCLUSION_NONE);
    }
}

static void
what_is_marked_already_stays_unless_the_window_is_stronger(void)
{
    struct exclusion_window w = of_kind(EXCLUSION_THIRD_PARTY, 0, 5 * NS_PER_S);
    uint8_t kinds[] = {EXCLUSION_NONE,          EXCLUSION_CUSTOMER,     EXCLUSION_THIRD_PARTY,
                       EXCLUSION_FORCE_MAJEURE, EXCLUSION_UNDETERMINED, EXCLUSION_UNDETERMINED};
    uint8_t expected[] = {EXCLUSION_THIRD_PARTY, EXCLUSION_CUSTOMER,    EXCLUSION_THIRD_PARTY,
                          EXCLUSION_THIRD_PARTY, EXCLUSION_THIRD_PARTY, EXCLUSION_UNDETERMINED};

    exclusion_mark(&w, 1, instant_of_ns(0), span_of_ns(NS_PER_S), sizeof kinds, kinds);
    CU_ASSERT_EQUAL(memcmp(kinds, expected, sizeof kinds), 0);
}

/* --- With an outage ----------------------------------------------------------------------------
 */

/* 40 delta-t, an outage from the 10th to the 19th, and this window: availability in 1/10000 %. */
static unsigned
outage_with_window(struct exclusion_window w)
{
    struct availability_params p = {.n = 10, .c_milli = 50000};
    struct availability a = availability_begin(true);
    struct valid v = valid(&w, 1, 0);
    uint8_t kinds[40] = {EXCLUSION_NONE};
    unsigned inside = 0, up = 0, done = 0;

    exclusion_mark(v.w, v.count, instant_of_ns(MONTH), span_of_ns(NS_PER_S), 40, kinds);
    for (unsigned k = 0; k < 40; k++) {
        uint64_t flip_at;
        bool was = a.available, bad = k >= 10 && k < 20;
        uint64_t decided =
            availability_add(&a, p, bad ? AVAILABILITY_BAD : AVAILABILITY_GOOD, 1, &flip_at);
        for (uint64_t i = 0; i < decided; i++, done++) {
            inside += kinds[done] == EXCLUSION_NONE;
            up += kinds[done] == EXCLUSION_NONE && (i < flip_at ? was : a.available);
        }
    }
    CU_ASSERT_EQUAL(done, 40);
    return inside ? (up * 1000000 + inside / 2) / inside : 1000000;
}

static void
outage_half_inside_maintenance_is_85_71_percent(void)
{
    int64_t start = MONTH + 10 * NS_PER_S;

    CU_ASSERT_EQUAL(outage_with_window(maintenance(start, start + 5 * NS_PER_S)), 857143);
    CU_ASSERT_EQUAL(outage_with_window(maintenance(start, start + 10 * NS_PER_S)), 1000000);
}

static void
window_with_too_short_a_notice_is_not_excluded(void)
{
    struct exclusion_window w = maintenance(MONTH + 10 * NS_PER_S, MONTH + 15 * NS_PER_S);

    w.announced.ns = w.start.ns - NOTICE + 1;
    CU_ASSERT_EQUAL(outage_with_window(w), 750000);
    w.announced.ns--;
    CU_ASSERT_EQUAL(outage_with_window(w), 857143);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"notice_is_kept_to_the_nanosecond", notice_is_kept_to_the_nanosecond},
        {"without_a_notice_time_maintenance_is_announced_before_it_starts",
         without_a_notice_time_maintenance_is_announced_before_it_starts},
        {"other_kinds_need_no_notice", other_kinds_need_no_notice},
        {"empty_window_counts_for_nothing", empty_window_counts_for_nothing},
        {"allowance_is_used_by_those_that_start_first",
         allowance_is_used_by_those_that_start_first},
        {"overlapping_windows_are_charged_once", overlapping_windows_are_charged_once},
        {"window_that_does_not_count_uses_no_allowance",
         window_that_does_not_count_uses_no_allowance},
        {"month_pays_for_its_own_part_only", month_pays_for_its_own_part_only},
        {"allowance_equals_paying_minute_by_minute", allowance_equals_paying_minute_by_minute},
        {"delta_t_is_marked_when_a_window_intersects_it",
         delta_t_is_marked_when_a_window_intersects_it},
        {"window_over_the_borders_marks_what_is_inside",
         window_over_the_borders_marks_what_is_inside},
        {"window_to_the_ends_of_time_marks_all", window_to_the_ends_of_time_marks_all},
        {"least_kind_wins_whatever_the_order", least_kind_wins_whatever_the_order},
        {"what_is_marked_already_stays_unless_the_window_is_stronger",
         what_is_marked_already_stays_unless_the_window_is_stronger},
        {"outage_half_inside_maintenance_is_85_71_percent",
         outage_half_inside_maintenance_is_85_71_percent},
        {"window_with_too_short_a_notice_is_not_excluded",
         window_with_too_short_a_notice_is_not_excluded},
        CU_TEST_INFO_NULL,
    };

    return run_suite("exclusion", tests);
}
