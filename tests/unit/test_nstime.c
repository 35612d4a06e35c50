/* test_nstime.c - instants, spans and how they are printed. */
#include "nstime.h"

#include "harness.h"

static void
floor_and_ceil_fall_on_multiples_also_before_1970(void)
{
    const struct span s = span_of_ns(10);

    CU_ASSERT_EQUAL(instant_floor(instant_of_ns(29), s).ns, 20);
    CU_ASSERT_EQUAL(instant_floor(instant_of_ns(20), s).ns, 20);
    CU_ASSERT_EQUAL(instant_floor(instant_of_ns(-1), s).ns, -10);
    CU_ASSERT_EQUAL(instant_floor(instant_of_ns(-10), s).ns, -10);
    CU_ASSERT_EQUAL(instant_ceil(instant_of_ns(21), s).ns, 30);
    CU_ASSERT_EQUAL(instant_ceil(instant_of_ns(20), s).ns, 20);
    CU_ASSERT_EQUAL(instant_ceil(instant_of_ns(-9), s).ns, 0);
}

static void
a_timespec_there_and_back_is_the_same(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        struct instant at = instant_of_ns((int64_t)(random_u64() >> 1));
        CU_ASSERT_EQUAL(instant_of_timespec(instant_to_timespec(at)).ns, at.ns);
    }
}

static void
sums_and_differences_agree(void)
{
    struct instant a = instant_of_ns(1000), b = instant_add(a, span_of_ns(-1));

    CU_ASSERT_EQUAL(instant_sub(b, a).ns, -1);
    CU_ASSERT_TRUE(instant_before(b, a));
    CU_ASSERT_FALSE(instant_before(a, a));
}

static void
instants_print_as_rfc_3339(void)
{
    char buf[40];
    struct instant at = instant_of_ns(INT64_C(1709210096) * NS_PER_S + 123456789);

    CU_ASSERT_STRING_EQUAL(instant_format(at, 0, buf, sizeof buf), "2024-02-29T12:34:56Z");
    CU_ASSERT_STRING_EQUAL(instant_format(at, 3, buf, sizeof buf), "2024-02-29T12:34:56.123Z");
    CU_ASSERT_STRING_EQUAL(instant_format(at, 9, buf, sizeof buf),
                           "2024-02-29T12:34:56.123456789Z");
    CU_ASSERT_STRING_EQUAL(instant_format(instant_of_ns(-1), 1, buf, sizeof buf),
                           "1969-12-31T23:59:59.9Z");
}

static void
spans_print_as_people_read_them(void)
{
    char buf[24];

    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(0), buf, sizeof buf), "0ns");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(999), buf, sizeof buf), "999ns");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(-3100), buf, sizeof buf), "-3.1us");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(999999), buf, sizeof buf), "999.9us");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(1250000), buf, sizeof buf), "1.25ms");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(2 * NS_PER_S), buf, sizeof buf), "2.000s");
    CU_ASSERT_STRING_EQUAL(span_format(span_of_ns(INT64_MIN), buf, sizeof buf), "-9223372036.854s");
}

static void
sources_have_names_and_an_order(void)
{
    CU_ASSERT_STRING_EQUAL(ts_source_name(TS_NONE), "none");
    CU_ASSERT_STRING_EQUAL(ts_source_name(TS_HARDWARE), "hardware");
    CU_ASSERT_STRING_EQUAL(ts_source_name(TS_SOURCES), "?");
    CU_ASSERT(TS_USER < TS_KERNEL && TS_KERNEL < TS_HARDWARE);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"floor_and_ceil_fall_on_multiples_also_before_1970",
         floor_and_ceil_fall_on_multiples_also_before_1970},
        {"a_timespec_there_and_back_is_the_same", a_timespec_there_and_back_is_the_same},
        {"sums_and_differences_agree", sums_and_differences_agree},
        {"instants_print_as_rfc_3339", instants_print_as_rfc_3339},
        {"spans_print_as_people_read_them", spans_print_as_people_read_them},
        {"sources_have_names_and_an_order", sources_have_names_and_an_order},
        CU_TEST_INFO_NULL};
    return run_suite("nstime", tests);
}
