/* test_confidence.c - the Clopper-Pearson interval against sums of binomial terms, written out here
 * another way, and against figures that are in every table. */
#include "confidence.h"

#include <math.h>
#include <stdbool.h>

#include "harness.h"

/* P(X <= k) of n trials of probability p, term by term from the largest outwards. */
static double
at_most(uint64_t k, uint64_t n, long double p)
{
    long double term = expl((long double)n * log1pl(-p)), sum = 0;

    for (uint64_t i = 0; i <= k; i++) {
        sum += term;
        term *= (long double)(n - i) / (long double)(i + 1) * (p / (1 - p));
    }
    return (double)sum;
}

static void
check_bounds(uint64_t k, uint64_t n, double error)
{
    double low, high;

    confidence_interval(k, n, &low, &high);
    CU_ASSERT(low <= (double)k / (double)n && (double)k / (double)n <= high);
    if (k == 0) {
        CU_ASSERT(!(low > 0));
    } else {
        CU_ASSERT_DOUBLE_EQUAL(1 - at_most(k - 1, n, low), 0.025, error);
    }
    if (k == n) {
        CU_ASSERT(!(high < 1));
    } else {
        CU_ASSERT_DOUBLE_EQUAL(at_most(k, n, high), 0.025, error);
    }
}

static void
figures_of_the_tables(void)
{
    static const struct {
        uint64_t part, whole;
        double low, high;
    } known[] = {
        {0, 10, 0, 0.3084971},  {1, 10, 0.002528579, 0.4450161}, {5, 10, 0.1870860, 0.8129140},
        {10, 10, 0.6915029, 1}, {7, 20, 0.1539092, 0.5921885},   {0, 1, 0, 0.975},
        {1, 1, 0.025, 1},       {0, 3000, 0, 0.00122887},
    };
    double low, high;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        confidence_interval(known[i].part, known[i].whole, &low, &high);
        CU_ASSERT_DOUBLE_EQUAL(low, known[i].low, 6e-8);
        CU_ASSERT_DOUBLE_EQUAL(high, known[i].high, 6e-8);
    }
}

static void
every_small_count_agrees_with_binomial_sums(void)
{
    for (uint64_t n = 1; n <= 60; n++) {
        for (uint64_t k = 0; k <= n; k++) {
            check_bounds(k, n, 1e-9);
        }
    }
}

static void
large_counts_agree_with_binomial_sums(void)
{
    for (int i = 0; i < 300; i++) {
        uint64_t n = 1000 + random_below(100000000);
        uint64_t k = random_below(2000);
        check_bounds(k < n ? k : n - 1, n, 1e-9);
    }
    check_bounds(2600, 26000000, 1e-9);
    check_bounds(1, UINT64_C(1000000000000), 1e-6);
}

/* Losing and getting are two sides of the same count. */
static void
interval_mirrors(void)
{
    for (int i = 0; i < 300; i++) {
        uint64_t n = 1 + random_below(1000000), k = random_below(n + 1);
        double low, high, other_low, other_high;
        confidence_interval(k, n, &low, &high);
        confidence_interval(n - k, n, &other_low, &other_high);
        CU_ASSERT_DOUBLE_EQUAL(low, 1 - other_high, 1e-11);
        CU_ASSERT_DOUBLE_EQUAL(high, 1 - other_low, 1e-11);
    }
}

/* Where the fraction gives way to Wilson's interval nothing jumps. */
static void
huge_counts_go_over_to_wilson_without_a_step(void)
{
    const uint64_t many = 100000000;
    double low, high, next_low, next_high;

    confidence_interval(many, 5 * many, &low, &high);
    confidence_interval(many + 1, 5 * many, &next_low, &next_high);
    CU_ASSERT_DOUBLE_EQUAL(low, next_low, 5e-9);
    CU_ASSERT_DOUBLE_EQUAL(high, next_high, 5e-9);
    CU_ASSERT(low < 0.2 && high > 0.2 && high - low < 1e-4);
    confidence_interval(UINT64_MAX / 2, UINT64_MAX, &low, &high);
    CU_ASSERT(low < high && high < 0.51 && low > 0.49);
}

/* One less would leave the ratio inside. */
static void
needed_is_the_least_number_that_decides(void)
{
    /* Nothing lost: (1 - 0.001)^n < 0.025 from n = 3688 on. */
    CU_ASSERT_EQUAL(confidence_needed(0, 100, 0.001), 3688);
    CU_ASSERT_EQUAL(confidence_needed(0, 3000, 0.001), 3688);
    CU_ASSERT_EQUAL(confidence_needed(50, 100, 0.5), CONFIDENCE_NEVER);

    for (int i = 0; i < 200; i++) {
        uint64_t n = 1000 + random_below(100000), k = random_below(30), times;
        double ratio = (double)(1 + random_below(30)) / 1000, low, high;
        uint64_t needed = confidence_needed(k, n, ratio);
        if (needed == CONFIDENCE_NEVER) {
            continue;
        }
        CU_ASSERT(needed >= n);
        /* At whole multiples, where the ratio stays what it is: outside from then on. */
        times = needed / n + 1;
        if (times < 1000) {
            confidence_interval(k * times, n * times, &low, &high);
            CU_ASSERT(ratio < low || ratio > high);
        }
        if (needed > n && times > 1) {
            confidence_interval(k * (times - 1), n * (times - 1), &low, &high);
            CU_ASSERT(ratio >= low && ratio <= high);
        }
    }
}

/* The share of true ratios that the interval holds is 95 % at least, never less. */
static void
interval_covers_as_it_says(void)
{
    const uint64_t n = 200;

    for (int tenth = 1; tenth < 100; tenth += 3) {
        long double p = tenth / 1000.0L;
        double inside = 0, before = 0;
        for (uint64_t k = 0; k <= n; k++) {
            double low, high, upto = at_most(k, n, p);
            confidence_interval(k, n, &low, &high);
            inside += (double)p >= low && (double)p <= high ? upto - before : 0;
            before = upto;
        }
        CU_ASSERT(inside >= 0.95);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"figures_of_the_tables", figures_of_the_tables},
        {"every_small_count_agrees_with_binomial_sums",
         every_small_count_agrees_with_binomial_sums},
        {"large_counts_agree_with_binomial_sums", large_counts_agree_with_binomial_sums},
        {"interval_mirrors", interval_mirrors},
        {"huge_counts_go_over_to_wilson_without_a_step",
         huge_counts_go_over_to_wilson_without_a_step},
        {"needed_is_the_least_number_that_decides", needed_is_the_least_number_that_decides},
        {"interval_covers_as_it_says", interval_covers_as_it_says},
        CU_TEST_INFO_NULL,
    };
    return run_suite("confidence", tests);
}
