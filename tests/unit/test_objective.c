/* test_objective.c - verdicts over counts and ratios, one unit to either side of each limit; and
 * which of two results is the worse. */
#include "tally_by_hand.h"

#include <math.h>

static struct objective_result
judge_flr(uint64_t lost, uint64_t sent, uint64_t limit)
{
    struct tally t = {.sent = sent, .lost = lost};
    return judge(objective(INV_FLR, 0, limit), &t);
}

/* --- Loss ------------------------------------------------------------------- */

static void
loss_clearly_over_is_missed_and_clearly_under_is_met(void)
{
    struct objective_result r = judge_flr(2000, 1000000, 100);

    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(r.has_value && r.value == 200 && r.part == 2000 && r.whole == 1000000);
    CU_ASSERT(r.low > 0.001 && r.low < 0.002 && r.high > 0.002);
    CU_ASSERT(r.needed == 0 && r.used == 2000 && r.budget == 1000);
    r = judge_flr(500, 1000000, 100);
    expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT(r.value == 50 && r.high < 0.001 && r.needed == 0);
}

/* 1000 of a million at 0.1 %: the interval goes from 939 to 1064; outside it the verdict stands. */
static void
limit_inside_the_interval_is_not_decidable(void)
{
    struct objective_result r = judge_flr(1010, 1000000, 100);

    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    CU_ASSERT(r.has_value && r.low < 0.001 && r.high > 0.001);
    CU_ASSERT(r.needed > 30000000 && r.needed < 50000000);
    expect(judge_flr(1010 * 60, 60000000, 100), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_flr(990, 1000000, 100), VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    r = judge_flr(1000, 1000000, 100);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    CU_ASSERT_EQUAL(r.needed, CONFIDENCE_NEVER);
}

/* The verdict turns at the packet at which the interval's edge passes the limit. */
static void
one_packet_moves_the_interval_over_the_limit(void)
{
    const uint64_t sent = 1000000, limit = 100;
    uint64_t last_met = 0, first_missed = 0;
    double low, high;

    for (uint64_t lost = 900; lost < 1100; lost++) {
        struct objective_result r = judge_flr(lost, sent, limit);
        last_met = r.verdict == VERDICT_MET ? lost : last_met;
        first_missed = r.verdict == VERDICT_MISSED && !first_missed ? lost : first_missed;
    }
    CU_ASSERT(last_met > 900 && last_met < 1000 && first_missed > 1000 && first_missed < 1100);
    confidence_interval(last_met, sent, &low, &high);
    CU_ASSERT(high < 0.001);
    confidence_interval(last_met + 1, sent, &low, &high);
    CU_ASSERT(high >= 0.001);
    confidence_interval(first_missed, sent, &low, &high);
    CU_ASSERT(low > 0.001);
    confidence_interval(first_missed - 1, sent, &low, &high);
    CU_ASSERT(low <= 0.001);
}

static void
loss_without_packets_has_no_value(void)
{
    struct objective_result r = judge_flr(0, 0, 100);

    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    CU_ASSERT(!r.has_value && isnan(r.low) && isnan(r.high));
}

/* 0.1 % takes 3000 packets to be shown at all, and 3688 without a loss to be shown. */
static void
few_packets_cannot_show_that_it_is_kept(void)
{
    struct objective_result r = judge_flr(0, 2999, 100);

    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    CU_ASSERT_EQUAL(r.needed, 3688);
    r = judge_flr(0, 3000, 100);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    CU_ASSERT_DOUBLE_EQUAL(r.high, 0.00122887, 5e-9);
    expect(judge_flr(0, 3687, 100), VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    expect(judge_flr(0, 3688, 100), VERDICT_MET, VERDICT_NO_DOUBT);
}

static void
few_packets_can_show_that_it_is_missed(void)
{
    expect(judge_flr(3, 3, 100), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_flr(1, 3, 100), VERDICT_MISSED, VERDICT_NO_DOUBT); /* low 0.0084 */
    expect(judge_flr(1, 100, 100), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
}

static void
min_samples_hold_back_both_sides(void)
{
    struct inv_objective o = objective(INV_FLR, 0, 100);
    struct tally t = {.sent = 9999, .lost = 9999};

    o.min_samples = 10000;
    expect(judge(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    CU_ASSERT_EQUAL(judge(o, &t).needed, 10000);
    t.sent = t.lost = 10000;
    expect(judge(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    t.lost = 0;
    expect(judge(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    t.sent = 9999;
    expect(judge(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
}

static void
limit_of_zero_percent_is_a_count(void)
{
    expect(judge_flr(0, 1, 0), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge_flr(1, 1000000000, 0), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_flr(10, 10, 100000), VERDICT_MET, VERDICT_NO_DOUBT);
}

static void
each_ratio_has_counters_of_its_own(void)
{
    struct tally t = {.sent = 1000000,
                      .lost = 1000,
                      .sent_raw = 2000000,
                      .lost_raw = 6000,
                      .received = 500000,
                      .reordered = 2500,
                      .duplicate = 7000};
    struct objective_result r = judge(objective(INV_FLR_RAW, 0, 100), &t);

    CU_ASSERT(r.part == 6000 && r.whole == 2000000 && r.value == 300);
    r = judge(objective(INV_REORDER_RATIO, 0, 100), &t);
    CU_ASSERT(r.part == 2500 && r.whole == 500000 && r.value == 500);
    r = judge(objective(INV_DUPLICATE_RATIO, 0, 100), &t);
    CU_ASSERT(r.part == 7000 && r.whole == 1000000 && r.value == 700);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    t.duplicate = 3 * t.sent; /* Three copies more of each. */
    r = judge(objective(INV_DUPLICATE_RATIO, 0, 100), &t);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(r.value == 300000 && isnan(r.low));
}

/* Rounded towards the bad side a ratio stays on its side of the limit. */
static void
ratio_that_is_shown_never_flatters(void)
{
    CU_ASSERT_EQUAL(judge_flr(1, 100000000, 100).value, 1);
    CU_ASSERT_EQUAL(judge_flr(0, 100000000, 100).value, 0);
    CU_ASSERT_EQUAL(judge_flr(1001, 1000000, 100).value, 101);
    CU_ASSERT_EQUAL(judge_flr(1000, 1000000, 100).value, 100);
    for (int i = 0; i < 10000; i++) {
        uint64_t sent = 1 + random_below(10000000), lost = random_below(sent / 50 + 2) % sent;
        uint64_t limit = random_below(2000);
        struct objective_result r = judge_flr(lost, sent, limit);
        CU_ASSERT(r.verdict != VERDICT_MET || r.value <= (int64_t)limit);
        CU_ASSERT(r.verdict != VERDICT_MISSED || r.value > (int64_t)limit);
    }
}

/* 0.1 % of a million expected packets: 1000 may be lost; 1065 are too many for chance. */
static void
loss_is_missed_early_only_when_the_month_cannot_be_saved(void)
{
    struct inv_objective o = objective(INV_FLR, 0, 100);
    struct tally t = {.sent = 100000, .lost = 1000};
    struct objective_result r;

    t.excluded[EXCLUSION_NONE] = 10;
    r = judge_running(o, &t, -1, 1000000);
    CU_ASSERT(r.verdict == VERDICT_MET && r.budget == 1000 && r.used == 1000 && r.value == 1000);
    t.lost = 1001;
    expect(judge_running(o, &t, -1, 1000000), VERDICT_NOT_DECIDABLE, VERDICT_IN_INTERVAL);
    t.lost = 1100;
    r = judge_running(o, &t, -1, 1000000);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(r.needed, 0);
    /* What is to come is not known: nothing is for good, and the budget is by the time. */
    r = judge_running(o, &t, -1, 0);
    CU_ASSERT(r.verdict == VERDICT_MET && r.budget == 100000u / 1000 * (MONTH_30 / 10));
    o.limit = 0;
    t.lost = 1;
    expect(judge_running(o, &t, -1, 0), VERDICT_MISSED, VERDICT_NO_DOUBT);
    t.sent = t.lost = 0;
    expect(judge_running(o, &t, -1, 1000000), VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    t.sent = 10;
    o.limit = 100;
    r = judge_running(o, &t, -1, 1000000);
    expect(r, VERDICT_MET, VERDICT_FEW_SAMPLES);
    CU_ASSERT_EQUAL(r.needed, 3688);
}

/* --- Availability ------------------------------------------------------------ */

static struct objective_result
judge_availability(const struct tally *t, uint64_t limit, enum inv_undetermined undetermined,
                   const struct objective_period *period)
{
    struct inv_objective o = objective(INV_AVAILABILITY, 0, limit);
    return objective_judge(&o, undetermined, t, -1, period);
}

/* The allowed downtime of a month of 30 days is in every contract: 43 min 12 s. */
static void
availability_turns_at_the_delta_t_after_its_budget(void)
{
    static const struct {
        uint64_t limit, budget;
    } known[] = {{99900, 43 * 60 + 12}, {99950, 21 * 60 + 36}, {99990, 4 * 60 + 19}, {99999, 25}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct tally t = {.available = MONTH_30 - known[i].budget};
        t.excluded[EXCLUSION_NONE] = MONTH_30;
        struct objective_result r =
            judge_availability(&t, known[i].limit, INV_UNDETERMINED_LAST, &over);
        expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
        CU_ASSERT(r.budget == known[i].budget && r.used == known[i].budget);
        CU_ASSERT(r.has_value && r.value >= (int64_t)known[i].limit);
        CU_ASSERT(r.part == t.available && r.whole == MONTH_30 && isnan(r.low));
        t.available--;
        r = judge_availability(&t, known[i].limit, INV_UNDETERMINED_LAST, &over);
        expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
        CU_ASSERT(r.value < (int64_t)known[i].limit);
    }
}

/* 1000 delta-t: 10 unavailable, of them 4 undetermined; of the available 990 are 20. */
static void
undetermined_counts_as_the_contract_says(void)
{
    static const struct {
        enum inv_undetermined how;
        uint64_t part, whole;
    } known[] = {{INV_UNDETERMINED_LAST, 990, 1000},
                 {INV_UNDETERMINED_AVAILABLE, 994, 1000},
                 {INV_UNDETERMINED_UNAVAILABLE, 970, 1000},
                 {INV_UNDETERMINED_EXCLUDED, 970, 976}};
    struct tally t = {
        .available = 990, .undetermined_available = 20, .undetermined_unavailable = 4};

    t.excluded[EXCLUSION_NONE] = 1000;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct objective_result r = judge_availability(&t, 95000, known[i].how, &over);
        expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
        CU_ASSERT(r.part == known[i].part && r.whole == known[i].whole);
    }
    /* Every limit at which it matters: by the last state it is said, else the contract has. */
    for (uint64_t limit = 95000; limit <= 100000; limit += 100) {
        bool best = 6 * 100000 > (100000 - limit) * 1000;
        bool worst = 30 * 100000 > (100000 - limit) * 1000;
        struct objective_result r = judge_availability(&t, limit, INV_UNDETERMINED_LAST, &over);
        CU_ASSERT_EQUAL(r.doubt, best != worst ? VERDICT_UNDETERMINED : VERDICT_NO_DOUBT);
        CU_ASSERT_EQUAL(r.verdict, limit <= 99000 ? VERDICT_MET : VERDICT_MISSED);
        for (size_t i = 1; i < 4; i++) {
            r = judge_availability(&t, limit, known[i].how, &over);
            CU_ASSERT_EQUAL(r.doubt, VERDICT_NO_DOUBT);
        }
    }
}

static void
no_observed_time_is_met_and_says_so(void)
{
    struct tally t = {0};
    struct objective_result r;

    t.excluded[EXCLUSION_MAINTENANCE] = 20;
    r = judge_availability(&t, 99990, INV_UNDETERMINED_LAST, &over);
    expect(r, VERDICT_MET, VERDICT_NO_DATA);
    CU_ASSERT(!r.has_value && r.part == 0 && r.whole == 0);
    expect(judge(objective(INV_HLI, 0, 0), &t), VERDICT_MET, VERDICT_NO_DATA);
    /* What nobody knows is no agreement. */
    t.excluded[EXCLUSION_UNDETERMINED] = 1;
    r = judge_availability(&t, 99990, INV_UNDETERMINED_EXCLUDED, &over);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    t = (struct tally){.available = 5, .undetermined_available = 5};
    t.excluded[EXCLUSION_NONE] = 5;
    r = judge_availability(&t, 99990, INV_UNDETERMINED_EXCLUDED, &over);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    t = (struct tally){0};
    r = judge_availability(&t, 99990, INV_UNDETERMINED_LAST, &over);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    CU_ASSERT(!r.has_value);
}

/* Ten days into a month, of which one day is maintenance. */
static void
availability_is_missed_early_only_when_the_month_cannot_be_saved(void)
{
    struct objective_period period = {.dt = {NS_PER_S}, .dt_total = MONTH_30};
    uint64_t in_w = 9 * 86400, budget = 29 * 86400 / 1000;
    struct tally t = {.available = in_w - budget};
    struct objective_result r;

    t.excluded[EXCLUSION_NONE] = in_w;
    t.excluded[EXCLUSION_MAINTENANCE] = 86400;
    r = judge_availability(&t, 99900, INV_UNDETERMINED_LAST, &period);
    expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT(r.budget == budget && r.used == budget && r.value < 99900);
    t.available--;
    r = judge_availability(&t, 99900, INV_UNDETERMINED_LAST, &period);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(r.used, budget + 1);
    /* Over by now, it is what it is. */
    t.available = in_w - budget;
    expect(judge_availability(&t, 99900, INV_UNDETERMINED_LAST, &over), VERDICT_MISSED,
           VERDICT_NO_DOUBT);
}

static void
high_loss_intervals_are_counted(void)
{
    struct tally t = {.high_loss = {.intervals = 9, .runs = 1, .run_intervals = 9}};

    t.excluded[EXCLUSION_NONE] = 30;
    expect(judge(objective(INV_HLI, 0, 9), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_HLI, 0, 8), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(judge(objective(INV_HLI, 0, 8), &t).value, 9);
    expect(judge(objective(INV_CHLI, 0, 1), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_CHLI, 0, 0), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(judge(objective(INV_CHLI, 0, 0), &t).used, 1);
}

static void
min_samples_of_availability_are_delta_t(void)
{
    struct inv_objective o = objective(INV_AVAILABILITY, 0, 99000);
    struct tally t = {.available = 999};

    o.min_samples = 1000;
    t.excluded[EXCLUSION_NONE] = 999;
    expect(judge(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    t.excluded[EXCLUSION_NONE] = 1000;
    expect(judge(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);

    /* While the month runs: there will be enough, or there will not. */
    o.min_samples = MONTH_30;
    expect(judge_running(o, &t, -1, 0), VERDICT_MET, VERDICT_FEW_SAMPLES);
    t = (struct tally){.available = 0};
    t.excluded[EXCLUSION_NONE] = MONTH_30 / 50;
    expect(judge_running(o, &t, -1, 0), VERDICT_MISSED, VERDICT_NO_DOUBT);
    o.min_samples = MONTH_30 + 1;
    expect(judge_running(o, &t, -1, 0), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    o = objective(INV_HLI, 0, 0);
    o.min_samples = MONTH_30;
    t.high_loss.intervals = 1;
    expect(judge_running(o, &t, -1, 0), VERDICT_MISSED, VERDICT_NO_DOUBT);
}

/* --- Worst first ------------------------------------------------------------------ */

static void
worst_comes_first(void)
{
    struct inv_objective o = objective(INV_FLR, 0, 100);
    struct objective_result list[] = {
        judge_flr(5000, 1000000, 100), /* Missed by far, */
        judge_flr(2000, 1000000, 100), /* missed, */
        judge_flr(1010, 1000000, 100), /* not decidable, */
        judge_flr(0, 0, 100),          /* no data, */
        judge_flr(500, 1000000, 100),  /* met, */
        judge_flr(0, 1000000, 100),    /* met with nothing lost. */
    };
    size_t count = sizeof list / sizeof list[0];

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = objective_compare(&o, &list[i], &list[j]);
            CU_ASSERT(i == j ? order == 0 : i < j ? order < 0 : order > 0);
        }
    }
    CU_ASSERT_EQUAL(objective_nearness(&o, &list[0]), 500000);
    CU_ASSERT_EQUAL(objective_nearness(&o, &list[4]), 50000);
    CU_ASSERT_EQUAL(objective_nearness(&o, &list[3]), 0);
}

static void
less_available_comes_first(void)
{
    struct inv_objective o = objective(INV_AVAILABILITY, 0, 99900);
    struct tally t = {.available = 999};
    struct objective_result good, bad;

    t.excluded[EXCLUSION_NONE] = 1000;
    good = judge(o, &t);
    CU_ASSERT_EQUAL(objective_nearness(&o, &good), 100000);
    t.available = 990;
    bad = judge(o, &t);
    CU_ASSERT(objective_compare(&o, &bad, &good) < 0 && objective_compare(&o, &good, &bad) > 0);
    CU_ASSERT_EQUAL(objective_nearness(&o, &bad), 1000000);
    o.limit = 100000;
    bad = judge(o, &t);
    CU_ASSERT_EQUAL(objective_nearness(&o, &bad), UINT32_MAX);
    /* No observed time is met, and after all that was observed. */
    t = (struct tally){.available = 1000};
    t.excluded[EXCLUSION_NONE] = 1000;
    bad = judge(o, &t);
    t = (struct tally){0};
    t.excluded[EXCLUSION_MAINTENANCE] = 1000;
    good = judge(o, &t);
    CU_ASSERT(bad.verdict == VERDICT_MET && good.verdict == VERDICT_MET);
    CU_ASSERT(objective_compare(&o, &bad, &good) < 0 && objective_compare(&o, &good, &bad) > 0);

    struct tally slow = new_tally(1, 1), fast = new_tally(1, 1);
    o = objective(INV_RT_MEAN, 0, 10 * (uint64_t)MS);
    add_delay(&slow, 9 * MS, 1, 0);
    add_delay(&fast, 8 * MS, 1, 0);
    bad = judge(o, &slow);
    good = judge(o, &fast);
    CU_ASSERT(objective_compare(&o, &bad, &good) < 0 && objective_compare(&o, &good, &bad) > 0);
    CU_ASSERT_EQUAL(objective_nearness(&o, &bad), 90000);
    free_tally(&slow);
    free_tally(&fast);
}

static void
names_stay(void)
{
    CU_ASSERT_STRING_EQUAL(verdict_name(VERDICT_MET), "met");
    CU_ASSERT_STRING_EQUAL(verdict_name(VERDICT_NOT_DECIDABLE), "not decidable");
    CU_ASSERT_STRING_EQUAL(verdict_doubt_name(VERDICT_NO_DOUBT), "none");
    CU_ASSERT_STRING_EQUAL(verdict_doubt_name(VERDICT_IN_INTERVAL), "in_interval");
    CU_ASSERT_STRING_EQUAL(verdict_doubt_name(VERDICT_BUCKET), "bucket");
}

/* --- Traps ------------------------------------------------------------------ */

/* One interval of a hundred packets loses 10 %, another of a million nothing: the mean of both
 * ratios is 5 %, the loss is 0.001 %. */
static void
trap_02_mean_of_ratios(void)
{
    struct inv_objective o = objective(INV_FLR, 0, 100);
    struct tally small = {.sent = 100, .lost = 10}, large = {.sent = 1000000};
    struct tally all = {.sent = small.sent + large.sent, .lost = small.lost + large.lost};

    expect(judge(o, &small), VERDICT_MISSED, VERDICT_NO_DOUBT);
    struct objective_result r = judge(o, &all);
    expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT(r.part == 10 && r.whole == 1000100 && r.value == 1);
}

/* An outage of an hour in a day: it is availability's, and flr_raw shows it; flr does not. */
static void
trap_07_flr_including_unavailable_time(void)
{
    struct tally t = {
        .available = 82800, .sent = 828000, .lost = 10, .sent_raw = 864000, .lost_raw = 36010};

    t.excluded[EXCLUSION_NONE] = 86400;
    expect(judge(objective(INV_FLR, 0, 100), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_FLR_RAW, 0, 100), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_AVAILABILITY, 0, 99900), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
}

/* 5 % are lost and 10 % come twice: more arrives than was sent, and the loss is still 5 %. */
static void
trap_12_duplicates_inflating_received(void)
{
    struct tally t = {.sent = 100000, .lost = 5000, .received = 95000, .duplicate = 10000};
    struct objective_result r = judge(objective(INV_FLR, 0, 1000), &t);

    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(r.value == 5000 && r.part == 5000 && r.low > 0.04 && r.high < 0.06);
    t.received += t.duplicate; /* Whoever counted copies there: the verdict does not look. */
    CU_ASSERT_EQUAL(judge(objective(INV_FLR, 0, 1000), &t).value, 5000);
}

/* Where x of y is just the limit, 100.0 * x / y is above or below it by chance. */
static void
trap_20_float_compare_at_the_limit(void)
{
    unsigned differs = 0;

    for (uint64_t limit = 99001; limit < 100000; limit += 2) {
        for (uint64_t times = 1; times <= 26; times++) {
            struct tally t = {.available = limit * times};
            t.excluded[EXCLUSION_NONE] = 100000 * times;
            struct objective_result r = judge_availability(&t, limit, INV_UNDETERMINED_LAST, &over);
            expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
            CU_ASSERT_EQUAL(r.value, (int64_t)limit);
            CU_ASSERT_EQUAL(r.budget, r.used);
            t.available--;
            expect(judge_availability(&t, limit, INV_UNDETERMINED_LAST, &over), VERDICT_MISSED,
                   VERDICT_NO_DOUBT);
            double percent = (double)(limit * times) / (double)(100000 * times) * 100;
            differs += percent < (double)limit / 1000;
        }
    }
    CU_ASSERT(differs > 0); /* So the trap is there. */
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"loss_clearly_over_is_missed_and_clearly_under_is_met",
         loss_clearly_over_is_missed_and_clearly_under_is_met},
        {"limit_inside_the_interval_is_not_decidable", limit_inside_the_interval_is_not_decidable},
        {"one_packet_moves_the_interval_over_the_limit",
         one_packet_moves_the_interval_over_the_limit},
        {"loss_without_packets_has_no_value", loss_without_packets_has_no_value},
        {"few_packets_cannot_show_that_it_is_kept", few_packets_cannot_show_that_it_is_kept},
        {"few_packets_can_show_that_it_is_missed", few_packets_can_show_that_it_is_missed},
        {"min_samples_hold_back_both_sides", min_samples_hold_back_both_sides},
        {"limit_of_zero_percent_is_a_count", limit_of_zero_percent_is_a_count},
        {"each_ratio_has_counters_of_its_own", each_ratio_has_counters_of_its_own},
        {"ratio_that_is_shown_never_flatters", ratio_that_is_shown_never_flatters},
        {"loss_is_missed_early_only_when_the_month_cannot_be_saved",
         loss_is_missed_early_only_when_the_month_cannot_be_saved},
        {"availability_turns_at_the_delta_t_after_its_budget",
         availability_turns_at_the_delta_t_after_its_budget},
        {"undetermined_counts_as_the_contract_says", undetermined_counts_as_the_contract_says},
        {"no_observed_time_is_met_and_says_so", no_observed_time_is_met_and_says_so},
        {"availability_is_missed_early_only_when_the_month_cannot_be_saved",
         availability_is_missed_early_only_when_the_month_cannot_be_saved},
        {"high_loss_intervals_are_counted", high_loss_intervals_are_counted},
        {"min_samples_of_availability_are_delta_t", min_samples_of_availability_are_delta_t},
        {"worst_comes_first", worst_comes_first},
        {"less_available_comes_first", less_available_comes_first},
        {"names_stay", names_stay},
        {"trap_02_mean_of_ratios", trap_02_mean_of_ratios},
        {"trap_07_flr_including_unavailable_time", trap_07_flr_including_unavailable_time},
        {"trap_12_duplicates_inflating_received", trap_12_duplicates_inflating_received},
        {"trap_20_float_compare_at_the_limit", trap_20_float_compare_at_the_limit},
        CU_TEST_INFO_NULL,
    };
    return run_suite("objective", tests);
}
