/* test_clockstate.c - chrony's answer, and steps of the clock. */
#include "clockstate.h"

#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "wire.h"

enum { TRACKING_SIZE = 104 };

/* 2^(exponent - 25) * coefficient seconds. */
static uint32_t
chrony_float(int exponent, int32_t coefficient)
{
    return ((uint32_t)exponent & 0x7f) << 25 | ((uint32_t)coefficient & 0x1ffffff);
}

static void
make_answer(uint8_t bytes[TRACKING_SIZE], uint32_t sequence, uint16_t leap, uint32_t correction,
            uint32_t delay, uint32_t dispersion)
{
    struct wr w = wr_of(bytes, TRACKING_SIZE);

    wr_u8(&w, 6);
    wr_u8(&w, 2);
    wr_zero(&w, 2);
    wr_be16(&w, 33);
    wr_be16(&w, 5);
    wr_be16(&w, 0);
    wr_zero(&w, 6);
    wr_be32(&w, sequence);
    wr_zero(&w, 8 + 4 + 20 + 2);
    wr_be16(&w, leap);
    wr_zero(&w, 12);
    wr_be32(&w, correction);
    wr_zero(&w, 20);
    wr_be32(&w, delay);
    wr_be32(&w, dispersion);
    wr_zero(&w, 4);
    CU_ASSERT_FATAL(wr_ok(&w) && w.left == 0);
}

static void
root_distance_is_correction_and_dispersion_and_half_the_delay(void)
{
    uint8_t bytes[TRACKING_SIZE];
    bool synchronised = false;
    uint64_t error_ns = 0;

    /* -2^-10 s, 2^-8 s, 2^-9 s: 976,562.5 + 1,953,125 + 1,953,125 ns. */
    make_answer(bytes, 7, 0, chrony_float(-5, -(1 << 20)), chrony_float(-3, 1 << 20),
                chrony_float(-4, 1 << 20));
    CU_ASSERT_TRUE(clockdaemon_parse(bytes, sizeof bytes, 7, &synchronised, &error_ns));
    CU_ASSERT_TRUE(synchronised);
    CU_ASSERT(error_ns >= 4882812 && error_ns <= 4882816);
}

static void
great_and_tiny_figures_do_not_overflow(void)
{
    uint8_t bytes[TRACKING_SIZE];
    bool synchronised;
    uint64_t error_ns;

    make_answer(bytes, 7, 3, chrony_float(63, (1 << 24) - 1), chrony_float(-64, 1),
                chrony_float(25, 16));
    CU_ASSERT_TRUE(clockdaemon_parse(bytes, sizeof bytes, 7, &synchronised, &error_ns));
    CU_ASSERT_FALSE(synchronised);
    CU_ASSERT(error_ns > UINT64_C(16000000000));
}

static void
every_truncation_and_each_foreign_field_is_refused(void)
{
    /* Octets whose change makes it another answer: version, type, command,
     * reply, status, sequence. */
    static const size_t fields[] = {0, 1, 5, 7, 9, 19};
    uint8_t bytes[TRACKING_SIZE];
    bool synchronised;
    uint64_t error_ns;

    make_answer(bytes, 7, 0, 0, 0, 0);
    CU_ASSERT_TRUE(clockdaemon_parse(bytes, sizeof bytes, 7, &synchronised, &error_ns));
    for (size_t size = 0; size < 100; size++) { /* The last field is not read. */
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, bytes, size);
        CU_ASSERT_FALSE(clockdaemon_parse(exact, size, 7, &synchronised, &error_ns));
        free(exact);
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        bytes[fields[i]]++;
        CU_ASSERT_FALSE(clockdaemon_parse(bytes, sizeof bytes, 7, &synchronised, &error_ns));
        bytes[fields[i]]--;
    }
}

static void
an_undisturbed_clock_does_not_step(void)
{
    struct clockstep_watch w = {0};
    struct span step = {0};

    for (int i = 0; i < 1000 && step.ns == 0; i++) {
        step = clockstep_check(&w, span_of_ns(100 * NS_PER_MS));
    }
    CU_ASSERT_EQUAL(step.ns, 0);
    w.offset_ns -= 3 * NS_PER_S;
    /* Being preempted makes it look away; it must not look away for ever. */
    for (int i = 0; i < 1000 && step.ns == 0; i++) {
        step = clockstep_check(&w, span_of_ns(100 * NS_PER_MS));
    }
    CU_ASSERT(step.ns > 2900 * NS_PER_MS && step.ns < 3100 * NS_PER_MS);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"root_distance_is_correction_and_dispersion_and_half_the_delay",
         root_distance_is_correction_and_dispersion_and_half_the_delay},
        {"great_and_tiny_figures_do_not_overflow", great_and_tiny_figures_do_not_overflow},
        {"every_truncation_and_each_foreign_field_is_refused",
         every_truncation_and_each_foreign_field_is_refused},
        {"an_undisturbed_clock_does_not_step", an_undisturbed_clock_does_not_step},
        CU_TEST_INFO_NULL};
    return run_suite("clockstate", tests);
}
