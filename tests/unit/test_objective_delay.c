/* test_objective_delay.c - verdicts over delays: random samples whose truth is found by sorting
 * them, with values at the limit and one nanosecond to either side. */
#include "tally_by_hand.h"

/* --- Delay ------------------------------------------------------------------- */

static int
compare_ns(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The nearest rank by the definition: the least sample of which so many are not greater. */
static int64_t
sorted_quantile(const int64_t *sorted, size_t count, uint32_t quantile_milli)
{
    size_t i = 0;

    while ((i + 1) * 100000 < (uint64_t)quantile_milli * count) {
        i++;
    }
    return sorted[i];
}

#define SAMPLES_MAX 400

/* Samples around a limit: at it, one nanosecond to either side, and anywhere, negative too. */
static size_t
draw(int64_t *samples, int64_t limit, struct tally *t)
{
    size_t count = 1 + random_below(SAMPLES_MAX);
    unsigned near = (unsigned)random_below(1000);

    for (size_t i = 0; i < count; i++) {
        int64_t wide = (int64_t)random_below((uint64_t)limit * 3) - limit / 2;
        samples[i] = random_chance(near) ? limit - 1 + (int64_t)random_below(3) : wide;
        add_delay(t, samples[i], 1, limit);
    }
    qsort(samples, count, sizeof *samples, compare_ns);
    return count;
}

static uint32_t
draw_quantile(void)
{
    static const uint32_t usual[] = {50000, 90000, 95000, 99000, 99900, 1, 99999};
    return random_chance(700) ? usual[random_below(7)] : 1 + (uint32_t)random_below(99999);
}

/* As many samples as the metric needs are taken for granted here: min_samples is 1. */
static void
verdict_by_counter_is_that_of_sorting_all_samples(void)
{
    int64_t samples[SAMPLES_MAX];
    unsigned met = 0, missed = 0;

    for (int i = 0; i < 4000; i++) {
        int64_t limit = 1000 + (int64_t)random_below(40 * (uint64_t)MS);
        struct inv_objective o = objective(INV_RT, draw_quantile(), (uint64_t)limit);
        struct tally t = new_tally(100, 100);
        size_t count = draw(samples, limit, &t);
        int64_t truth = sorted_quantile(samples, count, o.metric.quantile_milli);
        o.min_samples = 1;
        struct objective_result r = judge_counted(o, &t);
        CU_ASSERT_EQUAL(r.doubt, VERDICT_NO_DOUBT);
        CU_ASSERT_EQUAL(r.verdict, truth <= limit ? VERDICT_MET : VERDICT_MISSED);
        /* The value is on the verdict's side, and as near as the bucket is wide. */
        CU_ASSERT(r.has_value && (r.value <= limit) == (truth <= limit));
        CU_ASSERT(llabs(r.value - truth) <= 64 + llabs(truth) / 500);
        met += r.verdict == VERDICT_MET;
        missed += r.verdict == VERDICT_MISSED;
        free_tally(&t);
    }
    CU_ASSERT(met > 500 && missed > 500);
}

/* Without a counter: never wrong, and undecided only where the limit is in the rank's bucket. */
static void
verdict_by_histogram_is_right_or_none(void)
{
    static const enum inv_metric_kind kinds[] = {INV_RT, INV_FDR, INV_PDV};
    int64_t samples[SAMPLES_MAX];
    unsigned decided[3] = {0}, undecided = 0;

    for (int i = 0; i < 4000; i++) {
        enum inv_metric_kind kind = kinds[i % 3];
        int64_t limit = 1000 + (int64_t)random_below(40 * (uint64_t)MS);
        struct inv_objective o = objective(kind, draw_quantile(), (uint64_t)limit);
        struct tally t = new_tally(100, 100);
        size_t count = draw(samples, limit, &t);
        int64_t base = kind == INV_RT ? 0 : samples[0];
        int64_t rank = sorted_quantile(samples, count, o.metric.quantile_milli);
        int64_t lower, upper;
        o.min_samples = 1;
        struct objective_result r = judge(o, &t);
        hist_bucket_bounds(HIST_DELAY, hist_bucket_of(HIST_DELAY, rank), &lower, &upper);
        if (r.verdict == VERDICT_NOT_DECIDABLE) {
            CU_ASSERT_EQUAL(r.doubt, VERDICT_BUCKET);
            CU_ASSERT(lower - base <= limit && limit < upper - base);
            undecided++;
        } else {
            CU_ASSERT_EQUAL(r.verdict, rank - base <= limit ? VERDICT_MET : VERDICT_MISSED);
            CU_ASSERT_EQUAL(r.value <= limit, rank - base <= limit);
            decided[r.verdict]++;
        }
        CU_ASSERT(llabs(r.value - (rank - base)) <= 64 + llabs(rank) / 500);
        free_tally(&t);
    }
    CU_ASSERT(decided[VERDICT_MET] > 500 && decided[VERDICT_MISSED] > 500 && undecided > 20);
}

/* 10 ms lies inside a bucket of 16 us: the counter knows. */
static void
limit_inside_a_bucket_is_decided_by_the_counter(void)
{
    struct tally t = new_tally(1000, 1000);
    struct inv_objective o = objective(INV_RT, 99000, 10 * (uint64_t)MS);

    add_delay(&t, 5 * MS, 990, 10 * MS);
    add_delay(&t, 10 * MS, 10, 10 * MS);
    expect(judge(o, &t), VERDICT_MET, VERDICT_NO_DOUBT); /* The rank is a sample of 5 ms. */
    o.metric.quantile_milli = 99900;
    o.min_samples = 1;
    expect(judge_counted(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    add_delay(&t, 10 * MS + 1, 2, 10 * MS); /* 2 of 1002, rank 1001: one too many. */
    expect(judge_counted(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(judge_counted(o, &t).value > 10 * MS);
    add_delay(&t, 12 * MS, 1, 10 * MS);
    o.metric.quantile_milli = 99800; /* Rank 1001 of 1003 is among 10 ms and 10 ms + 1. */
    expect(judge(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_BUCKET);
    CU_ASSERT(judge(o, &t).has_value);
    expect(judge_counted(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    free_tally(&t);
}

/* All samples are the same: the bucket's edges are far, the least and the greatest of them are not.
 */
static void
least_and_greatest_sample_narrow_the_bucket(void)
{
    struct tally t = new_tally(1000, 1000);

    add_delay(&t, 10 * MS, 1000, 0);
    expect(judge(objective(INV_RT, 99000, 10 * (uint64_t)MS), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_RT, 99000, 10 * (uint64_t)MS - 1), &t), VERDICT_MISSED,
           VERDICT_NO_DOUBT);
    expect(judge(objective(INV_FDR, 99000, 0), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    free_tally(&t);
}

/* p99.9 takes 3000 samples to be shown; too many over the limit show themselves earlier. */
static void
few_samples_of_a_quantile(void)
{
    struct inv_objective o = objective(INV_RT, 99900, 10 * (uint64_t)MS);
    struct tally t = new_tally(300, 300);
    struct objective_result r;

    add_delay(&t, 5 * MS, 2999, 10 * MS);
    r = judge_counted(o, &t);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    CU_ASSERT(r.needed == 3000 && r.has_value);
    add_delay(&t, 5 * MS, 1, 10 * MS);
    expect(judge_counted(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    free_tally(&t);

    t = new_tally(300, 300);
    add_delay(&t, 5 * MS, 99, 10 * MS);
    add_delay(&t, 11 * MS, 1, 10 * MS);
    expect(judge_counted(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    add_delay(&t, 11 * MS, 1, 10 * MS); /* 2 of 101: from 0.24 % on. */
    expect(judge_counted(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    o.min_samples = 102;
    expect(judge_counted(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_FEW_SAMPLES);
    o.min_samples = 101;
    expect(judge_counted(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    free_tally(&t);
}

static void
delay_without_samples_has_no_value(void)
{
    static const enum inv_metric_kind kinds[] = {
        INV_RT, INV_FD, INV_FDR, INV_IFDV, INV_PDV, INV_RT_MEAN, INV_FD_MEAN, INV_IPDV_ABS_MEAN};
    struct tally t = new_tally(10, 0), bare = {0};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct objective_result r = judge(objective(kinds[i], 99000, 1), &t);
        expect(r, VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
        CU_ASSERT(!r.has_value && r.part == 0 && r.whole == 0);
        expect(judge(objective(kinds[i], 99000, 1), &bare), VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    }
    free_tally(&t);
}

static void
ifdv_has_samples_of_its_own(void)
{
    struct inv_objective o = objective(INV_IFDV, 99000, 2 * (uint64_t)MS);
    struct tally t = new_tally(100, 100);

    add_delay(&t, 50 * MS, 1000, INT64_MAX); /* Not what is asked. */
    hist_add(t.ifdv, MS, 990);
    hist_add(t.ifdv, 3 * MS, 10);
    t.over[0] = 10;
    expect(judge_counted(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(judge_counted(o, &t).whole, 1000);
    expect(judge(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    hist_add(t.ifdv, 3 * MS, 1);
    t.over[0] = 11;
    expect(judge_counted(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge(o, &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    free_tally(&t);
}

/* --- Means ------------------------------------------------------------------- */

static void
mean_is_exact_to_the_nanosecond(void)
{
    struct tally t = new_tally(10, 10);

    add_delay(&t, 1, 1, 0);
    add_delay(&t, 2, 1, 0);
    add_delay(&t, 4, 1, 0); /* 7 / 3: shown as 3. */
    CU_ASSERT_EQUAL(judge(objective(INV_RT_MEAN, 0, 2), &t).value, 3);
    expect(judge(objective(INV_RT_MEAN, 0, 2), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_RT_MEAN, 0, 3), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    add_delay(&t, -15, 1, 0); /* -8 / 4. */
    CU_ASSERT_EQUAL(judge(objective(INV_RT_MEAN, 0, 0), &t).value, -2);
    free_tally(&t);
}

/* A month of 100 kpps at 5 s is more than 2^63 ns. */
static void
mean_survives_a_sum_that_went_round(void)
{
    const uint64_t half = 2000000000, limit = 5 * (uint64_t)NS_PER_S;
    struct tally t = new_tally(10, 10);

    add_delay(&t, 4 * NS_PER_S, half, 0);
    add_delay(&t, 6 * NS_PER_S, half, 0);
    expect(judge(objective(INV_RT_MEAN, 0, limit), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT_EQUAL(judge(objective(INV_RT_MEAN, 0, limit), &t).value, 5 * NS_PER_S);
    add_delay(&t, 6 * NS_PER_S, 1, 0);
    expect(judge(objective(INV_RT_MEAN, 0, limit), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    free_tally(&t);
}

/* Of the mean of |IPDV| only the buckets' edges are known: 1000 us lies in [992, 1024). */
static void
ipdv_abs_mean_lies_between_its_edges(void)
{
    struct tally t = new_tally(10, 10);
    int64_t lower, upper;

    hist_add(t.ifdv, MS, 1000);
    hist_bucket_bounds(HIST_IFDV, hist_bucket_of(HIST_IFDV, MS), &lower, &upper);
    CU_ASSERT(lower <= MS && MS < upper && upper - lower < MS / 20);
    uint64_t low = (uint64_t)lower, high = (uint64_t)upper;
    expect(judge(objective(INV_IPDV_ABS_MEAN, 0, low - 1), &t), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge(objective(INV_IPDV_ABS_MEAN, 0, low), &t), VERDICT_NOT_DECIDABLE, VERDICT_BUCKET);
    expect(judge(objective(INV_IPDV_ABS_MEAN, 0, high - 2), &t), VERDICT_NOT_DECIDABLE,
           VERDICT_BUCKET);
    expect(judge(objective(INV_IPDV_ABS_MEAN, 0, high - 1), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    struct objective_result r = judge(objective(INV_IPDV_ABS_MEAN, 0, low), &t);
    CU_ASSERT(r.value >= lower && r.value < upper && r.whole == 1000);
    free_tally(&t);
}

/* --- Clocks ------------------------------------------------------------------- */

static void
one_way_delay_needs_clocks(void)
{
    static const enum inv_metric_kind needs[] = {INV_FD, INV_FD_MEAN};
    static const enum inv_metric_kind needs_not[] = {INV_RT, INV_FDR, INV_PDV, INV_RT_MEAN};
    struct tally t = new_tally(1000, 1000);

    add_delay(&t, 5 * MS, 10000, 10 * MS);
    for (size_t i = 0; i < 2; i++) {
        struct inv_objective o = objective(needs[i], 99000, 10 * (uint64_t)MS);
        t.clock_error_ns = (uint64_t)MS;
        expect(judge_counted(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
        t.clock_error_ns = (uint64_t)MS + 1;
        expect(judge_counted(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_CLOCK);
        CU_ASSERT(judge_counted(o, &t).has_value);
        t.clock_error_ns = UINT64_MAX;
        expect(judge_counted(o, &t), VERDICT_NOT_DECIDABLE, VERDICT_CLOCK);
    }
    for (size_t i = 0; i < 4; i++) {
        struct inv_objective o = objective(needs_not[i], 99000, 10 * (uint64_t)MS);
        expect(judge_counted(o, &t), VERDICT_MET, VERDICT_NO_DOUBT);
    }
    free_tally(&t);

    /* Suspect delta-t are left out, and there are no others. */
    t = new_tally(1000, 1000);
    t.received = 10000;
    t.suspect = 1000;
    expect(judge(objective(INV_FD, 99000, 1), &t), VERDICT_NOT_DECIDABLE, VERDICT_CLOCK);
    expect(judge(objective(INV_FD_MEAN, 0, 1), &t), VERDICT_NOT_DECIDABLE, VERDICT_CLOCK);
    expect(judge(objective(INV_RT, 99000, 1), &t), VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    t.received = 0;
    expect(judge(objective(INV_FD, 99000, 1), &t), VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    free_tally(&t);
}

/* --- While the period runs ---------------------------------------------------- */

/* p99 of 10,000 expected samples: 100 may be over. */
static void
quantile_is_missed_early_only_when_the_month_cannot_be_saved(void)
{
    struct inv_objective o = objective(INV_RT, 99000, 10 * (uint64_t)MS);
    struct tally t = new_tally(10, 10);
    struct objective_result r;

    add_delay(&t, 5 * MS, 900, 10 * MS);
    add_delay(&t, 20 * MS, 100, 10 * MS);
    r = judge_running(o, &t, 0, 10000);
    expect(r, VERDICT_MET, VERDICT_NO_DOUBT);
    CU_ASSERT(r.budget == 100 && r.used == 100 && r.value > 10 * MS);
    expect(judge_running(o, &t, -1, 10000), VERDICT_MET, VERDICT_NO_DOUBT);
    add_delay(&t, 20 * MS, 1, 10 * MS);
    expect(judge_running(o, &t, 0, 10000), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_running(o, &t, -1, 10000), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_running(o, &t, 0, 0), VERDICT_MET, VERDICT_NO_DOUBT);
    o.metric.kind = INV_FDR;
    expect(judge_running(o, &t, -1, 10000), VERDICT_MISSED, VERDICT_NO_DOUBT);
    expect(judge_running(o, &t, -1, 10100), VERDICT_MET, VERDICT_NO_DOUBT);
    free_tally(&t);
}

static void
mean_is_missed_early_only_when_the_month_cannot_be_saved(void)
{
    struct inv_objective o = objective(INV_RT_MEAN, 0, 10 * (uint64_t)MS);
    struct tally t = new_tally(10, 10);

    add_delay(&t, 100 * MS, 1000, 0);
    expect(judge_running(o, &t, -1, 10000), VERDICT_MET, VERDICT_NO_DOUBT);
    expect(judge_running(o, &t, -1, 9999), VERDICT_MISSED, VERDICT_NO_DOUBT);
    o.min_samples = 9999;
    expect(judge_running(o, &t, -1, 9999), VERDICT_MISSED, VERDICT_NO_DOUBT);
    o.min_samples = 10000; /* So many will not come. */
    expect(judge_running(o, &t, -1, 9999), VERDICT_MET, VERDICT_FEW_SAMPLES);
    o.min_samples = 0;
    expect(judge_running(o, &t, -1, 0), VERDICT_MET, VERDICT_NO_DOUBT);
    free_tally(&t);
}

/* --- Traps --------------------------------------------------------------------- */

/* Adds 'from' to 'to' as far as delays go. */
static void
merge(struct tally *to, const struct tally *from)
{
    bool less = !to->delay_count || from->delay_min_ns < to->delay_min_ns;
    bool more = !to->delay_count || from->delay_max_ns > to->delay_max_ns;

    hist_merge(to->hist, from->hist);
    to->delay_min_ns = less ? from->delay_min_ns : to->delay_min_ns;
    to->delay_max_ns = more ? from->delay_max_ns : to->delay_max_ns;
    to->delay_count += from->delay_count;
    to->delay_sum_ns += from->delay_sum_ns;
    to->over[0] += from->over[0];
}

/* A day of 96 quarter hours, three of them congested: the mean of their percentiles would keep the
 * promise, the day's percentile does not. */
static void
trap_01_percentile_of_percentiles(void)
{
    struct inv_objective o = objective(INV_RT, 99900, 20 * (uint64_t)MS);
    struct tally day = new_tally(86400, 86400);
    int64_t sum = 0;

    for (int quarter = 0; quarter < 96; quarter++) {
        struct tally t = new_tally(900, 900);
        bool congested = quarter >= 40 && quarter < 43;
        add_delay(&t, 11 * MS, congested ? 8000 : 9000, 20 * MS);
        add_delay(&t, 40 * MS, congested ? 1000 : 0, 20 * MS);
        sum += judge_counted(o, &t).value;
        merge(&day, &t);
        free_tally(&t);
    }
    CU_ASSERT(sum / 96 < 20 * MS); /* What averaging would say. */
    struct objective_result r = judge_counted(o, &day);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(r.value > 39 * MS && r.value < 41 * MS);
    expect(judge(o, &day), VERDICT_MISSED, VERDICT_NO_DOUBT);
    free_tally(&day);
}

/* The far clock is 5 ms behind: the least delay is -2 ms, and the range 12 ms, not 10. */
static void
trap_10_clamped_negative_delays(void)
{
    struct tally t = new_tally(1000, 1000);

    add_delay(&t, -2 * MS, 5000, INT64_MAX);
    add_delay(&t, 10 * MS, 5000, INT64_MAX);
    struct objective_result r = judge(objective(INV_FDR, 99900, 11 * (uint64_t)MS), &t);
    expect(r, VERDICT_MISSED, VERDICT_NO_DOUBT);
    CU_ASSERT(llabs(r.value - 12 * MS) < MS / 100);
    /* No counter is of it, whatever the caller says. */
    expect(judge_counted(objective(INV_FDR, 99900, 11 * (uint64_t)MS), &t), VERDICT_MISSED,
           VERDICT_NO_DOUBT);
    r = judge(objective(INV_PDV, 40000, 0), &t);
    expect(r, VERDICT_NOT_DECIDABLE, VERDICT_BUCKET);
    r = judge(objective(INV_FD, 40000, 11 * (uint64_t)MS), &t);
    CU_ASSERT(r.value < -MS);
    CU_ASSERT_EQUAL(judge(objective(INV_FD_MEAN, 0, 4 * (uint64_t)MS), &t).value, 4 * MS);
    expect(judge(objective(INV_FD_MEAN, 0, 4 * (uint64_t)MS), &t), VERDICT_MET, VERDICT_NO_DOUBT);
    free_tally(&t);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"verdict_by_counter_is_that_of_sorting_all_samples",
         verdict_by_counter_is_that_of_sorting_all_samples},
        {"verdict_by_histogram_is_right_or_none", verdict_by_histogram_is_right_or_none},
        {"limit_inside_a_bucket_is_decided_by_the_counter",
         limit_inside_a_bucket_is_decided_by_the_counter},
        {"least_and_greatest_sample_narrow_the_bucket",
         least_and_greatest_sample_narrow_the_bucket},
        {"few_samples_of_a_quantile", few_samples_of_a_quantile},
        {"delay_without_samples_has_no_value", delay_without_samples_has_no_value},
        {"ifdv_has_samples_of_its_own", ifdv_has_samples_of_its_own},
        {"mean_is_exact_to_the_nanosecond", mean_is_exact_to_the_nanosecond},
        {"mean_survives_a_sum_that_went_round", mean_survives_a_sum_that_went_round},
        {"ipdv_abs_mean_lies_between_its_edges", ipdv_abs_mean_lies_between_its_edges},
        {"one_way_delay_needs_clocks", one_way_delay_needs_clocks},
        {"quantile_is_missed_early_only_when_the_month_cannot_be_saved",
         quantile_is_missed_early_only_when_the_month_cannot_be_saved},
        {"mean_is_missed_early_only_when_the_month_cannot_be_saved",
         mean_is_missed_early_only_when_the_month_cannot_be_saved},
        {"trap_01_percentile_of_percentiles", trap_01_percentile_of_percentiles},
        {"trap_10_clamped_negative_delays", trap_10_clamped_negative_delays},
        CU_TEST_INFO_NULL,
    };
    return run_suite("objective_delay", tests);
}
