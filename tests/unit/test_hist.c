/* test_hist.c - buckets, merging, quantiles and the encoding of histograms. */
#include "hist.h"

#include <errno.h>

#include "harness.h"

static const enum hist_layout layouts[] = {HIST_DELAY, HIST_IFDV};

/* Greatest error that the layout promises for 'value'. */
static uint64_t
error_allowed(enum hist_layout layout, int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t least = layout == HIST_DELAY ? 64 : 1000;
    uint64_t relative = layout == HIST_DELAY ? size / 1000 : size / 125 * 2;
    return relative > least ? relative : least;
}

static uint64_t
distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static void
check_value(enum hist_layout layout, int64_t value)
{
    int32_t index = hist_bucket_of(layout, value);
    int64_t lower, upper;

    hist_bucket_bounds(layout, index, &lower, &upper);
    CU_ASSERT(lower <= value);
    CU_ASSERT(value < upper || (value == INT64_MAX && upper == INT64_MAX));
    struct hist *h = hist_new(layout);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT_EQUAL(hist_add(h, value, 1), 0);
    int64_t q = hist_quantile(h, 500000, INT64_MIN, INT64_MAX);
    CU_ASSERT(distance(q, value) <= error_allowed(layout, value));
    CU_ASSERT_EQUAL(hist_quantile(h, 500000, value, value), value);
    hist_free(h);
}

static void
a_value_is_found_again_within_the_stated_error(void)
{
    static const int64_t edges[] = {
        0,     1,         -1,    63,    64,        -64,           -65,          999,
        1000,  -1000,     -1001, 32767, 32768,     -32768,        -32769,       65535,
        65536, INT64_MAX, 31999, 32000, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};

    for (unsigned l = 0; l < 2; l++) {
        for (unsigned i = 0; i < sizeof edges / sizeof edges[0]; i++) {
            check_value(layouts[l], edges[i]);
        }
        for (unsigned i = 0; i < 20000; i++) {
            check_value(layouts[l], random_value());
        }
    }
}

static void
buckets_join_without_gap_and_mirror_at_zero(void)
{
    for (unsigned l = 0; l < 2; l++) {
        int32_t last = hist_bucket_of(layouts[l], INT64_MAX);
        int64_t before = INT64_MIN;
        for (int32_t i = -1 - last; i <= last; i++) {
            int64_t lower, upper;
            hist_bucket_bounds(layouts[l], i, &lower, &upper);
            if (lower != before || upper <= lower || hist_bucket_of(layouts[l], lower) != i ||
                hist_bucket_of(layouts[l], upper - 1) != i) {
                CU_FAIL_FATAL("a gap, an overlap or a value elsewhere");
            }
            before = upper;
        }
        CU_ASSERT_EQUAL(before, INT64_MAX);
    }
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, 63), 0);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, 64), 1);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, -1), -1);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, -64), -1);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, -65), -2);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, 32768), 512);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, 65536), 1024);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_DELAY, 65536 + 128), 1025);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_IFDV, 999), 0);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_IFDV, 1000), 1);
    CU_ASSERT_EQUAL(hist_bucket_of(HIST_IFDV, 64000), 64);
}

static int
compare_values(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void
quantiles_are_the_nearest_rank_of_the_sorted_values(void)
{
    static const uint32_t asked[] = {1,      1000,   10000,  500000, 950000,
                                     990000, 999000, 999999, 1000000};
    static int64_t values[3000];

    for (unsigned round = 0; round < 60; round++) {
        enum hist_layout layout = layouts[round % 2];
        size_t n = 1 + random_below(round < 30 ? 40 : 3000);
        struct hist *h = hist_new(layout);
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        for (size_t i = 0; i < n; i++) {
            values[i] = round % 3 ? (int64_t)random_below(50000000) - 1000000 : random_value();
            CU_ASSERT_EQUAL_FATAL(hist_add(h, values[i], 1), 0);
        }
        qsort(values, n, sizeof values[0], compare_values);
        for (unsigned a = 0; a < sizeof asked / sizeof asked[0]; a++) {
            size_t rank = (size_t)((n * (uint64_t)asked[a] + 999999) / 1000000);
            int64_t truth = values[rank - 1];
            int64_t q = hist_quantile(h, asked[a], values[0], values[n - 1]);
            CU_ASSERT_EQUAL(hist_bucket_of(layout, q), hist_bucket_of(layout, truth));
            CU_ASSERT(distance(q, truth) <= error_allowed(layout, truth));
        }
        hist_free(h);
    }
}

struct handed {
    const int64_t *values; /* Sorted. */
    size_t at;
    int64_t before;
};

/* The next values, and no others, are in the bucket. */
static void
take_bucket(int64_t lower, int64_t upper, uint64_t count, void *aux)
{
    struct handed *handed = aux;

    CU_ASSERT(count > 0 && lower >= handed->before && lower < upper);
    handed->before = upper;
    for (; count > 0; count--, handed->at++) {
        CU_ASSERT(handed->values[handed->at] >= lower && handed->values[handed->at] < upper);
    }
}

static void
buckets_are_handed_upwards_with_all_their_samples(void)
{
    static int64_t values[3000];

    for (unsigned round = 0; round < 40; round++) {
        size_t n = random_below(round % 2 ? 40 : 3000);
        struct hist *h = hist_new(layouts[round / 2 % 2]);
        struct handed handed = {.values = values, .before = INT64_MIN};
        for (size_t i = 0; i < n; i++) {
            values[i] = random_value();
            CU_ASSERT_EQUAL_FATAL(hist_add(h, values[i], 1), 0);
        }
        qsort(values, n, sizeof values[0], compare_values);
        hist_each(h, take_bucket, &handed);
        CU_ASSERT_EQUAL(handed.at, n);
        hist_free(h);
    }
}

static void
a_quantile_of_huge_counts_does_not_overflow(void)
{
    struct hist *h = hist_new(HIST_DELAY);

    CU_ASSERT_EQUAL(hist_add(h, 10, HIST_COUNT_MAX - 1000), 0);
    CU_ASSERT_EQUAL(hist_add(h, 5000000, 1000), 0);
    CU_ASSERT_EQUAL(hist_add(h, 5, 1), -EOVERFLOW);
    CU_ASSERT_EQUAL(hist_count(h), HIST_COUNT_MAX);
    CU_ASSERT(hist_quantile(h, 999999, 0, INT64_MAX) < 64);
    CU_ASSERT(hist_quantile(h, 1000000, 0, INT64_MAX) > 4000000);
    hist_free(h);
}

static size_t
encode_new(const struct hist *h, uint8_t **bytes)
{
    size_t size = hist_encoded_size(h);

    *bytes = malloc(size + 1);
    CU_ASSERT_EQUAL(hist_encode(h, *bytes, size), size);
    if (size) {
        CU_ASSERT_EQUAL(hist_encode(h, *bytes, size - 1), 0);
        CU_ASSERT_EQUAL(hist_encode(h, *bytes, size), size);
    }
    return size;
}

static int
same(const struct hist *a, const struct hist *b)
{
    uint8_t *x, *y;
    size_t n = encode_new(a, &x), m = encode_new(b, &y);
    int equal = n == m && memcmp(x, y, n) == 0 && hist_count(a) == hist_count(b);

    free(x);
    free(y);
    return equal;
}

/* A random histogram; 'all' takes the same. */
static struct hist *
random_hist(enum hist_layout layout, size_t samples, struct hist *all)
{
    struct hist *h = hist_new(layout);
    int64_t base = random_value() / 4;
    int wide = random_chance(500);

    for (size_t i = 0; i < samples; i++) {
        int64_t v = wide ? random_value() : base + (int64_t)random_below(1000000);
        uint64_t n = random_chance(50) ? random_below(UINT64_C(1) << 36) : 1 + random_below(3);
        CU_ASSERT_EQUAL(hist_add(h, v, n), 0);
        CU_ASSERT_EQUAL(hist_add(all, v, n), 0);
    }
    return h;
}

static void
merging_commutes_and_equals_adding_together(void)
{
    for (unsigned round = 0; round < 400; round++) {
        enum hist_layout layout = layouts[round % 2];
        struct hist *all = hist_new(layout), *ab = hist_new(layout), *ba = hist_new(layout),
                    *coded = hist_new(layout);
        struct hist *a = random_hist(layout, random_below(random_chance(500) ? 20 : 300), all);
        struct hist *b = random_hist(layout, random_below(random_chance(500) ? 20 : 300), all);
        uint8_t *bytes;
        CU_ASSERT_EQUAL(hist_merge(ab, a), 0);
        CU_ASSERT_EQUAL(hist_merge(ab, b), 0);
        CU_ASSERT_EQUAL(hist_merge(ba, b), 0);
        CU_ASSERT_EQUAL(hist_merge(ba, a), 0);
        CU_ASSERT_EQUAL(hist_count(all), hist_count(a) + hist_count(b));
        CU_ASSERT(same(ab, ba));
        CU_ASSERT(same(ab, all));
        size_t size = encode_new(a, &bytes);
        CU_ASSERT_EQUAL(hist_merge_encoded(coded, bytes, size), HIST_OK);
        CU_ASSERT(same(coded, a));
        free(bytes);
        size = encode_new(b, &bytes);
        CU_ASSERT_EQUAL(hist_merge_encoded(coded, bytes, size), HIST_OK);
        CU_ASSERT(same(coded, all));
        free(bytes);
        hist_clear(coded);
        CU_ASSERT_EQUAL(hist_count(coded), 0);
        CU_ASSERT_EQUAL(hist_encoded_size(coded), 0);
        CU_ASSERT_EQUAL(hist_merge(coded, a), 0);
        CU_ASSERT(same(coded, a));
        hist_free(a), hist_free(b), hist_free(all), hist_free(ab), hist_free(ba), hist_free(coded);
    }
}

static void
layouts_do_not_mix(void)
{
    struct hist *delay = hist_new(HIST_DELAY), *ifdv = hist_new(HIST_IFDV);
    uint8_t *bytes;

    CU_ASSERT_EQUAL(hist_add(delay, 100, 1), 0);
    CU_ASSERT_EQUAL(hist_merge(ifdv, delay), -EINVAL);
    size_t size = encode_new(delay, &bytes);
    CU_ASSERT_EQUAL(hist_merge_encoded(ifdv, bytes, size), HIST_OTHER_LAYOUT);
    CU_ASSERT_EQUAL(hist_count(ifdv), 0);
    free(bytes);
    hist_free(delay);
    hist_free(ifdv);
}

static void
every_truncation_is_short_and_changes_nothing(void)
{
    for (unsigned round = 0; round < 120; round++) {
        enum hist_layout layout = layouts[round % 2];
        struct hist *all = hist_new(layout), *into = hist_new(layout), *was = hist_new(layout);
        struct hist *h = random_hist(layout, 1 + random_below(round % 3 ? 12 : 150), all);
        struct hist *start = random_hist(layout, random_below(round % 4 ? 30 : 200), was);
        uint8_t *bytes;
        uint64_t count = 77;
        size_t size = encode_new(h, &bytes);
        CU_ASSERT_EQUAL(hist_merge(into, start), 0);
        for (size_t cut = 1; cut < size; cut++) {
            uint8_t *exact = exact_copy(bytes, cut);
            CU_ASSERT_EQUAL(hist_merge_encoded(into, exact, cut), HIST_SHORT);
            CU_ASSERT_EQUAL(hist_check_encoded(layout, exact, cut, &count), HIST_SHORT);
            free(exact);
        }
        CU_ASSERT_EQUAL(count, 77);
        CU_ASSERT(same(into, was));
        CU_ASSERT_EQUAL(hist_check_encoded(layout, bytes, size, &count), HIST_OK);
        CU_ASSERT_EQUAL(count, hist_count(h));
        free(bytes);
        hist_free(all), hist_free(into), hist_free(was), hist_free(h), hist_free(start);
    }
}

static enum hist_verdict
verdict_of(struct hist *h, const uint8_t *bytes, size_t size)
{
    uint8_t *exact = exact_copy(bytes, size);
    uint64_t before = hist_count(h), count = 0;
    enum hist_verdict v = hist_merge_encoded(h, exact, size);

    CU_ASSERT_EQUAL(hist_check_encoded(HIST_DELAY, exact, size, &count), v);
    CU_ASSERT_EQUAL(hist_count(h), before + (v == HIST_OK ? count : 0));
    free(exact);
    return v;
}

#define VERDICT(h, ...)                                                                            \
    verdict_of((h), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void
each_fault_of_an_encoding_has_its_verdict(void)
{
    struct hist *small = hist_new(HIST_DELAY), *large = hist_new(HIST_DELAY);

    for (int64_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(hist_add(large, i * 64, 1), 0); /* Past the sorted array. */
    }
    for (int i = 0; i < 2; i++) {
        struct hist *h = i ? large : small;
        CU_ASSERT_EQUAL(hist_merge_encoded(h, NULL, 0), HIST_OK);
        CU_ASSERT_EQUAL(VERDICT(h, 0, 1, 0), HIST_BAD_LAYOUT);
        CU_ASSERT_EQUAL(VERDICT(h, 3, 1, 0), HIST_BAD_LAYOUT);
        CU_ASSERT_EQUAL(VERDICT(h, 2, 1, 0), HIST_OTHER_LAYOUT);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 0), HIST_BAD_COUNT);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0), HIST_OK);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0, 0), HIST_TRAILING);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 2, 0), HIST_SHORT);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 1), HIST_SHORT);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 1, 0), HIST_OK);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 2, 0, 0), HIST_OK);
        /* 25087 is the last index: zigzag 50174, shifted 100348. */
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0xfc, 0x8f, 0x06), HIST_OK);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0x80, 0x90, 0x06), HIST_BAD_ORDER);
        /* -25088 is the first: zigzag 50175, shifted 100350. */
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0xfe, 0x8f, 0x06), HIST_OK);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 0x82, 0x90, 0x06), HIST_BAD_ORDER);
        CU_ASSERT_EQUAL(VERDICT(h, 1, 2, 0xf8, 0x8f, 0x06, 0), HIST_OK); /* 25086, 25087 */
        CU_ASSERT_EQUAL(VERDICT(h, 1, 2, 0xf8, 0x8f, 0x06, 2), HIST_BAD_ORDER);
        /* Counts of 2^63 - 1 and more. */
        CU_ASSERT_EQUAL(VERDICT(h, 1, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
                        HIST_BAD_COUNT);
        CU_ASSERT_EQUAL(
            VERDICT(h, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
            HIST_BAD_COUNT);
    }
    hist_free(small);
    hist_free(large);
}

static void
samples_never_pass_their_greatest_number(void)
{
    static const uint8_t most[] = {1, 1, 1, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    static const uint8_t one[] = {1, 1, 0};
    struct hist *h = hist_new(HIST_DELAY);
    struct hist *other = hist_new(HIST_DELAY);

    CU_ASSERT_EQUAL(hist_merge_encoded(h, most, sizeof most), HIST_OK);
    CU_ASSERT_EQUAL(hist_count(h), HIST_COUNT_MAX);
    CU_ASSERT_EQUAL(hist_merge_encoded(h, one, sizeof one), HIST_BAD_COUNT);
    CU_ASSERT_EQUAL(hist_add(other, 0, 1), 0);
    CU_ASSERT_EQUAL(hist_merge(h, other), -EOVERFLOW);
    CU_ASSERT_EQUAL(hist_count(h), HIST_COUNT_MAX);
    hist_free(h);
    hist_free(other);
}

static void
ten_samples_encode_to_the_bytes_of_the_format_page(void)
{
    /* Values 0, 0, 0, 64, 640 and -1: indices -1, 0 (3 times), 1, 10. */
    static const uint8_t page[] = {1, 4, 2, 1, 1, 0, 16};
    struct hist *h = hist_new(HIST_DELAY);
    uint8_t *bytes;

    CU_ASSERT_EQUAL(hist_add(h, 640, 1), 0);
    CU_ASSERT_EQUAL(hist_add(h, 0, 3), 0);
    CU_ASSERT_EQUAL(hist_add(h, -1, 1), 0);
    CU_ASSERT_EQUAL(hist_add(h, 64, 1), 0);
    size_t size = encode_new(h, &bytes);
    CU_ASSERT_EQUAL_FATAL(size, sizeof page);
    CU_ASSERT_EQUAL(memcmp(bytes, page, size), 0);
    free(bytes);
    hist_free(h);
}

/* Adds the same to both, in one of the ways that there are. */
static void
add_to_both(struct hist *plain, struct hist *packed, enum hist_layout layout)
{
    struct hist *more = random_below(2) ? hist_new(layout) : hist_new_packed(layout);
    uint8_t *bytes;

    for (uint64_t i = random_below(3) ? random_below(12) : random_below(300); i > 0; i--) {
        uint64_t count = random_below(4) ? 1 : random_u64() >> (20 + random_below(44));
        CU_ASSERT_EQUAL(hist_add(more, random_value(), count), 0);
    }
    size_t size = encode_new(more, &bytes);
    uint64_t how = random_below(3);
    if (size && how == 0) {
        bytes[random_below(size)] = (uint8_t)random_u64();
    }
    if (how < 2) {
        CU_ASSERT_EQUAL(hist_merge_encoded(packed, bytes, size),
                        hist_merge_encoded(plain, bytes, size));
    } else {
        CU_ASSERT_EQUAL(hist_merge(packed, more), hist_merge(plain, more));
    }
    free(bytes);
    hist_free(more);
}

static void
a_packed_one_is_the_same_for_all_who_ask(void)
{
    for (unsigned round = 0; round < 400; round++) {
        enum hist_layout layout = layouts[round % 2];
        struct hist *plain = hist_new(layout), *packed = hist_new_packed(layout);
        for (uint64_t i = random_below(20); i > 0; i--) {
            add_to_both(plain, packed, layout);
        }
        CU_ASSERT(same(plain, packed));
        for (uint32_t q = 1; hist_count(plain) && q <= 1000000; q = q * 7 + 3) {
            CU_ASSERT_EQUAL(hist_quantile(packed, q, INT64_MIN, INT64_MAX),
                            hist_quantile(plain, q, INT64_MIN, INT64_MAX));
        }
        struct hist *sum = hist_new(layout);
        CU_ASSERT_EQUAL(hist_merge(sum, packed), 0);
        CU_ASSERT(same(sum, plain));
        hist_clear(packed);
        CU_ASSERT_EQUAL(hist_count(packed), 0);
        CU_ASSERT_EQUAL(hist_merge(packed, plain), 0);
        CU_ASSERT(same(packed, plain));
        hist_free(sum);
        hist_free(plain);
        hist_free(packed);
    }
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"a_value_is_found_again_within_the_stated_error",
         a_value_is_found_again_within_the_stated_error},
        {"buckets_join_without_gap_and_mirror_at_zero",
         buckets_join_without_gap_and_mirror_at_zero},
        {"quantiles_are_the_nearest_rank_of_the_sorted_values",
         quantiles_are_the_nearest_rank_of_the_sorted_values},
        {"buckets_are_handed_upwards_with_all_their_samples",
         buckets_are_handed_upwards_with_all_their_samples},
        {"a_quantile_of_huge_counts_does_not_overflow",
         a_quantile_of_huge_counts_does_not_overflow},
        {"merging_commutes_and_equals_adding_together",
         merging_commutes_and_equals_adding_together},
        {"layouts_do_not_mix", layouts_do_not_mix},
        {"every_truncation_is_short_and_changes_nothing",
         every_truncation_is_short_and_changes_nothing},
        {"each_fault_of_an_encoding_has_its_verdict", each_fault_of_an_encoding_has_its_verdict},
        {"samples_never_pass_their_greatest_number", samples_never_pass_their_greatest_number},
        {"ten_samples_encode_to_the_bytes_of_the_format_page",
         ten_samples_encode_to_the_bytes_of_the_format_page},
        {"a_packed_one_is_the_same_for_all_who_ask", a_packed_one_is_the_same_for_all_who_ask},
        CU_TEST_INFO_NULL};
    return run_suite("hist", tests);
}
